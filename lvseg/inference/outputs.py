"""What `predict` writes on demand besides masks: for LabelMe, as NIfTI, for a first look, and under numbers."""

from __future__ import annotations

import gzip
import math
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lvseg import files
from lvseg.inference.segmenter import Segmenter
from lvseg.masks import write_png
from lvseg.readers import Frame, Pixels

KEY, OVERVIEW, LABELME = "key.csv", "overview.png", "labelme"
SHIFT = 1 / 32
"""Of a picture's sides, two pixels in 64: it moves the picture, not what it shows."""
_TILE, _COLUMNS, _MOST = 200, 6, 300  # pixels; tiles in a row; tiles in a sheet


def anonymous(frames: Sequence[Frame], out: Path) -> list[Frame]:
    """The frames under numbers, one for a file, also in its patient's place; which file is which goes to `key.csv`.

    A frame of a cine keeps its own number: `0002_0013`.
    """
    named, key = [], []
    for number, (file, group) in enumerate(groupby(frames, key=lambda frame: frame.files[0]), start=1):
        label, of_file = f"{number:04d}", list(group)
        key.append({"file": label, "name": str(file)})
        for place, frame in enumerate(of_file, start=1):
            name = label if len(of_file) == 1 else f"{label}_{place:04d}"
            named.append(replace(frame, name=name, patient=label))
    if key:
        files.write_text(out / KEY, files.csv_text(pd.DataFrame(key)).encode(errors="replace").decode())
    return named


def write_labelme(frame: Frame, image: np.ndarray, mask: np.ndarray, out: Path) -> None:
    """The picture and its outline for LabelMe, in `labelme/PATIENT/`; where no LV was found, the picture alone.

    image: uint8, mask: bool, both (height, width).
    """
    from lvseg.readers import labelme

    if mask.any():
        shown = replace(frame, load=lambda: Pixels(image, mask, None))
        labelme.write_labelme([shown], out / LABELME)
    else:
        write_png(out / LABELME / frame.patient / f"{frame.name}.png", image)


def agreement(segmenter: Segmenter, image: np.ndarray, mask: np.ndarray) -> float:
    """How far the masks of the picture, shifted a little four ways, agree with its own: their mean Dice, 0 to 1."""
    height, width = image.shape
    down, right = math.ceil(SHIFT * height), math.ceil(SHIFT * width)
    steps = [(down, 0), (-down, 0), (0, right), (0, -right)]
    shifted = segmenter.masks(_shifted(image, *step) for step in steps)
    own = [_shifted(mask.astype(np.uint8), *step) > 0 for step in steps]
    return float(np.mean([_dice(a, b) for a, b in zip(shifted, own, strict=True)]))


def _shifted(picture: np.ndarray, down: int, right: int) -> np.ndarray:
    """The picture moved within its frame; what comes in is its edge, drawn out."""
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    return cv2.warpAffine(picture, move, picture.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)


def _dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * float((one & other).sum()) / max(int(one.sum() + other.sum()), 1)


def write_overview(table: pd.DataFrame, out: Path) -> None:
    """A contact sheet of the overlays in `out`, the least trusted first, with `trust` and name; at most 300 of them."""
    first = table.sort_values("trust", kind="stable").head(_MOST)
    tiles = [_tile(out / f"{row.frame}_overlay.png", f"{row.trust:.2f} {row.frame}") for row in first.itertuples()]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % min(_COLUMNS, len(tiles)))
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), min(_COLUMNS, len(tiles)))]
    write_png(out / OVERVIEW, np.vstack(rows))


def _tile(path: Path, text: str) -> np.ndarray:
    picture = _read_png(path)
    scale = (_TILE - 20) / max(picture.shape[:2])
    width, height = (max(1, round(scale * side)) for side in picture.shape[1::-1])
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    tile[:height, :width] = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    ascii_only = text.encode("ascii", "replace").decode()[:30]  # OpenCV's letters are these
    cv2.putText(tile, ascii_only, (2, _TILE - 6), cv2.FONT_HERSHEY_SIMPLEX, 0.38, (255, 255, 255), 1, cv2.LINE_AA)
    return tile


def _read_png(path: Path) -> np.ndarray:
    """A picture of ours, uint8 (height, width, 3); OpenCV's own reading knows no names that are no UTF-8."""
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None, path
    return picture


def is_nifti(file: Path) -> bool:
    return file.name.lower().endswith((".nii", ".nii.gz"))


def write_nifti_masks(frames: Iterable[Frame], out: Path) -> None:
    """For every NIfTI file among the frames' that has masks in `out`, all of them as one NIfTI in its geometry."""
    for file, group in groupby(frames, key=lambda frame: frame.files[0]):
        if is_nifti(file):
            of_file = list(group)
            name = of_file[0].name if len(of_file) == 1 else of_file[0].name[: -len("_0001")]
            _write_nifti_mask(file, of_file, out, out / f"{name}_mask.nii.gz")


_SIDES = [(turned, up, left) for turned in (True, False) for up in (1, -1) for left in (1, -1)]


def _write_nifti_mask(file: Path, frames: list[Frame], out: Path, path: Path) -> None:
    """The masks in `out` turned back as the file stores its pictures; frames without one stay empty."""
    import nibabel

    source = nibabel.Nifti1Image.from_filename(file)
    long = [axis for axis, length in enumerate(source.shape) if length > 1][:2]
    long = long if len(long) == 2 else [0, 1]
    others = [axis for axis in range(source.ndim) if axis not in long]
    lengths = [source.shape[axis] for axis in others]
    colours = [place for place, length in enumerate(lengths) if length in (3, 4)]
    if math.prod(lengths) != len(frames) and colours:
        lengths[colours[-1]] = 1
    if math.prod(lengths) != len(frames):
        return  # the reader took its axes otherwise
    shape = list(source.shape)
    for axis, length in zip(others, lengths, strict=True):
        shape[axis] = length
    masks, how = np.zeros(shape, np.uint8), None
    for index, frame in enumerate(frames):
        drawn = out / f"{frame.name}_mask.png"
        if drawn.exists():
            mask = _read_png(drawn)[..., 0] > 0
            place: list[int | slice] = [slice(None)] * source.ndim
            for axis, at in zip(others, np.unravel_index(index, lengths, order="F"), strict=True):
                place[axis] = int(at)
            if how is None:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # it has been read, and told of, before
                    upright = frame.read().image
                how = _stored_how(np.asarray(source.dataobj[tuple(place)]), upright)
            masks[tuple(place)] = _turned(mask, *how, back=True)
    if how is None:
        return
    made = nibabel.Nifti1Image(masks, None)
    geometry = ("pixdim", "xyzt_units", "qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", "qoffset_x")
    for field in (*geometry, "qoffset_y", "qoffset_z", "srow_x", "srow_y", "srow_z"):  # no names: those are elsewhere
        made.header[field] = source.header[field]
    with files.atomic(path) as temporary:
        temporary.write_bytes(gzip.compress(made.to_bytes(), mtime=0))


def _turned(picture: np.ndarray, turned: bool, up: int, left: int, back: bool = False) -> np.ndarray:
    """One of the eight ways to lay a picture; `back` undoes it."""
    if back:
        picture = picture[::up, ::left]
        return picture.T if turned else picture
    return (picture.T if turned else picture)[::up, ::left]


def _stored_how(stored: np.ndarray, upright: np.ndarray) -> tuple[bool, int, int]:
    """How the reader turned a stored picture upright: the way that gives its very pixels."""
    if stored.dtype.names:
        stored = np.mean([stored[name].astype(float) for name in stored.dtype.names[:3]], axis=0)
    fitting = [how for how in _SIDES if _turned(stored, *how).shape == upright.shape]
    return min(fitting, key=lambda how: float(np.abs(_turned(stored, *how) - upright.astype(float)).mean()))
