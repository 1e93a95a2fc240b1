"""Plain pictures (PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000): alone, or in a folder with a mask for each.

Two layouts: `images/x.png` with `masks/x.png`, or `x.png` with `x_mask.png` beside it; endings may differ, `_gt` is
`_mask`, and further masks of a frame, `x_mask_1.png`, `x_mask2.png` or `x_mask (1).png`, are united with its first.
Pictures state no spacing. A picture that its EXIF data turns is read upright. What a mask means: `read_mask`.
"""

from __future__ import annotations

import io
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from lvseg.errors import DataError, DataWarning
from lvseg.readers.common import (
    FURTHER_MASK,
    MAX_FRAME_PIXELS,
    PICTURES,
    SMALLER,
    check_bytes,
    check_size,
    files_below,
    frame_of,
    grey_levels,
    is_label,
    reading,
)
from lvseg.readers.record import Frame, Pixels

_FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "JPEG2000")
_PLAIN = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of 8 bits a channel."""
_LOSSY = ("JPEG", "MPO", "WEBP", "JPEG2000")
_MARKS = {
    b"%PDF": "a PDF document",
    b"PK\x03\x04": "a ZIP archive",
    b"ftypheic": "a HEIC photograph",
    b"ftypavif": "an AVIF picture",
    b"ftyp": "an MP4 video",
    b"DICM": "a DICOM image",
    b"<svg": "an SVG drawing",
    b"<html": "a web page",
}
"""What else may lie under a picture's name, by what stands near its start; the first that fits."""
_ORIENTATION = 0x0112
_FURTHER = re.compile(rf"(.+){FURTHER_MASK}")
"""The name of a further mask of a frame."""
_SOFT, _BLOCK, _RIPPLE = 2, 8, 8
"""How far, in pixels, smoothing reaches from a mask's edge, how far JPEG's blocks of 8 x 8 pixels do, and by how many
levels JPEG changes what is even."""
_CLASSES = 8
"""Up to so many grey levels may be a map of classes."""
_MOST_LV = 0.6
"""The share of a picture above which a mask is taken for inverted."""


class Picture(NamedTuple):
    """A picture, upright.

    grey: uint8 (height, width); colour becomes luma. turn: EXIF's orientation, 1 to 8, by which it was turned.
    """

    grey: np.ndarray
    turn: int

    def stored_size(self) -> tuple[int, int]:
        """(height, width) before it was turned."""
        height, width = self.grey.shape
        return (width, height) if self.turn >= 5 else (height, width)


class Mask(NamedTuple):
    """A mask, upright.

    inside: bool (height, width). levels: what was taken for outside and inside, in words. turn: as a `Picture`'s.
    """

    inside: np.ndarray
    levels: str
    turn: int


def open_folder(root: Path) -> list[Frame]:
    """The pictures below `root` and their masks; a missing mask shows when its frame is read."""
    apart = (root / "images").is_dir()
    pictures, below = (root / "images", root / "masks") if apart else (root, root)
    listed = files_below(pictures)
    masks = masks_by_name(below, files_below(below) if apart else [path for path in listed if is_label(path)])
    frames = []
    for path in listed:
        if path.suffix.lower() in PICTURES and not is_label(path):
            usual = below / path.relative_to(pictures) if apart else path.with_stem(f"{path.stem}_mask")
            own = masks.get(path.relative_to(pictures).with_suffix("").as_posix(), [usual])
            frames.append(frame_of(pictures, path, partial(_read_pair, path, own), *own))
    return frames


def list_file(root: Path, path: Path) -> list[Frame]:
    """The one frame of a picture, without a mask."""
    return [frame_of(root, path, partial(_read_alone, path))]


def masks_by_name(root: Path, paths: Iterable[Path]) -> dict[str, list[Path]]:
    """The masks among files below `root`, by their frame's path below it without an ending.

    `x`, `x_mask` and `x_gt` are masks of `x`; where one of the latter is there, `x` is the picture itself.
    `x_mask_1` (`x_mask1`, `x_mask (1)`) is a further mask of `x` where `x_mask` is there, else a mask of its own name.
    Overlays are passed over.
    """
    masks: dict[str, list[Path]] = defaultdict(list)
    listed = [path for path in paths if path.suffix.lower() in PICTURES and not path.stem.endswith("_overlay")]
    names = [path.relative_to(root).with_suffix("").as_posix() for path in listed]
    known = set(names)
    for name, path in zip(names, listed, strict=True):
        further = _FURTHER.fullmatch(name)
        frame = (
            further[1] if further and f"{further[1]}_mask" in known else name.removesuffix("_mask").removesuffix("_gt")
        )
        if frame != name or not known & {f"{name}_mask", f"{name}_gt"}:
            masks[frame].append(path)
    return masks


def read_picture(path: Path) -> Picture:
    """A picture file; raises `DataError` where it isn't one picture of grey levels or colours."""
    with reading(path):
        check_bytes(path)
        return decode_picture(path, path.read_bytes())


def decode_picture(path: Path, data: bytes) -> Picture:
    """As `read_picture`, of an encoded picture; `path` is the file that errors name."""
    with _loaded(path, data) as picture:
        turn = _turn(picture)
        return Picture(upright(_grey(path, picture), turn), turn)


def read_mask(path: Path) -> np.ndarray:
    """The mask in a picture file: bool (height, width), upright.

    A mask has two sides. Outside is 0, inside one other grey level, whichever it is (1 and 255 are usual); or outside
    is black, inside one other colour. Where parts are transparent and what is seen has one colour, the seen is inside.
    A palette of one colour is told by its numbers. An edge may be softened over two pixels, or by JPEG: inside is then
    what is above half of the brightest level. A mask of one level is empty if it is 0, else full.

    Raises `DataError` on anything else and says what was found. Warns (`DataWarning`) of a mask that touches all four
    edges or fills more than 0.6 of the picture, which is likely inverted.
    """
    return interpret_mask(path).inside


def interpret_mask(path: Path) -> Mask:
    """As `read_mask`, with what was taken for outside and inside."""
    with reading(path):
        check_bytes(path)
        mask = decode_mask(path, path.read_bytes())
    share = mask.inside.mean()
    edges = (mask.inside[0], mask.inside[-1], mask.inside[:, 0], mask.inside[:, -1])
    if share > _MOST_LV or all(edge.any() for edge in edges):
        about = f"marks {share:.0%} of the picture as inside ({mask.levels}), up to its edges"
        warnings.warn(DataWarning(f"{path}: {about}: if it is inverted, save it with 0 outside"), stacklevel=2)
    return mask


def read_masks(paths: Sequence[Path]) -> Mask:
    """The masks of one frame, united; raises as `read_mask`, and where it isn't clear which belong to it."""
    main = [path for path in paths if not _FURTHER.fullmatch(path.stem)]
    if len(main) > 1:
        raise DataError(
            f"{main[1]}: is a second mask beside {main[0].name}; keep the right one, or name a further part "
            f"{main[0].stem}_1{main[0].suffix}"
        )
    first, *further = masks = [interpret_mask(path) for path in paths]
    for path, mask in zip(paths[1:], further, strict=True):
        if mask.inside.shape != first.inside.shape:
            raise other_size(path, mask.inside.shape, paths[0].name, first.inside.shape)
    return first._replace(inside=np.logical_or.reduce([mask.inside for mask in masks]))


def decode_mask(path: Path, data: bytes) -> Mask:
    """As `read_mask`, of an encoded picture and without its warning; `path` is the file that errors name."""
    with _loaded(path, data) as picture:
        inside, levels = _two_sides(path, _telling(path, picture), lossy=picture.format in _LOSSY)
        turn = _turn(picture)
        return Mask(upright(inside, turn), levels, turn)


def on_upright(path: Path, drawn: np.ndarray, picture: Picture, name: str, surely: bool = False) -> np.ndarray:
    """A mask that was drawn on a picture, on the upright picture: bool (height, width).

    path: the file with `drawn`. name: the picture's. surely: whether it is known that it was drawn upright where the
    sizes leave it open. Raises `DataError` where it was drawn in another size; a `DataWarning` tells what EXIF leaves
    open.
    """
    size, stored = picture.grey.shape, picture.stored_size()
    if drawn.shape == size:
        if picture.turn > 1 and size == stored and not surely:
            about = f"nothing says whether it was drawn before or after {name} is turned as its EXIF data say"
            warnings.warn(DataWarning(f"{path}: {about}; taken as drawn on the upright picture"), stacklevel=2)
        return drawn
    if drawn.shape == stored:
        about = f"was drawn on {name} before that is turned as its EXIF data say; turned along with it"
        warnings.warn(DataWarning(f"{path}: {about}"), stacklevel=2)
        return upright(drawn, picture.turn)
    raise other_size(path, drawn.shape, name, size)


def upright(pixels: np.ndarray, turn: int) -> np.ndarray:
    """Pixels (height, width) turned or mirrored by EXIF's orientation, 1 to 8."""
    turned = pixels.T if turn >= 5 else pixels
    turned = turned[:, ::-1] if turn in (2, 3, 6, 7) else turned
    return np.ascontiguousarray(turned[::-1] if turn in (3, 4, 7, 8) else turned)


def other_size(path: Path, size: Sequence[int], name: str, other: Sequence[int]) -> DataError:
    """The refusal of a mask or outline in the file `path`, drawn in a (height, width) that its picture doesn't have."""
    ours, theirs = (f"{width} x {height}" for height, width in (size, other))
    return DataError(
        f"{path}: was drawn in another size ({ours} pixels) than {name} has ({theirs}); bring back the one that "
        "belongs to it, or draw it anew"
    )


def _read_alone(path: Path) -> Pixels:
    return Pixels(read_picture(path).grey, None, None)


def _read_pair(path: Path, mask_paths: list[Path]) -> Pixels:
    picture = read_picture(path)
    if not mask_paths[0].is_file():
        raise DataError(
            f"{path}: has no mask; add {mask_paths[0]}, or lay out the data as images/x.png and masks/x.png"
        )
    mask = read_masks(mask_paths)
    inside = on_upright(mask_paths[0], mask.inside, picture, path.name, surely=mask.turn > 1)
    return Pixels(picture.grey, inside, None)


@contextmanager
def _loaded(path: Path, data: bytes) -> Iterator[Image.Image]:
    """Pillow's picture, decoded; its size is checked before."""
    with reading(path):
        try:
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
        except UnidentifiedImageError:
            raise DataError(f"{path}: can't be read as a picture: {_instead(data)}") from None
        except Image.DecompressionBombError as error:
            declared = re.sub(r"\D*(\d+).*", r"\1", str(error))
            raise DataError(f"{path}: declares {declared} pixels, not 1 to {MAX_FRAME_PIXELS}; {SMALLER}") from None
        with picture:
            check_size(path, picture.size)
            pages = getattr(picture, "n_frames", 1)
            if pages > 1 and picture.format != "MPO":  # whose further pictures are previews
                raise DataError(f"{path}: isn't one picture but {pages}; save each as a file of its own")
            picture.load()
            yield picture


def _instead(data: bytes) -> str:
    """What a file holds instead of a picture, and what to do with it."""
    if not data:
        return "it is empty; restore it from its source"
    if what := next((what for mark, what in _MARKS.items() if mark in data[:512]), None):
        return f"it holds {what}; save the picture as PNG"
    return "it is damaged, or of another kind than its name says; restore it from its source, or save it as PNG"


def _turn(picture: Image.Image) -> int:
    """EXIF's orientation; 1, upright, where it isn't stated or can't be. Pillow has turned a TIFF already."""
    with suppress(Exception):  # EXIF data may be anything at all, also where the picture is sound
        turn = int(picture.getexif().get(_ORIENTATION, 1))
        return turn if 1 <= turn <= 8 else 1
    return 1


def _has_alpha(picture: Image.Image) -> bool:
    return "A" in picture.mode or ("transparency" in picture.info and picture.mode in _PLAIN)


def _grey(path: Path, picture: Image.Image) -> np.ndarray:
    """The grey levels as stored, uint8 (height, width); 16 bits are scaled by their full range."""
    if picture.mode in ("I", "F"):
        return grey_levels(path, np.array(picture))
    if picture.mode.startswith("I;16"):
        levels = np.array(picture).astype(np.uint16)
        if levels.max() < 2**15:
            raise DataError(
                f"{path}: has 16 bits a pixel but no level above {levels.max()}, so its white isn't known; stretch it "
                "to 0 to 65535, or save it with 8 bits"
            )
        return np.rint(levels / 257).astype(np.uint8)
    if picture.mode not in _PLAIN:
        raise DataError(f"{path}: has colours that are neither grey, RGB nor CMYK ({picture.mode}); save it as PNG")
    if _has_alpha(picture):
        rgba = np.array(picture.convert("RGBA"))
        if (rgba[..., :3].any(axis=2) & (rgba[..., 3] < 255)).any():
            about = "is transparent where it isn't black; read as if it were opaque"
            warnings.warn(DataWarning(f"{path}: {about}: save it without transparency if that is wrong"), stacklevel=2)
    return np.array((picture.convert("RGB") if picture.mode == "CMYK" else picture).convert("L"))


def _telling(path: Path, picture: Image.Image) -> np.ndarray:
    """The layer of a picture that tells a mask: levels (height, width) or colours (height, width, 3)."""
    if _has_alpha(picture):
        rgba = np.array(picture.convert("RGBA"))
        colours, opacity = rgba[..., :3], rgba[..., 3]
        seen = colours[opacity > 0]
        if not len(seen) and colours.any():
            raise DataError(
                f"{path}: is transparent everywhere; save it without transparency, 0 outside and 255 inside"
            )
        if opacity.min() < 255 and (seen == seen[:1]).all():
            return opacity
        return np.where((opacity > 0)[..., None], colours, 0)
    if picture.mode == "P":
        colours = np.array(picture.convert("RGB"))
        return np.array(picture) if (colours == colours[0, 0]).all() else colours
    return np.array(picture.convert("RGB") if picture.mode in ("CMYK", "YCbCr") else picture)


def _two_sides(path: Path, layer: np.ndarray, lossy: bool) -> tuple[np.ndarray, str]:
    """What is inside by a layer of levels or colours, and how that was told. lossy: whether levels may be blurred."""
    if layer.ndim == 3:
        if np.ptp(layer, axis=2).max() <= (_RIPPLE if lossy else 0):  # grey, saved as a colour picture
            return _two_sides(path, layer.max(axis=2), lossy)
        packed = layer.astype(np.int32) @ (0x10000, 0x100, 1)
        colours = np.unique(packed)
        if len(colours) == 2 and colours[0] == 0:
            return packed > 0, f"black outside, #{colours[1]:06x} inside"
        raise _no_mask(path, "colours", [f"#{colour:06x}" for colour in colours[:6]], len(colours))
    levels = np.unique(layer)
    low, top = levels[0], levels[-1]
    sound = 0 <= low <= top < np.inf and not (lossy and 0 < top < 128)  # so written, NaN is refused too
    if sound and len(levels) == 1:
        return layer > 0, f"{top:g} everywhere"
    if sound and len(levels) == 2 and low == 0:
        return layer > 0, f"0 outside, {top:g} inside"
    if sound and layer.dtype == np.uint8 and _softened(layer, len(levels), lossy):
        return layer > top / 2, f"0 outside, {top} inside, softened between"
    raise _no_mask(path, "grey levels", [f"{level:g}" for level in levels[:6]], len(levels))


def _softened(layer: np.ndarray, count: int, lossy: bool) -> bool:
    """Whether the levels between darkest and brightest only soften an edge: no class away from it, no speckle."""
    top = int(layer.max())
    bright, between = layer >= top * 15 / 16, (layer > top / 16) & (layer < top * 15 / 16)
    if top < 128 or between.sum() > bright.sum():
        return False
    near, around = (_near_edge(layer > top / 2, reach) for reach in (_SOFT, _BLOCK))
    slack = _RIPPLE if lossy else 0
    uneven = (layer > slack) & (layer < top - slack)
    if count <= _CLASSES:
        return not (uneven & ~near).any()
    middle = (layer > top / 4) & (layer < top * 3 / 4)
    return not ((middle & ~near) | (uneven & ~around)).any()


def _near_edge(mask: np.ndarray, reach: int) -> np.ndarray:
    """The pixels up to `reach` from the mask's edge, on both sides."""
    square = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return cv2.dilate(mask.view(np.uint8), square) != cv2.erode(mask.view(np.uint8), square)


def _no_mask(path: Path, what: str, found: list[str], count: int) -> DataError:
    """The refusal of a picture that has `count` levels or colours, of which some are `found`."""
    listed = ", ".join(found) + (", ..." if count > len(found) else "")
    about = f"has more than two {what} ({listed})" if count > 2 else f"has the {what} {listed}, not 0 and one other"
    return DataError(f"{path}: {about}; save a PNG of the left ventricle alone, 0 outside and 255 inside")
