"""Which frames train, which are watched, which test: by patient, by frame, as the data set says, or as a file says."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from lvseg import files
from lvseg.data.source import apart
from lvseg.errors import ConfigError, DataError, DataWarning
from lvseg.experiment import SPLITS, Experiment
from lvseg.readers.common import is_layout
from lvseg.readers.record import Frame

FOLDS = 5
"""The paper's 400/100 of 500 frames: a fifth of the patients (or frames) is kept for testing."""

WATCHED = 8
"""Every so many-th of the patients (by frame: of the frames) who would train is watched instead, from so many on."""

_NO_PATIENT = re.compile(
    r"(a?[2-5]ch?|ch[2-5]|apical|lax|sax|pl?ax|psax|a4c|a2c|[2-5]_?chambers?|ed|es|ei|systole|diastole|end|lv|echo|us|"
    r"train|training|val|valid|validation|test|testing|fold\d*|set|left|right|view\d*|phase\d*|normal|abnormal|part\d*)",
    re.IGNORECASE,
)
"""Names of views, phases, and sides of a split, which no patient has."""

_UNITS = dict(zip(SPLITS, ("patient", "name", "subset"), strict=True))
"""The kinds of split, and what of a frame each of them keeps together."""


@dataclass(frozen=True)
class Split:
    """Which frames train, test, and are watched, by name; `kind` is `patient`, `frame` or `own`, `fold` counts from 0.

    watch: to look at and to choose by while a network learns: they neither train nor are reported. May be empty.
    """

    kind: str
    fold: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    watch: tuple[str, ...] = ()

    @property
    def sides(self) -> dict[str, tuple[str, ...]]:
        """The names by side: `train`, `watch`, `test`."""
        return {"train": self.train, "watch": self.watch, "test": self.test}

    def save(self, path: Path) -> None:
        """Write the split as JSON, with a checksum of its names."""
        files.write_json(path, {**asdict(self), "sha256": self.checksum()})

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split; raises `lvseg.DataError` where its checksum, its fields or its sides are wrong.

        In a file of before there were watched frames, nothing is watched.
        """
        stored = files.read_json(path)
        try:
            train, test, watch = map(tuple, (stored["train"], stored["test"], stored.get("watch", ())))
            split = cls(stored["kind"], stored["fold"], train, test, watch)
            intact = stored["sha256"] == split.checksum()
        except (KeyError, TypeError):
            intact = False
        if not intact:
            raise DataError(f"{path}: was changed since it was made, or is no split; make it again")
        if not split.train or not split.test or _on_two(split.sides.values()):
            raise DataError(f"{path}: has an empty side, or a frame on two; make it again")
        return split

    def checksum(self) -> str:
        """SHA-256 of the lists of names; where nothing is watched, of two."""
        watched = ("", *self.watch) if self.watch else ()
        return hashlib.sha256("\n".join((*self.train, "", *self.test, *watched)).encode()).hexdigest()


def _on_two(sides: Iterable[Iterable[str]]) -> list[str]:
    """What is on more than one side, sorted."""
    counted = Counter(name for side in sides for name in set(side))
    return sorted(name for name, count in counted.items() if count > 1)


def split_frames(
    frames: Sequence[Frame], kind: str = "patient", seed: int = 0, folds: int = FOLDS, beside: Sequence[Frame] = ()
) -> Split:
    """Divide `frames` into those that train, are watched, and test.

    kind: `patient` keeps one in `folds` patients for testing; `frame` one in `folds` frames, so that each patient is
    on both sides (only to show its harm); `own` takes the data set's own training and validation subsets, or one of
    its own folds.
    seed: chooses which fold is tested, so that `folds` seeds together test on every patient (or frame) once.
    beside: of other patients, to be watched (`lvseg.data.source.apart`). Where there are none, every eighth patient who
    would train is watched instead, in the order of their names (by frame: every eighth frame); of fewer than 8, nobody.
    Raises `lvseg.DataError` where the data can't be divided so.
    """
    if kind not in _UNITS:
        raise ConfigError(f"split {kind!r} doesn't exist; choose {', '.join(_UNITS)}")
    if kind == "patient" and (doubt := doubtful_patients(frames)):
        warnings.warn(DataWarning(doubt), stacklevel=2)
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
    test = tuple(name for name, unit in unit_of.items() if unit in parts[fold])
    learning = set(units) - parts[fold]
    whose = {f.name: f.name if kind == "frame" else f.patient for f in frames if unit_of[f.name] in learning}
    watched = set() if beside else _to_watch(whose.values())
    train = tuple(name for name in whose if whose[name] not in watched)
    watch = tuple(name for name in whose if whose[name] in watched)
    if not train or not test:
        found = f"{len(train)} frames to train, {len(test)} to test"
        raise DataError(f"the data can't be split by {kind}: {found}; choose another split, or add patients")
    return Split(kind, fold, train, test, watch or tuple(frame.name for frame in beside))


def _to_watch(units: Iterable[str]) -> set[str]:
    """Every eighth of the patients, or frames, who would train."""
    among = sorted(set(units))
    return set(among[::WATCHED]) if len(among) >= WATCHED else set()


def patients_by(frames: Sequence[Frame]) -> str:
    """How the frames' patients are known (`Frame.patient_by`), such as `guessed from the first sub-folder`."""
    return ", ".join(sorted({frame.patient_by for frame in frames}))


def doubtful_patients(frames: Sequence[Frame]) -> str | None:
    """A sentence where guessed patients look like something else, else None.

    They are called like views, phases, sides of a split or folders, or each file is taken for a patient.
    """
    guessed = [frame for frame in frames if frame.patient_by.startswith("guessed")]
    patients = sorted({frame.patient for frame in guessed})
    doubtful = [name for name in patients if _NO_PATIENT.fullmatch(name) or is_layout(name)]
    if doubtful:
        found = f"the patients {', '.join(doubtful[:4])} look like views, phases or folders"
    elif len(frames) > 1 and all(frame.patient == frame.name for frame in guessed) and len(guessed) == len(frames):
        found = "each file is taken for a patient of its own"
    else:
        return None
    return (
        f"{found} ({patients_by(guessed)}), so one heart may be on both sides of a split; state the patients in "
        "patients.csv beside the data (columns file, patient), or give each a folder"
    )


def pinned(split: str) -> str:
    """A split as an experiment keeps it: a file's name becomes `FILE#CHECKSUM`, everything else stays as it is.

    Raises `lvseg.ConfigError` where there is no such file.
    """
    if split in SPLITS or "#" in split:
        return split
    path = Path(split).expanduser().resolve()
    if not path.is_file():
        raise ConfigError(
            f"split={split!r} can't be used: choose {', '.join(SPLITS)}, or a file that `lvseg data split` wrote"
        )
    return files.pinned(path)


def choose(frames: Sequence[Frame], experiment: Experiment) -> Split:
    """A settled experiment's split of the frames of its data set; the virtual patients who are watched are named too.

    `max_frames` leaves so many training frames and a quarter as many of each other side, spread out.
    """
    beside = apart(experiment.data)
    if "#" in experiment.split:
        split = _from_file([*frames, *beside], *experiment.split.rsplit("#", 1))
    else:
        split = split_frames(frames, experiment.split, experiment.seed, beside=beside)
    if experiment.max_frames is None:
        return split

    def spread(names: tuple[str, ...], most: int) -> tuple[str, ...]:
        return tuple(names[i] for i in np.unique(np.linspace(0, len(names) - 1, most).round().astype(int)) if names)

    few = max(experiment.max_frames // 4, 1)
    train, watch, test = spread(split.train, experiment.max_frames), spread(split.watch, few), spread(split.test, few)
    return replace(split, train=train, watch=watch, test=test)


def _from_file(frames: Sequence[Frame], path: str, checksum: str) -> Split:
    """The split in a file, if it is still the one the experiment named and fits the data."""
    split = Split.load(Path(path))
    if not files.sha256(Path(path)).startswith(checksum):
        raise DataError(f"{path}: isn't the split that the experiment was made with; restore it, or name it anew")
    if absent := sorted({name for side in split.sides.values() for name in side} - {frame.name for frame in frames}):
        raise DataError(f"{path}: names {absent[0]}, which isn't among the data; make a split of these data")
    if split.kind == "patient" and (both := divided_patients(frames, split)):
        raise DataError(f"{path}: has frames of {both[0]} on two sides; make it again by patient")
    return split


def divided_patients(frames: Sequence[Frame], split: Split) -> list[str]:
    """The patients who have frames on two sides of the split, or on all three."""
    patient_of = {frame.name: frame.patient for frame in frames}
    return _on_two({patient_of[name] for name in side} for side in split.sides.values())


Counts = Mapping[str, Mapping[str, int]]
"""By side (`train`, `watch`, `test`), its number of `frames` and of `patients`."""


def counts(frames: Sequence[Frame], split: Split) -> dict[str, dict[str, int]]:
    """How many frames and patients are on each side; `frames` hold all that the split names."""
    patient_of = {frame.name: frame.patient for frame in frames}
    patients = {side: len({patient_of[name] for name in names}) for side, names in split.sides.items()}
    return {side: {"frames": len(names), "patients": patients[side]} for side, names in split.sides.items()}


def told(counted: Counts) -> str:
    """The three sides in words."""
    of = {side: f"{n['frames']} frames of {n['patients']} patients" for side, n in counted.items()}
    watched = f"{of['watch']} are watched" if counted["watch"]["frames"] else "none are watched"
    return f"{of['train']} train, {watched}, {of['test']} test"
