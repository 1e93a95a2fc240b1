"""Networks small enough to be built in every test."""

from __future__ import annotations

import numpy as np

from lvseg import networks
from lvseg.backend import keras
from lvseg.experiment import NetworkConfig

SMALL = {"width": 4, "size": 32, "channels": 1}


def built(**choices) -> keras.Model:
    """The network with these choices, and where they don't say so, of width 4 for 32x32 grey pixels."""
    return networks.build(NetworkConfig.of(**SMALL | choices))


def numbers(tensor) -> np.ndarray:
    return keras.ops.convert_to_numpy(tensor)
