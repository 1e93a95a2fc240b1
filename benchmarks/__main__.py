"""Run all benchmarks, or the named ones; print a table and add the rows to `benchmarks/results.json`."""

from __future__ import annotations

import sys

from benchmarks import (
    batch_overhead,
    clahe,
    fuzz_readers,
    gpu,
    import_time,
    inference,
    metrics,
    notebook_memory,
    phantom,
    resume,
    train_step,
)
from benchmarks.table import publish

BENCHMARKS = {
    "batch_overhead": batch_overhead.measure,
    "clahe": clahe.measure,
    "fuzz_readers": fuzz_readers.measure,
    "gpu": gpu.measure,
    "import_time": import_time.measure,
    "inference": inference.measure,
    "metrics": metrics.measure,
    "notebook_memory": notebook_memory.measure,
    "phantom": phantom.measure,
    "resume": resume.measure,
    "train_step": train_step.measure,
}


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        sys.exit(f"benchmark {unknown[0]!r} doesn't exist; choose among: {', '.join(BENCHMARKS)}")
    for name in names:
        try:
            found = BENCHMARKS[name]()
            for row in [found] if isinstance(found, dict) else found:
                publish(row)
        except ImportError as error:
            sys.exit(f"benchmark {name} needs {error.name}; run: .venv/bin/pip install -e '.[bench]'")


main()
