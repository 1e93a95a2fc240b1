"""NIfTI (`.nii`, `.nii.gz`) and MetaImage (`.mhd`): one frame, or a cine with frames along the third axis."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel
import numpy as np

from lvseg.errors import DataError
from lvseg.readers.common import MAX_BYTES, check_size, check_spacing, cine_of, grey_levels, reading
from lvseg.readers.record import Frame, Pixels


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames in `path`, without masks; only the header is read."""
    with reading(path):
        shape = _mhd_reader(path).GetSize() if _is_mhd(path) else _nifti_shape(path)
        check_size(path, shape)
        return cine_of(root, path, int(np.prod(shape[2:])), _read)


def read_slice(path: Path, index: int = 0) -> tuple[np.ndarray, tuple[float, float]]:
    """Frame `index` as stored, upright (height, width), and its (row, column) spacing in mm."""
    with reading(path):
        frames, (column, row) = _read_mhd(path) if _is_mhd(path) else _read_nifti(path)
        return frames[index], check_spacing(path, row, column)


def _read(path: Path, index: int) -> Pixels:
    values, spacing = read_slice(path, index)
    return Pixels(grey_levels(path, values), None, spacing)


def _is_mhd(path: Path) -> bool:
    return path.suffix.lower() == ".mhd"


def _open_nifti(path: Path) -> Any:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")


def _nifti_shape(path: Path) -> tuple[int, ...]:
    with _open_nifti(path) as file:
        return nibabel.Nifti1Header.from_fileobj(file).get_data_shape()


def _read_nifti(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Frames (n, height, width), (x, y) spacing; stored (x, y, n), they are transposed to stand upright."""
    with _open_nifti(path) as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DataError(f"{path}: unpacks to more than {MAX_BYTES} bytes; cut it into single frames")
    image = nibabel.Nifti1Image.from_bytes(data)
    check_size(path, image.shape)
    if np.prod(image.shape) * image.get_data_dtype().itemsize > len(data):
        raise DataError(f"{path}: holds fewer pixels than its header declares; restore the file")
    frames = np.asanyarray(image.dataobj).reshape(*image.shape[:2], -1, order="F")
    # Unchecked, as nibabel's check would turn a size of 0 into 1 mm, and -0.3 into 0.3.
    header = nibabel.Nifti1Header.from_fileobj(io.BytesIO(data), check=False)
    return frames.T, header["pixdim"][1:3]


def _mhd_reader(path: Path) -> Any:
    """SimpleITK's reader with the header read; the pixels must be a file in the header's own folder."""
    import SimpleITK  # here, as it takes long to load and only this format needs it

    with path.open(encoding="utf-8") as file:
        fields = dict(line.split("=", 1) for line in file.read(2**16).splitlines() if "=" in line)
    pixels = path.parent / {key.strip(): value.strip() for key, value in fields.items()}["ElementDataFile"]
    if pixels.parent != path.parent or pixels.is_symlink() or not pixels.is_file():
        raise DataError(f"{path}: its ElementDataFile isn't a file in the same folder; restore {pixels.name} there")
    reader = SimpleITK.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def _read_mhd(path: Path) -> tuple[np.ndarray, tuple[float, float]]:
    """Frames (n, height, width) and (x, y) spacing; SimpleITK's arrays have the row first already."""
    import SimpleITK

    reader = _mhd_reader(path)
    check_size(path, reader.GetSize())
    frames = SimpleITK.GetArrayFromImage(reader.Execute())
    return frames.reshape(-1, *frames.shape[-2:]), reader.GetSpacing()[:2]
