"""Keras is TensorFlow's unless the environment says otherwise, and loads nothing that nobody needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


def in_a_new_process(code: str, **environment: str) -> list[str]:
    """The lines that Python prints for `code`."""
    free = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**free, **environment})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


@pytest.mark.slow
def test_the_backend_is_tensorflow_whatever_a_file_at_home_says(tmp_path):
    """Keras would go by `keras.json`; here only `KERAS_BACKEND` counts, so that a class computes alike."""
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    code = "from lvseg.backend import keras; print(keras.backend.backend())"
    assert in_a_new_process(code, KERAS_HOME=str(tmp_path)) == ["tensorflow"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("package", "use"),
    [("jax", "jax.numpy.ones(3).sum()"), ("sklearn", "sklearn.metrics.accuracy_score([1, 1], [1, 0]) * 6")],
)
def test_keras_does_not_load_what_nobody_needs_but_anyone_may(package, use):
    """They cost 150 MB; whoever imports them before or after Keras has them whole."""
    pytest.importorskip(package)
    ours = f"import sys; from lvseg.backend import keras; print({package!r} in sys.modules); "
    theirs = f"import {package}, sklearn.metrics; print(float({use})); "
    assert in_a_new_process(ours + theirs) == ["False", "3.0"]
    assert in_a_new_process(theirs + ours) == ["3.0", "True"]
