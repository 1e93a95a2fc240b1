"""A class-size training under random SIGKILLs: seconds of work that a kill loses, and proof that it changes nothing."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.table import row
from lvseg.training.folder import read_receipt

KILLS = 20


def measure() -> dict[str, Any]:
    """Kill a run `KILLS` times, let it end, and compare it with one that nobody killed."""
    with tempfile.TemporaryDirectory() as scratch:
        whole, killed = Path(scratch, "whole"), Path(scratch, "killed")
        _start(whole).wait()
        lost = _kill_at_random(killed)
        _start(killed).wait()
        for name in ("history.csv", "weights.keras", "frames.csv", "masks.npz"):
            if _content(whole, name) != _content(killed, name):
                raise RuntimeError(f"{name} is not the same after {len(lost)} kills")
        print(f"{len(lost)} kills, {read_receipt(killed)['starts']} starts of the training: the same bit for bit")
        return row("resume", "s lost per kill", {"lvseg": lost})


def _start(folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "lvseg.cli", "train", "--model", "unet", "--set", "epochs=24", "--out", folder]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL)


def _kill_at_random(folder: Path) -> list[float]:
    """SIGKILL runs in `folder` until one ends before its kill; seconds from the last kept state to each kill."""
    lost, moments = [], random.Random(0)
    while len(lost) < KILLS:
        process, started = _start(folder), time.time()
        try:
            process.wait(moments.uniform(2, 20))
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        state = folder / "state.npz"
        kept = state.stat().st_mtime if state.exists() else 0.0
        lost.append(time.time() - max(kept, started))
    return lost


def _content(folder: Path, name: str) -> Any:
    """What must be the same: of a history all but the seconds, of weights the arrays, of other files the bytes."""
    if name == "history.csv":
        return [line.rsplit(",", 1)[0] for line in (folder / name).read_text().splitlines()]
    if name == "weights.keras":
        from lvseg.backend import keras

        network = keras.saving.load_model(folder / name, compile=False)
        return [weight.tobytes() for weight in network.get_weights()]
    return read_receipt(folder)["files"][name]
