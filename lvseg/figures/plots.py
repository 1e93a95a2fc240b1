"""Every figure, as a pure function from data to a matplotlib Figure, which a notebook shows without pyplot."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure as MatplotlibFigure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, NullFormatter

from lvseg import clahe, human, paper
from lvseg.clinical import disk_diameters_mm, ed_es_frames, long_axis
from lvseg.masks import Spacing

COLOURS = {"unet": "#7a7a7a", "resunet": "#d98c00", "improved_resunet": "#0072b2"}
"""One colour per method, told apart also by readers who don't see all colours."""


TRUTH = "#ffd400"
PREDICTED = "#00b7eb"


class Figure(MatplotlibFigure):
    """A figure that shows itself in a notebook; made without pyplot, it leaves no global state behind."""

    alt = ""

    def png(self) -> bytes:
        """The figure as the bytes of a PNG file."""
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=90)
        return buffer.getvalue()

    def with_alt(self, alt: str) -> Figure:
        """The same figure, with a sentence for those who can't see it; pages made of the notebook carry it."""
        self.alt = alt
        return self

    def _repr_png_(self) -> tuple[bytes, dict[str, str]]:
        titles = [axes.get_title().replace("\n", " ") for axes in self.axes]
        return self.png(), {"alt": self.alt or "; ".join(filter(None, titles)) or "a figure"}


def _show(axes: Axes, image: np.ndarray, title: str = "") -> None:
    axes.imshow(image, cmap="gray", vmin=0, vmax=255 if image.dtype == np.uint8 else None)
    axes.set_title(title, fontsize=9)
    axes.set_axis_off()


def _outline(axes: Axes, mask: np.ndarray, colour: str) -> None:
    if mask.any() and not mask.all():
        axes.contour(mask, levels=[0.5], colors=[colour], linewidths=1.2)


def outlined(
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
        # CLAHE lifts the black background a little: it is left out of both
        axes.hist(picture[image > 0], bins=64, range=(0, 256), color="#555555")
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


def feature_maps(maps: Mapping[str, np.ndarray], channels: int = 6) -> Figure:
    """A row per block with its first channels for the first image; `maps`: float (batch, height, width, channels).

    Each picture is stretched over its own range, dark for its smallest value (`networks.feature_maps`).
    """
    figure = Figure(figsize=(1.3 * channels + 1.2, 1.3 * len(maps)), layout="constrained")
    for line, (title, tensor) in zip(figure.subplots(len(maps), channels, squeeze=False), maps.items(), strict=True):
        _, height, width, depth = tensor.shape
        for channel, axes in enumerate(line):
            axes.set(xticks=[], yticks=[], visible=channel < depth)
            if channel < depth:
                axes.imshow(tensor[0, :, :, channel], cmap="cividis")
        line[0].set_ylabel(f"{title}\n{height} × {width} × {depth}", rotation=0, ha="right", va="center", fontsize=8)
    return figure


def area_curve(areas_cm2: Sequence[float]) -> Figure:
    """The LV's area (cm2) from frame to frame, its largest and smallest marked as end-diastole and end-systole."""
    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot(areas_cm2, marker=".", color=COLOURS["improved_resunet"])
    for name, place in zip(("ED", "ES"), ed_es_frames(areas_cm2), strict=True):
        axes.annotate(name, (place, areas_cm2[place]), xytext=(0, 6), textcoords="offset points", ha="center")
    axes.set(xlabel="frame", ylabel="LV area (cm²)")
    axes.margins(y=0.2)
    return figure


def disks(image: np.ndarray, mask: np.ndarray, spacing_mm: Spacing) -> Figure:
    """A frame with its mask's outline, long axis and the disks of the volume (`clinical.disk_diameters_mm`)."""
    figure = Figure(figsize=(5.6, 4.4), layout="constrained")
    axes = figure.subplots()
    _show(axes, image, "outline, long axis and disks")
    _outline(axes, mask, TRUTH)
    spacing = np.array(spacing_mm)
    axis = long_axis(mask, spacing_mm)
    apex, annulus = np.array(axis.apex) * spacing, np.array(axis.annulus) * spacing
    down = (annulus - apex) / axis.length_mm
    diameters = disk_diameters_mm(mask, spacing_mm)
    middles = apex + np.outer((np.arange(len(diameters)) + 0.5) / len(diameters) * axis.length_mm, down)
    across = np.outer(diameters / 2, [-down[1], down[0]])
    ends = np.stack([middles - across, middles + across], axis=1) / spacing
    axes.plot(*(np.array([apex, annulus]) / spacing).T[::-1], color=TRUTH, lw=1.5)
    axes.plot(ends[..., 1].T, ends[..., 0].T, color=PREDICTED, lw=1)
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


def intervals(rows: Mapping[str, tuple[float, float, float]], xlabel: str) -> Figure:
    """A point with its interval per row, from the top: (value, low, high) by name; a dotted line at 0."""
    figure = Figure(figsize=(7.5, 0.3 * len(rows) + 1), layout="constrained")
    axes = figure.subplots()
    values, low, high = np.array(list(rows.values())).T
    places = np.arange(len(rows))
    axes.errorbar(values, places, xerr=(values - low, high - values), fmt="o", ms=4, capsize=3, color=PREDICTED)
    axes.axvline(0, color="#999999", linestyle=":")
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    axes.grid(axis="x", alpha=0.3)
    return figure


def curves(histories: Mapping[str, Sequence[pd.DataFrame]], watched: Sequence[tuple[int, float]] = ()) -> Figure:
    """Training loss by epoch: one colour per method, one line per seed. Histories have columns `epoch` and `loss`.

    watched: (epoch, mean Dice) on watched frames, which neither train nor test, drawn beside where there are any.
    """
    figure = Figure(figsize=(10 if watched else 7, 3.6), layout="constrained")
    axes, *beside = figure.subplots(1, 2 if watched else 1, squeeze=False)[0]
    for method, runs in histories.items():
        for number, history in enumerate(runs):
            label = paper.METHODS.get(method, method) if number == 0 else None
            axes.plot(history.epoch, history.loss, color=COLOURS.get(method), alpha=0.8, label=label)
    axes.set(xlabel="epoch", ylabel="training loss (Eq. 5)", yscale="log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.legend()
    for other in beside:
        other.plot(*zip(*watched, strict=True), color=PREDICTED, marker=".")
        human_band(other)
        other.set(xlabel="epoch", ylabel="Dice of watched frames (Eq. 6)", xlim=axes.get_xlim(), ylim=(0, 1))
        other.grid(alpha=0.3)
    return figure


def human_band(axes: Axes) -> None:
    """How well people agree (`lvseg.human`, on CAMUS): a band of one person's two outlines, a line per other figure."""
    twice = [found.dice for found in human.AGREEMENT if "herself" in found.who]
    axes.axhspan(min(twice), max(twice), color="#999999", alpha=0.25, zorder=0, linewidth=0,
                 label=f"a cardiologist against herself {min(twice):.3f}-{max(twice):.3f}")  # fmt: skip
    others = [found for found in human.AGREEMENT if "herself" not in found.who]
    for found, style in zip(others, ("--", ":"), strict=True):
        label = f"{found.who.partition(',')[0]} {found.dice:.3f}"
        axes.axhline(found.dice, color="#666666", linestyle=style, linewidth=1, zorder=0, label=label)


def dice_by_patient(tables: Mapping[str, pd.DataFrame]) -> Figure:
    """Each test patient's mean Dice per method, each method's mean over frames as a bar, Table 2's Dice, and people."""
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
    human_band(axes)
    axes.legend(fontsize=7, loc="lower left", title="people: on CAMUS's real hearts", title_fontsize=7)
    return figure


def bland_altman(
    pairs: Mapping[str, tuple[Sequence[float], Sequence[float]]], lines: Mapping[str, Sequence[float | None]]
) -> Figure:
    """By quantity, predicted minus true over the mean of both, a dot a pair; `lines`: its bias and limits, where known.

    pairs: (predicted, true) of each quantity, in the unit that its name has.
    """
    columns = max(len(pairs), 1)
    figure = Figure(figsize=(3.2 * columns, 3), layout="constrained")
    grid = figure.subplots(1, columns, squeeze=False)[0]
    for axes, (name, (predicted, true)) in zip(grid, pairs.items(), strict=False):
        ours, theirs = np.asarray(predicted, float), np.asarray(true, float)
        axes.scatter((ours + theirs) / 2, ours - theirs, s=12, alpha=0.6, color=COLOURS["improved_resunet"])
        for height, style in zip(lines.get(name, ()), ("-", "--", "--"), strict=False):
            if height is not None:
                axes.axhline(height, color="#444444", linestyle=style, linewidth=1)
        axes.set(title=name, xlabel="mean of predicted and true", ylabel="predicted - true")
        axes.title.set_fontsize(9)
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
