"""LabelMe (github.com/wkentaro/labelme), the tool that outlined the paper's data: one JSON file a frame.

The image is in the JSON (imageData) or a file that it names (imagePath). Points are x, y with (0, 0) at the
first pixel's corner. Several shapes of the left ventricle are united. No spacing is stored.
"""

from __future__ import annotations

import base64
import json
import re
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from lvseg.errors import DataError
from lvseg.readers.common import PICTURES, check_outline, files_below, frame_of, inside, reading
from lvseg.readers.images import decode, read_grey
from lvseg.readers.record import Frame, Pixels

# The class's names in lower case, without spaces, hyphens and underscores.
LV_LABELS = frozenset({"lv", "leftventricle", "lvcavity", "lvendo", "endo", "endocardium", "lvendocardium", "左心室"})
_MAX_JSON = 32 * 2**20


def open_folder(root: Path) -> list[Frame]:
    """A frame for every JSON file below `root`; none is opened yet."""
    frames = []
    for path in files_below(root):
        if path.suffix.lower() == ".json":
            beside = [image for end in PICTURES if (image := path.with_suffix(end)).is_file()]
            frames.append(frame_of(root, path, partial(_read, root, path), *beside))
    return frames


def _read(root: Path, path: Path) -> Pixels:
    with reading(path):
        if path.stat().st_size > _MAX_JSON:
            raise DataError(f"{path}: is larger than {_MAX_JSON} bytes; save it without imageData")
        content = json.loads(path.read_text(encoding="utf-8"))
        labels = sorted({shape["label"] for shape in content["shapes"]})
        shapes = [shape for shape in content["shapes"] if _is_lv(shape["label"])]
        if not shapes:
            raise DataError(f"{path}: outlines no left ventricle, only {labels}; label its shape LV")
        image = _image(root, path, content)
        return Pixels(image, np.logical_or.reduce([_fill(path, shape, image.shape) for shape in shapes]), None)


def _is_lv(label: str) -> bool:
    return re.sub(r"[\s_-]", "", label.lower()) in LV_LABELS


def _image(root: Path, path: Path, content: dict[str, Any]) -> np.ndarray:
    if content.get("imageData"):
        return decode(path, base64.b64decode(content["imageData"], validate=True))
    named = PureWindowsPath(content["imagePath"])  # LabelMe writes either kind of slash
    image = (path.parent / named.as_posix()).resolve()
    if named.anchor or not image.is_relative_to(root.resolve()):
        raise DataError(f"{path}: its imagePath {str(named)!r} leads out of the folder; put the image beside the JSON")
    return read_grey(image)


def _fill(path: Path, shape: dict[str, Any], size: tuple[int, ...]) -> np.ndarray:
    """One shape as a bool mask (height, width); an open line strip is closed."""
    height, width = size
    kind = shape.get("shape_type") or "polygon"
    points = check_outline(path, shape["points"], least=2) - 0.5  # pixel centres at whole numbers
    match kind, len(points):
        case "rectangle", 2:
            (left, top), (right, bottom) = points
            return inside(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]), (height, width))
        case "circle", 2:
            (x, y), rim = points
            rows, columns = np.ogrid[:height, :width]
            return np.hypot(columns - x, rows - y) < np.hypot(*(rim - (x, y)))
        case "mask", 2:
            return _paste(path, shape["mask"], np.rint(points[0] + 0.5).astype(int), (height, width))
        case (("polygon" | "linestrip" | "rectangle" | "oriented_rectangle"), count) if count > 2:
            return inside(points, (height, width))
    raise DataError(f"{path}: outlines the left ventricle by a {kind} of {len(points)} points; draw a polygon")


def _paste(path: Path, encoded: str, corner: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A shape that is a small picture itself (from LabelMe's AI tools), its first pixel at `corner`."""
    patch = decode(path, base64.b64decode(encoded, validate=True)) > 0
    mask = np.zeros(size, bool)
    place = np.s_[corner[1] : corner[1] + patch.shape[0], corner[0] : corner[0] + patch.shape[1]]
    if corner.min() < 0 or mask[place].shape != patch.shape:
        raise DataError(f"{path}: a mask lies partly outside the image; draw it again")
    mask[place] = patch
    return mask
