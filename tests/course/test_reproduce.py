"""A reproduction's plan, and that it survives every kill and computes nothing twice."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from lvseg.course import notebooks
from lvseg.course.reproduce import _notebook_parameters, plan, reproduce
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.training.folder import read_receipt
from tests.support import lvseg


def test_plan_has_every_method_with_every_seed_once():
    grid = plan("class", "phantom", ["unet", "resunet"], [0, 1, 2], {"epochs": 3})
    assert len(grid) == 6 and len({e.fingerprint() for e in grid.values()}) == 6
    assert {(e.model, e.seed, e.epochs) for e in grid.values()} == {
        (m, s, 3) for m in ("unet", "resunet") for s in range(3)
    }


@pytest.mark.parametrize(
    "changes",
    [{}, {"epochs": 3, "clip_limit": 1.0}, {"precision": "bfloat16"}, {"split": "frame", "attention": "cbam"}],
)
def test_the_notebook_gets_the_planned_experiment(tmp_path, changes):
    planned = Experiment.of_profile("class", model="resunet", seed=2, **changes)
    given = _notebook_parameters(planned, tmp_path)
    notebooks.check_parameters(notebooks.notebook_path("05"), given)
    assert given.pop("folder") == str(tmp_path)
    assert Experiment.of_profile(**{k: v for k, v in given.items() if k != "changes"}, **given["changes"]) == planned
    assert given["changes"]["precision"] == planned.precision


def test_a_folder_that_another_reproduction_writes_is_refused(tmp_path, monkeypatch):
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nfrom pathlib import Path\nfrom lvseg import files\n"
         "with files.locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)", tmp_path / "runs"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DataError, match="another process is writing here"):
        reproduce("smoke", out=tmp_path, say=lambda line: None)
    holder.kill()
    holder.wait()


@pytest.mark.slow
@pytest.mark.xdist_group("reproduction")
def test_a_finished_reproduction_is_not_run_again(reproduction):
    def times():
        return {
            path: path.stat().st_mtime_ns
            for path in reproduction.rglob("*")
            if path.is_file() and path.suffix != ".log"
        }

    files = {path for path in times() if ".snakemake" not in path.parts and path.name != ".lock"}
    before = times()
    done = lvseg("reproduce", "--profile", "smoke", "--out", reproduction)
    assert done.returncode == 0 and "epoch" not in done.stdout
    assert {path for path in files if times()[path] != before[path]} == set()


def _start(out: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "lvseg.cli", "reproduce", "--profile", "smoke", "--out", str(out)]
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def _wait_for(condition, process: subprocess.Popen, seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _below(process: subprocess.Popen, words: str) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        try:
            if words in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


@pytest.mark.slow
@pytest.mark.xdist_group("reproduction")
def test_kills_lose_nothing_and_change_nothing(reproduction, tmp_path):
    """SIGKILL to a kernel, to papermill, and to the whole process group; then the same tables as without any kill."""

    def finished():
        return {path.parent.name: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/receipt.json")}

    def kernel_training(process, since):
        """A network has learned since then, and kept its state."""
        states = [path.stat().st_mtime for path in tmp_path.glob("runs/*/state.npz")]
        return max(states, default=0) > since and bool(_below(process, "ipykernel"))

    # 1. The first kernel that trains is killed: the others go on, the command fails and names the run.
    process, began = _start(tmp_path), time.time()
    _wait_for(lambda: kernel_training(process, began), process)
    _below(process, "ipykernel")[0].kill()
    assert process.wait(300) == 1
    message = process.stderr.read()
    kept = finished()
    assert len(kept) == 2 and not (tmp_path / "report" / "index.html").exists()
    planned = json.loads((tmp_path / "runs" / "plan.json").read_text())["runs"]
    (victim,) = set(planned) - kept.keys()
    assert victim in message and not any(name in message for name in kept)

    # 2. papermill's own process is killed in the second try.
    process, began = _start(tmp_path), time.time()
    _wait_for(lambda: kernel_training(process, began), process)
    _below(process, "lvseg.cli notebook")[-1].kill()
    assert process.wait(300) == 1 and victim in process.stderr.read()

    # 3. The whole process group is killed in the third.
    process, began = _start(tmp_path), time.time()
    _wait_for(lambda: kernel_training(process, began), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert finished() == kept

    # 4. The fourth ends, and nothing that was finished was touched.
    done = lvseg("reproduce", "--profile", "smoke", "--out", tmp_path)
    assert done.returncode == 0, done.stderr
    assert {name: when for name, when in finished().items() if name in kept} == kept
    assert read_receipt(tmp_path / "runs" / victim)["starts"] == 4
    assert (tmp_path / "runs" / victim / "log.txt").read_text().count("going on after") == 3
    ours, theirs = (json.loads((folder / "report" / "results.json").read_text()) for folder in (tmp_path, reproduction))
    for part in ("table1", "table2", "claims"):
        assert ours[part] == theirs[part]
    for name in planned:
        both = [read_receipt(folder / "runs" / name)["files"] for folder in (tmp_path, reproduction)]
        assert both[0]["frames.csv"] == both[1]["frames.csv"]
