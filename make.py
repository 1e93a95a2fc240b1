"""Set lvseg up and run its commands, alike on Linux, macOS and Windows: `python make.py reproduce`.

It needs Python 3.11, 3.12 or 3.13 and nothing else. The first call makes `.venv` from the lock. Words after a command
go to what it runs: `python make.py reproduce --profile smoke`. `make reproduce` is the same where there is make.
On Linux with an NVIDIA GPU, `make reproduce GPU=1` computes on it by TensorFlow, `GPU=jax` by JAX, each in an
environment of its own.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
RUN, TEST = ROOT / "requirements.lock", ROOT / "requirements-test.lock"
"""What running takes, and the same with what testing takes besides."""
GPU = {
    "": (".venv", RUN),
    "1": (".venv-gpu", ROOT / "requirements-gpu.lock"),
    "jax": (".venv-jax", ROOT / "requirements-jax.lock"),
}
"""By the variable `GPU`: the environment, and what running takes: on processors, on a GPU by TensorFlow, by JAX."""
VENV = ROOT / GPU.get(os.environ.get("GPU", ""), GPU[""])[0]
READY = VENV / ".ready"

PYTEST = ["python", "-m", "pytest", "-n", "2", "--dist", "loadgroup"]
"""Tests that share something dear, such as a reproduction, stay with one of the two workers."""
NEUTRAL = [f"tests/{name}.py" for name in ("test_networks", "test_blocks", "test_losses")]
NEUTRAL += [f"tests/figures/{name}.py" for name in ("test_graph", "test_diagrams")]
"""What is true of the networks on any backend."""
JAX = {"KERAS_BACKEND": "jax", "XLA_FLAGS": "--xla_backend_optimization_level=0"}
TORCH = {"KERAS_BACKEND": "torch"}
NBCONVERT = ["jupyter", "nbconvert", "--ExecutePreprocessor.record_timing=False", "--to", "notebook", "--execute"]
NOTEBOOKS = [str(path.relative_to(ROOT)) for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))]

COMMANDS: dict[str, tuple[str, list[tuple[dict[str, str], list[str]]]]] = {
    "reproduce": ("train every network with every seed; ends with report/index.html", [({}, ["lvseg", "reproduce"])]),
    "lab": ("the course in JupyterLab", [({}, ["jupyter", "lab", "notebooks/00_start_here.ipynb"])]),
    "lvseg": ("the command line, such as `lvseg predict echo.dcm --out masks`", [({}, ["lvseg"])]),
    "test": ("every test, and those of networks on JAX too", [({}, PYTEST), (JAX, [*PYTEST, *NEUTRAL])]),
    "test-quick": ("what takes less than five seconds a test: a few minutes", [({}, [*PYTEST, "-m", "not slow"])]),
    "test-torch": (
        "networks and losses on PyTorch, which has to be installed in .venv first",
        [(TORCH, ["python", "-m", "pytest", *NEUTRAL, "tests/test_backends.py"])],
    ),
    "test-wheel": (
        "build the wheel and use it in a clean environment, which takes some minutes and 2 GB",
        [({}, ["python", "-m", "pytest", "tests/wheel.py"])],
    ),
    "test-systems": (
        "a whole reproduction on a pretended Windows and macOS, some minutes",
        [({}, ["python", "-m", "pytest", "tests/elsewhere.py"])],
    ),
    "bench": ("measure what benchmarks/ measures", [({}, ["python", "-m", "benchmarks"])]),
    "lint": (
        "format, style, types, and the direction of imports",
        [
            ({}, ["ruff", "format", "--check", "."]),
            ({}, ["ruff", "check", "."]),
            ({}, ["mypy"]),
            ({}, ["lint-imports"]),
        ],
    ),
    "notebooks": (
        "execute the committed notebooks in their places; 06 shows your runs, or the kept ones",
        [({}, [*NBCONVERT, "--inplace", *NOTEBOOKS])],
    ),
    "lock": ("make the locks and the conda environments from pyproject.toml", [({}, ["python", "binder/lock.py"])]),
    "wheels": (
        "say in docs/platforms.md which systems have a wheel for each pin",
        [({}, ["python", "binder/wheels.py"])],
    ),
    "clean": ("remove .venv, runs and report", []),
}
"""By name: what it is for, and its steps, each an environment and a program of `.venv` with its words."""
FOR_CLASS = ("reproduce", "lab", "lvseg", "notebooks")
"""The commands that need no tools for tests."""


def hindrance(version: tuple[int, ...], system: str, machine: str, gpu: str = "", command: str = "lab") -> str | None:
    """Why lvseg can't be set up, else None.

    Of this Python `sys.version_info`, `sys.platform` and `platform.machine()`; the variable `GPU`; the command.
    """
    if not (3, 11) <= tuple(version)[:2] <= (3, 13):
        return "lvseg needs Python 3.11, 3.12 or 3.13; start this file with one of them, such as python3.11 make.py"
    if (system, machine.lower()) in (("darwin", "x86_64"), ("win32", "arm64")):
        return (
            "there is no TensorFlow for Intel Macs and for Windows on ARM: open the course on Binder (README), or on a "
            "Mac with an Apple chip take the Python that is made for it"
        )
    if gpu not in GPU:
        return f"GPU={gpu} doesn't exist; choose GPU=1 (TensorFlow), GPU=jax, or none"
    if gpu and system != "linux":
        return f"GPU={gpu}: TensorFlow and JAX compute on NVIDIA GPUs on Linux alone; on Windows, work in WSL"
    if gpu and command not in FOR_CLASS:
        return f"GPU={gpu}: is for {', '.join(FOR_CLASS)}; {command} runs on processors"
    return None


def program(name: str) -> str:
    """A program of the environment, by its path."""
    folder = VENV / ("Scripts" if os.name == "nt" else "bin")
    return shutil.which(name, path=str(folder)) or str(folder / name)


def set_up(lock: Path) -> None:
    """Make `.venv` hold what a lock names and lvseg itself, unless it does already."""
    project = (ROOT / "pyproject.toml").read_bytes()
    state = {path: hashlib.sha256(path.read_bytes() + project).hexdigest() for path in {lock, RUN, TEST}}
    if READY.exists() and state[lock] in READY.read_text(encoding="utf-8").split():
        return
    if not Path(program("python")).exists():
        venv.create(VENV, with_pip=True)
    print(f"setting up {VENV.name}, which takes some minutes", flush=True)
    install = ["python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    run({}, [*install, "--require-hashes", "--requirement", str(lock)])
    run({}, [*install, "--no-deps", "--no-build-isolation", "--editable", "."])
    for headers in VENV.glob("**/site-packages/tensorflow/include"):
        shutil.rmtree(headers)  # 290 MB to build C++ with, which nothing here does
    # What testing takes holds what running takes.
    READY.write_text("\n".join(state.values() if lock == TEST else [state[lock]]), encoding="utf-8")


def run(environment: dict[str, str], words: list[str]) -> None:
    """Run a program of the environment; ends with its status where that isn't 0.

    lvseg is run where the caller is, since its words name the caller's files, everything else at the project's root.
    """
    # Beside what lvseg says for itself, tests and tools read and write text as UTF-8 on Windows too.
    full = {**os.environ, "PYTHONUTF8": "1", **environment}
    try:
        status = subprocess.run(
            [program(words[0]), *words[1:]], cwd=None if words[0] == "lvseg" else ROOT, env=full
        ).returncode
    except KeyboardInterrupt:
        status = 130
    if status:
        sys.exit(status)


def main(arguments: list[str]) -> None:
    """Run the command that the arguments name."""
    if not arguments or arguments[0] not in COMMANDS:
        listed = "\n".join(f"  {name:<11} {what}" for name, (what, _) in COMMANDS.items())
        sys.exit(f"python make.py COMMAND [what the command takes]\n{listed}")
    name, *rest = arguments
    if name == "clean":
        for folder in (*(ROOT / venv for venv, _ in GPU.values()), ROOT / "runs", ROOT / "report"):
            shutil.rmtree(folder, ignore_errors=True)
        return
    gpu = os.environ.get("GPU", "")
    if said := hindrance(sys.version_info, sys.platform, platform.machine(), gpu, name):
        print(f"lvseg: {said}", file=sys.stderr)
        sys.exit(2)
    set_up(GPU[gpu][1] if name in FOR_CLASS else TEST)
    for environment, words in COMMANDS[name][1]:
        run(environment, [*words, *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
