"""Batches of training frames: their order, and what augmentation makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np

from lvseg.data.prepared import Arrays, Batch, to_network
from lvseg.experiment import Experiment


def order(experiment: Experiment, frames: int, epoch: int) -> np.ndarray:
    """Which of so many frames each step of an epoch takes, int (steps, batch): it follows from (seed, epoch) alone.

    A last, smaller batch is left out unless it is the only one.
    """
    shuffled = np.random.default_rng((experiment.seed, epoch)).permutation(frames)
    size = min(experiment.batch, frames)
    return shuffled[: frames // size * size].reshape(-1, size)


def batches(arrays: Arrays, experiment: Experiment, epoch: int, first_step: int = 0) -> Iterator[Batch]:
    """One epoch's batches of `arrays`, or of what `lvseg.training.devices.OneDevice.keep` made of them, in `order`.

    Augmentation too follows from (seed, epoch, step) alone, so that a resumed run sees what the killed one would have.
    The next batch is made in a thread while the network works on this one.
    """
    rows = order(experiment, len(arrays), epoch)

    def make(step: int) -> Batch:
        chosen = rows[step]
        if experiment.augment == "none":
            return arrays.batch(chosen, experiment.channels)
        rng = np.random.default_rng((experiment.seed, epoch, step))
        pairs = zip(*arrays.pick(chosen), strict=True)
        augmented = [augment(*pair, rng, experiment.augment) for pair in pairs]
        image, mask = (np.stack(side) for side in zip(*augmented, strict=True))
        return to_network(image, experiment.channels), to_network(mask, 1)

    with ThreadPoolExecutor(1) as worker:
        following = None
        for step in range(first_step, len(rows)):
            following, ready = worker.submit(make, step), following
            if ready:
                yield ready.result()
        if following:
            yield following.result()


def augment(
    image: np.ndarray, mask: np.ndarray, rng: np.random.Generator, kind: str = "usual"
) -> tuple[np.ndarray, np.ndarray]:
    """A frame and its mask, both uint8 (size, size), as they might have been; what is black stays black.

    kind: `usual` turns (15 degrees), scales (15 %) and shifts (6 %) both, and changes gamma (0.7 to 1.4) and gain
    (15 %) of the image; `mirrored` also turns every second frame into its mirror image, which hearts shown in one
    orientation never need; `strong`, for virtual patients, goes further than `usual` and looks like other scanners.
    """
    size, strong = image.shape[0], kind == "strong"
    turn, scale, shift, gamma = (15, 0.2, 0.08, 2.0) if strong else (15, 0.15, 0.06, 1.4)
    centre = (size / 2, size / 2)
    matrix = cv2.getRotationMatrix2D(centre, rng.uniform(-turn, turn), rng.uniform(1 - scale, 1 + scale))
    matrix[:, 2] += rng.uniform(-shift, shift, 2) * size
    if kind == "mirrored" and rng.random() < 0.5:
        matrix = matrix @ np.array([[-1, 0, size - 1], [0, 1, 0], [0, 0, 1]])
    image, mask = (cv2.warpAffine(side, matrix, (size, size), flags=cv2.INTER_LINEAR) for side in (image, mask))
    if strong:
        image = _another_scanner(image, rng)
    levels = np.linspace(0, 1, 256) ** rng.uniform(1 / gamma, gamma) * rng.uniform(0.85, 1.15)
    return cv2.LUT(image, np.clip(levels * 255, 0, 255).round().astype(np.uint8)), mask


def _another_scanner(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The image with another sharpness, gain that varies over the sector, another contrast, and noise."""
    seen = cv2.dilate((image > 0).astype(np.uint8), np.ones((3, 3)))
    grey: np.ndarray = image.astype(np.float32) / 255
    if rng.random() < 0.5:
        grey = cv2.GaussianBlur(grey, (0, 0), rng.uniform(0.3, 1.2))
    uneven = cv2.resize(rng.standard_normal((4, 4), dtype=np.float32), image.shape, interpolation=cv2.INTER_CUBIC)
    grey *= np.exp(rng.uniform(0, 0.35) * uneven)
    mean = float(grey.mean())
    noise = rng.uniform(0, 0.08) * rng.standard_normal(grey.shape, dtype=np.float32)
    grey = mean * rng.uniform(0.7, 1.3) + (grey - mean) * rng.uniform(0.5, 1.5) + noise
    return (np.clip(grey, 0, 1) * seen * 255).round().astype(np.uint8)
