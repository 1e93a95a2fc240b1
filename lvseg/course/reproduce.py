"""The whole reproduction: notebook 05 once per method and seed, then 06, by Snakemake.

An experiment counts as done only by its receipt, so a killed reproduction goes on and computes nothing twice.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lvseg import files, machine, paper
from lvseg.course.notebooks import TRAINING, RunError, notebook_path, parameters_of
from lvseg.data import prepared
from lvseg.data.source import absolute, open_source
from lvseg.errors import ConfigError
from lvseg.experiment import PROFILES, Experiment
from lvseg.files import CHECKOUT
from lvseg.training.folder import NOTEBOOK, PARAMETERS, PLAN, valid_receipt

SNAKEFILE = CHECKOUT / "workflow" / "Snakefile"


def plan(
    profile: str, data: str, methods: list[str], seeds: list[int], changes: Mapping[str, Any]
) -> dict[str, Experiment]:
    """The experiments of a reproduction by their folder's name: every method with every seed, seed by seed."""
    split = "own" if data.startswith("camus") else "patient"
    choices = {"profile": profile, "data": data, "split": split, **changes}
    grid = [Experiment.of_profile(**choices, model=method, seed=seed) for seed in seeds for method in methods]
    return {experiment.name(): experiment for experiment in map(prepared.settled, grid)}


def reproduce(
    profile: str = "class",
    data: str = "phantom",
    out: Path = Path(),
    methods: list[str] | None = None,
    seeds: list[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    workflow_profile: Path | None = None,
    say: Callable[[str], None] = print,
    skip_bad: bool = False,
    patients: Path | None = None,
) -> Path:
    """Run 05 once per experiment, then 06, and return the report's `index.html`.

    out: gets `runs/` (a folder per experiment) and `report/`. What has a valid receipt isn't run again.
    changes: choices that differ from the profile's, for every experiment. workflow_profile: a Snakemake profile, to
    run on a cluster instead of here. skip_bad: leave out frames that can't be used, instead of refusing. patients: as
    for `open_source`. Raises `lvseg.LvsegError` for wrong choices, bad data, or failed runs.
    """
    out, patients = out.resolve(), patients and patients.expanduser().resolve()
    if profile not in PROFILES:
        raise ConfigError(f"profile {profile!r} doesn't exist; choose one of: {', '.join(PROFILES)}")
    machine.backend()  # without one, no run would get far
    machine.check_gpu()
    grid = plan(
        profile,
        absolute(data),
        methods or list(paper.METHODS),
        seeds or list(PROFILES[profile].seeds),
        changes or {},
    )
    frames = open_source(absolute(data), patients)
    say(f"{len(grid)} experiments on {len(frames)} frames of {data}; preparing the frames")
    # Bad data is refused before any run starts, and every run finds the frames prepared.
    data_of = {name: prepared.prepare(experiment, frames, skip_bad) for name, experiment in grid.items()}
    runs = out / "runs"
    with files.locked(runs):
        for name, experiment in grid.items():
            if valid_receipt(runs / name, data_of[name]) is None:
                (runs / name / NOTEBOOK).unlink(missing_ok=True)
            _write_if_new(runs / name / PARAMETERS, _notebook_parameters(experiment, runs / name, skip_bad, patients))
        plan_of = {"python": sys.executable, "memory_mb": PROFILES[profile].memory_mb, "runs": list(grid)}
        _write_if_new(runs / PLAN, plan_of)
        _snakemake(out, workflow_profile)
    return out / "report" / "index.html"


def _write_if_new(path: Path, value: Any) -> None:
    """Write JSON, but leave a file that says the same: the workflow goes by its time."""
    if not path.exists() or files.read_json(path) != value:
        files.write_json(path, value)


def _notebook_parameters(
    experiment: Experiment, folder: Path, skip_bad: bool = False, patients: Path | None = None
) -> dict[str, Any]:
    """05's parameters for one experiment: those it has by name, and `changes` for what differs from the profile.

    The precision is always among them: `auto` may mean another one on the machine that runs the notebook. `skip_bad`
    and `patients` are only where they are asked for, so that runs made without have the parameters they had.
    """
    chosen = experiment.model_dump()
    own = {k: chosen[k] for k in parameters_of(notebook_path(TRAINING)) if k in chosen}
    usual = Experiment.of_profile(**own).model_dump()
    changes = {k: v for k, v in chosen.items() if usual[k] != v or k == "precision"}
    asked = {name: value for name, value in (("skip_bad", skip_bad), ("patients", str(patients or ""))) if value}
    return {**own, **asked, "changes": changes, "folder": str(folder)}


def _snakemake(out: Path, workflow_profile: Path | None) -> None:
    """Run the workflow in `out`; raises `RunError` that names the runs which didn't finish."""
    plan_file, log = out / "runs" / PLAN, out / "runs" / "snakemake.log"
    command = [sys.executable, "-m", "lvseg.course.lifeline", str(os.getpid()), "snakemake"]
    command += ["--snakefile", str(SNAKEFILE), "--configfile", str(plan_file), "--directory", str(out)]
    command += ["--cores", "all", "--keep-going"]
    # Our lock and our receipts decide what is done: they outlive a kill, Snakemake's own notes may not.
    command += ["--quiet", "all", "--nolock", "--ignore-incomplete", "--rerun-triggers", "mtime"]
    if workflow_profile is not None:
        command += ["--profile", str(workflow_profile)]
    with log.open("w", encoding="utf-8") as stderr:
        status = subprocess.run(command, stderr=stderr).returncode
    if status:
        runs = files.read_json(plan_file)["runs"]
        failed = [name for name in runs if not (out / "runs" / name / NOTEBOOK).exists()]
        which = f"not finished: {', '.join(failed)}" if failed else "the report (06_results) failed"
        raise RunError(f"{which}; the same command goes on from there, details in {log}")
