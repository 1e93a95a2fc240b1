"""Several devices compute what one does; as many are taken as share a batch evenly; threads are the experiment's."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from lvseg import machine
from lvseg.backend import keras
from lvseg.data.batches import batches
from lvseg.experiment import Experiment
from lvseg.training import devices

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_tensorflow_gets_the_threads_of_the_experiment_and_a_late_change_is_told():
    """In a process of its own: a thread an operation where a batch has a part per core, all cores where it is whole."""
    code = """
        from lvseg import machine
        from lvseg.training import devices
        from lvseg.experiment import Experiment
        import tensorflow as tf

        divided = Experiment.of_profile("class", parts=machine.cores(), batch=2 * machine.cores())
        whole, said = Experiment.of_profile("paper"), []
        for experiment in (whole, divided, whole):
            devices.prepare(experiment, said.append)
            print(tf.config.threading.get_intra_op_parallelism_threads(), len(said))
        tf.zeros(1)
        for experiment in (whole, divided):
            devices.prepare(experiment, said.append)
            print(tf.config.threading.get_intra_op_parallelism_threads(), len(said))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT)
    late = int(machine.cores() > 1)  # with one core nothing would change
    assert done.stdout.split("\n")[:5] == ["0 0", f"{late} 0", "0 0", "0 0", f"0 {late}"], done.stderr[-3000:]


DEVICES = """
import contextlib, json, os, sys
from pathlib import Path

backend, folder = sys.argv[1:]
os.environ["KERAS_BACKEND"] = backend
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
os.environ |= {"JAX_COMPILATION_CACHE_DIR": folder + "/compiled", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
if backend == "tensorflow":
    import tensorflow as tf

    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import numpy as np
from lvseg import machine
from lvseg.backend import keras
from lvseg.data import prepared
from lvseg.data.batches import batches
from lvseg.experiment import Experiment
from lvseg.training import devices
from lvseg.training.fit import fit

with np.load(Path(folder, "ramp.npz")) as ramp:
    arrays = prepared.Arrays(**ramp)
experiment = Experiment.of_profile(
    "smoke", model="unet", size=16, batch=6, augment="none", clip_norm=0, schedule="constant"
)
found, both = {}, keras.distribution.list_devices()
for available in (both, both[:1]):
    keras.distribution.list_devices = lambda: available
    if backend == "tensorflow":  # one device computes step by step, which is done before a graph would be made
        tf.config.run_functions_eagerly(available != both)
    lines, losses, seen = [], [], []

    def look(network, history):
        losses.append(history[-1]["loss"])
        seen.append(np.array(network.predict_on_batch(prepared.to_network(arrays.image[:3], 1))))

    network = fit(arrays, experiment, Path(folder, str(len(available))), lines.append, look)
    unwatched = fit(arrays, experiment, Path(folder, f"unwatched {len(available)}"), lines.append)
    for one, other in zip(network.get_weights(), unwatched.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    prediction = network.predict_on_batch(prepared.to_network(arrays.image[:3], 1))
    np.testing.assert_allclose(seen[-1], prediction, atol=1e-6)
    assert np.abs(seen[0] - seen[-1]).max() > 1e-4
    found[len(available)] = [lines[0], losses, np.asarray(prediction).ravel().tolist()]
    network.save(Path(folder, f"{len(available)}.keras"))
machine.gpu = lambda: "one that keeps the frames"
kept = devices.choose(experiment, 6).keep(arrays, experiment)
assert type(kept) is devices.Resident
for ours, theirs in zip(batches(kept, experiment, 1), batches(arrays, experiment, 1), strict=True):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other)
losses = found["kept"] = []
look = lambda network, history: losses.append(history[-1]["loss"])
fit(arrays, experiment, Path(folder, "kept"), lines.append, look)
losses = found["stopped"] = []
with contextlib.suppress(ZeroDivisionError):
    fit(arrays, experiment, Path(folder, "stopped"), lines.append, lambda network, history: 1 / 0)
fit(arrays, experiment, Path(folder, "stopped"), lines.append, look)
print(json.dumps(found))
"""


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_compute_what_one_does(ramp, tmp_path, backend):
    """The same loss on the same batches of 6, batch statistics included, and a network that is used as any other.

    On one device, frames that it keeps in its memory make the same batches and losses, under JAX by one call an epoch;
    so does a training that was stopped between two epochs.

    The first step's loss agrees to 1e-5. The second one's to 1e-3: Adam's first steps have the size of the rate where
    a gradient is but rounding, and TensorFlow's common batch statistics round more. Statistics of each half alone
    would be off by several percent at once.
    """
    pytest.importorskip(backend)
    np.savez(tmp_path / "ramp.npz", image=ramp.image, mask=ramp.mask)
    done = subprocess.run([sys.executable, "-c", DEVICES, backend, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "on 1 device;" in found["1"][0] and "on 2 devices;" in found["2"][0]
    np.testing.assert_allclose(found["2"][1][0], found["1"][1][0], rtol=1e-5)
    np.testing.assert_allclose(found["2"][1][1], found["1"][1][1], rtol=1e-3)
    np.testing.assert_allclose(found["kept"], found["1"][1], rtol=1e-3)
    assert found["stopped"][-1:] == found["kept"][-1:]
    assert len(found["2"][2]) == 3 * 16 * 16
    np.testing.assert_allclose(found["2"][2], found["1"][2], atol=0.01)
    configurations = [
        keras.saving.load_model(tmp_path / f"{count}.keras", compile=False).get_config() for count in (1, 2)
    ]
    assert configurations[0] == configurations[1]


@pytest.mark.parametrize(
    ("size", "available", "count"), [(6, 1, 1), (6, 2, 2), (6, 4, 3), (7, 4, 1), (9, 2, 1), (16, 8, 8)]
)
def test_as_many_devices_as_share_a_batch_evenly(monkeypatch, size, available, count):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: [f"cpu:{i}" for i in range(available)])
    monkeypatch.setattr(devices._SeveralDevices, "_distribution", lambda self, chosen: chosen)
    monkeypatch.setattr(devices._SeveralTensorFlowDevices, "_distribution", lambda self, chosen: chosen)
    assert devices.choose(Experiment.of_profile("paper"), size).count == count


@pytest.mark.parametrize(
    "change", [{"clip_norm": 1.0}, {"accumulate": 2}, {"parts": 2}, {"precision": "float16"}], ids=str
)
def test_tensorflow_takes_one_device_where_keras_would_treat_each_by_itself(monkeypatch, change):
    monkeypatch.setattr(keras.distribution, "list_devices", lambda: ["cpu:0", "cpu:1"])
    monkeypatch.setattr(keras.backend, "backend", lambda: "tensorflow")
    assert devices.choose(Experiment.of_profile("paper", **change), 4).count == 1


@pytest.mark.parametrize("channels", [1, 3])
def test_frames_that_a_gpu_keeps_make_the_same_batches(ramp, monkeypatch, channels):
    monkeypatch.setattr(machine, "gpu", lambda: "one")
    experiment = Experiment.of_profile("paper", size=16, channels=channels, batch=3)
    kept = devices.OneDevice().keep(ramp, experiment)
    assert type(kept) is devices.Resident and kept.image.dtype == "uint8"
    for ours, theirs in zip(batches(kept, experiment, 1), batches(ramp, experiment, 1), strict=True):
        for side, expected in zip(ours, theirs, strict=True):
            assert keras.ops.is_tensor(side)
            np.testing.assert_array_equal(side, expected)


def test_frames_stay_where_they_are_without_a_gpu_or_room_and_where_they_are_changed_or_shared(ramp, monkeypatch):
    published = Experiment.of_profile("paper", size=16)
    assert devices.OneDevice().keep(ramp, published) is ramp
    monkeypatch.setattr(machine, "gpu", lambda: "one")
    assert devices.OneDevice().keep(ramp, Experiment.of_profile("paper", size=16, augment="usual")) is ramp
    assert devices._SeveralDevices.keep(None, ramp, published) is ramp
    monkeypatch.setattr(devices, "RESIDENT_BYTES", 2 * 8 * 16 * 16)
    assert devices.OneDevice().keep(ramp, published) is not ramp
    monkeypatch.setattr(devices, "RESIDENT_BYTES", 2 * 8 * 16 * 16 - 1)
    assert devices.OneDevice().keep(ramp, published) is ramp
