"""A segmentation's scores against scikit-learn and SciPy, frame by frame."""

import numpy as np
import pytest
import sklearn.metrics
from scipy import ndimage

from lvseg.errors import DataError
from lvseg.evaluation import evaluate
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
