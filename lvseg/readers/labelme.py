"""LabelMe (github.com/wkentaro/labelme), the tool that outlined the paper's data: one JSON file a frame.

The image is in the JSON (imageData) or a file that it names (imagePath). Points are x, y with (0, 0) at the
first pixel's corner. Several shapes of the left ventricle are united. No spacing is stored.
Shapes are the left ventricle's by their label: one of `LV_LABELS`, or of the folder's `lv_labels.txt` (one a line).
"""

from __future__ import annotations

import base64
import json
import re
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from lvseg import files
from lvseg.errors import DataError
from lvseg.masks import inside, outline, write_png
from lvseg.readers.common import check_bytes, check_outline, files_below, frame_of, read_text, reading
from lvseg.readers.images import decode, read_grey
from lvseg.readers.record import Frame, Pixels

LV_LABELS = frozenset({"lv", "leftventricle", "lvcavity", "lvendo", "endo", "endocardium", "lvendocardium", "左心室"})
"""The ventricle's usual names, in lower case, without spaces, hyphens and underscores."""


_MAX_JSON = 32 * 2**20
_MAX_SHAPES = 100
_IMAGE_PATH = re.compile(rb'"imagePath":\s*("(?:[^"\\]|\\.)*")')


def open_folder(root: Path) -> list[Frame]:
    """A frame for every JSON file below `root`; none is parsed yet."""
    lists = [path for path in (root / "lv_labels.txt",) if path.exists()]
    names = LV_LABELS.union(*(map(_plain, read_text(path).splitlines()) for path in lists)) - {""}
    return [
        frame_of(root, path, partial(_read, root, path, names), *_named_image(path), *lists)
        for path in files_below(root)
        if path.suffix.lower() == ".json"
    ]


def _plain(label: str) -> str:
    return re.sub(r"[\s_-]", "", label.lower())


def _named_image(path: Path) -> list[Path]:
    """The picture that a JSON file names, if it is there; not parsed, as the JSON may hold megabytes of imageData."""
    with reading(path), path.open("rb") as file:
        named = _IMAGE_PATH.search(file.read(2**16))  # LabelMe writes it before imageData
    try:
        image = _resolve(path, json.loads(named[1])) if named else path
        return [image] if image != path and image.is_file() else []
    except (ValueError, OSError):
        return []


def _resolve(path: Path, image_path: str) -> Path:
    return path.parent / PureWindowsPath(image_path).as_posix()  # LabelMe writes either kind of slash


def _read(root: Path, path: Path, names: frozenset[str]) -> Pixels:
    with reading(path):
        check_bytes(path, _MAX_JSON)
        content = json.loads(read_text(path))
        labels = sorted({shape["label"] for shape in content["shapes"]})
        shapes = [shape for shape in content["shapes"] if _plain(shape["label"]) in names]
        if not shapes:
            raise DataError(
                f"{path}: outlines no left ventricle, only {', '.join(labels)[:80]!r}; label it LV, or list its label "
                f"in {root / 'lv_labels.txt'}"
            )
        if len(shapes) > _MAX_SHAPES:
            raise DataError(f"{path}: outlines the left ventricle by more than {_MAX_SHAPES} shapes; draw it again")
        image = _image(root, path, content)
        mask = np.zeros(image.shape, bool)
        for shape in shapes:
            mask |= _fill(path, shape, image.shape)
        return Pixels(image, mask, None)


def _image(root: Path, path: Path, content: dict[str, Any]) -> np.ndarray:
    if content.get("imageData"):
        return decode(path, base64.b64decode(content["imageData"], validate=True))
    image = _resolve(path, content["imagePath"])
    if PureWindowsPath(content["imagePath"]).anchor or not image.resolve().is_relative_to(root.resolve()):
        named = content["imagePath"][:80]
        raise DataError(f"{path}: its imagePath {named!r} leads out of the folder; put the image beside the JSON")
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


def write_labelme(frames: list[Frame], folder: Path) -> None:
    """Write outlined frames as a LabelMe data set: `folder/PATIENT/NAME.png` and `.json`, each file atomically.

    The JSON's one polygon, labelled `LV`, runs between the pixels' centres around the mask. Raises `DataError` where
    a file can't be written.
    """
    for frame in frames:
        pixels = frame.read()
        path = folder / frame.patient / f"{frame.name}.png"
        write_png(path, pixels.image)
        files.write_json(path.with_suffix(".json"), _annotation(path.name, pixels))


def _annotation(image_name: str, pixels: Pixels) -> dict[str, Any]:
    """A frame's annotation as LabelMe 5 writes it; points are x, y from the first pixel's corner."""
    assert pixels.mask is not None, "only outlined frames can be written"
    height, width = pixels.image.shape
    points = outline(pixels.mask).tolist()
    polygon = {"label": "LV", "points": points, "group_id": None, "shape_type": "polygon", "flags": {}}
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": [polygon],
        "imagePath": image_name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
