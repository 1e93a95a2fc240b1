"""Networks drawn from their built graphs: the whole network, and the blocks of Fig. 5."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from lvseg.backend import keras, layers
from lvseg.figures.graph import parents, parts, stage, title
from lvseg.figures.plots import Figure
from lvseg.networks import DECODER, ENCODER


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


def _with_shape(name: str, members: list[keras.Layer]) -> str:
    return f"{title(name)}\n{' × '.join(map(str, members[-1].output.shape[1:]))}"


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
    return next((label for kind, label in names.items() if isinstance(layer, kind)), title(name))


FILLS = {
    "BN": "#fcf6c4",
    "conv": "#fbe3b9",
    "ReLU": "#cdeadf",
    "upsampling": "#cdeadf",
    "Inception": "#f5dbe8",
    "attention": "#f5dbe8",
    "ResBlock": "#d6eaf8",
}
"""The fill of a diagram's box by a word in it: tints that stay apart without red and green, under words in black."""


def fig5(blocks: Mapping[str, Sequence[Box]]) -> Figure:
    """Fig. 5: blocks side by side, by title, from their inputs down to their output (`block_diagram`)."""
    rows = max(box.row for boxes in blocks.values() for box in boxes)
    figure = Figure(figsize=(4.6 * len(blocks), 0.5 * rows + 1), layout="constrained")
    for axes, (name, boxes) in zip(figure.subplots(1, len(blocks), squeeze=False)[0], blocks.items(), strict=True):
        axes.set_title(name)
        _diagram(axes, boxes, rows)
    return figure


def u_shape(boxes: Sequence[Box]) -> Figure:
    """A whole network from the image (upper left) to the probability (upper right) (`network_diagram`)."""
    figure = Figure(figsize=(8, 6.5), layout="constrained")
    _diagram(figure.subplots(), boxes, max(box.row for box in boxes))
    return figure


WIDTH, HEIGHT = 0.8, 0.66
"""Of a diagram's boxes, where columns and rows are 1 apart."""


def _diagram(axes: Axes, boxes: Sequence[Box], rows: float) -> None:
    """Boxes in their columns and rows, and an arrow along the grid from each box to those that take its output."""
    first, last = min(box.row for box in boxes), max(box.column for box in boxes)
    axes.set(xlim=(-0.5, last + 0.5), ylim=(rows + 0.5, first - 0.5))
    axes.set_axis_off()
    places = {box.name: (box.column, box.row) for box in boxes}
    for box in boxes:
        fill = next((colour for word, colour in FILLS.items() if word in box.label), "#eeeeee")
        corner = (box.column - WIDTH / 2, box.row - HEIGHT / 2)
        rounded = "round,pad=0,rounding_size=0.08"
        axes.add_patch(FancyBboxPatch(corner, WIDTH, HEIGHT, rounded, fc=fill, ec="#555555", zorder=2))
        axes.text(box.column, box.row, box.label, ha="center", va="center", fontsize=8, zorder=3)
        for name in box.inputs:
            axes.add_patch(_arrow(places[name], places[box.name]))


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> FancyArrowPatch:
    """From the middle of one box to the edge of another; a bend goes sideways last on the way down, first on it up."""
    corner = start
    if start[0] != end[0] and start[1] != end[1]:
        corner = (start[0], end[1]) if end[1] > start[1] else (end[0], start[1])
    sideways, downwards = np.sign(np.subtract(end, corner))
    edge = (end[0] - sideways * WIDTH / 2, end[1] - downwards * HEIGHT / 2)
    return FancyArrowPatch(path=Path([start, corner, edge]), arrowstyle="-|>", mutation_scale=9, color="#555555")
