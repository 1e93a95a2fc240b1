"""What is read off a built network: Table 1, what each stage costs and how far it sees, its maps."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pandas as pd

from lvseg.backend import KerasTensor, keras, layers
from lvseg.errors import ConfigError
from lvseg.networks import DECODER, ENCODER
from lvseg.paper import Layer


def table1(network: keras.Model) -> list[Layer]:
    """Table 1's rows, read off a built ResUNet or improved ResUNet: shapes (height, width, channels).

    A decoder block's input is listed as the paper lists it: the upsampled tensor, without the skip connection (U6).
    Zhang's blocks have two kernels and strides (U8). Raises `lvseg.ConfigError` for a U-Net, which Table 1 isn't about.
    """
    known = {layer.name for layer in network.layers}
    if "resblock_1" not in known:
        raise ConfigError(f"Table 1 describes residual blocks, and {network.name} has none; build a ResUNet")

    def shape(tensor: KerasTensor) -> tuple[int, int, int]:
        return tuple(tensor.shape[1:])

    def block(number: int, x: KerasTensor) -> Layer:
        names = [f"resblock_{number}_conv{step}" for step in (1, 2, 3)]
        convolutions = [network.get_layer(name) for name in names if name in known]
        return Layer(
            f"ResBlock ({number})",
            shape(x),
            tuple(conv.kernel_size[0] for conv in convolutions),
            tuple(conv.strides[0] for conv in convolutions),
            shape(network.get_layer(f"resblock_{number}").output),
        )

    rows, x = [], network.input
    for number in range(1, len(ENCODER) + len(DECODER) + 1):
        if number > len(ENCODER):
            up = network.get_layer(f"upsampling_{number}")
            factor = up.output.shape[1] // up.input.shape[1]
            rows.append(Layer("upsampling", shape(x), (), (factor,), shape(up.output)))
            x = up.output
        rows.append(block(number, x))
        x = network.get_layer(f"resblock_{number}").output
    last = network.get_layer("convolution")
    rows.append(Layer("convolution", shape(x), (), (last.strides[0],), shape(last.output)))
    return rows


def attention_maps(network: keras.Model, images: np.ndarray) -> list[np.ndarray]:
    """The weights (0..1) by which a trained network's attention gates multiply its skip connections, deepest first.

    images: float32 (batch, size, size, channels). Each map is float32 (batch, h, w), h and w of its skip connection.
    """
    gates = [layer.output for layer in network.layers if layer.name.endswith("_weight") and layer.output.shape[-1] == 1]
    return [keras.ops.convert_to_numpy(gate)[..., 0] for gate in keras.Model(network.input, gates)(images)]


def feature_maps(network: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    """What each block of a network passes on, in the order of the graph, by its title: float32 (batch, h, w, c).

    images: float32 (batch, size, size, channels).
    """
    ends = {name: members[-1].output for name, members in parts(network).items() if re.match("(res)?block_", name)}
    maps = keras.Model(network.input, list(ends.values()))(images)
    return {title(name): keras.ops.convert_to_numpy(tensor) for name, tensor in zip(ends, maps, strict=True)}


def stage(layer: str) -> str:
    """The stage that a layer belongs to, by their names: `resblock_2_conv3` to `resblock_2`, `image` to itself."""
    return re.sub(r"^([a-z]+_\d+)_.*", r"\1", layer)


def parts(network: keras.Model, part_of: Callable[[str], str] = stage) -> dict[str, list[keras.Layer]]:
    """The layers of a built network by the part that `part_of` names for each layer's name, in the graph's order."""
    members: dict[str, list[keras.Layer]] = {}
    for layer in network.layers:
        members.setdefault(part_of(layer.name), []).append(layer)
    return members


def parents(layer: keras.Layer) -> list[str]:
    """The names of the layers whose outputs this layer takes in the"""
    tensors = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
    return [tensor._keras_history.operation.name for tensor in tensors]


def title(name: str) -> str:
    """A stage's title, as in Table 1."""
    kind, _, number = name.partition("_")
    return {"resblock": f"ResBlock ({number})", "block": f"double conv ({number})", "pool": "max pooling"}.get(
        kind, kind
    )


def per_stage(network: keras.Model) -> pd.DataFrame:
    """A row per stage of a built network, in the order of the graph, indexed by the stage's name.

    parameters: number. multiply_adds: of the convolutions, per image. activations_mib: float32 outputs of all layers
    of the stage for one image, which training keeps for the backward pass. receptive_field: side (pixels of the
    input) of the largest square that an element of the stage's last tensor depends on, borders left out of account.
    """
    rows = {}
    for name, members in parts(network).items():
        seen = (sees(network, members[-1].name, element) for element in range(2 ** len(DECODER)))
        rows[name] = {
            "parameters": sum(layer.count_params() for layer in members),
            "multiply_adds": sum(map(multiply_adds, members)),
            "activations_mib": sum(math.prod(y.shape[1:]) for layer in members for y in _outputs(layer)) * 4 / 2**20,
            "receptive_field": max(last - first + 1 for first, last in seen),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def multiply_adds(layer: keras.Layer) -> int:
    """Multiply-adds of a convolution for one image; 0 for all other layers, which cost little beside them."""
    if isinstance(layer, layers.Conv2DTranspose):
        return math.prod(layer.input.shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Conv2D):
        return sum(math.prod(y.shape[1:3]) for y in _outputs(layer)) * math.prod(layer.kernel.shape)
    return 0


def _outputs(layer: keras.Layer) -> list[KerasTensor]:
    """A layer's outputs in the graph: several where layers share weights, as in CBAM."""
    return [tensor for node in layer._inbound_nodes for tensor in node.outputs]


def sees(network: keras.Model, layer: str, element: int) -> tuple[int, int]:
    """The first and the last row of the input on which row `element` of a layer's output depends.

    Followed back through the graph, as if there were no borders: a row below 0 means padding. Upsampled rows see
    differently far (two neighbours come from one row or from two), so that it depends on the element.
    """
    spans = {layer: (element, element)}
    for member in reversed(network.layers):
        if member.name in spans:
            first, last = _looks_at(member, *spans[member.name])
            for parent in parents(member):
                known = spans.get(parent, (first, last))
                spans[parent] = (min(first, known[0]), max(last, known[1]))
    return spans[network.layers[0].name]


def _looks_at(layer: keras.Layer, first: int, last: int) -> tuple[int, int]:
    """The rows of a layer's input that the rows `first` to `last` of its output depend on."""
    if isinstance(layer, layers.Conv2DTranspose):
        return first // 2, last // 2
    if isinstance(layer, layers.UpSampling2D):
        reach = 1 if layer.interpolation == "bilinear" else 0  # mixes two neighbours
        return (first - reach) // 2, (last + reach) // 2
    if isinstance(layer, layers.Conv2D | layers.MaxPooling2D | layers.AveragePooling2D):
        kernel = layer.kernel_size[0] if isinstance(layer, layers.Conv2D) else layer.pool_size[0]
        stride = layer.strides[0]
        padding = max(kernel - stride, 0) // 2 if layer.padding == "same" else 0
        return first * stride - padding, last * stride - padding + kernel - 1
    if isinstance(layer, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D):
        return 0, layer.input.shape[1] - 1
    return first, last
