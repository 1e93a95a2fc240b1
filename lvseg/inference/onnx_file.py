"""A network as an ONNX file, for ONNX Runtime and whatever else doesn't have Keras.

Written straight from the graph of stock Keras layers, so it works on every backend. ONNX's operators want channels
first; input and output keep Keras's order.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lvseg import files
from lvseg.backend import KerasTensor, keras, layers
from lvseg.errors import ConfigError

OPSET = 18


def to_onnx(network: keras.Model, path: Path) -> None:
    """Write `network`, a graph of the layers that `lvseg.networks.build` uses, to `path`.

    Its input `image` and output `probability` are float32 (any batch, height, width, channels). Raises
    `lvseg.ConfigError` for a layer of another kind.
    """
    graph = _Graph()
    graph.add("Transpose", ["image"], "first", perm=[0, 3, 1, 2])
    graph.network(network, "first", "last")
    graph.add("Transpose", ["last"], "probability", perm=[0, 2, 3, 1])
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *tensor.shape[1:]])
        for name, tensor in (("image", network.input), ("probability", network.output))
    ]
    made = helper.make_graph(graph.nodes, network.name, ends[:1], ends[1:], graph.constants)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    with files.atomic(path) as temporary:
        temporary.write_bytes(model.SerializeToString())


class _Graph:
    """The nodes and constants of an ONNX graph, whose tensors have names."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> None:
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))

    def constant(self, values: Any, dtype: type = np.float32) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def network(self, network: keras.Model, source: str, target: str) -> None:
        """All layers of a network, from the tensor `source` to the tensor `target`."""
        place = len(self.nodes)  # an ensemble holds tensors of one name in each of its networks
        ends = {network.input.name: source, network.output.name: target}

        def name(tensor: KerasTensor) -> str:
            return ends.get(tensor.name, f"keras_{place}_{tensor.name}")

        for depth in sorted(network._nodes_by_depth, reverse=True):
            for node in network._nodes_by_depth[depth]:
                if node.input_tensors:
                    self.write(node.operation, [name(tensor) for tensor in node.input_tensors], name(node.outputs[0]))

    def write(self, layer: keras.layers.Layer, inputs: list[str], output: str) -> None:
        """One layer; an activation inside it becomes a node of its own, a network within the network its layers."""
        if isinstance(layer, keras.Model):
            self.network(layer, inputs[0], output)
            return
        linear = getattr(layer, "activation", None) in (None, keras.activations.linear)
        writer = next((writer for kind, writer in _WRITERS.items() if type(layer) is kind), None)
        if writer is None or (not linear and layer.activation not in _ACTIVATIONS):
            raise ConfigError(
                f"layer {layer.name} ({type(layer).__name__}) can't be written as ONNX; lvseg uses none such"
            )
        before = output if linear else f"{output}_linear"
        writer(self, layer, inputs, before)
        if not linear:
            self.add(_ACTIVATIONS[layer.activation], [before], output)


_ACTIVATIONS = {keras.activations.relu: "Relu", keras.activations.sigmoid: "Sigmoid"}
_Writer = Callable[[_Graph, Any, list[str], str], None]


def _plain(operator: str, **attributes: Any) -> _Writer:
    return lambda graph, layer, inputs, output: graph.add(operator, inputs, output, **attributes)


def _same(kernel: int, stride: int, size: int) -> list[int]:
    """Padding "same" of both axes as Keras counts it: what is odd goes to the end."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return [total // 2] * 2 + [total - total // 2] * 2


def _convolution(graph: _Graph, layer: Any, inputs: list[str], output: str) -> None:
    kernel, bias = layer.get_weights()
    weights = [graph.constant(kernel.transpose(3, 2, 0, 1)), graph.constant(bias)]
    if isinstance(layer, layers.Conv2DTranspose):
        graph.add("ConvTranspose", inputs + weights, output, strides=layer.strides)
    else:
        pads = _same(layer.kernel_size[0], layer.strides[0], layer.input.shape[1])
        graph.add("Conv", inputs + weights, output, strides=layer.strides, pads=pads)


def _normalisation(graph: _Graph, layer: Any, inputs: list[str], output: str) -> None:
    statistics = [graph.constant(values) for values in layer.get_weights()]  # scale, shift, mean, variance, as in ONNX
    graph.add("BatchNormalization", inputs + statistics, output, epsilon=layer.epsilon)


def _leaky_relu(graph: _Graph, layer: Any, inputs: list[str], output: str) -> None:
    graph.add("LeakyRelu", inputs, output, alpha=layer.negative_slope)


def _pooling(graph: _Graph, layer: Any, inputs: list[str], output: str) -> None:
    kernel, stride = layer.pool_size[0], layer.strides[0]
    pads = _same(kernel, stride, layer.input.shape[1]) if layer.padding == "same" else [0] * 4
    graph.add("MaxPool", inputs, output, kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=pads)


def _upsampling(graph: _Graph, layer: Any, inputs: list[str], output: str) -> None:
    scales = ["", graph.constant([1, 1, *layer.size])]
    if layer.interpolation == "nearest":
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        how = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
    graph.add("Resize", inputs + scales, output, **how)


def _reshape(graph: _Graph, layer: Any, inputs: list[str], output: str) -> None:
    """In Keras's order of the axes: CBAM turns maps (h, w, c) into rows (h*w, c), and vectors (h*w) into maps."""
    source, target = inputs[0], layer.output.shape[1:]
    if len(layer.input.shape) == 4:
        graph.add("Transpose", [source], f"{output}_last", perm=[0, 2, 3, 1])
        source = f"{output}_last"
    image = len(target) == 3
    rows = f"{output}_rows" if image else output
    graph.add("Reshape", [source, graph.constant([0, *target], np.int64)], rows)
    if image:
        graph.add("Transpose", [rows], output, perm=[0, 3, 1, 2])


def _across_channels(operator: str) -> _Writer:
    return lambda graph, layer, inputs, output: graph.add(
        operator, [*inputs, graph.constant([2], np.int64)], output, keepdims=0
    )


_WRITERS: dict[type, _Writer] = {
    layers.Conv2D: _convolution,
    layers.Conv2DTranspose: _convolution,
    layers.BatchNormalization: _normalisation,
    layers.LeakyReLU: _leaky_relu,
    layers.ReLU: _plain("Relu"),
    layers.Activation: _plain("Identity"),
    layers.Identity: _plain("Identity"),
    layers.Add: _plain("Sum"),
    layers.Average: _plain("Mean"),
    layers.Multiply: _plain("Mul"),
    layers.Concatenate: _plain("Concat", axis=1),
    layers.MaxPooling2D: _pooling,
    layers.UpSampling2D: _upsampling,
    layers.GlobalAveragePooling2D: _plain("GlobalAveragePool"),
    layers.GlobalMaxPooling2D: _plain("GlobalMaxPool"),
    layers.GlobalAveragePooling1D: _across_channels("ReduceMean"),
    layers.GlobalMaxPooling1D: _across_channels("ReduceMax"),
    layers.Reshape: _reshape,
}
