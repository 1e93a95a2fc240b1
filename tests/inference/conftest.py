"""Shared by the tests of inference: the threshold network as a segmenter, and the cine that comes with pydicom."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import examples

from lvseg.inference.segmenter import Segmenter
from tests.inference.support import EXPERIMENT, threshold_network


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return Segmenter(threshold_network().predict_on_batch, EXPERIMENT)


@pytest.fixture(scope="module")
def cine() -> Path:
    """The echo cine that comes with pydicom: 30 frames of 240 x 320."""
    return Path(examples.get_path("ybr_color"))
