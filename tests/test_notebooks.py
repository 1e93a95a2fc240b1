"""The course's notebooks: executed by papermill, compared by nbval with the committed outputs, and fit to be read."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from lvseg import files
from lvseg.course import notebooks

NOTEBOOKS = sorted(notebooks.NOTEBOOKS.glob("0*.ipynb"))
LIGHT = [path for path in NOTEBOOKS if path.stem not in (notebooks.TRAINING, notebooks.RESULTS)]
"""05 and 06 are executed by the reproduction that other tests share."""


def test_the_course_is_whole():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in range(7)]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_as_executed_from_top_to_bottom(path):
    notebook = nbformat.read(path, 4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [output for cell in code for output in cell.outputs if output.output_type == "error"]
    assert notebook.metadata.kernelspec.name == "python3"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in code) == 1
    assert path.stat().st_size < 1_500_000
    assert not re.search(r"/(home|root|tmp|work)/", path.read_text()), "a path of one machine"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_widget_has_a_static_picture_in_its_notebook(path):
    cells = nbformat.read(path, 4).cells
    if any("widgets." in cell.source for cell in cells):
        assert any("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("path", LIGHT, ids=lambda path: path.stem)
def test_runs_by_papermill(path, tmp_path):
    notebooks.run_notebook(path.stem, tmp_path / path.name, {})
    assert (tmp_path / path.name).exists()


def test_executed_in_the_reproduction(reproduction):
    executed = [*reproduction.glob("runs/*/notebook.ipynb"), reproduction / "report" / "06_results.ipynb"]
    assert len(executed) == 4
    for path in executed:
        code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code)


def test_committed_outputs_are_todays(tmp_path):
    """nbval runs the committed notebooks and compares the cells marked NBVAL_CHECK_OUTPUT."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "-p",
        "no:cacheprovider",
        "-c",
        "/dev/null",
        *map(str, LIGHT),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(files.CHECKOUT), timeout=900)
    assert done.returncode == 0, done.stdout[-3000:]
    assert sum(path.read_text().count("NBVAL_CHECK_OUTPUT") for path in LIGHT) >= 8
