"""U-Net, ResUNet and the improved ResUNet as functional Keras graphs, built from one set of blocks (Tables 1 and 2)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from lvseg import blocks
from lvseg.backend import KerasTensor, keras, layers
from lvseg.errors import ConfigError
from lvseg.paper import Layer
from lvseg.profiles import NetworkConfig

ENCODER = (1, 2, 4, 8, 16)
"""Channels of the five encoder blocks, in units of the width (Table 1: 64 to 1024 at width 64)."""
DECODER = (8, 4, 2, 1)
"""Channels of the four decoder blocks, in units of the width."""


def build(config: NetworkConfig) -> keras.Model:
    """The network that `config` describes.

    Input: float32 (batch, size, size, channels), grey levels scaled to 0..1. Output: float32 (batch, size, size, 1),
    each pixel's probability of lying inside the LV endocardium. At width 64, size 256 and 3 channels the improved
    ResUNet's layers have the shapes, kernels and strides of Table 1 (`table1`).
    """
    x = inputs = keras.Input((config.size, config.size, config.channels), name="image")
    body = _unet if config.model == "unet" else _resunet
    x = body(x, config)
    logits = blocks.convolution(x, 1, 1, "convolution")
    probability = layers.Activation("sigmoid", dtype="float32", name="probability")(logits)
    return keras.Model(inputs, probability, name=config.model)


def blueprint(config: NetworkConfig) -> keras.Model:
    """The same network without memory for its weights (200 MB at full width): to draw and to count, not to run."""
    with keras.StatelessScope(initialize_variables=False):
        network = build(config)
    keras.utils.clear_session()  # Keras would make the weights together with those of the next network
    return network


def logits(network: keras.Model) -> keras.Model:
    """The same network, sharing its weights, up to the logits: a loss of logits is stable where a sigmoid saturates."""
    return keras.Model(network.input, network.get_layer("convolution").output, name=f"{network.name}_logits")


def _resunet(x: KerasTensor, config: NetworkConfig) -> KerasTensor:
    """ResUNet's skeleton; the configuration switches the three improvements on (U8)."""
    everywhere = config.inception == "encoder_decoder"
    skips = []
    for number, channels in enumerate(ENCODER, 1):
        deepest = number == len(ENCODER)
        inception = everywhere or config.inception == "encoder" or (config.inception == "bottleneck" and deepest)
        stride = 1 if number == 1 else 2
        x = blocks.residual_block(x, channels * config.width, config, f"resblock_{number}", stride, inception)
        skips.append(x)
    for number, (channels, skip) in enumerate(zip(DECODER, skips[-2::-1], strict=True), len(ENCODER) + 1):
        x = blocks.upsampling(x, config, f"upsampling_{number}")
        skip = blocks.attention(skip, x, config, f"attention_{number}")
        x = blocks.join(x, skip, config, f"resblock_{number}")
        x = blocks.residual_block(x, channels * config.width, config, f"resblock_{number}", inception=everywhere)
    return x


def _unet(x: KerasTensor, config: NetworkConfig) -> KerasTensor:
    """U-Net with zero padding and batch normalisation (U7)."""
    skips = []
    for number, channels in enumerate(ENCODER, 1):
        if number > 1:
            x = layers.MaxPooling2D(2, name=f"pool_{number}")(x)
        x = blocks.double_convolution(x, channels * config.width, config, f"block_{number}")
        skips.append(x)
    for number, (channels, skip) in enumerate(zip(DECODER, skips[-2::-1], strict=True), len(ENCODER) + 1):
        x = blocks.upsampling(x, config, f"upsampling_{number}")
        skip = blocks.attention(skip, x, config, f"attention_{number}")
        x = blocks.join(x, skip, config, f"block_{number}")
        x = blocks.double_convolution(x, channels * config.width, config, f"block_{number}")
    return x


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
    return {_title(name): keras.ops.convert_to_numpy(tensor) for name, tensor in zip(ends, maps, strict=True)}


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
    """The names of the layers whose outputs this layer takes in the graph."""
    tensors = [tensor for node in layer._inbound_nodes for tensor in node.input_tensors]
    return [tensor._keras_history.operation.name for tensor in tensors]


class Box(NamedTuple):
    """A part of a network as a figure shows it: what is printed in it, its column and row, whose outputs it takes."""

    name: str
    label: str
    column: int
    row: float
    inputs: tuple[str, ...]


def network_diagram(network: keras.Model) -> list[Box]:
    """The stages of a built network for a U-shaped figure: encoder, attention and decoder in columns 0, 1 and 2.

    Blocks stand in row 0 at the input's size and two rows lower for each halving; what samples stands in between.
    """
    boxes = []
    for name, (members, inputs) in _linked(network, stage).items():
        kind, _, number = name.partition("_")
        side = (int(number) > len(ENCODER)) - (int(number) < len(ENCODER)) if number else 1
        column = {"image": 0, "attention": 1, "pool": 0}.get(kind, 1 + side)
        row = 2 * math.log2(network.input.shape[1] / members[-1].output.shape[1])
        row += {"image": -2, "probability": -2, "convolution": -1, "pool": -1, "upsampling": 1}.get(kind, 0)
        boxes.append(Box(name, _with_shape(name, members), column, row, inputs))
    return boxes


def block_diagram(network: keras.Model, number: int) -> list[Box]:
    """What stands in block `number` of a built network, from its inputs to its output, for Fig. 5.

    Column 0 is the main path, column 1 what joins it: shortcut, skip connection and the attention on it. A decoder
    block begins with its upsampling. An Inception module and an attention are one box each.
    """

    def part_of(layer: str) -> str:
        if layer.startswith("attention") or not inside(layer):
            return stage(layer)
        return re.sub("_inception.*", "_inception", layer)

    def inside(part: str) -> bool:
        return stage(part).endswith(f"_{number}")

    linked = _linked(network, part_of)
    around = {source for part in linked if inside(part) for source in linked[part][1] if not inside(source)}
    skip = f"block_{len(ENCODER) + len(DECODER) + 1 - number}"
    boxes: dict[str, Box] = {}
    for name, (members, inputs) in linked.items():
        if name not in around and not inside(name):
            continue
        inputs = () if name in around else inputs
        beside = re.search(f"attention|shortcut|subsample|project|{skip}$", name)
        row = max((boxes[source].row for source in inputs), default=0 if beside else -1)
        row = math.floor(row + 0.5) + 0.5 if beside else math.floor(row) + 1
        label = _with_shape(name, members) if name == stage(name) else _label(name, members[-1])
        boxes[name] = Box(name, label, 1 if beside else 0, row, inputs)
    return list(boxes.values())


def _linked(
    network: keras.Model, part_of: Callable[[str], str]
) -> dict[str, tuple[list[keras.Layer], tuple[str, ...]]]:
    """Each part's layers, and the other parts whose outputs they take."""
    linked = {}
    for name, members in parts(network, part_of).items():
        sources = dict.fromkeys(part_of(parent) for layer in members for parent in parents(layer))
        linked[name] = (members, tuple(source for source in sources if source != name))
    return linked


def _title(name: str) -> str:
    """A stage's title, as in Table 1."""
    kind, _, number = name.partition("_")
    return {"resblock": f"ResBlock ({number})", "block": f"double conv ({number})", "pool": "max pooling"}.get(
        kind, kind
    )


def _with_shape(name: str, members: list[keras.Layer]) -> str:
    return f"{_title(name)}\n{' × '.join(map(str, members[-1].output.shape[1:]))}"


def _label(name: str, layer: keras.Layer) -> str:
    """What the box of one layer, or of an Inception module, says."""
    if name.endswith("_inception"):
        return "Inception module"
    if isinstance(layer, layers.Conv2D):
        kernel, stride = layer.kernel_size[0], layer.strides[0]
        role = " (shortcut)" if name.endswith("shortcut") else f", stride {stride}" if stride > 1 else ""
        return f"{kernel}x{kernel} conv{role}"
    names = {
        layers.BatchNormalization: "BN",
        layers.LeakyReLU: "LeakyReLU",
        layers.ReLU: "ReLU",
        layers.Add: "addition",
        layers.Concatenate: "concatenation",
        layers.MaxPooling2D: "subsampling",
    }
    return next((label for kind, label in names.items() if isinstance(layer, kind)), _title(name))
