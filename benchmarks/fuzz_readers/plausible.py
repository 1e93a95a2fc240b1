"""Plausible files, three in four of them valid, decodable and wrong: each must be read right or told of.

A case (`make_case`) is drawn from its number: files with one planted fault, or sound ones. It goes through the door
that a user would take, and `judge` says what came of it:

right: what is read is what the files show (Dice with the true pixels at least 0.98, millimetres within 1 %).
told: a `DataError`, a `DataWarning`, a line of `lvseg data check` or of `predict`'s table names the planted fault.
silent: wrong, and no word of the fault; also a traceback, a sentence about something else, one that quotes an
    exception's class, and one that says `restore it` of a file that isn't damaged.
false alarm: a sound file, or a good one beside a bad one, that is refused or warned of.
"""

from __future__ import annotations

import os
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from scipy import stats

from benchmarks.fuzz_readers import faults_dicom, faults_pictures, faults_sets, faults_volumes
from benchmarks.fuzz_readers.cases import Case, Truth, dice
from benchmarks.fuzz_readers.hostile import _run
from benchmarks.table import row
from lvseg import evaluation
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning
from lvseg.inference.predict import predict
from lvseg.readers import Frame, Pixels, open_path

CASES = 2_000
OUTCOMES = ("right", "told", "silent", "false alarm")
ROOMS = (faults_pictures, faults_dicom, faults_volumes, faults_sets)
FAULTS = [maker for room in ROOMS for maker in room.FAULTS]
SOUND = [maker for room in ROOMS for maker in room.SOUND]

_LEAST_DICE, _MM, _AREA = 0.98, 0.01, 0.02
_CLASS_NAME = re.compile(r"\b\w*(Error|Exception)\b")
_GUESSED = re.compile(r"patient.*(guess|name)|(guess|name).*patient", re.I)
"""Where patients are guessed from names it is said of sound sets too, and true."""


@dataclass
class Heard:
    """What a reading gave.

    frames, pixels: of all that could be read. sentences: errors and warnings. table, masks: what `predict` and
    `compare_folders` give. table_lines: what `data check` tells of this set and not of a sound one. crash: any other
    exception.
    """

    frames: list[Frame] = field(default_factory=list)
    pixels: list[Pixels] = field(default_factory=list)
    sentences: list[str] = field(default_factory=list)
    table: pd.DataFrame | None = None
    masks: list[np.ndarray] = field(default_factory=list)
    crash: str = ""
    table_lines: list[str] = field(default_factory=list)


def make_case(number: int, root: Path) -> Case:
    """Case `number` in the empty folder `root`; every fourth is sound."""
    rng = np.random.default_rng(number)
    turn = number // 4
    makers, turn = (SOUND, turn) if number % 4 == 3 else (FAULTS, 3 * turn + number % 4)
    return makers[turn % len(makers)](rng, root)


def outcome(number: int) -> tuple[Case, str, str]:
    """Case `number`, what came of it, and a few words on why."""
    with _folder() as folder:
        case = make_case(number, folder / "data")
        return case, *judge(case, folder / "out")


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="field") as folder:
        kept, os.environ["LVSEG_CACHE"] = os.environ.get("LVSEG_CACHE"), f"{folder}/cache"
        try:
            yield Path(folder)
        finally:
            os.environ.pop("LVSEG_CACHE") if kept is None else os.environ.update(LVSEG_CACHE=kept)


# Through the door


class Perfect:
    """A network that is never wrong: it gives the true masks, in turn."""

    def __init__(self, truths: Sequence[Truth]) -> None:
        self._truths = truths

    def masks(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        for index, image in enumerate(images):
            truth = self._truths[min(index, len(self._truths) - 1)]
            fits = [mask for mask in _views(truth) if mask.shape == image.shape]
            yield fits[0] if fits else np.zeros(image.shape, bool)


def _views(truth: Truth) -> list[np.ndarray]:
    return [truth.mask, *([truth.mask[truth.region]] if truth.region else [])]


def hear(case: Case, out: Path) -> Heard:
    """Read `case` through its door and take down every sentence."""
    heard = Heard()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            _enter(case, out, heard)
        except DataError as error:
            heard.sentences.append(str(error))
        except Exception as escaped:  # a user would see a traceback
            heard.crash = f"{type(escaped).__name__}: {escaped}"[:200]
    heard.sentences += [str(w.message) for w in caught if issubclass(w.category, DataWarning)]
    if case.door not in ("open", "predict", "compare") and not heard.crash:
        complaints, table = _checked(f"{case.door}:{case.path}")
        heard.sentences += complaints
        heard.table_lines = [line for line in table if case.kind == "K8" or _remarkable(case.door, line)]
    return heard


def _enter(case: Case, out: Path, heard: Heard) -> None:
    if case.door == "compare":
        found = evaluation.compare_folders(case.path / "pred", case.path / "true")
        heard.table = found[0] if isinstance(found, tuple) else found  # what was taken for inside is no complaint
    elif case.door == "predict":
        heard.table, problems = predict(Perfect(case.truths), [case.path], out)  # type: ignore[arg-type]
        heard.sentences += problems.values()
        heard.sentences += [text for line in heard.table.to_numpy().tolist() for text in line if _told_in_row(text)]
        heard.masks = [np.array(Image.open(out / f"{name}_mask.png")) > 127 for name in heard.table.get("frame", ())]
    else:
        opened = open_path(case.path) if case.door == "open" else open_source(f"{case.door}:{case.path}")
        for frame in opened:
            try:
                pixels = frame.read()
            except DataError as error:
                heard.sentences.append(str(error))
            else:
                heard.frames.append(frame)
                heard.pixels.append(pixels)


def _told_in_row(text: object) -> bool:
    return isinstance(text, str) and " " in text and not Path(text).exists()


def _checked(spec: str) -> tuple[list[str], list[str]]:
    """What `lvseg data check` complains of, and the lines of its table."""
    _, out, error = _run("data", "check", spec)
    return [line for line in error.splitlines() if line.strip()], out.splitlines()


@cache
def _usual(door: str) -> dict[str, str]:
    """What `lvseg data check` says of a sound set: a line's words, and the line."""
    for number in range(len(SOUND)):
        with _folder() as folder:
            case = SOUND[number](np.random.default_rng(0), folder / "data")
            if case.door == door:
                return {_words(line): line for line in _checked(f"{door}:{case.path}")[1]}
    return {}


def _words(line: str) -> str:
    return " ".join(re.sub(r"[^a-z ]", " ", line.lower()).split())


def _remarkable(door: str, line: str) -> bool:
    """Whether a sound set hasn't such a line, or has 0 there."""
    usual = _usual(door).get(_words(line))
    return usual is None or (bool(re.search(r"\b0\b", usual)) and not re.search(r"\b0\b", line))


# What came of it


def judge(case: Case, out: Path) -> tuple[str, str]:
    """The outcome, one of `OUTCOMES`, and why: what was said, or what is wrong with what was read."""
    heard = hear(case, out)
    wrong = heard.crash or _wrong(case, heard)
    if not case.fault:
        alarm = [s for s in heard.sentences if not _GUESSED.search(s)]
        return ("false alarm", alarm[0][:300]) if alarm else ("silent", wrong) if wrong else ("right", "")
    told = [] if heard.crash else [s for s in heard.sentences + heard.table_lines if _tells(case, s)]
    if case.among:
        if wrong:
            return "false alarm", f"of the good ones: {wrong}; said: {_said(heard)}"
        return ("told", told[0][:300]) if told else ("silent", f"said: {_said(heard)}")
    if case.readable and not wrong:
        return "right", ""
    return ("told", told[0][:300]) if told else ("silent", f"{wrong or 'taken as it is'}; said: {_said(heard)}")


def _said(heard: Heard) -> str:
    return " | ".join(dict.fromkeys(heard.sentences))[:300] or "nothing"


def _tells(case: Case, sentence: str) -> bool:
    """Whether a sentence names the fault in a person's words; the files' names don't count."""
    text = sentence.replace(str(case.path.resolve()), "").replace(str(case.path), "")
    if case.kind != "K8" and case.patients is None and _GUESSED.search(text):
        return False
    advice = case.damaged or not re.search(r"; restore it\b", text)
    return bool(re.search(case.words, text, re.I)) and not _CLASS_NAME.search(text) and advice


def _wrong(case: Case, heard: Heard) -> str:
    """What is wrong with what was read; "" where it is right."""
    if case.door == "compare":
        return _wrong_scores(case, heard.table)
    if case.door == "predict":
        return _wrong_measurements(case, heard)
    if len(heard.pixels) != len(case.truths):
        return f"{len(heard.pixels)} frames were read, not {len(case.truths)}"
    differences = (_difference(case, *pair) for pair in zip(heard.pixels, case.truths, strict=True))
    return next(filter(None, differences), "") or _wrong_words(case, heard.frames)


def _difference(case: Case, read: Pixels, truth: Truth) -> str:
    if read.image.shape != truth.image.shape:
        return f"the picture is {read.image.shape}, not {truth.image.shape}"
    if not alike(read.image, truth.image, truth.stretched):
        return "another picture"
    if (read.mask is None) != (truth.mask is None):
        return "a mask that isn't there, or none"
    if truth.mask is not None and (score := dice(read.mask, truth.mask)) < _LEAST_DICE:
        return f"Dice {score:.3f} with the true mask"
    if truth.region and not _same_place(read.region, truth.region, read.image.shape):
        return f"the region is {read.region}, not {truth.region}"
    if not _same_mm(read.spacing_mm, truth.spacing, case.mm_optional):
        return f"pixels of {read.spacing_mm} mm, not {truth.spacing}"
    return ""


def alike(read: np.ndarray, truth: np.ndarray, stretched: bool = False) -> bool:
    """Whether it is the same picture, but for what a codec or a rule of turning colour to grey does to it."""
    a, b = read.astype(float), truth.astype(float)
    if a.std() < 1 or np.corrcoef(a.ravel(), b.ravel())[0, 1] < 0.98:
        return False
    return a.std() > b.std() / 2 if stretched else bool(np.abs(a - b).mean() < 6)


def _same_place(read: Any, truth: tuple[slice, slice], size: tuple[int, ...]) -> bool:
    if read is None:
        return False
    boxes = np.zeros((2, *size), bool)
    boxes[0][read] = boxes[1][truth] = True
    return (boxes[0] & boxes[1]).sum() >= 0.95 * (boxes[0] | boxes[1]).sum()


def _same_mm(read: Any, truth: Any, optional: bool) -> bool:
    if read is None or truth is None:
        return read is None and (truth is None or optional)
    return bool(np.allclose(read, truth, rtol=_MM, atol=0))


def _wrong_words(case: Case, frames: Sequence[Frame]) -> str:
    """What is wrong with what is known of frames beside their pixels."""
    if case.rate_hz is not None:
        rates = {frame.facts.get("frame_rate_hz", case.rate_hz) for frame in frames}
        if not np.allclose(list(map(float, rates)), case.rate_hz, rtol=0.01):
            return f"a frame rate of {rates}, not {case.rate_hz}"
    if case.subsets is not None and [frame.subset for frame in frames] != list(case.subsets):
        return f"the subsets are {[frame.subset for frame in frames]}, not {case.subsets}"
    if case.patients is not None and _groups([f.patient for f in frames]) != _groups(case.patients):
        return f"the patients are {[frame.patient for frame in frames]}, not {list(case.patients)}"
    return ""


def _groups(names: Sequence[str]) -> list[int]:
    return [list(names).index(name) for name in names]


def _wrong_scores(case: Case, table: pd.DataFrame | None) -> str:
    if table is None or len(table) != len(case.dice):
        return "nothing compared" if table is None else f"{len(table)} compared, not {len(case.dice)}"
    if not np.allclose(table["dice"], case.dice, rtol=0, atol=0.01):
        return f"Dice {table['dice'].round(3).tolist()}, not {np.round(case.dice, 3).tolist()}"
    return ""


def _wrong_measurements(case: Case, heard: Heard) -> str:
    table = heard.table
    if table is None or len(table) != len(case.truths):
        return f"{0 if table is None else len(table)} frames were segmented, not {len(case.truths)}"
    for mask, truth, line in zip(heard.masks, case.truths, table.to_dict("records"), strict=True):
        if mask.shape != truth.mask.shape or (score := dice(mask, truth.mask)) < _LEAST_DICE:
            return f"a mask of {mask.shape}" + (f" with Dice {score:.3f}" if mask.shape == truth.mask.shape else "")
        stated = None if np.isnan(line["row_mm"]) else (line["row_mm"], line["column_mm"])
        if not _same_mm(stated, truth.spacing, case.mm_optional):
            return f"pixels of {stated} mm, not {truth.spacing}"
        area = truth.mask.sum() * np.prod(truth.spacing) if truth.spacing else np.nan
        if not case.mm_optional and not np.allclose(line["area_mm2"], area, rtol=_AREA, equal_nan=True):
            return f"{line['area_mm2']} mm2, not {area:.0f}"
    return ""


# Many cases

Outcome = tuple[int, Case, str, str]
"""A case's number, itself, its outcome, and why."""


def sweep(numbers: Iterable[int]) -> list[Outcome]:
    return [(number, *outcome(number)) for number in numbers]


def replay(number: int) -> None:
    """Try one case and print all about it."""
    with _folder() as folder:
        case = make_case(number, folder / "data")
        files = sorted(str(p.relative_to(folder)) for p in (folder / "data").rglob("*") if p.is_file())
        print(f"case {number}, {case.kind}, {case.door}: {case.fault or 'sound'}\n  files: {', '.join(files)[:400]}")
        print(*judge(case, folder / "out"), sep=": ", end="\n\n")


def show(tried: Sequence[Outcome]) -> None:
    """The table by kind, and each case that is silent or a false alarm."""
    for number, case, result, why in tried:
        if result in OUTCOMES[2:]:
            print(f"{result} {number} {case.kind} {case.door}: {case.fault or 'sound'}: {why[:400]}")
    print(f"{'kind':6}" + "".join(f"{name:>13}" for name in OUTCOMES))
    for kind, counts in counted(tried).items():
        print(f"{kind:6}" + "".join(f"{counts[name]:13}" for name in OUTCOMES), flush=True)


def counted(tried: Sequence[Outcome]) -> dict[str, Counter[str]]:
    """By kind (`sound` for those without a fault) how many cases had which outcome."""
    table: dict[str, Counter[str]] = {}
    for _, case, result, _ in sorted(tried, key=lambda one: (not one[1].fault, one[1].kind)):
        table.setdefault(case.kind if case.fault else "sound", Counter())[result] += 1
    return table


def measure(n: int = CASES) -> list[dict[str, Any]]:
    """For each kind the share of silent cases, and of sound ones that of false alarms; spreads are 95 % intervals."""
    tried = sweep(range(n))
    show(tried)
    rows = []
    for kind, counts in counted(tried).items():
        bad = counts["silent"] + counts["false alarm"]
        interval = stats.binomtest(bad, counts.total()).proportion_ci(method="exact")
        numbers = [number for number, case, result, _ in tried if result in OUTCOMES[2:] and _kind(case) == kind]
        what = "share of false alarms" if kind == "sound" else "share of silent cases"
        found = row("fuzz_readers", what, {"lvseg": [bad / counts.total()]}, kind, **counts, cases=numbers)
        rows.append({**found, "n": counts.total(), "spread": [interval.low, interval.high]})
    return rows


def _kind(case: Case) -> str:
    return case.kind if case.fault else "sound"
