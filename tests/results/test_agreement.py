"""Bland and Altman's limits by hand, as often right as they say, and the quantities they are taken of."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lvseg.errors import DataError
from lvseg.results.agreement import agreement, bland_altman


def test_bland_altman_by_hand():
    """Differences 1, 3, 2, 2: bias 2, sd sqrt(2 / 3) with n - 1; t of 3 degrees of freedom is 3.1824."""
    found = bland_altman([11, 13, 22, 32], [10, 10, 20, 30], list("abcd"))
    sd = math.sqrt(2 / 3)
    assert (found.pairs, found.patients, found.left_out, found.bias) == (4, 4, 0, 2)
    assert (found.sd, found.low, found.high) == pytest.approx((sd, 2 - 1.96 * sd, 2 + 1.96 * sd))
    assert found.bias_ci95 == pytest.approx([2 - 3.18245 * sd / 2, 2 + 3.18245 * sd / 2], rel=1e-5)
    half = 3.18245 * sd * math.sqrt(1 / 4 + 1.96**2 / 6)
    assert found.high_ci95 == pytest.approx([found.high - half, found.high + half], rel=1e-5)
    assert found.low_ci95 == pytest.approx([found.low - half, found.low + half], rel=1e-5)


def test_the_difference_is_predicted_minus_true():
    assert bland_altman([5, 6], [1, 1], ["a", "b"]).bias == 4.5


def test_pairs_of_one_patient_count_once_in_the_intervals():
    single = bland_altman([1, 2, 4], [0, 0, 0], list("abc"))
    double = bland_altman([1, 2, 4] * 2, [0] * 6, list("abcabc"))
    assert (double.pairs, double.patients, double.bias) == (6, 3, single.bias)
    width = [np.ptp(found.bias_ci95) / found.sd for found in (single, double)]
    assert width[0] == pytest.approx(width[1])


def test_what_has_no_value_is_left_out_and_counted():
    found = bland_altman([1, math.nan, 3, math.inf], [0, 0, 0, 0], list("abcd"))
    assert (found.pairs, found.patients, found.left_out, found.bias) == (2, 2, 2, 2)
    assert bland_altman([math.nan], [1], ["a"]) is None


def test_few_pairs_and_one_patient_have_no_intervals():
    one = bland_altman([3], [1], ["a"])
    assert (one.bias, one.sd, one.low, one.bias_ci95) == (2, None, None, None)
    same = bland_altman([3, 5], [1, 1], ["a", "a"])
    assert (same.bias, same.patients, same.high_ci95) == (3, 1, None) and same.high > same.low


def test_lists_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="2 measurements, 1 true ones"):
        bland_altman([1, 2], [1], ["a", "b"])


def test_intervals_hold_the_truth_as_often_as_they_say():
    """1000 studies of 20 patients; differences of mean 1 and sd 2."""
    rng = np.random.default_rng(3)
    truth = {"bias_ci95": 1, "low_ci95": 1 - 1.96 * 2, "high_ci95": 1 + 1.96 * 2}
    hits = dict.fromkeys(truth, 0)
    for _ in range(1000):
        found = bland_altman(rng.normal(1, 2, 20), np.zeros(20), [str(n) for n in range(20)])
        for name, value in truth.items():
            low, high = getattr(found, name)
            hits[name] += low <= value <= high
    assert all(0.925 < hit / 1000 < 0.975 for hit in hits.values()), hits


def hearts(phases=("ED", "ES")) -> pd.DataFrame:
    """Two patients under two seeds: true volumes 100 and 40 ml, measured 90 + seed and 45 ml; one frame between."""
    rows = []
    for seed in (0, 1):
        for patient in ("a", "b"):
            for phase, true, found in (("ED", 100, 90 + seed), ("ES", 40, 45), ("", 70, 1)):
                if phase in (*phases, ""):
                    rows.append((seed, patient, "4CH", phase, found, true, true / 4, (found - true) / 10))
    names = ["seed", "patient", "view", "phase", "volume_ml", "volume_true_ml", "area_true_cm2", "area_error_cm2"]
    return pd.DataFrame(rows, columns=names)


def test_each_quantity_is_compared_at_its_phase():
    found = agreement(hearts())
    assert {name: one.bias for name, one in found.items()} == pytest.approx(
        {
            "area at ED, cm²": -0.95, "area at ES, cm²": 0.5, "volume at ED, ml": -9.5, "volume at ES, ml": 5,
            "ejection fraction, points": 100 * ((45 / 90 + 46 / 91) / 2 - 0.6),
        }
    )  # fmt: skip
    assert {(one.pairs, one.patients) for one in found.values()} == {(4, 2)}


def test_a_quantity_that_nobody_has_is_left_out():
    assert list(agreement(hearts(phases=("ED",)))) == ["area at ED, cm²", "volume at ED, ml"]
    assert agreement(hearts().drop(columns="area_true_cm2")) == {}


def test_limits_hold_95_percent_of_normal_differences():
    found = bland_altman(
        np.random.default_rng(4).normal(0, 1, 20_000), np.zeros(20_000), [str(n) for n in range(20_000)]
    )
    assert stats.norm.cdf(found.high) - stats.norm.cdf(found.low) == pytest.approx(0.95, abs=0.005)
