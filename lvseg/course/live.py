"""What moves in a notebook: thin ipywidgets around pure figure functions, and a training that shows how it goes."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import ipywidgets
import numpy as np
import pandas as pd
from IPython.display import display

from lvseg import metrics
from lvseg.experiment import Experiment
from lvseg.figures import plots
from lvseg.inference.segmenter import Segmenter
from lvseg.masks import overlay
from lvseg.readers import Frame


def _live(draw: Callable[..., plots.Figure], **controls: ipywidgets.Widget) -> ipywidgets.HBox:
    """Sliders beside a picture that `draw` makes anew from their values: both fit into a window of 1366x768.

    An Image widget, not an Output: nbclient answers an Output's messages and can lose a cell's end in doing so, and
    then a headless run waits for ever.
    """
    picture = ipywidgets.Image(format="png", layout={"max_width": "70%", "object_fit": "contain"})

    def update(_=None) -> None:
        picture.value = draw(**{name: control.value for name, control in controls.items()}).png()

    for control in controls.values():
        control.layout.width = "auto"
        control.observe(update, "value")
    update()
    beside = ipywidgets.VBox(list(controls.values()), layout={"width": "30%", "min_width": "220px"})
    return ipywidgets.HBox([beside, picture])


def clahe_explorer(image: np.ndarray) -> ipywidgets.HBox:
    """Fig. 6 of a uint8 (height, width) image with sliders for CLAHE's clip limit and tiles (U9)."""
    return _live(
        lambda clip_limit, tiles: plots.fig6(image, clip_limit, tiles),
        clip_limit=ipywidgets.FloatSlider(
            2.0, min=0.5, max=8, step=0.5, description="clip limit", continuous_update=False
        ),
        tiles=ipywidgets.IntSlider(8, min=1, max=16, description="tiles", continuous_update=False),
    )


def threshold_explorer(image: np.ndarray, probability: np.ndarray) -> ipywidgets.HBox:
    """An image and the mask that a threshold makes of its probabilities, float (height, width) in 0..1 (U17)."""
    return _live(
        lambda threshold: plots.outlined([image], [probability > threshold], [f"threshold {threshold:.2f}"], size=5),
        threshold=ipywidgets.FloatSlider(
            0.5, min=0.02, max=0.98, step=0.02, description="threshold", continuous_update=False
        ),
    )


_SHARE = 30
"""Pictures are drawn again after so many times as long as drawing them took."""


class Watch:
    """Two pictures below the cell that makes it, drawn anew as the network learns: `each_epoch` of `train`.

    frames: outlined ones that neither train nor test (`Prepared.watched`); where there are none, it says so and draws
    the loss alone. Each is scored after every epoch, at native resolution: `dice` has (epoch, their mean Dice) of the
    epochs that were seen, counted from 1.
    """

    def __init__(self, experiment: Experiment, frames: Sequence[Frame]):
        self.experiment = experiment
        self.dice: list[tuple[int, float]] = []
        pixels = [frame.read() for frame in frames]
        self._images = [each.image for each in pixels]
        self._truths = [each.mask for each in pixels if each.mask is not None]
        self._curves, self._outlines = display(display_id=True), display(display_id=True)
        self._due = 0.0
        if not frames:
            print("No patients are watched in this split, so the loss alone tells how training goes.")

    def __call__(self, network: Any, history: Sequence[dict[str, Any]]) -> None:
        """Score the network of the last epoch in `history`; draw where that is due, and after the planned last one."""
        started, epoch = time.monotonic(), len(history)
        masks = list(Segmenter(network.predict_on_batch, self.experiment).masks(self._images))
        dice = [metrics.dice(mask, truth) for mask, truth in zip(masks, self._truths, strict=True)]
        if epoch == 1:
            self.dice.clear()  # of an ensemble another network begins
        if dice:
            self.dice.append((epoch, float(np.mean(dice))))
        if started < self._due and epoch < self.experiment.epochs:
            return
        self.draw_curves(pd.DataFrame(history))
        pictures = [overlay(*pair)[..., ::-1] for pair in zip(self._images, masks, strict=True)]
        titles = [f"epoch {epoch}, Dice {value:.2f}" for value in dice]
        if pictures:
            self._outlines.update(plots.outlined(pictures, self._truths, titles, size=1.7))
        self._due = time.monotonic() + _SHARE * (time.monotonic() - started)

    def draw_curves(self, history: pd.DataFrame) -> None:
        """Loss by epoch of `history`, and Dice of the epochs that were seen."""
        self._curves.update(plots.curves({self.experiment.model: [history]}, self.dice))
