"""Peak memory of each notebook and of a reproduction: the whole process tree's proportional set size (PSS), in MiB.

`python -m benchmarks notebook_memory` measures all cases, `python -m benchmarks.notebook_memory CASE...` only those.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from benchmarks.real_data import CAMUS
from benchmarks.table import publish, row
from lvseg.course import notebooks


def measure(*cases: str) -> Iterator[dict[str, Any]]:
    """A row per notebook, by papermill as the runner does it, and one method through `lvseg reproduce`, with 06.

    The latter also on CAMUS, where `benchmarks.real_data` finds it.

    cases: only these rows, such as `03_network` or `reproduce class`.
    """
    commands = _commands()
    if unknown := set(cases) - set(commands):
        sys.exit(f"case {min(unknown)!r} doesn't exist; choose among: {', '.join(commands)}")
    for case in cases or commands:
        yield _of_command(case, *commands[case])


def _commands() -> dict[str, tuple[str, ...]]:
    """What `lvseg` is called with, by the row's case; SCRATCH stands for a folder of the call's own."""
    commands: dict[str, tuple[str, ...]] = {}
    for path in sorted(notebooks.NOTEBOOKS.glob("0*.ipynb")):
        if path.stem not in (notebooks.TRAINING, notebooks.RESULTS):
            commands[path.stem] = ("notebook", path.stem, "--out", "SCRATCH/n.ipynb")
    for profile in ("smoke", "class"):
        choices = ("--out", "SCRATCH/n.ipynb", "-p", f"profile={profile}", "-p", "folder=SCRATCH/run")
        commands[f"{notebooks.TRAINING} {profile}"] = ("notebook", notebooks.TRAINING, *choices)
        choices = ("--profile", profile, "--model", "improved_resunet", "--seed", "0", "--out", "SCRATCH")
        commands[f"reproduce {profile}"] = ("reproduce", *choices)
    if CAMUS.is_dir():
        commands["reproduce class, CAMUS"] = (*commands["reproduce class"], "--data", f"camus:{CAMUS}")
    return commands


def _of_command(case: str, *command: str) -> dict[str, Any]:
    """The row of `lvseg COMMAND`: its peak PSS, and its seconds."""
    peak, started = 0.0, time.perf_counter()
    with tempfile.TemporaryDirectory() as scratch:
        command = tuple(part.replace("SCRATCH", scratch) for part in command)
        process = subprocess.Popen([sys.executable, "-m", "lvseg.cli", *command], stdout=subprocess.DEVNULL)
        while process.poll() is None:
            peak = max(peak, _pss(psutil.Process(process.pid)))
            time.sleep(0.1)
    if process.returncode:
        raise RuntimeError(f"lvseg {' '.join(command)} failed")
    return row("notebook_memory", "MiB", {"lvseg": [peak]}, case=case, seconds=round(time.perf_counter() - started))


def _pss(root: psutil.Process) -> float:
    """MiB of a process and all below it; pages that several share count once in all, other than in their sum of RSS."""
    total = 0
    try:
        for process in (root, *root.children(recursive=True)):
            rollup = Path(f"/proc/{process.pid}/smaps_rollup").read_text()
            total += next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    except (psutil.Error, OSError, StopIteration):  # a process ended meanwhile
        pass
    return total / 1024


if __name__ == "__main__":
    for found in measure(*sys.argv[1:]):
        publish(found)
