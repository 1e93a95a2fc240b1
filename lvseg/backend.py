"""Keras, imported once and without TensorFlow's start-up chatter, which would end up in every notebook.

The backend is TensorFlow, or what `KERAS_BACKEND` says; where TensorFlow isn't installed but another is, that one.
Where none is, importing this raises `lvseg.ConfigError`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from lvseg import machine


@contextmanager
def _muted() -> Iterator[None]:
    """Send file descriptor 2 nowhere: the chatter is written by C++ code, past Python's `sys.stderr`."""
    sys.stderr.flush()
    kept = os.dup(2)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(nowhere)
        os.close(kept)


@contextmanager
def _without_extras() -> Iterator[None]:
    """Let JAX and scikit-learn count as not installed within, where nothing needs them.

    TensorFlow and Keras load them for a converter and for wrappers that nobody here uses: 150 MB, and a second.
    """
    unneeded = {"jax", "sklearn"} - sys.modules.keys() - {os.environ["KERAS_BACKEND"]}
    sys.modules.update(dict.fromkeys(unneeded))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in unneeded:
            del sys.modules[name]


os.environ["KERAS_BACKEND"] = machine.backend()
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # TensorFlow takes a whole GPU otherwise

machine.limit_arenas()  # before there are threads
with _muted(), _without_extras():
    import keras
    from keras import KerasTensor, layers, ops

__all__ = ["KerasTensor", "keras", "layers", "ops"]
