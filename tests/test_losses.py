"""Eqs. 3 to 5 by hand, against keras.losses and SciPy, at extreme logits, and their gradients against differences."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, log_expit

from lvseg import losses
from lvseg.backend import keras

RNG = np.random.default_rng(0)
LABELS = (RNG.random((3, 8, 8, 1)) > 0.7).astype("float32")
LOGITS = RNG.normal(0, 3, (3, 8, 8, 1)).astype("float32")
PROBABILITIES = expit(LOGITS).astype("float32")


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


def in_double(labels, logits, alpha=1.0, beta=1.0, reduction=np.mean) -> float:
    """Eq. 5 of one image in float64 by SciPy, with 1 added to Eq. 4's numerator and denominator."""
    labels, logits = np.asarray(labels, float), np.asarray(logits, float)
    entropy = -reduction(labels * log_expit(logits) + (1 - labels) * log_expit(-logits))
    dice = (2 * (labels * expit(logits)).sum() + 1) / (labels.sum() + expit(logits).sum() + 1)
    return alpha * (1 - dice) + beta * entropy


class Shift(keras.layers.Layer):
    """Adds a trainable zero to each pixel: after one step of plain descent at rate 1 it is minus the gradient."""

    def build(self, shape):
        self.shift = self.add_weight(shape=shape[1:], initializer="zeros", name="shift")

    def call(self, x):
        return x + self.shift


def gradient(loss, labels, logits, policy="float32") -> np.ndarray:
    """The loss's gradient by the logits of one image, found by the backend's own differentiation."""
    layer = Shift(dtype=policy)
    model = keras.Sequential([keras.Input(logits.shape[1:], dtype=logits.dtype), layer])
    model.compile(keras.optimizers.SGD(1.0), loss, run_eagerly=True, auto_scale_loss=False)
    model.train_on_batch(logits, labels)
    return -numbers(layer.shift)


def test_four_pixels_by_hand():
    labels = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
    found = np.array([0.9, 0.6, 0.4, 0.1], "float32").reshape(1, 2, 2, 1)
    entropy = -(2 * math.log(0.9) + 2 * math.log(0.6))
    dice = 1 - (2 * 1.5 + 1) / (4 + 1)
    assert numbers(losses.cross_entropy(labels, found, reduction="sum"))[0] == pytest.approx(entropy, rel=1e-5)
    assert numbers(losses.cross_entropy(labels, found))[0] == pytest.approx(entropy / 4, rel=1e-5)
    assert numbers(losses.dice_loss(labels, found))[0] == pytest.approx(dice, rel=1e-6)
    both = losses.combined_loss(0.5, 2.0, from_logits=False)(labels, found)
    assert numbers(both)[0] == pytest.approx(0.5 * dice + 2 * entropy / 4, rel=1e-5)


@pytest.mark.parametrize(("predictions", "from_logits"), [(PROBABILITIES, False), (LOGITS, True)])
def test_cross_entropy_is_keras_own(predictions, from_logits):
    oracle = keras.losses.BinaryCrossentropy(from_logits=from_logits, reduction=None)(LABELS, predictions)
    ours = losses.cross_entropy(LABELS, predictions, from_logits=from_logits)
    np.testing.assert_allclose(numbers(ours), numbers(oracle).mean((1, 2)), rtol=1e-4)


def test_dice_loss_is_keras_own_but_for_the_added_1():
    oracle = numbers(keras.losses.Dice(axis=(1, 2, 3), reduction=None)(LABELS, PROBABILITIES))
    total = (LABELS + PROBABILITIES).sum((1, 2, 3))
    expected = 1 - ((1 - oracle) * total + 1) / (total + 1)
    np.testing.assert_allclose(numbers(losses.dice_loss(LABELS, PROBABILITIES)), expected, rtol=1e-5)


@settings(max_examples=100, deadline=None)
@given(
    arrays("float32", (1, 2, 3, 1), elements=st.floats(0, 1, width=32)),
    arrays("float32", (1, 2, 3, 1), elements=st.floats(-1e4, 1e4, width=32)),
)
@example(np.full((1, 2, 3, 1), 0.99999, np.float32), np.full((1, 2, 3, 1), 1e4, np.float32))
def test_any_logits_and_soft_labels_in_double_precision(labels, logits):
    for reduction, name in ((np.mean, "mean"), (np.sum, "sum")):
        ours = losses.combined_loss(0.5, 2.0, reduction=name)(labels, logits)
        pixels = labels.size if name == "sum" else 1
        rounding = 2 * 2**-23 * float(np.abs(logits).max()) * pixels  # of logit times label
        expected = in_double(labels, logits, 0.5, 2.0, reduction)
        assert numbers(ours)[0] == pytest.approx(expected, rel=1e-5, abs=1e-6 + rounding)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_logits_and_probabilities_agree(reduction):
    pair = [
        losses.combined_loss(from_logits=flag, reduction=reduction)(LABELS, predictions)
        for flag, predictions in ((True, LOGITS), (False, PROBABILITIES))
    ]
    np.testing.assert_allclose(numbers(pair[0]), numbers(pair[1]), rtol=1e-4)


def test_extreme_logits_are_exact_and_finite():
    labels = np.array([1, 0], "float32").reshape(1, 1, 2, 1)
    logits = np.array([-1e4, 1e4], "float32").reshape(1, 1, 2, 1)
    assert numbers(losses.cross_entropy(labels, logits, from_logits=True, reduction="sum"))[0] == 2e4
    assert numbers(losses.cross_entropy(labels, -logits, from_logits=True, reduction="sum"))[0] == 0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_low_precision_inputs_are_summed_in_single_precision(dtype):
    """65,536 pixels overflow a float16 sum and stall a bfloat16 one."""
    labels, logits = np.ones((1, 256, 256, 1), "float32"), keras.ops.cast(np.zeros((1, 256, 256, 1)), dtype)
    summed = losses.cross_entropy(labels, logits, from_logits=True, reduction="sum")
    assert numbers(summed)[0] == pytest.approx(65536 * math.log(2), rel=1e-5)
    both = losses.combined_loss()(keras.ops.cast(labels, dtype), logits)
    assert numbers(both)[0] == pytest.approx(in_double(labels, np.zeros(labels.shape)), rel=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
def test_extreme_logits_in_every_precision(dtype):
    """Two of four pixels are wrong by 1e4: the sum is 2e4, the gradient -1, 0, 1, 0, as Eq. 4 has none there."""
    labels = np.array([1, 1, 0, 0], "float32").reshape(1, 2, 2, 1)
    logits = np.array([-1e4, 1e4, 1e4, -1e4], "float32").reshape(1, 2, 2, 1)
    loss = losses.combined_loss(reduction="sum")
    found = numbers(loss(labels, keras.ops.cast(logits, dtype)))[0]
    assert found == pytest.approx(in_double(labels, logits, reduction=np.sum), rel=2e-3)  # 1e4 is 9984 in bfloat16
    policy = dtype if dtype == "float32" else f"mixed_{dtype}"
    np.testing.assert_array_equal(gradient(loss, labels, logits, policy).ravel(), [-1, 0, 1, 0])


def test_empty_masks_have_a_stated_answer():
    empty, certain = np.zeros((1, 64, 64, 1), "float32"), np.full((1, 64, 64, 1), -50, "float32")
    assert numbers(losses.dice_loss(empty, certain, from_logits=True))[0] == pytest.approx(0, abs=1e-6)
    assert numbers(losses.dice_loss(empty, -certain, from_logits=True))[0] == pytest.approx(1 - 1 / 4097, rel=1e-5)


def test_images_of_a_batch_do_not_mix():
    alone = [numbers(losses.combined_loss()(LABELS[i : i + 1], LOGITS[i : i + 1]))[0] for i in range(3)]
    np.testing.assert_allclose(numbers(losses.combined_loss()(LABELS, LOGITS)), alone, rtol=1e-6)


@pytest.mark.parametrize("spread", [1, 10], ids=["unsure", "sure"])
@pytest.mark.parametrize(
    ("alpha", "beta", "reduction"), [(1, 1, "mean"), (1, 0, "mean"), (0, 1, "sum"), (0.5, 2, "sum")]
)
def test_gradient_is_that_of_finite_differences(alpha, beta, reduction, spread):
    labels, logits = LABELS[:1], (spread * LOGITS[:1] / 3).astype("float32")
    reduce = {"mean": np.mean, "sum": np.sum}[reduction]
    expected, step = np.zeros(labels.size), 1e-6
    for pixel in range(labels.size):
        up, down = (logits.astype(float) for _ in range(2))
        up.flat[pixel] += step
        down.flat[pixel] -= step
        values = [in_double(labels, moved, alpha, beta, reduce) for moved in (up, down)]
        expected[pixel] = (values[0] - values[1]) / (2 * step)
    found = gradient(losses.combined_loss(alpha, beta, reduction=reduction), labels, logits)
    np.testing.assert_allclose(found.ravel(), expected, rtol=1e-4, atol=1e-7)


def test_gradient_descends_towards_the_labels():
    """Fitting the logits themselves by the loss recovers the mask exactly: the gradient points the right way."""
    layer = keras.layers.EinsumDense("bhwc,hwc->bhwc", output_shape=(8, 8, 1))
    model = keras.Sequential([keras.Input((8, 8, 1)), layer])
    model.compile(keras.optimizers.Adam(0.3), losses.combined_loss())
    for _ in range(60):
        loss = model.train_on_batch(np.ones((1, 8, 8, 1), "float32"), LABELS[:1])
    fitted = model.predict_on_batch(np.ones((1, 8, 8, 1), "float32")) > 0
    assert (fitted == (LABELS[:1] > 0)).all() and float(np.asarray(loss)) < 0.1
