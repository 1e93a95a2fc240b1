"""Shared by the tests of figures: the paper's network."""

from __future__ import annotations

import pytest

from lvseg import networks
from lvseg.backend import keras
from lvseg.experiment import NetworkConfig


@pytest.fixture(scope="session")
def full() -> keras.Model:
    """The improved ResUNet as published: width 64, 256x256x3."""
    return networks.blueprint(NetworkConfig.of(model="improved_resunet"))
