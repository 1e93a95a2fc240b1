"""lvseg: teach, reproduce and go beyond one paper on left-ventricle segmentation in echocardiography.

`import lvseg` is light: networks, and with them Keras, are imported only when one is asked for.
"""

from __future__ import annotations

from importlib import import_module

from lvseg.errors import ConfigError, DataError, LvsegError

__version__ = "0.1.0"

_MODULES = frozenset(
    [
        "blocks",
        "clahe",
        "clinical",
        "dataset",
        "evaluation",
        "figures",
        "losses",
        "metrics",
        "networks",
        "paper",
        "phantom",
        "prediction",
        "profiles",
        "readers",
        "report",
        "runner",
        "training",
        "widgets",
    ]
)

__all__ = ["ConfigError", "DataError", "LvsegError", "__version__", *sorted(_MODULES)]


def __getattr__(name: str):
    if name in _MODULES:
        return import_module(f"lvseg.{name}")
    raise AttributeError(f"module 'lvseg' has no attribute {name!r}")
