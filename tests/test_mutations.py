"""Would the checks notice a wrong formula? Each equation and Table 1 is broken in many small ways, one at a time.

A mutation replaces one piece of a module's source, in memory; a check compares the module with an independent oracle.
Each check must pass on the module as it is and fail on every mutation of it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import cv2
import numpy as np
import pandas as pd
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from scipy.ndimage import maximum_filter
from scipy.special import expit, log_expit
from sklearn.metrics import accuracy_score, f1_score

from lvseg import paper
from lvseg.backend import keras
from lvseg.experiment import NetworkConfig
from lvseg.figures import graph
from tests.results.support import JUDGED

RNG = np.random.default_rng(0)
CONFIG = NetworkConfig.of(width=8, size=16, channels=1)


# Checks: a module against an oracle


def eq2(clahe: ModuleType) -> None:
    """s = T(r): two cases by hand."""
    np.testing.assert_array_equal(clahe.grey_mapping(np.array([4, 0, 2, 2])), [2, 2, 2, 3])
    np.testing.assert_array_equal(clahe.grey_mapping(np.array([1, 1, 1, 1])), [1, 2, 2, 3])


def whole_clahe(clahe: ModuleType) -> None:
    """All three steps: OpenCV, on an image of which 8 tiles divide one side only."""
    image = np.minimum(np.random.default_rng(0).exponential(50, (240, 315)), 255).astype(np.uint8)
    for clip_limit, tiles in ((2.0, 8), (0.5, 4), (0.0, 3), (0.01, 8)):
        expected = cv2.createCLAHE(clip_limit, (tiles, tiles)).apply(image)
        np.testing.assert_array_equal(clahe.steps(image, clip_limit, tiles).result, expected)
        np.testing.assert_array_equal(clahe.equalise(image, clip_limit, tiles), expected)


LABELS = RNG.random((2, 4, 4, 1)).astype("float32")
LOGITS = RNG.normal(0, 3, (2, 4, 4, 1)).astype("float32")


def entropy_in_double(reduction: Callable) -> np.ndarray:
    labels, logits = LABELS.astype(float), LOGITS.astype(float)
    return -reduction(labels * log_expit(logits) + (1 - labels) * log_expit(-logits), axis=(1, 2, 3))


def dice_in_double() -> np.ndarray:
    overlap, total = (LABELS * expit(LOGITS)).sum((1, 2, 3)), (LABELS + expit(LOGITS)).sum((1, 2, 3))
    return 1 - (2 * overlap + 1) / (total + 1)


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def eq3(losses: ModuleType) -> None:
    """Cross-entropy, from logits and from probabilities: SciPy in double precision."""
    for predictions, from_logits in ((LOGITS, True), (expit(LOGITS), False)):
        for reduction, name in ((np.mean, "mean"), (np.sum, "sum")):
            ours = losses.cross_entropy(LABELS, predictions, from_logits=from_logits, reduction=name)
            np.testing.assert_allclose(numbers(ours), entropy_in_double(reduction), rtol=1e-5)


def eq4(losses: ModuleType) -> None:
    """Dice loss, from logits and from probabilities: NumPy in double precision."""
    for predictions, from_logits in ((LOGITS, True), (expit(LOGITS), False)):
        ours = losses.dice_loss(LABELS, predictions, from_logits=from_logits)
        np.testing.assert_allclose(numbers(ours), dice_in_double(), rtol=1e-5)


def eq5(losses: ModuleType) -> None:
    """The combined loss with unequal weights."""
    expected = 0.5 * dice_in_double() + 3 * entropy_in_double(np.sum)
    ours = losses.combined_loss(0.5, 3.0, reduction="sum")(LABELS, LOGITS)
    np.testing.assert_allclose(numbers(ours), expected, rtol=1e-5)
    expected = dice_in_double() + entropy_in_double(np.mean)
    np.testing.assert_allclose(numbers(losses.combined_loss()(LABELS, LOGITS)), expected, rtol=1e-5)


def eqs_6_and_7(metrics: ModuleType) -> None:
    """Dice and accuracy: scikit-learn on two frames, and on both together."""
    preds, truths = (np.random.default_rng(seed).random((2, 9, 7)) < share for seed, share in ((1, 0.5), (2, 0.3)))
    for pred, truth in zip(preds, truths, strict=True):
        assert metrics.dice(pred, truth) == pytest.approx(f1_score(truth.ravel(), pred.ravel()))
        assert metrics.accuracy(pred, truth) == pytest.approx(accuracy_score(truth.ravel(), pred.ravel()))
    pooled = metrics.pooled_dice(map(metrics.confusion, preds, truths))
    assert pooled == pytest.approx(f1_score(truths.ravel(), preds.ravel()))


class Oracle:
    """A small model's layers in NumPy, with random weights, one image (height, width, channels) at a time."""

    def __init__(self, inputs, output):
        self.model = keras.Model(inputs, output)
        for weight in self.model.weights:
            positive = weight.name == "moving_variance"
            weight.assign(RNG.uniform(0.5, 2, weight.shape) if positive else RNG.normal(0, 0.5, weight.shape))

    def __call__(self, *images: np.ndarray) -> np.ndarray:
        batches = [image[None].astype("float32") for image in images]
        return numbers(self.model(batches if len(batches) > 1 else batches[0]))[0]

    def weights(self, name: str) -> list[np.ndarray]:
        return [numbers(weight).astype(float) for weight in self.model.get_layer(name).weights]

    def conv(self, x: np.ndarray, name: str, side: int, stride: int = 1) -> np.ndarray:
        kernel, bias = self.weights(name)
        assert kernel.shape[:2] == (side, side)
        padding = max(side - stride, 0)
        around = (padding // 2, padding - padding // 2)
        windows = sliding_window_view(np.pad(x, (around, around, (0, 0))), (side, side), (0, 1))[::stride, ::stride]
        return np.einsum("hwcij,ijco->hwo", windows, kernel) + bias

    def norm(self, x: np.ndarray, name: str) -> np.ndarray:
        gamma, beta, mean, variance = self.weights(name)
        return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def leaky(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.01 * x)


def fig5(blocks: ModuleType) -> None:
    """The encoder's residual block (U1) with stride 2: two stages, shortcut, addition, sampling."""
    x = keras.Input((6, 6, 3))
    oracle = Oracle(x, blocks.residual_block(x, 8, CONFIG, "b", stride=2))
    image = RNG.normal(size=(6, 6, 3))
    y = image
    for step in (1, 2):
        y = leaky(oracle.conv(oracle.norm(y, f"b_{step}_norm"), f"b_conv{step}", 3))
    y = y + oracle.conv(image, "b_shortcut", 1)
    np.testing.assert_allclose(oracle(image), oracle.conv(y, "b_conv3", 3, stride=2), rtol=1e-3, atol=1e-4)


def inception(blocks: ModuleType) -> None:
    """The Inception module's four branches (U2)."""
    x = keras.Input((6, 6, 4))
    oracle = Oracle(x, blocks.inception_module(x, 8, CONFIG, "i"))
    image = RNG.normal(size=(6, 6, 4))
    pooled = maximum_filter(image, (3, 3, 1), mode="constant", cval=-np.inf)
    branches = []
    for number, (start, sides) in enumerate(((image, (1,)), (image, (1, 3)), (image, (1, 3, 3)), (pooled, (1,))), 1):
        y = start
        for step, side in enumerate(sides, 1):
            y = leaky(oracle.conv(y, f"i_branch{number}_conv{step}", side))
        assert y.shape == (6, 6, 2)
        branches.append(y)
    np.testing.assert_allclose(oracle(image), np.concatenate(branches, -1), rtol=1e-3, atol=1e-4)


def gate(blocks: ModuleType) -> None:
    """The additive attention gate (U3): the skip times the sigmoid of psi(LeakyReLU(W skip + U gate + b))."""
    skip, below = keras.Input((4, 4, 6)), keras.Input((4, 4, 8))
    oracle = Oracle([skip, below], blocks.attention(skip, below, CONFIG, "a"))
    images = RNG.normal(size=(4, 4, 6)), RNG.normal(size=(4, 4, 8))
    kernel, bias = oracle.weights("a_sum")
    w, u = kernel[0, 0, :6], kernel[0, 0, 6:]
    y = leaky(images[0] @ w + images[1] @ u + bias)
    expected = images[0] * expit(oracle.conv(y, "a_psi", 1))
    np.testing.assert_allclose(oracle(*images), expected, rtol=1e-3, atol=1e-4)


def table_1(module: ModuleType) -> None:
    """The built network: Table 1 at an eighth of the width and a sixteenth of the size, and its parameters."""
    built_by = {"lvseg.networks": module}.get(module.__name__, mutated("networks"))
    read_by = {"lvseg.figures.graph": module}.get(module.__name__, graph)
    if module.__name__ == "lvseg.blocks":
        built_by.blocks = module
    network = built_by.build(CONFIG)
    rows = read_by.table1(network)
    for ours, theirs in zip(rows, paper.TABLE_1, strict=True):
        height, width, channels = theirs.output
        assert ours.output == (height // 16, width // 16, max(channels // 8, 1))
        assert (ours.name, ours.kernels, ours.strides) == (theirs.name, theirs.kernels, theirs.strides)
    assert network.count_params() == 835_079  # by hand in test_networks
    image = RNG.random((1, 16, 16, 1)).astype("float32")
    probability = expit(numbers(built_by.logits(network)(image)))
    np.testing.assert_allclose(numbers(network(image)), probability, atol=1e-6)


def improvements(experiment: ModuleType) -> None:
    """Inception, attention and LeakyReLU: all three in the improved network, none in the two others."""
    choices = {model: experiment.NetworkConfig.of(model=model) for model in paper.METHODS}
    on = {model: (c.inception, c.attention, c.slope) for model, c in choices.items()}
    assert on.pop("improved_resunet") == ("encoder", "gate", 0.01)
    assert set(on.values()) == {("none", "none", 0.0)}


def verdicts(claims: ModuleType) -> None:
    """A claimed gain is judged in the stated order: cases by hand."""
    for low, high, p, said in JUDGED:
        assert claims.verdict(low, high, p, gain=0.05) == said


def holm(statistics: ModuleType) -> None:
    """Four p-values by hand."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.7, 0.9]) == [1, 1]


def measures(metrics: ModuleType) -> None:
    """Shares by hand, and distances of a square with an island from the square: its 36 contour pixels, 4 far off."""
    counts = metrics.Confusion(tp=30, fp=7, fn=13, tn=950)
    found = counts.iou(), counts.sensitivity(), counts.specificity(), counts.precision()
    assert found == pytest.approx((30 / 50, 30 / 43, 950 / 957, 30 / 37))
    truth = np.zeros((40, 100), bool)
    truth[10:20, 10:20] = True
    pred = truth.copy()
    pred[10:12, 80:82] = True
    distances = metrics.contour_distances_mm(pred, truth, (1.0, 0.5))
    assert distances.hd() == pytest.approx(31) and distances.assd() == pytest.approx((2 * 30.5 + 2 * 31) / 76)
    assert distances.hd95() == pytest.approx(30.525) and metrics.diagonal_mm((4, 5), (2.0, 0.5)) == math.hypot(6, 2)
    back = metrics.contour_distances_mm(truth, pred, (1.0, 0.5))
    assert (back.hd(), back.hd95()) == pytest.approx((31, 30.525))


def limits(agreement: ModuleType) -> None:
    """Differences 1, 3, 2, 2, with n - 1; t of 3 degrees of freedom is 3.1824."""
    found, sd = agreement.bland_altman([11, 13, 22, 32], [10, 10, 20, 30], list("abcd")), (2 / 3) ** 0.5
    assert found[3:7] == pytest.approx((2, sd, 2 - 1.96 * sd, 2 + 1.96 * sd))
    half = 3.18245 * sd * (1 / 4 + 1.96**2 / 6) ** 0.5
    assert found.bias_ci95 == pytest.approx([2 - 3.18245 * sd / 2, 2 + 3.18245 * sd / 2], rel=1e-5)
    assert found.low_ci95 == pytest.approx([found.low - half, found.low + half], rel=1e-5)
    assert found.high_ci95 == pytest.approx([found.high - half, found.high + half], rel=1e-5)


def variances(statistics: ModuleType) -> None:
    """Three patients under two seeds, by hand: means 2, 6, 7 and 4, 6, in all 5; mean squares 14, 6, and 1 is left."""
    scores = {"a": (1.0, 3.0), "b": (4.0, 8.0), "c": (7.0, 7.0)}
    rows = [(patient, seed, pair[seed]) for patient, pair in scores.items() for seed in (0, 1)]
    found = statistics.variance(pd.DataFrame(rows, columns=["patient", "seed", "dice"]))
    assert (found.patients, found.seeds, found.residual) == pytest.approx((6, 4 / 3, 2))


# Mutations


class Mutation(NamedTuple):
    module: str
    check: Callable[[ModuleType], None]
    old: str
    new: str


def of(module: str, check: Callable[[ModuleType], None], *pairs: tuple[str, str]) -> list[Mutation]:
    return [Mutation(module, check, old, new) for old, new in pairs]


# pieces of `blocks.residual_block` that several mutations change
STAGE = 'y = convolution(y, filters, 3, f"{block}_conv{number}")'
ADDITION = """f"{name}_2")
        y = layers.Add(name=f"{name}_add")([y, convolution(x"""
SAMPLING = 'y = convolution(y, filters, 3, f"{name}_conv3", stride)'

MUTATIONS = [
    *of("clahe", eq2,
        ("top = histogram.shape[-1] - 1", "top = histogram.shape[-1]"),
        ("histogram.cumsum(axis=-1)", "histogram"),
        ("/ cumulative[..., -1:]", "/ cumulative[..., :1]"),
        ("np.rint(cumulative.astype", "np.floor(cumulative.astype")),
    *of("clahe", whole_clahe,
        ("return clipped + share + gets_one_more", "return clipped + share"),
        ("return clipped + share + gets_one_more", "return clipped + gets_one_more"),
        ("return clipped + share + gets_one_more", "return histogram"),
        ("level // distance < rest", "level // distance <= rest"),
        ("np.divmod(excess, levels)", "np.divmod(excess, levels - 1)"),
        ("levels // np.maximum(rest, 1)", "np.maximum(levels // np.maximum(rest, 1) - 1, 1)"),
        ("max(1, int(clip_limit", "max(0, int(clip_limit"),
        ("int(clip_limit * height * width / levels)", "int(clip_limit * height * width / (levels - 1)) + 1"),
        ("np.float32(tile)) - np.float32(0.5)", "np.float32(tile))"),
        ("upper * (1 - down) + lower * down", "upper * down + lower * (1 - down)"),
        ("np.minimum(first + 1, tiles - 1)", "np.minimum(first, tiles - 1)"),
        ("cv2.BORDER_REFLECT_101", "cv2.BORDER_REFLECT"),
        ("if height % rows == 0 and width", "if height % rows == 0 or width"),
        ("cv2.createCLAHE(clip_limit, (columns, rows))", "cv2.createCLAHE(clip_limit + 1, (columns, rows))")),
    *of("losses", eq3,
        ("ops.relu(predictions) - predictions * labels", "ops.relu(predictions) + predictions * labels"),
        ("ops.relu(predictions) - predictions * labels", "ops.relu(predictions)"),
        ("ops.relu(predictions) - predictions * labels", "-predictions * labels"),
        ("+ ops.softplus(-ops.abs(predictions))", "- ops.softplus(-ops.abs(predictions))"),
        ("+ ops.softplus(-ops.abs(predictions))", "+ ops.softplus(ops.abs(predictions))"),
        ("+ ops.softplus(-ops.abs(predictions))", ""),
        ("ops.binary_crossentropy(labels, predictions)", "ops.binary_crossentropy(predictions, labels)"),
        ("ops.binary_crossentropy(labels, predictions)", "-labels * ops.log(predictions)"),
        ('if reduction == "mean"', 'if reduction != "mean"'),
        ("PIXELS = (1, 2, 3)", "PIXELS = (0, 1, 2, 3)"),
        ('ops.convert_to_tensor(tensor), "float32")', 'ops.convert_to_tensor(tensor), "float16")')),
    *of("losses", eq4,
        ("(2 * overlap + SMOOTH)", "(overlap + SMOOTH)"),
        ("return 1 - (2 *", "return (2 *"),
        ("return 1 - (2 *", "return 1 + (2 *"),
        ("ops.sum(labels, PIXELS) + ops.sum(predictions, PIXELS)", "ops.sum(labels, PIXELS)"),
        ("ops.sum(labels, PIXELS) + ops.sum(predictions, PIXELS)", "ops.sum(predictions, PIXELS)"),
        ("/ (total + SMOOTH)", "/ total"),
        ("(2 * overlap + SMOOTH)", "(2 * overlap)"),
        ("ops.sum(labels * predictions, PIXELS)", "ops.sum(labels + predictions, PIXELS)"),
        ("ops.sigmoid(predictions)", "ops.sigmoid(ops.sigmoid(predictions))"),
        ("SMOOTH = 1.0", "SMOOTH = 1e-6")),
    *of("losses", eq5,
        ("return alpha * dice + beta *", "return alpha * dice - beta *"),
        ("return alpha * dice + beta *", "return dice + beta *"),
        ("return alpha * dice + beta *", "return alpha * dice +"),
        ("return alpha * dice + beta *", "return beta * dice + alpha *"),
        ("return alpha * dice + beta *", "return beta *"),
        ("from_logits=from_logits, reduction=reduction)", "from_logits=from_logits)"),
        ("beta: float = 1.0", "beta: float = 0.5")),
    *of("metrics", eqs_6_and_7,
        ("return 2 * self.tp / pixels", "return self.tp / pixels"),
        ("pixels = 2 * self.tp + self.fp + self.fn", "pixels = self.tp + self.fp + self.fn"),
        ("pixels = 2 * self.tp + self.fp + self.fn", "pixels = 2 * self.tp + self.fp"),
        ("pixels = 2 * self.tp + self.fp + self.fn", "pixels = 2 * self.tp + self.fn"),
        ("return (self.tp + self.tn) /", "return self.tp /"),
        ("return (self.tp + self.tn) /", "return self.tn /"),
        ("/ (self.tp + self.fp + self.fn + self.tn)", "/ (self.tp + self.fp + self.fn)"),
        ("np.count_nonzero(pred & truth)", "np.count_nonzero(pred | truth)"),
        ("int(np.count_nonzero(pred)) - tp", "int(np.count_nonzero(pred))"),
        ("int(np.count_nonzero(truth)) - tp", "int(np.count_nonzero(truth))"),
        ("truth.size - tp - fp - fn", "truth.size - tp - fp"),
        ("self.fp + other.fp", "self.fp")),
    *of("results.claims", verdicts,
        ("if high < 0 and p < SIGNIFICANT:", "if high < 0:"),
        ("if high < 0 and p < SIGNIFICANT:", "if low < 0 and p < SIGNIFICANT:"),
        ("if high < 0 and p < SIGNIFICANT:", "if False:"),
        ("if high < gain:", "if high <= gain:"),
        ("if high < gain:", "if low < gain:"),
        ("if high < gain:", "if high < 0:"),
        ("if low > 0 and p < SIGNIFICANT:", "if low > 0:"),
        ("if low > 0 and p < SIGNIFICANT:", "if low >= 0 and p < SIGNIFICANT:"),
        ("if low > 0 and p < SIGNIFICANT:", "if p < SIGNIFICANT:"),
        ("if low > 0 and p < SIGNIFICANT:", "if low >= gain and p < SIGNIFICANT:"),
        ("SIGNIFICANT = 0.05", "SIGNIFICANT = 0.051"),
        ("SIGNIFICANT = 0.05", "SIGNIFICANT = 0.01")),
    *of("results.statistics", holm,
        ("(len(p_values) - rank) *", "len(p_values) *"),
        ("(len(p_values) - rank) *", ""),
        ("(len(p_values) - rank) *", "(len(p_values) - rank - 1) *"),
        ("least = max(least, min(", "least = max(0.0, min("),
        ("p_values[place], 1.0)", "p_values[place], 2.0)"),
        ("corrected[place] = least", "corrected[rank] = least")),
    *of("metrics", measures,
        ("_share(self.tp, self.fn)", "_share(self.tp, self.fp)"),
        ("_share(self.tn, self.fp)", "_share(self.tn, self.fn)"),
        ("        return _share(self.tp, self.fp)", "        return _share(self.tp, self.fn)"),
        ("max(self.there.max(), self.back.max())", "self.there.max()"),
        ("max(self.there.max(), self.back.max())", "self.back.max()"),
        ("max(np.percentile(self.there, 95)", "min(np.percentile(self.there, 95)"),
        ("max(np.percentile(self.there, 95)", "max(np.percentile(self.there, 90)"),
        ("np.concatenate((self.there, self.back))", "self.there"),
        ("contour(pred) * scale, contour(truth) * scale", "contour(pred), contour(truth)"),
        ("(np.asarray(shape) - 1)", "np.asarray(shape)")),
    *of("results.agreement", limits,
        ("np.asarray(predicted, float) - np", "-np.asarray(predicted, float) + np"),
        ("ddof=1", "ddof=0"),
        ("LIMITS = 1.96", "LIMITS = 2.0"),
        ("stdtrit(n - 1, 0.975)", "stdtrit(n - 1, 0.95)"),
        ("stdtrit(n - 1, 0.975)", "stdtrit(n, 0.975)"),
        ("t * sd / math.sqrt(n)", "t * sd"),
        ("1 / n + LIMITS**2 / (2 * (n - 1))", "3 / n"),
        ("1 / n + LIMITS**2 / (2 * (n - 1))", "1 / n"),
        ("(high, of_limit)", "(high, of_bias)")),
    *of("results.statistics", variances,
        ("means - rows[:, None] - columns + whole", "means - rows[:, None] - columns"),
        ("((patients - 1) * (seeds - 1))", "(patients * seeds)"),
        ("seeds * rows.var(ddof=1)", "rows.var(ddof=1)"),
        ("patients * columns.var(ddof=1)", "patients * columns.var(ddof=0)"),
        ("(float(of_patients) - residual) / seeds", "float(of_patients) / seeds"),
        ("(float(of_seeds) - residual) / patients", "(float(of_seeds) - residual) / seeds")),
    *of("blocks", fig5,
        (SAMPLING, SAMPLING.replace(", stride", "")),
        (SAMPLING, SAMPLING.replace("3,", "1,")),
        ('y = _stage(y, filters, config, f"{name}_2")', "pass"),
        (ADDITION, ADDITION.replace("convolution(x", "convolution(y")),
        (ADDITION, ADDITION.replace("layers.Add", "layers.Average")),
        ('    y = normalisation(x, config, f"{name}_norm")', "    y = x"),
        ('f"{block}_conv{number}")\n    return activation(y', 'f"{block}_conv{number}")\n    return (lambda *_: y)(y'),
        ("negative_slope=config.slope", "negative_slope=0.3"),
        ('padding="same", name=name)(x)\n\n\ndef activation', 'padding="valid", name=name)(x)\n\n\ndef activation')),
    *of("blocks", inception,
        ("filters // 4, kernel", "filters // 2, kernel"),
        ("(3, 3) if config.inception_5x5", "(3,) if config.inception_5x5"),
        ("branch(x, 1, 3, number=2)", "branch(x, 1, 1, number=2)"),
        ("branch(pooled, 1, number=4)", "branch(x, 1, number=4)"),
        ("layers.MaxPooling2D(3, strides=1", "layers.AveragePooling2D(3, strides=1"),
        ("layers.MaxPooling2D(3, strides=1", "layers.MaxPooling2D(5, strides=1"),
        ('y = activation(y, config, f"{name}_branch{number}_activation{step}")', "pass")),
    *of("blocks", gate,
        ("([skip, gate]), skip.shape", "([gate, skip]), skip.shape"),
        ("([skip, gate]), skip.shape", "([skip, skip]), skip.shape"),
        ('activation(y, config, f"{name}_activation"), 1, 1', "y, 1, 1"),
        ('"sigmoid", name=f"{name}_weight")(y)', '"tanh", name=f"{name}_weight")(y)'),
        ('(y)\n    return layers.Multiply(name=name)', '(y)\n    return layers.Add(name=name)')),
    *of("blocks", table_1,
        (SAMPLING, SAMPLING.replace(", stride", "")),
        (STAGE, STAGE.replace("3,", "5,")),
        (STAGE, STAGE.replace("number}\")", 'number}", 2 if name == "resblock_3_1" else 1)')),
        ("layers.UpSampling2D(2,", "layers.UpSampling2D(4,"),
        ("([x, skip])", "([x, x])")),
    *of("networks", table_1,
        ("ENCODER = (1, 2, 4, 8, 16)", "ENCODER = (1, 2, 4, 8, 8)"),
        ("DECODER = (8, 4, 2, 1)", "DECODER = (8, 4, 2, 2)"),
        ("stride = 1 if number == 1 else 2", "stride = 2 if number < 5 else 1"),
        ('config.inception == "encoder" or', ""),
        ("blocks.convolution(x, 1, 1,", "blocks.convolution(x, 1, 3,"),
        ("blocks.convolution(x, 1, 1,", "blocks.convolution(x, 2, 1,"),
        ('layers.Activation("sigmoid"', 'layers.Activation("relu"'),
    ),
    *of("figures.graph", table_1, ("shape(up.output)", "shape(up.input)")),
    *of("experiment", improvements,
        ('"attention": "gate", "slope": 0.01}', '"attention": "gate", "slope": 0.0}'),
        ('"attention": "gate", "slope": 0.01}', '"attention": "none", "slope": 0.01}'),
        ('{"inception": "encoder", "attention": "gate"', '{"inception": "none", "attention": "gate"'),
        ('"resunet": {"inception": "none", "attention": "none", "slope": 0.0},\n    "improved',
         '"resunet": {"inception": "none", "attention": "none", "slope": 0.01},\n    "improved')),
]  # fmt: skip


def mutated(name: str, old: str = "", new: str = "") -> ModuleType:
    """The module `lvseg.NAME` made anew from its source, in which `old`, found exactly once, became `new`."""
    path = Path(str(import_module(f"lvseg.{name}").__file__))
    source = path.read_text()
    if old:
        assert source.count(old) == 1, f"{path.name} holds {source.count(old)} times: {old}; adapt the mutation"
    module = ModuleType(f"lvseg.{name}")
    exec(compile(source.replace(old, new) if old else source, path, "exec"), vars(module))
    return module


@pytest.mark.parametrize(
    ("module", "check"),
    dict.fromkeys((mutation.module, mutation.check) for mutation in MUTATIONS),
    ids=lambda value: getattr(value, "__name__", value),
)
def test_check_passes_on_the_module_as_it_is(module, check):
    check(mutated(module))


@pytest.mark.parametrize(
    "mutation", MUTATIONS, ids=lambda m: f"{m.check.__name__}: {m.old} > {m.new}".replace("\n", "")
)
def test_mutation_is_noticed(mutation):
    broken = mutated(mutation.module, mutation.old, mutation.new)
    with pytest.raises(Exception):  # noqa: B017 (whatever breaks it)
        mutation.check(broken)
