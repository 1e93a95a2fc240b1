"""An experiment's data, opened once: frames, split, preprocessed arrays, and a checksum of all that was read.

Frames are read, equalised and resized once and kept; training reads them from the kept file as it uses them.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lvseg import clahe, files, machine, masks, readers
from lvseg.data import plausible, splits
from lvseg.data.source import apart, open_source
from lvseg.errors import ConfigError, DataError, DataWarning
from lvseg.experiment import Experiment
from lvseg.readers.record import Frame

Batch = tuple[Any, Any]
"""Images and labels, float32 (batch, size, size, channels or 1) in 0..1: NumPy arrays, or tensors of the backend."""


@dataclass(frozen=True, eq=False)
class Arrays:
    """Preprocessed frames, uint8 (n, size, size); a mask holds the share of each pixel that is LV, 0..255.

    They lie in a file and are read from it as they are used, so that they needn't fit in memory. rows: which of the
    kept frames these are, in their order; all of them where None. size: to which they are made smaller as they are
    used; as they were kept where None.
    """

    image: np.ndarray
    mask: np.ndarray
    rows: np.ndarray | None = None
    size: int | None = None

    def __len__(self) -> int:
        return len(self.image) if self.rows is None else len(self.rows)

    @property
    def edge(self) -> int:
        """The height and width of a frame as it is used."""
        return self.size or self.image.shape[1]

    @property
    def nbytes(self) -> int:
        """What the frames and masks take in memory."""
        return 2 * len(self) * self.edge**2

    def pick(self, chosen: Any) -> tuple[np.ndarray, np.ndarray]:
        """The chosen frames (an index, a slice or an array of indices below `len`) and their masks."""
        kept = chosen if self.rows is None else self.rows[chosen]
        image, mask = self.image[kept], self.mask[kept]
        return (image, mask) if self.size is None else (_smaller(image, self.size), _smaller(mask, self.size))

    def sha256(self) -> str:
        """The SHA-256 of all pixels, the images' first, in hexadecimal."""
        digest = hashlib.sha256()
        for side in (0, 1):
            for index in range(len(self)):
                digest.update(self.pick(index)[side].tobytes())
        return digest.hexdigest()

    def batch(self, chosen: np.ndarray, channels: int) -> Batch:
        """The chosen frames as they are: images with their `channels`, and labels."""
        image, mask = self.pick(chosen)
        return to_network(image, channels), to_network(mask, 1)


def _smaller(pictures: np.ndarray, size: int) -> np.ndarray:
    """One picture, or several along the first axis, uint8 (..., size, size)."""
    if pictures.ndim == 2:
        return cv2.resize(pictures, (size, size), interpolation=cv2.INTER_AREA)
    return np.stack([_smaller(picture, size) for picture in pictures])


@dataclass(frozen=True, eq=False)
class Prepared:
    """What an experiment trains and is tested on.

    experiment: settled. arrays: the training frames, in the data's order. watched, tested: frames at native resolution
    when read: the first to look at and to choose by while a network learns, the others for its evaluation alone.
    checksum: SHA-256 of what trains and tests and of all that was read: the same for a copy of the data.
    sides: how many frames and patients train, are watched, and test. patients: how they are known
    (`splits.patients_by`). skipped: the names of frames that can't be used and were left out.
    """

    experiment: Experiment
    split: splits.Split
    arrays: Arrays
    watched: tuple[Frame, ...]
    tested: tuple[Frame, ...]
    checksum: str
    sides: splits.Counts
    patients: str
    skipped: tuple[str, ...] = ()


def prepare(experiment: Experiment, frames: Sequence[Frame] | None = None, skip_bad: bool = False) -> Prepared:
    """Open the experiment's data and preprocess it, so that nothing that follows reads a bad file.

    frames: of the experiment's data set, where it is open already. Test frames are read here along with the others, to
    see whether they are sound: one kept file holds all, whichever fold is tested. Nothing is learnt from them or chosen
    by them: `arrays` shows the training frames alone. skip_bad: leave out frames that can't be used, each
    with a `lvseg.DataWarning`, from the split too. Raises `lvseg.DataError` that counts them and says what is wrong
    with the first, or where one side has no other; `lvseg.ConfigError` for a data set or a split that doesn't exist.
    """
    experiment = settled(experiment)
    frames = open_source(experiment.data) if frames is None else frames
    split = splits.choose(frames, experiment)
    ours = {name for side in split.sides.values() for name in side}
    used = [frame for frame in frames if frame.name in ours]
    kept, content, bad = _kept(used, experiment, skip_bad)
    if bad:
        used = [frame for frame in used if frame.name not in bad]
        split = _without(split, bad)
    everyone = [*used, *apart(experiment.data)]  # what is computed can't be bad, so it wasn't read
    train, watch, test = (set(side) for side in split.sides.values())
    rows = np.array([row for row, frame in enumerate(used) if frame.name in train])
    unwatched = replace(split, watch=())  # whoever is watched changes no result
    return Prepared(
        experiment=experiment,
        split=split,
        arrays=Arrays(kept.image, kept.mask, rows),
        watched=tuple(frame for frame in everyone if frame.name in watch),
        tested=tuple(frame for frame in used if frame.name in test),
        checksum=hashlib.sha256(f"{unwatched.checksum()} {content}".encode()).hexdigest(),
        sides=splits.counts(everyone, split),
        skipped=tuple(bad),
        patients=splits.patients_by(used),
    )


def _without(split: splits.Split, bad: Mapping[str, str]) -> splits.Split:
    """The split without frames that can't be used, each told; raises `lvseg.DataError` where a side has no others."""
    train, watch, test = (tuple(name for name in side if name not in bad) for side in split.sides.values())
    if not train or not test:
        side = "test" if train else "train"
        raise DataError(f"of the frames to {side} none can be used, the first as {next(iter(bad.values()))}")
    for sentence in bad.values():
        warnings.warn(DataWarning(f"{sentence} (left out)"), stacklevel=3)
    return replace(split, train=train, watch=watch, test=test)


def settled(experiment: Experiment) -> Experiment:
    """The experiment with nothing left to the machine or to a file's later content; a settled one stays as it is.

    `precision=auto` becomes what this processor is fastest in, the files of a split and of weights to start with get
    their checksums. Raises `lvseg.ConfigError` where there is no such file.
    """
    changes = {"split": splits.pinned(experiment.split), "start": _pinned_start(experiment.start)}
    if experiment.precision == "auto":
        changes["precision"] = machine.fastest_precision()
    return Experiment.of(**{**experiment.model_dump(), **changes})


def _pinned_start(start: str) -> str:
    if not start or "#" in start:
        return start
    path = Path(start).expanduser().resolve()
    if path.suffix != ".keras" or not path.is_file():
        raise ConfigError(f"start={start!r} can't be used: name the weights.keras of a finished run")
    return files.pinned(path)


def arrays_of(frames: Sequence[Frame], experiment: Experiment) -> Arrays:
    """Outlined frames, preprocessed as the experiment says; raises as `prepare`."""
    return _kept(frames, experiment, skip_bad=False)[0]


def preprocess(image: np.ndarray, experiment: Experiment) -> np.ndarray:
    """CLAHE at native resolution (or after resizing, or none: U9, U10), then resizing: uint8 (size, size)."""
    size = (experiment.size, experiment.size)
    if experiment.clahe == "before":
        image = clahe.equalise(image, experiment.clip_limit, experiment.tiles)
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if experiment.clahe == "after":
        image = clahe.equalise(image, experiment.clip_limit, experiment.tiles)
    return image


def to_network(image: np.ndarray, channels: int) -> np.ndarray:
    """uint8 (n, size, size) to float32 (n, size, size, channels) in 0..1, grey repeated in each channel (U18)."""
    scaled = image[..., None].astype(np.float32) / 255
    return np.repeat(scaled, channels, axis=-1) if channels > 1 else scaled


def _kept(frames: Sequence[Frame], experiment: Experiment, skip_bad: bool) -> tuple[Arrays, str, dict[str, str]]:
    """The good frames from the cache folder (`LVSEG_CACHE`), made where they aren't there yet; the SHA-256 of what was
    read for them: records, pixels, outlines; and by name of each bad frame what is wrong with it.

    Kept frames are used only where frames, choices and code are the same and the file's checksum is right. Bad ones
    are refused, unless they are to be skipped, and only after another look: what was wrong may have been the disk.
    """
    choices = experiment.model_dump(include={"data", "size", "clahe", "clip_limit", "tiles"})
    key = hashlib.sha256(f"{sorted(choices.items())} {identity(frames)} {_code()}".encode()).hexdigest()[:32]
    path, note = (files.cache_folder() / f"{key}.{ending}" for ending in ("pixels", "json"))
    content, bad = _content(path, note)
    if content is None or (bad and not skip_bad):
        content, bad = _write(frames, experiment, path, skip_bad)
        files.write_json(note, {"sha256": files.sha256(path), "content": content, "bad": bad})
    shape = (len(frames) - len(bad), 2, experiment.size, experiment.size)
    with path.open("rb") as file:
        pixels = np.memmap(file, np.uint8, "r", shape=shape)
    return Arrays(pixels[:, 0], pixels[:, 1]), content, bad


def _content(path: Path, note: Path) -> tuple[str | None, dict[str, str]]:
    """What the note beside a kept file says was read for it, and was bad; None where either is missing or damaged."""
    try:
        told = files.read_json(note)
        return (told["content"], told["bad"]) if told["sha256"] == files.sha256(path) else (None, {})
    except (DataError, OSError, KeyError, TypeError):
        return None, {}


def _write(frames: Sequence[Frame], experiment: Experiment, path: Path, skip_bad: bool) -> tuple[str, dict[str, str]]:
    """Read and preprocess the good frames into a file, each an image and a mask; the SHA-256 of what was read, and by
    name what is wrong with the bad ones. Raises `lvseg.DataError` where there are some and they aren't to be skipped.
    """
    digest, bad = hashlib.sha256(), {}
    with files.atomic(path) as temporary, temporary.open("wb") as file:
        for frame in frames:
            try:
                for side in _preprocessed(frame, experiment, digest):
                    file.write(side.tobytes())
            except DataError as error:
                bad[frame.name] = str(error)
        if bad and not (skip_bad and len(bad) < len(frames)):
            raise DataError(_refusal(bad, len(frames)))
    return digest.hexdigest(), bad


def _refusal(bad: Mapping[str, str], frames: int) -> str:
    """What is wrong with the first bad frame, and how many there are of so many `frames`."""
    others = "--skip-bad takes the others" if len(bad) < frames else "there are no others"
    named = "`lvseg data check` names them, " if len(bad) > 1 else ""
    return f"{next(iter(bad.values()))} ({len(bad)} of {frames} frames can't be used: {named}{others})"


def _preprocessed(frame: Frame, experiment: Experiment, digest: Any) -> Iterator[np.ndarray]:
    pixels = frame.read()
    if pixels.mask is None:
        raise DataError(f"{frame.name}: has no LV outline, so it can't be used to train or to evaluate")
    plausible.check_outlined(frame, pixels.mask, pixels.region)
    digest.update(repr((frame.name, frame.patient, pixels.image.shape, pixels.spacing_mm)).encode())
    digest.update(pixels.image.tobytes() + pixels.mask.tobytes())
    image = preprocess(pixels.image, experiment)
    yield image
    yield cv2.resize(pixels.mask.astype(np.uint8) * 255, image.shape, interpolation=cv2.INTER_AREA)


@cache
def _code() -> str:
    """SHA-256 of the code that reads and preprocesses, so that whoever changes it doesn't train on the old pixels."""
    modules = [Path(__file__), Path(plausible.__file__), Path(clahe.__file__), Path(masks.__file__)]
    sources = [*modules, *sorted(Path(readers.__file__).parent.glob("*.py"))]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


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
