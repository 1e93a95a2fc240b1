"""Metrics against hand counts, analytic shapes, brute force, scikit-learn and SciPy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.spatial.distance import cdist, directed_hausdorff
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, precision_score, recall_score

from lvseg import metrics
from lvseg.errors import DataError
from lvseg.metrics import Confusion

EMPTY = np.zeros((12, 10), bool)
SQUARE = EMPTY.copy()
SQUARE[2:6, 3:7] = True

two_masks = st.tuples(st.integers(1, 14), st.integers(1, 14)).flatmap(
    lambda shape: st.tuples(arrays(bool, shape), arrays(bool, shape))
)
spacings = st.tuples(st.floats(0.05, 2), st.floats(0.05, 2))


def disc(radius_mm, spacing_mm, centre_mm=(50, 50), size_mm=100):
    rows, columns = (round(size_mm / side) for side in spacing_mm)
    y, x = np.ogrid[:rows, :columns]
    y, x = (y + 0.5) * spacing_mm[0] - centre_mm[0], (x + 0.5) * spacing_mm[1] - centre_mm[1]
    return y**2 + x**2 <= radius_mm**2


# Overlap

# tp, fp, fn, tn all different and no two sums alike, so that a wrong formula can't land on the right value.
HAND_CASE = Confusion(tp=30, fp=7, fn=13, tn=950)


def test_formulas_on_a_hand_case():
    assert HAND_CASE.dice() == pytest.approx(60 / 80)
    assert HAND_CASE.iou() == pytest.approx(30 / 50)
    assert HAND_CASE.accuracy() == pytest.approx(980 / 1000)
    assert HAND_CASE.sensitivity() == pytest.approx(30 / 43)
    assert HAND_CASE.specificity() == pytest.approx(950 / 957)
    assert HAND_CASE.precision() == pytest.approx(30 / 37)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda tp, fp, fn, tn: tp / (2 * tp + fp + fn),  # the factor 2 above is missing
        lambda tp, fp, fn, tn: 2 * tp / (tp + fp + fn),  # the factor 2 below is missing
        lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fn),  # false positives are forgotten
        lambda tp, fp, fn, tn: 2 * tp / (2 * tp + fp),  # false negatives are forgotten
        lambda tp, fp, fn, tn: 2 * tp / (2 * tp + 2 * fp + fn),  # one of them counts twice
        lambda tp, fp, fn, tn: 2 * (tp + 1e-7) / (2 * tp + fp + fn + 1e-7) + 1e-3,  # heavily smoothed
        lambda tp, fp, fn, tn: 2 * tn / (2 * tn + fp + fn),  # of the background
        lambda tp, fp, fn, tn: tp / (tp + fp + fn),  # IoU
        lambda tp, fp, fn, tn: (tp + tn) / (tp + fp + fn + tn),  # accuracy
    ],
)
def test_the_hand_case_tells_wrong_dice_formulas_apart(wrong):
    assert wrong(30, 7, 13, 950) != pytest.approx(HAND_CASE.dice(), abs=1e-4)


def test_confusion_of_two_shifted_squares():
    pred = np.roll(SQUARE, (1, 2), axis=(0, 1))  # 4 x 4 against 4 x 4, 3 x 2 of it in common
    assert metrics.confusion(pred, SQUARE) == Confusion(tp=6, fp=10, fn=10, tn=120 - 26)
    assert metrics.dice(pred, SQUARE) == pytest.approx(12 / 32)
    assert metrics.iou(pred, SQUARE) == pytest.approx(6 / 26)
    assert metrics.accuracy(pred, SQUARE) == pytest.approx(100 / 120)


def test_prediction_comes_first():
    one_too_many = SQUARE.copy()
    one_too_many[0, 0] = True
    assert (metrics.confusion(one_too_many, SQUARE).fp, metrics.confusion(one_too_many, SQUARE).fn) == (1, 0)
    assert (metrics.confusion(SQUARE, one_too_many).fp, metrics.confusion(SQUARE, one_too_many).fn) == (0, 1)


@settings(deadline=None)
@given(two_masks)
def test_overlap_agrees_with_scikit_learn(masks):
    pred, truth = masks
    flat = truth.ravel(), pred.ravel()
    assert metrics.accuracy(pred, truth) == pytest.approx(accuracy_score(*flat))
    counts, nan = metrics.confusion(pred, truth), {"zero_division": math.nan}
    assert counts.sensitivity() == pytest.approx(recall_score(*flat, **nan), nan_ok=True)
    assert counts.specificity() == pytest.approx(recall_score(*(~side for side in flat), **nan), nan_ok=True)
    assert counts.precision() == pytest.approx(precision_score(*flat, **nan), nan_ok=True)
    for empty in (0.0, 1.0):
        assert metrics.dice(pred, truth, empty=empty) == pytest.approx(f1_score(*flat, zero_division=empty))
        assert metrics.iou(pred, truth, empty=empty) == pytest.approx(jaccard_score(*flat, zero_division=empty))


def test_empty_masks():
    assert metrics.dice(EMPTY, EMPTY) == metrics.iou(EMPTY, EMPTY) == 1.0
    assert metrics.dice(EMPTY, EMPTY, empty=0.0) == 0.0
    assert math.isnan(metrics.iou(EMPTY, EMPTY, empty=math.nan))
    # What is invented or missed scores 0, whatever is agreed for two empty masks.
    assert metrics.dice(SQUARE, EMPTY, empty=math.nan) == metrics.dice(EMPTY, SQUARE, empty=1.0) == 0.0
    assert metrics.accuracy(EMPTY, EMPTY) == 1.0


def test_pooled_dice_is_not_the_mean_of_the_frames():
    large, small = Confusion(90, 10, 10, 0), Confusion(0, 0, 10, 100)
    assert metrics.pooled_dice([large, small]) == pytest.approx(180 / 210)
    assert metrics.pooled_dice(iter([large])) == large.dice()
    assert metrics.pooled_dice([], empty=0.5) == 0.5


def test_pooled_dice_is_the_dice_of_the_frames_side_by_side():
    rng = np.random.default_rng(0)
    preds, truths = rng.random((2, 5, 20, 20)) < 0.3
    together = metrics.dice(np.hstack(preds), np.hstack(truths))
    assert metrics.pooled_dice(map(metrics.confusion, preds, truths)) == pytest.approx(together)


# Distances


@pytest.mark.parametrize("spacing_mm", [(1.0, 1.0), (0.308, 0.154)])
def test_one_pixel_against_another(spacing_mm):
    pred, truth = EMPTY.copy(), EMPTY.copy()
    pred[1, 1] = truth[4, 5] = True
    expected = math.hypot(3 * spacing_mm[0], 4 * spacing_mm[1])
    assert metrics.hd95_mm(pred, truth, spacing_mm) == pytest.approx(expected)
    assert metrics.assd_mm(pred, truth, spacing_mm) == pytest.approx(expected)


@pytest.mark.parametrize("spacing_mm", [(0.25, 0.25), (0.3, 0.15)])
def test_concentric_discs_are_apart_by_the_difference_of_their_radii(spacing_mm):
    pred, truth = disc(20, spacing_mm), disc(23, spacing_mm)
    pixel = max(spacing_mm)
    assert metrics.hd95_mm(pred, truth, spacing_mm) == pytest.approx(3, abs=pixel)
    assert metrics.assd_mm(pred, truth, spacing_mm) == pytest.approx(3, abs=pixel / 2)


@pytest.mark.parametrize("centre_mm", [(54, 50), (50, 46)])
def test_shifted_disc_is_at_most_the_shift_away(centre_mm):
    """A point at angle a of the shifted circle lies at about shift * |cos a|; its mean is 2 / pi."""
    spacing_mm = (0.2, 0.1)
    distances = metrics.contour_distances_mm(disc(40, spacing_mm, centre_mm), disc(40, spacing_mm), spacing_mm)
    assert distances.hd() == pytest.approx(4, abs=0.3)
    assert metrics.assd_mm(disc(40, (0.1, 0.1), centre_mm), disc(40, (0.1, 0.1)), (0.1, 0.1)) == pytest.approx(
        4 * 2 / math.pi, abs=0.1
    )


def test_hd95_is_the_larger_direction_not_the_pooled_one():
    """A far island of 4 pixels is in 10 % of the one contour; pooled with the other, it is within the 5 %."""
    truth = np.zeros((40, 100), bool)
    truth[10:20, 10:20] = True  # a contour of 36
    pred = truth.copy()
    pred[10:12, 80:82] = True
    distances = metrics.contour_distances_mm(pred, truth, (1, 1))
    assert (distances.there.size, distances.back.size) == (40, 36)
    assert distances.back.max() == 0 and distances.hd() == 62
    assert metrics.hd95_mm(pred, truth, (1, 1)) >= 60
    assert metrics.assd_mm(pred, truth, (1, 1)) == pytest.approx((2 * 61 + 2 * 62) / 76)


def test_hd95_forgives_one_outlying_pixel_of_a_long_contour():
    truth = np.zeros((60, 60), bool)
    truth[10:40, 10:40] = True
    pred = truth.copy()
    pred[55, 55] = True
    assert metrics.hd95_mm(pred, truth, (1, 1)) == 0
    there, back = (np.argwhere(m & ~binary_erosion(m)) for m in (pred, truth))
    assert metrics.contour_distances_mm(pred, truth, (1, 1)).hd() == pytest.approx(
        max(directed_hausdorff(there, back)[0], directed_hausdorff(back, there)[0])
    )


@settings(max_examples=200, deadline=None)
@given(two_masks, spacings)
def test_distances_agree_with_brute_force_and_with_distance_transforms(masks, spacing_mm):
    pred, truth = masks
    if not (pred.any() and truth.any()):
        return
    distances = metrics.contour_distances_mm(pred, truth, spacing_mm)
    there, back = distances.there, distances.back
    rims = [mask & ~binary_erosion(mask) for mask in masks]
    points = [np.argwhere(rim) * spacing_mm for rim in rims]
    brute = cdist(*points)
    np.testing.assert_allclose(there, brute.min(axis=1), atol=1e-9)
    np.testing.assert_allclose(back, brute.min(axis=0), atol=1e-9)
    np.testing.assert_allclose(there, distance_transform_edt(~rims[1], sampling=spacing_mm)[rims[0]], atol=1e-9)
    both = [directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0]]
    assert distances.hd() == pytest.approx(max(both)) and distances.assd() <= distances.hd()
    assert distances.hd95() == pytest.approx(max(np.quantile(side, 0.95) for side in (there, back)))
    assert distances.hd() <= metrics.diagonal_mm(pred.shape, spacing_mm) + 1e-9


@settings(deadline=None)
@given(two_masks, spacings, st.floats(0.1, 10))
def test_distances_are_symmetric_and_scale_with_the_spacing(masks, spacing_mm, factor):
    pred, truth = masks
    scaled = (spacing_mm[0] * factor, spacing_mm[1] * factor)
    for distance in (metrics.hd95_mm, metrics.assd_mm):
        value = distance(pred, truth, spacing_mm)
        assert value == pytest.approx(distance(truth, pred, spacing_mm), nan_ok=True)
        assert value * factor == pytest.approx(distance(pred, truth, scaled), nan_ok=True)
        assert distance(pred, pred, spacing_mm) == 0


@settings(deadline=None)
@given(two_masks, st.integers(0, 9), st.integers(0, 9))
def test_what_lies_around_changes_nothing_but_accuracy(masks, above, left):
    padded = [np.pad(mask, ((above, 3), (left, 5))) for mask in masks]
    assert metrics.dice(*padded) == metrics.dice(*masks)
    assert metrics.hd95_mm(*padded, (0.3, 0.2)) == pytest.approx(metrics.hd95_mm(*masks, (0.3, 0.2)), nan_ok=True)
    assert metrics.accuracy(*padded) >= metrics.accuracy(*masks)


def test_spacing_is_row_then_column():
    lower = np.roll(SQUARE, 2, axis=0)
    assert metrics.hd95_mm(lower, SQUARE, (3.0, 0.5)) == pytest.approx(6.0)
    assert metrics.hd95_mm(lower, SQUARE, (0.5, 3.0)) == pytest.approx(1.0)


@pytest.mark.parametrize("distance", [metrics.hd95_mm, metrics.assd_mm])
def test_distances_of_empty_masks(distance):
    assert math.isnan(distance(SQUARE, EMPTY, (1, 1)))
    assert math.isnan(distance(EMPTY, SQUARE, (1, 1)))
    assert distance(EMPTY, EMPTY, (1, 1)) == 0


def test_the_diagonal_runs_from_corner_to_corner():
    assert metrics.diagonal_mm((4, 5), (2.0, 0.5)) == pytest.approx(math.hypot(3 * 2.0, 4 * 0.5))


def test_views_give_the_same_answers():
    pred = np.roll(SQUARE, 1, axis=1)
    assert metrics.hd95_mm(pred.T, SQUARE.T, (1, 2)) == metrics.hd95_mm(pred, SQUARE, (2, 1))
    assert metrics.assd_mm(pred[::2, ::-1], SQUARE[::2, ::-1], (1, 1)) > 0


# Refusals

FUNCTIONS = {
    "dice": metrics.dice,
    "iou": metrics.iou,
    "accuracy": metrics.accuracy,
    "hd95": lambda pred, truth: metrics.hd95_mm(pred, truth, (1, 1)),
    "assd": lambda pred, truth: metrics.assd_mm(pred, truth, (1, 1)),
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
@pytest.mark.parametrize(
    "pred, truth, told",
    [
        (EMPTY, EMPTY.T, "resize"),
        (EMPTY, np.zeros((12, 1), bool), "resize"),  # would broadcast
        (EMPTY.astype(np.uint8) * 255, EMPTY, "uint8"),
        (EMPTY, EMPTY.astype(float), "float64"),
        (np.zeros((4, 4, 1), bool), np.zeros((4, 4, 1), bool), "(4, 4, 1)"),
        (np.zeros((0, 4), bool), np.zeros((0, 4), bool), "(0, 4)"),
    ],
)
def test_unfit_masks_are_refused(function, pred, truth, told):
    with pytest.raises(DataError) as refusal:
        function(pred, truth)
    assert told in str(refusal.value)


@pytest.mark.parametrize("spacing_mm", [(0, 1), (1, -1), (1, math.nan), (math.inf, 1), (1, 1, 1), 1.0, None])
def test_impossible_spacings_are_refused(spacing_mm):
    for distance in (metrics.hd95_mm, metrics.assd_mm):
        with pytest.raises(DataError, match="spacing_mm"):
            distance(SQUARE, SQUARE, spacing_mm)
