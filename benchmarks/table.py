"""A benchmark's row: our median beside the peers', from runs taken in turn, since machines are shared and noisy."""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lvseg import files

RESULTS = Path(__file__).parent / "results.json"


def in_turn(runs: Mapping[str, Callable[[], Any]], n: int) -> dict[str, list[float]]:
    """Seconds of each of `runs`, called in turn `n` times after one round that isn't counted."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(n + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if turn:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def row(name: str, unit: str, values: Mapping[str, list[float]], case: str = "", **facts: Any) -> dict[str, Any]:
    """A row of `results.json`; `values` has ours under `lvseg` and each peer's under its name, lower is better.

    case: which one, where a benchmark has several rows. facts: what else was measured. ratio: ours to the best peer's
    median; None without a peer. spread: the least and the most of ours.
    """
    medians = {who: statistics.median(numbers) for who, numbers in values.items()}
    ours = medians.pop("lvseg")
    return {
        "name": name,
        "case": case,
        "value": ours,
        "unit": unit,
        "peers": medians,
        "ratio": ours / min(medians.values()) if medians else None,
        "n": len(values["lvseg"]),
        "spread": [min(values["lvseg"]), max(values["lvseg"])],
        "machine": f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores",
        "commit": subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip(),
        **facts,
    }


def publish(found: dict[str, Any]) -> None:
    """Print a row and put it in `results.json`, in place of an older one of that name, case, machine and peers."""
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
    files.write_json(RESULTS, [*(older for older in kept if _key(older) != _key(found)), found])
    peers = ", ".join(f"{who} {value:.4g}" for who, value in found["peers"].items()) or "no peer"
    low, high = found["spread"]
    ours = f"{found['value']:.4g} {found['unit']} ({low:.4g} to {high:.4g}, n = {found['n']})"
    short = ", ".join(f"{who} {runs}" for who, runs in found.get("unreached", {}).items() if runs)
    never = f"; runs that never reached it: {short}" if short else ""
    print(f"{found['name']:14} {found['case']}: {ours}; {peers}{never}", flush=True)


def _key(found: dict[str, Any]) -> tuple:
    return found["name"], found.get("case", ""), found["machine"], sorted(found["peers"])
