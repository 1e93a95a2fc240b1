"""What scores prove: means with intervals, and paired tests, by patient.

Frames of one patient resemble each other, so 500 frames of 10 patients may say little more than 10 numbers
do. Here the patient is the unit: resampled whole, flipped whole.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

from lvseg import evaluation, paper
from lvseg.errors import ConfigError, DataError
from lvseg.metrics import Confusion
from lvseg.results.agreement import agreement
from lvseg.training.folder import Run

Values = Sequence[float] | np.ndarray


def bootstrap_ci(
    values: Values, patients: Sequence[str], *, n: int = 2000, seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """Confidence interval (low, high) of the mean of `values`: a bootstrap that draws whole patients.

    values: one score per frame, none of them NaN (frames without a score must be counted apart first).
    patients: the patient of each frame.
    n: how many bootstrap samples, at least 100. seed: of the draws. level: nominal coverage, between 0 and 1.
    The plain percentile interval of few patients is too narrow (of 10, it covers 88 % instead of 95 % in our
    simulation), so its quantiles are widened to those that Student's t would need: the expanded percentile
    interval (T. Hesterberg, The American Statistician 69, 2015, 371-386). Below 10 it is still narrow.
    One patient tells nothing about others: (NaN, NaN).
    Raises `DataError` for lists that don't fit, `ConfigError` for an impossible `n` or `level`.
    """
    if n < 100 or not 0 < level < 1:
        raise ConfigError(f"n must be 100 or more and level between 0 and 1, not {n} and {level}.")
    sums, frames = _per_patient(values, patients)
    if len(sums) < 2:
        return math.nan, math.nan
    interval = stats.bootstrap(
        (sums, frames),
        lambda total, count, axis: total.sum(axis=axis) / count.sum(axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=n,
        confidence_level=_expanded_level(level, len(sums)),
        method="percentile",
        rng=seed,
    ).confidence_interval
    return float(interval.low), float(interval.high)


@dataclass(frozen=True)
class PairedDifference:
    """Method A minus method B on the same frames.

    mean: of the frames' differences. low, high: its interval, as `bootstrap_ci` gives it.
    p_value: two-sided, of the hypothesis that A and B are interchangeable.
    """

    mean: float
    low: float
    high: float
    p_value: float


def paired_difference(
    a: Values,
    b: Values,
    patients: Sequence[str],
    *,
    n: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> PairedDifference:
    """Does method A beat method B? Mean difference, interval, and a sign-flip permutation test by patient.

    a, b: one score per frame of each method, in the same order of frames; the rest as for `bootstrap_ci`.
    If A and B were interchangeable, any patient's differences might as well have the other sign. All 2^P
    flips of P patients are tried where they are no more than `n`, else `n` random ones. So p can't fall below
    2 / 2^P: with 5 patients nothing is significant at 0.05. With one patient, interval and p are NaN.
    """
    if len(a) != len(b):
        raise DataError(f"The methods have {len(a)} and {len(b)} scores: score both on the same frames.")
    differences = np.asarray(a, dtype=float) - np.asarray(b, dtype=float)
    low, high = bootstrap_ci(differences, patients, n=n, seed=seed, level=level)
    p_value = _sign_flip_p(_per_patient(differences, patients)[0], n, seed)
    return PairedDifference(float(differences.mean()), low, high, p_value)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values of several comparisons, each corrected for all of them (S. Holm, Scand. J. Statist. 6, 1979).

    The smallest of n is multiplied by n, the next by n - 1, and so on; none falls below a smaller one's or exceeds 1.
    The chance that any of n true null hypotheses is rejected stays below the level, however they depend on each other.
    """
    corrected, least = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(np.argsort(p_values, kind="stable")):
        least = max(least, min((len(p_values) - rank) * p_values[place], 1.0))
        corrected[place] = least
    return corrected


def _expanded_level(level: float, patients: int) -> float:
    """The level of the percentile interval that covers as often as a t interval at `level` would."""
    quantile = special.stdtrit(patients - 1, (1 + level) / 2) * math.sqrt(patients / (patients - 1))
    return float(2 * special.ndtr(quantile) - 1)


def _sign_flip_p(sums: np.ndarray, n: int, seed: int) -> float:
    if len(sums) < 2:
        return math.nan
    test = stats.permutation_test((sums,), np.sum, permutation_type="samples", vectorized=True, n_resamples=n, rng=seed)
    return float(test.pvalue)


def _per_patient(values: Values, patients: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the values and the number of frames of each patient, two float arrays."""
    scores = np.asarray(values, dtype=float)
    if scores.ndim != 1 or len(scores) != len(patients) or len(scores) == 0:
        raise DataError(f"{scores.size} scores and {len(patients)} patients don't fit: each frame needs one of each.")
    if not np.isfinite(scores).all():
        raise DataError("Some scores are NaN or infinite: count those frames apart and leave them out first.")
    _, patient = np.unique(np.asarray(patients), return_inverse=True)
    return np.bincount(patient, weights=scores), np.bincount(patient).astype(float)


@dataclass(frozen=True)
class Variance:
    """The variance of one method's patient means: of patients, of seeds, and what is left: training noise by patient.

    Each a variance, none below zero; `patients` and `seeds` are estimates that can be zero by chance.
    """

    patients: float
    seeds: float
    residual: float


def variance(table: pd.DataFrame, column: str = "dice") -> Variance | None:
    """Split a score's variance into patients, seeds and residual: two-way random effects, by mean squares.

    table: one method's frames with a column `seed`. Needs every patient under every seed, two of each at least: else
    (a seed that tests other patients) seeds can't be told from patients, and the answer is None.
    """
    means = table.pivot_table(column, "patient", "seed").to_numpy()
    patients, seeds = means.shape
    if min(means.shape) < 2 or not np.isfinite(means).all():
        return None
    rows, columns, whole = means.mean(axis=1), means.mean(axis=0), means.mean()
    left = means - rows[:, None] - columns + whole
    residual = float((left**2).sum() / ((patients - 1) * (seeds - 1)))
    of_patients, of_seeds = seeds * rows.var(ddof=1), patients * columns.var(ddof=1)  # mean squares
    return Variance(
        max((float(of_patients) - residual) / seeds, 0.0), max((float(of_seeds) - residual) / patients, 0.0), residual
    )


DISTANCES = ("hd95_mm", "assd_mm")


def by_method(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """The runs of each method, in the paper's order of methods."""
    grouped = {method: [run for run in runs if run.experiment.model == method] for method in paper.METHODS}
    return {method: found for method, found in grouped.items() if found}


def scores(runs: Sequence[Run]) -> pd.DataFrame:
    """The per-frame scores of one method's runs, one below the other, with a column `seed`."""
    return pd.concat([run.scores.assign(seed=run.experiment.seed) for run in runs], ignore_index=True)


def table2(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Table 2: a row per method; each score as mean over frames and seeds, its interval by patient, and per seed."""
    rows = []
    distances = [column for column in DISTANCES if any(run.scores[column].notna().any() for run in runs)]
    for method, found in by_method(runs).items():
        table = scores(found)
        row: dict[str, Any] = {"method": method, "name": paper.METHODS[method]}
        row |= {column: _summary(table, column) for column in ("dice", "acc", *distances)}
        row["dice_pooled"] = Confusion(*table[["tp", "fp", "fn", "tn"]].sum().astype(int).tolist()).dice()
        rows.append({**row, "n_frames": table.frame.nunique(), "n_patients": table.patient.nunique()})
    return rows


METRICS = ("iou", "sensitivity", "specificity", "precision", "hd_mm", "hd95_mm", "assd_mm", "area_error_cm2")


def further(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """A row per method: the means over frames and seeds of `METRICS`, the five `readings` of its Dice, the `variance`
    of its Dice, and the `agreement` of its measurements. None is what the frames don't have."""
    rows = []
    for method, found in by_method(runs).items():
        table = evaluation.with_shares(scores(found))
        means = {name: _or_none(table[name].mean()) if name in table else None for name in METRICS}
        split = variance(table)
        rows.append(
            {
                "method": method,
                "name": paper.METHODS[method],
                "means": means,
                "readings": {name: _or_none(value) for name, value in evaluation.readings(table).items()},
                "variance": None if split is None else asdict(split),
                "agreement": {name: one._asdict() for name, one in agreement(table).items()},
            }
        )
    return rows


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _summary(table: pd.DataFrame, column: str) -> dict[str, Any]:
    """Mean, 95 % interval and per-seed means of a score; frames without it (an empty mask) are counted."""
    scored = table[np.isfinite(table[column])]
    if scored.empty:
        return {"mean": None, "ci95": None, "per_seed": [], "frames_without": len(table)}
    summary: dict[str, Any] = {
        "mean": float(scored[column].mean()),
        "ci95": interval(bootstrap_ci(scored[column].to_numpy(), scored.patient.tolist())),
        "per_seed": [float(v) for v in scored.groupby("seed")[column].mean()],
    }
    if len(scored) < len(table):
        summary["frames_without"] = len(table) - len(scored)
    return summary


def interval(pair: tuple[float, float]) -> list[float] | None:
    return None if any(math.isnan(side) for side in pair) else list(pair)
