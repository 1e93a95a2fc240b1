"""DICOM ultrasound, still or cine. Only pixels, spacing and frame rate leave a file: no patient's name, number or
date, also not in what is said of a damaged one. Text that is burnt into the pixels stays in them.

Tags and colour models are those of DICOM PS3.3, C.7.6.3 (image pixels) and C.8.5.5 (ultrasound regions).
"""

from __future__ import annotations

import hashlib
import mmap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pydicom
from pydicom.filereader import read_dataset
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array
from pydicom.tag import Tag

from lvseg import __version__, files
from lvseg.errors import DataError, LvsegError
from lvseg.readers.common import check_size, cine_of, files_below, reading, stated_spacing
from lvseg.readers.record import Frame, Pixels

_TWO_DIMENSIONAL, _CENTIMETRES = 1, 3

_NAMES = """Rows Columns NumberOfFrames PhotometricInterpretation BitsAllocated BitsStored PixelRepresentation
    RescaleSlope RescaleIntercept ModalityLUTSequence WindowCenter WindowWidth PixelSpacing
    SequenceOfUltrasoundRegions FrameTime CineRate RecommendedDisplayFrameRate"""
_PALETTE = [
    f"{'Segmented' * segmented}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for segmented, part in ((False, "Descriptor"), (False, "Data"), (True, "Data"))
]
_TAGS = [Tag(name) for name in (*_NAMES.split(), *_PALETTE)]
"""Nothing else of a header is even parsed."""


def is_dicom(path: Path) -> bool:
    """Whether the content is DICOM, whatever the name ends in."""
    with reading(path), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def open_folder(root: Path) -> list[Frame]:
    """The frames of all DICOM images below `root`, without masks; only headers are read, and only once."""
    paths = files_below(root)
    return [frame for path, told in zip(paths, _kept(paths), strict=True) for frame in _frames(root, path, *told)]


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames of one DICOM file, without masks; none where it holds no image (a report, a DICOMDIR)."""
    return _frames(root, path, *_told(path))


def _frames(root: Path, path: Path, count: int, frame_rate_hz: float) -> list[Frame]:
    return cine_of(root, path, count, _read, frame_rate_hz=frame_rate_hz) if count else []


def _kept(paths: Sequence[Path]) -> list[tuple[int, float]]:
    """What `_told` says of each file, from the cache folder if none has changed since (by name, size and time)."""
    stats = [(str(path.absolute()), stat.st_size, stat.st_mtime_ns) for path in paths for stat in [path.stat()]]
    key = hashlib.sha256(repr((__version__, stats)).encode()).hexdigest()[:32]
    place = files.cache_folder() / f"{key}.dicom.json"
    with suppress(DataError):  # it isn't there yet, or was damaged
        return files.read_json(place)
    told = [_told(path) if is_dicom(path) else (0, 0.0) for path in paths]
    with suppress(DataError):  # where nothing can be written, listing takes its time again
        files.write_json(place, told)
    return told


def _told(path: Path) -> tuple[int, float]:
    """How many frames the header of a DICOM file declares, 0 for what is no image, and the frame rate in Hz."""
    with _opened(path) as content:
        header = _header(path, content)
        if "Rows" in header:
            return int(header.get("NumberOfFrames") or 1), _frame_rate(header)
        if "Image Storage" in header.file_meta.MediaStorageSOPClassUID.name:
            raise DataError(f"{path}: ends before its pixels; restore it from its source")
        return 0, 0.0


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The file's bytes; of what pydicom says of them nothing is quoted, as that may be any value, a name too.

    Mapped, since reading as many bytes as a damaged element declares would ask for memory for all of them.
    """
    with reading(path), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                yield content
        except LvsegError:
            raise
        except Exception as error:  # pydicom raises anything at all on damaged bytes
            kind = type(error).__name__
            raise DataError(f"{path}: can't be read as DICOM ({kind}); restore it from its source") from None


def _header(path: Path, content: Any) -> pydicom.Dataset:
    """The tags that pixels need; a deflated file is refused, as nothing limits what it unpacks to."""
    content.seek(132)
    syntax = read_dataset(content, False, True, stop_when=lambda tag, *_: tag.group != 2).get("TransferSyntaxUID")
    content.seek(0)
    if syntax is None:
        raise DataError(f"{path}: ends within its header; restore it from its source")
    if syntax.is_deflated:
        raise DataError(f"{path}: is a deflated DICOM; save it uncompressed")
    return pydicom.dcmread(content, stop_before_pixels=True, specific_tags=_TAGS)


def _read(path: Path, index: int) -> Pixels:
    with _opened(path) as content:
        header = _header(path, content)
        check_size(path, (header.Rows, header.Columns))
        content.seek(0)
        return Pixels(_grey(path, header, pixel_array(content, index=index)), None, _spacing(path, header))


def _grey(path: Path, header: pydicom.Dataset, frame: np.ndarray) -> np.ndarray:
    """A decoded frame as uint8 grey levels; pydicom has turned YBR into RGB already."""
    if header.PhotometricInterpretation == "PALETTE COLOR":
        frame = apply_color_lut(frame, header)
        frame = (frame >> 8 * (frame.itemsize - 1)).astype(np.uint8)
    if frame.ndim == 3:
        if frame.dtype != np.uint8:
            raise DataError(f"{path}: has colours of more than 8 bits; convert it to 8 bits a channel")
        return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    black, white = sorted(_window(header))
    if not 0 < white - black < np.inf:
        raise DataError(f"{path}: states no range of grey levels; correct its window or its rescale slope")
    levels = np.clip((apply_modality_lut(frame, header) - black) / (white - black), 0, 1)
    if header.PhotometricInterpretation == "MONOCHROME1":  # its lowest value is white
        levels = 1 - levels
    return np.rint(255 * levels).astype(np.uint8)


def _window(header: pydicom.Dataset) -> tuple[float, float]:
    """The values shown black and white: of the window (PS3.3, C.11.2.1.2.1), else all that fit the bits."""
    if float(np.ravel(header.get("WindowWidth", 0))[0]) > 1:
        centre, width = (float(np.ravel(header[tag].value)[0]) for tag in ("WindowCenter", "WindowWidth"))
        return centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2
    lowest = -(2 ** (header.BitsStored - 1)) if header.PixelRepresentation else 0
    slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    return lowest * slope + intercept, (lowest + 2**header.BitsStored - 1) * slope + intercept


def _frame_rate(header: pydicom.Dataset) -> float:
    """Frames per second, from the time between two (in ms) or as the viewer was told; 0 where neither is stated."""
    if header.get("FrameTime"):
        return 1000 / float(header.FrameTime)
    return float(header.get("CineRate") or header.get("RecommendedDisplayFrameRate") or 0)


def _spacing(path: Path, header: pydicom.Dataset) -> tuple[float, float] | None:
    """(row, column) in mm: of the first two-dimensional region in cm, else PixelSpacing, else None."""
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        units = {region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")}
        if region.get("RegionSpatialFormat") == _TWO_DIMENSIONAL and units == {_CENTIMETRES}:
            return stated_spacing(path, 10 * abs(region.PhysicalDeltaY), 10 * abs(region.PhysicalDeltaX))
    return stated_spacing(path, *map(float, header.PixelSpacing)) if header.get("PixelSpacing") else None
