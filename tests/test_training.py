"""One experiment: its folder and receipt, exact resume after SIGKILL, and what happens to a run that can't go on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lvseg import ConfigError, DataError, files, profiles, receipts, training
from lvseg.backend import keras
from lvseg.readers import open_source

TINY = {"model": "unet", "max_frames": 8, "size": 32, "batch": 4}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished tiny run: (experiment, folder, receipt, lines it reported)."""
    folder, lines = tmp_path_factory.mktemp("run"), []
    experiment = profiles.experiment("smoke", **TINY, epochs=3)
    return experiment, folder, training.run(experiment, folder, lines.append), lines


def test_a_finished_run_has_everything(finished):
    experiment, folder, receipt, lines = finished
    assert {path.name for path in folder.iterdir()} == {*receipts.OUTPUTS, receipts.NAME, ".lock"}
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
    assert training.run(experiment, folder, lambda line: None) == receipt
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_receipt_holds_only_for_its_experiment_its_data_and_its_files(finished, tmp_path):
    experiment, folder, receipt, _ = finished
    frames = open_source("phantom")
    assert receipts.valid(folder, experiment, frames) == receipt
    assert receipts.valid(folder, profiles.experiment("smoke", **TINY, epochs=3, seed=1), frames) is None
    assert receipts.valid(folder, experiment, frames[1:]) is None
    for name in receipts.OUTPUTS:
        copy = tmp_path / name
        subprocess.run(["cp", "-r", folder, copy], check=True)
        (copy / name).write_bytes((copy / name).read_bytes() + b" ")
        assert receipts.valid(copy, experiment, frames) is None, name


SCRIPT = """
import sys
from lvseg import lifeline, profiles, training
from pathlib import Path
experiment = profiles.experiment("smoke", model="improved_resunet", max_frames=8, size=32, batch=4, epochs=6)
training.run(experiment, Path(sys.argv[1]), lambda line: print(line, flush=True))
"""


def start(folder) -> subprocess.Popen:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, folder], stdout=subprocess.PIPE, text=True)


def test_a_killed_run_ends_bit_identical_to_one_that_was_not(tmp_path):
    """SIGKILL after the second and after the fourth epoch; the third start finishes."""
    assert start(tmp_path / "whole").wait(300) == 0
    for last in ("epoch 2/6", "epoch 4/6"):
        process = start(tmp_path / "killed")
        for line in process.stdout:
            if last in line:
                process.send_signal(signal.SIGKILL)
                break
        assert process.wait() == -signal.SIGKILL
        assert not (tmp_path / "killed" / receipts.NAME).exists()
    process = start(tmp_path / "killed")
    lines = process.stdout.readlines()
    assert process.wait() == 0
    assert next(line for line in lines if "loss" in line).split("epoch ")[1].startswith("5/6")
    whole, killed = (
        keras.saving.load_model(tmp_path / name / "weights.keras", compile=False) for name in ("whole", "killed")
    )
    for a, b in zip(whole.get_weights(), killed.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    a, b = (pd.read_csv(tmp_path / name / "history.csv").drop(columns="seconds") for name in ("whole", "killed"))
    pd.testing.assert_frame_equal(a, b)
    assert (tmp_path / "whole" / "frames.csv").read_bytes() == (tmp_path / "killed" / "frames.csv").read_bytes()


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
    experiment = profiles.experiment("smoke", **TINY, epochs=3, rate=1e30, schedule="constant", batch_norm=False)
    with pytest.raises(ConfigError, match=r"the loss is nan in epoch \d; choose a smaller rate"):
        training.run(experiment, tmp_path, lambda line: None)
    assert not (tmp_path / receipts.NAME).exists()


def test_rate_zero_changes_nothing_but_still_ends(tmp_path):
    experiment = profiles.experiment("smoke", **TINY, epochs=1, rate=0, schedule="constant")
    training.run(experiment, tmp_path, lambda line: None)
    assert receipts.read(tmp_path) is not None


def test_an_atomic_write_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_lifeline_ends_with_its_parent(tmp_path):
    """A child started through the lifeline is gone soon after its parent was killed."""
    (tmp_path / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    starts_it = "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'lvseg.lifeline', 'sleeper'])"
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
