"""A segmentation's scores against scikit-learn and SciPy, frame by frame."""

import math

import numpy as np
import pandas as pd
import pytest
import sklearn.metrics
from scipy import ndimage
from scipy.spatial.distance import cdist

from lvseg import clinical
from lvseg.errors import DataError
from lvseg.evaluation import COLUMNS, empty, evaluate, published, readings, score, with_shares
from lvseg.readers import Frame, Pixels


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

    table, masks = evaluate(segment, frames, size=16)
    assert list(table) == ["frame", "patient", "view", "phase", *COLUMNS]
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
        assert row.hd_mm == pytest.approx(max(way.max() for way in away))
        assert row.iou == pytest.approx(sklearn.metrics.jaccard_score(truth.ravel(), mask.ravel()))
        assert row.sensitivity == pytest.approx(sklearn.metrics.recall_score(truth.ravel(), mask.ravel()))
        assert row.specificity == pytest.approx(sklearn.metrics.recall_score(~truth.ravel(), ~mask.ravel()))
        assert row.precision == pytest.approx(sklearn.metrics.precision_score(truth.ravel(), mask.ravel()))
        assert row.area_true_cm2 == pytest.approx(truth.sum() * 0.1 / 100)  # a pixel has 0.1 mm2
        assert row.area_error_cm2 == pytest.approx((int(mask.sum()) - int(truth.sum())) * 0.1 / 100)
        assert row.volume_ml == pytest.approx(clinical.volume_disks_ml(mask, (0.5, 0.2)))
        assert row.volume_true_ml == pytest.approx(clinical.volume_disks_ml(truth, (0.5, 0.2)))


def border(mask):
    """Pixels of the mask that touch a pixel outside it by an edge."""
    return mask & ~ndimage.binary_erosion(mask)


def test_a_frame_without_outline_is_named():
    frame = Frame("naked", "p", lambda: Pixels(np.zeros((4, 4), np.uint8), None, None))
    with pytest.raises(DataError, match="naked: has no LV outline"):
        evaluate(lambda images: [image > 0 for image in images], [frame])


def test_columns_of_before_stay_in_front():
    """What was kept before can be laid beside what is kept now."""
    assert COLUMNS[:8] == ("dice", "acc", "hd95_mm", "assd_mm", "tp", "fp", "fn", "tn")


def test_a_frame_has_no_more_than_it_can_have():
    mask = np.eye(12, dtype=bool)
    found = score(mask, mask, None)
    assert list(found) == list(COLUMNS)
    unknown = {name for name, value in found.items() if math.isnan(value)}
    assert unknown == {name for name in COLUMNS if name.endswith(("_mm", "_cm2", "_ml", "_small"))}
    assert math.isnan(score(mask, mask, (1, 1), view="PSAX")["volume_ml"])
    assert score(mask, mask, (1, 1), view="2CH")["volume_ml"] > 0


def test_dice_at_the_networks_size_by_hand():
    """8 x 8 pixels to 2 x 2. Of a quarter's 16 pixels half or more count: pred has 16, 8, 0, 0, truth 16, 7, 0, 8."""
    pred, truth = np.zeros((2, 8, 8), bool)
    pred[:4, :4] = pred[:4, 4:6] = True
    truth[:4, :4] = truth[:3, 4:6] = truth[3, 4] = truth[4:, 6:] = True
    found = score(pred, truth, None, size=2)
    assert found["dice_small"] == pytest.approx(2 * 1 / (2 + 2))
    assert found["dice"] == pytest.approx(2 * 23 / (24 + 31))


# The published rules for echo metrics, worked anew from their definitions


def ellipse(rows, columns, shape=(40, 56), centre=(20, 28)):
    y, x = np.ogrid[: shape[0], : shape[1]]
    return ((y - centre[0]) / rows) ** 2 + ((x - centre[1]) / columns) ** 2 <= 1


def with_island(mask):
    other = mask.copy()
    other[1:3, 50:52] = True
    return other


NOTHING = np.zeros((40, 56), bool)
RULED = {
    "the same": (ellipse(12, 7), ellipse(12, 7), (0.3, 0.3)),
    "smaller and moved": (ellipse(10, 6, centre=(22, 30)), ellipse(14, 9), (0.31, 0.17)),
    "an island far off": (with_island(ellipse(12, 7)), ellipse(12, 7), (0.4, 0.8)),
    "a ring": (ellipse(12, 9) & ~ellipse(5, 4), ellipse(12, 9), (1.0, 0.5)),
    "apart": (ellipse(4, 3, centre=(6, 8)), ellipse(4, 3, centre=(33, 48)), (0.2, 0.25)),
    "at the edge": (ellipse(30, 7), ellipse(28, 9), (0.5, 0.5)),
    "a pixel each": (ellipse(0.5, 0.5), ellipse(0.5, 0.5, centre=(21, 28)), (2.0, 0.5)),
    "missed": (NOTHING, ellipse(12, 7), (0.3, 0.2)),
    "invented": (ellipse(12, 7), NOTHING, (0.3, 0.2)),
    "neither": (NOTHING, NOTHING, (0.3, 0.2)),
}


def ruled(pred, truth, spacing) -> dict[str, float]:
    """What the rules say of one frame, by sets of points and all distances between them."""
    inside = [{tuple(point) for point in np.argwhere(mask)} for mask in (pred, truth)]
    if not any(inside):
        return dict.fromkeys(("dice", "iou", "hd_mm", "hd95_mm", "assd_mm"), math.nan)
    common, union = len(inside[0] & inside[1]), len(inside[0] | inside[1])
    overlap = {"dice": 2 * common / sum(map(len, inside)), "iou": common / union}
    if not all(inside):
        corner = math.hypot((pred.shape[0] - 1) * spacing[0], (pred.shape[1] - 1) * spacing[1])
        return overlap | dict.fromkeys(("hd_mm", "hd95_mm", "assd_mm"), corner)
    surfaces = []
    for points in inside:
        around = [{(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)} for y, x in points]
        surfaces.append([point for point, near in zip(points, around, strict=True) if not near <= points])
    far = cdist(*(np.array(points) * spacing for points in surfaces))
    there, back = np.sort(far.min(axis=1)), np.sort(far.min(axis=0))

    def quantile(ordered):
        place = 0.95 * (len(ordered) - 1)
        low, share = int(place), place - int(place)
        return ordered[low] + share * (ordered[min(low + 1, len(ordered) - 1)] - ordered[low])

    return overlap | {
        "hd_mm": max(there[-1], back[-1]),
        "hd95_mm": max(quantile(there), quantile(back)),
        "assd_mm": (there.sum() + back.sum()) / (len(there) + len(back)),
    }


@pytest.mark.parametrize("case", RULED)
def test_scores_follow_the_published_rules_to_a_millionth(case):
    (found,) = published(pd.DataFrame([score(*RULED[case])])).to_dict("records")
    for name, expected in ruled(*RULED[case]).items():
        assert found[name] == pytest.approx(expected, abs=1e-6, nan_ok=True), name


def test_the_published_rules_and_ours_differ_where_a_mask_is_empty_and_nowhere_else():
    table = pd.DataFrame([score(*pair) for pair in RULED.values()], index=list(RULED))
    theirs = published(table)
    neither, one = empty(table)
    assert (list(table.index[neither]), list(table.index[one])) == (["neither"], ["missed", "invented"])
    pd.testing.assert_frame_equal(table[~(neither | one)], theirs[~(neither | one)])
    assert table.dice["neither"] == 1 and table.hd_mm["neither"] == 0 and math.isnan(theirs.dice["neither"])
    assert math.isnan(table.hd95_mm["missed"]) and theirs.hd95_mm["missed"] == theirs.diagonal_mm["missed"] > 0
    assert theirs.dice["missed"] == theirs.iou["invented"] == 0
    assert theirs.dice.mean() == pytest.approx(table.dice.drop("neither").mean())  # a miss stays, nothing doesn't count


def test_five_readings_of_one_dice_by_hand():
    """Two frames of p, one of q, and one of r where both masks are empty."""
    table = pd.DataFrame(
        {
            "patient": ["p", "p", "q", "r"], "dice": [1.0, 0.5, 0.0, 1.0], "dice_small": [0.9, 0.5, 0.1, 1.0],
            "tp": [10, 5, 0, 0], "fp": [0, 5, 20, 0], "fn": [0, 5, 0, 0], "tn": [90, 85, 80, 100],
        }
    )  # fmt: skip
    assert list(readings(table).values()) == pytest.approx([2.5 / 4, 30 / 60, (0.75 + 0 + 1) / 3, 2.5 / 4, 1.5 / 3])


def test_tables_that_were_kept_before_still_serve():
    table = pd.DataFrame([score(*pair) for pair in RULED.values()]).assign(patient="p")
    old = table[["patient", *COLUMNS[:8]]]
    shares = ["iou", "sensitivity", "specificity", "precision"]
    pd.testing.assert_frame_equal(with_shares(old)[shares], table[shares])
    found, before = readings(table), readings(old)
    assert math.isnan(before.pop("mean over frames, at the network's size"))
    assert before == {name: found[name] for name in before}
    assert published(old).hd95_mm.isna().sum() == 3  # no diagonal is known
