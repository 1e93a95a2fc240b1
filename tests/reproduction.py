"""A smoke reproduction that is killed three times before it may end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import psutil


class Survivor(NamedTuple):
    """What became of the reproduction in `folder`, from its first start to its third, which ended.

    kernel, papermill: the runs that trained when their kernel and their papermill were killed, both in the first start;
    status, message: how that start ended and what it said. finished: after each start, when each finished run got its
    receipt, by its name, and when the `report` was written. The second start was killed with its whole process group.
    """

    folder: Path
    kernel: str
    papermill: str
    status: int
    message: str
    finished: list[dict[str, int]]


def survivor(folder: Path) -> Survivor:
    """Start a smoke reproduction in `folder`, kill it three times, and let it end."""

    def finished() -> dict[str, int]:
        proofs = [*folder.glob("runs/*/receipt.json"), *folder.glob("report/index.html")]
        return {path.parent.name: path.stat().st_mtime_ns for path in proofs}

    first, began = _start(folder)
    kernel = _training(first, folder, began)
    _kill(first, "ipykernel")
    papermill = _training(first, folder, began, but=kernel)
    _kill(first, "lvseg.cli notebook")
    status, message, after_first = first.wait(300), first.stderr.read(), finished()

    second, began = _start(folder)
    _training(second, folder, began)
    os.killpg(second.pid, signal.SIGKILL)
    second.wait()
    after_second = finished()

    last, _ = _start(folder)
    _, said = last.communicate(timeout=300)
    assert last.returncode == 0, said
    return Survivor(folder, kernel, papermill, status, message, [after_first, after_second, finished()])


def _start(folder: Path) -> tuple[subprocess.Popen, float]:
    """The command in a process group of its own, and the time before it began."""
    began = time.time()
    command = [sys.executable, "-m", "lvseg.cli", "reproduce", "--profile", "smoke", "--out", str(folder)]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, start_new_session=True, **quiet), began


def _training(process: subprocess.Popen, folder: Path, since: float, but: str = "", patience: float = 300) -> str:
    """The run, another one than `but`, in which a network has learned since then and kept its state."""
    deadline = time.monotonic() + patience
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr.read()
        for state in folder.glob("runs/*/state.npz"):
            if state.parent.name != but and state.stat().st_mtime > since:
                return state.parent.name
        time.sleep(0.05)
    raise TimeoutError(f"no network has learned in {patience} s")


def _kill(process: subprocess.Popen, words: str) -> None:
    """Kill the youngest process below this one whose command holds `words`."""
    for child in reversed(psutil.Process(process.pid).children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            if words in " ".join(child.cmdline()):
                child.kill()
                return
    raise LookupError(words)
