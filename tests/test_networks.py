"""The networks: parameters by hand, every value of every choice, and a process without lvseg."""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
import typing

import numpy as np
import psutil
import pytest

from lvseg import losses, networks
from lvseg.backend import keras
from lvseg.experiment import NetworkConfig
from tests.small_networks import SMALL, built, numbers

PARAMETERS = [
    # choices, at width 64 with 3 channels, at width 8 with 1 channel
    ({"model": "unet"}, 31_402_497, 493_937),
    ({"model": "resunet"}, 48_857_037, 767_709),
    ({"model": "resunet", "wiring": "two_convolutions"}, 33_150_017, 521_961),
    ({"model": "improved_resunet"}, 53_137_441, 835_079),
]


@pytest.mark.parametrize(("choices", "at_64", "at_8"), PARAMETERS, ids=str)
def test_parameter_counts_are_those_by_hand(choices, at_64, at_8):
    assert by_hand(choices, 64, 3) == at_64
    assert by_hand(choices, 8, 1) == at_8
    assert built(**choices, width=8, size=16, channels=1).count_params() == at_8
    assert networks.blueprint(NetworkConfig.of(**choices)).count_params() == at_64


def test_a_blueprint_is_the_network_but_for_its_memory():
    """Also once another network was made: at width 256 the weights would take 3.4 GB."""
    drawn, network = networks.blueprint(NetworkConfig.of(**SMALL)), built(**SMALL)
    assert drawn.get_config() == network.get_config()
    assert [w.shape for w in drawn.weights] == [w.shape for w in network.weights]
    process = psutil.Process()
    before = process.memory_info().rss
    wide = networks.blueprint(NetworkConfig.of(width=256))
    built(**SMALL)
    assert 4 * wide.count_params() > 3.3e9 and process.memory_info().rss - before < 0.5e9


def by_hand(choices: dict, width: int, channels: int) -> int:
    """Parameters of a network: every convolution k*k*in*out + out, every batch normalisation 4 per channel."""

    def conv(kernel, channels_in, out):
        return kernel * kernel * channels_in * out + out

    def unet_block(channels_in, out, encoder):
        return conv(3, channels_in, out) + conv(3, out, out) + 2 * 4 * out

    def two_stage_block(channels_in, out, encoder):
        stages = 4 * channels_in + conv(3, channels_in, out) + 4 * out + conv(3, out, out)
        return stages + conv(1, channels_in, out) + encoder * improved * inception(out) + conv(3, out, out)

    def zhang_block(channels_in, out, encoder):
        unit = 4 * channels_in * (channels_in != channels) + conv(3, channels_in, out) + 4 * out + conv(3, out, out)
        return unit + conv(1, channels_in, out)

    def inception(out):
        quarter = out // 4
        return 4 * conv(1, out, quarter) + 3 * conv(3, quarter, quarter)

    def gate(skip, below):
        return conv(1, skip + below, skip // 2) + conv(1, skip // 2, 1)

    improved = choices["model"] == "improved_resunet"
    block = unet_block if choices["model"] == "unet" else zhang_block if "wiring" in choices else two_stage_block
    widths = [width * factor for factor in (1, 2, 4, 8, 16)]
    total = sum(block(a, b, True) for a, b in itertools.pairwise([channels, *widths])) + conv(1, width, 1)
    for below, skip in zip(widths[:0:-1], widths[-2::-1], strict=True):
        total += block(below + skip, skip, False) + improved * gate(skip, below)
    return total


def test_resunet_is_the_improved_network_with_all_three_off():
    off = built(model="improved_resunet", inception="none", attention="none", slope=0, **SMALL)
    resunet = built(model="resunet", **SMALL)
    kinds = [type(layer).__name__ for layer in resunet.layers]
    assert [type(layer).__name__ for layer in off.layers] == kinds
    assert not any("inception" in layer.name or "attention" in layer.name for layer in resunet.layers)
    assert "LeakyReLU" not in kinds


NUMBERS = {"width": (4, 8), "size": (16, 32), "slope": (0.01, 0.0, 0.3), "bn_momentum": (0.99, 0.5)}
"""Values to try of the choices that are numbers; all values of the others follow from the contract itself."""
TINY = {"width": 4, "size": 16, "channels": 1}


def values() -> dict[str, tuple]:
    """The values of every choice but the method's, which chooses among the others."""
    hints = typing.get_type_hints(NetworkConfig)
    names = [name for name in NetworkConfig.model_fields if name != "model"]
    return {
        name: (True, False) if hints[name] is bool else typing.get_args(hints[name]) or NUMBERS[name] for name in names
    }


def combinations() -> list[dict]:
    """Eight networks in which every value of every choice occurs, and the two other methods."""
    eight = [
        {
            name: options[(row + place * (row // 4)) % len(options)]
            for place, (name, options) in enumerate(values().items())
        }
        for row in range(8)
    ]
    return [*eight, {"model": "unet", **TINY}, {"model": "resunet", **TINY}]


def test_every_value_occurs_in_a_combination():
    for name, options in values().items():
        assert {choices.get(name) for choices in combinations()} >= set(options)


@pytest.mark.parametrize("name", values())
def test_every_switch_changes_the_network(name):
    described = [built(**TINY | {name: value}).to_json() for value in values()[name]]
    assert len(set(described)) == len(described)
    assert built(**TINY | {name: values()[name][0]}).to_json() == described[0]


@pytest.mark.slow
@pytest.mark.parametrize("choices", combinations(), ids=lambda choices: "-".join(map(str, choices.values())))
def test_every_value_learns_and_is_kept(choices, tmp_path):
    """Loaded in stock Keras and compiled, the trained network predicts what it computes layer by layer here."""
    keras.utils.set_random_seed(0)
    config = NetworkConfig.of(**choices)
    network = networks.build(config)
    rng = np.random.default_rng(0)
    images = rng.random((2, config.size, config.size, config.channels)).astype("float32")
    masks = (images[..., :1] > 0.5).astype("float32")
    kernels = [weight for weight in network.trainable_weights if weight.name == "kernel"]
    before = [numbers(kernel).copy() for kernel in kernels]
    learner = networks.logits(network)
    by_itself = keras.backend.backend() == "tensorflow"  # one step is done sooner so there, and compiled whole on JAX
    learner.compile(keras.optimizers.Adam(1e-3), losses.combined_loss(), run_eagerly=by_itself)
    assert np.isfinite(learner.train_on_batch(images, masks))
    # Every kind of kernel learns; single ones may lie behind a dead ReLU at this width.
    kinds = [re.sub(r"\d", "", kernel.path) for kernel in kernels]
    moved = [not np.array_equal(numbers(kernel), old) for kernel, old in zip(kernels, before, strict=True)]
    assert {kind for kind, learnt in zip(kinds, moved, strict=True) if learnt} == set(kinds)

    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras", safe_mode=True, compile=False)
    probability = numbers(network(images))
    assert probability.shape == masks.shape and np.all((probability >= 0) & (probability <= 1))
    np.testing.assert_allclose(loaded.predict_on_batch(images), probability, atol=1e-5)


@pytest.mark.slow
def test_saved_network_needs_no_lvseg(tmp_path):
    """A process in which lvseg can't be imported loads the network in safe mode and predicts the same."""
    network = built(model="improved_resunet", **SMALL)
    image = np.random.default_rng(0).random((2, 32, 32, 1)).astype("float32")
    network.save(tmp_path / "n.keras")
    np.save(tmp_path / "image.npy", image)
    script = (
        "import sys\n"
        "sys.modules['lvseg'] = None\n"
        "import keras, numpy as np\n"
        "n = keras.saving.load_model('n.keras', safe_mode=True, compile=False)\n"
        "np.save('out.npy', n.predict_on_batch(np.load('image.npy')))\n"
        "try:\n    import lvseg.networks\n"
        "except ImportError:\n    print('no lvseg')\n"
    )
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert run.stdout.splitlines()[-1] == "no lvseg"
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), network.predict_on_batch(image), atol=1e-6)
