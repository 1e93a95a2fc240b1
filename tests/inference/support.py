"""A network that is a threshold at mid-grey, so that what it must find is known exactly; pictures for it."""

from __future__ import annotations

from pathlib import Path

import cv2
import nibabel
import numpy as np

from lvseg.backend import keras
from lvseg.experiment import Experiment

SIZE = 96
EXPERIMENT = Experiment.of_profile("smoke", size=SIZE, clahe="none")


def threshold_network(size: int = SIZE, channels: int = 1) -> keras.Model:
    """Probability 1 where the image is brighter than mid-grey, else 0, with a steep passage between."""
    inputs = keras.Input((size, size, channels))
    layer = keras.layers.Conv2D(1, 1, activation="sigmoid")
    network = keras.Model(inputs, layer(inputs))
    layer.set_weights([np.full((1, 1, channels, 1), 40 / channels, "float32"), np.array([-20], "float32")])
    return network


def ellipse(shape: tuple[int, int], centre: tuple[float, float], half: tuple[float, float]) -> np.ndarray:
    """A bool mask: the ellipse around `centre` (row, column) with half axes `half` (down, across), in pixels."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return ((rows - centre[0]) / half[0]) ** 2 + ((columns - centre[1]) / half[1]) ** 2 < 1


def grey(mask: np.ndarray) -> np.ndarray:
    """Bright inside, dark outside, a little lighter from column to column: a volume of few levels is a label map."""
    return (np.where(mask, 210, 25) + np.arange(mask.shape[1]) % 12).astype(np.uint8)


def write_nifti(path: Path, frames: np.ndarray, spacing_mm: tuple[float, float]) -> None:
    """Upright frames (height, width) or (n, height, width), stored x first as CAMUS does."""
    row, column = spacing_mm
    image = nibabel.Nifti1Image(np.ascontiguousarray(frames.T), np.eye(4))
    image.header.set_zooms((column, row, 1.0)[: frames.ndim])
    nibabel.save(image, path)


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.sum(a & b) / (a.sum() + b.sum())


def read_mask(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture.ndim == 2 and set(np.unique(picture)) <= {0, 255}
    return picture > 0


TRUTH = ellipse((150, 220), (60, 150), (40, 25))  # off the middle on a wide picture: a turned mask would show
