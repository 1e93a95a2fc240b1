"""Imports go one way, and the check that says so notices one that doesn't, also inside a function."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lvseg.files import CHECKOUT


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A copy of the package with the contract of its imports."""
    shutil.copytree(CHECKOUT / "lvseg", tmp_path / "lvseg", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(CHECKOUT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(house: Path) -> subprocess.CompletedProcess:
    command = [Path(sys.executable).with_name("lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=house, env={"PYTHONPATH": str(house)}, capture_output=True, text=True)


def test_imports_go_one_way(house):
    done = lint(house)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("module", "forbidden"),
    [
        ("masks", "from lvseg.figures import plots"),
        ("experiment", "from lvseg import cli"),
        ("inference/predict", "from lvseg.training import folder"),
        ("readers/common", "from lvseg.phantom import heart"),
        ("training/folder", "from lvseg.training import run"),
    ],
)
def test_one_that_does_not_is_noticed(house, module, forbidden):
    path = house / "lvseg" / f"{module}.py"
    path.write_text(f"{path.read_text()}\n\ndef _late() -> None:\n    {forbidden}\n")
    done = lint(house)
    assert done.returncode == 1 and "BROKEN" in done.stdout


def test_every_module_is_one_of_the_rooms():
    """At most 16 modules at the root, so that a newcomer sees what the project is."""
    modules = [path for path in (CHECKOUT / "lvseg").glob("*.py") if path.name != "__init__.py"]
    assert len(modules) <= 16
