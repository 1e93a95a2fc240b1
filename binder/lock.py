"""Make `requirements.lock`, `environment.yml` and `binder/environment.yml` from `pyproject.toml` (`make lock`).

The lock pins every package for every platform by hash and names no package index. The two conda environments take
the direct dependencies at the lock's versions; a test holds all of them together.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements.lock"
ENVIRONMENTS = {ROOT / "environment.yml": ("cpu", "test"), ROOT / "binder" / "environment.yml": ("cpu",)}
"""Each environment file, and the optional dependencies that it has besides the required ones."""
PYTHON = "3.11"


def dependencies(*extras: str) -> list[str]:
    """Names of the direct dependencies, and of those of the given extras, sorted."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    listed = [*project["dependencies"]]
    for extra in extras:
        listed += project["optional-dependencies"][extra]
    return sorted(re.split(r"[\[<>=!~; ]", text, maxsplit=1)[0] for text in listed)


def locked_versions() -> dict[str, str]:
    """Versions in the lock by name; of those with a marker, the ones that `PYTHON` takes."""
    versions: dict[str, str] = {}
    for line in LOCK.read_text().splitlines():
        if found := re.match(r"([A-Za-z0-9._-]+)==([^ ;\\]+)(?: ; (.*?))?(?: \\)?$", line):
            name, version, marker = found.groups()
            if marker is None or Marker(marker).evaluate({"python_full_version": f"{PYTHON}.9"}):
                versions[name] = version
    return versions


def environment(extras: tuple[str, ...]) -> str:
    """The text of a conda environment file."""
    versions = locked_versions()
    pins = "".join(f"      - {name}=={versions[name]}\n" for name in dependencies(*extras))
    return (
        "# Made by `make lock` from pyproject.toml and requirements.lock; don't edit.\n"
        f"name: lvseg\nchannels:\n  - conda-forge\ndependencies:\n  - python={PYTHON}\n  - pip\n  - pip:\n{pins}"
    )


def main() -> None:
    """Write the lock, then the environments that follow from it."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--extra", "cpu", "--extra", "test"]
    command += ["--universal", "--python-version", "3.11", "--generate-hashes", "--no-header", "--no-annotate"]
    subprocess.run([*command, "--quiet", "--output-file", LOCK], cwd=ROOT, check=True)
    for path, extras in ENVIRONMENTS.items():
        path.write_text(environment(extras))


if __name__ == "__main__":
    main()
