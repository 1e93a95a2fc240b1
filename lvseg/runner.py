"""The course, headless: notebooks through papermill with checked parameters, and the whole reproduction by Snakemake.

papermill's own metadata is no proof of success (a killed kernel leaves `exception: None`), so an executed notebook
gets its name only after its last cell, and an experiment counts as done only by its receipt.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import nbformat

from lvseg import dataset, files, machine, paper, profiles, receipts
from lvseg.errors import ConfigError, LvsegError
from lvseg.profiles import Experiment
from lvseg.readers import open_source

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
SNAKEFILE = ROOT / "workflow" / "Snakefile"
TRAINING, RESULTS = "05_training", "06_results"


class RunError(LvsegError):
    """A notebook or a run of the workflow failed: the message says which, and where its output lies."""


def notebook_path(name: str) -> Path:
    """The course's notebook `name` (`05_training`, or just `05`); raises `lvseg.ConfigError` if there is none."""
    found = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    for path in found:
        if path.stem == name or path.stem.split("_")[0] == name:
            return path
    names = ", ".join(path.stem for path in found) or f"none, {NOTEBOOKS} is missing: work in a checkout of the project"
    raise ConfigError(f"notebook {name!r} doesn't exist; choose one of: {names}")


def parameters_of(path: Path) -> dict[str, Any]:
    """Names and defaults in the notebook's cell tagged `parameters`: the contract that values are checked against."""
    cells = nbformat.read(path, as_version=4).cells
    source = next((c.source for c in cells if "parameters" in c.metadata.get("tags", [])), "")
    assigned = [node for node in ast.parse(source).body if isinstance(node, ast.Assign)]
    return {ast.unparse(node.targets[0]): ast.literal_eval(node.value) for node in assigned}


def check_parameters(path: Path, given: Mapping[str, Any]) -> None:
    """Raises `lvseg.ConfigError` for a name that the notebook doesn't have, or a value of another type."""
    defaults = parameters_of(path)
    for name, value in given.items():
        if name not in defaults:
            known = ", ".join(defaults) or "none"
            raise ConfigError(f"{path.name}: parameter {name!r} doesn't exist; its parameters are: {known}")
        if type(value) is not type(defaults[name]):
            expected = type(defaults[name]).__name__
            raise ConfigError(f"{path.name}: {name}={value!r} can't be used; it takes a {expected}")
    if "model" in defaults:
        choices = {**defaults, **given}
        if doubled := choices.get("changes", {}).keys() & defaults.keys():
            raise ConfigError(f"{path.name}: changes can't hold {min(doubled)!r}; give it as a parameter of its own")
        profiles.experiment(
            **{k: v for k, v in choices.items() if k in Experiment.model_fields}, **choices.get("changes", {})
        )


def run_notebook(name: str, out: Path, parameters: Mapping[str, Any]) -> None:
    """Execute a notebook of the course into `out`, echoing what it prints; `out` appears only if every cell ran.

    Raises `lvseg.ConfigError` for a wrong parameter before a kernel starts, `RunError` for a failed or killed one.
    """
    import papermill

    path = notebook_path(name)
    check_parameters(path, parameters)
    parameters = _for_any_folder(parameters)
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = out.with_name(f"unfinished_{out.name}")
    out.unlink(missing_ok=True)
    machine.limit_arenas()  # of the kernel, which inherits it
    try:
        papermill.execute_notebook(
            path, unfinished, parameters, cwd=path.parent, progress_bar=False, stdout_file=sys.stdout
        )
        unran = [c for c in nbformat.read(unfinished, 4).cells if c.cell_type == "code" and c.execution_count is None]
        if unran:
            raise RunError(f"{name}: {len(unran)} cells never ran; see {unfinished}")
    except papermill.PapermillExecutionError as error:
        raise RunError(f"{name}: {error.ename}: {error.evalue} (cell {error.exec_count}); see {unfinished}") from None
    except LvsegError:
        raise
    except Exception as error:  # a dead kernel, a time-out, a file that can't be written
        raise RunError(f"{name}: {type(error).__name__}: {error}; see {unfinished}") from None
    unfinished.replace(out)


def _for_any_folder(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Notebook parameters with their paths made absolute, since notebooks run in a folder of their own."""
    found = dict(parameters)
    if "data" in found:
        found["data"] = absolute(found["data"])
    if "split" in found:
        found["split"] = Experiment(split=found["split"]).split
    if found.get("folder"):
        found["folder"] = str(Path(found["folder"]).expanduser().resolve())
    return found


def plan(
    profile: str, data: str, methods: list[str], seeds: list[int], changes: Mapping[str, Any]
) -> dict[str, Experiment]:
    """The experiments of a reproduction by their folder's name: every method with every seed, seed by seed."""
    split = "own" if data.startswith("camus") else "patient"
    choices = {"profile": profile, "data": data, "split": split, **changes}
    grid = [profiles.experiment(**choices, model=method, seed=seed) for seed in seeds for method in methods]
    return {experiment.name(): experiment for experiment in grid}


def absolute(data: str) -> str:
    """A data set's specification with its folder made absolute, since notebooks run in a folder of their own."""
    kind, _, folder = data.partition(":")
    return f"{kind}:{Path(folder).expanduser().resolve()}" if folder and kind != "phantom" else data


def reproduce(
    profile: str = "class",
    data: str = "phantom",
    out: Path = Path(),
    methods: list[str] | None = None,
    seeds: list[int] | None = None,
    changes: Mapping[str, Any] | None = None,
    workflow_profile: Path | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Run 05 once per experiment, then 06, and return the report's `index.html`.

    out: gets `runs/` (a folder per experiment) and `report/`. What has a valid receipt isn't run again.
    changes: choices that differ from the profile's, for every experiment. workflow_profile: a Snakemake profile, to
    run on a cluster instead of here. Raises `lvseg.LvsegError` for wrong choices, bad data, or failed runs.
    """
    out = out.resolve()
    if profile not in profiles.SEEDS:
        raise ConfigError(f"profile {profile!r} doesn't exist; choose one of: {', '.join(profiles.SEEDS)}")
    grid = plan(
        profile,
        absolute(data),
        methods or list(paper.METHODS),
        seeds or list(profiles.SEEDS[profile]),
        changes or {},
    )
    frames = open_source(absolute(data))
    report(f"{len(grid)} experiments on {len(frames)} frames of {data}; preparing the frames")
    for experiment in grid.values():  # bad data is refused before any run starts, and every run finds them prepared
        dataset.load(frames, experiment)
    runs = out / "runs"
    with files.locked(runs):
        for name, experiment in grid.items():
            if receipts.valid(runs / name, experiment, frames) is None:
                (runs / name / "notebook.ipynb").unlink(missing_ok=True)
            _write_if_new(runs / name / "parameters.json", _notebook_parameters(experiment, runs / name))
        _write_if_new(runs / "plan.json", {"python": sys.executable, "runs": list(grid)})
        _snakemake(out, workflow_profile)
    return out / "report" / "index.html"


def _write_if_new(path: Path, value: Any) -> None:
    """Write JSON, but leave a file that says the same: the workflow goes by its time."""
    if not path.exists() or files.read_json(path) != value:
        files.write_json(path, value)


def _notebook_parameters(experiment: Experiment, folder: Path) -> dict[str, Any]:
    """05's parameters for one experiment: those it has by name, and `changes` for what differs from the profile."""
    chosen = experiment.model_dump()
    own = {k: chosen[k] for k in parameters_of(notebook_path(TRAINING)) if k in chosen}
    usual = profiles.experiment(**own).model_dump()
    changes = {k: v for k, v in chosen.items() if usual[k] != v}
    return {**own, "changes": changes, "folder": str(folder)}


def _snakemake(out: Path, workflow_profile: Path | None) -> None:
    """Run the workflow in `out`; raises `RunError` that names the runs which didn't finish."""
    plan_file, log = out / "runs" / "plan.json", out / "runs" / "snakemake.log"
    command = [sys.executable, "-m", "lvseg.lifeline", "snakemake", "--snakefile", str(SNAKEFILE)]
    command += ["--configfile", str(plan_file), "--directory", str(out), "--cores", "all", "--keep-going"]
    # Our lock and our receipts decide what is done: they outlive a kill, Snakemake's own notes may not.
    command += ["--quiet", "all", "--nolock", "--ignore-incomplete", "--rerun-triggers", "mtime"]
    if workflow_profile is not None:
        command += ["--profile", str(workflow_profile)]
    with log.open("w") as stderr:
        status = subprocess.run(command, stderr=stderr).returncode
    if status:
        runs = files.read_json(plan_file)["runs"]
        failed = [name for name in runs if not (out / "runs" / name / "notebook.ipynb").exists()]
        which = f"not finished: {', '.join(failed)}" if failed else "the report (06_results) failed"
        raise RunError(f"{which}; the same command goes on from there, details in {log}")
