"""Plain pictures (PNG, JPEG, TIFF, BMP): alone, or in a folder with a mask for each.

Two layouts: `images/x.png` with `masks/x.png`, or `x.png` with `x_mask.png` beside it; endings may differ.
In a mask, 0 is outside and one other grey level is the left ventricle. Pictures state no spacing.
"""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from lvseg.errors import DataError
from lvseg.readers.common import PICTURES, check_bytes, check_size, files_below, frame_of, is_label, reading
from lvseg.readers.record import Frame, Pixels

_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")


def open_folder(root: Path) -> list[Frame]:
    """The pictures below `root` and their masks; a missing mask shows when its frame is read."""
    apart = (root / "images").is_dir()
    pictures = root / "images" if apart else root
    frames = []
    for path in files_below(pictures):
        if path.suffix.lower() in PICTURES and not is_label(path):
            mask = root / "masks" / path.relative_to(pictures) if apart else path.with_stem(f"{path.stem}_mask")
            mask = next((m for end in PICTURES if (m := mask.with_suffix(end)).is_file()), mask)
            frames.append(frame_of(pictures, path, partial(_read_pair, path, mask), mask))
    return frames


def list_file(root: Path, path: Path) -> list[Frame]:
    """The one frame of a picture, without a mask."""
    return [frame_of(root, path, partial(_read_alone, path))]


def read_grey(path: Path) -> np.ndarray:
    """A picture file as uint8 grey levels (height, width); colour becomes luma."""
    with reading(path):
        check_bytes(path)
        return decode(path, path.read_bytes())


def decode(path: Path, data: bytes) -> np.ndarray:
    """The grey levels of an encoded picture; `path` is the file that errors name."""
    with reading(path), Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "TIFF", "BMP")) as picture:
        check_size(path, picture.size)
        if picture.mode not in _MODES or getattr(picture, "n_frames", 1) > 1:
            raise DataError(f"{path}: isn't one picture with 8 bits a channel; save it as one")
        return np.array(picture.convert("L"))


def _read_alone(path: Path) -> Pixels:
    return Pixels(read_grey(path), None, None)


def _read_pair(path: Path, mask_path: Path) -> Pixels:
    image = read_grey(path)
    if not mask_path.is_file():
        raise DataError(f"{path}: has no mask; add {mask_path}")
    mask = read_grey(mask_path)
    if mask.shape != image.shape:
        raise DataError(f"{mask_path}: has another size than its image {path.name}; save it in the same size")
    if len(np.unique(mask[mask > 0])) > 1:
        raise DataError(f"{mask_path}: has more than two grey levels; save a PNG with 0 outside and 255 inside")
    return Pixels(image, mask > 0, None)
