"""Data sets of virtual patients."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from lvseg.clinical import ed_es_frames
from lvseg.errors import ConfigError
from lvseg.phantom.heart import Patient, generator, sample_patient, volume_fraction
from lvseg.phantom.scanner import render
from lvseg.readers.record import Frame, Pixels

SEED = 2023
"""Of the cohort that stands for the paper's data."""


def cohort(
    n_patients: int = 10, n_frames: int = 50, seed: int = SEED, population: str = "child", called: str = "phantom"
) -> list[Frame]:
    """Lazy four-chamber frames, `n_frames` of each patient; the defaults are the numbers of the paper's data.

    A patient's frames are spread over five beats; in each the probe and the gain are set slightly differently. Names
    are like `phantom-p03-f07`; the frames of largest and smallest volume carry the phases ED and ES. called: what names
    begin with.
    """
    if n_patients < 1 or n_frames < 1:
        raise ConfigError(f"a cohort of {n_patients} x {n_frames} frames is empty; ask for 1 or more of each")
    frames = []
    for number in range(n_patients):
        patient = sample_patient(int(generator(seed, number).integers(2**31)), population)
        name = f"{called}-p{number + 1:02d}"
        times = np.arange(n_frames) * 5 / n_frames  # in beats
        volumes = [volume_fraction(patient, time % 1) for time in times]
        ed, es = ed_es_frames(volumes)
        marks = {es: "ES", ed: "ED"}
        for index, time in enumerate(times):
            load = partial(_load, _nudged(patient, int(time)), float(time % 1), index)
            frames.append(
                Frame(
                    f"{name}-f{index + 1:02d}",
                    name,
                    load,
                    view="4CH",
                    phase=marks.get(index, ""),
                    files=tuple(sorted(Path(__file__).parent.glob("*.py"))),
                )
            )
    return frames


def _nudged(patient: Patient, beat: int) -> Patient:
    """The same heart in another beat: the probe moved by at most 1.5 mm and 1.2 degrees, the gain by 8 %."""
    across, down, turn, gain = generator(patient.seed, 7, beat).uniform(-1, 1, 4)
    return replace(
        patient,
        apex_offset_mm=patient.apex_offset_mm + 1.5 * across,
        apex_depth_mm=patient.apex_depth_mm + 1.5 * down,
        axis_tilt_deg=patient.axis_tilt_deg + 1.2 * turn,
        myocardium_grey=patient.myocardium_grey * (1 + 0.08 * gain),
    )


def _load(patient: Patient, phase: float, seed: int) -> Pixels:
    frame = render(patient, phase, seed)
    return Pixels(frame.image, frame.mask, frame.spacing_mm)
