"""Seconds to render one frame of the phantom at its full size, in this process. No peer yet."""

from __future__ import annotations

from benchmarks.table import in_turn, row
from lvseg import phantom


def measure(n: int = 40):
    patient = phantom.sample_patient(1)
    return row("phantom", "s/frame", in_turn({"lvseg": lambda: phantom.render(patient, 0.3)}, n))
