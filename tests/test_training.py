"""One experiment: its folder and receipt, exact resume after SIGKILL, and what happens to a run that can't go on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import scipy.special

from lvseg import files, machine, networks
from lvseg.backend import keras
from lvseg.data import prepared
from lvseg.data.batches import batches
from lvseg.data.source import open_source
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
from lvseg.figures import graph
from lvseg.inference.segmenter import Segmenter
from lvseg.training import devices
from lvseg.training import fit as fitting
from lvseg.training.fit import _side_by_side, optimizer_of
from lvseg.training.folder import LOG, OUTPUTS, RECEIPT, Run, valid_receipt
from lvseg.training.run import train

ROOT = Path(__file__).parents[1]
TINY = {"model": "unet", "max_frames": 8, "size": 32, "batch": 4}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run: (experiment, folder, receipt, lines it reported)."""
    folder, lines = tmp_path_factory.mktemp("run"), []
    experiment = Experiment.of_profile("smoke", **TINY, epochs=3)
    return experiment, folder, train(experiment, folder, lines.append), lines


def test_a_finished_run_has_everything(finished):
    experiment, folder, receipt, lines = finished
    assert {path.name for path in folder.iterdir()} == {*OUTPUTS, RECEIPT, LOG, ".lock"}
    assert json.loads((folder / "experiment.json").read_text()) == experiment.model_dump()
    assert list(pd.read_csv(folder / "history.csv").epoch) == [1, 2, 3]
    scores = pd.read_csv(folder / "frames.csv")
    with np.load(folder / "masks.npz") as masks:
        for row in scores.itertuples():
            mask = masks[row.frame]
            assert mask.sum() == row.tp + row.fp and mask.size == row.tp + row.fp + row.fn + row.tn
    assert receipt["parameters"] == keras.saving.load_model(folder / "weights.keras", compile=False).count_params()
    assert sum("epoch" in line and "loss" in line for line in lines) == 3


def test_a_finished_run_is_kept(finished):
    experiment, folder, receipt, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"}
    assert train(experiment, folder, lambda line: None) == receipt
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_receipt_holds_only_for_its_experiment_its_data_and_its_files(finished, tmp_path):
    experiment, folder, receipt, _ = finished
    data = prepared.checksum(open_source("phantom"), experiment)
    assert valid_receipt(folder, experiment, data) == receipt
    assert valid_receipt(folder, Experiment.of_profile("smoke", **TINY, epochs=3, seed=1), data) is None
    assert valid_receipt(folder, experiment, data[::-1]) is None
    for name in OUTPUTS:
        copy = tmp_path / name
        subprocess.run(["cp", "-r", folder, copy], check=True)
        (copy / name).write_bytes((copy / name).read_bytes() + b" ")
        assert valid_receipt(copy, experiment, data) is None, name


def test_another_experiment_in_a_folder_is_refused_and_nothing_is_lost(finished):
    _, folder, _, _ = finished
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match="holds another experiment; choose another folder"):
        train(Experiment.of_profile("smoke", **TINY, epochs=4), folder, lambda line: None)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_a_state_that_a_kill_left_beside_the_receipt_is_removed(finished):
    experiment, folder, receipt, _ = finished
    (folder / "state.npz").write_bytes(b"of the last step")
    assert train(experiment, folder, lambda line: None) == receipt
    assert not (folder / "state.npz").exists()


@pytest.fixture(scope="module")
def squares(tmp_path_factory) -> tuple[Path, dict[str, np.ndarray]]:
    """Ten patients whose LV is a bright rectangle in noise, as pictures named by numbers; and their masks by name."""
    folder, rng, masks = tmp_path_factory.mktemp("squares"), np.random.default_rng(0), {}
    for number in range(30):
        mask = np.zeros((48, 64), bool)
        row, column = rng.integers(6, 18), rng.integers(6, 26)
        mask[row : row + 20, column : column + 26] = True
        image = np.where(mask, 170, 60) + rng.integers(-40, 40, mask.shape)
        name = f"{number:04}"
        masks[name] = mask
        for ending, values in (("", image), ("_mask", mask * 255)):
            cv2.imwrite(str(folder / f"{name}{ending}.png"), values.astype(np.uint8))
    return folder, masks


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_learns_and_keeps_what_it_learned(squares, tmp_path, precision):
    """Masks on disk against the drawn rectangles; the network on disk is the scored one, with float32 activations."""
    folder, drawn = squares
    experiment = Experiment.of_profile(
        "smoke", model="unet", data=f"images:{folder}", size=32, max_frames=None, epochs=40, precision=precision
    )
    train(experiment, tmp_path, lambda line: None)
    run = Run.load(tmp_path)
    network = keras.saving.load_model(tmp_path / "weights.keras", compile=False)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    again = Segmenter(network.predict_on_batch, experiment)
    assert len(run.frames) == 6
    for name in run.frames.frame:
        mask, truth = run.mask(name), drawn[name]
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.85, name
        image = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(next(iter(again.masks([image]))), mask)


def test_a_folder_that_another_process_writes_is_refused(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nfrom pathlib import Path\nfrom lvseg import files\n"
         "with files.locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)", tmp_path],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DataError, match="another process is writing here"), files.locked(tmp_path, patience=0.3):
        pass
    holder.kill()
    holder.wait()
    with files.locked(tmp_path, patience=0.3):
        pass


def test_divergence_is_a_sentence(tmp_path):
    experiment = Experiment.of_profile("smoke", **TINY, epochs=3, rate=1e30, schedule="constant", batch_norm=False)
    with pytest.raises(ConfigError, match=r"the loss is nan in epoch 1, step \d; choose a smaller rate than 1e\+30"):
        train(experiment, tmp_path, lambda line: None)
    assert not (tmp_path / RECEIPT).exists()
    assert (tmp_path / LOG).read_text().splitlines()[-1].endswith("choose a smaller rate than 1e+30")


def test_the_log_says_how_each_start_ended(finished):
    _, folder, receipt, _ = finished
    lines = (folder / LOG).read_text().splitlines()
    assert "start: process" in lines[0] and lines[-1].endswith("end: done")
    assert sum("epoch 2/3" in line for line in lines) == 1
    assert receipt["starts"] == 1 and receipt["seed"] == 0
    assert receipt["environment"]["processor"] and receipt["environment"][receipt["environment"]["backend"]]


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), -1])
def test_an_impossible_rate_is_refused(rate):
    with pytest.raises(ConfigError, match="rate="):
        Experiment.of_profile("smoke", rate=rate)


@pytest.fixture(scope="module")
def ramp() -> prepared.Arrays:
    """Eight images of noise, each brighter to one side; the LV is the bright side."""
    noise = np.random.default_rng(0).integers(0, 60, (8, 16, 16))
    image = (np.linspace(0, 195, 16).round().astype(int) + noise).astype(np.uint8)
    return prepared.Arrays(image, np.where(image > 127, 255, 0).astype(np.uint8))


def fit(arrays: prepared.Arrays, folder: Path, **changes) -> tuple[keras.Model, list[float]]:
    """A few epochs of a tiny network without augmentation; the network and each epoch's loss."""
    choices = {"model": "unet", "size": 16, "epochs": 2, "augment": "none", "schedule": "constant", **changes}
    seen: list[float] = []
    network = fitting.fit(
        arrays, Experiment.of_profile("smoke", **choices), folder, lambda line: None,
        lambda network, history: seen.append(history[-1]["loss"]),
    )  # fmt: skip
    return network, seen


def test_no_frames_and_no_lv_are_sentences(ramp, tmp_path):
    with pytest.raises(DataError, match="there are no frames to train on"):
        fit(prepared.Arrays(ramp.image[:0], ramp.mask[:0]), tmp_path)
    with pytest.raises(DataError, match="not one of the 8 frames to train on shows any LV"):
        fit(prepared.Arrays(ramp.image, ramp.mask * 0), tmp_path)


def test_fewer_frames_than_a_batch_and_a_rate_of_zero(ramp, tmp_path):
    """One frame is one step an epoch; at rate 0 every epoch has the same loss and the weights stay."""
    one = prepared.Arrays(ramp.image[:1], ramp.mask[:1])
    network, seen = fit(one, tmp_path, rate=0, epochs=3)
    assert len(seen) == 3 and seen[0] == seen[1] == seen[2]
    keras.utils.set_random_seed(0)
    fresh = networks.build(Experiment.of_profile("smoke", model="unet", size=16))
    for trained, untrained in zip(network.trainable_weights, fresh.trainable_weights, strict=True):
        np.testing.assert_array_equal(trained.numpy(), untrained.numpy())


def test_another_seed_starts_from_other_weights(ramp, tmp_path):
    first, second = (fit(ramp, tmp_path / str(seed), rate=0, epochs=1, seed=seed)[0] for seed in (0, 1))
    kernels = [network.get_layer("block_1_conv1").get_weights()[0] for network in (first, second)]
    assert not np.allclose(*kernels)


@pytest.mark.parametrize("end", [1e-3, 0.3])
def test_the_rate_warms_up_and_decays_along_a_cosine(end):
    """Of 100 steps: a twentieth of the peak, the peak after 10, midway through the rest the mean of peak and end."""
    rate = optimizer_of(Experiment.of_profile("class", epochs=10, rate=2e-3, decay_to=end), 10)._learning_rate
    expected = {0: 1e-4, 5: 1.05e-3, 10: 2e-3, 55: 2e-3 * (1 + end) / 2, 100: 2e-3 * end}
    for step, value in expected.items():
        assert float(rate(step)) == pytest.approx(value, rel=1e-4), step


def test_a_constant_rate_is_constant():
    constant = optimizer_of(Experiment.of_profile("paper"), 10)
    assert float(constant.learning_rate) == pytest.approx(1e-4)


def test_the_network_is_a_mean_of_the_epochs(ramp, tmp_path):
    """4 / (n + 3) of the n-th: after three, 1/15, 4/15 and 10/15 of the weights that the same training has without."""

    def after_each_epoch(**choices) -> list[list[np.ndarray]]:
        seen: list[list[np.ndarray]] = []
        fitting.fit(
            ramp, Experiment.of_profile("smoke", model="unet", size=16, epochs=3, **choices), tmp_path / str(choices),
            lambda line: None, lambda network, _: seen.append(network.get_weights()),
        )  # fmt: skip
        return seen

    raw, mean = after_each_epoch(average=False), after_each_epoch(average=True)
    for epoch, shares in enumerate([(1,), (1 / 5, 4 / 5), (1 / 15, 4 / 15, 10 / 15)]):
        for found, *epochs in zip(mean[epoch], *raw[: len(shares)], strict=True):
            expected = sum(share * weights for share, weights in zip(shares, epochs, strict=True))
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert any(np.abs(a - b).max() > 1e-3 for a, b in zip(raw[2], mean[2], strict=True))


def test_decay_and_clipping_are_those_of_the_experiment():
    usual = optimizer_of(Experiment.of_profile("class", weight_decay=0.02, clip_norm=3.0), 10)
    assert isinstance(usual, keras.optimizers.AdamW) and (usual.weight_decay, usual.global_clipnorm) == (0.02, 3.0)
    published = optimizer_of(Experiment.of_profile("paper"), 10)
    assert type(published) is keras.optimizers.Adam and published.global_clipnorm is None
    assert published.weight_decay is None and published.gradient_accumulation_steps is None


def test_the_loss_is_the_experiments(ramp, tmp_path):
    """alpha Dice loss + beta summed cross-entropy, in double precision by SciPy, of the untrained network's logits."""
    choices = {"alpha": 0.5, "beta": 3.0, "cross_entropy": "sum", "batch": 8, "epochs": 1, "batch_norm": False}
    network, (seen,) = fit(ramp, tmp_path, rate=0, **choices)
    found = networks.logits(network).predict_on_batch(prepared.to_network(ramp.image, 1)).astype(float)
    labels, probabilities = prepared.to_network(ramp.mask, 1).astype(float), scipy.special.expit(found)
    dice = 1 - (2 * (labels * probabilities).sum((1, 2, 3)) + 1) / ((labels + probabilities).sum((1, 2, 3)) + 1)
    entropy = -(labels * scipy.special.log_expit(found) + (1 - labels) * scipy.special.log_expit(-found))
    assert seen == pytest.approx((0.5 * dice + 3 * entropy.sum((1, 2, 3))).mean(), rel=1e-4)


def test_a_huge_rate_ends_soundly(ramp, tmp_path):
    """Adam's steps are as large as the rate, so weights of a million, and losses beyond a billion, which are finite."""
    network, seen = fit(ramp, tmp_path, rate=1e6, epochs=4)
    assert len(seen) == 4 and np.isfinite(seen).all() and max(seen) > 1e9
    assert all(np.isfinite(weight).all() for weight in network.get_weights())


@pytest.mark.parametrize("clip_norm", [0.0, 1.0])
def test_accumulated_batches_are_one_large_batch(ramp, tmp_path, clip_norm):
    """Two batches of 2, averaged, make the same update as one batch of 4 (without batch normalisation)."""
    choices = {"batch_norm": False, "weight_decay": 1e-2, "clip_norm": clip_norm, "epochs": 3}
    large, losses = fit(ramp, tmp_path / "large", batch=4, **choices)
    small, others = fit(ramp, tmp_path / "small", batch=2, accumulate=2, **choices)
    np.testing.assert_allclose(losses, others, rtol=1e-5)
    for a, b in zip(large.get_weights(), small.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_parts_of_a_batch_are_the_batch_but_for_their_statistics(ramp, tmp_path):
    """Without batch normalisation two halves make the same update as the whole; with it, the first loss differs."""
    for batch_norm, same in ((False, True), (True, False)):
        choices = {"batch": 8, "batch_norm": batch_norm, "epochs": 3}
        whole, losses = fit(ramp, tmp_path / f"whole {batch_norm}", **choices)
        halves, others = fit(ramp, tmp_path / f"halves {batch_norm}", parts=2, **choices)
        assert (losses[0] == pytest.approx(others[0], rel=1e-5)) == same
        if same:
            np.testing.assert_allclose(losses, others, rtol=1e-4)
            for a, b in zip(whole.get_weights(), halves.get_weights(), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_the_statistics_are_each_parts_own(ramp):
    """The trainer's outputs are the network's on each half, in the batch's order."""
    network = networks.build(Experiment.of_profile("smoke", model="unet", size=16))
    images = prepared.to_network(ramp.image, 1)
    halves = _side_by_side(network, 8, 2)(images, training=True)
    expected = np.concatenate([network(images[:4], training=True), network(images[4:], training=True)])
    np.testing.assert_allclose(halves, expected, atol=1e-5)


def test_a_batch_has_to_divide_into_its_parts():
    with pytest.raises(ConfigError, match="parts=3 don't divide a batch of 8 evenly"):
        Experiment.of_profile("class", batch=8, parts=3)


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


@pytest.mark.parametrize(
    ("flags", "expected"), [("avx2 avx512f", "float32"), ("avx512_bf16", "bfloat16"), ("amx_bf16", "bfloat16")]
)
def test_activations_take_bfloat16_where_the_processor_has_it(tmp_path, monkeypatch, flags, expected):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor: 0\nflags\t: fpu {flags} sse\n")
    monkeypatch.setattr(machine, "ROOT", tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert Experiment.of_profile("smoke", precision="auto").precision == expected
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert Experiment.of_profile("smoke", precision="auto").precision == "float32"


@pytest.fixture(scope="module")
def exact(ramp, tmp_path_factory) -> float:
    """The first step's loss in float32."""
    return fit(ramp, tmp_path_factory.mktemp("float32"), batch=8, epochs=1)[1][0]


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_less_precise_activations_learn_the_same(ramp, exact, tmp_path, precision):
    """The first loss is near that of float32, later ones fall; weights stay float32; a stock Keras loads the network.

    In float16 Keras first has to find how far the loss can be scaled, and passes some steps over.
    """
    network, losses = fit(ramp, tmp_path / precision, batch=8, epochs=8, precision=precision)
    assert losses[0] != exact and losses[0] == pytest.approx(exact, rel=0.01)
    assert losses[-1] < 0.8 * losses[0]
    assert {str(weight.dtype) for weight in network.weights} == {"float32"}
    assert network.get_layer("block_1_conv1").compute_dtype == precision
    assert keras.config.dtype_policy().name == "float32"
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras", compile=False)
    images = prepared.to_network(ramp.image, 1)
    np.testing.assert_array_equal(again.predict_on_batch(images), network.predict_on_batch(images))


def test_the_estimate_of_a_training_is_arithmetic():
    """A multiply-add is two operations, a step three forward passes: 10^9 of them, 100 images, 10^12 a second, half."""
    assert machine.training_seconds(1e9, 100, 1e12, 0.5) == pytest.approx(1.2)
    assert 1e8 < machine.matmul_flops(256) < 1e15


def test_threads_share_two_pools_of_memory(tmp_path):
    """Six threads allocate; glibc tells how many pools it made for them, with and without the limit."""
    code = """
        import ctypes, pathlib, sys, threading
        from lvseg import machine

        if sys.argv[2] == "limited":
            machine.limit_arenas()
        gate = threading.Barrier(6)

        def allocate():
            gate.wait()
            piece = bytearray(10_000)
            gate.wait()

        threads = [threading.Thread(target=allocate) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
        libc.malloc_info(0, file)
        libc.fclose(file)
        print(pathlib.Path(sys.argv[1]).read_text().count("<heap nr="))
    """
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    pools = {}
    for how in ("limited", "free"):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "info.xml"), how]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        pools[how] = int(done.stdout or 0)
    assert 1 <= pools["limited"] <= 2 < pools["free"], done.stderr[-3000:]


def test_released_memory_goes_back_to_the_system():
    """200 MB in small pieces; all but the last are garbage, half of them in a list that refers to itself.

    The C library keeps what is freed until it is told to let go, Python what refers to itself until it is collected.
    """
    code = """
        import gc, psutil
        from lvseg import machine

        gc.disable()
        rss = lambda: psutil.Process().memory_info().rss / 1e6
        pieces = [bytearray(b"x" * 10_000) for _ in range(20_000)]
        figure = pieces[:10_000]
        figure.append(figure)
        del figure, pieces[:-1]
        before = rss()
        machine.release_memory()
        print(before - rss())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT)
    assert float(done.stdout) > 150, done.stderr[-3000:]


def test_the_gpu_benchmark_measures_a_step():
    """At a tiny size on the processor, in bfloat16."""
    command = [sys.executable, "-m", "benchmarks.gpu.step", "lvseg", "resunet", "bfloat16", "--tiny"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found["ms_per_image"]) >= 5 and found["images_per_s"] > 0 and found["peak_mib"] > 100
    flops = 6 * 31_309_824 * found["images_per_s"]  # multiply-adds of the same network written in PyTorch
    assert found["share_of_matmul"] * found["matmul_tflops"] * 1e12 == pytest.approx(flops, rel=1e-3)


def test_the_gpu_benchmarks_peer_is_the_same_network():
    """Another framework's count of weights and multiply-adds for Table 1's plain ResUNet agrees with ours."""
    pytest.importorskip("torch", reason="PyTorch is not installed; it is a peer in benchmarks only")
    from benchmarks.gpu import torch_peer

    experiment = Experiment.of_profile("paper", model="resunet", width=4, size=64)
    network, peer = networks.build(experiment), torch_peer.ResUNet(3, 4)
    assert sum(p.numel() for p in peer.parameters()) == sum(w.numpy().size for w in network.trainable_weights)
    assert torch_peer._multiply_adds(peer, experiment) == graph.per_stage(network).multiply_adds.sum()


DEVICES = """
import json, os, sys
from pathlib import Path

backend, folder = sys.argv[1:]
os.environ["KERAS_BACKEND"] = backend
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
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
print(json.dumps(found))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_compute_what_one_does(ramp, tmp_path, backend):
    """The same loss on the same batches of 6, batch statistics included, and a network that is used as any other.

    On one device, frames that it keeps in its memory make the same batches and losses.

    The first step's loss agrees to 1e-5. The second one's to 1e-3: Adam's first steps have the size of the rate where
    a gradient is but rounding, and TensorFlow's common batch statistics round more. Statistics of each half alone
    would be off by several percent at once.
    """
    pytest.importorskip(backend)
    np.savez(tmp_path / "ramp.npz", **ramp._asdict())
    done = subprocess.run([sys.executable, "-c", DEVICES, backend, tmp_path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert "on 1 device;" in found["1"][0] and "on 2 devices;" in found["2"][0]
    np.testing.assert_allclose(found["2"][1][0], found["1"][1][0], rtol=1e-5)
    np.testing.assert_allclose(found["2"][1][1], found["1"][1][1], rtol=1e-3)
    np.testing.assert_allclose(found["kept"], found["1"][1], rtol=1e-3)
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


def test_an_atomic_write_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_under_the_cache_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path))
    said = f"{tmp_path}: can't be written .No space left on device.; free some space"
    with pytest.raises(DataError, match=said), files.scratch() as file:
        file.write(b"some")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []


def test_lifeline_ends_with_its_parent(tmp_path):
    """A child started through the lifeline is gone soon after its parent was killed."""
    (tmp_path / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    starts_it = "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'lvseg.course.lifeline', 'sleeper'])"
    (tmp_path / "parent.py").write_text(starts_it)
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(50):
        time.sleep(0.1)
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
    else:
        pytest.fail("the child outlived its parent")
