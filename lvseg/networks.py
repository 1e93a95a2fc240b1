"""U-Net, ResUNet and the improved ResUNet as functional Keras graphs, built from one set of blocks (Tables 1 and 2)."""

from __future__ import annotations

import numpy as np

from lvseg import blocks
from lvseg.backend import KerasTensor, keras, layers
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
    """

    def shape(tensor: KerasTensor) -> tuple[int, int, int]:
        return tuple(tensor.shape[1:])

    def block(number: int, x: KerasTensor) -> Layer:
        convolutions = [network.get_layer(f"resblock_{number}_conv{step}") for step in (1, 2, 3)]
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


def block_diagram(network: keras.Model, number: int) -> list[str]:
    """What stands in ResBlock `number` of a built network, from top to bottom, as labels for Fig. 5.

    A decoder block begins with its upsampling and the attention on its skip connection.
    """
    prefixes = (f"upsampling_{number}", f"attention_{number}", f"resblock_{number}")
    members = [layer for layer in network.layers if layer.name.startswith(prefixes)]
    # The graph lists layers by depth; the figure reads from the sampled input down to the block's output.
    members.sort(key=lambda layer: next(i for i, prefix in enumerate(prefixes) if layer.name.startswith(prefix)))
    labels: list[str] = []
    for layer in members:
        label = _label(layer)
        if label and label not in labels[-1:]:
            labels.append(label)
    return labels


def _label(layer: keras.layers.Layer) -> str:
    """A layer's box; the layers of an Inception module or an attention share one box."""
    if "_inception" in layer.name:
        return "Inception module"
    if layer.name.startswith("attention"):
        return "attention on the skip connection"
    if isinstance(layer, layers.Conv2D):
        kernel, stride = layer.kernel_size[0], layer.strides[0]
        role = " (shortcut)" if layer.name.endswith("shortcut") else f", stride {stride}" if stride > 1 else ""
        return f"{kernel}x{kernel} conv{role}"
    names = {
        layers.BatchNormalization: "BN",
        layers.LeakyReLU: "LeakyReLU",
        layers.ReLU: "ReLU",
        layers.Add: "addition",
        layers.Concatenate: "concatenation with the skip",
        layers.UpSampling2D: "upsampling x2",
        layers.Conv2DTranspose: "transposed conv x2",
    }
    return next((name for kind, name in names.items() if isinstance(layer, kind)), "")
