"""The lock, the two conda environments and pyproject.toml say the same; nothing names a package index."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "binder"))
import lock  # noqa: E402


def test_environments_are_what_the_lock_makes_of_them():
    for path, extras in lock.ENVIRONMENTS.items():
        assert path.read_text() == lock.environment(extras), f"{path.name} is stale: make lock"


def test_lock_satisfies_pyproject():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    versions = lock.locked_versions()
    wanted = [
        *project["dependencies"],
        *project["optional-dependencies"]["cpu"],
        *project["optional-dependencies"]["test"],
    ]
    for requirement in map(Requirement, wanted):
        assert requirement.specifier.contains(versions[requirement.name]), requirement


def test_every_locked_package_has_hashes_and_no_address():
    text = lock.LOCK.read_text()
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) > 100
    for block in blocks:
        assert "==" in block.splitlines()[0] and "--hash=sha256:" in block, block[:80]
    assert "://" not in text and "index-url" not in text


def test_conda_environment_has_what_was_asked_for():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    pins = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    names = {pin.split("==")[0] for pin in pins}
    assert names >= {"jupyterlab", "tensorflow-cpu", "keras", "opencv-python-headless", "matplotlib", "ipywidgets"}
    assert names >= {"papermill", "nbval"}
    assert not {"tensorflow", "opencv-python"} & names  # they write the same files as those above
    assert any(str(entry).startswith("python=") for entry in environment["dependencies"])


@pytest.mark.parametrize("name", ["keras", "opencv-python-headless", "papermill", "numpy"])
def test_this_environment_is_the_locked_one(name):
    assert importlib.metadata.version(name) == lock.locked_versions()[name]
