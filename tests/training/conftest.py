"""Shared by the tests of training: a finished tiny run, and eight images to learn from."""

from __future__ import annotations

import numpy as np
import pytest

from lvseg.data import prepared
from lvseg.experiment import Experiment
from lvseg.training.run import train
from tests.training.support import TINY


@pytest.fixture(scope="session")
def finished(tmp_path_factory):
    """A finished tiny run: (its data, folder, receipt, lines it said)."""
    folder, lines = tmp_path_factory.mktemp("run"), []
    data = prepared.prepare(Experiment.of_profile("smoke", **TINY, epochs=3))
    return data, folder, train(data, folder, lines.append), lines


@pytest.fixture(scope="session")
def ramp() -> prepared.Arrays:
    """Eight images of noise, each brighter to one side; the LV is the bright side."""
    noise = np.random.default_rng(0).integers(0, 60, (8, 16, 16))
    image = (np.linspace(0, 195, 16).round().astype(int) + noise).astype(np.uint8)
    return prepared.Arrays(image, np.where(image > 127, 255, 0).astype(np.uint8))
