"""Which systems and Pythons have a wheel for every pin of the locks: the table in docs/platforms.md (`make wheels`).

uv lists, for each pin of a lock, the files that the package index has of it; nothing is installed. A pin counts for a
system and a Python where its marker asks for it there, and has a wheel if one of those files fits both.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "platforms.md"
START, END = "<!-- wheels: made by `make wheels` -->", "<!-- end of wheels -->"
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = {
    "Linux, x86-64": ("linux", "x86_64", r"(manylinux_2_(\d|1\d|2\d|3[0-5])|manylinux(1|2010|2014))_x86_64"),
    "Linux, arm64": ("linux", "aarch64", r"(manylinux_2_(\d|1\d|2\d|3[0-5])|manylinux2014)_aarch64"),
    "macOS 14, Apple silicon": ("darwin", "arm64", r"macosx_(10|11|12|13|14)_\d+_(arm64|universal2)"),
    "Windows, x86-64": ("win32", "AMD64", r"win_amd64"),
}
"""By name: `sys.platform`, `platform.machine()`, and the platforms of wheels that it installs (glibc 2.35 on Linux)."""

ON_LINUX = ("requirements-gpu.lock", "requirements-jax.lock")
"""Locks that no other system is for."""


def listed(lock: Path) -> list[dict[str, Any]]:
    """The pins of a lock with the files that the package index has of each, as uv writes them down (PEP 751)."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "pylock.toml"
        command = [sys.executable, "-m", "uv", "pip", "compile", str(lock), "--universal", "--no-deps", "--quiet"]
        command += ["--python-version", PYTHONS[0], "--format", "pylock.toml", "--output-file", str(out)]
        subprocess.run(command, cwd=ROOT, check=True)
        return tomllib.loads(out.read_text(encoding="utf-8"))["packages"]


def asked_for(pin: dict[str, Any], system: str, python: str) -> bool:
    """Whether a pin's marker holds on a system with a Python."""
    platform, machine, _ = SYSTEMS[system]
    facts = {
        "sys_platform": platform,
        "platform_machine": machine,
        "platform_system": {"linux": "Linux", "darwin": "Darwin", "win32": "Windows"}[platform],
        "os_name": "nt" if platform == "win32" else "posix",
        "python_version": python,
        "python_full_version": f"{python}.9",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }
    return "marker" not in pin or Marker(pin["marker"]).evaluate(facts)


def fits(tag: Tag, system: str, python: str) -> bool:
    """Whether CPython of that version installs a wheel of that tag on the system."""
    minor = int(python.split(".")[1])
    own = re.fullmatch(r"cp3(\d+)", tag.interpreter)
    if own and tag.abi == "abi3":
        interpreter = int(own[1]) <= minor
    elif own:
        interpreter = int(own[1]) == minor and tag.abi in (f"cp3{minor}", "none")
    else:
        pure = re.fullmatch(r"py3(\d*)", tag.interpreter)
        interpreter = tag.abi == "none" and pure is not None and int(pure[1] or 0) <= minor
    return interpreter and (tag.platform == "any" or re.fullmatch(SYSTEMS[system][2], tag.platform) is not None)


def has_wheel(pin: dict[str, Any], system: str, python: str) -> bool:
    """Whether one of a pin's wheels fits."""
    names = [wheel.get("name") or wheel["url"].rsplit("/", 1)[1] for wheel in pin.get("wheels", [])]
    tags = {tag for name in names for tag in parse_wheel_filename(name)[3]}
    return any(fits(tag, system, python) for tag in tags)


def table(lock: Path) -> str:
    """A row per system, a cell per Python: how many pins are asked for there, and which have no wheel."""
    pins = listed(lock)
    lines = ["| system | " + " | ".join(f"Python {python}" for python in PYTHONS) + " |", "| --- " * 4 + "|"]
    for system in [name for name in SYSTEMS if lock.name not in ON_LINUX or name.startswith("Linux")]:
        cells = []
        for python in PYTHONS:
            asked = [pin for pin in pins if asked_for(pin, system, python)]
            bare = [pin["name"] for pin in asked if not has_wheel(pin, system, python)]
            cells.append(f"{len(asked)} pins, " + (f"no wheel: {', '.join(bare)}" if bare else "a wheel for each"))
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Write the table into the page, between its two marks."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    made = "\n\n".join(f"`{lock.name}`:\n\n{table(lock)}" for lock in sorted(ROOT.glob("requirements*.lock")))
    PAGE.write_text(f"{before}{START}\n\n{made}\n\n{END}{after}", encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
