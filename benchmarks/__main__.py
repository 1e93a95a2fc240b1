"""Run all benchmarks, or the named ones; print a table and add the rows to `benchmarks/results.json`."""

from __future__ import annotations

import sys

from benchmarks import import_time, phantom
from benchmarks.table import publish

BENCHMARKS = {"import_time": import_time.measure, "phantom": phantom.measure}


def main() -> None:
    names = sys.argv[1:] or list(BENCHMARKS)
    if unknown := [name for name in names if name not in BENCHMARKS]:
        sys.exit(f"benchmark {unknown[0]!r} doesn't exist; choose among: {', '.join(BENCHMARKS)}")
    for name in names:
        publish(BENCHMARKS[name]())


main()
