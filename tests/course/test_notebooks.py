"""The course's notebooks: compared with their committed outputs, fit to be read, run with checked parameters."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from lvseg import files
from lvseg.course import exercises, notebooks
from lvseg.errors import ConfigError

# The course


NOTEBOOKS = sorted(notebooks.NOTEBOOKS.glob("[0-9]*.ipynb"))
LIGHT = [path for path in NOTEBOOKS if path.stem not in (notebooks.TRAINING, notebooks.RESULTS)]
"""05 and 06 are executed by the reproduction that other tests share."""
LESSONS = [path for path in NOTEBOOKS if path.stem[:2] in {number[:2] for number in exercises.every()}]
"""Those with exercises."""


def test_the_course_is_whole():
    assert [path.stem[:2] for path in NOTEBOOKS] == [f"{number:02d}" for number in (*range(7), 9, 11)]


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


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_holds_its_exercises_blank_each_with_its_check(path):
    """The cell is the exercise's own blank, the next one its check, and the committed answer is "not tried yet"."""
    code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    own = {number: each for number, each in exercises.every().items() if number.startswith(path.stem[:2])}
    checks = [place for place, cell in enumerate(code) if cell.source.startswith("check(")]
    assert [code[place - 1].source for place in checks] == [each.start.rstrip() for each in own.values()]
    assert [code[place].source for place in checks] == [
        f'check("{number}", {each.function.__name__})' for number, each in own.items()
    ]
    for place, (number, each) in zip(checks, own.items(), strict=True):
        (output,) = code[place].outputs
        told = f"○ {number}, not tried yet: write {each.function.__name__} above, then run both cells again"
        assert output.data["text/plain"] == told


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_is_fit_to_be_read(path):
    cells = nbformat.read(path, 4).cells
    prose = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    for part in ("**You will learn**", "**Time:**", "## Take away", "## Questions", "<details>", "## References"):
        assert part in prose, part
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    assert pictures and all(len(output.metadata["image/png"]["alt"]) > 20 for output in pictures)
    assert max(len(line) for cell in cells if cell.cell_type == "code" for line in cell.source.splitlines()) <= 88
    assert not any("NBVAL_CHECK_OUTPUT" in cell.source for cell in cells)


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lessons_links_lead_somewhere(path):
    prose = "\n".join(cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown")
    for target, _, heading in re.findall(r"\]\((?!https?:)([^)#]+)(#([^)]+))?\)", prose):
        document = path.parent / target
        headings = [re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
                    for line in document.read_text().splitlines() if line.startswith("#")]  # fmt: skip
        assert not heading or heading in headings, (target, heading)


@pytest.mark.slow
@pytest.mark.parametrize("path", LIGHT[:1], ids=lambda path: path.stem)
def test_runs_by_papermill(path, tmp_path):
    """One of them: nbval executes every cell of all, and a cell that fails is a failed test there."""
    notebooks.run_notebook(path.stem, tmp_path / path.name, {})
    assert (tmp_path / path.name).exists()


@pytest.mark.slow
@pytest.mark.xdist_group("reproduction")
def test_executed_in_the_reproduction(reproduction):
    executed = [*reproduction.glob("runs/*/notebook.ipynb"), reproduction / "report" / "06_results.ipynb"]
    assert len(executed) == 4
    for path in executed:
        code = [cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
        assert all(cell.execution_count for cell in code)


@pytest.mark.slow
def test_committed_outputs_are_todays(tmp_path):
    """nbval runs the committed notebooks and compares the cells that a tag or a comment marks for it."""
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
    assert sum(len(re.findall("nbval.check.output", path.read_text(), re.I)) for path in LIGHT) >= 16


# The headless run


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
