"""Seconds that `import lvseg` takes in a fresh process, beside NumPy and Keras."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.table import row


def measure(n: int = 7):
    values: dict[str, list[float]] = {"lvseg": [], "numpy": [], "keras": []}
    for _ in range(n):
        for name, seconds in values.items():
            code = f"import time; start = time.perf_counter(); import {name}; print(time.perf_counter() - start)"
            done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
            seconds.append(float(done.stdout))
    return row("import_time", "s", values)
