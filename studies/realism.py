"""Grey levels and texture of phantoms beside real frames, as numbers, and phantoms as a picture.

`python -m studies.realism camus:DIR` prints the table of docs/phantom.md and draws docs/phantom.png. Every measure
is taken per frame, of phantoms at end-diastole and end-systole and of the real training frames; printed are mean and
standard deviation over frames. Real pictures are never written.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lvseg.data.source import open_source
from lvseg.figures import plots
from lvseg.phantom.heart import POPULATIONS, sample_patient
from lvseg.phantom.scanner import render
from lvseg.readers import Frame

PICTURE = Path(__file__).parents[1] / "docs" / "phantom.png"
WALL_MM = 6.0  # the ring around the cavity that counts as wall, the mitral plane's side left out


def main(source: str, n: int = 500) -> None:
    draw()
    real = [frame for frame in open_source(source) if frame.subset == "training"]
    sets = {population: _phantoms(population, n) for population in ("adult", "random")}
    sets["real"] = _real(real)
    columns, histograms = {}, {}
    for name, frames in sets.items():
        columns[name], histograms[name] = describe(frames)
    print(pd.DataFrame(columns).to_markdown())
    for name in ("adult", "random"):
        overlap = np.minimum(histograms[name], histograms["real"]).sum(axis=1)
        print(f"{name}: histograms of cavity and wall share {overlap[0]:.2f} and {overlap[1]:.2f} with the real ones")


def draw() -> None:
    """Three patients of each population, at end-diastole and at end-systole with the outline."""
    shown = []
    for first, population in enumerate(POPULATIONS, start=40):
        for seed in range(0, 30, 10):
            patient = sample_patient(first + seed, population)
            shown += [(population, render(patient, phase)) for phase in (0.0, patient.systole)]
    images, titles = [frame.image for _, frame in shown], [population for population, _ in shown]
    masks = [frame.mask if index % 2 else None for index, (_, frame) in enumerate(shown)]
    plots.outlined(images, masks, titles).savefig(PICTURE, dpi=90)


def _real(frames: list[Frame]) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    for frame in frames:
        pixels = frame.read()
        assert pixels.mask is not None and pixels.spacing_mm is not None
        yield pixels.image, pixels.mask, pixels.spacing_mm[0]


def _phantoms(population: str, n: int) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    for index in range(n):
        patient = sample_patient(50_000 + index // 2, population)
        frame = render(patient, patient.systole * (index % 2))
        yield frame.image, frame.mask, frame.spacing_mm[0]


def describe(frames: Iterable[tuple[np.ndarray, np.ndarray, float]]) -> tuple[dict[str, str], np.ndarray]:
    """Mean and deviation of each measure over frames (image, mask, spacing in mm), and the pooled histograms of
    cavity and wall, (2, 256) shares."""
    rows, pooled = [], np.zeros((2, 256))
    for image, mask, spacing in frames:
        cavity, wall = image[_shrunk(mask, 2 / spacing)], image[_wall(mask, spacing)]
        histograms = np.stack([np.bincount(a, minlength=256) / max(a.size, 1) for a in (cavity, wall)])
        pooled += histograms
        axial, lateral = _correlation_mm(image, mask, spacing)
        rows.append({
            "cavity, mean grey": cavity.mean(), "cavity, sd within": cavity.std(),
            "wall, mean grey": wall.mean(), "wall, sd within": wall.std(),
            "contrast, wall - cavity": wall.mean() - cavity.mean(),
            "gCNR": 1 - np.minimum(*histograms).sum(),
            "axial correlation length, mm": axial, "lateral correlation length, mm": lateral,
            "sector, mean grey": image[image > 0].mean(), "LV, cm2": mask.sum() * spacing**2 / 100,
        })  # fmt: skip
    table = pd.DataFrame(rows)
    return {name: f"{table[name].mean():.2f} ± {table[name].std():.2f}" for name in table}, pooled / len(rows)


def _shrunk(mask: np.ndarray, pixels: float) -> np.ndarray:
    return cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5) > pixels


def _wall(mask: np.ndarray, spacing: float) -> np.ndarray:
    away = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5) * spacing
    rows = np.flatnonzero(mask.any(axis=1))
    above = np.arange(len(mask)) < rows[0] + 0.85 * len(rows)
    return (away > 0) & (away < WALL_MM) & above[:, None]


def _correlation_mm(image: np.ndarray, mask: np.ndarray, spacing: float) -> tuple[float, float]:
    """Down and across, the lag at which the fine grain's autocorrelation has fallen to one half, in a box of 30 mm
    around the cavity's centre, where beams run nearly straight down."""
    row, column = np.argwhere(mask).mean(axis=0).astype(int)
    reach = int(15 / spacing)
    box = image[max(row - reach, 0) : row + reach, max(column - reach, 0) : column + reach].astype(np.float64)
    box = box - cv2.GaussianBlur(box, (0, 0), 4 / spacing)
    power = (box * box).mean()

    def length(along: np.ndarray) -> float:
        curve = [float((along[k:] * along[: len(along) - k]).mean() / power) for k in range(reach)]
        k = int(np.argmax(np.array(curve) < 0.5))
        return (k - 1 + (curve[k - 1] - 0.5) / (curve[k - 1] - curve[k])) * spacing

    return length(box), length(box.T)


if __name__ == "__main__":
    main(sys.argv[1])
