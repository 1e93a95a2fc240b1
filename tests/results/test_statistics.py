"""Intervals and tests by patient: hand cases, the t interval, many synthetic studies; Table 2 by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lvseg.errors import ConfigError, DataError
from lvseg.results import statistics
from lvseg.results.statistics import bootstrap_ci, further, holm, paired_difference, variance
from tests.results.support import METHODS, made_up


def study(rng, n_patients, frames_each, between=0.05, within=0.02):
    """Scores around 0 of patients who differ among themselves more than their frames do."""
    patients = np.repeat(np.arange(n_patients), frames_each)
    return rng.normal(0, between, n_patients)[patients] + rng.normal(0, within, len(patients)), patients.astype(str)


# Intervals


def test_interval_covers_the_truth_as_often_as_it_says():
    """300 studies of 10 patients, as many as the paper has: a 95 % interval may miss in about 15 of them."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        low, high = bootstrap_ci(*study(rng, n_patients=10, frames_each=20), n=500)
        hits += low <= 0 <= high
    assert 0.91 <= hits / 300 <= 0.985


def test_resampling_frames_instead_of_patients_would_cover_far_too_seldom():
    """The same with each frame as its own patient: what the unit of resampling is good for."""
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(100):
        values, _ = study(rng, n_patients=10, frames_each=20)
        low, high = bootstrap_ci(values, np.arange(len(values)).astype(str), n=300)
        hits += low <= 0 <= high
    assert hits / 100 < 0.6


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_interval_of_one_frame_each_is_the_t_interval_of_the_patients(level):
    values = np.random.default_rng(2).normal(0.9, 0.03, 40)
    low, high = bootstrap_ci(values, np.arange(40).astype(str), n=20_000, level=level)
    expected = stats.t.interval(level, 39, values.mean(), stats.sem(values))
    assert (low, high) == pytest.approx(expected, abs=0.0007)  # the interval is 0.006 to 0.02 wide


def test_copies_of_a_frame_add_no_knowledge():
    values, patients = study(np.random.default_rng(3), n_patients=8, frames_each=1)
    once = bootstrap_ci(values, patients)
    assert bootstrap_ci(np.repeat(values, 50), np.repeat(patients, 50)) == pytest.approx(once)


def test_the_mean_is_over_frames_not_over_patients():
    low, high = bootstrap_ci([1.0] * 9 + [0.0], ["a"] * 9 + ["b"], n=4000, level=0.1)
    # Of two drawn patients: both a, both b, or one each, where 9 of 10 frames score 1.
    assert low == high == pytest.approx(0.9)


def test_interval_depends_on_the_seed_alone_and_not_on_the_order_of_frames():
    values, patients = study(np.random.default_rng(4), n_patients=6, frames_each=5)
    order = np.random.default_rng(5).permutation(len(values))
    assert bootstrap_ci(values, patients, seed=7) == bootstrap_ci(values, patients, seed=7)
    assert bootstrap_ci(values, patients, seed=7) != bootstrap_ci(values, patients, seed=8)
    assert bootstrap_ci(values[order], patients[order]) == pytest.approx(bootstrap_ci(values, patients))


def test_interval_edge_cases():
    assert bootstrap_ci([0.9, 0.9, 0.9], ["a", "b", "b"]) == pytest.approx((0.9, 0.9))
    assert all(map(math.isnan, bootstrap_ci([0.8, 0.9], ["a", "a"])))
    narrow, wide = (bootstrap_ci(*study(np.random.default_rng(6), 10, 3), level=x) for x in (0.8, 0.99))
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


# Paired differences


def test_p_value_counts_all_sign_flips():
    differences = np.array([3.0, 1.0, -1.0, 4.0, 2.0])
    flips = np.array(list(itertools.product([1, -1], repeat=5))) @ differences
    expected = np.mean(np.abs(flips) >= differences.sum())  # 9: 6 of 32
    result = paired_difference(differences + 10, np.full(5, 10.0), list("abcde"))
    assert result.mean == pytest.approx(9 / 5)
    assert result.p_value == pytest.approx(expected) == pytest.approx(6 / 32)


def test_smallest_p_value_of_five_patients():
    result = paired_difference(np.arange(1, 11) / 100, np.zeros(10), list("aabbccddee"))
    assert result.p_value == pytest.approx(2 / 2**5)


def test_patients_flip_whole():
    """100 frames of 2 patients, A better on each: as frames overwhelming, as patients nothing (p = 2 / 4)."""
    a, b = np.full(100, 0.9), np.full(100, 0.8)
    assert paired_difference(a, b, ["x"] * 50 + ["y"] * 50).p_value == pytest.approx(0.5)


def test_swapping_the_methods_mirrors_the_difference():
    rng = np.random.default_rng(7)
    a, patients = study(rng, 12, 4)
    b = a - 0.01 + rng.normal(0, 0.02, len(a))
    ours, theirs = paired_difference(a, b, patients), paired_difference(b, a, patients)
    assert (ours.mean, ours.low, ours.high) == pytest.approx((-theirs.mean, -theirs.high, -theirs.low), abs=1e-12)
    assert ours.p_value == pytest.approx(theirs.p_value)
    assert (ours.low, ours.high) == bootstrap_ci(a - b, patients)


def test_a_method_against_itself():
    values, patients = study(np.random.default_rng(8), 6, 3)
    result = paired_difference(values, values, patients)
    assert (result.mean, result.low, result.high, result.p_value) == (0, 0, 0, 1)


def test_p_values_are_even_under_the_null_hypothesis():
    """200 studies without a difference: about 5 % of p below 0.05, about half below 0.5."""
    rng = np.random.default_rng(9)
    p_values = []
    for _ in range(200):
        difference, patients = study(rng, n_patients=14, frames_each=6)
        p_values.append(paired_difference(difference, np.zeros_like(difference), patients, n=200).p_value)
    p_values = np.array(p_values)
    assert np.mean(p_values < 0.05) < 0.1
    assert 0.4 < np.mean(p_values < 0.5) < 0.6
    assert p_values.min() > 0


def test_a_real_difference_is_found():
    rng = np.random.default_rng(10)
    difficulty, patients = study(rng, n_patients=20, frames_each=2, between=0.1)
    result = paired_difference(difficulty + 0.02 + rng.normal(0, 0.01, 40), difficulty, patients)
    assert result.p_value < 0.01
    assert 0 < result.low < 0.02 < result.high


def test_one_patient_proves_nothing():
    result = paired_difference([0.8, 0.9], [0.5, 0.7], ["a", "a"])
    assert result.mean == pytest.approx(0.25)
    assert all(map(math.isnan, (result.low, result.high, result.p_value)))


# Several comparisons


def test_holm_by_hand():
    """0.005 x 4, then 0.01 x 3, then 0.03 x 2, then 0.04 x 1, which may not fall below the third's 0.06."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.4, 0.5]) == pytest.approx([0.8, 0.8]) and holm([0.7, 0.9]) == [1, 1]
    assert holm([0.03]) == [0.03] and holm([]) == []


def test_holm_keeps_the_chance_of_any_false_finding():
    """2000 studies with six comparisons that have nothing to find: uncorrected a quarter finds something."""
    p_values = np.random.default_rng(11).uniform(size=(2000, 6))
    assert np.mean(p_values.min(axis=1) < 0.05) > 0.2
    assert 0.03 < np.mean([min(holm(study)) < 0.05 for study in p_values]) < 0.065


# What a score varies with


def test_variance_by_hand():
    """Two patients under two seeds: 1, 3 and 7, 5. Means by patient 2, 6, by seed 4, 4, in all 4; what is left is
    -1, 1 and 1, -1, of one degree of freedom: residual 4. Mean squares 16 and 0: patients (16 - 4) / 2, seeds 0."""
    rows = [("a", 0, 1.0), ("a", 1, 3.0), ("b", 0, 7.0), ("b", 1, 5.0)]
    found = variance(pd.DataFrame(rows, columns=["patient", "seed", "dice"]))
    assert (found.patients, found.seeds, found.residual) == pytest.approx((6, 0, 4))


def test_variance_finds_what_was_put_in():
    rng = np.random.default_rng(12)
    patients, seeds = rng.normal(0, 0.05, (400, 1)), rng.normal(0, 0.03, (1, 60))
    means = 0.9 + patients + seeds + rng.normal(0, 0.02, (400, 60))
    table = pd.DataFrame(means).stack().rename_axis(["patient", "seed"]).rename("dice").reset_index()
    found = variance(pd.concat([table.assign(dice=table.dice + change) for change in (-0.01, 0.01)]))  # two frames each
    assert found.patients**0.5 == pytest.approx(np.std(patients), rel=0.02)
    assert found.seeds**0.5 == pytest.approx(np.std(seeds), rel=0.02)
    assert found.residual**0.5 == pytest.approx(0.02, rel=0.02)


def test_variance_cannot_be_split_where_each_seed_tests_other_patients():
    apart = pd.DataFrame({"patient": ["a", "b", "c", "d"], "seed": [0, 0, 1, 1], "dice": [0.1, 0.2, 0.3, 0.4]})
    assert variance(apart) is None and variance(apart.assign(seed=0)) is None


# Refusals


@pytest.mark.parametrize(
    "values, patients",
    [([], []), ([0.5], ["a", "b"]), ([[0.5], [0.6]], ["a", "b"]), ([0.5, math.nan], ["a", "b"])],
)
def test_unfit_scores_are_refused(values, patients):
    with pytest.raises(DataError):
        bootstrap_ci(values, patients)


def test_methods_scored_on_different_frames_are_refused():
    with pytest.raises(DataError, match="2 and 1"):
        paired_difference([0.5, 0.6], [0.5], ["a", "b"])


@pytest.mark.parametrize("choice", [{"n": 99}, {"level": 0}, {"level": 1}, {"level": 95}])
def test_impossible_choices_are_refused(choice):
    with pytest.raises(ConfigError):
        bootstrap_ci([0.5, 0.6], ["a", "b"], **choice)


# Table 2


def test_table2_by_hand(tmp_path):
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    rows = statistics.table2(runs)
    assert [row["method"] for row in rows] == list(METHODS)
    both = pd.concat([run.scores.dice for run in runs if run.experiment.model == "unet"])
    assert rows[0]["dice"]["mean"] == pytest.approx(both.mean())
    assert rows[0]["dice"]["per_seed"] == [pytest.approx(run.scores.dice.mean()) for run in runs[::3]]
    assert rows[0]["dice_pooled"] == pytest.approx(2 * 100 / (2 * 100 + 10 + 20))
    assert (rows[0]["n_frames"], rows[0]["n_patients"]) == (40, 10)
    assert "hd95_mm" not in rows[0]
    low, high = rows[0]["dice"]["ci95"]
    assert low < rows[0]["dice"]["mean"] < high


def test_table2s_interval_is_by_patient(tmp_path):
    """All frames of a patient score the same: the interval is the t interval of ten patients, not of 40 frames."""
    (run, *_) = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    of_patient = dict(zip(sorted(set(run.scores.patient)), np.linspace(0.80, 0.98, 10), strict=True))
    run.scores["dice"] = run.scores.patient.map(of_patient)
    (row,) = statistics.table2([run])
    values = np.array(list(of_patient.values()))
    assert row["dice"]["ci95"] == pytest.approx(stats.t.interval(0.95, 9, values.mean(), stats.sem(values)), abs=0.004)


def test_frames_without_a_distance_are_counted_not_dropped_in_silence(tmp_path):
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    for run in runs:
        run.scores["hd95_mm"] = [np.nan, *[2.0] * 39]
    row = statistics.table2(runs)[0]
    assert row["hd95_mm"]["mean"] == 2 and row["hd95_mm"]["frames_without"] == 2


def test_further_scores_by_hand_and_of_tables_from_before(tmp_path):
    """100 of 130 pixels are common: sensitivity 100 / 120, precision 100 / 110, specificity 1000 / 1010."""
    runs = made_up(tmp_path, dict.fromkeys(METHODS, 0.9))
    row = further(runs)[0]
    means = row["means"]
    assert [means[name] for name in ("iou", "sensitivity", "specificity", "precision")] == pytest.approx(
        [100 / 130, 100 / 120, 1000 / 1010, 100 / 110]
    )
    assert means["hd_mm"] is means["hd95_mm"] is None and row["agreement"] == {}
    assert row["readings"]["all pixels pooled"] == pytest.approx(200 / 230)
    assert row["readings"]["mean over frames, at the network's size"] is None
    assert row["variance"]["residual"] > 0 == row["variance"]["patients"]  # made up anew for each seed
