"""What the paper states, what it leaves open, and what it claims. Data, no logic.

"Improved ResUNet for automatic segmentation of left ventricle in echocardiographic images". The text that could be
had is the English abstract and the pages from Table 1 to the references, so a question counts as open here when
those pages don't answer it.
"""

from __future__ import annotations

from typing import NamedTuple

TITLE = "Improved ResUNet for automatic segmentation of left ventricle in echocardiographic images"

METHODS = {"unet": "U-Net", "resunet": "ResUNet", "improved_resunet": "Improved ResUNet"}
"""The three methods of Table 2: the name in code, and the name in print."""


class Layer(NamedTuple):
    """A row of Table 1: shapes are (height, width, channels); an upsampling has a stride only."""

    name: str
    input: tuple[int, int, int]
    kernels: tuple[int, ...]
    strides: tuple[int, ...]
    output: tuple[int, int, int]


TABLE_1 = (
    Layer("ResBlock (1)", (256, 256, 3), (3, 3, 3), (1, 1, 1), (256, 256, 64)),
    Layer("ResBlock (2)", (256, 256, 64), (3, 3, 3), (1, 1, 2), (128, 128, 128)),
    Layer("ResBlock (3)", (128, 128, 128), (3, 3, 3), (1, 1, 2), (64, 64, 256)),
    Layer("ResBlock (4)", (64, 64, 256), (3, 3, 3), (1, 1, 2), (32, 32, 512)),
    Layer("ResBlock (5)", (32, 32, 512), (3, 3, 3), (1, 1, 2), (16, 16, 1024)),
    Layer("upsampling", (16, 16, 1024), (), (2,), (32, 32, 1024)),
    Layer("ResBlock (6)", (32, 32, 1024), (3, 3, 3), (1, 1, 1), (32, 32, 512)),
    Layer("upsampling", (32, 32, 512), (), (2,), (64, 64, 512)),
    Layer("ResBlock (7)", (64, 64, 512), (3, 3, 3), (1, 1, 1), (64, 64, 256)),
    Layer("upsampling", (64, 64, 256), (), (2,), (128, 128, 256)),
    Layer("ResBlock (8)", (128, 128, 256), (3, 3, 3), (1, 1, 1), (128, 128, 128)),
    Layer("upsampling", (128, 128, 128), (), (2,), (256, 256, 128)),
    Layer("ResBlock (9)", (256, 256, 128), (3, 3, 3), (1, 1, 1), (256, 256, 64)),
    Layer("convolution", (256, 256, 64), (), (1,), (256, 256, 1)),
)
"""Table 1, the proposed network. The size of the last convolution's kernel is not given."""

TABLE_2 = {
    "unet": {"dice": 0.8735, "acc": 0.9736},
    "resunet": {"dice": 0.9067, "acc": 0.9782},
    "improved_resunet": {"dice": 0.9238, "acc": 0.9873},
}
"""Table 2: Dice and accuracy on the 100 test images, as fractions (printed there in percent)."""

ABSTRACT_GAINS = {
    ("unet", "dice"): 0.0503,
    ("resunet", "dice"): 0.0171,
    ("unet", "acc"): 0.0137,
    ("resunet", "acc"): 0.0091,
}
"""The abstract's gains of the proposed method over the two others, as fractions."""

PROTOCOL = {
    "data": "500 images of 10 patients of Shanghai Children's Hospital, private; LV outlined with LabelMe",
    "split": "400 images to train, 100 to test",
    "preprocessing": "CLAHE on every image (Eq. 2, Fig. 6)",
    "loss": "alpha Dice + beta cross-entropy, alpha = beta = 1 (Eqs. 3-5)",
    "metrics": "Dice (Eq. 6), accuracy (Eq. 7)",
    "training": "Adam, learning rate 0.0001, 100 epochs",
    "platform": "Ubuntu, Python, TensorFlow, one NVIDIA GeForce RTX 2080 Ti, CUDA 11.3",
}


class OpenQuestion(NamedTuple):
    """A choice that the available text leaves open, the default taken here, and what else can be chosen."""

    question: str
    default: str
    alternatives: str
    switch: str


OPEN_QUESTIONS = {
    "U1": OpenQuestion(
        "How are a ResBlock's three 3x3 convolutions and its shortcut wired?",
        "two stages of BN, 3x3 convolution, activation; a 1x1 shortcut around both; the third one samples",
        "pre-activation or post-activation unit with the shortcut around all three",
        "wiring",
    ),
    "U2": OpenQuestion(
        "Where is the Inception module, and what are its branches?",
        "in every encoder block before the sampling convolution; 1x1, 3x3, 5x5 as two 3x3, pooling; a quarter each",
        "encoder and decoder; bottleneck only; a real 5x5",
        "inception, inception_5x5",
    ),
    "U3": OpenQuestion(
        "Which attention, and where?",
        "an additive attention gate on each skip connection",
        "CBAM; squeeze-and-excitation; none",
        "attention",
    ),
    "U4": OpenQuestion("What is LeakyReLU's slope?", "0.01", "any slope from 0 to 1", "slope"),
    "U5": OpenQuestion(
        "Is upsampling an interpolation or a transposed convolution?",
        "2x bilinear interpolation",
        "nearest; transposed convolution",
        "upsampling",
    ),
    "U6": OpenQuestion(
        "How does a skip connection join?",
        "concatenation inside the decoder block",
        "projected addition",
        "skip",
    ),
    "U7": OpenQuestion("Has U-Net batch normalisation?", "yes, widths as Ronneberger 2015", "without", "batch_norm"),
    "U8": OpenQuestion(
        "What is the ResUNet it is compared with?",
        "the same skeleton with ReLU, without Inception and attention",
        "Zhang 2018's blocks of two convolutions, the first of which samples; the wirings of U1",
        "wiring",
    ),
    "U9": OpenQuestion(
        "CLAHE's clip limit and tiles?", "2.0 and 8x8, OpenCV's customary values", "any", "clip_limit, tiles"
    ),
    "U10": OpenQuestion("CLAHE before or after resizing?", "before, at native resolution", "after", "clahe"),
    "U11": OpenQuestion("The batch size?", "4", "any", "batch"),
    "U12": OpenQuestion(
        "Augmentation?",
        "none",
        "rotation, scale, shift, gamma, gain; mirror images too; another scanner's look too",
        "augment",
    ),
    "U13": OpenQuestion(
        "Is the 400/100 split by frame or by patient?",
        "by patient: by frame, every patient is on both sides",
        "by frame, to show its harm; the data set's own; any split kept as a file",
        "split",
    ),
    "U14": OpenQuestion(
        "Is a model selected on a validation set?",
        "no: the last epoch's weights",
        "a mean of the epochs' weights",
        "average",
    ),
    "U15": OpenQuestion("Dice per image, or pooled over all pixels?", "per image; pooled is reported too", "", ""),
    "U16": OpenQuestion(
        "Is the cross-entropy summed or averaged over pixels?",
        "averaged, so that alpha = beta = 1 balances",
        "summed, as Eq. 3 is written",
        "cross_entropy",
    ),
    "U17": OpenQuestion("Which threshold makes a mask of the probabilities?", "0.5", "any", "threshold"),
    "U18": OpenQuestion(
        "Grey or colour input? Table 1 has three channels.",
        "grey repeated three times",
        "one channel",
        "channels",
    ),
    "U19": OpenQuestion("How many runs, with what spread?", "three seeds, all reported", "any", "seed"),
}
