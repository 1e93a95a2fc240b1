"""Costs against hand counts, Keras's own parameter count, and a measured receptive field."""

from __future__ import annotations

import numpy as np
import pytest

from lvseg import costs, networks
from lvseg.backend import keras, layers
from lvseg.profiles import NetworkConfig


def test_one_convolution_by_hand():
    x = keras.Input((10, 12, 3))
    y = layers.Conv2D(5, 3, strides=2, padding="same", name="block_1")(x)
    table = costs.per_stage(keras.Model(x, y))
    row = table.loc["block_1"]
    assert row.parameters == 3 * 3 * 3 * 5 + 5
    assert row.multiply_adds == 5 * 6 * 3 * 3 * 3 * 5
    assert row.activations_mib == pytest.approx(5 * 6 * 5 * 4 / 2**20)
    assert row.receptive_field == 3


@pytest.mark.parametrize("model", ["unet", "resunet", "improved_resunet"])
def test_parameters_add_up(model):
    network = networks.build(NetworkConfig.of(model=model, width=4, size=32, channels=1))
    assert costs.per_stage(network).parameters.sum() == network.count_params()


def test_width_scales_costs_as_it_must():
    """Four times the multiply-adds for twice the width, but for the first and the last convolution."""
    narrow, wide = (
        costs.per_stage(networks.build(NetworkConfig.of(model="unet", width=w, size=64, channels=1))) for w in (8, 16)
    )
    assert wide.multiply_adds["block_3"] == 4 * narrow.multiply_adds["block_3"]
    assert wide.activations_mib["block_3"] == pytest.approx(2 * narrow.activations_mib["block_3"])


@pytest.mark.parametrize(
    ("model", "stage"), [("unet", "block_3"), ("improved_resunet", "resblock_3"), ("resunet", "resblock_6")]
)
def test_receptive_field_is_the_measured_one(model, stage):
    """Without normalisation the input's pixels that change an element in the middle span the stated square."""
    size = 256
    network = networks.build(
        NetworkConfig.of(model=model, width=4, size=size, channels=1, batch_norm=False, attention="none", slope=1)
    )
    name = stage if model != "unet" else f"{stage}_activation2"
    part = keras.Model(network.input, network.get_layer(name).output)
    field = int(costs.per_stage(network).receptive_field[stage])
    middle = part.output.shape[1] // 2
    rng = np.random.default_rng(0)
    image = rng.normal(size=(1, size, size, 1)).astype("float32")
    base = np.asarray(part(image))[0, middle, middle]
    # Which rows of the input matter: change one at a time, in a batch.
    changed = np.repeat(image, size, 0)
    changed[np.arange(size), np.arange(size), :] += 1000
    moved = np.concatenate([np.asarray(part(changed[i : i + 16]))[:, middle, middle] for i in range(0, size, 16)])
    rows = np.flatnonzero(np.abs(moved - base).max(-1) > 1e-5)
    assert rows.max() - rows.min() + 1 == field
