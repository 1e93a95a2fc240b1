"""The per-frame table of a segmentation, and what it proves: intervals and paired tests by patient.

Frames of one patient resemble each other, so 500 frames of 10 patients may say little more than 10 numbers
do. Here the patient is the unit: resampled whole, flipped whole.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from scipy import special

from lvseg import metrics
from lvseg.errors import ConfigError, DataError
from lvseg.readers.record import Frame, Pixels

Values = Sequence[float] | np.ndarray
Segment = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def evaluate(segment: Segment, frames: Sequence[Frame]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score a segmentation frame by frame, at native resolution.

    segment: turns uint8 images (height, width) into bool masks of the same shapes, such as `Segmenter.masks`.
    frames: all outlined. Returns a table with a row per frame (`score`) and the masks by frame name.
    Raises `DataError` for a frame that nobody outlined.
    """
    outlined: list[Pixels] = []

    def images() -> Iterator[np.ndarray]:
        for frame in frames:
            outlined.append(frame.read())
            yield outlined[-1].image

    rows, masks = [], {}
    for frame, mask in zip(frames, segment(images()), strict=True):
        pixels = outlined.pop(0)  # the segmenter reads a batch ahead, so few frames are in memory at once
        if pixels.mask is None:
            raise DataError(f"{frame.name}: has no LV outline, so it can't be evaluated")
        identity = {"frame": frame.name, "patient": frame.patient, "view": frame.view, "phase": frame.phase}
        rows.append({**identity, **score(mask, pixels.mask, pixels.spacing_mm)})
        masks[frame.name] = mask
    return pd.DataFrame(rows), masks


def score(pred: np.ndarray, truth: np.ndarray, spacing_mm: metrics.Spacing | None) -> dict[str, float]:
    """One frame's scores: Dice (Eq. 6), accuracy (Eq. 7), distances in mm (NaN without spacing), pixel counts."""
    counts = metrics.confusion(pred, truth)
    distances = {"hd95_mm": math.nan, "assd_mm": math.nan}
    if spacing_mm is not None:
        distances = {
            "hd95_mm": metrics.hd95_mm(pred, truth, spacing_mm),
            "assd_mm": metrics.assd_mm(pred, truth, spacing_mm),
        }
    return {"dice": counts.dice(), "acc": counts.accuracy(), **distances, **counts.__dict__}


def compare_folders(predicted: Path, truth: Path) -> pd.DataFrame:
    """The per-frame table of two folders of mask pictures with the same names (`_mask` endings may be left out).

    Any pixel above 127 is LV. Raises `lvseg.DataError` for a missing, unreadable or differently sized mask.
    """
    pairs = {path.stem.removesuffix("_mask"): path for path in sorted(predicted.glob("*.png"))}
    true = {path.stem.removesuffix("_mask"): path for path in sorted(truth.glob("*.png"))}
    true = {name: path for name, path in true.items() if not name.endswith("_overlay")}
    if not true:
        raise DataError(f"{truth}: holds no PNG masks; name the folder of true masks")
    if lacking := sorted(true.keys() - pairs.keys()):
        raise DataError(f"{predicted}: has no mask for {lacking[0]}; predict it, or take it out of {truth}")
    rows = []
    for name, path in true.items():
        try:
            rows.append({"frame": name, **score(_read_mask(pairs[name]), _read_mask(path), None)})
        except DataError as error:
            raise DataError(f"{pairs[name]}: can't be compared with {path} ({error})") from None
    return pd.DataFrame(rows)


def _read_mask(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if picture is None:
        raise DataError(f"{path} is no readable picture")
    return picture > 127


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
    from scipy import stats  # not above: training scores frames too, and needn't have these 35 MB

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


def _expanded_level(level: float, patients: int) -> float:
    """The level of the percentile interval that covers as often as a t interval at `level` would."""
    quantile = special.stdtrit(patients - 1, (1 + level) / 2) * math.sqrt(patients / (patients - 1))
    return float(2 * special.ndtr(quantile) - 1)


def _sign_flip_p(sums: np.ndarray, n: int, seed: int) -> float:
    if len(sums) < 2:
        return math.nan
    from scipy import stats

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
