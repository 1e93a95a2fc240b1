"""Keras is TensorFlow's unless the environment says otherwise, and loads nothing that nobody needs."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from lvseg import machine
from lvseg.errors import ConfigError


@pytest.mark.parametrize(
    ("installed", "named", "backend"),
    [
        (["tensorflow", "jax"], "", "tensorflow"),
        (["tensorflow", "jax"], "jax", "jax"),
        (["jax"], "", "jax"),
        (["torch"], "", "torch"),
    ],
)
def test_what_is_named_or_installed_computes(installed, named, backend, monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: name in installed or None)
    monkeypatch.setenv("KERAS_BACKEND", named)
    assert machine.backend() == backend


@pytest.mark.parametrize(
    ("installed", "named", "said"),
    [([], "", r"pip install lvseg\[cpu\]"), (["tensorflow"], "jax", "KERAS_BACKEND=jax, which isn't installed")],
)
def test_no_backend_is_a_sentence(installed, named, said, monkeypatch):
    monkeypatch.setattr(machine, "find_spec", lambda name: name in installed or None)
    monkeypatch.setenv("KERAS_BACKEND", named)
    with pytest.raises(ConfigError, match=said):
        machine.backend()


def in_a_new_process(code: str, **environment: str) -> list[str]:
    """The lines that Python prints for `code`."""
    free = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**free, **environment})
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()


USES = {
    "jax": "import jax; print('jax', float(jax.numpy.ones(3).sum()))",
    "sklearn": "import sklearn.metrics; print('sklearn', sklearn.metrics.accuracy_score([1, 1], [1, 0]))",
}
KERAS = """
import sys
from lvseg.backend import keras
print(keras.backend.backend(), *(name for name in ("jax", "sklearn") if name in sys.modules))
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", [None, *USES])
def test_keras_is_tensorflows_and_loads_what_was_loaded_before(before, tmp_path):
    """Only `KERAS_BACKEND` counts, not `keras.json` at home, so that a class computes alike.

    JAX and scikit-learn cost 150 MB and nobody needs them; whoever imports them before or after Keras has them whole.
    """
    pytest.importorskip("jax")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    first = [before] if before else []
    after = [name for name in USES if name != before]
    code = "\n".join([*(USES[name] for name in first), KERAS, *(USES[name] for name in after)])
    used = {"jax": "jax 3.0", "sklearn": "sklearn 0.5"}
    expected = [*(used[name] for name in first), " ".join(["tensorflow", *first]), *(used[name] for name in after)]
    assert in_a_new_process(code, KERAS_HOME=str(tmp_path)) == expected
