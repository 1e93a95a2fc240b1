"""Read from a built network's graph: Table 1, costs by hand and by TensorFlow, receptive fields as measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import expit

from lvseg import networks, paper
from lvseg.backend import keras, layers
from lvseg.errors import ConfigError
from lvseg.experiment import NetworkConfig
from lvseg.figures import graph, plots
from tests.small_networks import SMALL, built, numbers

on_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's own count or gradient of the network as it runs there"
)


# Table 1


def test_table1_row_for_row(full):
    rows = graph.table1(full)
    assert len(rows) == 14
    for ours, theirs in zip(rows, paper.TABLE_1, strict=True):
        assert ours == theirs


def test_table1_notices_another_network():
    """The walk reads the built graph: a narrower one, or one without strides, can't pass for the paper's."""
    rows = graph.table1(networks.blueprint(NetworkConfig.of(model="improved_resunet", width=32)))
    assert sum(ours == theirs for ours, theirs in zip(rows, paper.TABLE_1, strict=True)) == 0


def test_table1_of_blocks_of_two_convolutions():
    """Zhang's network has Table 1's shapes, but two kernels in each block, of which the first samples."""
    rows = graph.table1(built(model="resunet", wiring="two_convolutions", size=64, width=16))
    for ours, theirs in zip(rows, paper.TABLE_1, strict=True):
        narrow = (theirs.output[0] // 4, theirs.output[1] // 4, max(theirs.output[2] // 4, 1))
        assert (ours.name, ours.output) == (theirs.name, narrow)
        if ours.kernels:
            assert (ours.kernels, ours.strides) == ((3, 3), (theirs.strides[2], 1))


def test_table1_is_not_about_unet():
    with pytest.raises(ConfigError, match="Table 1 describes residual blocks, and unet has none"):
        graph.table1(built(model="unet", **SMALL))


# Costs


def test_one_convolution_by_hand():
    x = keras.Input((10, 12, 3))
    y = layers.Conv2D(5, 3, strides=2, padding="same", name="block_1")(x)
    table = graph.per_stage(keras.Model(x, y))
    row = table.loc["block_1"]
    assert row.parameters == 3 * 3 * 3 * 5 + 5
    assert row.multiply_adds == 5 * 6 * 3 * 3 * 3 * 5
    assert row.activations_mib == pytest.approx(5 * 6 * 5 * 4 / 2**20)
    assert row.receptive_field == 3


@pytest.mark.parametrize("model", ["unet", "resunet", "improved_resunet"])
def test_parameters_add_up(model):
    network = built(model=model)
    assert graph.per_stage(network).parameters.sum() == network.count_params()


def test_width_scales_costs_as_it_must():
    """Four times the multiply-adds for twice the width, but for the first and the last convolution."""
    narrow, wide = (
        graph.per_stage(networks.build(NetworkConfig.of(model="unet", width=w, size=64, channels=1))) for w in (8, 16)
    )
    assert wide.multiply_adds["block_3"] == 4 * narrow.multiply_adds["block_3"]
    assert wide.activations_mib["block_3"] == pytest.approx(2 * narrow.activations_mib["block_3"])


def test_one_residual_block_by_hand():
    """The improved ResUNet's second ResBlock, at width 4 and 32x32: from 32x32x4 to 16x16x8."""
    row = graph.per_stage(built(model="improved_resunet")).loc["resblock_2"]
    # both stages and the shortcut at 32x32, the Inception module's branches of 8/4 channels too, then the sampling
    two_stages = 9 * 4 * 8 + 9 * 8 * 8 + 4 * 8
    inception = 4 * (8 * 2) + 3 * (9 * 2 * 2)
    assert row.multiply_adds == 32 * 32 * (two_stages + inception) + 16 * 16 * 9 * 8 * 8
    biases = 8 + 8 + 8 + 7 * 2 + 8
    assert row.parameters == two_stages + inception + 9 * 8 * 8 + biases + 4 * (4 + 8)
    # BN of 4; then of 8: conv, activation, BN, conv, activation, shortcut, addition; Inception's 7 pairs of 2, its
    # pool and its joint output of 8; conv and name of the sampled output
    elements = 32 * 32 * (4 + 7 * 8 + 14 * 2 + 8 + 8) + 16 * 16 * 2 * 8
    assert row.activations_mib == pytest.approx(elements * 4 / 2**20)


NETWORKS = [
    {"model": "unet"}, {"model": "resunet"}, {"model": "improved_resunet"},
    {"model": "resunet", "wiring": "two_convolutions", "upsampling": "nearest"},
    {"wiring": "preactivation", "inception_5x5": "whole", "skip": "add"},
    {"attention": "cbam"}, {"attention": "squeeze_excitation"},
]  # fmt: skip


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("choices", NETWORKS, ids=str)
def test_multiply_adds_are_half_of_what_tensorflow_counts(choices):
    tensorflow = pytest.importorskip("tensorflow")
    network = built(**choices)
    traced = tensorflow.function(lambda x: network(x)).get_concrete_function(tensorflow.zeros((1, 32, 32, 1))).graph
    profiler = tensorflow.compat.v1.profiler
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    counted = profiler.profile(traced, cmd="op", options=options.with_empty_output().build())
    convolutions = counted.children[0]
    assert convolutions.name == "Conv2D"
    assert 2 * graph.per_stage(network).multiply_adds.sum() == convolutions.float_ops


def test_a_transposed_convolution_by_hand():
    """Each of 4x4 elements of 6 channels is spread over 2x2 elements of 6 channels."""
    x = keras.Input((4, 4, 6))
    layer = layers.Conv2DTranspose(6, 2, strides=2, name="upsampling_1")
    table = graph.per_stage(keras.Model(x, layer(x)))
    assert table.multiply_adds["upsampling_1"] == 4 * 4 * 6 * 2 * 2 * 6
    assert table.receptive_field["upsampling_1"] == 1


@pytest.mark.parametrize("attention", ["cbam", "squeeze_excitation"])
def test_attention_by_channels_sees_the_whole_image(attention):
    assert graph.per_stage(built(attention=attention)).receptive_field["attention_9"] >= 32


LINEAR = [
    {"model": "unet"}, {"model": "improved_resunet"}, {"inception": "none", "wiring": "two_convolutions"},
    {"inception": "none", "wiring": "preactivation", "upsampling": "nearest"},
    {"inception": "bottleneck", "wiring": "postactivation", "upsampling": "transposed"},
]  # fmt: skip


@pytest.mark.slow
@on_tensorflow
@pytest.mark.parametrize("choices", LINEAR, ids=str)
def test_what_an_element_sees_is_what_is_measured(choices):
    """In the network made linear, with means for kernels, a gradient is positive on just the rows that are seen."""
    tensorflow = pytest.importorskip("tensorflow")
    size, positions = 384, (192, 199)
    network = built(**choices | {"attention": "none", "slope": 1, "batch_norm": False})
    network = keras.models.clone_model(network, keras.Input((size, 16, 1), name="image"), clone_function=linear)
    for weight in network.weights:
        taps = math.prod(weight.shape[:-1]) if weight.name == "kernel" else math.inf
        weight.assign(np.full(weight.shape, 1 / taps))
    ends = {name: members[-1] for name, members in graph.parts(network).items()}
    image = tensorflow.zeros((1, size, 16, 1))
    with tensorflow.GradientTape(persistent=True) as tape:
        tape.watch(image)
        outputs = keras.Model(network.input, [layer.output for layer in ends.values()])(image)
        rows = [[tensorflow.reduce_sum(y[0, p * y.shape[1] // size]) for p in positions] for y in outputs]
    for layer, of_layer in zip(ends.values(), rows, strict=True):
        for position, row in zip(positions, of_layer, strict=True):
            measured = np.flatnonzero(tape.gradient(row, image).numpy()[0].sum((1, 2)) > 0)
            stated = graph.sees(network, layer.name, position * layer.output.shape[1] // size)
            assert (layer.name, *stated) == (layer.name, measured.min(), measured.max())


def test_receptive_field_is_the_largest_of_all_elements():
    """Nearest upsampling, then a convolution over two: one pair of rows comes from one row, the next from two."""
    x = keras.Input((32, 32, 1))
    y = layers.Conv2D(1, 2, padding="same", name="block_2")(layers.UpSampling2D(2, name="upsampling_2")(x))
    network = keras.Model(x, y)
    assert [graph.sees(network, "block_2", element) for element in (4, 5)] == [(2, 2), (2, 3)]
    assert graph.per_stage(network).receptive_field["block_2"] == 2


def linear(layer: keras.Layer) -> keras.Layer:
    """A copy of the layer that is linear: means instead of maxima, and no sigmoid."""
    if isinstance(layer, layers.MaxPooling2D):
        kept = {key: layer.get_config()[key] for key in ("name", "pool_size", "strides", "padding")}
        return layers.AveragePooling2D(**kept)
    if layer.name == "probability":
        return layers.Identity(name=layer.name)
    return type(layer).from_config(layer.get_config())


# Maps


@pytest.mark.parametrize("model", ["unet", "improved_resunet"])
def test_feature_maps_are_what_the_blocks_pass_on(model):
    """The last block's maps, through the last convolution by hand, are the network's probabilities."""
    network = built(model=model, **SMALL)
    images = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    maps = graph.feature_maps(network, images)
    sizes = [(32, 4), (16, 8), (8, 16), (4, 32), (2, 64), (4, 32), (8, 16), (16, 8), (32, 4)]
    assert [tensor.shape for tensor in maps.values()] == [(2, size, size, channels) for size, channels in sizes]
    kernel, bias = map(numbers, network.get_layer("convolution").weights)
    expected = expit(list(maps.values())[-1] @ kernel[0, 0] + bias)
    np.testing.assert_allclose(numbers(network(images)), expected, atol=1e-5)
    assert plots.feature_maps(maps).png().startswith(b"\x89PNG")


def test_attention_maps_are_the_gates_weights():
    network = built(model="improved_resunet", **SMALL)
    images = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    maps = graph.attention_maps(network, images)
    assert [gate.shape for gate in maps] == [(2, 4, 4), (2, 8, 8), (2, 16, 16), (2, 32, 32)]
    inside = keras.Model(network.input, [network.get_layer(n).output for n in ("attention_9", "resblock_1")])
    gated, skip = map(numbers, inside(images))
    np.testing.assert_allclose(gated, skip * maps[-1][..., None], rtol=1e-4, atol=1e-6)
