"""ONNX Runtime computes what Keras computes, for every switch of the network."""

from __future__ import annotations

from typing import Literal, get_args, get_origin

import numpy as np
import onnxruntime
import pytest

from lvseg import networks
from lvseg.backend import keras, layers
from lvseg.errors import ConfigError
from lvseg.experiment import NetworkConfig
from lvseg.inference import onnx_file

SWITCHES = [
    {name: value}
    for name, field in NetworkConfig.model_fields.items()
    if get_origin(field.annotation) is Literal
    for value in get_args(field.annotation)
    if value != field.default
]
TOGETHER: list[dict] = [
    {},
    {"batch_norm": False},
    {"slope": 0.3},
    {"model": "unet", "slope": 0.1, "attention": "cbam"},
    {"wiring": "preactivation", "batch_norm": False, "skip": "add"},
    {"wiring": "postactivation", "upsampling": "transposed", "attention": "squeeze_excitation"},
]


def network_with_random_weights(switches: dict) -> keras.Model:
    """Weights large enough that a wrong slope, padding or statistic is seen, but no sigmoid is saturated."""
    keras.utils.set_random_seed(3)  # as anything drawn from the clock would now and then be a network without contrast
    network = networks.build(NetworkConfig.of(width=4, size=32, **switches))
    draw = np.random.default_rng(3)

    def around(variable) -> np.ndarray:
        values = keras.ops.convert_to_numpy(variable)
        return values * draw.uniform(0.7, 1.3, values.shape) + draw.normal(0, 0.05, values.shape) ** 2

    network.set_weights([around(variable) for variable in network.weights])
    return network


@pytest.mark.parametrize(
    "switches", [*(pytest.param(switch, marks=pytest.mark.slow) for switch in SWITCHES), *TOGETHER], ids=str
)
def test_onnx_runtime_computes_what_keras_computes(switches, tmp_path):
    network = network_with_random_weights(switches)
    onnx_file.to_onnx(network, tmp_path / "net.onnx")
    images = np.random.default_rng(0).random((3, *network.input_shape[1:]), np.float32)
    expected = network.predict_on_batch(images)
    assert np.ptp(expected) > 1e-3  # the answer depends on the image
    eager = keras.ops.convert_to_numpy(network(images))  # layer by layer: TensorFlow's graph rewriting has had bugs
    np.testing.assert_allclose(expected, eager, atol=1e-5)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    np.testing.assert_allclose(session.run(["probability"], {"image": images})[0], expected, atol=1e-4)
    one = session.run(["probability"], {"image": images[:1]})[0]
    np.testing.assert_allclose(one, expected[:1], atol=1e-4)


def test_a_layer_that_no_network_of_ours_has_is_refused(tmp_path):
    inputs = keras.Input((8, 8, 1))
    for layer in (layers.Softmax(), layers.Conv2D(1, 1, activation="tanh")):
        with pytest.raises(ConfigError, match=layer.name):
            onnx_file.to_onnx(keras.Model(inputs, layer(inputs)), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())
