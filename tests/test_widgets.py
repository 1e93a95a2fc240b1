"""The widgets redraw their picture when a slider moves, and hold no Output widget."""

from __future__ import annotations

import cv2
import ipywidgets
import numpy as np
import pytest

from lvseg.course import live

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 80), dtype=np.uint8)


@pytest.mark.parametrize(
    "box", [live.clahe_explorer(IMAGE), live.threshold_explorer(IMAGE, IMAGE / 255.0)], ids=["clahe", "threshold"]
)
def test_a_moved_slider_redraws(box):
    *sliders, picture = box.children
    assert isinstance(picture, ipywidgets.Image)
    for slider in sliders:
        before = cv2.imdecode(np.frombuffer(picture.value, np.uint8), cv2.IMREAD_COLOR)
        slider.value = slider.max
        after = cv2.imdecode(np.frombuffer(picture.value, np.uint8), cv2.IMREAD_COLOR)
        assert before.shape == after.shape and (before != after).any()
