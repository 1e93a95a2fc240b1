"""The blocks of Fig. 5: what an Inception module sees, what attention does to a skip, what Zhang leaves alone."""

from __future__ import annotations

import numpy as np

from lvseg import blocks
from lvseg.backend import keras
from lvseg.experiment import NetworkConfig
from lvseg.figures import diagrams, graph
from tests.small_networks import SMALL, built, numbers


def test_zhang_leaves_the_image_as_it_is():
    first, second = (
        {
            box.label
            for box in diagrams.block_diagram(built(model="resunet", wiring="two_convolutions", **SMALL), number)
        }
        for number in (1, 2)
    )
    assert {"BN", "ReLU", "3x3 conv"} <= first and {"BN", "ReLU", "3x3 conv, stride 2"} <= second
    network = built(model="resunet", wiring="two_convolutions", **SMALL)
    assert graph.parents(network.get_layer("resblock_1_conv1")) == ["image"]
    assert graph.parents(network.get_layer("resblock_2_conv1")) == ["resblock_2_1_activation"]


def test_attention_gate_only_weakens_the_skip():
    """Each weight lies in 0..1, so the gated skip is nowhere larger than the skip, and has its sign."""
    config = NetworkConfig.of(**SMALL)
    skip, gate = keras.Input((8, 8, 4)), keras.Input((8, 8, 6))
    model = keras.Model([skip, gate], blocks.attention(skip, gate, config, "a"))
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 8, 8, 4)).astype("float32"), rng.normal(size=(2, 8, 8, 6)).astype("float32")
    ratio = numbers(model([x, g])) / x
    assert ratio.min() >= 0 and ratio.max() <= 1
    np.testing.assert_allclose(ratio, ratio[..., :1].repeat(4, -1), rtol=1e-4)  # one weight per pixel
    assert ratio.std() > 0


def test_inception_sees_five_pixels_and_no_more():
    """The factorised 5x5 branch reaches two pixels in every direction."""
    config = NetworkConfig.of(**SMALL)
    x = keras.Input((11, 11, 4))
    model = keras.Model(x, blocks.inception_module(x, 8, config, "inception"))
    zero = np.zeros((1, 11, 11, 4), "float32")
    point = zero.copy()
    point[0, 5, 5] = 1
    reached = np.abs(numbers(model(point)) - numbers(model(zero)))[0].max(-1) > 1e-9
    rows, columns = np.nonzero(reached)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 7, 3, 7)
