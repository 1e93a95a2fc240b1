"""LabelMe (github.com/wkentaro/labelme), the tool that outlined the paper's data: one JSON file a frame.

The image is in the JSON (imageData) or a file that it names (imagePath); as LabelMe does, it is turned as its EXIF data
say before it is outlined. Points are x, y with (0, 0) at the first pixel's corner. No spacing is stored.
Shapes are the left ventricle's by their label: one of `LV_LABELS`, or of the folder's `lv_labels.txt` (one a line).
They are united, less the holes: shapes labelled as one of `HOLES`, and those inside another of their own group.
"""

from __future__ import annotations

import base64
import json
import re
import unicodedata
import warnings
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path, PureWindowsPath
from typing import Any

import numpy as np

from lvseg import files
from lvseg.errors import DataError, DataWarning
from lvseg.masks import inside, outline, write_png
from lvseg.readers.common import check_bytes, check_outline, files_below, frame_of, is_layout, read_text, reading
from lvseg.readers.images import Picture, decode_mask, decode_picture, on_upright, other_size, read_picture
from lvseg.readers.record import Frame, Pixels

_LATIN = """
    lv lvcavity lvchamber lvlumen lvbloodpool lvendo lvendocardium lvendocardial lved lves endo endocardium
    leftventricle leftventricularcavity leftventricularendocardium leftventricleendocardium ventriculoizquierdo
    ventriculoesquerdo ventriculegauche ventricolosinistro linkerventrikel linkeventrikel
"""
_CHINESE = "左心室 左室 左心室腔 左室腔 左心腔 左心室内膜 左室内膜 心内膜"
LV_LABELS = frozenset((_LATIN + _CHINESE).split())
"""The ventricle's usual names, as `_plain` writes them; a number may follow."""
HOLES = frozenset({"background", "hole", "lvhole"})
"""What is cut out of the ventricle, where it lies in one of its shapes; so written is `_background_` too."""

_MAX_JSON = 32 * 2**20
_MAX_SHAPES = 100
_IMAGE_PATH = re.compile(rb'"imagePath":\s*("(?:[^"\\]|\\.)*")')
_LARGEST_HOLE = 0.5
"""The share of a shape up to which another of its group inside it is a hole; a larger one is the same outline again."""
_BEYOND = 2.0
"""By how many pixels an outline may leave its picture before that is told."""


def open_folder(root: Path) -> list[Frame]:
    """A frame for every JSON file below `root` but those of other programs, which a `DataWarning` names.

    Those that may be LabelMe's aren't parsed yet.
    """
    lists = [path for path in (root / "lv_labels.txt",) if path.exists()]
    names = {_plain(name) for path in lists for name in read_text(path).splitlines()} | LV_LABELS
    return [
        frame_of(root, path, partial(_read, root, path, frozenset(names - {""})), *_named_image(root, path), *lists)
        for path in files_below(root)
        if path.suffix.lower() == ".json" and not _is_foreign(path)
    ]


def _is_foreign(path: Path) -> bool:
    """Whether a JSON file says nothing that LabelMe would; told, so that nobody misses its frame."""
    with reading(path):
        if path.stat().st_size > _MAX_JSON:
            return False
        with path.open("rb") as file:
            start = file.read(2**16).replace(b"\0", b"")  # so, UTF-16 is searched as well
            if b'"shapes"' in start or b'"imagePath"' in start:  # LabelMe writes both before imageData
                return False
    try:
        content = json.loads(read_text(path))
    except (ValueError, RecursionError, DataError):
        return False  # damaged, perhaps one of LabelMe's: reading it says so
    foreign = not (isinstance(content, dict) and content.keys() & {"shapes", "imagePath", "imageData"})
    if foreign:
        warnings.warn(
            DataWarning(f"{path}: is no annotation of LabelMe, {_holding(content)}; passed over"), stacklevel=2
        )
    return foreign


def _holding(content: Any) -> str:
    keys = ", ".join(map(str, content))[:80] if isinstance(content, dict) else ""
    return f"as it holds {keys}" if keys else "as it holds no shapes"


def _plain(label: str) -> str:
    """A label in lower case, without accents, spaces and signs."""
    return "".join(letter for letter in unicodedata.normalize("NFKD", label.casefold()) if letter.isalnum())


def _is_one_of(label: Any, names: Collection[str]) -> bool:
    """Whether a label is one of the names, perhaps with a number after it, or with another of them in brackets."""
    if not isinstance(label, str | int):
        return False
    parts = [part for part in map(_plain, re.split(r"[()（）\[\]]", str(label))) if part]
    return bool(parts) and all(part in names or part.rstrip("0123456789") in names for part in parts)


def _named_image(root: Path, path: Path) -> list[Path]:
    """The picture that a JSON file names, if it is there; not parsed, as the JSON may hold megabytes of imageData."""
    with reading(path), path.open("rb") as file:
        named = _IMAGE_PATH.search(file.read(2**16).replace(b"\0", b""))  # LabelMe writes it before imageData
    try:
        return [_found(root, path, json.loads(named[1]))] if named else []
    except (ValueError, OSError, DataError):
        return []


def _found(root: Path, path: Path, image_path: str) -> Path:
    """The picture of a JSON file: where its imagePath says, else the file of that name beside it or in a folder beside.

    LabelMe writes either kind of slash, an absolute path where the folders lay on two disks, and where a folder was
    moved since, its own name is what is left. Raises `DataError` where there is none within `root`.
    """
    outside = None
    for place in _places(root, path, PureWindowsPath(image_path)):
        if not place.resolve().is_relative_to(root.resolve()):
            outside = outside or place
        elif image := _whatever_case(place):
            return image
    if outside:
        where = outside.parent.resolve()
        both = next((folder for folder in root.resolve().parents if where.is_relative_to(folder)), where)
        raise DataError(
            f"{path}: its imagePath {image_path[:80]!r} leads out of the folder; put the picture beside the JSON, or "
            f"open the folder that holds both ({both})"
        )
    raise DataError(
        f"{path}: its picture isn't there (imagePath {image_path[:80]!r}: no such file in the folder); put it beside "
        "the JSON"
    )


def _places(root: Path, path: Path, named: PureWindowsPath) -> Iterator[Path]:
    """Where the picture of the JSON file `path` may lie, likely places first."""
    if not named.anchor:
        yield path.parent / named.as_posix()
    if named.name:
        yield path.parent / named.name
        if path.parent.resolve() != root.resolve():
            beside = sorted(folder for folder in path.parent.parent.iterdir() if is_layout(folder.name))
            yield from (folder / named.name for folder in beside if folder.is_dir())


def _whatever_case(place: Path) -> Path | None:
    """The file at a place, or the only one whose name differs from it in capitals alone."""
    if place.exists():
        return place if not place.is_dir() else None
    if not place.parent.is_dir():
        return None
    alike = [file for file in place.parent.iterdir() if file.name.casefold() == place.name.casefold()]
    return alike[0] if len(alike) == 1 and alike[0].is_file() else None


def _read(root: Path, path: Path, names: frozenset[str]) -> Pixels:
    with reading(path):
        check_bytes(path, _MAX_JSON)
        content = _content(path)
        shapes = [shape for shape in content["shapes"] if _is_one_of(shape.get("label"), names)]
        if not shapes:
            raise _unlabelled(root, path, content["shapes"])
        others = [shape for shape in content["shapes"] if _is_one_of(shape.get("label"), HOLES - names)]
        holes = [shape for shape in others if _encloses(path, shape)]
        if len(shapes) + len(holes) > _MAX_SHAPES:
            raise DataError(f"{path}: outlines the left ventricle by more than {_MAX_SHAPES} shapes; draw it again")
        picture, name = _image(root, path, content)
        size = _drawn_size(path, content, picture, name)
        mask = _united(path, shapes, size)
        for hole in holes:
            cut = _fill(path, hole, size)
            if not (cut & ~mask).any():
                mask &= ~cut
            elif (cut & mask).any() and (mask & ~cut).any():  # not the background around the ventricle
                about = f"a shape labelled {hole['label']!r} lies partly in the left ventricle"
                warnings.warn(DataWarning(f"{path}: {about}; nothing is cut out"), stacklevel=2)
        return Pixels(picture.grey, on_upright(path, mask, picture, name, surely=True), None)


def _content(path: Path) -> dict[str, Any]:
    """The JSON's content, its `shapes` a list of dictionaries."""
    try:
        content = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise DataError(f"{path}: can't be read as JSON, from {place} on; restore it from its source") from None
    shapes = content.get("shapes") if isinstance(content, dict) else None
    if not isinstance(shapes, list) or not all(isinstance(shape, dict) for shape in shapes):
        about = "as its shapes are no list of shapes" if shapes is not None else _holding(content)
        advice = "save it anew in LabelMe, or move it elsewhere"
        raise DataError(f"{path}: can't be read as an annotation of LabelMe, {about}; {advice}")
    return content


def _unlabelled(root: Path, path: Path, shapes: Sequence[dict[str, Any]]) -> DataError:
    if not shapes:
        return DataError(f"{path}: outlines no left ventricle, as it holds no shape; outline it, or remove the file")
    labels = [shape.get("label") for shape in shapes]
    found = [repr(label[:40]) for label in sorted({label for label in labels if isinstance(label, str)})[:6]]
    if not all(isinstance(label, str) for label in labels):
        found.append("a shape without a text label")
    return DataError(
        f"{path}: outlines no left ventricle, only {', '.join(found)}; label it LV, or list its label in "
        f"{root / 'lv_labels.txt'}"
    )


def _image(root: Path, path: Path, content: dict[str, Any]) -> tuple[Picture, str]:
    """The picture and the name by which errors call it."""
    if content.get("imageData"):
        return decode_picture(path, _unpacked(path, content["imageData"], "imageData")), "its imageData"
    named = content.get("imagePath")
    if not isinstance(named, str) or not named:
        raise DataError(
            f"{path}: can't be read, as it has neither imageData nor imagePath; open and save it in LabelMe"
        )
    image = _found(root, path, named)
    return read_picture(image), image.name


def _unpacked(path: Path, encoded: Any, field: str) -> bytes:
    """A picture out of a JSON text, which may be broken into lines or begin as a data address (`data:...;base64,`)."""
    try:
        text = re.sub(r"^\s*data:[^,]{0,100};base64,|\s+", "", encoded)
        return base64.b64decode(text, validate=True)
    except (TypeError, ValueError):
        raise DataError(f"{path}: can't be read, as its {field} is no base64 text; save it anew in LabelMe") from None


def _drawn_size(path: Path, content: dict[str, Any], picture: Picture, name: str) -> tuple[int, int]:
    """(height, width) of the picture that was outlined: as the JSON states, else the upright picture's."""
    size = picture.grey.shape[0], picture.grey.shape[1]
    height, width = content.get("imageHeight"), content.get("imageWidth")
    if not (isinstance(height, int) and isinstance(width, int)):
        return size
    drawn = height, width
    if drawn not in (size, picture.stored_size()):
        raise other_size(path, drawn, name, size)
    return drawn


def _united(path: Path, shapes: Sequence[dict[str, Any]], size: tuple[int, int]) -> np.ndarray:
    """The shapes as one mask, bool of `size`: united, less what lies inside another shape of its group."""
    drawn = [shape for shape in shapes if _encloses(path, shape)]
    if not drawn:
        kind = f"{shapes[0].get('shape_type') or 'polygon'} of {len(shapes[0]['points'])} points"
        raise DataError(f"{path}: outlines the left ventricle by a {kind}; draw a polygon")
    if len(drawn) < len(shapes):
        about = "outlines the left ventricle by a shape and by points or lines, which enclose nothing"
        warnings.warn(DataWarning(f"{path}: {about}; these are passed over"), stacklevel=2)
    groups: dict[str, list[dict[str, Any]]] = defaultdict(list)
    named = [repr(shape.get("group_id")) for shape in drawn]
    for shape, group in zip(drawn, named, strict=True):
        groups[group if named.count(group) > 1 else "None"].append(shape)  # alone in its group is in none
    whole = np.zeros(size, bool)
    for group, members in groups.items():
        largest_first = sorted(members, key=lambda shape: -int(_fill(path, shape, size).sum()))
        whole |= _of_group(path, largest_first, size, grouped=group != "None")
    return whole


def _of_group(path: Path, shapes: Sequence[dict[str, Any]], size: tuple[int, int], grouped: bool) -> np.ndarray:
    """The shapes of one group, or those of none, the largest first, as one mask."""
    part = np.zeros(size, bool)
    for shape in shapes:
        mask = _fill(path, shape, size)
        if (mask & ~part).any():
            part |= mask
        elif not mask.any():
            continue
        elif grouped and mask.sum() <= _LARGEST_HOLE * part.sum():
            part &= ~mask
            about = "an outline of the left ventricle lies inside another of its group; taken for a hole"
            warnings.warn(DataWarning(f"{path}: {about}"), stacklevel=2)
        else:
            about = "an outline of the left ventricle lies inside another and adds nothing"
            warnings.warn(DataWarning(f"{path}: {about}; if it is a hole, label it _background_"), stacklevel=2)
    return part


def _encloses(path: Path, shape: dict[str, Any]) -> bool:
    """Whether a shape has an inside; points and lines, such as the long axis, have none."""
    points = check_outline(path, shape.get("points"), least=1)
    kind = shape.get("shape_type") or "polygon"
    return kind not in ("point", "points", "line") and not (kind in ("polygon", "linestrip") and len(points) < 3)


def _fill(path: Path, shape: dict[str, Any], size: tuple[int, int]) -> np.ndarray:
    """One shape as a bool mask (height, width); an open line strip is closed."""
    height, width = size
    kind = shape.get("shape_type") or "polygon"
    points = check_outline(path, shape.get("points"), least=1) - 0.5  # pixel centres at whole numbers
    match kind, len(points):
        case "rectangle", 2:
            (left, top), (right, bottom) = points
            return inside(np.array([(left, top), (right, top), (right, bottom), (left, bottom)]), (height, width))
        case "circle", 2:
            (x, y), rim = points
            rows, columns = np.ogrid[:height, :width]
            return np.hypot(columns - x, rows - y) < np.hypot(*(rim - (x, y)))
        case "mask", 2:
            return _paste(path, shape.get("mask"), np.rint(points[0] + 0.5).astype(int), (height, width))
        case (("polygon" | "linestrip" | "rectangle" | "oriented_rectangle" | "rotation"), count) if count > 2:
            if (points < -_BEYOND).any() or (points > (width + _BEYOND, height + _BEYOND)).any():
                about = "an outline of the left ventricle leaves the picture"
                warnings.warn(DataWarning(f"{path}: {about}; was it drawn on another one?"), stacklevel=2)
            return inside(points, (height, width))
    raise DataError(f"{path}: outlines the left ventricle by a {kind} of {len(points)} points; draw a polygon")


def _paste(path: Path, encoded: Any, corner: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A shape that is a small picture itself (from LabelMe's AI tools), its first pixel at `corner`."""
    patch = decode_mask(path, _unpacked(path, encoded, "mask")).inside
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
