"""What a data set holds and what is wrong with it, found by reading every frame once."""

from __future__ import annotations

import contextlib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from lvseg.data import plausible
from lvseg.data.source import apart, open_source
from lvseg.data.splits import Counts, Split, choose, counts, doubtful_patients, patients_by, split_frames
from lvseg.errors import DataError, DataWarning
from lvseg.experiment import Experiment
from lvseg.readers.record import Frame

_SIDE = 16
ALIKE = 0.99
"""The correlation of thumbnails above which two images pass for one: CAMUS's twins reach 0.998 and 1, other pairs of
its patients at most 0.973."""


@dataclass(frozen=True)
class Findings:
    """What `check` found.

    patients_by, doubt: how the patients are known, and a sentence where they may be none (`lvseg.data.splits`).
    sides: by kind of split (`patient`, `own`) that the data allow, who would train, be watched, and test (fold 0).
    views, phases, subsets: the number of frames of each; "" counts those where it isn't known.
    spaced: the number of frames whose pixel size is known.
    facts: by name of a fact that the data set tells (`Frame.facts`), the number of frames that have it.
    empty, divided: names of frames whose mask has no pixel, or several parts that don't touch: worth a look.
    doubtful: why its mask can't be a left ventricle's, by the name of each frame that is read all the same.
    missing: files that belong to a frame but aren't there.
    bad: the sentence that says what is wrong, by the name of each frame that can't be read.
    twins: names of frames that show the same picture, or nearly so under two patients.
    """

    frames: int
    patients: int
    patients_by: str
    doubt: str | None
    sides: dict[str, Counts]
    views: dict[str, int]
    phases: dict[str, int]
    subsets: dict[str, int]
    spaced: int
    facts: dict[str, int]
    empty: list[str]
    divided: list[str]
    doubtful: dict[str, str]
    missing: list[Path]
    bad: dict[str, str]
    twins: list[tuple[str, str]]


def check(spec: str, patients: Path | None = None) -> Findings:
    """Read every frame of a data set (both as for `open_source`) and report on it."""
    frames = open_source(spec, patients)
    bad: dict[str, str] = {}
    good: list[Frame] = []
    prints: list[np.ndarray] = []
    parts: dict[str, int] = {}
    doubtful: dict[str, str] = {}
    spaced = 0
    for frame in frames:
        try:
            pixels = frame.read()
            if pixels.mask is not None:
                plausible.check_outlined(frame, pixels.mask, pixels.region)
        except DataError as error:
            bad[frame.name] = str(error)
            continue
        good.append(frame)
        if said := plausible.outlined_doubt(pixels):
            doubtful[frame.name] = said
        prints.append(thumbnail(pixels.image))
        spaced += pixels.spacing_mm is not None
        if pixels.mask is not None:
            parts[frame.name] = cv2.connectedComponents(pixels.mask.astype(np.uint8))[0] - 1  # less the background
    return Findings(
        frames=len(frames),
        patients=len({frame.patient for frame in frames}),
        patients_by=patients_by(frames),
        doubt=doubtful_patients(frames),
        sides=_sides(frames, apart(spec)),
        views=dict(Counter(frame.view for frame in frames)),
        phases=dict(Counter(frame.phase for frame in frames)),
        subsets=dict(Counter(frame.subset for frame in frames)),
        spaced=spaced,
        facts=dict(Counter(fact for frame in frames for fact in frame.facts)),
        empty=[name for name, count in parts.items() if count == 0],
        divided=[name for name, count in parts.items() if count > 1],
        doubtful=doubtful,
        missing=sorted({path for frame in frames for path in frame.files if not path.exists()}),
        bad=bad,
        twins=list(_twins(good, prints)),
    )


def _sides(frames: Sequence[Frame], beside: Sequence[Frame]) -> dict[str, Counts]:
    """The sides of every honest split that the frames can be divided by."""
    found: dict[str, Counts] = {}
    for kind in ("patient", "own"):
        with warnings.catch_warnings(), contextlib.suppress(DataError):
            warnings.simplefilter("ignore", DataWarning)  # doubts about patients are told anyway
            found[kind] = counts([*frames, *beside], split_frames(frames, kind, beside=beside))
    return found


def thumbnail(image: np.ndarray) -> np.ndarray:
    """A 16 x 16 thumbnail, centred and of length 1: the product of two is their correlation."""
    small = cv2.resize(image.astype(np.float32), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def _twins(frames: Sequence[Frame], prints: Sequence[np.ndarray]) -> Iterator[tuple[str, str]]:
    """Pairs alike across patients, or identical within one, where neighbours in a cine are alike anyway."""
    table = np.array(prints)
    patients = np.array([frame.patient for frame in frames])
    for i, frame in enumerate(frames):
        needed = np.where(patients[i + 1 :] == frame.patient, 1 - 1e-6, ALIKE)
        for j in np.flatnonzero(table[i + 1 :] @ table[i] > needed).tolist():
            yield frame.name, frames[i + 1 + j].name


def nearest(frames: Sequence[Frame], split: Split) -> list[tuple[str, str, float]]:
    """For each test frame its name, the training frame that resembles it most, and their correlation (-1..1).

    Compares thumbnails of the images as stored, so it reads each of them once.
    """
    by_name = {frame.name: frame for frame in frames}
    table = np.array([thumbnail(by_name[name].read().image) for name in split.train])
    found = []
    for name in split.test:
        similarity = table @ thumbnail(by_name[name].read().image)
        best = int(similarity.argmax())
        found.append((name, split.train[best], float(similarity[best])))
    return found


def near_duplicates(frames: Sequence[Frame], split: Split) -> list[tuple[str, str, float]]:
    """Of `nearest`, the pairs that show nearly the same picture, so that the test frame isn't new to the network."""
    return [pair for pair in nearest(frames, split) if pair[2] > ALIKE]


def nearest_similarity(frames: Sequence[Frame], experiment: Experiment) -> np.ndarray:
    """For each test frame of the experiment, its correlation (-1..1) with the most similar training frame."""
    return np.array([similarity for *_, similarity in nearest(frames, choose(frames, experiment))])
