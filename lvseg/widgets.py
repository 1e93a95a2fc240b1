"""Thin ipywidgets around the functions of the package; each notebook shows a static picture beside its widget."""

from __future__ import annotations

from collections.abc import Callable

import ipywidgets
import numpy as np

from lvseg import figures


def _live(draw: Callable[..., figures.Figure], **controls: ipywidgets.Widget) -> ipywidgets.VBox:
    """Sliders above a picture that `draw` makes anew from their values.

    An Image widget, not an Output: nbclient answers an Output's messages and can lose a cell's end in doing so, and
    then a headless run waits for ever.
    """
    picture = ipywidgets.Image(format="png")

    def update(_=None) -> None:
        picture.value = draw(**{name: control.value for name, control in controls.items()}).png()

    for control in controls.values():
        control.observe(update, "value")
    update()
    return ipywidgets.VBox([*controls.values(), picture])


def clahe_explorer(image: np.ndarray) -> ipywidgets.VBox:
    """Fig. 6 of a uint8 (height, width) image with sliders for CLAHE's clip limit and tiles (U9)."""
    return _live(
        lambda clip_limit, tiles: figures.fig6(image, clip_limit, tiles),
        clip_limit=ipywidgets.FloatSlider(
            2.0, min=0.5, max=8, step=0.5, description="clip limit", continuous_update=False
        ),
        tiles=ipywidgets.IntSlider(8, min=1, max=16, description="tiles", continuous_update=False),
    )


def threshold_explorer(image: np.ndarray, probability: np.ndarray) -> ipywidgets.VBox:
    """An image and the mask that a threshold makes of its probabilities, float (height, width) in 0..1 (U17)."""
    return _live(
        lambda threshold: figures.frames([image], [probability > threshold], [f"threshold {threshold:.2f}"], size=5),
        threshold=ipywidgets.FloatSlider(
            0.5, min=0.02, max=0.98, step=0.02, description="threshold", continuous_update=False
        ),
    )
