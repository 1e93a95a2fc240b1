"""What each stage of a network costs: parameters, multiply-adds, activation memory, and how far it sees."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import pandas as pd

from lvseg.backend import keras, layers


@dataclass
class _Sight:
    """What one element of a tensor sees of the input: `field` pixels a side, neighbours `jump` pixels apart."""

    field: float
    jump: float


def per_stage(network: keras.Model) -> pd.DataFrame:
    """A row per stage of a built network, in the order of the graph, indexed by the stage's name.

    parameters: number. multiply_adds: of the convolutions, per image. activations_mib: float32 outputs of all layers
    of the stage for one image, which training keeps for the backward pass. receptive_field: side (pixels of the
    input) of the square that one element of the stage's last tensor depends on, borders left out of account.
    """
    rows: dict[str, dict[str, float]] = {}
    sights: dict[str, _Sight] = {}
    for layer in network.layers:
        sights[layer.name] = _look(layer, [sights[parent] for parent in _parents(layer)])
        stage = re.sub(r"^((?:resblock|block|upsampling|attention|pool)_\d+).*", r"\1", layer.name)
        row = rows.setdefault(stage, {"parameters": 0, "multiply_adds": 0, "activations_mib": 0.0})
        row["parameters"] += layer.count_params()
        row["multiply_adds"] += multiply_adds(layer)
        row["activations_mib"] += math.prod(layer.output.shape[1:]) * 4 / 2**20
        row["receptive_field"] = sights[layer.name].field
    table = pd.DataFrame.from_dict(rows, orient="index")
    whole = ["parameters", "multiply_adds", "receptive_field"]
    return table.astype(dict.fromkeys(whole, int))


def multiply_adds(layer: keras.layers.Layer) -> int:
    """Multiply-adds of one convolution for one image; 0 for all other layers, which cost little beside them."""
    if isinstance(layer, layers.Conv2DTranspose):
        return math.prod(layer.input.shape[1:3]) * math.prod(layer.kernel.shape)
    if isinstance(layer, layers.Conv2D):
        return math.prod(layer.output.shape[1:3]) * math.prod(layer.kernel.shape)
    return 0


def _parents(layer: keras.layers.Layer) -> list[str]:
    """The names of the layers whose outputs this layer takes in the graph."""
    nodes = layer._inbound_nodes[:1]
    return [history.operation.name for node in nodes for history in (t._keras_history for t in node.input_tensors)]


def _look(layer: keras.layers.Layer, inputs: list[_Sight]) -> _Sight:
    """The sight after one layer; where tensors join, the farther one."""
    if not inputs:
        return _Sight(1, 1)
    sight = _Sight(max(i.field for i in inputs), max(i.jump for i in inputs))
    if isinstance(layer, layers.Conv2DTranspose):
        return _Sight(sight.field, sight.jump / layer.strides[0])
    if isinstance(layer, layers.UpSampling2D):
        # bilinear interpolation mixes two neighbours, nearest none
        reach = sight.jump if layer.interpolation == "bilinear" else 0
        return _Sight(sight.field + reach, sight.jump / layer.size[0])
    if isinstance(layer, layers.Conv2D | layers.MaxPooling2D):
        kernel = layer.kernel_size[0] if isinstance(layer, layers.Conv2D) else layer.pool_size[0]
        return _Sight(sight.field + (kernel - 1) * sight.jump, sight.jump * layer.strides[0])
    if isinstance(layer, layers.GlobalAveragePooling2D | layers.GlobalMaxPooling2D):
        return _Sight(math.inf, sight.jump)
    return sight
