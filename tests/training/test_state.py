"""Training that survives: SIGKILL at any moment, a full disk, a state that is damaged or of something else."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvseg.backend import keras
from lvseg.data import prepared
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.training.fit import fit
from lvseg.training.folder import LOG, read_receipt
from lvseg.training.run import train

CHOICES = {"model": "unet", "size": 32, "batch": 2, "max_frames": 24, "epochs": 4, "weight_decay": 1e-3}
EXPERIMENT = Experiment.of_profile("smoke", **CHOICES)
"""A run of 48 steps."""

SCRIPT = """
import itertools, json, os, signal, sys
from pathlib import Path
import numpy as np
from lvseg import evaluation
from lvseg.data.prepared import prepare
from lvseg.experiment import Experiment
from lvseg.training import state
from lvseg.training.run import train

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(path, _calls=itertools.count(1), _savez=np.savez, **arrays):
    if next(_calls) < 30:
        return _savez(path, **arrays)
    path.write_bytes(b"half of a sta")
    die()

state._SHARE = 0  # keep the state after each step
if sys.argv[3] == "half a state":
    np.savez = half
if sys.argv[3] == "evaluation":
    evaluation.evaluate = die
experiment = Experiment.of_profile("smoke", **json.loads(sys.argv[2]))
train(prepare(experiment), Path(sys.argv[1]), lambda line: print(line, flush=True))
"""


def start(folder: Path, killed_in: str = "") -> subprocess.Popen:
    command = [sys.executable, "-c", SCRIPT, str(folder), json.dumps(CHOICES), killed_in]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def load(folder: Path) -> keras.Model:
    return keras.saving.load_model(folder / "weights.keras", compile=False)


def assert_equal_weights(a: keras.Model, b: keras.Model) -> None:
    """Bit for bit."""
    for one, other in zip(a.get_weights(), b.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module")
def looked_at(tmp_path_factory) -> tuple[Path, list[bytes]]:
    """A run that nobody killed, and what it could have gone on from after each epoch."""
    folder, states = tmp_path_factory.mktemp("whole"), []
    train(
        prepared.prepare(EXPERIMENT), folder, lambda line: None,
        lambda network, history: states.append((folder / "state.npz").read_bytes()),
    )  # fmt: skip
    return folder, states


@pytest.fixture(scope="module")
def whole(looked_at) -> Path:
    return looked_at[0]


@pytest.fixture(scope="module")
def state(looked_at) -> bytes:
    return looked_at[1][0]


@pytest.mark.slow
@pytest.mark.xdist_group("state")
def test_sigkill_changes_nothing(whole, tmp_path):
    """In the middle of writing the 30th step's state, and in the evaluation.

    Both starts' training counts as its seconds. `benchmarks/resume.py` has random moments.
    """
    folder = tmp_path / "killed"
    for moment in ("half a state", "evaluation"):
        process = start(folder, moment)
        first_words = process.stdout.readline()
        assert ("compiling" in first_words) == (moment == "half a state")
        process.stdout.read()
        assert process.wait() == -signal.SIGKILL
        assert read_receipt(folder) is None
    assert list(folder.glob(".state.*")) == []
    assert start(folder).wait(120) == 0
    assert_equal_weights(load(folder), load(whole))
    tables = [pd.read_csv(run / "history.csv", dtype=str).drop(columns="seconds") for run in (folder, whole)]
    pd.testing.assert_frame_equal(*tables)
    assert (folder / "frames.csv").read_bytes() == (whole / "frames.csv").read_bytes()
    assert read_receipt(folder)["starts"] == 3
    log = (folder / LOG).read_text()
    assert "going on after epoch 2 and 5 steps" in log and "going on after epoch 4 and 0 steps" in log
    assert {path.name for path in folder.iterdir()} == {path.name for path in whole.iterdir()}


class Stopped(Exception):
    pass


def stop(*_):
    raise Stopped


@pytest.fixture(scope="module")
def arrays() -> prepared.Arrays:
    return prepared.prepare(EXPERIMENT).arrays


def first_words(arrays: prepared.Arrays, experiment: Experiment, folder: Path) -> str:
    """The line with which a training in `folder` begins."""
    lines: list[str] = []
    with pytest.raises(Stopped):
        fit(arrays, experiment, folder, lambda line: stop(lines.append(line)))
    return lines[0]


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """A folder, and how to fill and free its disk: a small one in memory, or where none can be mounted, a pretence."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(tmp_path)]
    if shutil.which("mount") and subprocess.run(mount, capture_output=True).returncode == 0:
        filler = tmp_path / "filler"

        def fill(*_):
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(1000))

        yield tmp_path / "run", fill, filler.unlink
        subprocess.run(["umount", str(tmp_path)], check=True)
    else:

        def no_space(path, **_):
            path.write_bytes(b"half of a sta")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        yield tmp_path / "run", lambda *_: monkeypatch.setattr(np, "savez", no_space), monkeypatch.undo


@pytest.mark.slow
@pytest.mark.xdist_group("state")
def test_a_full_disk_is_told_and_loses_nothing(arrays, state, disk):
    folder, fill, free = disk
    folder.mkdir(exist_ok=True)
    (folder / "state.npz").write_bytes(state)
    with pytest.raises(DataError, match=r"run.*: can't be written \(No space left on device\); free"):
        fit(arrays, EXPERIMENT, folder, fill)
    free()
    assert [path.name for path in folder.iterdir()] == ["state.npz"]
    assert (folder / "state.npz").read_bytes() == state
    assert "going on after epoch" in first_words(arrays, EXPERIMENT, folder)


@pytest.mark.slow
@pytest.mark.xdist_group("state")
def test_a_state_of_other_data_or_another_experiment_is_not_used(arrays, state, tmp_path):
    (tmp_path / "state.npz").write_bytes(state)
    assert "going on after epoch" in first_words(arrays, EXPERIMENT, tmp_path)
    other_data = prepared.Arrays(arrays.image, arrays.mask[::-1], arrays.rows)
    assert "state.npz is of other choices, data or backend" in first_words(other_data, EXPERIMENT, tmp_path)
    other_rate = EXPERIMENT.model_copy(update={"rate": 1e-3})
    assert "state.npz is of other choices, data or backend" in first_words(arrays, other_rate, tmp_path)


@pytest.mark.slow
@pytest.mark.xdist_group("state")
def test_a_damaged_state_is_a_sentence(arrays, state, tmp_path):
    for damaged in (state[:-1000], b"", b"no archive"):
        (tmp_path / "state.npz").write_bytes(damaged)
        with pytest.raises(DataError, match=r"state\.npz: can't be read .*; remove it to train from the beginning"):
            fit(arrays, EXPERIMENT, tmp_path, lambda line: None)
