"""Eqs. 3 to 5 by hand, against keras.losses, at extreme logits, and their gradients."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from lvseg import losses
from lvseg.backend import keras

RNG = np.random.default_rng(0)
LABELS = (RNG.random((3, 8, 8, 1)) > 0.7).astype("float32")
LOGITS = RNG.normal(0, 3, (3, 8, 8, 1)).astype("float32")
PROBABILITIES = expit(LOGITS).astype("float32")


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)


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


def test_cross_entropy_is_keras_own():
    oracle = keras.losses.BinaryCrossentropy(reduction=None)(LABELS, PROBABILITIES)
    np.testing.assert_allclose(
        numbers(losses.cross_entropy(LABELS, PROBABILITIES)), numbers(oracle).mean((1, 2)), rtol=1e-4
    )


def test_dice_loss_tends_to_keras_own_without_smoothing():
    """Many pixels make the added 1 vanish; Keras pools the batch, so one image at a time."""
    labels, found = np.tile(LABELS[:1], (1, 16, 16, 1)), np.tile(PROBABILITIES[:1], (1, 16, 16, 1))
    oracle = float(keras.losses.Dice()(labels, found))
    assert numbers(losses.dice_loss(labels, found))[0] == pytest.approx(oracle, abs=2e-4)


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


def test_empty_masks_have_a_stated_answer():
    empty, certain = np.zeros((1, 64, 64, 1), "float32"), np.full((1, 64, 64, 1), -50, "float32")
    assert numbers(losses.dice_loss(empty, certain, from_logits=True))[0] == pytest.approx(0, abs=1e-6)
    assert numbers(losses.dice_loss(empty, -certain, from_logits=True))[0] == pytest.approx(1 - 1 / 4097, rel=1e-5)


def test_images_of_a_batch_do_not_mix():
    alone = [numbers(losses.combined_loss()(LABELS[i : i + 1], LOGITS[i : i + 1]))[0] for i in range(3)]
    np.testing.assert_allclose(numbers(losses.combined_loss()(LABELS, LOGITS)), alone, rtol=1e-6)


def test_gradient_descends_towards_the_labels():
    """Fitting the logits themselves by the loss recovers the mask exactly: the gradient points the right way."""
    layer = keras.layers.EinsumDense("bhwc,hwc->bhwc", output_shape=(8, 8, 1))
    model = keras.Sequential([keras.Input((8, 8, 1)), layer])
    model.compile(keras.optimizers.Adam(0.3), losses.combined_loss())
    for _ in range(60):
        loss = model.train_on_batch(np.ones((1, 8, 8, 1), "float32"), LABELS[:1])
    fitted = model.predict_on_batch(np.ones((1, 8, 8, 1), "float32")) > 0
    assert (fitted == (LABELS[:1] > 0)).all() and float(np.asarray(loss)) < 0.1
