"""What each stage of a network costs: parameters, multiply-adds, activation memory, and how far it sees."""

from __future__ import annotations

import math

import pandas as pd

from lvseg import networks
from lvseg.backend import KerasTensor, keras, layers


def per_stage(network: keras.Model) -> pd.DataFrame:
    """A row per stage of a built network, in the order of the graph, indexed by the stage's name.

    parameters: number. multiply_adds: of the convolutions, per image. activations_mib: float32 outputs of all layers
    of the stage for one image, which training keeps for the backward pass. receptive_field: side (pixels of the
    input) of the largest square that an element of the stage's last tensor depends on, borders left out of account.
    """
    rows = {}
    for name, members in networks.parts(network).items():
        seen = (sees(network, members[-1].name, element) for element in range(2 ** len(networks.DECODER)))
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
            for parent in networks.parents(member):
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
