"""The course, headless: notebooks through papermill with checked parameters.

papermill's own metadata is no proof of success (a killed kernel leaves `exception: None`), so an executed notebook
gets its name only after its last cell.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import nbformat

from lvseg import machine
from lvseg.data.prepared import settled
from lvseg.data.source import absolute
from lvseg.data.splits import pinned
from lvseg.errors import ConfigError, LvsegError
from lvseg.experiment import Experiment
from lvseg.files import CHECKOUT

NOTEBOOKS = CHECKOUT / "notebooks"
TRAINING, RESULTS = "05_training", "06_results"


class RunError(LvsegError):
    """A notebook or a run of the workflow failed: the message says which, and where its output lies."""


def notebook_path(name: str) -> Path:
    """The course's notebook `name` (`05_training`, or just `05`); raises `lvseg.ConfigError` if there is none."""
    found = sorted(NOTEBOOKS.glob("[0-9]*.ipynb"))
    for path in found:
        if path.stem == name or path.stem.split("_")[0] == name:
            return path
    names = ", ".join(path.stem for path in found) or f"none, {NOTEBOOKS} is missing: install lvseg anew"
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
        own = {name: value for name, value in choices.items() if name in Experiment.model_fields}
        settled(Experiment.of_profile(**own, **choices.get("changes", {})))


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
        found["split"] = pinned(found["split"])
    for name in ("folder", "runs", "report", "patients"):
        if found.get(name):
            found[name] = str(Path(found[name]).expanduser().resolve())
    return found
