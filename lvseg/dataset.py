"""From frames to arrays: the split by patient, preprocessing with a cache, and batches with augmentation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from lvseg import clahe, files
from lvseg.errors import ConfigError, DataError
from lvseg.profiles import Experiment
from lvseg.readers import Frame

FOLDS = 5
"""The paper's 400/100 of 500 frames: a fifth of the patients (or frames) is kept for testing."""


@dataclass(frozen=True)
class Split:
    """Which frames train and which test, by name; `kind` is `patient`, `frame` or `own`, `fold` counts from 0."""

    kind: str
    fold: int
    train: tuple[str, ...]
    test: tuple[str, ...]

    def save(self, path: Path) -> None:
        """Write the split as JSON, with a checksum of its names."""
        files.write_json(path, {**asdict(self), "sha256": self.checksum()})

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split; raises `lvseg.DataError` where its checksum or its fields are wrong."""
        stored = files.read_json(path)
        try:
            split = cls(stored["kind"], stored["fold"], tuple(stored["train"]), tuple(stored["test"]))
            intact = stored["sha256"] == split.checksum()
        except (KeyError, TypeError):
            intact = False
        if not intact:
            raise DataError(f"{path}: was changed since it was made, or is no split; make it again")
        return split

    def checksum(self) -> str:
        """SHA-256 of the two lists of names."""
        return hashlib.sha256("\n".join((*self.train, "", *self.test)).encode()).hexdigest()


def split_frames(frames: Sequence[Frame], kind: str = "patient", seed: int = 0) -> Split:
    """Divide `frames` into train and test.

    kind: `patient` keeps a fifth of the patients for testing; `frame` a fifth of the frames, so that each patient is
    on both sides (only to show its harm); `own` takes the data set's own training and validation subsets.
    seed: chooses which fifth, so that five seeds together test on every patient (or frame) once.
    Raises `lvseg.DataError` where the data can't be divided so.
    """
    fold = seed % FOLDS
    if kind == "own":
        test = {frame.name for frame in frames if frame.subset == "validation"}
        train = {frame.name for frame in frames if frame.subset == "training"}
        fold = 0
    elif kind in ("patient", "frame"):
        unit = (lambda frame: frame.patient) if kind == "patient" else (lambda frame: frame.name)
        units = sorted({unit(frame) for frame in frames})
        order = np.random.default_rng(0).permutation(len(units))
        tested = {units[i] for i in np.array_split(order, min(FOLDS, max(len(units), 1)))[fold % max(len(units), 1)]}
        test = {frame.name for frame in frames if unit(frame) in tested}
        train = {frame.name for frame in frames} - test
    else:
        raise ConfigError(f"split {kind!r} doesn't exist; choose patient, frame or own")
    if not train or not test:
        raise DataError(f"the data can't be split by {kind}: {len(train)} frames to train, {len(test)} to test")
    order_of = [frame.name for frame in frames]
    return Split(kind, fold, tuple(n for n in order_of if n in train), tuple(n for n in order_of if n in test))


def choose(frames: Sequence[Frame], experiment: Experiment) -> Split:
    """The experiment's split; `max_frames` leaves so many training and a quarter as many test frames, spread out."""
    split = split_frames(frames, experiment.split, experiment.seed)
    if experiment.max_frames is None:
        return split

    def spread(names: tuple[str, ...], most: int) -> tuple[str, ...]:
        return tuple(names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int)))

    train = spread(split.train, experiment.max_frames)
    return replace(split, train=train, test=spread(split.test, max(experiment.max_frames // 4, 1)))


def load(frames: Sequence[Frame], experiment: Experiment) -> tuple[Split, Arrays]:
    """The experiment's split and its training frames, preprocessed.

    Test frames are read along with them, so that a bad file is found before any training; both come from one cached
    file, whichever fold is tested. Raises `lvseg.DataError` for a frame that can't be used.
    """
    split = choose(frames, experiment)
    used = {*split.train, *split.test}
    chosen = [frame for frame in frames if frame.name in used]
    arrays = prepare(chosen, experiment)
    train = set(split.train)
    rows = [row for row, frame in enumerate(chosen) if frame.name in train]
    return split, Arrays(arrays.image[rows], arrays.mask[rows])


class Arrays(NamedTuple):
    """Preprocessed frames, uint8 (n, size, size); a mask holds the share of each pixel that is LV, 0..255."""

    image: np.ndarray
    mask: np.ndarray


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

    Raises `lvseg.DataError` for a frame that can't be read or that nobody outlined.
    """
    choices = experiment.model_dump(include={"data", "size", "clahe", "clip_limit", "tiles"})
    key = hashlib.sha256(f"{sorted(choices.items())} {identity(frames)}".encode()).hexdigest()[:32]
    path = cache_folder() / f"{key}.npz"
    if path.exists():
        with np.load(path) as stored:
            return Arrays(stored["image"], stored["mask"])
    arrays = Arrays(*(np.empty((len(frames), experiment.size, experiment.size), np.uint8) for _ in range(2)))
    for image, mask, frame in zip(*arrays, frames, strict=True):
        pixels = frame.read()
        if pixels.mask is None:
            raise DataError(f"{frame.name}: has no LV outline, so it can't be used to train or to evaluate")
        image[:] = preprocess(pixels.image, experiment)
        mask[:] = cv2.resize(pixels.mask.astype(np.uint8) * 255, image.shape, interpolation=cv2.INTER_AREA)
    with files.atomic(path) as temporary:
        np.savez(temporary, **arrays._asdict())
    return arrays


def nearest_similarity(frames: Sequence[Frame], experiment: Experiment) -> np.ndarray:
    """For each test frame of the experiment, its correlation (-1..1) with the most similar training frame.

    Compares preprocessed images of 32 x 32 pixels, each with its mean taken off; float64 (test frames,).
    """
    split = choose(frames, experiment)

    def thumbnails(names: Sequence[str]) -> np.ndarray:
        by_name = {frame.name: frame for frame in frames}
        images = (preprocess(by_name[name].read().image, experiment) for name in names)
        flat = np.stack([cv2.resize(i, (32, 32), interpolation=cv2.INTER_AREA).ravel().astype(float) for i in images])
        flat -= flat.mean(1, keepdims=True)
        return flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)

    return (thumbnails(split.test) @ thumbnails(split.train).T).max(1)


def cache_folder() -> Path:
    """Where preprocessed frames are kept: `LVSEG_CACHE`, or `~/.cache/lvseg`."""
    return Path(os.environ.get("LVSEG_CACHE", Path.home() / ".cache" / "lvseg"))


def identity(frames: Sequence[Frame]) -> str:
    """SHA-256 of the frames' names and of their files' sizes and times: changes when the data do, reads no pixels."""
    digest = hashlib.sha256()
    for frame in frames:
        stats = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in frame.files if file.exists()]
        digest.update(repr((frame.name, stats)).encode())
    return digest.hexdigest()


def to_network(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (n, size, size) to float32 (n, size, size, channels) in 0..1, grey repeated in each channel (U18)."""
    scaled = image[..., None].astype(np.float32) / 255
    return np.repeat(scaled, channels, axis=-1) if channels > 1 else scaled


def batches(
    arrays: Arrays, experiment: Experiment, epoch: int, first_step: int = 0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """One epoch's batches (images, labels), float32 (batch, size, size, channels or 1), labels in 0..1.

    Order and augmentation follow from (seed, epoch, step) alone, so that a resumed run sees what the killed one would
    have. The next batch is made in a thread while the network works on this one. A last, smaller batch is left out
    unless it is the only one.
    """
    order = np.random.default_rng((experiment.seed, epoch)).permutation(len(arrays.image))
    size = min(experiment.batch, len(order))
    steps = len(order) // size

    def make(step: int):
        chosen = order[step * size : (step + 1) * size]
        image, mask = arrays.image[chosen], arrays.mask[chosen]
        if experiment.augment:
            rng = np.random.default_rng((experiment.seed, epoch, step))
            pairs = [augment(*pair, rng) for pair in zip(image, mask, strict=True)]
            image, mask = (np.stack(side) for side in zip(*pairs, strict=True))
        return to_network(image, experiment.channels), to_network(mask, 1)

    with ThreadPoolExecutor(1) as worker:
        following = worker.submit(make, first_step)
        for step in range(first_step, steps):
            ready = following.result()
            if step + 1 < steps:
                following = worker.submit(make, step + 1)
            yield ready


def augment(image: np.ndarray, mask: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random rotation (15 degrees), scale (15 %), shift (6 %), mirror image, gamma (0.7 to 1.4) and gain (15 %)."""
    size = image.shape[0]
    matrix = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-15, 15), rng.uniform(0.85, 1.15))
    matrix[:, 2] += rng.uniform(-0.06, 0.06, 2) * size
    if rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]])
    image, mask = (cv2.warpAffine(side, matrix, (size, size), flags=cv2.INTER_LINEAR) for side in (image, mask))
    levels = np.linspace(0, 1, 256) ** rng.uniform(0.7, 1.4) * rng.uniform(0.85, 1.15)
    return cv2.LUT(image, np.clip(levels * 255, 0, 255).round().astype(np.uint8)), mask
