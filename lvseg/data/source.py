"""Every data set by its name: on disk through the readers, or virtual patients."""

from __future__ import annotations

import re
from pathlib import Path

from lvseg.errors import ConfigError, DataError
from lvseg.phantom.cohort import cohort
from lvseg.readers import KINDS, folder_reader, in_order
from lvseg.readers.record import Frame


def open_source(spec: str) -> list[Frame]:
    """The frames of a data set: `KIND:DIR` with one of `KINDS`, or virtual patients; sorted by name, names unique.

    `phantom` is the default cohort; `phantom:POPULATION:PATIENTSxFRAMES`, such as `phantom:random:100x2`, another one.

    Raises `ConfigError` on an unknown kind, `DataError` where DIR is missing or holds no frame of that kind.
    """
    kind, _, folder = spec.partition(":")
    if kind == "phantom":
        return _virtual_patients(spec)
    if kind not in KINDS or not folder:
        choice = ", ".join(f"{kind}:DIR" for kind in KINDS)
        raise ConfigError(f"{spec!r} is no data set; choose one of phantom, {choice}")
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise DataError(f"{root}: there is no such folder; give the one with the {kind} data")
    return in_order(root, folder_reader(kind)(root), f"{kind} data")


def _virtual_patients(spec: str) -> list[Frame]:
    if spec == "phantom":
        return cohort()
    if not (asked := re.fullmatch(r"phantom:([a-z]+):(\d+)x(\d+)", spec)):
        raise ConfigError(
            f"{spec!r} is no cohort; write phantom:POPULATION:PATIENTSxFRAMES, as in phantom:random:100x2"
        )
    population, patients, frames = asked.groups()
    return cohort(int(patients), int(frames), population=population)


def absolute(spec: str) -> str:
    """A data set's name with its folder made absolute, since notebooks run in a folder of their own."""
    kind, _, folder = spec.partition(":")
    return f"{kind}:{Path(folder).expanduser().resolve()}" if folder and kind != "phantom" else spec
