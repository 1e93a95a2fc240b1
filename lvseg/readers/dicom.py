"""DICOM ultrasound, still or cine. Only pixels and spacing leave a file: no patient's name, number or date.
Text that is burnt into the pixels stays in them.

Tags and colour models are those of DICOM PS3.3, C.7.6.3 (image pixels) and C.8.5.5 (ultrasound regions).
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
from pydicom.pixels import apply_color_lut, apply_modality_lut, pixel_array

from lvseg.errors import DataError
from lvseg.readers.common import check_size, check_spacing, cine_of, files_below, reading
from lvseg.readers.record import Frame, Pixels

_TWO_DIMENSIONAL, _CENTIMETRES = 1, 3

# Nothing else of a header is even parsed.
_TAGS = """Rows Columns NumberOfFrames PhotometricInterpretation BitsAllocated BitsStored PixelRepresentation
    RescaleSlope RescaleIntercept ModalityLUTSequence WindowCenter WindowWidth PixelSpacing
    SequenceOfUltrasoundRegions"""
_PALETTE = [
    f"{'Segmented' * segmented}{colour}PaletteColorLookupTable{part}"
    for colour in ("Red", "Green", "Blue")
    for segmented, part in ((False, "Descriptor"), (False, "Data"), (True, "Data"))
]


def is_dicom(path: Path) -> bool:
    """Whether the content is DICOM, whatever the name ends in."""
    with reading(path), path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


def open_folder(root: Path) -> list[Frame]:
    """The frames of all DICOM images below `root`, without masks; only headers are read."""
    return [frame for path in files_below(root) if is_dicom(path) for frame in list_file(root, path)]


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames of one DICOM file, without masks; none where it holds no image (a report, a DICOMDIR)."""
    with reading(path):
        header = _header(path)
        if "Rows" in header:
            return cine_of(root, path, int(header.get("NumberOfFrames") or 1), _read)
        if "Image Storage" in pydicom.filereader.read_file_meta_info(path).MediaStorageSOPClassUID.name:
            raise DataError(f"{path}: ends before its pixels; restore it from its source")
        return []


def _header(path: Path) -> pydicom.Dataset:
    """The tags that pixels need; a deflated file is refused, as nothing limits what it unpacks to."""
    syntax = pydicom.filereader.read_file_meta_info(path).get("TransferSyntaxUID")
    if syntax is None:
        raise DataError(f"{path}: ends within its header; restore it from its source")
    if syntax.is_deflated:
        raise DataError(f"{path}: is a deflated DICOM; save it uncompressed")
    return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_TAGS.split(), *_PALETTE])


def _read(path: Path, index: int) -> Pixels:
    with reading(path):
        header = _header(path)
        check_size(path, (header.Rows, header.Columns))
        return Pixels(_grey(header, pixel_array(path, index=index)), None, _spacing(path, header))


def _grey(header: pydicom.Dataset, frame: np.ndarray) -> np.ndarray:
    """A decoded frame as uint8 grey levels; pydicom has turned YBR into RGB already."""
    if header.PhotometricInterpretation == "PALETTE COLOR":
        frame = apply_color_lut(frame, header)
        frame = (frame >> 8 * (frame.itemsize - 1)).astype(np.uint8)
    if frame.ndim == 3:
        return cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    black, white = _window(header)
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


def _spacing(path: Path, header: pydicom.Dataset) -> tuple[float, float] | None:
    """(row, column) in mm: of the first two-dimensional region in cm, else PixelSpacing, else None."""
    for region in header.get("SequenceOfUltrasoundRegions") or []:
        units = {region.get("PhysicalUnitsXDirection"), region.get("PhysicalUnitsYDirection")}
        if region.get("RegionSpatialFormat") == _TWO_DIMENSIONAL and units == {_CENTIMETRES}:
            return check_spacing(path, 10 * abs(region.PhysicalDeltaY), 10 * abs(region.PhysicalDeltaX))
    return check_spacing(path, *map(float, header.PixelSpacing)) if header.get("PixelSpacing") else None
