"""Phantoms whose measures are closed formulas, and patients of every population."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import numpy as np

from lvseg.phantom.heart import POPULATIONS, Patient, sample_patient

EVERY = [(seed, population) for population in POPULATIONS for seed in (0, 1, 2)]


def half_ellipsoid(**changes: float) -> Patient:
    """A patient whose cavity is half an ellipsoid of revolution, upright, and who sees it at good quality."""
    plain = {
        "edv_ml": 100.0,
        "width_to_length": 0.6,
        "apex_power": 2.0,
        "widest_at": 0.9999,
        "annulus_to_width": 1.0,
        "bend": 0.0,
        "mitral_tilt_deg": 0.0,
        "irregularity": 0.0,
        "hypokinesia": 0.0,
        "axis_tilt_deg": 0.0,
        "apex_depth_mm": 40.0,
        "apex_offset_mm": 0.0,
        "depth_mm": 160.0,
        "sector_deg": 80.0,
        "margin_mm": 0.0,
    }
    return replace(sample_patient(3, "adult"), **(plain | changes))


def digest(image: np.ndarray) -> str:
    return hashlib.sha256(image.tobytes()).hexdigest()
