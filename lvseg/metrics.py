"""How well a predicted mask agrees with the outlined one: overlap (Eqs. 6 and 7) and distance in millimetres.

Every function takes bool masks at native resolution, True inside the left ventricle, prediction first. Where
a mask can be empty, the answer is an argument or stated below; nothing is dropped from a mean in silence.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from lvseg.errors import DataError
from lvseg.masks import Spacing, check_mask, check_spacing, contour


@dataclass(frozen=True)
class Confusion:
    """Pixels counted by what was predicted and what is true; confusions of several frames can be added.

    tp: LV, and predicted so. fp: predicted LV, but background. fn: LV that was missed. tn: background, and
    predicted so.
    """

    tp: int
    fp: int
    fn: int
    tn: int

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.tn + other.tn)

    def dice(self, *, empty: float = 1.0) -> float:
        """Eq. 6, 2 TP / (2 TP + FP + FN), from 0 to 1; `empty` where neither mask has a pixel."""
        pixels = 2 * self.tp + self.fp + self.fn
        return 2 * self.tp / pixels if pixels else empty

    def iou(self, *, empty: float = 1.0) -> float:
        """Intersection over union, TP / (TP + FP + FN), from 0 to 1; `empty` as for `dice`."""
        union = self.tp + self.fp + self.fn
        return self.tp / union if union else empty

    def accuracy(self) -> float:
        """Eq. 7, (TP + TN) / all pixels, from 0 to 1. High on any frame where the LV is small."""
        return (self.tp + self.tn) / (self.tp + self.fp + self.fn + self.tn)

    def sensitivity(self) -> float:
        """Share of the true LV that was found, TP / (TP + FN), from 0 to 1; NaN where there is none."""
        return _share(self.tp, self.fn)

    def specificity(self) -> float:
        """Share of the background that was left alone, TN / (TN + FP), from 0 to 1; NaN where there is none."""
        return _share(self.tn, self.fp)

    def precision(self) -> float:
        """Share of the predicted LV that is true, TP / (TP + FP), from 0 to 1; NaN where nothing was predicted."""
        return _share(self.tp, self.fp)


def _share(right: int, wrong: int) -> float:
    return right / (right + wrong) if right + wrong else math.nan


def confusion(pred: np.ndarray, truth: np.ndarray) -> Confusion:
    """Count the pixels of two bool masks of one shape (height, width); raises `DataError` for all else."""
    _check_pair(pred, truth)
    tp = int(np.count_nonzero(pred & truth))
    fp = int(np.count_nonzero(pred)) - tp
    fn = int(np.count_nonzero(truth)) - tp
    return Confusion(tp, fp, fn, truth.size - tp - fp - fn)


def dice(pred: np.ndarray, truth: np.ndarray, *, empty: float = 1.0) -> float:
    """Dice coefficient of two bool masks, Eq. 6, from 0 to 1.

    empty: the answer where both masks are empty. 1 rewards a network that rightly finds nothing; a prediction
        on an empty truth always scores 0, so false positives count.
    """
    return confusion(pred, truth).dice(empty=empty)


def iou(pred: np.ndarray, truth: np.ndarray, *, empty: float = 1.0) -> float:
    """Intersection over union (Jaccard index) of two bool masks, from 0 to 1; `empty` as for `dice`."""
    return confusion(pred, truth).iou(empty=empty)


def accuracy(pred: np.ndarray, truth: np.ndarray) -> float:
    """Share of pixels told rightly, Eq. 7, from 0 to 1."""
    return confusion(pred, truth).accuracy()


def pooled_dice(confusions: Iterable[Confusion], *, empty: float = 1.0) -> float:
    """Eq. 6 on the pixels of all frames together, as EchoNet publishes it; not the mean of the frames' Dice.

    Large hearts weigh more than small ones. Without any frame the answer is `empty`, as without any LV pixel.
    """
    return sum(confusions, start=Confusion(0, 0, 0, 0)).dice(empty=empty)


@dataclass(frozen=True)
class Distances:
    """Distances in mm from each contour pixel to the other contour: `there` from pred to truth, `back` from truth.

    Float arrays, one value per contour pixel. Where one mask is empty both are [NaN]: no distance would be right, and
    such frames must be counted apart. Where both are empty both are [0].
    """

    there: np.ndarray
    back: np.ndarray

    def hd(self) -> float:
        """Hausdorff distance: the farthest that any contour pixel is from the other contour."""
        return float(max(self.there.max(), self.back.max()))

    def hd95(self) -> float:
        """95 % Hausdorff distance: the larger of the two directed 95th percentiles.

        So define it MONAI and DeepMind's surface-distance; a percentile of the pooled distances would be smaller.
        """
        return float(max(np.percentile(self.there, 95), np.percentile(self.back, 95)))

    def assd(self) -> float:
        """Average symmetric surface distance: the mean over the pixels of both contours (as MONAI)."""
        return float(np.concatenate((self.there, self.back)).mean())


def hd95_mm(pred: np.ndarray, truth: np.ndarray, spacing_mm: Spacing) -> float:
    """`Distances.hd95` of two masks in mm; arguments, empty masks and errors as for `contour_distances_mm`."""
    return contour_distances_mm(pred, truth, spacing_mm).hd95()


def assd_mm(pred: np.ndarray, truth: np.ndarray, spacing_mm: Spacing) -> float:
    """`Distances.assd` of two masks in mm; arguments, empty masks and errors as for `contour_distances_mm`."""
    return contour_distances_mm(pred, truth, spacing_mm).assd()


def diagonal_mm(shape: tuple[int, int], spacing_mm: Spacing) -> float:
    """The largest distance in mm between two pixels' centres in a frame of `shape`: from corner to corner."""
    return float(np.linalg.norm((np.asarray(shape) - 1) * check_spacing(spacing_mm)))


def contour_distances_mm(pred: np.ndarray, truth: np.ndarray, spacing_mm: Spacing) -> Distances:
    """Measure the two contours against each other.

    pred, truth: bool arrays (height, width); contours as `contour` finds them.
    spacing_mm: (row, column) size of a pixel at the masks' resolution.
    Raises `DataError` for masks of different shapes or a spacing that isn't positive.
    """
    _check_pair(pred, truth)
    scale = check_spacing(spacing_mm)
    if not (pred.any() and truth.any()):
        distance = np.array([math.nan if pred.any() or truth.any() else 0.0])
        return Distances(distance, distance)
    ours, theirs = contour(pred) * scale, contour(truth) * scale
    return Distances(KDTree(theirs).query(ours)[0], KDTree(ours).query(theirs)[0])


def _check_pair(pred: np.ndarray, truth: np.ndarray) -> None:
    check_mask(pred)
    check_mask(truth)
    if pred.shape != truth.shape:
        raise DataError(
            f"The masks differ in shape, {pred.shape} and {truth.shape}: "
            "resize the prediction back to the frame's native size."
        )
