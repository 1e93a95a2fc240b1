"""Readers: every on-disk format as the same list of `Frame` records, whose pixels are read when asked for.

`lvseg.data.source` opens data sets; `open_path(PATH)` here opens images to segment.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from lvseg.errors import DataError
from lvseg.readers.common import PICTURES, VIDEOS, VOLUMES, is_label
from lvseg.readers.record import Frame, Pixels

__all__ = ["KINDS", "Frame", "Pixels", "in_order", "list_file", "open_path"]


KINDS = ("camus", "camus_cine", "labelme", "echonet", "pediatric", "images", "dicom", "video")
"""The data sets on disk, each a module of this package; the last two have no masks."""


def open_path(path: Path) -> list[Frame]:
    """The frames to segment in a file (picture, NIfTI, MetaImage, DICOM, AVI, MP4) or a folder of such files.

    Masks aren't looked for. Of a folder, sub-folders, hidden files, label maps (`*_gt`), our own output
    (`*_mask`, `*_overlay`) and files of other kinds are passed over. A frame's name is the file's stem, with
    a number from 1 in a cine (`stem_0001`). Raises `DataError` where there is no image, or a damaged one.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder")
    files = [path]
    if path.is_dir():
        files = [f for f in path.iterdir() if f.is_file() and not f.name.startswith(".") and not is_label(f)]
    frames = [frame for file in sorted(files) for frame in list_file(file)]
    return in_order(path, frames, "PNG, JPEG, TIFF, BMP, NIfTI, MetaImage, DICOM, AVI or MP4 image")


def list_file(path: Path) -> list[Frame]:
    """The frames of one file, known by its ending or else by DICOM's mark; none if it is neither."""
    for module, endings in {"images": PICTURES, "volumes": VOLUMES, "video": VIDEOS}.items():
        if path.name.lower().endswith(endings):
            return import_module(f"{__name__}.{module}").list_file(path.parent, path)
    from lvseg.readers import dicom

    return dicom.list_file(path.parent, path) if dicom.is_dicom(path) else []


def in_order(where: Path, frames: list[Frame], what: str) -> list[Frame]:
    """`frames` by name, if there are any and no two names are one file's where case is ignored."""
    if not frames:
        raise DataError(f"{where}: holds no {what}; is it the right place?")
    seen: dict[str, Frame] = {}
    for frame in frames:
        other = seen.setdefault(frame.name.casefold(), frame)
        if other is not frame:
            raise DataError(f"{frame.files[0]}: gives the same frame name as {other.files[0]}; rename one")
    return sorted(frames, key=lambda frame: frame.name)
