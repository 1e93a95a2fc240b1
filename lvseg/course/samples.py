"""What the lessons look at: a real echo cine, which nobody outlined, and the numbers of a finished reproduction."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pydicom

from lvseg.errors import DataWarning
from lvseg.files import CHECKOUT
from lvseg.readers import open_path
from lvseg.readers.record import Frame, Pixels
from lvseg.training.folder import NUMBERS, Run, gather


def real_cine() -> list[Frame]:
    """30 frames of a beating heart, four-chamber view, uint8 (240, 320).

    The picture was halved after the scanner had stated its regions and their scale, so its pixel size isn't known. A
    reader tells that; here it is left unsaid, as the lessons only look.
    """
    with _quiet():
        frames = open_path(Path(pydicom.examples.get_path("ybr_color")))
    return [replace(frame, load=_quietly(frame.load)) for frame in frames]


def kept_runs() -> list[Run]:
    """The nine runs of a class reproduction on phantoms, as they were measured: numbers without weights and masks.

    For a reader who has no runs of their own. Each still fits its receipt.
    """
    return gather(CHECKOUT / "data_samples" / "class_runs", NUMBERS)


def _quietly(load: Callable[[], Pixels]) -> Callable[[], Pixels]:
    def read() -> Pixels:
        with _quiet():
            return load()

    return read


def _quiet() -> warnings.catch_warnings:
    return warnings.catch_warnings(action="ignore", category=DataWarning)
