"""What all readers share: errors that name the file, checks on pixels, frames' names, and filled outlines."""

from __future__ import annotations

import codecs
import math
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lvseg.errors import DataError, DataWarning, LvsegError
from lvseg.readers.record import Frame, Pixels

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp", ".gif", ".jp2")
VOLUMES = (".nii.gz", ".nii", ".mhd", ".mha")
VIDEOS = (".avi", ".mp4")
IMAGES = "PNG, JPEG, TIFF, BMP, WebP, GIF, JPEG 2000, NIfTI, MetaImage, DICOM, AVI or MP4 image"
_ENDINGS = (*PICTURES, *VIDEOS, *VOLUMES, ".dcm", ".dicom", ".json")


# A damaged or hostile header must not take the machine's memory: limits for one file.
MAX_BYTES = 256 * 2**20
MAX_TEXT = 64 * 2**20
MAX_PIXELS = 64 * 2**20
MAX_FRAME_PIXELS = 4096 * 4096
MAX_FRAMES = 9_999
MAX_POINTS = 10_000
SMALLER = "make it smaller, or export it again if that isn't its size"
"""What to do with a file that declares more pixels than are read."""
_VIEWS = {"4CH": "4CH", "A4C": "4CH", "2CH": "2CH", "A2C": "2CH", "PSAX": "PSAX"}
_PHASES = ("ED", "ES")
FURTHER_MASK = r"_mask(?:_?\d+| ?\(\d+\))"
"""How the name of a further mask of a frame ends: `_mask_1`, `_mask2`, or `_mask (1)`, as copies are named."""
_CONTENT = (
    "(image|img|picture|photo|frame|video|png|jpe?g|dicom|dcm|avi|annotation|ann|mask|label|json|gt|data|dataset|train|"
    "training|val|valid|validation|test|testing)s?"
)
_LAYOUT = re.compile(rf"{_CONTENT}([_ -]{_CONTENT})*", re.IGNORECASE)
"""Folders named after what lies in them, or after a side of a split, not after a patient."""
_RARE = re.compile(r"[\x00-\x7f\u01c0-\u02ff]*[\u01c0-\u02ff][\x00-\x7f\u01c0-\u02ff]*")
"""Text whose letters beyond ASCII are such as no language has alone: short GB18030 that could pass for UTF-8."""
_DEVICE = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)
BY_FOLDER = "guessed from the first sub-folder"
BY_NAME = "guessed from the name before its first _"
"""How a patient is guessed where neither the data set nor the user says (`Frame.patient_by`)."""


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
        raise DataError(f"{error.filename or path}: there is no such file; put it there") from None
    except PermissionError:
        raise DataError(f"{path}: may not be read by you; have its permissions changed") from None
    except Exception as error:  # parsers raise anything at all on damaged bytes
        raise DataError(f"{path}: can't be read{_reason(error)}; restore it from its source") from error


def _reason(error: Exception) -> str:
    """What a parser says in words, in brackets; nothing of an error that speaks of its own code, such as a KeyError."""
    if not isinstance(error, OSError | ValueError | EOFError):
        return ", as its content isn't what its kind of file holds"
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    said = re.sub(r"<[^<>]+ at 0x[0-9a-f]+>", "it", said)  # no address in memory
    return f" ({' '.join(said.split())[:200]})" if said else ""


def check_bytes(path: Path, most: int = MAX_BYTES) -> None:
    """Refuse a file of more than `most` bytes before it is read whole."""
    if path.stat().st_size > most:
        raise DataError(f"{path}: is larger than {most} bytes, the most that is read; divide it, or make it smaller")


def read_text(path: Path) -> str:
    """A small text file as people's machines write it, its line ends as `\\n`, without a byte-order mark.

    UTF-8 and UTF-16 are known by their bytes. What is neither is GB18030 where its bytes above 127 come in pairs, as
    Chinese does, else Western European (cp1252), of which a `DataWarning` tells, since any bytes pass for it.
    """
    with reading(path):
        check_bytes(path, MAX_TEXT)
        data = path.read_bytes()
        encoding = _encoding(data)
        if encoding == "cp1252":
            about = "neither UTF-8 nor UTF-16; its accents are read as Western European (cp1252)"
            warnings.warn(DataWarning(f"{path}: is {about}: save it as UTF-8 if they look wrong"), stacklevel=2)
        text = data.decode(encoding, "replace" if encoding == "cp1252" else "strict")
        return text.replace("\r\n", "\n").replace("\r", "\n")


def _encoding(data: bytes) -> str:
    """The encoding of a text, by its mark or by what its bytes can be."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if b"\0" in data[:2] and len(data) % 2 == 0:  # UTF-16 without its mark: the first letter is Latin
        return "utf-16-be" if data[0] == 0 else "utf-16-le"
    with suppress(UnicodeDecodeError):
        if not _RARE.fullmatch(data.decode("utf-8")):
            return "utf-8-sig"
    runs = re.findall(rb"[\x80-\xff]+", data)
    paired = 2 * sum(len(run) % 2 == 0 for run in runs) > len(runs)
    with suppress(UnicodeDecodeError):
        if paired and not re.search(rb"[A-Za-z][\x80-\xff]{2}[A-Za-z]", data):  # as in "Gr\xf6\xdfe"
            data.decode("gb18030")
            return "gb18030"
    return "cp1252"


def check_size(path: Path, shape: Sequence[int]) -> None:
    """Refuse a declared shape, a frame's two axes first, before memory is taken for it."""
    for pixels, most in ((shape[:2], MAX_FRAME_PIXELS), (shape, MAX_PIXELS)):
        if len(shape) < 2 or min(shape) < 1 or math.prod(map(int, pixels)) > most:
            raise DataError(f"{path}: declares {_times(shape)} pixels, not 1 to {most}; {SMALLER}")


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
        about = f"holds {_times(values.shape)} values of the kind {values.dtype}, not one picture of grey levels"
        raise DataError(f"{path}: {about}; save it with levels 0 to 255")
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
    """Whether the name says that the file holds labels (also a further `x_mask_1`) or our own output, not an image."""
    return re.search(rf"(_gt|_overlay|_mask|{FURTHER_MASK})$", stem(path)) is not None


def is_layout(folder: str) -> bool:
    """Whether a folder is named after what lies in it, such as `images` or `train_masks`."""
    return _LAYOUT.fullmatch(folder) is not None


def safe(name: str) -> str:
    """`name` with everything but letters, digits, `_`, `.` and `-` replaced; Windows' names of devices get a `_`."""
    replaced = re.sub(r"[^\w.-]", "-", name)
    return f"_{replaced}" if _DEVICE.match(replaced) else replaced


def numbered(name: str, index: int) -> str:
    """The name of frame `index` (from 0) of a cine; names count from 1: `name_0001`."""
    return f"{safe(name)}_{index + 1:04d}"


def frame_of(root: Path, path: Path, load: Callable[[], Pixels], *files: Path) -> Frame:
    """The frame in `path` (and `files` beside it), described by its place below `root` alone.

    name: the path below `root` without its ending, folders joined with `_`.
    patient: the first sub-folder that isn't named after what lies in it (`images`, `annotations`); without one, the
        part of the name before its first `_` (`p03_ED` -> `p03`). `patient_by` says which.
    view, phase: the parts of the name between `_` that are one (`4CH`, `A4C`, `ED`, ...).
    """
    folders = path.relative_to(root).parts[:-1]
    parts = stem(path).split("_")
    patient = next((folder for folder in folders if not is_layout(folder)), None)
    return Frame(
        name=safe("_".join((*folders, stem(path)))),
        patient=safe(patient or parts[0]),
        patient_by=BY_FOLDER if patient else BY_NAME,
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
        raise DataError(f"{path}: declares {count} frames, not 1 to {MAX_FRAMES}; divide it, or export it again")
    facts = {"frame_rate_hz": round(frame_rate_hz, 3)} if 0 < frame_rate_hz < 1e4 else {}
    first = replace(frame_of(root, path, partial(read, path, 0), *files), facts=facts)
    if count == 1:
        return [first]
    return [replace(first, name=numbered(first.name, i), load=partial(read, path, i)) for i in range(count)]


def _times(shape: Sequence[int]) -> str:
    return " x ".join(map(str, shape))
