"""The networks against Table 1, against pinned parameter counts, and in a process without lvseg."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest

from lvseg import ConfigError, blocks, networks, paper
from lvseg.backend import keras
from lvseg.profiles import NetworkConfig

SMALL = {"width": 4, "size": 32, "channels": 1}


def built(**choices) -> keras.Model:
    return networks.build(NetworkConfig.of(**choices))


def test_table1_row_for_row():
    rows = networks.table1(built(model="improved_resunet"))
    assert len(rows) == 14
    for ours, theirs in zip(rows, paper.TABLE_1, strict=True):
        assert ours == theirs


def test_table1_notices_another_network():
    """The walk reads the built graph: a narrower one, or one without strides, can't pass for the paper's."""
    rows = networks.table1(built(model="improved_resunet", width=32))
    assert sum(ours == theirs for ours, theirs in zip(rows, paper.TABLE_1, strict=True)) == 0


@pytest.mark.parametrize(
    ("model", "at_64", "at_8"),
    [("unet", 31_402_497, 493_937), ("resunet", 48_857_037, 767_709), ("improved_resunet", 53_137_921, 835_139)],
)
def test_parameter_counts(model, at_64, at_8):
    assert built(model=model).count_params() == at_64
    assert built(model=model, width=8, size=64, channels=1).count_params() == at_8


def test_unet_parameters_by_hand():
    """Every convolution k*k*in*out + out, every batch normalisation 4 per channel."""

    def conv(kernel, channels_in, channels_out):
        return kernel * kernel * channels_in * channels_out + channels_out

    def double(channels_in, channels_out):
        return conv(3, channels_in, channels_out) + conv(3, channels_out, channels_out) + 2 * 4 * channels_out

    widths = [4 * factor for factor in (1, 2, 4, 8, 16)]
    total = double(1, 4) + sum(double(a, b) for a, b in itertools.pairwise(widths))
    total += sum(double(below + skip, skip) for below, skip in zip(widths[:0:-1], widths[-2::-1], strict=True))
    assert built(model="unet", **SMALL).count_params() == total + conv(1, 4, 1)


def test_resunet_is_the_improved_network_with_all_three_off():
    off = built(model="improved_resunet", inception="none", attention="none", slope=0, **SMALL)
    resunet = built(model="resunet", **SMALL)
    kinds = [type(layer).__name__ for layer in resunet.layers]
    assert [type(layer).__name__ for layer in off.layers] == kinds
    assert not any("inception" in layer.name or "attention" in layer.name for layer in resunet.layers)
    assert "LeakyReLU" not in kinds


SWITCHES = [
    {"inception": "encoder"}, {"attention": "gate"}, {"slope": 0.3},
    {"wiring": "preactivation", "inception": "encoder"},
    {"wiring": "postactivation"}, {"inception": "encoder_decoder"}, {"inception": "bottleneck"},
    {"inception": "encoder", "inception_5x5": "whole"}, {"attention": "cbam"}, {"attention": "squeeze_excitation"},
    {"upsampling": "nearest"}, {"upsampling": "transposed"}, {"skip": "add"}, {"batch_norm": False}, {"channels": 3},
]  # fmt: skip


@pytest.mark.parametrize("choices", SWITCHES, ids=str)
def test_every_switch_changes_the_graph_and_keeps_the_contract(choices):
    plain, switched = built(model="resunet", **SMALL), built(**{"model": "resunet", **SMALL, **choices})
    assert switched.output_shape == (None, 32, 32, 1)
    assert switched.to_json() != plain.to_json()
    probability = switched.predict_on_batch(np.zeros((1, 32, 32, choices.get("channels", 1)), "float32"))
    assert np.all((probability >= 0) & (probability <= 1))


def test_attention_gate_only_weakens_the_skip():
    """Each weight lies in 0..1, so the gated skip is nowhere larger than the skip, and has its sign."""
    config = NetworkConfig.of(**SMALL)
    skip, gate = keras.Input((8, 8, 4)), keras.Input((8, 8, 6))
    model = keras.Model([skip, gate], blocks.attention(skip, gate, config, "a"))
    rng = np.random.default_rng(0)
    x, g = rng.normal(size=(2, 8, 8, 4)).astype("float32"), rng.normal(size=(2, 8, 8, 6)).astype("float32")
    ratio = np.asarray(model([x, g])) / x
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
    reached = np.abs(np.asarray(model(point)) - np.asarray(model(zero)))[0].max(-1) > 1e-9
    rows, columns = np.nonzero(reached)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (3, 7, 3, 7)


def test_saved_network_loads_in_safe_mode_without_lvseg(tmp_path):
    network = built(model="improved_resunet", **SMALL)
    image = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    network.save(tmp_path / "n.keras")
    np.save(tmp_path / "image.npy", image)
    script = (
        "import sys, keras, numpy as np\n"
        "n = keras.saving.load_model('n.keras', safe_mode=True, compile=False)\n"
        "np.save('out.npy', n.predict_on_batch(np.load('image.npy')))\n"
        "assert not any(m.split('.')[0] == 'lvseg' for m in sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True)
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), network.predict_on_batch(image), atol=1e-6)


@pytest.mark.parametrize(
    ("choices", "named"),
    [
        ({"model": "vnet"}, "model='vnet'"),
        ({"attention": "self"}, "attention='self'"),
        ({"size": 100}, "size=100"),
        ({"width": 6}, "width=6"),
        ({"widht": 8}, "'widht'"),
        ({"model": "unet", "inception": "encoder"}, "unet has no residual block"),
    ],
)
def test_a_wrong_choice_is_one_sentence_that_names_it(choices, named):
    with pytest.raises(ConfigError) as error:
        NetworkConfig.of(**choices)
    assert named in str(error.value) and "\n" not in str(error.value)


def test_fig5_is_drawn_from_the_graph():
    encoder = networks.block_diagram(built(model="improved_resunet", **SMALL), 2)
    assert encoder[:3] == ["BN", "3x3 conv", "LeakyReLU"]
    assert encoder.index("addition") < encoder.index("Inception module") < encoder.index("3x3 conv, stride 2")
    decoder = networks.block_diagram(built(model="resunet", **SMALL), 6)
    assert decoder[0] == "upsampling x2" and "ReLU" in decoder and "Inception module" not in decoder


def test_attention_maps_are_the_gates_weights():
    network = built(model="improved_resunet", **SMALL)
    images = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    maps = networks.attention_maps(network, images)
    assert [gate.shape for gate in maps] == [(2, 4, 4), (2, 8, 8), (2, 16, 16), (2, 32, 32)]
    inside = keras.Model(network.input, [network.get_layer(n).output for n in ("attention_9", "resblock_1")])
    gated, skip = (np.asarray(tensor) for tensor in inside(images))
    np.testing.assert_allclose(gated, skip * maps[-1][..., None], rtol=1e-4, atol=1e-6)
