"""Verdicts by hand, and made-up runs whose verdicts and means are known."""

from __future__ import annotations

import numpy as np
import pandas as pd

from lvseg.experiment import Experiment
from lvseg.training.folder import Run

METHODS = ("unet", "resunet", "improved_resunet")

JUDGED = (
    (-0.03, -0.01, 0.049, "reversed"),
    (-0.03, -0.01, 0.050, "smaller than claimed"),  # it isn't known to be below zero, but is known to be no 0.05
    (-0.03, 0.049, 0.001, "smaller than claimed"),
    (0.010, 0.049, 0.001, "smaller than claimed"),  # above zero, but not by as much as is claimed
    (0.010, 0.050, 0.049, "reproduced"),  # the claimed gain is within
    (0.060, 0.090, 0.049, "reproduced"),  # more than claimed
    (0.010, 0.050, 0.050, "undecided"),
    (0.000, 0.050, 0.001, "undecided"),
    (-0.03, 0.060, 0.001, "undecided"),
)
"""The verdict on a claimed gain of 0.05, by the interval (low, high) and the corrected p of what was found."""


def made_up(tmp_path, dice: dict[str, float], patients: int = 10, seeds=(0, 1)) -> list[Run]:
    """Runs whose per-frame Dice lies around `dice` of each method, patients differing more than methods."""
    runs = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        of_patient, of_frame = rng.normal(0, 0.03, patients), rng.normal(0, 0.01, (patients, 4))
        for method in METHODS:
            scores = dice[method] + (of_patient[:, None] + of_frame).ravel() + rng.normal(0, 0.002, patients * 4)
            table = pd.DataFrame(
                {
                    "frame": [f"p{p}_f{f}" for p in range(patients) for f in range(4)],
                    "patient": [f"p{p}" for p in range(patients) for f in range(4)],
                    "dice": scores, "acc": 0.9 + scores / 20, "hd95_mm": np.nan, "assd_mm": np.nan,
                    "tp": 100, "fp": 10, "fn": 20, "tn": 1000,
                }
            )  # fmt: skip
            experiment = Experiment.of_profile("class", model=method, seed=seed)
            receipt = {"environment": {}, "parameters": 1, "seconds": 1, "peak_memory_mb": 1, "fingerprint": "f"}
            runs.append(Run(tmp_path / f"{method}{seed}", experiment, receipt, table, pd.DataFrame()))
    return runs
