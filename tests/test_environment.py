"""The locks, the two conda environments and pyproject.toml say the same; nothing names a package index."""

from __future__ import annotations

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "binder"))
import lock  # noqa: E402

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINUX = {"sys_platform": "linux", "platform_machine": "x86_64", "python_full_version": "3.11.9", "os_name": "posix"}


def versions(path: Path, facts: dict[str, str] = LINUX) -> dict[str, str]:
    """By name, the versions that a lock names for a machine."""
    pins = [Requirement(line) for line in lock.pins(path)]
    return {pin.name: str(pin.specifier)[2:] for pin in pins if pin.marker is None or pin.marker.evaluate(facts)}


def test_environments_are_what_the_lock_makes_of_them():
    for path, more in lock.ENVIRONMENTS.items():
        assert path.read_text(encoding="utf-8") == lock.environment(more), f"{path.name} is stale: make lock"


@pytest.mark.parametrize("path", lock.LOCKS, ids=lambda path: path.name)
def test_locks_satisfy_pyproject(path):
    found = versions(path)
    wanted = [*PROJECT["project"]["dependencies"], *PROJECT["dependency-groups"]["build"]]
    for extra in lock.LOCKS[path]:
        wanted += PROJECT["project"]["optional-dependencies"][extra]
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate(LINUX):
            assert requirement.specifier.contains(found[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("path", lock.LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_hashes_and_no_address(path):
    text = path.read_text(encoding="utf-8")
    blocks = re.split(r"\n(?=\S)", text.strip())
    assert len(blocks) > 100
    for block in blocks:
        assert "==" in block.splitlines()[0] and "--hash=sha256:" in block, block[:80]
    assert "://" not in text and "index-url" not in text


@pytest.mark.parametrize(
    ("name", "has", "lacks"),
    [
        ("gpu", {"tensorflow", "nvidia-cudnn-cu12", "nvidia-cublas-cu12"}, {"tensorflow-cpu", "jax", "jaxlib"}),
        ("jax", {"jax", "jaxlib", "jax-cuda12-plugin", "nvidia-cudnn-cu12"}, {"tensorflow-cpu", "tensorflow"}),
    ],
)
def test_a_gpu_gets_one_library_with_its_cuda(name, has, lacks):
    names = set(versions(ROOT / f"requirements-{name}.lock"))
    assert has <= names and not names & (lacks | {"pytest"})


def test_all_locks_name_one_version_of_a_package():
    everything = versions(lock.TEST)
    for path in lock.LOCKS:
        assert {
            name: version for name, version in versions(path).items() if everything.get(name, version) != version
        } == {}


def test_a_class_has_all_it_runs_and_nothing_that_tests():
    names = set(versions(lock.RUN))
    assert names >= {"jupyterlab", "tensorflow-cpu", "keras", "opencv-python-headless", "matplotlib", "ipywidgets"}
    assert not names & {"pytest", "jax", "jaxlib", "mypy", "ruff", "playwright", "scikit-learn", "onnxruntime", "nbval"}


@pytest.mark.parametrize(
    ("system", "machine", "backend"),
    [
        ("linux", "x86_64", "tensorflow-cpu"),
        ("win32", "AMD64", "tensorflow-cpu"),
        ("linux", "aarch64", "tensorflow"),
        ("darwin", "arm64", "tensorflow"),
    ],
)
def test_each_system_gets_one_backend_and_one_opencv(system, machine, backend):
    """tensorflow and tensorflow-cpu write the same files, and so do the two of OpenCV."""
    names = versions(lock.RUN, {**LINUX, "sys_platform": system, "platform_machine": machine})
    assert names.keys() & {"tensorflow", "tensorflow-cpu"} == {backend}
    assert "opencv-python-headless" in names and "opencv-python" not in names


def test_the_conda_environment_has_every_pin_and_lvseg_itself():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    listed = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    assert listed == [*lock.pins(lock.RUN), "--editable ."]
    assert any(str(entry).startswith("python=") for entry in environment["dependencies"])


@pytest.mark.parametrize("name", ["keras", "opencv-python-headless", "papermill", "numpy", "filelock", "psutil"])
def test_this_environment_is_the_locked_one(name):
    assert importlib.metadata.version(name) == versions(lock.TEST)[name]
