"""A reproduction's plan, and that it survives every kill and computes nothing twice."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest

from lvseg import files, networks
from lvseg.course import notebooks
from lvseg.course.reproduce import _notebook_parameters, plan, reproduce
from lvseg.data.prepared import prepare
from lvseg.errors import DataError
from lvseg.experiment import Experiment, NetworkConfig
from lvseg.figures import graph
from lvseg.results import page
from lvseg.training.folder import LOG, PLAN, experiment_in, gather, read_receipt
from lvseg.training.run import train
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

    kept = {path for path in times() if ".snakemake" not in path.parts and path.name != ".lock"}
    before = times()
    done = lvseg("reproduce", "--profile", "smoke", "--out", reproduction)
    assert done.returncode == 0 and "epoch" not in done.stdout
    assert {path for path in kept if times()[path] != before[path]} == set()


@pytest.mark.slow
@pytest.mark.xdist_group("reproduction")
def test_kills_lose_nothing_and_change_nothing(survived, tmp_path):
    """SIGKILL to a kernel, to papermill, and to the whole process group; then the same tables as without any kill."""
    runs, killed = survived.folder / "runs", {survived.kernel, survived.papermill}
    planned = json.loads((runs / PLAN).read_text())["runs"]
    after_kernel_and_papermill, after_group, at_the_end = survived.finished

    # The run that nobody killed went on; the command failed and named the other two.
    assert survived.status == 1 and len(killed) == 2
    assert {name for name in planned if name in survived.message} == killed
    assert after_kernel_and_papermill.keys() == set(planned) - killed

    # What was finished was never touched again, and what was begun went on: one of the two was killed twice.
    assert after_group == after_kernel_and_papermill
    assert after_kernel_and_papermill.items() <= at_the_end.items() and at_the_end.keys() == {*planned, "report"}
    assert sorted(read_receipt(runs / name)["starts"] for name in planned) == [1, 2, 3]
    for name in planned:
        went_on = (runs / name / LOG).read_text().count("going on after")
        assert went_on == read_receipt(runs / name)["starts"] - 1

    # Each training by itself, without any kill, and the tables of these.
    shutil.copy(runs / PLAN, tmp_path)
    for name in planned:
        train(prepare(experiment_in(runs / name)), tmp_path / name, lambda line: None)
        both = [read_receipt(folder / name)["files"] for folder in (tmp_path, runs)]
        assert both[0]["frames.csv"] == both[1]["frames.csv"]
    published = graph.table1(networks.blueprint(NetworkConfig.of(model="improved_resunet")))
    page.write(page.results(gather(tmp_path), published), {}, tmp_path)
    ours, theirs = (files.read_json(place / "results.json") for place in (survived.folder / "report", tmp_path))
    for part in ("table1", "table2", "claims"):
        assert ours[part] == theirs[part]
