"""An autopsy: a trained network with a part silenced and never trained again shows what it makes use of.

The changed networks keep the trained weights and are of stock layers, as those of `lvseg.networks` are. What they score
tells what this network rests on, not what one trained without the part would reach: that could learn to do without.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lvseg.backend import KerasTensor, keras, layers
from lvseg.errors import ConfigError


def forced(network: keras.Model, values: Mapping[str, float | list[float]]) -> keras.Model:
    """The network in which the output of each named layer is a constant, at every place of every image.

    values: by the layer's name, one number, or one per channel. An attention gate's weight (`gates`) forced to 1 is
    open, to 0 cuts its skip connection; a convolution or activation forced to 0 is cut. Raises `lvseg.ConfigError` for
    a layer that the network doesn't have.
    """
    known = {layer.name for layer in network.layers}
    if unknown := sorted(values.keys() - known):
        raise ConfigError(f"{network.name} has no layer {unknown[0]!r}; its layers are: {', '.join(sorted(known))}")

    def call(layer: keras.Layer, *inputs: Any, **options: Any) -> KerasTensor:
        output = layer(*inputs, **options)
        if layer.name not in values:
            return output
        return layers.Rescaling(0.0, values[layer.name], name=f"{layer.name}_forced")(output)

    return _with_its_weights(network, call_function=call)


def with_slope(network: keras.Model, slope: float) -> keras.Model:
    """The network whose every LeakyReLU lets negative numbers through with another slope: 0 is ReLU, 1 nothing (U4)."""

    def clone(layer: keras.Layer) -> keras.Layer:
        if isinstance(layer, layers.LeakyReLU):
            return layers.LeakyReLU(negative_slope=slope, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    return _with_its_weights(network, clone_function=clone)


def _with_its_weights(network: keras.Model, **how: Callable) -> keras.Model:
    changed = keras.models.clone_model(network, **how)
    for layer in network.layers:  # by name: the clone's graph may list them in another order
        changed.get_layer(layer.name).set_weights(layer.get_weights())
    return changed


def gates(network: keras.Model) -> list[str]:
    """The layers whose outputs are the attention gates' weights, deepest first; none where there are no such gates."""
    return [layer.name for layer in network.layers if re.fullmatch(r"attention_\d+_weight", layer.name)]


def branch(network: keras.Model, number: int) -> list[str]:
    """The last layer of branch `number` in every Inception module, by depth (U2).

    1: the 1x1 convolution; 2: 3x3; 3: 5x5; 4: pooling.
    """
    found: dict[str, str] = {}
    for layer in network.layers:  # of several activations in a branch, the last one is kept
        if within := re.fullmatch(rf"(resblock_\d+_inception_branch{number})_activation\d+", layer.name):
            found[within[1]] = layer.name
    return list(found.values())
