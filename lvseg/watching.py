"""What a training shows in a notebook while it runs: its loss, and what the network makes of a few held-out frames."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from IPython.display import display

from lvseg import figures, metrics
from lvseg.prediction import Segmenter
from lvseg.profiles import Experiment
from lvseg.readers import Frame

_SHARE = 30
"""Pictures are drawn again after so many times as long as drawing them took."""


class Watch:
    """Two pictures below the cell that makes it, drawn anew as the network learns: `training.run`'s `each_epoch`.

    frames: outlined ones that don't train. They show how it goes and choose nothing. Each is scored after every epoch,
    at native resolution: `dice` has (epoch, their mean Dice) of the epochs that were seen, counted from 1.
    """

    def __init__(self, experiment: Experiment, frames: Sequence[Frame]):
        self.experiment = experiment
        self.dice: list[tuple[int, float]] = []
        pixels = [frame.read() for frame in frames]
        self._images = [each.image for each in pixels]
        self._truths = [each.mask for each in pixels if each.mask is not None]
        self._curves, self._outlines = display(display_id=True), display(display_id=True)
        self._due = 0.0

    def __call__(self, network: Any, history: Sequence[dict[str, Any]]) -> None:
        """Score the network of the last epoch in `history`; draw where that is due, and after the planned last one."""
        started, epoch = time.monotonic(), len(history)
        masks = list(Segmenter(network.predict_on_batch, self.experiment).masks(self._images))
        dice = [metrics.dice(mask, truth) for mask, truth in zip(masks, self._truths, strict=True)]
        self.dice.append((epoch, float(np.mean(dice))))
        if started < self._due and epoch < self.experiment.epochs:
            return
        self.draw_curves(pd.DataFrame(history))
        pictures = [figures.overlay(*pair)[..., ::-1] for pair in zip(self._images, masks, strict=True)]
        titles = [f"epoch {epoch}, Dice {value:.2f}" for value in dice]
        self._outlines.update(figures.frames(pictures, self._truths, titles, size=1.7))
        self._due = time.monotonic() + _SHARE * (time.monotonic() - started)

    def draw_curves(self, history: pd.DataFrame) -> None:
        """Loss by epoch of `history`, and Dice of the epochs that were seen."""
        self._curves.update(figures.curves({self.experiment.model: [history]}, self.dice))
