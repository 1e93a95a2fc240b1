"""Do the measurements agree, not only the masks? Bland and Altman's limits for areas, volumes and ejection fraction.

A difference is always predicted minus true, so a positive bias says that the network measures too much.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from lvseg.clinical import ejection_fraction
from lvseg.errors import DataError

LIMITS = 1.96
"""Limits of agreement lie so many standard deviations from the bias: 95 % of normally distributed differences."""


class BlandAltman(NamedTuple):
    """Agreement of paired measurements, in their unit (an ejection fraction's in percentage points).

    pairs, patients: how many were compared, of how many patients; left_out: pairs without a finite value.
    bias: the mean difference. sd: of the differences, with n - 1. low, high: the limits of agreement, bias +- 1.96 sd.
    bias_ci95, low_ci95, high_ci95: their 95 % intervals; None for one patient, as are sd and the limits for one pair.
    """

    pairs: int
    patients: int
    left_out: int
    bias: float
    sd: float | None
    low: float | None
    high: float | None
    bias_ci95: list[float] | None
    low_ci95: list[float] | None
    high_ci95: list[float] | None


def bland_altman(predicted: Sequence[float], true: Sequence[float], patients: Sequence[str]) -> BlandAltman | None:
    """Compare measurements with true ones, pair by pair; None where no pair is finite.

    Intervals are those of J. M. Bland and D. G. Altman (Stat. Methods Med. Res. 8, 1999, 135-160): the bias has the
    standard error sd / sqrt(n), a limit sd sqrt(1 / n + 1.96^2 / (2 (n - 1))), with Student's t of n - 1 degrees of
    freedom. n is the number of patients, so that several pairs of one patient (seeds, beats) count as one: cautious
    where they are, exact where there is one. Raises `lvseg.DataError` for lists of different lengths.
    """
    if not len(predicted) == len(true) == len(patients):
        raise DataError(f"{len(predicted)} measurements, {len(true)} true ones and {len(patients)} patients don't fit.")
    differences = np.asarray(predicted, float) - np.asarray(true, float)
    finite = np.isfinite(differences)
    found, n = differences[finite], len(set(np.asarray(patients)[finite].tolist()))
    if not len(found):
        return None
    bias, left_out = float(found.mean()), int((~finite).sum())
    if len(found) < 2:
        return BlandAltman(1, 1, left_out, bias, None, None, None, None, None, None)
    sd = float(found.std(ddof=1))
    low, high = bias - LIMITS * sd, bias + LIMITS * sd
    if n < 2:
        return BlandAltman(len(found), n, left_out, bias, sd, low, high, None, None, None)
    t = float(special.stdtrit(n - 1, 0.975))
    of_bias, of_limit = t * sd / math.sqrt(n), t * sd * math.sqrt(1 / n + LIMITS**2 / (2 * (n - 1)))
    intervals = [[value - half, value + half] for value, half in ((bias, of_bias), (low, of_limit), (high, of_limit))]
    return BlandAltman(len(found), n, left_out, bias, sd, low, high, *intervals)


def agreement(table: pd.DataFrame) -> dict[str, BlandAltman]:
    """By quantity, how one method's measurements agree with the outlines' own: areas and volumes at ED and ES, and EF.

    table: per frame (`lvseg.evaluation`), with a column `seed`. Both sides are measured alike, the volumes by
    single-plane disks, so this is what the mask adds to a measurement's error, not the error against the clinic. Empty
    for a table that was kept before it had areas; a quantity that no frame has is left out.
    """
    found = {}
    for name, some in pairs(table):
        if (one := bland_altman(some.predicted.to_numpy(), some.true.to_numpy(), some.patient.tolist())) is not None:
            found[name] = one
    return found


def pairs(table: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """By quantity, its pairs in the columns `predicted`, `true`, `patient`; table: as for `agreement`."""
    if "area_true_cm2" not in table:
        return
    heart = ["seed", "patient", "view"]
    phases = {phase: table[table.phase == phase].drop_duplicates(heart) for phase in ("ED", "ES")}
    for phase, some in phases.items():
        area = some.area_true_cm2 + some.area_error_cm2
        yield f"area at {phase}, cm²", some.assign(predicted=area, true=some.area_true_cm2)
    for phase, some in phases.items():
        yield f"volume at {phase}, ml", some.assign(predicted=some.volume_ml, true=some.volume_true_ml)
    beats = phases["ED"].merge(phases["ES"], on=heart, suffixes=("_ed", "_es"))
    of = {
        side: [ejection_fraction(*pair) for pair in beats[[f"{column}_ed", f"{column}_es"]].itertuples(index=False)]
        for side, column in (("predicted", "volume_ml"), ("true", "volume_true_ml"))
    }
    yield "ejection fraction, points", beats.assign(**of)
