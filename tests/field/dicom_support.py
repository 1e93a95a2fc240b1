"""DICOM files as scanners write them: screens with regions, compressed cines, text burnt in; and a threshold for a
network, so that what must be found is known exactly."""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, JPEGBaseline8Bit

from benchmarks.fuzz_readers import write_dicom
from lvseg.errors import DataWarning
from lvseg.experiment import Experiment
from lvseg.inference.segmenter import Segmenter
from lvseg.readers import Frame, open_path

THRESHOLD = Segmenter(
    lambda images: 1 / (1 + np.exp(20 - 40 * images[..., :1])), Experiment.of_profile("smoke", size=96, clahe="none")
)
"""Finds what is brighter than mid-grey."""


def heart(height: int = 96, width: int = 128, half: tuple[float, float] = (30, 20)) -> np.ndarray:
    """A bright ellipse in the middle of a dark picture."""
    rows, columns = np.ogrid[:height, :width]
    inside = ((rows - height / 2) / half[0]) ** 2 + ((columns - width / 2) / half[1]) ** 2 < 1
    return np.where(inside, 220, 30).astype(np.uint8)


def region(
    left: int, top: int, right: int, bottom: int, cm: float | None = 0.05, form: int = 1, kind: int = 1
) -> Dataset:
    """A region of the screen, its right and bottom inside it; cm: the size of its pixels."""
    data = Dataset()
    data.RegionSpatialFormat, data.RegionDataType, data.RegionFlags = form, kind, 2
    data.RegionLocationMinX0, data.RegionLocationMinY0 = left, top
    data.RegionLocationMaxX1, data.RegionLocationMaxY1 = right, bottom
    data.PhysicalUnitsXDirection = data.PhysicalUnitsYDirection = 3
    if cm is not None:
        data.PhysicalDeltaX = data.PhysicalDeltaY = cm
    return data


def write_compressed(
    path: Path, frames: list[bytes], syntax: UID, like: np.ndarray, colour: str, **tags: object
) -> Path:
    """A DICOM of encoded frames of the shape of `like`."""
    write_dicom(path, like, colour)
    data = pydicom.dcmread(path)
    data.file_meta.TransferSyntaxUID = syntax
    data.PixelData = encapsulate(frames)
    data["PixelData"].VR = "OB"
    for tag, value in tags.items():
        setattr(data, tag, value)
    data.save_as(path)
    return path


def jpeg(values: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "JPEG", quality=95, **options)
    return buffer.getvalue()


def write_jpeg(path: Path, frames: Sequence[np.ndarray], **tags: object) -> Path:
    colour = "MONOCHROME2" if frames[0].ndim == 2 else "YBR_FULL_422"
    encoded = [jpeg(frame) for frame in frames]
    return write_compressed(path, encoded, JPEGBaseline8Bit, frames[0], colour, **tags)


def opened(path: Path) -> tuple[list[Frame], list[str]]:
    """The frames of a file, and the sentences told of it; its first frame is read too."""
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        frames = open_path(path)
        frames[0].read()
    return frames, [str(one.message) for one in said if one.category is DataWarning]


def jpeg_lossless(values: np.ndarray, bits: int = 8) -> bytes:
    """JPEG Lossless (process 14, predicted from the left neighbour) of values (rows, columns[, 3]) below 2^bits."""
    rows, columns, channels = (*values.shape, 1)[:3]
    samples = values.reshape(rows, columns, channels).astype(int)
    half, codes = 2 ** (bits - 1), bits + 1
    predicted = np.full_like(samples, half)
    predicted[1:, 0], predicted[:, 1:] = samples[:-1, 0], samples[:, :-1]
    pieces = []
    for step in ((samples - predicted + half) % (2 * half) - half).ravel().tolist():
        size = abs(step).bit_length()  # a code of four bits says how many follow
        pieces.append(f"{size:04b}" + (f"{step if step > 0 else step + 2**size - 1:0{size}b}" if size else ""))
    text = "".join(pieces)
    data = (
        int(text.ljust(-(-len(text) // 8) * 8, "1"), 2).to_bytes(-(-len(text) // 8), "big").replace(b"\xff", b"\xff\0")
    )
    each = b"".join(bytes([number + 1, 0x11, 0]) for number in range(channels))
    frame = bytes([0xFF, 0xC3, 0, 8 + 3 * channels, bits]) + rows.to_bytes(2) + columns.to_bytes(2) + bytes([channels])
    table = bytes([0xFF, 0xC4, 0, 19 + codes, 0, 0, 0, 0, codes, *[0] * 12, *range(codes)])
    scan = bytes([0xFF, 0xDA, 0, 6 + 2 * channels, channels]) + bytes(b for n in range(channels) for b in (n + 1, 0))
    return b"\xff\xd8" + frame + each + table + scan + bytes([1, 0, 0]) + data + b"\xff\xd9"


def burnt(screen: np.ndarray, text: str, at: tuple[int, int]) -> np.ndarray:
    """The screen with a text on it."""
    return cv2.putText(screen.copy(), text, at, cv2.FONT_HERSHEY_PLAIN, 0.8, 255)
