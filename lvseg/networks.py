"""U-Net, ResUNet and the improved ResUNet as functional Keras graphs, built from one set of blocks (Tables 1 and 2)."""

from __future__ import annotations

from collections.abc import Sequence

from lvseg import blocks
from lvseg.backend import KerasTensor, keras, layers
from lvseg.experiment import NetworkConfig

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


def mean(networks: Sequence[keras.Model]) -> keras.Model:
    """An ensemble as one network: the mean of the probabilities that `networks` of one kind of image give."""
    if len(networks) == 1:
        return networks[0]
    inputs = keras.Input(networks[0].input_shape[1:], name="image")
    parts = [_renamed(network, f"{network.name}_{number}")(inputs) for number, network in enumerate(networks, 1)]
    return keras.Model(inputs, layers.Average(name="probability")(parts), name=f"{networks[0].name}_ensemble")


def _renamed(network: keras.Model, name: str) -> keras.Model:
    return keras.Model(network.input, network.output, name=name)


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
