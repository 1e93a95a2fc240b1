"""Readers: every on-disk format as the same list of `Frame` records, whose pixels are read when asked for.

A format is a module of this package. It offers data sets (`OpenFolder`), files to segment (`ListFile`), or both, and is
imported only when one of its files is met, since the libraries behind some are heavy.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Protocol

from lvseg.errors import DataError, DataWarning
from lvseg.readers.common import IMAGES, PICTURES, VIDEOS, VOLUMES, files_below, is_label
from lvseg.readers.record import Frame, Pixels

__all__ = [
    "KINDS", "Frame", "ListFile", "OpenFolder", "Pixels", "disc_files", "folder_reader", "image_files", "in_order",
    "list_file", "may_show_names", "no_images", "open_path",
]  # fmt: skip

KINDS = ("camus", "camus_cine", "labelme", "echonet", "pediatric", "images", "dicom", "video")
"""The data sets on disk that `folder_reader` knows; the last two have no masks."""


class OpenFolder(Protocol):
    """What opens a data set."""

    def __call__(self, root: Path) -> list[Frame]:
        """The frames below the folder `root`, in any order; none where it holds none. Pixels aren't read yet.

        Raises `lvseg.DataError` where a table or header that all frames hang on is missing or damaged.
        """


class ListFile(Protocol):
    """What lists the frames of one file, without masks."""

    def __call__(self, root: Path, path: Path) -> list[Frame]:
        """The frames in `path`, named by its place below `root`; raises `lvseg.DataError` on a damaged file."""


def folder_reader(kind: str) -> OpenFolder:
    """What opens data sets of one of `KINDS`."""
    match kind:
        case "camus":
            from lvseg.readers import camus

            return camus.open_folder
        case "camus_cine":
            from lvseg.readers import camus

            return camus.open_cines
        case "labelme":
            from lvseg.readers import labelme

            return labelme.open_folder
        case "echonet":
            from lvseg.readers import echonet

            return echonet.open_folder
        case "pediatric":
            from lvseg.readers import echonet

            return echonet.open_pediatric
        case "images":
            from lvseg.readers import images

            return images.open_folder
        case "dicom":
            from lvseg.readers import dicom

            return dicom.open_folder
        case "video":
            from lvseg.readers import video

            return video.open_folder
    raise KeyError(kind)


def _file_reader(path: Path) -> ListFile | None:
    """What lists the frames of a file, known by its ending or else by DICOM's mark; None if it is neither."""
    name = path.name.lower()
    if name.endswith(PICTURES):
        from lvseg.readers import images

        return images.list_file
    if name.endswith(VOLUMES):
        from lvseg.readers import volumes

        return volumes.list_file
    if name.endswith(VIDEOS):
        from lvseg.readers import video

        return video.list_file
    from lvseg.readers import dicom

    return dicom.list_file if dicom.is_dicom(path) else None


def list_file(path: Path, root: Path | None = None) -> list[Frame]:
    """The frames of one file, without masks, named by its place below `root`, or by its stem alone.

    None if it is of no known kind.
    """
    reader = _file_reader(path)
    return reader(root or path.parent, path) if reader else []


def image_files(path: Path) -> list[Path]:
    """The file itself, or what may be images in a folder: no sub-folders, hidden files, labels or output of ours."""
    if not path.is_dir():
        return [path]
    return sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith(".") and not is_label(f))


def disc_files(path: Path) -> list[Path]:
    """The DICOM files in the sub-folders of `path`: how a disc from a hospital is laid out. Tells that they are taken.

    For a folder that holds no image itself; other kinds of files in its sub-folders are never taken.
    """
    if not path.is_dir():
        return []
    known = (*PICTURES, *VOLUMES, *VIDEOS)
    deeper = [file for file in files_below(path) if file.parent != path and not file.name.lower().endswith(known)]
    from lvseg.readers import dicom

    found = [file for file in deeper if dicom.may_be_dicom(file)]
    if found:
        said = f"{path}: holds no image itself; the DICOM files in its sub-folders were taken ({len(found)})"
        warnings.warn(DataWarning(said), stacklevel=2)
    return found


def no_images(path: Path) -> str:
    """The sentence that says that a file or folder holds nothing to segment."""
    if path.is_dir() and any(file.is_dir() for file in path.iterdir()):
        return f"{path}: holds no {IMAGES} itself, and sub-folders are passed over; name the one to segment"
    if path.is_file():
        from lvseg.readers import dicom

        if dicom.may_be_dicom(path):
            return f"{path}: is a DICOM without an image (a report, or the index of a disc); name its folder"
    return f"{path}: holds no {IMAGES}; name one, or a folder of them"


def may_show_names(path: Path) -> bool:
    """Whether a file shows a scanner's whole screen, on which names may be burnt in; only DICOM says so."""
    if path.name.lower().endswith((*PICTURES, *VOLUMES, *VIDEOS)):
        return False
    from lvseg.readers import dicom

    return dicom.may_show_names(path)


def open_path(path: Path) -> list[Frame]:
    """The frames to segment in a file (picture, NIfTI, MetaImage, DICOM, AVI, MP4) or a folder of such files.

    Masks aren't looked for. Of a folder, sub-folders, hidden files, label maps (`*_gt`), our own output
    (`*_mask`, `*_overlay`) and files of other kinds are passed over; where nothing is left, the DICOM files in its
    sub-folders are taken. A frame's name is the file's stem, with its folders before it where those were searched, and
    a number from 1 in a cine (`stem_0001`). Raises `DataError` where there is no image, or a damaged one.
    """
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder; check its name")
    frames = [frame for file in image_files(path) for frame in list_file(file)]
    frames = frames or [frame for file in disc_files(path) for frame in list_file(file, path)]
    if not frames:
        raise DataError(no_images(path))
    return in_order(path, frames, IMAGES)


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
