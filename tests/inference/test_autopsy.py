"""The autopsy: a silenced part equals the network that never had it, or whose weights are zero."""

from __future__ import annotations

import numpy as np
import pytest

from lvseg import ConfigError
from lvseg.backend import keras
from lvseg.inference import autopsy
from tests.small_networks import built, numbers

IMAGES = np.random.default_rng(0).random((2, 32, 32, 1), dtype=np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """Improved ResUNet with every weight drawn anew, so that no bias is zero and no gate is half open."""
    keras.utils.set_random_seed(1)
    network, random = built(model="improved_resunet"), np.random.default_rng(2)
    network.set_weights([w + random.normal(0, 0.2, w.shape).clip(-0.3, 0.3) for w in network.get_weights()])
    return network


def outputs(network: keras.Model) -> np.ndarray:
    return numbers(network(IMAGES))


def with_weights_of(other: keras.Model, **choices) -> keras.Model:
    """A network of these choices, its layers' weights taken by name."""
    network = built(**choices)
    for layer in network.layers:
        layer.set_weights(other.get_layer(layer.name).get_weights())
    return network


def with_zeros(network: keras.Model, layers: list[str]) -> keras.Model:
    """The network whose convolutions of these names have kernels and biases of zero."""
    changed = with_weights_of(network, model="improved_resunet")
    for name in layers:
        changed.get_layer(name).set_weights([0 * weight for weight in network.get_layer(name).get_weights()])
    return changed


def test_nothing_forced_is_the_network_itself(network):
    np.testing.assert_array_equal(outputs(autopsy.forced(network, {})), outputs(network))
    np.testing.assert_allclose(outputs(autopsy.with_slope(network, 0.01)), outputs(network), atol=1e-6)


def test_open_gates_are_a_network_without_attention(network):
    opened = outputs(autopsy.forced(network, dict.fromkeys(autopsy.gates(network), 1.0)))
    without = with_weights_of(network, model="improved_resunet", attention="none")
    np.testing.assert_allclose(opened, outputs(without), atol=1e-6)
    assert np.abs(opened - outputs(network)).max() > 0.01


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_a_cut_branch_has_weights_of_zero(network, number):
    cut = autopsy.branch(network, number)
    assert len(cut) == 5
    zeroed = [name.replace("activation", "conv") for name in cut]
    changed = outputs(autopsy.forced(network, dict.fromkeys(cut, 0.0)))
    np.testing.assert_allclose(changed, outputs(with_zeros(network, zeroed)), atol=1e-6)
    assert np.abs(changed - outputs(network)).max() > 1e-3


def test_cut_shortcuts_have_weights_of_zero(network):
    names = ["resblock_1_shortcut", "resblock_9_shortcut"]
    changed = outputs(autopsy.forced(network, dict.fromkeys(names, 0.0)))
    np.testing.assert_allclose(changed, outputs(with_zeros(network, names)), atol=1e-6)


def test_a_cut_skip_reaches_the_next_convolutions_as_zeros(network):
    """Joined behind the upsampled channels, so the weights of its channels in the next block may as well be zero."""
    changed = with_weights_of(network, model="improved_resunet")
    own = network.get_layer("upsampling_9").output.shape[-1]
    norm = changed.get_layer("resblock_9_1_norm")
    gamma, beta, mean, variance = norm.get_weights()
    mean[own:], gamma[own:], beta[own:] = 0, 0, (beta - gamma * mean / np.sqrt(variance + norm.epsilon))[own:]
    norm.set_weights([gamma, beta, mean, variance])
    kernel, bias = changed.get_layer("resblock_9_shortcut").get_weights()
    kernel[:, :, own:] = 0
    changed.get_layer("resblock_9_shortcut").set_weights([kernel, bias])
    cut = outputs(autopsy.forced(network, {"attention_9_weight": 0.0}))
    np.testing.assert_allclose(cut, outputs(changed), atol=1e-5)


@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_another_slope_is_a_network_built_with_it(network, slope):
    other = with_weights_of(network, model="improved_resunet", slope=slope)
    np.testing.assert_allclose(outputs(autopsy.with_slope(network, slope)), outputs(other), atol=1e-6)


def test_the_network_itself_stays_as_it_was(network):
    before = outputs(network)
    autopsy.forced(network, {"attention_6_weight": 0.0})
    autopsy.with_slope(network, 0.5)
    np.testing.assert_array_equal(outputs(network), before)


def test_a_layer_that_is_not_there_is_named(network):
    with pytest.raises(ConfigError, match="improved_resunet has no layer 'attention_5_weight'; its layers are: atten"):
        autopsy.forced(network, {"attention_6_weight": 1.0, "attention_5_weight": 1.0})


def test_other_networks_have_no_such_parts():
    network = built(model="unet")
    assert autopsy.gates(network) == autopsy.branch(network, 1) == []


def test_a_whole_five_by_five_has_one_activation_less():
    network = built(model="improved_resunet", inception_5x5="whole")
    assert autopsy.branch(network, 3)[0] == "resblock_1_inception_branch3_activation2"
