"""NIfTI (`.nii`, `.nii.gz`) and MetaImage (`.mhd`): one frame, or a cine with frames along the third axis.

A MetaImage is a text of `key = value` lines beside a file of bare pixels. We read it ourselves: the two forms in use
are simple, and the libraries for it print to the terminal and follow file names out of the folder.
"""

from __future__ import annotations

import gzip
import io
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np

from lvseg.errors import DataError
from lvseg.readers.common import MAX_BYTES, check_bytes, check_size, cine_of, grey_levels, reading, stated_spacing
from lvseg.readers.record import Frame, Pixels

_MHD_TYPES = {
    "MET_UCHAR": "u1",
    "MET_CHAR": "i1",
    "MET_USHORT": "u2",
    "MET_SHORT": "i2",
    "MET_UINT": "u4",
    "MET_INT": "i4",
    "MET_FLOAT": "f4",
    "MET_DOUBLE": "f8",
}


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames in `path`, without masks; only the header is read."""
    with reading(path):
        return cine_of(root, path, frame_count(path), _read, *_files(path)[1:])


def frame_count(path: Path) -> int:
    """How many frames `path` holds; only the header is read."""
    with reading(path):
        shape = _mhd_header(path).shape if _is_mhd(path) else _nifti_shape(path)
        check_size(path, shape)
        return int(np.prod(shape[2:]))


def read_slice(path: Path, index: int = 0) -> tuple[np.ndarray, tuple[float, float] | None]:
    """Frame `index` as stored, upright (height, width), and its (row, column) spacing in mm; None if not stated."""
    with reading(path):
        stats = [file.stat() for file in _files(path)]
        stored, spacing = _load(path, tuple((stat.st_size, stat.st_mtime_ns) for stat in stats))
        values = stored[(slice(None), slice(None), *np.unravel_index(index, stored.shape[2:], order="F"))]
        return np.asarray(values).T, stated_spacing(path, spacing[1], spacing[0]) if spacing is not None else None


def _read(path: Path, index: int) -> Pixels:
    values, spacing = read_slice(path, index)
    return Pixels(grey_levels(path, values), None, spacing)


@lru_cache(maxsize=2)  # a cine is read frame by frame, its labels in turn with it: unpack each once
def _load(path: Path, stamps: tuple) -> tuple[Any, Any]:
    """What indexes as an array (x, y[, frames...]), and the (x, y) spacing; `stamps` tell one state of the files."""
    return _load_mhd(path) if _is_mhd(path) else _load_nifti(path)


def _is_mhd(path: Path) -> bool:
    return path.suffix.lower() == ".mhd"


def _files(path: Path) -> tuple[Path, ...]:
    """`path` and, of a MetaImage, the file with its pixels."""
    return (path, _mhd_header(path).pixels) if _is_mhd(path) else (path,)


def _open_nifti(path: Path) -> Any:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _nifti_shape(path: Path) -> tuple[int, ...]:
    with _open_nifti(path) as file:
        return nibabel.Nifti1Header.from_fileobj(file).get_data_shape()


def _load_nifti(path: Path) -> tuple[Any, Any]:
    """nibabel's proxy, which unpacks and scales only the frames it is asked for."""
    check_bytes(path)
    with _open_nifti(path) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: unpacks to more than {MAX_BYTES} bytes; cut it into single frames")
    image = nibabel.Nifti1Image.from_bytes(data)
    check_size(path, image.shape)
    if np.prod(image.shape) * image.get_data_dtype().itemsize > len(data):
        raise DataError(f"{path}: holds fewer pixels than its header declares; restore the file")
    # Unchecked, as nibabel's check would turn a size of 0 into 1 mm, and -0.3 into 0.3.
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(data), check=False)
    return image.dataobj, header["pixdim"][1:3]


class _MhdHeader(NamedTuple):
    shape: tuple[int, ...]  # (x, y) or (x, y, frames)
    spacing: tuple[float, ...] | None
    dtype: np.dtype
    packed: bool
    pixels: Path


def _mhd_header(path: Path) -> _MhdHeader:
    with path.open(encoding="utf-8") as file:
        lines = (line.partition("=") for line in file.read(2**16).splitlines())
    fields = {key.strip(): value.strip() for key, _, value in lines}
    flags = {key: value.lower() == "true" for key, value in fields.items()}
    pixels = path.parent / fields["ElementDataFile"]
    if pixels.parent != path.parent or pixels.is_symlink() or not pixels.is_file():
        raise DataError(f"{path}: its ElementDataFile isn't a file in the same folder; restore {pixels.name} there")
    plain = int(fields.get("ElementNumberOfChannels", 1)) == 1 and int(fields.get("HeaderSize", 0)) == 0
    if not plain or fields.get("ElementType") not in _MHD_TYPES:
        raise DataError(f"{path}: isn't a grey image of bare numbers; convert it to NIfTI")
    big_endian = flags.get("ElementByteOrderMSB") or flags.get("BinaryDataByteOrderMSB")
    spacing = fields.get("ElementSpacing")
    return _MhdHeader(
        shape=tuple(map(int, fields["DimSize"].split())),
        spacing=tuple(map(float, spacing.split())) if spacing else None,
        dtype=np.dtype(_MHD_TYPES[fields["ElementType"]]).newbyteorder(">" if big_endian else "<"),
        packed=flags.get("CompressedData", False),
        pixels=pixels,
    )


def _load_mhd(path: Path) -> tuple[np.ndarray, Any]:
    shape, spacing, dtype, packed, pixels = _mhd_header(path)
    check_size(path, shape)
    expected = int(np.prod(shape)) * dtype.itemsize
    check_bytes(pixels)
    data = pixels.read_bytes()
    if packed:
        data = zlib.decompressobj().decompress(data, expected + 1)
    if len(data) != expected:
        raise DataError(f"{pixels}: doesn't hold the {expected} bytes that {path.name} declares; restore it")
    return np.frombuffer(data, dtype).reshape(shape, order="F"), spacing
