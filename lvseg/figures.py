"""Every figure, as a pure function from data to a matplotlib Figure, which a notebook shows without pyplot."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import cv2
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.patches import Rectangle

from lvseg import clahe, paper

COLOURS = {"unet": "#7a7a7a", "resunet": "#d98c00", "improved_resunet": "#0072b2"}
"""One colour per method, told apart also by readers who don't see all colours."""
TRUTH = "#ffd400"
PREDICTED = "#00b7eb"


class Figure(MatplotlibFigure):
    """A figure that shows itself in a notebook; made without pyplot, it leaves no global state behind."""

    def png(self) -> bytes:
        """The figure as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=90)
        return buffer.getvalue()

    _repr_png_ = png


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask's contour drawn on a uint8 (height, width) image: a uint8 (height, width, 3) picture, blue-green-red."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(min(image.shape) / 250))
    return cv2.drawContours(picture, outlines, -1, (235, 183, 0), thickness)


def _show(axes: Axes, image: np.ndarray, title: str = "") -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else None)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _outline(axes: Axes, mask: np.ndarray, colour: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.2)


def frames(
    images: Sequence[np.ndarray], masks: Sequence[np.ndarray | None], titles: Sequence[str], size: float = 2.0
) -> Figure:
    """Frames side by side, six in a row, `size` inches wide, each with its outline where there is one."""
    columns = min(len(images), 6)
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(size * columns, (size + 0.1) * rows), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, image, mask, title in zip(grid.flat, images, masks, titles, strict=False):
        _show(axes, image, title)
        if mask is not None:
            _outline(axes, mask, TRUTH)
    return figure


def fig6(image: np.ndarray, clip_limit: float = 2.0, tiles: int = 8) -> Figure:
    """Fig. 6: an image (uint8) before and after CLAHE; below, what the paper doesn't show: the grey levels of both."""
    figure = Figure(figsize=(8, 5.6), layout="constrained")
    grid = figure.subplots(2, 2, height_ratios=(3, 1))
    pair = (image, clahe.equalise(image, clip_limit, tiles))
    for axes, picture, title in zip(grid[0], pair, ("(a) before CLAHE", "(b) after CLAHE"), strict=True):
        axes.imshow(picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(title)
    for axes, picture in zip(grid[1], pair, strict=True):
        axes.hist(picture[picture > 0], bins=64, range=(0, 256), color="#555555")
        axes.set(xlabel="grey level (black background left out)", yticks=[])
    return figure


def clahe_steps(steps: clahe.Steps, tile: tuple[int, int]) -> Figure:
    """CLAHE's three steps for one tile (row, column): its histogram, clipped; the mapping of Eq. 2; the result."""
    figure = Figure(figsize=(12, 3.2), layout="constrained")
    tiled, histogram, mapping, result = figure.subplots(1, 4)
    rows, columns = steps.mappings.shape[:2]
    height, width = steps.tile_shape
    _show(tiled, steps.padded, f"1. {rows} x {columns} tiles")
    for row in range(1, rows):
        tiled.axhline(row * height, color=TRUTH, linewidth=0.4)
    for column in range(1, columns):
        tiled.axvline(column * width, color=TRUTH, linewidth=0.4)
    tiled.add_patch(
        Rectangle((tile[1] * width, tile[0] * height), width, height, edgecolor=PREDICTED, fill=False, linewidth=2)
    )
    levels = np.arange(steps.histograms.shape[-1])
    histogram.step(levels, steps.histograms[tile], color="#999999", label="as counted")
    histogram.step(levels, steps.clipped[tile], color=PREDICTED, label="clipped, spread")
    histogram.set_ylim(0, 4 * max(steps.clipped[tile].max(), 1))
    histogram.set(title="2. the tile's histogram", xlabel="grey level r", ylabel="pixels")
    histogram.legend(fontsize=8)
    mapping.plot(levels, steps.mappings[tile], color=PREDICTED)
    mapping.plot(levels, levels, color="#999999", linestyle=":")
    mapping.set(title="s = T(r), Eq. 2", xlabel="r", ylabel="s")
    _show(result, steps.result, "3. joined by interpolation")
    return figure


def fig5(rows: Mapping[str, Sequence[str]]) -> Figure:
    """Fig. 5: blocks as columns of boxes, top to bottom; `rows` maps a block's title to its layers' labels."""
    figure = Figure(figsize=(3.4 * len(rows), 0.42 * max(map(len, rows.values())) + 1), layout="constrained")
    fills = {
        "BN": "#dce9f5",
        "conv": "#f7dfc6",
        "Leaky": "#e2f0d9",
        "ReLU": "#e2f0d9",
        "Inception": "#ead9f0",
    }
    for axes, (title, labels) in zip(figure.subplots(1, len(rows), squeeze=False)[0], rows.items(), strict=True):
        deepest = max(map(len, rows.values()))
        axes.set(xlim=(0, 1), ylim=(deepest, -0.2), title=title)
        axes.set_axis_off()
        for line, label in enumerate(labels):
            fill = next((colour for word, colour in fills.items() if word in label), "#eeeeee")
            axes.text(
                0.5, line + 0.4, label, ha="center", va="center", fontsize=9,
                bbox={"boxstyle": "round,pad=0.3", "facecolor": fill, "edgecolor": "#666666"},
            )  # fmt: skip
    return figure


def area_curve(areas_cm2: Sequence[float]) -> Figure:
    """The LV's area (cm2) from frame to frame, its largest and smallest marked as end-diastole and end-systole."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(areas_cm2, marker=".", color=COLOURS["improved_resunet"])
    for name, place in (("ED", int(np.argmax(areas_cm2))), ("ES", int(np.argmin(areas_cm2)))):
        axes.annotate(name, (place, areas_cm2[place]), xytext=(0, 6), textcoords="offset points", ha="center")
    axes.set(xlabel="frame", ylabel="LV area (cm²)")
    axes.margins(y=0.2)
    return figure


def histograms(values: Mapping[str, Sequence[float]], label: str) -> Figure:
    """Histograms over one another, by name."""
    figure = Figure(figsize=(7, 2.8), layout="constrained")
    axes = figure.subplots()
    edges = np.histogram_bin_edges(np.concatenate([np.asarray(v, float) for v in values.values()]), 30).tolist()
    for name, numbers in values.items():
        axes.hist(numbers, edges, alpha=0.6, label=name)
    axes.set(xlabel=label, ylabel="frames")
    axes.legend()
    return figure


def lines(x: Sequence[float], values: Mapping[str, Sequence[float]], xlabel: str, ylabel: str) -> Figure:
    """One line per name over a common x."""
    figure = Figure(figsize=(7, 3), layout="constrained")
    axes = figure.subplots()
    for name, numbers in values.items():
        axes.plot(x, numbers, label=name)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    axes.legend()
    return figure


def curves(histories: Mapping[str, Sequence[pd.DataFrame]]) -> Figure:
    """Training loss by epoch: one colour per method, one line per seed. Histories have columns `epoch` and `loss`."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for method, runs in histories.items():
        for number, history in enumerate(runs):
            label = paper.METHODS.get(method, method) if number == 0 else None
            axes.plot(history.epoch, history.loss, color=COLOURS.get(method), alpha=0.8, label=label)
    axes.set(xlabel="epoch", ylabel="training loss (Eq. 5)", yscale="log")
    axes.legend()
    return figure


def dice_by_patient(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Each test patient's mean Dice per method, and each method's mean over frames as a bar of the paper's Table 2."""
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for place, (method, table) in enumerate(tables.items()):
        means = table.groupby("patient").dice.mean()
        spread = np.random.default_rng(0).uniform(-0.18, 0.18, len(means))
        axes.scatter(
            place + spread,
            means,
            s=14,
            alpha=0.6,
            color=COLOURS.get(method),
            label="a patient" if not place else None,
        )
        axes.hlines(table.dice.mean(), place - 0.3, place + 0.3, color=COLOURS.get(method), linewidth=3)
        if method in paper.TABLE_2:
            axes.plot(place + 0.36, paper.TABLE_2[method]["dice"], marker="D", color="black", markersize=5,
                      label="paper, its own data" if not place else None, linestyle="")  # fmt: skip
    axes.set_xticks(range(len(tables)), [paper.METHODS.get(method, method) for method in tables])
    axes.set_ylabel("Dice (Eq. 6)")
    axes.legend(fontsize=8)
    return figure


def fig7(rows: Sequence[tuple[np.ndarray, np.ndarray, Mapping[str, np.ndarray]]], names: Sequence[str]) -> Figure:
    """Fig. 7: (a) image, (b) label, then each method's mask; `rows` hold (image, label, masks by method)."""
    methods = list(rows[0][2])
    columns = 2 + len(methods)
    figure = Figure(figsize=(2.1 * columns, 2.2 * len(rows)), layout="constrained")
    grid = figure.subplots(len(rows), columns, squeeze=False)
    for line, ((image, label, masks), name) in enumerate(zip(rows, names, strict=True)):
        first = line == 0
        _show(grid[line, 0], image, f"(a) image\n{name}" if first else name)
        _show(grid[line, 1], label.astype(np.uint8) * 255, "(b) label" if first else "")
        for place, (letter, method) in enumerate(zip("cdefgh", methods, strict=False), 2):
            _show(
                grid[line, place],
                masks[method].astype(np.uint8) * 255,
                f"({letter}) {paper.METHODS[method]}" if first else "",
            )
            _outline(grid[line, place], label, TRUTH)
    return figure
