"""What all readers share: errors that name the file, checks on pixels, frames' names, and filled outlines."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lvseg.errors import DataError, DataWarning, LvsegError
from lvseg.readers.record import Frame, Pixels

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
VOLUMES = (".nii.gz", ".nii", ".mhd", ".mha")
VIDEOS = (".avi", ".mp4")
IMAGES = "PNG, JPEG, TIFF, BMP, NIfTI, MetaImage, DICOM, AVI or MP4 image"
_ENDINGS = (*PICTURES, *VIDEOS, *VOLUMES, ".dcm", ".dicom", ".json")


# A damaged or hostile header must not take the machine's memory: limits for one file.
MAX_BYTES = 256 * 2**20
MAX_TEXT = 64 * 2**20
MAX_PIXELS = 64 * 2**20
MAX_FRAME_PIXELS = 4096 * 4096
MAX_FRAMES = 9_999
MAX_POINTS = 10_000
_VIEWS = {"4CH": "4CH", "A4C": "4CH", "2CH": "2CH", "A2C": "2CH", "PSAX": "PSAX"}
_PHASES = ("ED", "ES")


# The data sets' own names for the facts of a frame.
_FACTS = {
    "ImageQuality": "quality",
    "Sex": "sex",
    "Age": "age_years",
    "EF": "ef_percent",
    "LVef": "ef_percent",
    "EDV": "edv_ml",
    "LVedv": "edv_ml",
    "ESV": "esv_ml",
    "LVesv": "esv_ml",
    "FPS": "frame_rate_hz",
    "FrameRate": "frame_rate_hz",
}


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn whatever a parser raises on a damaged file into one `DataError` that names `path`."""
    try:
        if path.exists() and not path.is_file():  # a pipe in a file's place would make its reader wait for ever
            raise DataError(f"{path}: isn't a file; put the data set's own file there")
        yield
    except LvsegError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{error.filename or path}: there is no such file; restore it") from None
    except Exception as error:  # parsers raise anything at all on damaged bytes
        said = re.sub(r"<[^<>]+ at 0x[0-9a-f]+>", "it", f"{type(error).__name__}: {error}")  # no address in memory
        reason = " ".join(said.split())[:200]
        raise DataError(f"{path}: can't be read ({reason}); restore it from its source") from error


def check_bytes(path: Path, most: int = MAX_BYTES) -> None:
    """Refuse a file of more than `most` bytes before it is read whole."""
    if path.stat().st_size > most:
        raise DataError(f"{path}: is larger than {most} bytes; restore or divide it")


def read_text(path: Path) -> str:
    """A small text file, in UTF-8."""
    with reading(path):
        check_bytes(path, MAX_TEXT)
        return path.read_text(encoding="utf-8")


def check_size(path: Path, shape: Sequence[int]) -> None:
    """Refuse a declared shape, a frame's two axes first, before memory is taken for it."""
    for pixels, most in ((shape[:2], MAX_FRAME_PIXELS), (shape, MAX_PIXELS)):
        if len(shape) < 2 or min(shape) < 1 or math.prod(map(int, pixels)) > most:
            raise DataError(f"{path}: declares {_times(shape)} pixels, not 1 to {most}; restore or cut the file")


def stated_spacing(path: Path, row: float, column: float) -> tuple[float, float]:
    """The (row, column) size of a pixel in mm, if an echo image can have it; single precision is rounded."""
    if not (0.001 <= row <= 10 and 0.001 <= column <= 10):  # so written, NaN is refused too
        raise DataError(f"{path}: states pixels of {row:g} x {column:g} mm; correct its spacing (0.001 to 10 mm)")
    return round(float(row), 6), round(float(column), 6)


def grey_levels(path: Path, values: np.ndarray) -> np.ndarray:
    """Two-dimensional values of 0 to 255 as uint8; nothing is rescaled, fractions are rounded.

    Raises `DataError` on any other range, on NaN, and on fractions within 0 to 1, which would come out black.
    """
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise DataError(f"{path}: holds {_times(values.shape)} {values.dtype} values, not one grey image")
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 255):  # so written, NaN is refused too
        raise DataError(f"{path}: has values from {low:g} to {high:g}; rescale it to grey levels 0 to 255")
    if values.dtype.kind == "f" and 0 < high <= 1:
        raise DataError(f"{path}: has fractions from {low:g} to {high:g}; multiply them by 255")
    return np.ascontiguousarray(np.rint(values).astype(np.uint8))


def check_outline(path: Path, points: object, least: int = 3) -> np.ndarray:
    """Points (x, y) as a float array (n, 2): `least` to `MAX_POINTS`, all finite and somewhere near an image."""
    outline = np.asarray(points, dtype=float)
    good = outline.ndim == 2 and outline.shape[1] == 2 and least <= len(outline) <= MAX_POINTS
    if not good or not (np.abs(outline) < 1e5).all():
        raise DataError(f"{path}: an outline isn't a list of {least} to {MAX_POINTS} points (x, y); draw it again")
    return outline


def files_below(root: Path) -> list[Path]:
    """All files in `root` and its sub-folders in a stable order, without hidden ones."""
    files = (path for path in root.rglob("*") if path.is_file())
    return sorted(path for path in files if not re.search(r"(^|/)\.", path.relative_to(root).as_posix()))


def stem(path: Path) -> str:
    """The file's name without a known ending: `a.nii.gz` -> `a`, but a DICOM's `1.2.840.10008` stays."""
    ending = next((end for end in _ENDINGS if path.name.lower().endswith(end)), "")
    return path.name[: len(path.name) - len(ending)]


def is_label(path: Path) -> bool:
    """Whether the name says that the file holds labels or our own output, not an image to segment."""
    return stem(path).endswith(("_gt", "_mask", "_overlay"))


def safe(name: str) -> str:
    """`name` with everything but letters, digits, `_`, `.` and `-` replaced."""
    return re.sub(r"[^\w.-]", "-", name)


def numbered(name: str, index: int) -> str:
    """The name of frame `index` (from 0) of a cine; names count from 1: `name_0001`."""
    return f"{safe(name)}_{index + 1:04d}"


def frame_of(root: Path, path: Path, load: Callable[[], Pixels], *files: Path) -> Frame:
    """The frame in `path` (and `files` beside it), described by its place below `root` alone.

    name: the path below `root` without its ending, folders joined with `_`.
    patient: the first sub-folder; without one, the part of the name before its first `_` (`p03_ED` -> `p03`).
    view, phase: the parts of the name between `_` that are one (`4CH`, `A4C`, `ED`, ...).
    """
    folders = path.relative_to(root).parts[:-1]
    parts = stem(path).split("_")
    return Frame(
        name=safe("_".join((*folders, stem(path)))),
        patient=safe(folders[0] if folders else parts[0]),
        load=load,
        view=next((_VIEWS[part.upper()] for part in parts if part.upper() in _VIEWS), ""),
        phase=next((part.upper() for part in parts if part.upper() in _PHASES), ""),
        files=(path, *files),
    )


def facts_of(told: Mapping[str, str], path: Path) -> dict[str, float | str]:
    """What `Frame.facts` holds among the fields that a data set tells in `path`.

    What isn't told is left out; so is what isn't a plain number where there should be one, with a `DataWarning`.
    """
    facts: dict[str, float | str] = {}
    unclear: list[str] = []
    for name, fact in _FACTS.items():
        text = told.get(name, "").strip()
        if text and fact in ("quality", "sex"):
            facts[fact] = text
        elif re.fullmatch(r"\d{1,9}(\.\d*)?", text):
            facts[fact] = float(text)
        elif text.lower() not in ("", "nan", "na", "n/a", "none", "-"):
            unclear.append(name)
    if unclear:
        text = f"{' and '.join(unclear)}: not a plain number, such as 54.5, so left out"
        warnings.warn(DataWarning(f"{path}: {text}"), stacklevel=3)
    return facts


def unusable(frame: Frame, error: DataError) -> Frame:
    """The frame that stands for what can't be listed, so that it doesn't hide the others: reading it raises."""
    return replace(frame, load=partial(_refuse, str(error)))


def _refuse(sentence: str) -> Pixels:
    raise DataError(sentence)


def cine_of(
    root: Path,
    path: Path,
    count: int,
    read: Callable[[Path, int], Pixels],
    *files: Path,
    frame_rate_hz: float = 0.0,
) -> list[Frame]:
    """The `count` frames of one file (and `files` beside it), numbered if there are several.

    read: `read(path, index)` reads one. frame_rate_hz: left out of the facts where it isn't above 0 (not known).
    """
    if not 1 <= count <= MAX_FRAMES:
        raise DataError(f"{path}: declares {count} frames, not 1 to {MAX_FRAMES}; restore or cut the file")
    facts = {"frame_rate_hz": round(frame_rate_hz, 3)} if 0 < frame_rate_hz < 1e4 else {}
    first = replace(frame_of(root, path, partial(read, path, 0), *files), facts=facts)
    if count == 1:
        return [first]
    return [replace(first, name=numbered(first.name, i), load=partial(read, path, i)) for i in range(count)]


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
