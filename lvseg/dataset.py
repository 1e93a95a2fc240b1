"""From frames to arrays: the split by patient, preprocessing with a cache, and batches with augmentation."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import cv2
import numpy as np

from lvseg import clahe, files
from lvseg.errors import ConfigError, DataError
from lvseg.profiles import Experiment
from lvseg.readers import Frame
from lvseg.readers.check import ALIKE, fingerprint

FOLDS = 5
"""The paper's 400/100 of 500 frames: a fifth of the patients (or frames) is kept for testing."""

_UNITS = {"patient": "patient", "frame": "name", "own": "subset"}
"""The kinds of split, and what of a frame each of them keeps together."""


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
        """Read a split; raises `lvseg.DataError` where its checksum, its fields or its sides are wrong."""
        stored = files.read_json(path)
        try:
            split = cls(stored["kind"], stored["fold"], tuple(stored["train"]), tuple(stored["test"]))
            intact = stored["sha256"] == split.checksum()
        except (KeyError, TypeError):
            intact = False
        if not intact:
            raise DataError(f"{path}: was changed since it was made, or is no split; make it again")
        if not split.train or not split.test or set(split.train) & set(split.test):
            raise DataError(f"{path}: has an empty side, or a frame on both; make it again")
        return split

    def checksum(self) -> str:
        """SHA-256 of the two lists of names."""
        return hashlib.sha256("\n".join((*self.train, "", *self.test)).encode()).hexdigest()


def split_frames(frames: Sequence[Frame], kind: str = "patient", seed: int = 0, folds: int = FOLDS) -> Split:
    """Divide `frames` into train and test.

    kind: `patient` keeps one in `folds` patients for testing; `frame` one in `folds` frames, so that each patient is
    on both sides (only to show its harm); `own` takes the data set's own training and validation subsets, or one of
    its own folds.
    seed: chooses which fold is tested, so that `folds` seeds together test on every patient (or frame) once.
    Raises `lvseg.DataError` where the data can't be divided so.
    """
    if kind not in _UNITS:
        raise ConfigError(f"split {kind!r} doesn't exist; choose {', '.join(_UNITS)}")
    unit_of = {frame.name: getattr(frame, _UNITS[kind]) for frame in frames}
    units = sorted(set(unit_of.values()))
    if kind != "own":
        order = np.random.default_rng(0).permutation(len(units))
        parts = [{units[i] for i in part} for part in np.array_split(order, max(min(folds, len(units)), 1))]
    elif any(unit.startswith("fold") for unit in units):
        parts = [{unit} for unit in units]
    else:
        parts, units = [{"validation"}], ["training", "validation"]
    fold = seed % len(parts)
    train = tuple(name for name, unit in unit_of.items() if unit in units and unit not in parts[fold])
    test = tuple(name for name, unit in unit_of.items() if unit in parts[fold])
    if not train or not test:
        found = f"{len(train)} frames to train, {len(test)} to test"
        raise DataError(f"the data can't be split by {kind}: {found}; choose another split, or add patients")
    return Split(kind, fold, train, test)


def choose(frames: Sequence[Frame], experiment: Experiment) -> Split:
    """The experiment's split; `max_frames` leaves so many training and a quarter as many test frames, spread out."""
    if "#" in experiment.split:
        split = _from_file(frames, *experiment.split.rsplit("#", 1))
    else:
        split = split_frames(frames, experiment.split, experiment.seed)
    if experiment.max_frames is None:
        return split

    def spread(names: tuple[str, ...], most: int) -> tuple[str, ...]:
        return tuple(names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int)))

    train = spread(split.train, experiment.max_frames)
    return replace(split, train=train, test=spread(split.test, max(experiment.max_frames // 4, 1)))


def _from_file(frames: Sequence[Frame], path: str, checksum: str) -> Split:
    """The split in a file, if it is still the one the experiment named and fits the data."""
    split = Split.load(Path(path))
    if not files.sha256(Path(path)).startswith(checksum):
        raise DataError(f"{path}: isn't the split that the experiment was made with; restore it, or name it anew")
    if absent := sorted({*split.train, *split.test} - {frame.name for frame in frames}):
        raise DataError(f"{path}: names {absent[0]}, which isn't among the data; make a split of these data")
    if split.kind == "patient" and (both := divided_patients(frames, split)):
        raise DataError(f"{path}: has frames of {both[0]} on both sides; make it again by patient")
    return split


def divided_patients(frames: Sequence[Frame], split: Split) -> list[str]:
    """The patients who have frames on both sides of the split."""
    patient_of = {frame.name: frame.patient for frame in frames}
    return sorted({patient_of[name] for name in split.train} & {patient_of[name] for name in split.test})


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
    folder = Path(__file__).parent
    sources = [Path(__file__), Path(clahe.__file__), *sorted((folder / "readers").glob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _mapped(file: IO[bytes], n: int, size: int) -> Arrays:
    """A file of n frames, each an image and a mask, as arrays that are read from it as they are used."""
    pixels = np.memmap(file, np.uint8, "r", shape=(n, 2, size, size))
    return Arrays(pixels[:, 0], pixels[:, 1])


def nearest(frames: Sequence[Frame], split: Split) -> list[tuple[str, str, float]]:
    """For each test frame its name, the training frame that resembles it most, and their correlation (-1..1).

    Compares thumbnails of the images as stored, so it reads every frame once.
    """
    by_name = {frame.name: frame for frame in frames}
    table = np.array([fingerprint(by_name[name].read().image) for name in split.train])
    found = []
    for name in split.test:
        similarity = table @ fingerprint(by_name[name].read().image)
        best = int(similarity.argmax())
        found.append((name, split.train[best], float(similarity[best])))
    return found


def near_duplicates(frames: Sequence[Frame], split: Split) -> list[tuple[str, str, float]]:
    """Of `nearest`, the pairs that show nearly the same picture, so that the test frame isn't new to the network."""
    return [pair for pair in nearest(frames, split) if pair[2] > ALIKE]


def nearest_similarity(frames: Sequence[Frame], experiment: Experiment) -> np.ndarray:
    """For each test frame of the experiment, its correlation (-1..1) with the most similar training frame."""
    return np.array([similarity for *_, similarity in nearest(frames, choose(frames, experiment))])


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


def batches(arrays: Arrays, experiment: Experiment, epoch: int, first_step: int = 0) -> Iterator[Batch]:
    """One epoch's batches of `arrays`, or of what `lvseg.devices.OneDevice.keep` made of them.

    Order and augmentation follow from (seed, epoch, step) alone, so that a resumed run sees what the killed one would
    have. The next batch is made in a thread while the network works on this one. A last, smaller batch is left out
    unless it is the only one.
    """
    order = np.random.default_rng((experiment.seed, epoch)).permutation(len(arrays.image))
    size = min(experiment.batch, len(order))

    def make(step: int) -> Batch:
        chosen = order[step * size : (step + 1) * size]
        if experiment.augment == "none":
            return arrays.batch(chosen, experiment.channels)
        rng = np.random.default_rng((experiment.seed, epoch, step))
        pairs = zip(arrays.image[chosen], arrays.mask[chosen], strict=True)
        augmented = [augment(*pair, rng, experiment.augment) for pair in pairs]
        image, mask = (np.stack(side) for side in zip(*augmented, strict=True))
        return to_network(image, experiment.channels), to_network(mask, 1)

    with ThreadPoolExecutor(1) as worker:
        following = None
        for step in range(first_step, len(order) // size):
            following, ready = worker.submit(make, step), following
            if ready:
                yield ready.result()
        if following:
            yield following.result()


def augment(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, kind: str = "usual"
) -> tuple[np.ndarray, np.ndarray]:
    """A frame and its mask, both uint8 (size, size), as they might have been; what is black stays black.

    kind: `usual` turns (15 degrees), scales (15 %) and shifts (6 %) both, and changes gamma (0.7 to 1.4) and gain
    (15 %) of the image; `mirrored` also turns every second frame into its mirror image, which hearts shown in one
    orientation never need; `strong`, for virtual patients, goes further than `usual` and looks like other scanners.
    """
    size, strong = image.shape[0], kind == "strong"
    turn, scale, shift, gamma = (15, 0.2, 0.08, 2.0) if strong else (15, 0.15, 0.06, 1.4)
    centre = (size / 2, size / 2)
    matrix = cv2.getRotationMatrix2D(centre, rng.uniform(-turn, turn), rng.uniform(1 - scale, 1 + scale))
    matrix[:, 2] += rng.uniform(-shift, shift, 2) * size
    if kind == "mirrored" and rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]])
    image, mask = (cv2.warpAffine(side, matrix, (size, size), flags=cv2.INTER_LINEAR) for side in (image, mask))
    if strong:
        image = _another_scanner(image, rng)
    levels = np.linspace(0, 1, 256) ** rng.uniform(1 / gamma, gamma) * rng.uniform(0.85, 1.15)
    return cv2.LUT(image, np.clip(levels * 255, 0, 255).round().astype(np.uint8)), mask


def _another_scanner(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with another sharpness, gain that varies over the sector, another contrast, and noise."""
    seen = cv2.dilate((image > 0).astype(np.uint8), np.ones((3, 3)))
    grey: np.ndarray = image.astype(np.float32) / 255
    if rng.random() < 0.5:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1.2))
    uneven = cv2.resize(rng.standard_normal((4, 4), dtype=np.float32), image.shape, interpolation=cv2.INTER_CUBIC)
    grey *= np.exp(rng.uniform(0, 0.35) * uneven)
    mean = float(grey.mean())
    noise = rng.uniform(0, 0.08) * rng.standard_normal(grey.shape, dtype=np.float32)
    grey = mean * rng.uniform(0.7, 1.3) + (grey - mean) * rng.uniform(0.5, 1.5) + noise
    return (np.clip(grey, 0, 1) * seen * 255).round().astype(np.uint8)
