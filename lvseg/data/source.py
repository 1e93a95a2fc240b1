"""Every data set by its name: on disk through the readers, or virtual patients."""

from __future__ import annotations

import csv
import re
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

from lvseg.errors import ConfigError, DataError, DataWarning
from lvseg.readers import KINDS, folder_reader, in_order
from lvseg.readers.common import read_text, safe, stem
from lvseg.readers.record import Frame

PATIENTS = "patients.csv"
"""The list beside the data that states whose each frame is: a row a file, in the columns `file` and `patient`."""


def open_source(spec: str, patients: Path | None = None) -> list[Frame]:
    """The frames of a data set: `KIND:DIR` with one of `KINDS`, or virtual patients; sorted by name, names unique.

    patients: a list as `PATIENTS`, which is looked for in DIR where None is given.

    `phantom` is the default cohort; `phantom:POPULATION:PATIENTSxFRAMES`, such as `phantom:random:100x2`, another one.

    Raises `ConfigError` on an unknown kind, `DataError` where DIR is missing or holds no frame of that kind, or where
    the list names no patient for a frame, or two.
    """
    kind, _, folder = spec.partition(":")
    if kind == "phantom":
        if patients is not None:
            raise ConfigError(f"{patients}: virtual patients are known, so no list states them; leave --patients out")
        return _virtual_patients(spec)
    if kind not in KINDS or not folder:
        choice = ", ".join(f"{kind}:DIR" for kind in KINDS)
        raise ConfigError(f"{spec!r} is no data set; choose one of phantom, {choice}")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the one with the {kind} data")
    frames = in_order(root, folder_reader(kind)(root), f"{kind} data")
    if patients is None and (root / PATIENTS).is_file():
        patients = root / PATIENTS
    return frames if patients is None else _stated(root, frames, patients)


def _stated(root: Path, frames: list[Frame], path: Path) -> list[Frame]:
    """The frames with the patients that the list `path` states.

    A row names a frame, or its file: by its place below `root`, with or without its ending, or by its bare name where
    only one file has it.
    """
    stated = _patients_in(path)
    used: set[str] = set()
    bare = Counter(file.name for file in {frame.files[0] for frame in frames})
    found = []
    for frame in frames:
        place = frame.files[0].relative_to(root)
        names = [place.as_posix(), (place.parent / stem(place)).as_posix(), frame.name]
        if bare[place.name] == 1:
            names += [place.name, stem(place)]
        named = [name for name in names if name in stated]
        if not named:
            raise DataError(f"{path}: names no patient for {place.as_posix()}; add a row for it")
        used.update(named)
        found.append(replace(frame, patient=safe(stated[named[0]]), patient_by="stated"))
    if unused := sorted(stated.keys() - used):
        about = f"names {unused[0]}" + (f" and {len(unused) - 1} more" if len(unused) > 1 else "")
        warnings.warn(DataWarning(f"{path}: {about} that aren't among the data"), stacklevel=2)
    return found


def _patients_in(path: Path) -> dict[str, str]:
    """By file, as it is written in the list `path` but with `/`, its patient; commas, semicolons or tabs divide it."""
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give a CSV file with the columns file and patient")
    lines = [line for line in read_text(path).splitlines() if line.strip()]
    divider = next((sign for sign in ";\t," if lines and sign in lines[0]), ",")
    header, *rows = [[cell.strip() for cell in row] for row in csv.reader(lines, delimiter=divider)] or [[]]
    columns = [cell.lower() for cell in header]
    if not {"file", "patient"} <= set(columns):
        raise DataError(f"{path}: has no columns file and patient; write them in its first row")
    stated: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        told = dict(zip(columns, row, strict=False))
        file, patient = told.get("file", "").replace("\\", "/").removeprefix("./"), told.get("patient", "")
        if not file or not patient:
            raise DataError(f"{path}: row {number} names no file, or no patient for it; complete it")
        if stated.setdefault(file, patient) != patient:
            raise DataError(f"{path}: names two patients for {file}; keep one")
    return stated


def apart(spec: str) -> list[Frame]:
    """Frames to watch of patients who aren't in the data set `spec`: virtual ones of another seed, an eighth as many.

    Two patients at least; of data on disk there are none. Raises as `open_source`.
    """
    return _virtual_patients(spec, watched=True) if spec.partition(":")[0] == "phantom" else []


def _virtual_patients(spec: str, watched: bool = False) -> list[Frame]:
    from lvseg.phantom.cohort import SEED, cohort  # only here: it loads OpenCV, which listing real files does without

    population, patients, frames = _cohort_asked(spec)
    if watched:
        return cohort(max(patients // 8, 2), frames, SEED + 1, population, "phantom-watched")
    return cohort(patients, frames, SEED, population)


def _cohort_asked(spec: str) -> tuple[str, int, int]:
    """Population, patients and frames of each."""
    if spec == "phantom":
        return "child", 10, 50
    if not (asked := re.fullmatch(r"phantom:([a-z]+):(\d+)x(\d+)", spec)):
        raise ConfigError(
            f"{spec!r} is no cohort; write phantom:POPULATION:PATIENTSxFRAMES, as in phantom:random:100x2"
        )
    population, patients, frames = asked.groups()
    return population, int(patients), int(frames)


def absolute(spec: str) -> str:
    """A data set's name with its folder made absolute, since notebooks run in a folder of their own."""
    kind, _, folder = spec.partition(":")
    return f"{kind}:{Path(folder).expanduser().resolve()}" if folder and kind != "phantom" else spec
