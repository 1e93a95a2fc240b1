"""The blocks of Fig. 5: residual block, Inception module, attention on a skip connection, U-Net's double convolution.

Every function takes a Keras tensor (batch, height, width, channels) and returns one, built of stock Keras layers only,
so that a saved network loads in a process without lvseg. Layers are named after the block they belong to.
"""

from __future__ import annotations

from lvseg.backend import KerasTensor, layers
from lvseg.experiment import NetworkConfig


def convolution(x: KerasTensor, filters: int, kernel: int, name: str, stride: int = 1) -> KerasTensor:
    """A convolution with zero padding: (h, w, c) becomes (h/stride, w/stride, filters)."""
    return layers.Conv2D(filters, kernel, strides=stride, padding="same", name=name)(x)


def activation(x: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """LeakyReLU with the configured slope (U4); ReLU where the slope is 0."""
    if config.slope == 0:
        return layers.ReLU(name=name)(x)
    return layers.LeakyReLU(negative_slope=config.slope, name=name)(x)


def normalisation(x: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """Batch normalisation, or nothing where the configuration has none (U7)."""
    if not config.batch_norm:
        return x
    return layers.BatchNormalization(momentum=config.bn_momentum, name=name)(x)


def residual_block(
    x: KerasTensor, filters: int, config: NetworkConfig, name: str, stride: int = 1, inception: bool = False
) -> KerasTensor:
    """A ResBlock of Fig. 5 and Table 1: three 3x3 convolutions with strides 1, 1, `stride`, and a shortcut (U1).

    (h, w, c) becomes (h/stride, w/stride, filters). `two_stage` puts the shortcut around two stages and samples after
    the addition; the other wirings put one shortcut around all convolutions. `two_convolutions` is Zhang 2018's
    pre-activated unit: two of them, strides `stride`, 1 (U8). An Inception module sits before the last one (U2).
    """
    if config.wiring == "two_stage":
        y = _stage(x, filters, config, f"{name}_1")
        y = _stage(y, filters, config, f"{name}_2")
        y = layers.Add(name=f"{name}_add")([y, convolution(x, filters, 1, f"{name}_shortcut")])
        if inception:
            y = inception_module(y, filters, config, f"{name}_inception")
        y = convolution(y, filters, 3, f"{name}_conv3", stride)
    else:
        strides = (stride, 1) if config.wiring == "two_convolutions" else (1, 1, stride)
        unit = _postactivated if config.wiring == "postactivation" else _preactivated
        y = x
        for step, of_step in enumerate(strides, 1):
            if inception and step == len(strides):
                y = inception_module(y, filters, config, f"{name}_inception")
            y = unit(y, filters, config, f"{name}_{step}", f"{name}_conv{step}", of_step)
        if stride > 1:
            # A 1x1 convolution of stride 2, in two steps: TensorFlow 2.21 corrupts its memory in that one's gradient.
            x = layers.MaxPooling2D(1, strides=stride, name=f"{name}_subsample")(x)
        y = layers.Add(name=f"{name}_add")([y, convolution(x, filters, 1, f"{name}_shortcut")])
    return layers.Identity(name=name)(y)


def _stage(x: KerasTensor, filters: int, config: NetworkConfig, name: str) -> KerasTensor:
    """One stage as Fig. 5's boxes read from top to bottom: BN, 3x3 convolution, LeakyReLU."""
    block, number = name.rsplit("_", 1)
    y = normalisation(x, config, f"{name}_norm")
    y = convolution(y, filters, 3, f"{block}_conv{number}")
    return activation(y, config, f"{name}_activation")


def _preactivated(x, filters: int, config: NetworkConfig, name: str, conv: str, stride: int) -> KerasTensor:
    if not (config.wiring == "two_convolutions" and name == "resblock_1_1"):  # Zhang convolves the image as it is
        x = activation(normalisation(x, config, f"{name}_norm"), config, f"{name}_activation")
    return convolution(x, filters, 3, conv, stride)


def _postactivated(x, filters: int, config: NetworkConfig, name: str, conv: str, stride: int) -> KerasTensor:
    y = normalisation(convolution(x, filters, 3, conv, stride), config, f"{name}_norm")
    return activation(y, config, f"{name}_activation")


def inception_module(x: KerasTensor, filters: int, config: NetworkConfig, name: str) -> KerasTensor:
    """The Inception module (U2): four parallel branches with a quarter of the channels each, joined.

    1x1; 1x1 then 3x3; 1x1 then 5x5 (as two 3x3, or whole); 3x3 max pooling then 1x1. (h, w, c) becomes (h, w, filters).
    """

    def branch(y: KerasTensor, *kernels: int, number: int) -> KerasTensor:
        for step, kernel in enumerate(kernels, 1):
            y = convolution(y, filters // 4, kernel, f"{name}_branch{number}_conv{step}")
            y = activation(y, config, f"{name}_branch{number}_activation{step}")
        return y

    five = (3, 3) if config.inception_5x5 == "factorised" else (5,)
    pooled = layers.MaxPooling2D(3, strides=1, padding="same", name=f"{name}_pool")(x)
    branches = [
        branch(x, 1, number=1),
        branch(x, 1, 3, number=2),
        branch(x, 1, *five, number=3),
        branch(pooled, 1, number=4),
    ]
    return layers.Concatenate(name=name)(branches)


def attention(skip: KerasTensor, gate: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """Re-weight a skip connection (U3); returns a tensor of the skip's shape.

    skip, gate: (h, w, c) and (h, w, d): the encoder's tensor and the decoder's upsampled one.
    """
    kinds = {"none": None, "gate": _attention_gate, "squeeze_excitation": _channel_attention, "cbam": _cbam}
    kind = kinds[config.attention]
    return skip if kind is None else kind(skip, gate, config, name)


def _attention_gate(skip: KerasTensor, gate: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """Additive attention: skip * sigmoid(psi(act(W skip + U gate + b))), one weight in 0..1 per pixel.

    W and U are the two halves of one 1x1 convolution of the joined tensors. Written as a sum of two convolutions,
    TensorFlow 2.21 on the CPU would compute the LeakyReLU behind it with slope 0.2 whatever the slope is.
    """
    y = convolution(layers.Concatenate(name=f"{name}_both")([skip, gate]), skip.shape[-1] // 2, 1, f"{name}_sum")
    y = convolution(activation(y, config, f"{name}_activation"), 1, 1, f"{name}_psi")
    weight = layers.Activation("sigmoid", name=f"{name}_weight")(y)
    return layers.Multiply(name=name)([skip, weight])


def _channel_attention(skip: KerasTensor, gate: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """Squeeze-and-excitation: one weight in 0..1 per channel, from the channels' means."""
    channels = skip.shape[-1]
    y = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(skip)
    y = activation(convolution(y, max(channels // 8, 1), 1, f"{name}_reduce"), config, f"{name}_activation")
    weight = layers.Activation("sigmoid", name=f"{name}_weight")(convolution(y, channels, 1, f"{name}_expand"))
    return layers.Multiply(name=name)([skip, weight])


def _cbam(skip: KerasTensor, gate: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """CBAM: channel weights from mean and maximum through one shared network, then a weight per pixel."""
    channels = skip.shape[-1]
    reduce = layers.Conv2D(max(channels // 8, 1), 1, activation="relu", name=f"{name}_reduce")
    expand = layers.Conv2D(channels, 1, name=f"{name}_expand")
    mean = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(skip)
    peak = layers.GlobalMaxPooling2D(keepdims=True, name=f"{name}_peak")(skip)
    both = layers.Add(name=f"{name}_sum")([expand(reduce(mean)), expand(reduce(peak))])
    weight = layers.Activation("sigmoid", name=f"{name}_channel_weight")(both)
    y = layers.Multiply(name=f"{name}_channels")([skip, weight])
    # Means and maxima across channels, of a stock layer: pooling over the channel axis moved into a row.
    rows = layers.Reshape((-1, channels), name=f"{name}_rows")(y)
    mean = layers.GlobalAveragePooling1D(data_format="channels_first", name=f"{name}_pixel_mean")(rows)
    peak = layers.GlobalMaxPooling1D(data_format="channels_first", name=f"{name}_pixel_peak")(rows)
    height, width = skip.shape[1:3]
    maps = [
        layers.Reshape((height, width, 1), name=f"{name}_{kind}_map")(tensor)
        for kind, tensor in (("mean", mean), ("peak", peak))
    ]
    weight = convolution(layers.Concatenate(name=f"{name}_maps")(maps), 1, 7, f"{name}_spatial")
    return layers.Multiply(name=name)([y, layers.Activation("sigmoid", name=f"{name}_weight")(weight)])


def upsampling(x: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """Twice the height and width, channels kept (U5)."""
    if config.upsampling == "transposed":
        return layers.Conv2DTranspose(x.shape[-1], 2, strides=2, padding="same", name=name)(x)
    return layers.UpSampling2D(2, interpolation=config.upsampling, name=name)(x)


def join(x: KerasTensor, skip: KerasTensor, config: NetworkConfig, name: str) -> KerasTensor:
    """Join the decoder's tensor and the skip connection (U6): concatenated, or added after a 1x1 projection."""
    if config.skip == "concatenate":
        return layers.Concatenate(name=f"{name}_join")([x, skip])
    return layers.Add(name=f"{name}_join")([x, convolution(skip, x.shape[-1], 1, f"{name}_project")])


def double_convolution(x: KerasTensor, filters: int, config: NetworkConfig, name: str) -> KerasTensor:
    """U-Net's block: twice (3x3 convolution, BN, ReLU); (h, w, c) becomes (h, w, filters)."""
    for step in (1, 2):
        x = convolution(x, filters, 3, f"{name}_conv{step}")
        x = activation(normalisation(x, config, f"{name}_norm{step}"), config, f"{name}_activation{step}")
    return x
