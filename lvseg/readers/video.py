"""AVI and MP4 cine loops: all their frames without masks, or one for a data set that traces some."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from lvseg.errors import DataError
from lvseg.readers.common import VIDEOS, check_size, cine_of, files_below, reading
from lvseg.readers.record import Frame, Pixels

_MOST_BOXES = 10_000


def open_folder(root: Path) -> list[Frame]:
    """The frames of all videos below `root`, without masks; only headers are read."""
    videos = [path for path in files_below(root) if path.suffix.lower() in VIDEOS]
    return [frame for path in videos for frame in list_file(root, path)]


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames of one video, without masks; only its header is read."""
    with reading(path):
        video = _open(path)
        count = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
        return cine_of(root, path, count, _read, frame_rate_hz=video.get(cv2.CAP_PROP_FPS))


def read_frame(path: Path, index: int) -> np.ndarray:
    """Frame `index` (from 0) as uint8 grey levels (height, width)."""
    with reading(path):
        return _decoder.read(path, index)


def _read(path: Path, index: int) -> Pixels:
    return Pixels(read_frame(path, index), None, None)


def _open(path: Path) -> cv2.VideoCapture:
    size = path.stat().st_size
    if _declared_bytes(path, size) > size:
        raise DataError(f"{path}: is cut short, so that its last frames would be wrong; restore the video")
    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    if not capture.isOpened():
        raise DataError(f"{path}: can't be decoded; restore the video or convert it to MJPEG AVI")
    check_size(path, [int(capture.get(side)) for side in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)])
    return capture


def _declared_bytes(path: Path, size: int) -> int:
    """How long the file of `size` bytes says it is: decoders fill what is missing of a frame without a word."""
    with path.open("rb") as file:
        start = file.read(12)
        if start[:4] + start[8:] == b"RIFFAVI ":
            return int.from_bytes(start[4:8], "little") + 8
        # A decoder left to guess would also follow play lists, which name other files and addresses.
        if start[4:8] != b"ftyp":
            raise DataError(f"{path}: is neither an AVI nor an MP4 video; convert it to one")
        place = 0
        for _ in range(_MOST_BOXES):  # an MP4 is a row of boxes; a length of 0 means to the end, of 1 a longer field
            file.seek(place)
            head = file.read(16)
            length = int.from_bytes(head[8:]) if head[:4] == b"\0\0\0\1" else int.from_bytes(head[:4])
            place += length
            if length == 0 or place >= size:
                break
        return place


class _Decoder:
    """Keeps the last video open and reads on: seeking isn't exact in every codec, starting anew is slow."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: tuple[Path, int, int] | None = None
        self._next = 0

    def read(self, path: Path, index: int) -> np.ndarray:
        with self._lock:
            key = path, path.stat().st_mtime_ns, os.getpid()  # a forked process must not share the open file
            if key != self._key or index < self._next:
                self._capture, self._key, self._next = _open(path), key, 0
            good = True
            while good and self._next <= index:
                good, self._next = self._capture.grab(), self._next + 1
            picture = self._capture.retrieve()[1] if good else None
            if picture is None:
                self._key = None
                raise DataError(f"{path}: frame {index + 1} can't be decoded; restore the video")
            return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


_decoder = _Decoder()
