"""From frames to arrays: read, preprocessed and resized once, and kept."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import cv2
import numpy as np

from lvseg import clahe, files, masks, readers
from lvseg.data.splits import Split, choose
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.readers import Frame


def load(frames: Sequence[Frame], experiment: Experiment) -> tuple[Split, Arrays]:
    """The experiment's split and its training frames, preprocessed.

    Test frames are read along with them, so that a bad file is found before any training; both come from one cached
    file, whichever fold is tested. Raises `lvseg.DataError` for a frame that can't be used.
    """
    split = choose(frames, experiment)
    chosen = _of_split(frames, split)
    arrays = prepare(chosen, experiment)
    train = set(split.train)
    with files.scratch() as file:  # on disk, not in memory; goes with its last user
        for image, mask, frame in zip(*arrays, chosen, strict=True):
            if frame.name in train:
                file.write(image.tobytes() + mask.tobytes())
        file.flush()
        return split, _mapped(file, len(train), experiment.size)


def checksum(frames: Sequence[Frame], experiment: Experiment) -> str:
    """SHA-256 of the experiment's split and of all that was read of its frames: the same for a copy of the data.

    Reads and keeps the frames like `load`, and raises what it raises.
    """
    split = choose(frames, experiment)
    _, content = _prepared(_of_split(frames, split), experiment)
    return hashlib.sha256(f"{split.checksum()} {content}".encode()).hexdigest()


def _of_split(frames: Sequence[Frame], split: Split) -> list[Frame]:
    used = {*split.train, *split.test}
    return [frame for frame in frames if frame.name in used]


Batch = tuple[Any, Any]
"""Images and labels, float32 (batch, size, size, channels or 1) in 0..1: NumPy arrays, or tensors of the backend."""


class Arrays(NamedTuple):
    """Preprocessed frames, uint8 (n, size, size); a mask holds the share of each pixel that is LV, 0..255.

    They lie in a file and are read from it as they are used, so that they needn't fit in memory.
    """

    image: np.ndarray
    mask: np.ndarray

    def sha256(self) -> str:
        """The SHA-256 of all pixels, in hexadecimal."""
        digest = hashlib.sha256()
        for array in self:
            for frame in array:
                digest.update(frame.tobytes())
        return digest.hexdigest()

    def batch(self, chosen: np.ndarray, channels: int) -> Batch:
        """The chosen frames as they are: images with their `channels`, and labels."""
        return to_network(self.image[chosen], channels), to_network(self.mask[chosen], 1)


def preprocess(image: np.ndarray, experiment: Experiment) -> np.ndarray:
    """CLAHE at native resolution (or after resizing, or none: U9, U10), then resizing: uint8 (size, size)."""
    size = (experiment.size, experiment.size)
    if experiment.clahe == "before":
        image = clahe.equalise(image, experiment.clip_limit, experiment.tiles)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if experiment.clahe == "after":
        image = clahe.equalise(image, experiment.clip_limit, experiment.tiles)
    return image


def prepare(frames: Sequence[Frame], experiment: Experiment) -> Arrays:
    """Read and preprocess labelled frames, once: the result is kept in the cache folder (`LVSEG_CACHE`).

    A kept file is used only where frames, choices and the code are the same and its checksum is right.
    Raises `lvseg.DataError` for a frame that can't be read or that nobody outlined.
    """
    path, _ = _prepared(frames, experiment)
    with path.open("rb") as file:
        return _mapped(file, len(frames), experiment.size)


def _prepared(frames: Sequence[Frame], experiment: Experiment) -> tuple[Path, str]:
    """The kept file of preprocessed frames, and the SHA-256 of what was read for it: records, pixels, outlines."""
    digest = hashlib.sha256()
    choices = experiment.model_dump(include={"data", "size", "clahe", "clip_limit", "tiles"})
    key = hashlib.sha256(f"{sorted(choices.items())} {identity(frames)} {_code()}".encode()).hexdigest()[:32]
    path, note = (files.cache_folder() / f"{key}.{ending}" for ending in ("pixels", "sha256"))
    if path.exists() and note.exists() and note.read_bytes() == files.sha256(path).encode():
        with path.open("rb") as file:
            file.seek(-digest.digest_size, os.SEEK_END)
            return path, file.read().hex()
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        for frame in frames:
            pixels = frame.read()
            if pixels.mask is None:
                raise DataError(f"{frame.name}: has no LV outline, so it can't be used to train or to evaluate")
            digest.update(repr((frame.name, frame.patient, pixels.image.shape, pixels.spacing_mm)).encode())
            digest.update(pixels.image.tobytes() + pixels.mask.tobytes())
            image = preprocess(pixels.image, experiment)
            mask = cv2.resize(pixels.mask.astype(np.uint8) * 255, image.shape, interpolation=cv2.INTER_AREA)
            file.write(image.tobytes() + mask.tobytes())
        file.write(digest.digest())
    files.write_text(note, files.sha256(path))
    return path, digest.hexdigest()


@cache
def _code() -> str:
    """SHA-256 of the code that reads and preprocesses, so that whoever changes it doesn't train on the old pixels."""
    modules = [Path(__file__), Path(clahe.__file__), Path(masks.__file__)]
    sources = [*modules, *sorted(Path(readers.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _mapped(file: IO[bytes], n: int, size: int) -> Arrays:
    """A file of n frames, each an image and a mask, as arrays that are read from it as they are used."""
    pixels = np.memmap(file, np.uint8, "r", shape=(n, 2, size, size))
    return Arrays(pixels[:, 0], pixels[:, 1])


def identity(frames: Sequence[Frame]) -> str:
    """SHA-256 of the frames' records and of their files' sizes and times: reads no pixels, but a copy has another."""
    digest = hashlib.sha256()
    for frame in frames:
        stats = [(file.name, *_size_and_time(file)) for file in frame.files]
        digest.update(repr((frame.name, frame.patient, frame.subset, stats)).encode())
    return digest.hexdigest()


def _size_and_time(file: Path) -> tuple[int, ...]:
    try:
        stat = file.stat()
    except OSError:
        return ()
    return stat.st_size, stat.st_mtime_ns


def to_network(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (n, size, size) to float32 (n, size, size, channels) in 0..1, grey repeated in each channel (U18)."""
    scaled = image[..., None].astype(np.float32) / 255
    return np.repeat(scaled, channels, axis=-1) if channels > 1 else scaled
