"""Make the locks and the two conda environments from `pyproject.toml` (`make lock`).

A lock pins every package for every system by hash and names no package index. The environments for conda and Binder
have every pin of `requirements.lock`; a test holds all of them together.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEST, RUN = ROOT / "requirements-test.lock", ROOT / "requirements.lock"
LOCKS = {
    TEST: ("cpu", "test"),
    RUN: ("cpu",),
    ROOT / "requirements-gpu.lock": ("gpu",),
    ROOT / "requirements-jax.lock": ("jax",),
}
"""Each lock and the extras in it. What the first one has too, the others have at its versions."""
PYTHON = "3.11"
ENVIRONMENTS = {ROOT / "environment.yml": ("--editable .",), ROOT / "binder" / "environment.yml": ()}
"""Each conda environment, and what pip installs there besides the pins: Binder has the package from `postBuild`."""


def pins(lock: Path) -> list[str]:
    """A lock's pins with their markers, without hashes."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return [line.removesuffix(" \\") for line in lines if re.match(r"[A-Za-z0-9]", line)]


def environment(more: tuple[str, ...]) -> str:
    """The text of a conda environment file."""
    listed = "".join(f"      - {line}\n" for line in [*pins(RUN), *more])
    return (
        f"# Made by `make lock` from {RUN.name}; don't edit.\n"
        f"name: lvseg\nchannels:\n  - conda-forge\ndependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{listed}"
    )


def main() -> None:
    """Write the locks, then the environments that follow from one of them."""
    compile_ = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--group", "build", "--quiet"]
    compile_ += ["--universal", "--python-version", PYTHON, "--generate-hashes", "--no-header", "--no-annotate"]
    for lock, extras in LOCKS.items():
        chosen = [word for extra in extras for word in ("--extra", extra)]
        constrained = [] if lock == TEST else ["--constraint", TEST.name]
        subprocess.run([*compile_, *chosen, *constrained, "--output-file", lock.name], cwd=ROOT, check=True)
    for path, more in ENVIRONMENTS.items():
        path.write_text(environment(more), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
