"""Notebook 03: the network's blocks and the whole of it in plain Keras, proven with the shipped network's weights."""

from __future__ import annotations

import numpy as np

from lvseg.backend import keras, layers, ops
from lvseg.course.exercises import transplant
from lvseg.course.exercises.exercise import Exercise, Misfit, Mistake, Probes


def parameters(kernel, channels_in, channels_out):
    """How many numbers a 2-D convolution learns, its biases included.

    kernel: the side of the square kernel, 3 for 3x3. Returns a whole number.
    """
    ### BEGIN SOLUTION
    return kernel**2 * channels_in * channels_out + channels_out
    ### END SOLUTION


def _counted(kernel: int, channels_in: int, channels_out: int) -> int:
    layer = layers.Conv2D(channels_out, kernel)
    layer.build((None, 16, 16, channels_in))
    return layer.count_params()


PARAMETERS = Exercise(
    "03.parameters",
    "Count what one convolution learns.",
    parameters,
    "your count and that of Keras's layers",
    answer=_counted,
    probes=lambda random: {
        "a 3x3 convolution from 64 to 128 channels": (3, 64, 128),
        "a 1x1 convolution from 16 to 4 channels": (1, 16, 4),
        "a random convolution": (5, *(int(n) for n in random.choice(np.arange(2, 40), 2, replace=False))),
    },
    mistakes=(
        Mistake("no bias", {" + channels_out": ""}, "each output channel also has a bias: one number more."),
        Mistake(
            "one bias in all",
            {" + channels_out": " + 1"},
            "you count one bias. Each output channel has its own.",
        ),
        Mistake(
            "a bias per input channel",
            {" + channels_out": " + channels_in"},
            "you count a bias per input channel. It is added to the sum, so there is one per output channel.",
        ),
        Mistake(
            "kernel's side, not its area",
            {"kernel**2": "kernel"},
            "a 3x3 kernel has nine weights, not three: square its side.",
        ),
        Mistake(
            "one kernel for all input channels",
            {" * channels_in": ""},
            "you share one kernel between all input channels. Each input channel has a kernel of its own per output "
            "channel.",
        ),
        Mistake(
            "channels added",
            {"channels_in * channels_out": "(channels_in + channels_out)"},
            "every input channel is linked to every output channel: multiply the two numbers.",
        ),
    ),
    hints=(
        "Each output channel is a sum over a kernel x kernel window of every input channel, plus a bias.",
        "So many weights per output channel: kernel * kernel * channels_in + 1.",
    ),
)


def receptive_field(convolutions):
    """The side of the input square that an element behind some convolutions sees.

    convolutions: list of (kernel, stride), the first one first. Returns a whole
    number of pixels; without any convolution an element sees itself, 1.
    """
    ### BEGIN SOLUTION
    side, step = 1, 1  # step: how far neighbouring elements lie apart in the input
    for kernel, stride in convolutions:
        side += (kernel - 1) * step
        step *= stride
    return side
    ### END SOLUTION


def _side(convolutions: list[tuple[int, int]]) -> int:
    """From the output back: side elements of a layer need (side - 1) * stride + kernel of the layer before."""
    side = 1
    for kernel, stride in reversed(convolutions):
        side = (side - 1) * stride + kernel
    return side


RECEPTIVE = Exercise(
    "03.receptive",
    "Find out how far a chain of convolutions sees.",
    receptive_field,
    "your side and the one counted back from the output, for chains with and without strides",
    answer=_side,
    probes=lambda random: {
        "two 3x3 convolutions": ([(3, 1), (3, 1)],),
        "ResBlock (2)'s three 3x3 convolutions, then two more": ([(3, 1), (3, 1), (3, 2), (3, 1), (3, 1)],),
        "strides in a row": ([(5, 2), (3, 3), (2, 2), (3, 1)],),
        "no convolution": ([],),
        "a random chain": (
            [(int(k), int(s)) for k, s in zip(random.integers(2, 9, 6), random.integers(1, 4, 6), strict=True)],
        ),
    },
    mistakes=(
        Mistake(
            "strides ignored",
            {"step *= stride": "pass"},
            "behind a stride of 2 neighbouring elements lie two input pixels apart, so later kernels reach twice as "
            "far.",
        ),
        Mistake(
            "strides added",
            {"step *= stride": "step += stride - 1"},
            "strides multiply: after two strides of 2, neighbours lie four pixels apart.",
        ),
        Mistake(
            "own stride first",
            {
                "side += (kernel - 1) * step\n        step *= stride": "step *= stride\n"
                "        side += (kernel - 1) * step"
            },
            "a convolution's own stride doesn't widen its own kernel: it counts for the layers behind it.",
        ),
        Mistake(
            "kernels added",
            {"(kernel - 1) * step": "kernel * step"},
            "a 3x3 kernel adds two pixels, one on each side, not three: kernel - 1.",
        ),
        Mistake(
            "kernels multiplied",
            {"side += (kernel - 1) * step": "side *= kernel"},
            "you multiply kernels: two 3x3 convolutions see 5 pixels, not 9, because their windows overlap.",
        ),
        Mistake(
            "counted from 0",
            {"side, step = 1, 1": "side, step = 0, 1"},
            "one pixel is missing: without any convolution an element sees itself, 1.",
        ),
    ),
    hints=(
        "One 3x3 convolution sees 3 pixels. A second one adds a pixel on each side: 5.",
        "Keep two numbers: the side so far, and the distance of neighbouring elements in the input.",
        "A kernel adds (kernel - 1) * distance; then the distance is multiplied by the stride.",
    ),
)


def residual(x, filters):
    """The residual part of a ResBlock: two stages and a shortcut around both.

    x: Keras tensor (h, w, c). A stage: BatchNormalization, 3x3 Conv2D, LeakyReLU
    with slope 0.01. The shortcut: a 1x1 Conv2D of x. Returns the sum of both ways,
    (h, w, filters).
    """
    ### BEGIN SOLUTION
    y = x
    for _ in range(2):
        y = layers.BatchNormalization()(y)
        y = layers.Conv2D(filters, 3, padding="same")(y)
        y = layers.LeakyReLU(negative_slope=0.01)(y)
    shortcut = layers.Conv2D(filters, 1)(x)
    return layers.Add()([y, shortcut])
    ### END SOLUTION


def _with_filters(piece: transplant.Piece, filters: int):
    """The piece's `prepare` for a block that is told its number of filters."""
    return lambda block: piece.prepare(lambda *tensors: block(*tensors, filters))


_RESIDUAL = transplant.Piece(("resblock_1",), "resblock_2_add")
_STAGE = """        y = layers.BatchNormalization()(y)
        y = layers.Conv2D(filters, 3, padding="same")(y)
        y = layers.LeakyReLU(negative_slope=0.01)(y)
"""
_BN, _CONV, _LEAKY = _STAGE.splitlines(keepends=True)

SLOPE = (
    "your LeakyReLU has Keras's own slope of 0.3. The network was trained with 0.01: negative_slope=0.01.",
    "you use ReLU: what is negative is lost. LeakyReLU lets a hundredth of it through.",
)

RESIDUAL = Exercise(
    "03.residual",
    "Write the two stages of a ResBlock and the shortcut around them, as functional Keras layers.",
    residual,
    "your block with the trained weights of ResBlock (2), on a real frame and on random numbers",
    answer=_RESIDUAL.answer,
    probes=_RESIDUAL.probes,
    prepare=_with_filters(_RESIDUAL, 16),
    mistakes=(
        Mistake(
            "no shortcut",
            {"    shortcut = layers.Conv2D(filters, 1)(x)\n": "", "layers.Add()([y, shortcut])": "y"},
            "there is no shortcut: add a 1x1 convolution of the block's input to what the two stages give.",
        ),
        Mistake(
            "BN after convolution",
            {_BN + _CONV: _CONV + _BN},
            "you normalise what the convolution gives. In this block BN comes first: BN, convolution, LeakyReLU.",
        ),
        Mistake(
            "activation before convolution",
            {_CONV + _LEAKY: _LEAKY + _CONV},
            "you activate before the convolution (that is the pre-activation of He 2016). Fig. 5's boxes read BN, "
            "convolution, LeakyReLU.",
        ),
        Mistake("Keras's slope", {"negative_slope=0.01": "negative_slope=0.3"}, SLOPE[0]),
        Mistake("ReLU", {"layers.LeakyReLU(negative_slope=0.01)": "layers.ReLU()"}, SLOPE[1]),
        Mistake(
            "activation after the sum",
            {
                "return layers.Add()([y, shortcut])": "return layers.LeakyReLU(negative_slope=0.01)"
                "(layers.Add()([y, shortcut]))"
            },
            "you activate the sum once more. The shortcut's point is a way on which nothing is bent.",
        ),
        Mistake(
            "joined instead of added",
            {"layers.Add()": "layers.Concatenate()"},
            "you put the two beside each other, so there are twice as many channels. A residual block adds.",
        ),
        Mistake(
            "shortcut of the input as it is",
            {"    shortcut = layers.Conv2D(filters, 1)(x)\n": "", "[y, shortcut]": "[y, x]"},
            "the input has another number of channels than the stages' output, so it can't be added as it is: a 1x1 "
            "convolution brings it to `filters` channels.",
        ),
        Mistake(
            "no zero padding",
            {'(filters, 3, padding="same")': "(filters, 3)"},
            'a 3x3 convolution without padding loses a row and a column on each side: padding="same" keeps the size.',
        ),
    ),
    hints=(
        "Keep x: the shortcut needs it after the two stages. Work on a second name, y.",
        'Each stage is three lines: `layers.BatchNormalization()(y)`, `layers.Conv2D(filters, 3, padding="same")(y)`, '
        "`layers.LeakyReLU(negative_slope=0.01)(y)`.",
        "The last line: `layers.Add()([y, layers.Conv2D(filters, 1)(x)])`.",
    ),
)


def inception(x, filters):
    """Four branches side by side, joined in this order, filters // 4 channels each.

    1. 1x1. 2. 1x1, then 3x3. 3. 1x1, 3x3, 3x3. 4. 3x3 max pooling with stride 1, 1x1.
    Each convolution keeps height and width; LeakyReLU with slope 0.01 follows it.
    x: Keras tensor (h, w, c). Returns (h, w, filters).
    """

    ### BEGIN SOLUTION
    def branch(y, *kernels):
        for kernel in kernels:
            y = layers.Conv2D(filters // 4, kernel, padding="same")(y)
            y = layers.LeakyReLU(negative_slope=0.01)(y)
        return y

    pooled = layers.MaxPooling2D(3, strides=1, padding="same")(x)
    branches = [branch(x, 1), branch(x, 1, 3), branch(x, 1, 3, 3), branch(pooled, 1)]
    return layers.Concatenate()(branches)
    ### END SOLUTION


_INCEPTION = transplant.Piece(("resblock_2_add",), "resblock_2_inception")
_BRANCHES = "[branch(x, 1), branch(x, 1, 3), branch(x, 1, 3, 3), branch(pooled, 1)]"

INCEPTION = Exercise(
    "03.inception",
    "Write the Inception module: four branches that look at windows of different sizes, side by side.",
    inception,
    "your module with the trained weights of ResBlock (2)'s, on a real frame and on random numbers",
    answer=_INCEPTION.answer,
    probes=_INCEPTION.probes,
    prepare=_with_filters(_INCEPTION, 16),
    mistakes=(
        Mistake(
            "pooling after the convolution",
            {
                "branch(pooled, 1)": 'layers.MaxPooling2D(3, strides=1, padding="same")(branch(x, 1))',
            },
            "in the fourth branch you pool after the convolution. It pools first, then the 1x1 convolution mixes.",
        ),
        Mistake(
            "mean instead of maximum",
            {"MaxPooling2D": "AveragePooling2D"},
            "your fourth branch takes the mean of its window. It takes the maximum: MaxPooling2D.",
        ),
        Mistake(
            "pooling branch first",
            {_BRANCHES: "[branch(pooled, 1), branch(x, 1), branch(x, 1, 3), branch(x, 1, 3, 3)]"},
            "your branches are right, but joined in another order: the next layer's weights expect 1x1, 3x3, 5x5, "
            "pooling.",
        ),
        Mistake(
            "no activation",
            {"            y = layers.LeakyReLU(negative_slope=0.01)(y)\n": ""},
            "there is no activation: two convolutions in a row are one convolution. LeakyReLU comes behind each.",
        ),
        Mistake(
            "activation at a branch's end only",
            {
                "            y = layers.LeakyReLU(negative_slope=0.01)(y)\n        return y": "        return "
                "layers.LeakyReLU(negative_slope=0.01)(y)"
            },
            "only the last convolution of each branch is activated. LeakyReLU comes behind every convolution.",
        ),
        Mistake(
            "a whole 5x5",
            {"branch(x, 1, 3, 3)": "branch(x, 1, 5)"},
            "your third branch has a 5x5 kernel. It sees as far as two 3x3 in a row, which have 18 weights instead "
            "of 25.",
        ),
        Mistake(
            "all channels in every branch",
            {"filters // 4": "filters"},
            "each branch has all the filters, so there are four times as many in the end: filters // 4 each.",
        ),
        Mistake(
            "no 1x1 in front",
            {"branch(x, 1, 3), branch(x, 1, 3, 3)": "branch(x, 3), branch(x, 3, 3)"},
            "the 3x3 convolutions work on all channels. A 1x1 convolution in front takes them down to a quarter first.",
        ),
        Mistake(
            "pooling with its own stride",
            {"MaxPooling2D(3, strides=1, ": "MaxPooling2D(3, "},
            "your pooling shrinks the picture: without strides=1 it moves on by its own size, so the branches don't "
            "fit.",
        ),
    ),
    hints=(
        "A helper that takes a tensor and the kernels of a branch saves lines.",
        'Each step: `layers.Conv2D(filters // 4, kernel, padding="same")`, then LeakyReLU with slope 0.01.',
        'Pooling that keeps the size: `layers.MaxPooling2D(3, strides=1, padding="same")`.',
    ),
)


def upsample(row):
    """Twice as many values, by linear interpolation.

    row: float array (n,). Each value is that of the middle of a cell of width 1.
    Every cell is cut in two, and each half asks for the value at its own middle.
    Beyond the first and the last old middle the outermost value holds.
    Returns a float array (2 n,).
    """
    ### BEGIN SOLUTION
    middles = np.arange(len(row)) + 0.5
    halves = (np.arange(2 * len(row)) + 0.5) / 2
    return np.interp(halves, middles, row)
    ### END SOLUTION


def _by_keras(row: np.ndarray) -> np.ndarray:
    picture = np.repeat(row[None, None, :, None], 2, axis=1).astype(np.float32)
    return ops.convert_to_numpy(layers.UpSampling2D(2, interpolation="bilinear")(picture))[0, 0, :, 0]


UPSAMPLE = Exercise(
    "03.upsample",
    "Find out what bilinear upsampling does, in one direction: from n values to 2 n.",
    upsample,
    "your values and those of Keras's UpSampling2D",
    answer=_by_keras,
    probes=lambda random: {
        "the row 0, 4": (np.array([0.0, 4.0]),),
        "the row 1, 1, 5": (np.array([1.0, 1.0, 5.0]),),
        "seven random numbers": (random.normal(size=7),),
    },
    mistakes=(
        Mistake(
            "nearest neighbour",
            {"np.interp(halves, middles, row)": "np.repeat(row, 2)"},
            "you repeat each value: that is nearest-neighbour upsampling, whose edges are stairs.",
        ),
        Mistake(
            "ends onto ends",
            {"(np.arange(2 * len(row)) + 0.5) / 2": "np.linspace(middles[0], middles[-1], 2 * len(row))"},
            "you lay the first onto the first and the last onto the last. Cells are cut in two: each new middle lies a "
            "quarter of a cell from an old one.",
        ),
        Mistake(
            "every other one kept",
            {"halves = (np.arange(2 * len(row)) + 0.5) / 2": "halves = np.arange(2 * len(row)) / 2 + 0.5"},
            "you keep every old value and put a new one behind it, so the picture moves by a quarter of a pixel at "
            "every "
            "step. The middles of the halves lie at 0.25, 0.75, 1.25 ...",
        ),
        Mistake(
            "zeros in between",
            {"np.interp(halves, middles, row)": "np.kron(row, [1.0, 0.0])"},
            "you put zeros in between, as a transposed convolution does. Interpolation asks the two neighbours.",
        ),
        Mistake(
            "nothing beyond the ends",
            {"halves, middles, row": "halves, np.r_[-0.5, middles, len(row) + 0.5], np.r_[0, row, 0]"},
            "beyond the first and the last middle you mix with 0, so the border fades. The outermost value holds "
            "there.",
        ),
        Mistake(
            "a mean in between",
            {"np.interp(halves, middles, row)": "np.interp(np.round(2 * halves) / 2, middles, row)"},
            "your new values are old ones and plain means. Each lies a quarter of the way: 3/4 of one, 1/4 of the "
            "other.",
        ),
    ),
    hints=(
        "The old middles lie at 0.5, 1.5, 2.5 ...; the new ones at 0.25, 0.75, 1.25 ...",
        "`np.interp(where, places, values)` interpolates, and holds the outermost value beyond the ends.",
    ),
)


def gate(skip, below):
    """An additive attention gate: the skip connection, weighted pixel by pixel.

    skip: Keras tensor (h, w, c) from the encoder. below: (h, w, d), upsampled.
    Both joined, skip first; a 1x1 convolution to c // 2 channels; LeakyReLU with
    slope 0.01; a 1x1 convolution to one channel; sigmoid; times skip.
    Returns (h, w, c).
    """
    ### BEGIN SOLUTION
    y = layers.Concatenate()([skip, below])
    y = layers.Conv2D(skip.shape[-1] // 2, 1)(y)
    y = layers.LeakyReLU(negative_slope=0.01)(y)
    weight = layers.Conv2D(1, 1, activation="sigmoid")(y)
    return layers.Multiply()([skip, weight])
    ### END SOLUTION


_GATE = transplant.Piece(("resblock_2", "upsampling_8"), "attention_8")

GATE = Exercise(
    "03.gate",
    "Write the attention gate: one weight between 0 and 1 per pixel, found from the skip connection and what comes "
    "from "
    "below, multiplied onto the skip connection.",
    gate,
    "your gate with the trained weights of the one at 32x32, on a real frame and on random numbers",
    answer=_GATE.answer,
    probes=_GATE.probes,
    prepare=_GATE.prepare,
    mistakes=(
        Mistake(
            "no sigmoid",
            {', activation="sigmoid"': ""},
            "your weights aren't between 0 and 1: the sigmoid is missing.",
        ),
        Mistake(
            "skip added once more",
            {"layers.Multiply()([skip, weight])": "layers.Add()([skip, layers.Multiply()([skip, weight])])"},
            "you return s + s * a. Then the gate can never close: nothing is ever held back. Return s * a.",
        ),
        Mistake(
            "below weighted",
            {"layers.Multiply()([skip, weight])": "layers.Multiply()([below, weight])"},
            "you weigh what comes from below. The gate guards the skip connection: multiply skip.",
        ),
        Mistake(
            "halves swapped",
            {"[skip, below]": "[below, skip]"},
            "the two have changed places: the trained 1x1 convolution expects the skip's channels first.",
        ),
        Mistake("Keras's slope", {"negative_slope=0.01": "negative_slope=0.3"}, SLOPE[0]),
        Mistake("ReLU", {"layers.LeakyReLU(negative_slope=0.01)": "layers.ReLU()"}, SLOPE[1]),
        Mistake(
            "no activation in between",
            {"    y = layers.LeakyReLU(negative_slope=0.01)(y)\n": ""},
            "between the two 1x1 convolutions there is no activation, so together they are a single one.",
        ),
        Mistake(
            "a weight per channel",
            {"layers.Conv2D(1, 1,": "layers.Conv2D(skip.shape[-1], 1,"},
            "your gate has a weight per pixel and channel. It has one per pixel: the second convolution has one "
            "filter.",
        ),
        Mistake(
            "the weights themselves",
            {"return layers.Multiply()([skip, weight])": "return weight"},
            "you return the weights. They are still to be multiplied onto the skip connection.",
        ),
        Mistake(
            "closed where it should be open",
            {"layers.Multiply()([skip, weight])": "layers.Multiply()([skip, 1 - weight])"},
            "your gate is open where it should be closed: multiply by the weight, not by 1 minus it.",
        ),
    ),
    hints=(
        "Five lines: Concatenate, Conv2D, LeakyReLU, Conv2D, Multiply.",
        "`layers.Concatenate()([skip, below])`; the skip's channels are `skip.shape[-1]`.",
        'The weight: `layers.Conv2D(1, 1, activation="sigmoid")(y)`. Multiply spreads it over the channels by itself.',
    ),
)


def join(below, skip, gate):
    """What a decoder's ResBlock is given: below, upsampled, beside the gated skip.

    below: Keras tensor (h, w, d). skip: (2 h, 2 w, c). gate: a function of
    (skip, upsampled) that returns a tensor of skip's shape. Upsampling: 2x, bilinear.
    Returns (2 h, 2 w, d + c), the upsampled channels first.
    """
    ### BEGIN SOLUTION
    upsampled = layers.UpSampling2D(2, interpolation="bilinear")(below)
    return layers.Concatenate()([upsampled, gate(skip, upsampled)])
    ### END SOLUTION


_JOIN = transplant.Piece(("resblock_7", "resblock_2"), "resblock_8_join")

JOIN = Exercise(
    "03.join",
    "Write the step between two ResBlocks of the decoder: upsample, gate the skip connection, put both side by side.",
    join,
    "your step with the trained gate's weights, at 32x32, on a real frame and on random numbers",
    answer=_JOIN.answer,
    probes=_JOIN.probes,
    prepare=lambda block: _JOIN.prepare(lambda below, skip: block(below, skip, gate)),
    mistakes=(
        Mistake(
            "nearest neighbour",
            {', interpolation="bilinear"': ""},
            'your upsampling repeats pixels, which is UpSampling2D\'s default: interpolation="bilinear".',
        ),
        Mistake(
            "halves swapped",
            {"[upsampled, gate(skip, upsampled)]": "[gate(skip, upsampled), upsampled]"},
            "the two have changed places: the trained weights behind expect the upsampled channels first.",
        ),
        Mistake(
            "skip not gated",
            {"gate(skip, upsampled)": "skip"},
            "the skip connection goes past its gate: join gate(skip, upsampled), not skip.",
        ),
        Mistake(
            "gate's arguments swapped",
            {"gate(skip, upsampled)": "gate(upsampled, skip)"},
            "you gate the upsampled tensor by the skip. The gate takes (skip, upsampled) and weighs the first.",
        ),
        Mistake(
            "gate before upsampling",
            {"gate(skip, upsampled)": "gate(skip, below)"},
            "your gate sees a tensor of half the skip's size, so the two can't be joined: upsample first.",
        ),
        Mistake(
            "added instead of joined",
            {"layers.Concatenate()": "layers.Add()"},
            "you add the two, which needs equal channels. They are put side by side: Concatenate.",
        ),
        Mistake(
            "transposed convolution",
            {
                'layers.UpSampling2D(2, interpolation="bilinear")': "layers.Conv2DTranspose("
                'below.shape[-1], 2, strides=2, padding="same")'
            },
            "a transposed convolution learns its own upsampling, so it has weights. Here nothing is learnt: "
            "UpSampling2D.",
        ),
    ),
    hints=(
        '`layers.UpSampling2D(2, interpolation="bilinear")` doubles height and width.',
        "The gate is called as a function of two tensors: gate(skip, upsampled).",
    ),
)


def improved_resunet():
    """The improved ResUNet of width 8 for images of 64x64x1, as a keras.Model.

    Encoder: five ResBlocks, 8, 16, 32, 64, 128 channels, strides 1, 2, 2, 2, 2; each is
    the residual part, Inception, and a 3x3 convolution with the block's stride.
    Decoder: four times join, then a ResBlock without Inception and with stride 1;
    64, 32, 16, 8 channels. Last: a 1x1 convolution to one channel, and a sigmoid.
    """

    ### BEGIN SOLUTION
    def leaky(y):
        return layers.LeakyReLU(negative_slope=0.01)(y)

    def conv(y, filters, kernel, stride=1):
        return layers.Conv2D(filters, kernel, strides=stride, padding="same")(y)

    def inception(y, filters):
        def branch(z, *kernels):
            for kernel in kernels:
                z = leaky(conv(z, filters // 4, kernel))
            return z

        pooled = layers.MaxPooling2D(3, strides=1, padding="same")(y)
        fine = [branch(y, 1), branch(y, 1, 3), branch(y, 1, 3, 3)]
        return layers.Concatenate()([*fine, branch(pooled, 1)])

    def resblock(x, filters, stride=1, encoder=False):
        y = x
        for _ in range(2):
            y = leaky(conv(layers.BatchNormalization()(y), filters, 3))
        y = layers.Add()([y, conv(x, filters, 1)])
        if encoder:
            y = inception(y, filters)
        return conv(y, filters, 3, stride)

    def gate(skip, below):
        y = leaky(conv(layers.Concatenate()([skip, below]), skip.shape[-1] // 2, 1))
        weight = layers.Activation("sigmoid")(conv(y, 1, 1))
        return layers.Multiply()([skip, weight])

    x = image = keras.Input((64, 64, 1))
    skips = []
    for filters, stride in zip((8, 16, 32, 64, 128), (1, 2, 2, 2, 2)):
        x = resblock(x, filters, stride, encoder=True)
        skips.append(x)
    for filters, skip in zip((64, 32, 16, 8), skips[-2::-1]):
        x = layers.UpSampling2D(2, interpolation="bilinear")(x)
        x = layers.Concatenate()([x, gate(skip, x)])
        x = resblock(x, filters)
    return keras.Model(image, layers.Activation("sigmoid")(conv(x, 1, 1)))
    ### END SOLUTION


def _with_all_weights(build):
    model = build()
    if model is None or model is ...:
        return None
    if not isinstance(model, keras.Model):
        raise Misfit(f"improved_resunet returns a {type(model).__name__}; it returns keras.Model(image, output)")
    mine = transplant.transplant(model, transplant.shipped())
    return lambda image: ops.convert_to_numpy(mine(image))


def _images(random: np.random.Generator) -> Probes:
    noise = random.random((1, 64, 64, 1)).astype(np.float32)
    return {"a real frame": (transplant.real_frame(),), "random grey levels": (noise,)}


_ENCODER_END = """            y = inception(y, filters)
        return conv(y, filters, 3, stride)"""

NETWORK = Exercise(
    "03.network",
    "Put the whole improved ResUNet together. The blocks that you have written may be used.",
    improved_resunet,
    "your network with all 232 trained arrays, on a real frame and on random grey levels",
    answer=lambda image: ops.convert_to_numpy(transplant.shipped()(image)),
    probes=_images,
    prepare=_with_all_weights,
    mistakes=(
        Mistake(
            "no shortcut",
            {"        y = layers.Add()([y, conv(x, filters, 1)])\n": ""},
            "your ResBlocks have no shortcut: nine 1x1 convolutions of the blocks' inputs are missing.",
        ),
        Mistake(
            "BN after convolution",
            {"conv(layers.BatchNormalization()(y), filters, 3)": "layers.BatchNormalization()(conv(y, filters, 3))"},
            "you normalise what the convolutions give. In each stage BN comes first: BN, convolution, LeakyReLU.",
        ),
        Mistake(
            "Inception after sampling",
            {
                "        if encoder:\n" + _ENCODER_END: "        y = conv(y, filters, 3, stride)\n"
                "        return inception(y, filters) if encoder else y"
            },
            "your Inception modules come behind the third convolution, on the small picture. They come before it.",
        ),
        Mistake("Keras's slope", {"negative_slope=0.01": "negative_slope=0.3"}, SLOPE[0]),
        Mistake(
            "gate without sigmoid",
            {'weight = layers.Activation("sigmoid")(conv(y, 1, 1))': "weight = conv(y, 1, 1)"},
            "the gates' weights aren't between 0 and 1: the sigmoid is missing there.",
        ),
        Mistake(
            "halves swapped",
            {"[x, gate(skip, x)]": "[gate(skip, x), x]"},
            "in the decoder the two halves have changed places: the upsampled channels come first, then the gated "
            "skip.",
        ),
        Mistake(
            "skip added once more",
            {"layers.Multiply()([skip, weight])": "layers.Add()([skip, layers.Multiply()([skip, weight])])"},
            "your gates return s + s * a, so they can never close. They return s * a.",
        ),
        Mistake("ReLU", {"layers.LeakyReLU(negative_slope=0.01)": "layers.ReLU()"}, SLOPE[1]),
        Mistake(
            "nearest upsampling",
            {', interpolation="bilinear"': ""},
            'your upsampling repeats pixels, which is UpSampling2D\'s default: interpolation="bilinear".',
        ),
        Mistake(
            "logits",
            {'layers.Activation("sigmoid")(conv(x, 1, 1))': "conv(x, 1, 1)"},
            "your network ends in logits: the last sigmoid, which makes probabilities of them, is missing.",
        ),
        Mistake(
            "Inception in the decoder too",
            {"x = resblock(x, filters)": "x = resblock(x, filters, encoder=True)"},
            "your decoder's blocks have Inception modules too. Only the encoder's have (the reading taken here, U2).",
        ),
        Mistake(
            "skips not gated",
            {"[x, gate(skip, x)]": "[x, skip]"},
            "your skip connections have no gates: four gates' weights find no place.",
        ),
        Mistake(
            "first block halves",
            {"(1, 2, 2, 2, 2)": "(2, 2, 2, 2, 2)"},
            "your first block halves the image already. In Table 1 its three strides are 1, 1, 1: the first halving "
            "is in "
            "ResBlock (2).",
        ),
    ),
    hints=(
        "The order: ResBlock = residual part, Inception (encoder only), then a 3x3 convolution with the block's "
        "stride.",
        "Keep each encoder block's output in a list; the decoder uses them from the second last to the first.",
        "Take it step by step: after the encoder the tensor must be (4, 4, 128), after the decoder (64, 64, 8).",
    ),
)

EXERCISES = (PARAMETERS, RECEPTIVE, RESIDUAL, INCEPTION, UPSAMPLE, GATE, JOIN, NETWORK)
