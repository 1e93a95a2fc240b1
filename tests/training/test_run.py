"""One experiment in one folder: all it leaves, what it learned, and that nothing is done again or lost."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest

from lvseg.backend import keras
from lvseg.course import live
from lvseg.data import splits
from lvseg.data.prepared import prepare
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
from lvseg.inference.segmenter import Segmenter
from lvseg.readers import Frame, Pixels
from lvseg.training.fit import fit
from lvseg.training.folder import LOG, OUTPUTS, RECEIPT, Run, network_of, segmenter
from lvseg.training.run import train
from tests.data.support import discs
from tests.support import eagerly
from tests.training.support import TINY


@pytest.mark.xdist_group("finished run")
def test_a_finished_run_has_everything(finished):
    data, folder, receipt, lines = finished
    assert {path.name for path in folder.iterdir()} == {*OUTPUTS, RECEIPT, LOG, ".lock"}
    assert json.loads((folder / "experiment.json").read_text()) == data.experiment.model_dump()
    assert list(pd.read_csv(folder / "history.csv").epoch) == [1, 2, 3]
    scores = pd.read_csv(folder / "frames.csv")
    with np.load(folder / "masks.npz") as masks:
        for row in scores.itertuples():
            mask = masks[row.frame]
            assert mask.sum() == row.tp + row.fp and mask.size == row.tp + row.fp + row.fn + row.tn
    assert receipt["parameters"] == keras.saving.load_model(folder / "weights.keras", compile=False).count_params()
    assert sum("epoch" in line and "loss" in line for line in lines) == 3


@pytest.mark.xdist_group("finished run")
def test_a_finished_run_is_kept(finished):
    data, folder, receipt, _ = finished
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir() if path.name != ".lock"}
    assert train(data, folder, lambda line: None) == receipt
    assert {path: path.stat().st_mtime_ns for path in before} == before


@pytest.mark.xdist_group("finished run")
def test_another_experiment_in_a_folder_is_refused_and_nothing_is_lost(finished):
    _, folder, _, _ = finished
    before = {path: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(DataError, match="holds another experiment; choose another folder"):
        train(prepare(Experiment.of_profile("smoke", **TINY, epochs=4)), folder, lambda line: None)
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.xdist_group("finished run")
def test_a_state_that_a_kill_left_beside_the_receipt_is_removed(finished):
    data, folder, receipt, _ = finished
    (folder / "state.npz").write_bytes(b"of the last step")
    assert train(data, folder, lambda line: None) == receipt
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


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_run_learns_and_keeps_what_it_learned(squares, tmp_path, precision):
    """Masks on disk against the drawn rectangles; the network on disk is the scored one, with float32 activations."""
    folder, drawn = squares
    experiment = Experiment.of_profile(
        "smoke", model="unet", data=f"images:{folder}", size=32, max_frames=None, epochs=40, precision=precision
    )
    train(prepare(experiment), tmp_path, lambda line: None)
    run = Run.load(tmp_path)
    network = keras.saving.load_model(tmp_path / "weights.keras", compile=False)
    assert {layer.compute_dtype for layer in network.layers} == {"float32"}
    again = Segmenter(network.predict_on_batch, experiment)
    assert len(run.scores) == 6
    for name in run.scores.frame:
        mask, truth = run.mask(name), drawn[name]
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.85, name
        image = cv2.imread(str(folder / f"{name}.png"), cv2.IMREAD_GRAYSCALE)
        np.testing.assert_array_equal(next(iter(again.masks([image]))), mask)


@pytest.mark.slow
def test_divergence_is_a_sentence(tmp_path):
    experiment = Experiment.of_profile("smoke", **TINY, epochs=3, rate=1e30, schedule="constant", batch_norm=False)
    said = r"the loss is nan in epoch 1, step \d; choose a smaller rate than 1e\+30"
    with pytest.raises(ConfigError, match=said), eagerly():
        train(prepare(experiment), tmp_path, lambda line: None)
    assert not (tmp_path / RECEIPT).exists()
    assert (tmp_path / LOG).read_text().splitlines()[-1].endswith("choose a smaller rate than 1e+30")


@pytest.mark.xdist_group("finished run")
def test_the_log_says_how_each_start_ended(finished):
    _, folder, receipt, _ = finished
    lines = (folder / LOG).read_text().splitlines()
    assert "start: process" in lines[0] and lines[-1].endswith("end: done")
    assert sum("epoch 2/3" in line for line in lines) == 1
    assert receipt["starts"] == 1 and receipt["seed"] == 0
    assert receipt["environment"]["processor"] and receipt["environment"][receipt["environment"]["backend"]]


@pytest.mark.slow
def test_an_ensemble_is_one_run_of_several_networks(tmp_path):
    """Two networks of the seeds 2 and 3, the second stopped and continued: the run's file gives the mean of what each
    of them gives by itself.
    """
    data, folder = prepare(Experiment.of_profile("smoke", **TINY, members=2, seed=1)), tmp_path / "run"

    class Stopped(Exception):
        pass

    epochs: list[int] = []

    def stop_in_the_second(network, history):
        epochs.append(len(history))
        if epochs.count(1) == 2:
            raise Stopped

    with eagerly():
        with pytest.raises(Stopped):
            train(data, folder, lambda line: None, stop_in_the_second)
        assert epochs == [1, 2, 1]
        receipt = train(data, folder, lambda line: None, lambda network, history: epochs.append(len(history)))
    assert epochs[3:] in ([2], [1, 2])  # the first network isn't trained again
    assert {path.name for path in folder.iterdir()} == {*OUTPUTS, RECEIPT, LOG, ".lock"}
    assert train(data, folder, lambda line: None) == receipt

    images = np.random.default_rng(0).random((3, 32, 32, 1), np.float32)
    alone = []
    for seed in (2, 3):
        one = data.experiment.model_copy(update={"members": 1, "seed": seed})
        with eagerly():
            alone.append(fit(data.arrays, one, tmp_path / str(seed), lambda line: None))
    expected = np.mean([network.predict_on_batch(images) for network in alone], axis=0)
    assert np.abs(expected - alone[0].predict_on_batch(images)).max() > 1e-3  # the two differ
    together = keras.saving.load_model(folder / "weights.keras", compile=False)
    np.testing.assert_allclose(together.predict_on_batch(images), expected, atol=1e-6)
    np.testing.assert_allclose(segmenter(folder).forward(images), expected, atol=1e-4)
    assert receipt["parameters"] == sum(network.count_params() for network in alone)
    histories = [pd.read_csv(tmp_path / str(seed) / "history.csv") for seed in (2, 3)]
    mean = (histories[0].loss + histories[1].loss) / 2
    np.testing.assert_allclose(pd.read_csv(folder / "history.csv").loss, mean)


@pytest.mark.slow
@pytest.mark.xdist_group("finished run")
def test_a_run_starts_from_another(finished, tmp_path):
    """With its network, and at rate 0 with its masks, whatever profile the choices come from."""
    _, first, _, _ = finished
    choices = {**network_of(first), **{name: TINY[name] for name in ("max_frames", "batch")}, "epochs": 1, "rate": 0}
    data = prepare(Experiment.of_profile("smoke", **choices))
    assert data.experiment.start.startswith(str(first / "weights.keras#"))
    with eagerly():
        train(data, tmp_path / "second", lambda line: None)
    for name in ("block_1_conv1", "convolution"):
        kernels = [
            keras.saving.load_model(folder / "weights.keras", compile=False).get_layer(name).get_weights()[0]
            for folder in (first, tmp_path / "second")
        ]
        np.testing.assert_array_equal(*kernels)


def test_weights_to_start_with_that_are_not_there_are_a_sentence(tmp_path):
    for start in (tmp_path / "gone.keras", tmp_path):
        with pytest.raises(ConfigError, match=r"start=.* can't be used: name the weights\.keras of a finished run"):
            prepare(Experiment.of_profile("smoke", **TINY, start=str(start)))


def test_no_test_frame_is_read_or_learnt_from_until_the_training_has_ended(tmp_path, monkeypatch):
    """While the network learns and is watched, reading a test frame is an error; and what test frames show changes no
    weight: with other pictures in them, the same network comes out."""
    monkeypatch.setattr(live, "display", lambda *, display_id: SimpleNamespace(update=lambda figure: None))
    experiment = Experiment.of_profile("smoke", **TINY, epochs=2, data="images:of the test")
    tested = set(splits.choose(discs(), experiment).test)
    locked, read = False, []

    def load(frame: Frame, shown: int) -> Pixels:
        assert not (locked and frame.name in tested), f"{frame.name} is read"
        read.append(frame.name)
        pixels = frame.read()
        return pixels._replace(image=pixels.image ^ np.uint8(shown if frame.name in tested else 0))

    def fit_behind_a_lock(*arguments):
        nonlocal locked
        locked = True
        network = fit(*arguments)
        locked = False
        read.clear()
        return network

    monkeypatch.setattr("lvseg.training.run.fit", fit_behind_a_lock)
    weights = []
    for shown in (0, 200):
        monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / f"cache{shown}"))
        frames = [replace(frame, load=partial(load, frame, shown)) for frame in discs()]
        data = prepare(experiment, frames)
        locked = True
        with pytest.raises(AssertionError, match="is read"):  # the lock holds
            live.Watch(experiment, data.tested)
        watch = live.Watch(experiment, data.watched)
        folder = tmp_path / str(shown)
        receipt = train(data, folder, lambda line: None, each_epoch=watch)
        assert len(watch.dice) == 2 and sorted(read) == sorted(data.split.test)
        assert receipt["sides"] == {
            "train": {"frames": 8, "patients": 7}, "watch": {"frames": 2, "patients": 1},
            "test": {"frames": 2, "patients": 2},
        }  # fmt: skip
        weights.append(keras.saving.load_model(folder / "weights.keras", compile=False).get_weights())
    for one, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(one, other)
