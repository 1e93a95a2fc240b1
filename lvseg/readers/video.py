"""AVI and MP4 cine loops: all their frames without masks, or one for a data set that traces some.

Headers overstate and understate: the last stated frame is looked for, and what is there counts.
"""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from threading import Lock

import cv2
import numpy as np

from lvseg.errors import DataError, DataWarning
from lvseg.readers.common import MAX_FRAMES, VIDEOS, check_size, cine_of, files_below, frame_of, reading, unusable
from lvseg.readers.record import Frame, Pixels

_MOST_BOXES = 10_000
_MOST_BEHIND = 2**20
_RATES_HZ = (1.0, 1000.0)
"""What can be the rate of an echo cine, whether as acquired or as played."""


def open_folder(root: Path) -> list[Frame]:
    """The frames of all videos below `root`, without masks; a bad video is one frame, whose reading says why."""
    videos = [path for path in files_below(root) if path.suffix.lower() in VIDEOS]
    return [frame for path in videos for frame in _listed(root, path)]


def _listed(root: Path, path: Path) -> list[Frame]:
    try:
        return list_file(root, path)
    except DataError as error:
        return [unusable(frame_of(root, path, lambda: _read(path, 0)), error)]


def list_file(root: Path, path: Path) -> list[Frame]:
    """The frames of one video, without masks; its header and its last frame are read."""
    with reading(path):
        video = _open(path)
        stated, rate = int(video.get(cv2.CAP_PROP_FRAME_COUNT)), video.get(cv2.CAP_PROP_FPS)
        if (count := _count(path, video, stated)) != stated:
            text = f"states {stated} frames but holds {count}, which are taken"
            warnings.warn(DataWarning(f"{path}: {text}"), stacklevel=2)
        if rate > 0 and not _RATES_HZ[0] <= rate <= _RATES_HZ[1]:
            text = f"states {rate:g} frames a second, which no echo cine has; its rate counts as not known"
            warnings.warn(DataWarning(f"{path}: {text}"), stacklevel=2)
            rate = 0.0
        return cine_of(root, path, count, _read, frame_rate_hz=rate)


def _count(path: Path, video: cv2.VideoCapture, stated: int) -> int:
    """How many frames there are: the stated number where the last of them is there and no other follows it.

    Whether others follow isn't asked where much lies behind the video, since decoders search through all of it.
    """
    size = path.stat().st_size
    followed = size - _declared_bytes(path, size) > _MOST_BEHIND
    if 1 <= stated <= MAX_FRAMES:
        video.set(cv2.CAP_PROP_POS_FRAMES, stated - 1)
        if video.grab() and (followed or not video.grab()):
            return stated
    video, count = _open(path), 0
    while count <= MAX_FRAMES and video.grab():
        count += 1
    if not count:
        raise DataError(f"{path}: holds no picture that can be decoded; export it again as MJPEG AVI")
    return count


def read_frame(path: Path, index: int) -> np.ndarray:
    """Frame `index` (from 0) as uint8 grey levels (height, width); raises `DataError` where there is none."""
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
        raise DataError(f"{path}: can't be decoded, as it is damaged or in a rare format; convert it to MJPEG AVI")
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


def _damaged(path: Path, index: int) -> DataError:
    return DataError(f"{path}: frame {index + 1} can't be decoded, so it is damaged; restore the video")


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
            while self._next <= index:
                if not self._capture.grab():
                    self._key = None
                    if index < self._capture.get(cv2.CAP_PROP_FRAME_COUNT):
                        raise _damaged(path, self._next)
                    raise DataError(
                        f"{path}: has no frame {index + 1}, as it ends after {self._next}; "
                        "give a number that it has, or the whole video"
                    )
                self._next += 1
            picture = self._capture.retrieve()[1]
            if picture is None:
                self._key = None
                raise _damaged(path, index)
            return cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


_decoder = _Decoder()
