"""Notebook 04: the losses of Eqs. 3 to 5 and their gradient, the scores of Eqs. 6 and 7, the distance of contours."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from lvseg import metrics
from lvseg.course.exercises.exercise import Exercise, Mistake, Probes


def cross_entropy(labels, logits):
    """Eq. 3 from logits, as the mean over pixels.

    labels: 0 or 1, float array (pixels,). logits: any real numbers, float array
    (pixels,); a pixel's probability is 1 / (1 + exp(-logit)). Returns a number, finite
    for logits of -1000 and 1000 too.
    """
    ### BEGIN SOLUTION
    # -log sigmoid(z) = log(1 + exp(-z)) = max(-z, 0) + log(1 + exp(-|z|))
    small = np.log1p(np.exp(-np.abs(logits)))
    return np.mean(np.maximum(logits, 0) - labels * logits + small)
    ### END SOLUTION


def _entropy(labels: np.ndarray, logits: np.ndarray) -> float:
    return float(np.mean(np.logaddexp(0, logits) - labels * logits))


def _logits(random: np.random.Generator) -> Probes:
    labels = (random.random(12) < 0.4).astype(float)
    labels[:2] = 0, 1
    return {
        "labels 1, 1, 0, 0 and logits 2, 0.5, -0.5, -2": (np.array([1.0, 1, 0, 0]), np.array([2, 0.5, -0.5, -2])),
        "twelve random pixels": (labels, random.normal(size=12)),
        "logits of -1000 and 1000, both wrong": (np.array([1.0, 0.0]), np.array([-1000.0, 1000.0])),
    }


_PLAIN = "np.mean(np.maximum(logits, 0) - labels * logits + small)"
_SIGMOID = "p = 1 / (1 + np.exp(-logits))\n    "

ENTROPY = Exercise(
    "04.entropy",
    "Write Eq. 3 so that it takes logits and stays finite however wrong and sure the network is; mean over the pixels.",
    cross_entropy,
    "your values and log(1 + exp(z)) - y z by NumPy's logaddexp, logits up to 1000",
    answer=_entropy,
    probes=_logits,
    mistakes=(
        Mistake(
            "sigmoid, then logarithm",
            {f"return {_PLAIN}": _SIGMOID + "return -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))"},
            "right on paper, but for a logit of 1000 the sigmoid is exactly 1, and log(1 - 1) isn't finite. Put the "
            "sigmoid into the logarithm first: -log sigmoid(z) = log(1 + exp(-z)).",
        ),
        Mistake(
            "probabilities kept away from 0 and 1",
            {
                f"return {_PLAIN}": "p = np.clip(1 / (1 + np.exp(-logits)), 1e-7, 1 - 1e-7)\n    "
                "return -np.mean(labels * np.log(p) + (1 - labels) * np.log(1 - p))"
            },
            "with clipped probabilities the loss ends at 16 and its gradient is 0 where the network is most wrong. Use "
            "the logit itself.",
        ),
        Mistake(
            "sum instead of mean",
            {"np.mean(": "np.sum("},
            "that is the sum, as Eq. 3 is printed. Here it is asked for the mean over pixels, so that alpha = beta = 1 "
            "balances.",
        ),
        Mistake(
            "the LV's pixels only",
            {f"return {_PLAIN}": "return np.mean(labels * np.logaddexp(0, -logits))"},
            "you have -y log(p) only. The background's half, -(1 - y) log(1 - p), is missing: finding LV everywhere "
            "would "
            "cost nothing.",
        ),
        Mistake(
            "logarithm to base 2",
            {f"return {_PLAIN}": f"return {_PLAIN} / np.log(2)"},
            "your values are 1.44 times too large: Eq. 3's logarithm is the natural one.",
        ),
        Mistake(
            "sign forgotten",
            {f"return {_PLAIN}": f"return -{_PLAIN}"},
            "your loss is negative: Eq. 3 starts with a minus, because logarithms of probabilities are negative.",
        ),
        Mistake(
            "labels turned over",
            {"labels * logits": "(1 - labels) * logits"},
            "your loss is small where the network is wrong: labels 0 and 1 have changed places.",
        ),
    ),
    hints=(
        "For y = 1 the loss is -log sigmoid(z) = log(1 + exp(-z)). For y = 0 it is log(1 + exp(z)).",
        "Both together: log(1 + exp(z)) - y z.",
        "exp(1000) overflows. `np.logaddexp(0, z)` is log(exp(0) + exp(z)) and doesn't.",
    ),
)


def dice_loss(labels, predictions, smooth=1.0):
    """Eq. 4 of each image in a batch, with `smooth` added above and below.

    labels, predictions: float arrays (batch, height, width), labels 0 or 1,
    predictions from 0 to 1. Returns a float array (batch,).
    """
    ### BEGIN SOLUTION
    overlap = (labels * predictions).sum(axis=(1, 2))
    total = labels.sum(axis=(1, 2)) + predictions.sum(axis=(1, 2))
    return 1 - (2 * overlap + smooth) / (total + smooth)
    ### END SOLUTION


def _soft_dice(labels: np.ndarray, predictions: np.ndarray, smooth: float) -> list[float]:
    """Pixel by pixel, in plain Python."""
    losses = []
    for truth, found in zip(labels, predictions, strict=True):
        pairs = [(float(y), float(p)) for y, p in zip(truth.ravel(), found.ravel(), strict=True)]
        above = smooth + sum(2 * y * p for y, p in pairs)
        losses.append(1 - above / (smooth + sum(y + p for y, p in pairs)))
    return losses


def _soft(random: np.random.Generator) -> Probes:
    labels = (random.random((3, 8, 6)) < 0.3).astype(float)
    labels[0] *= 0
    labels[0, 2:4, 2:5] = 1
    four = np.array([[[1.0, 1], [0, 0]]]), np.array([[[0.9, 0.6], [0.4, 0.1]]])
    return {
        "labels 1, 1, 0, 0 and predictions 0.9, 0.6, 0.4, 0.1": (*four, 1.0),
        "three random images": (labels, random.random((3, 8, 6)), 1.0),
        "no LV, and none found": (np.zeros((1, 4, 4)), np.zeros((1, 4, 4)), 1.0),
    }


DICE_LOSS = Exercise(
    "04.dice_loss",
    "Write Eq. 4 for a batch of images: one loss per image, with 1 added to numerator and denominator.",
    dice_loss,
    "your losses and a sum pixel by pixel, an image without LV too",
    answer=_soft_dice,
    probes=_soft,
    mistakes=(
        Mistake(
            "threshold first",
            {"overlap = (labels": "predictions = predictions > 0.5\n    overlap = (labels"},
            "you cut the predictions at 0.5. A step has no slope, so nothing could be learnt: use the probabilities.",
        ),
        Mistake(
            "coefficient instead of loss",
            {"return 1 - (2": "return (2"},
            "that is the Dice coefficient, which grows as the network gets better. The loss is 1 minus it.",
        ),
        Mistake(
            "the 2 forgotten",
            {"2 * overlap": "overlap"},
            "a perfect prediction should cost 0, yours costs about one half: the 2 in Eq. 4's numerator is missing.",
        ),
        Mistake(
            "1 added below only",
            {"2 * overlap + smooth": "2 * overlap"},
            "without LV, and with none found, yours costs 1. Add `smooth` above and below, then it costs 0.",
        ),
        Mistake(
            "all images together",
            {"axis=(1, 2)": "axis=None"},
            "you sum over the whole batch, so that large hearts drown small ones. Sum over height and width only.",
        ),
        Mistake(
            "squares in the denominator",
            {"predictions.sum(axis=(1, 2))": "(predictions**2).sum(axis=(1, 2))"},
            "with squared predictions below that is V-Net's form of the loss. Eq. 4 sums the predictions as they are.",
        ),
        Mistake(
            "nothing added",
            {"2 * overlap + smooth": "2 * overlap", "(total + smooth)": "total"},
            "without LV, and with none found, you compute 0 / 0. Add `smooth` to numerator and denominator.",
        ),
    ),
    hints=(
        "`(labels * predictions).sum(axis=(1, 2))` is one number per image.",
        "Numerator 2 * overlap + smooth; denominator: all labels plus all predictions, plus smooth.",
    ),
)


def gradient(labels, logits, smooth=1.0):
    """The slope of Eq. 5 for one image: dL / dz for the logit z of every pixel.

    L = Dice loss (with `smooth`) + mean cross-entropy, alpha = beta = 1.
    labels, logits: float arrays (pixels,). Returns a float array (pixels,).
    """
    ### BEGIN SOLUTION
    p = 1 / (1 + np.exp(-logits))
    above = 2 * (labels * p).sum() + smooth
    below = labels.sum() + p.sum() + smooth
    dice_by_p = -(2 * labels * below - above) / below**2  # the quotient rule
    entropy_by_z = (p - labels) / len(labels)
    return dice_by_p * p * (1 - p) + entropy_by_z
    ### END SOLUTION


def _by_small_steps(labels: np.ndarray, logits: np.ndarray, smooth: float = 1.0, step: float = 1e-4) -> np.ndarray:
    """The slope of the loss itself, from one small step up and one down per pixel."""

    def loss(z: np.ndarray) -> float:
        p = 1 / (1 + np.exp(-z))
        dice = 1 - (2 * (labels * p).sum() + smooth) / (labels.sum() + p.sum() + smooth)
        return float(dice + _entropy(labels, z))

    steps = step * np.eye(len(logits))
    return np.array([(loss(logits + each) - loss(logits - each)) / (2 * step) for each in steps])


def _pixels(random: np.random.Generator) -> Probes:
    labels = (random.random(9) < 0.5).astype(float)
    labels[:2] = 0, 1
    return {
        "labels 1, 1, 0, 0 and logits 2, 0.5, -0.5, -2": (np.array([1.0, 1, 0, 0]), np.array([2, 0.5, -0.5, -2])),
        "nine random pixels": (labels, random.normal(size=9)),
        "an image without LV": (np.zeros(5), random.normal(size=5)),
    }


GRADIENT = Exercise(
    "04.gradient",
    "Differentiate Eq. 5 by hand: how does the combined loss change with each pixel's logit?",
    gradient,
    "your slopes and those of the loss by small steps",
    answer=_by_small_steps,
    probes=_pixels,
    tolerance=1e-6,
    mistakes=(
        Mistake(
            "the sigmoid's slope forgotten",
            {"dice_by_p * p * (1 - p)": "dice_by_p"},
            "your Dice half is the slope by p. The chain rule asks for the sigmoid's slope too: dp/dz = p (1 - p).",
        ),
        Mistake(
            "the sigmoid's slope twice",
            {"entropy_by_z = (p - labels)": "entropy_by_z = p * (1 - p) * (p - labels)"},
            "in cross-entropy the sigmoid's slope cancels: what is left is p - y. Yours has p (1 - p) once more, which "
            "would stop learning just where the network is sure and wrong.",
        ),
        Mistake(
            "denominator taken as constant",
            {"(2 * labels * below - above) / below**2": "2 * labels / below"},
            "the Dice loss has the predictions in its denominator too: use the quotient rule.",
        ),
        Mistake(
            "cross-entropy's sum instead of mean",
            {"(p - labels) / len(labels)": "(p - labels)"},
            "your cross-entropy half is that of the sum. The mean's is divided by the number of pixels.",
        ),
        Mistake(
            "cross-entropy alone",
            {"dice_by_p * p * (1 - p) + entropy_by_z": "entropy_by_z"},
            "this is the cross-entropy's half. Eq. 5 adds the Dice loss's.",
        ),
        Mistake(
            "Dice alone",
            {"dice_by_p * p * (1 - p) + entropy_by_z": "dice_by_p * p * (1 - p)"},
            "this is the Dice loss's half. Eq. 5 adds the cross-entropy's.",
        ),
        Mistake(
            "uphill",
            {"return dice_by_p * p * (1 - p) + entropy_by_z": "return -(dice_by_p * p * (1 - p) + entropy_by_z)"},
            "every sign is turned: a pixel of the LV must have a negative slope, a higher logit makes the loss "
            "smaller.",
        ),
    ),
    hints=(
        "Two halves. Cross-entropy's is short: dL/dz = (p - y) / n, because the sigmoid's slope cancels.",
        "The Dice loss is 1 - A / B with A = 2 sum(y p) + 1 and B = sum(y) + sum(p) + 1. Its slope by one p is "
        "-(2 y B - A) / B².",
        "Then dp/dz = p (1 - p), by the chain rule.",
    ),
)


def dice(pred, truth):
    """Eq. 6, 2 TP / (2 TP + FP + FN), of two bool masks; 1.0 if both are empty."""
    ### BEGIN SOLUTION
    pixels = pred.sum() + truth.sum()
    return 2 * (pred & truth).sum() / pixels if pixels else 1.0
    ### END SOLUTION


def _masks(random: np.random.Generator) -> Probes:
    truth = random.random((9, 12)) < 0.3
    pred = (truth & (random.random((9, 12)) < 0.8)) | (random.random((9, 12)) < 0.15)
    truth[0, :4], pred[0, :4] = (True, True, True, False), (True, False, True, True)
    truth[1, :2], pred[1, :2] = (True, False), (False, False)
    nothing, small, large = np.zeros_like(truth), np.zeros_like(truth), np.zeros_like(truth)
    small[2, 3:9], large[2:4, 5:11] = True, True  # 6 and 12 pixels, of which 4 are shared
    return {
        "two masks that overlap": (pred, truth),
        "a mask that misses much": (small, large),
        "two equal masks": (truth, truth.copy()),
        "a mask where there is no LV": (pred, nothing),
        "two empty masks": (nothing, nothing.copy()),
    }


_EMPTY = "right, but for two empty masks: there Eq. 6 is 0 / 0. Return 1.0 there."

DICE = Exercise(
    "04.dice",
    "Write Eq. 6 for two bool masks. Where neither has a pixel, the answer is 1.",
    dice,
    "your Dice and the package's, on overlapping, equal and empty masks",
    answer=metrics.dice,
    probes=_masks,
    mistakes=(
        Mistake(
            "intersection over union",
            {"pixels = pred.sum() + truth.sum()": "pixels = (pred | truth).sum()", "2 * (pred": "(pred"},
            "that is intersection over union (IoU), which counts the overlap once. Dice counts it twice, above and "
            "below.",
        ),
        Mistake(
            "union below",
            {"pixels = pred.sum() + truth.sum()": "pixels = (pred | truth).sum()"},
            "two equal masks give 2: your denominator counts the overlap once, because True + True is True for bool "
            "masks. Add the two sums.",
        ),
        Mistake(
            "the 2 forgotten",
            {"2 * (pred": "(pred"},
            "two equal masks give one half: the 2 in the numerator is missing.",
        ),
        Mistake(
            "missed pixels not counted",
            {"pixels = pred.sum() + truth.sum()": "pixels = 2 * pred.sum()"},
            "you divide by the predicted pixels alone (that is precision): what was missed costs nothing.",
        ),
        Mistake(
            "wrongly found pixels not counted",
            {"pixels = pred.sum() + truth.sum()": "pixels = 2 * truth.sum()"},
            "you divide by the true pixels alone (that is sensitivity): a mask of the whole image would score 1.",
        ),
        Mistake(
            "0/0 left alone",
            {" if pixels else 1.0": ""},
            _EMPTY,
        ),
        Mistake(
            "0/0 left alone, in plain Python",
            {
                "pixels = pred.sum() + truth.sum()": "pixels = int(pred.sum() + truth.sum())",
                "2 * (pred & truth).sum() / pixels if pixels else 1.0": "2 * int((pred & truth).sum()) / pixels",
            },
            _EMPTY,
        ),
        Mistake(
            "two empty masks score 0",
            {"else 1.0": "else 0.0"},
            "right, but for two empty masks: nothing to find and nothing found is a success here, 1.0.",
        ),
    ),
    hints=(
        "TP is `(pred & truth).sum()`.",
        "2 TP + FP + FN is the number of predicted pixels plus the number of true ones.",
    ),
)


def accuracy(pred, truth):
    """Eq. 7, (TP + TN) / all pixels, of two bool masks of one shape."""
    ### BEGIN SOLUTION
    return (pred == truth).mean()
    ### END SOLUTION


ACCURACY = Exercise(
    "04.accuracy",
    "Write Eq. 7 for two bool masks.",
    accuracy,
    "your accuracy and the package's, on overlapping, equal and empty masks",
    answer=metrics.accuracy,
    probes=_masks,
    mistakes=(
        Mistake(
            "background not counted",
            {"(pred == truth).mean()": "(pred & truth).mean()"},
            "you count the LV's pixels that were found. The background's right pixels (TN) count too.",
        ),
        Mistake(
            "LV not counted",
            {"(pred == truth).mean()": "(~pred & ~truth).mean()"},
            "you count the background's right pixels only. The LV's (TP) count too.",
        ),
        Mistake(
            "share of errors",
            {"pred == truth": "pred != truth"},
            "that is the share of wrong pixels; accuracy is 1 minus it.",
        ),
        Mistake(
            "a number of pixels",
            {".mean()": ".sum()"},
            "that is how many pixels are right. Divide by all pixels.",
        ),
        Mistake(
            "divided by the pixels of either mask",
            {"(pred == truth).mean()": "(pred & truth).sum() / max((pred | truth).sum(), 1)"},
            "that is intersection over union. Eq. 7 divides by all pixels of the image, the background's too.",
        ),
        Mistake(
            "mean of both classes",
            {
                "return (pred == truth).mean()": "of_class = [(pred == truth)[truth == c] for c in (True, False)]\n"
                "    return np.mean([right.mean() for right in of_class if right.size])"
            },
            "you weigh LV and background alike (balanced accuracy). A fairer score, but not Eq. 7, which counts "
            "pixels.",
        ),
    ),
    hints=("`pred == truth` is True where a pixel is right.", "The mean of a bool array is the share of True."),
)


def hd95_mm(pred, truth, spacing_mm):
    """The 95 % Hausdorff distance of two contours, in mm.

    pred, truth: int arrays (points, 2) of (row, column). spacing_mm: the size of a
    pixel, (row, column). From each point the distance to the nearest point of the
    other contour; of these the 95th percentile; the larger of the two directions.
    """
    ### BEGIN SOLUTION
    a, b = pred * np.array(spacing_mm), truth * np.array(spacing_mm)
    distance = np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))  # (points, points)
    there, back = distance.min(axis=1), distance.min(axis=0)
    return max(np.percentile(there, 95), np.percentile(back, 95))
    ### END SOLUTION


def _hausdorff95(pred: np.ndarray, truth: np.ndarray, spacing_mm: tuple[float, float]) -> float:
    distance = cdist(pred * np.array(spacing_mm), truth * np.array(spacing_mm))
    return float(max(np.percentile(distance.min(axis=axis), 95) for axis in (0, 1)))


def _contours(random: np.random.Generator) -> Probes:
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    circle = np.stack([40 + 20 * np.sin(turn), 40 + 14 * np.cos(turn)], axis=1).astype(int)
    far = np.concatenate([circle + random.integers(-3, 4, circle.shape), [[90, 95]]])
    bump = np.concatenate([circle, circle[:8] + random.integers(12, 25, (8, 2))])
    return {
        "a contour with one stray point": (far, circle, (0.5, 0.3)),
        "a contour with a bump": (bump, circle, (0.5, 0.3)),
        "the same the other way round": (circle, bump, (0.5, 0.3)),
        "the same contour twice": (circle, circle.copy(), (0.5, 0.3)),
    }


_LAST = "return max(np.percentile(there, 95), np.percentile(back, 95))"

HD95 = Exercise(
    "04.hd95",
    "Measure how far two contours lie apart: the 95 % Hausdorff distance, in millimetres.",
    hd95_mm,
    "your distance and SciPy's, of contours with a stray point and with a bump",
    answer=_hausdorff95,
    probes=_contours,
    mistakes=(
        Mistake(
            "the largest distance",
            {_LAST: "return max(there.max(), back.max())"},
            "that is the Hausdorff distance itself: one stray point decides. Take the 95th percentile of each "
            "direction.",
        ),
        Mistake(
            "from the prediction only",
            {_LAST: "return np.percentile(there, 95)"},
            "you look from the prediction to the truth only: a part of the LV that was missed goes unseen. Look "
            "from both.",
        ),
        Mistake(
            "from the truth only",
            {_LAST: "return np.percentile(back, 95)"},
            "you look from the truth to the prediction only: a bump of the prediction goes unseen. Look from both.",
        ),
        Mistake(
            "both directions in one pot",
            {_LAST: "return np.percentile(np.concatenate([there, back]), 95)"},
            "you take one percentile of both directions together, which is smaller. Take each direction's, then the "
            "larger.",
        ),
        Mistake(
            "pixels instead of millimetres",
            {"pred * np.array(spacing_mm), truth * np.array(spacing_mm)": "pred, truth"},
            "your distance is in pixels: multiply rows and columns by their size in mm first.",
        ),
        Mistake(
            "rows and columns mixed up",
            {"np.array(spacing_mm)": "np.array(spacing_mm[::-1])"},
            "rows and columns have changed places: spacing_mm is (row, column), as the points are.",
        ),
        Mistake(
            "mean instead of percentile",
            {_LAST: "return np.concatenate([there, back]).mean()"},
            "that is the average distance (ASSD). HD95 asks for the bad end: the 95th percentile.",
        ),
        Mistake(
            "all pairs of points",
            {"distance.min(axis=1), distance.min(axis=0)": "distance.ravel(), distance.ravel()"},
            "the same contour twice should give 0: take each point's distance to the nearest point, not to all.",
        ),
        Mistake(
            "squared distances",
            {"np.sqrt(((a[:, None] - b[None]) ** 2).sum(axis=-1))": "((a[:, None] - b[None]) ** 2).sum(axis=-1)"},
            "your distances are squared, mm²: the root is missing.",
        ),
    ),
    hints=(
        "In mm first: `pred * np.array(spacing_mm)`.",
        "`a[:, None] - b[None]` has the difference of every pair of points, (points of a, points of b, 2).",
        "`distance.min(axis=1)` is from each point of the prediction to the nearest of the truth.",
    ),
)

EXERCISES = (ENTROPY, DICE_LOSS, GRADIENT, DICE, ACCURACY, HD95)
