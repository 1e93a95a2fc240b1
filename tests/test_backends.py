"""One set of weights, three backends: the same output, loss and training step on TensorFlow, JAX and PyTorch.

`make test` has TensorFlow and JAX. For PyTorch: `pip install torch` into `.venv`, then `make test` or
`make test-torch`, which also runs the tests of networks and losses there.
"""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from lvseg import losses, networks
from lvseg.backend import keras
from lvseg.experiment import NetworkConfig

ROOT = Path(__file__).parents[1]
METHODS = ("unet", "improved_resunet")  # between them, every layer that any of the networks has by default
HERE = keras.backend.backend()


def computed(folder: Path) -> dict[str, np.ndarray]:
    """Outputs, first loss and weights after one step of the networks in `folder`."""
    data, results = np.load(folder / "data.npz"), {}
    for method in METHODS:
        network = keras.saving.load_model(folder / f"{method}.keras")
        results[f"{method}_output"] = network.predict_on_batch(data["images"])
        trainer = networks.logits(network)
        trainer.compile(keras.optimizers.SGD(0.1), losses.combined_loss(), jit_compile=False)
        results[f"{method}_loss"] = np.asarray(trainer.train_on_batch(data["images"], data["masks"]))
        results[f"{method}_stepped"] = np.concatenate([w.ravel() for w in network.get_weights()])
    return results


def computed_by(backend: str, folder: Path) -> dict[str, np.ndarray]:
    """The same, computed by another backend in a process of its own."""
    code = """
        import sys
        from pathlib import Path
        import numpy as np
        from tests import test_backends
        np.savez(sys.argv[1] + "/found.npz", backend=test_backends.HERE, **test_backends.computed(Path(sys.argv[1])))
    """
    quick = {"XLA_FLAGS": "--xla_backend_optimization_level=0"}  # JAX compiles for longer than it computes here
    environment = {**os.environ, **quick, "KERAS_BACKEND": backend}
    command = [sys.executable, "-c", textwrap.dedent(code), folder]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = dict(np.load(folder / "found.npz"))
    assert str(results.pop("backend")) == backend
    return results


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """Both networks with random weights and statistics, images and masks."""
    keras.utils.set_random_seed(6)  # with 5, rounding decides on which side of LeakyReLU's kink a value lies
    folder = tmp_path_factory.mktemp("backends")
    draw = np.random.default_rng(5)
    for method in METHODS:
        network = networks.build(NetworkConfig.of(model=method, width=4, size=32, channels=1))
        network.set_weights([w + draw.normal(0, 0.05, w.shape) ** 2 for w in network.get_weights()])
        network.save(folder / f"{method}.keras")
    images = draw.random((4, 32, 32, 1), np.float32)
    np.savez(folder / "data.npz", images=images, masks=(images > 0.6).astype(np.float32))
    return folder


@pytest.fixture(scope="module")
def here(saved) -> dict[str, np.ndarray]:
    return computed(saved)


@pytest.mark.slow
@pytest.mark.xdist_group("backends")
@pytest.mark.parametrize("backend", sorted({"tensorflow", "jax", "torch"} - {HERE}))
def test_another_backend_computes_what_this_one_computes(backend, saved, here):
    if find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    found = computed_by(backend, saved)
    assert found.keys() == here.keys()
    for name, values in here.items():
        np.testing.assert_allclose(found[name], values, atol=1e-4, rtol=1e-4, err_msg=f"{backend}: {name}")
        assert np.ptp(values) > 1e-3 or values.size == 1
