"""Seconds on one core to make one frame of the phantom, and its speckle beside the simulator PyMUST's.

PyMUST sums the waves of 100,000 scatterers at every element of a probe; the phantom blurs scatterers by the beam such
a probe forms. So that the short cut is seen to be one in time only, both show a homogeneous medium, and the row has the
envelope's mean / standard deviation (1.91 for fully developed speckle) and its lateral correlation length by depth.
PyMUST's frame takes about a minute.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cv2
import numpy as np

from benchmarks.table import row
from lvseg.phantom.heart import sample_patient
from lvseg.phantom.scanner import BEAMS, SAMPLES, echo_power, render

FREQUENCY_MHZ, APERTURE_MM, DEPTH_MM, SECTOR_DEG = 2.72, 19.2, 120.0, 80.0  # PyMUST's P4-2v, a cardiac probe
SCATTERERS = 100_000  # 10 per mm2, several in every resolution cell
DEPTHS_MM = (40, 60, 80, 100)


def measure(n: int = 40):
    patient, envelopes = sample_patient(1), []
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    ours = [_core_seconds(lambda: render(patient, 0.3)) for _ in range(n + 1)][1:]
    cv2.setNumThreads(threads)
    theirs = [_core_seconds(lambda: envelopes.append(_pymust()))]
    speckle = {"lvseg": _speckle(np.stack([_ours(seed) for seed in range(8)])), "PyMUST": _speckle(np.stack(envelopes))}
    return row("phantom", "s/frame", {"lvseg": ours, "PyMUST": theirs}, speckle=speckle)


def _core_seconds(make: Callable[[], Any]) -> float:
    """Seconds of processor time, of all threads."""
    start = time.process_time()
    make()
    return time.process_time() - start


def _ours(seed: int) -> np.ndarray:
    """The envelope of a homogeneous medium, (samples, beams)."""
    patient = replace(
        sample_patient(1), frequency_mhz=FREQUENCY_MHZ, aperture_mm=APERTURE_MM, depth_mm=DEPTH_MM,
        sector_deg=SECTOR_DEG,
    )  # fmt: skip
    shape = (SAMPLES, BEAMS, 2)
    return np.sqrt(echo_power(patient, np.random.default_rng(seed).standard_normal(shape, np.float32)))


def _pymust() -> np.ndarray:
    """The same of PyMUST, from one diverging wave, focused on reception at every point."""
    import pymust

    rng, half = np.random.default_rng(0), np.radians(SECTOR_DEG / 2)
    depth = 1e-3 * np.sqrt(rng.uniform(20**2, DEPTH_MM**2, SCATTERERS))
    angle = rng.uniform(-half, half, SCATTERERS)
    probe = pymust.getparam("P4-2v")
    probe.fs = 4 * probe.fc
    delays = pymust.txdelay(probe, 0.0, 2 * half)
    x, z = depth * np.sin(angle), depth * np.cos(angle)
    echoes, _ = pymust.simus(x, z, rng.standard_normal(SCATTERERS), delays, probe)
    echoes = pymust.rf2iq(echoes, probe)
    x, z = pymust.impolgrid(np.array([SAMPLES, BEAMS]), 1e-3 * DEPTH_MM, 2 * half, probe)
    focused = pymust.dasmtx(echoes, x, z, delays, probe) @ echoes.flatten(order="F")
    return np.abs(focused).reshape(x.shape, order="F")


def _speckle(envelopes: np.ndarray) -> dict[str, dict[str, float]]:
    """At each of `DEPTHS_MM`, the envelope's mean / deviation, and the lag in mm at which the intensity's
    autocorrelation across the beams has fallen to one half; envelopes: (frames, samples, beams)."""
    depths = np.linspace(0, DEPTH_MM, envelopes.shape[1])
    envelopes = envelopes[:, :, BEAMS // 4 : -BEAMS // 4]
    found = {}
    for depth in DEPTHS_MM:
        band = envelopes[:, np.abs(depths - depth) < 6].astype(float)
        band /= band.mean((0, 2), keepdims=True)  # what attenuation and gain make of the depth
        band /= np.poly1d(np.polyfit(np.arange(band.shape[2]), band.mean((0, 1)), 2))(np.arange(band.shape[2]))
        beam_mm = depth * np.radians(SECTOR_DEG) / BEAMS
        found[f"{depth} mm"] = {"snr": band.mean() / band.std(), "half_lag_mm": _half_lag(band**2) * beam_mm}
    return found


def _half_lag(power: np.ndarray) -> float:
    power = power - power.mean()
    curve = [1.0] + [float((power[..., k:] * power[..., :-k]).mean() / (power**2).mean()) for k in range(1, 40)]
    k = int(np.argmax(np.array(curve) < 0.5))
    return k - 1 + (curve[k - 1] - 0.5) / (curve[k - 1] - curve[k])
