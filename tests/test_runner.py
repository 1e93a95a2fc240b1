"""The headless run: checked parameters, failed and killed notebooks, and a reproduction that survives every kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import psutil
import pytest
from conftest import lvseg
from nbformat.v4 import new_code_cell, new_notebook

from lvseg.course import notebooks
from lvseg.course.reproduce import _notebook_parameters, plan, reproduce
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
from lvseg.training.folder import read_receipt


def test_parameters_are_read_from_the_tagged_cell():
    parameters = notebooks.parameters_of(notebooks.notebook_path("05"))
    assert parameters["model"] == "improved_resunet" and parameters["changes"] == {}


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"modle": "unet"}, "parameter 'modle' doesn't exist"),
        ({"seed": "one"}, "seed='one' can't be used; it takes a int"),
        ({"model": "vnet"}, "model='vnet' can't be used"),
        ({"profile": "huge"}, "profile 'huge' doesn't exist"),
        ({"changes": {"epoch": 3}}, "parameter 'epoch' doesn't exist"),
    ],
)
def test_a_wrong_parameter_is_refused_before_a_kernel_starts(given, named, tmp_path):
    with pytest.raises(ConfigError, match=named.replace("(", r"\(")):
        notebooks.run_notebook("05", tmp_path / "out.ipynb", given)
    assert list(tmp_path.iterdir()) == []


def test_relative_paths_mean_the_callers_folder(tmp_path, monkeypatch):
    """A notebook's kernel works in the notebook's folder."""
    monkeypatch.chdir(tmp_path)
    Path("mine.json").write_text("{}")
    given = {
        "data": "camus:hearts",
        "split": "mine.json",
        "folder": "runs/a",
        "runs": "runs",
        "report": "~/r",
        "seed": 1,
    }
    found = notebooks._for_any_folder(given)
    assert found["data"] == f"camus:{tmp_path}/hearts" and found["folder"] == f"{tmp_path}/runs/a"
    assert found["runs"] == f"{tmp_path}/runs" and found["report"] == str(Path.home() / "r")
    assert found["split"].startswith(f"{tmp_path}/mine.json#") and found["seed"] == 1
    assert notebooks._for_any_folder({"data": "phantom", "split": "patient", "folder": ""}) == {
        "data": "phantom",
        "split": "patient",
        "folder": "",
    }


def test_unknown_notebook():
    with pytest.raises(ConfigError, match="notebook '99' doesn't exist; choose one of: 00_start_here"):
        notebooks.notebook_path("99")


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of one notebook, whose cells a test gives."""

    def write(*cells: str) -> Path:
        kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
        notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells], metadata={"kernelspec": kernel})
        nbformat.write(notebook, tmp_path / "00_made_up.ipynb")
        return tmp_path / "out" / "executed.ipynb"

    monkeypatch.setattr(notebooks, "NOTEBOOKS", tmp_path)
    return write


def test_a_notebook_that_runs_gets_its_name(course):
    out = course("print(6 * 7)")
    notebooks.run_notebook("00", out, {})
    assert nbformat.read(out, 4).cells[-1].outputs[0].text == "42\n"
    assert [path.name for path in out.parent.iterdir()] == ["executed.ipynb"]


@pytest.mark.parametrize(
    ("cell", "said"),
    [("1 / 0", "ZeroDivisionError"), ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "Kernel")],
    ids=["error", "killed kernel"],
)
def test_a_failed_or_killed_notebook_never_gets_its_name(course, cell, said):
    out = course("a = 1", cell, "b = 2")
    out.parent.mkdir()
    out.write_text("an older one")
    with pytest.raises(notebooks.RunError, match=said):
        notebooks.run_notebook("00", out, {})
    assert not out.exists()


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
        reproduce("smoke", out=tmp_path, report=lambda line: None)
    holder.kill()
    holder.wait()


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
