"""The wheel and the sdist, as somebody has them who has no checkout (`make test-wheel`; `make test` leaves this out).

Built from a copy, they are installed into an environment of their own at the lock's versions, and used elsewhere.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from lvseg.files import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "binder"))
import lock

FRAME = "phantom-p01/phantom-p01-f01.png"


def run(*words: object, folder: Path, status: int = 0) -> str:
    """What a command says; the checkout isn't on its path."""
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, cwd=folder, env=environment)
    assert done.returncode == status, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope="session")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("nowhere")


@pytest.fixture(scope="session")
def built(tmp_path_factory) -> Path:
    """A folder with a wheel and an sdist, made from the files that git keeps."""
    copy = tmp_path_factory.mktemp("copy")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(CHECKOUT / name, copy / name)
    run(sys.executable, "-m", "uv", "build", "--out-dir", copy / "dist", "--quiet", copy, folder=copy)
    return copy / "dist"


def tracked() -> list[str]:
    return subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True).stdout.split()


def install(python: Path, what: str, folder: Path) -> None:
    pins = folder / "pins.txt"
    pins.write_text("\n".join(lock.pins(lock.RUN)), encoding="utf-8")
    uv = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", python]
    run(*uv, "--only-binary", ":all:", "--no-binary", "connection-pool", "--constraint", pins, what, folder=folder)


@pytest.fixture(scope="session")
def bare(built, folder) -> Path:
    """The environment's programs, while there is no backend in it."""
    run(sys.executable, "-m", "uv", "venv", "--quiet", "--python", sys.executable, folder / "venv", folder=folder)
    programs = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
    (wheel,) = built.glob("*.whl")
    install(programs / "python", str(wheel), folder)
    return programs


@pytest.fixture(scope="session")
def lvseg(built, bare, folder) -> Path:
    """The command in that environment, with the backend."""
    (wheel,) = built.glob("*.whl")
    install(bare / "python", f"{wheel}[cpu]", folder)
    return bare / "lvseg"


def test_the_sdist_is_the_whole_project(built):
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert [name for name in tracked() if not name.startswith(".") and name not in held] == []


def test_the_wheel_holds_the_course(built):
    (wheel,) = built.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    parts = [name for name in tracked() if name.startswith(("notebooks/", "workflow/", "data_samples/"))]
    assert len(parts) > 20 and {f"lvseg/shipped/{name}" for name in parts} <= held
    assert not [name for name in held if name.startswith(("tests/", "benchmarks/", "make"))]


def test_the_index_would_take_them(built, folder):
    said = run(
        sys.executable, "-m", "uv", "tool", "run", "twine", "check", "--strict", *built.glob("lvseg-*"), folder=folder
    )
    assert said.count("PASSED") == 2


def test_without_a_backend_it_predicts_and_says_what_training_needs(bare, folder):
    assert run(bare / "lvseg", "--version", folder=folder).startswith("lvseg 0.")
    run(bare / "lvseg", "course", "copy", "bare", folder=folder)
    run(bare / "lvseg", "predict", f"bare/data_samples/phantom_labelme/{FRAME}", "--out", "first", folder=folder)
    assert (folder / "first" / "measurements.csv").exists()
    for command in ("reproduce", "train"):
        said = run(bare / "lvseg", command, "--profile", "smoke", "--out", "no", folder=folder, status=2)
        assert said.startswith("lvseg: no TensorFlow, JAX or PyTorch is installed") and said.count("\n") == 1


def test_the_course_is_copied_once_and_runs(lvseg, folder):
    assert "00_start_here.ipynb" in run(lvseg, "course", "copy", "mine", folder=folder)
    assert "is there already" in run(lvseg, "course", "copy", "mine", folder=folder, status=2)
    run(lvseg, "notebook", "00", "--out", "00.ipynb", folder=folder)
    assert (folder / "00.ipynb").exists()


def test_the_reproduction_ends_with_its_report(lvseg, folder):
    run(lvseg, "reproduce", "--profile", "smoke", "--out", "all", folder=folder)
    assert (folder / "all" / "report" / "index.html").exists()
