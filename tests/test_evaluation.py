"""Intervals and tests by patient: hand cases, the t interval, and behaviour over many synthetic studies."""

import itertools
import math

import numpy as np
import pytest
import sklearn.metrics
from scipy import ndimage, stats

from lvseg.errors import ConfigError, DataError
from lvseg.evaluation import evaluate
from lvseg.readers import Frame, Pixels
from lvseg.results.statistics import bootstrap_ci, paired_difference


def study(rng, n_patients, frames_each, between=0.05, within=0.02):
    """Scores around 0 of patients who differ among themselves more than their frames do."""
    patients = np.repeat(np.arange(n_patients), frames_each)
    return rng.normal(0, between, n_patients)[patients] + rng.normal(0, within, len(patients)), patients.astype(str)


# Scores


def test_a_segmentation_is_scored_against_its_own_truth():
    """Twenty frames of different shapes, more than a batch, against scikit-learn and SciPy's nearest neighbours."""
    rng = np.random.default_rng(5)
    frames, predicted = [], []
    for number in range(20):
        shape = (30 + number, 50 - number)
        blobs = [ndimage.gaussian_filter(rng.standard_normal(shape), 4) for _ in range(2)]
        truth, mask = (blob > np.quantile(blob, 0.8) for blob in blobs)
        image = np.full(shape, number, np.uint8)
        pixels = Pixels(image, truth, (0.5, 0.2))
        frames.append(Frame(f"{number:04}", f"p{number % 3}", lambda pixels=pixels: pixels, "4CH", "ED"))
        predicted.append(mask)

    def segment(images):
        images = list(images)
        assert [image[0, 0] for image in images] == list(range(20))
        return predicted

    table, masks = evaluate(segment, frames)
    assert list(table.frame) == [frame.name for frame in frames] == list(masks)
    for row, frame, mask in zip(table.itertuples(), frames, predicted, strict=True):
        truth = frame.read().mask
        assert (row.patient, row.view, row.phase) == (frame.patient, "4CH", "ED") and masks[row.frame] is mask
        assert row.dice == pytest.approx(sklearn.metrics.f1_score(truth.ravel(), mask.ravel()))
        assert row.acc == pytest.approx(sklearn.metrics.accuracy_score(truth.ravel(), mask.ravel()))
        ways = [ndimage.distance_transform_edt(~border(side), sampling=(0.5, 0.2)) for side in (mask, truth)]
        away = [ways[0][border(truth)], ways[1][border(mask)]]
        assert row.assd_mm == pytest.approx(np.concatenate(away).mean())
        assert row.hd95_mm == pytest.approx(max(np.percentile(way, 95) for way in away))


def border(mask):
    """Pixels of the mask that touch a pixel outside it by an edge."""
    return mask & ~ndimage.binary_erosion(mask)


def test_a_frame_without_outline_is_named():
    frame = Frame("naked", "p", lambda: Pixels(np.zeros((4, 4), np.uint8), None, None))
    with pytest.raises(DataError, match="naked: has no LV outline"):
        evaluate(lambda images: [image > 0 for image in images], [frame])


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
