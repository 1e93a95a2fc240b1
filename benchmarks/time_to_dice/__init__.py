"""Seconds from a cold start until a network outlines CAMUS's validation patients with a mean Dice of so much.

`python -m benchmarks time_to_dice`: three seeds of each system, in turns, about two hours on two cores; with names of
systems, only those (`python -m benchmarks.time_to_dice class_unet monai`). Each run is a process of its own that reads
and prepares all frames itself; imports count, scoring doesn't. Dice is taken at native resolution after each epoch.
Nothing is chosen by it: every recipe was fixed on other patients, or is its author's.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import import_module
from typing import Any

from benchmarks.real_data import CAMUS
from benchmarks.table import row
from lvseg.errors import DataError

TARGETS = (0.90, 0.92, 0.93, 0.935)
SEEDS = (0, 1, 2)
LIMIT_S = 900
SYSTEMS = {
    "class_unet": ("lvseg_side", "unet"),
    "class_resunet": ("lvseg_side", "resunet"),
    "class_improved": ("lvseg_side", "improved_resunet"),
    "long_unet": ("lvseg_side", "unet", "width=16", "epochs=60"),
    "plain_keras": ("plain_keras",),
    "monai": ("monai_side",),
}
"""Module and arguments of each: lvseg's class profile and a longer training, and what a competent user writes in an
hour in plain Keras or with MONAI."""


def measure(systems: tuple[str, ...] = tuple(SYSTEMS)) -> Iterator[dict[str, Any]]:
    """A row per target that any of our runs reached; ours is the first of `systems`.

    A run that ended without having reached the target counts with all its seconds, and `unreached` tells how many did;
    so where peers didn't, the ratio is an upper bound, and where one of ours didn't, there is none.
    """
    if not CAMUS.is_dir():
        raise DataError(f"{CAMUS}: CAMUS isn't there; set LVSEG_DATA to the folder that has camus in it")
    if "monai" in systems:
        import_module("monai")  # before hours of measuring, not after
    scores: dict[str, list[list[dict[str, float]]]] = {name: [] for name in systems}
    for seed in SEEDS:
        for name in systems:
            scores[name].append(_run(name, seed))
            last = scores[name][-1][-1]
            print(f"{name:16} seed {seed}: Dice {last['dice']:.4f} after {last['seconds']:.0f} s", flush=True)
    ours, *_ = systems
    ends = {
        name: [f"Dice {run[-1]['dice']} after {run[-1]['seconds']} s" for run in runs] for name, runs in scores.items()
    }
    for target in TARGETS:
        times = {name: [_reached(run, target) for run in runs] for name, runs in scores.items()}
        unreached = {name: sum(max(p["dice"] for p in run) < target for run in runs) for name, runs in scores.items()}
        values = {"lvseg": times.pop(ours), **times}
        found = row("time_to_dice", "s", values, case=f"{ours}, Dice {target}", unreached=unreached, ends=ends)
        if unreached[ours] < len(SEEDS):
            yield found | ({"ratio": None} if unreached[ours] else {})


def _reached(curve: list[dict[str, float]], target: float) -> float:
    """Seconds until the curve first reached the target, or all of it."""
    return next((point["seconds"] for point in curve if point["dice"] >= target), curve[-1]["seconds"])


def _run(system: str, seed: int) -> list[dict[str, float]]:
    """The points of one run: `seconds` and `dice` after each epoch."""
    module, *choices = SYSTEMS[system]
    command = [sys.executable, "-m", f"benchmarks.time_to_dice.{module}", str(seed), *choices]
    with tempfile.TemporaryDirectory() as nothing_cached:
        environment = {
            **os.environ,
            "LVSEG_CACHE": nothing_cached,
            "STARTED": str(time.time()),
            "TF_CPP_MIN_LOG_LEVEL": "3",
        }
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
