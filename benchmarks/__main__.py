"""Run all benchmarks (`gpu` only where there is one), or the named ones; print and keep their rows in `results.json`.

Questions that were answered once are in `studies`.
"""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.table import publish
from lvseg import machine
from lvseg.errors import LvsegError

BENCHMARKS = (
    "batch_overhead",
    "clahe",
    "fuzz_readers",
    "gpu",
    "import_time",
    "inference",
    "metrics",
    "notebook_memory",
    "phantom",
    "phantom_to_real",
    "resume",
    "time_to_dice",
    "train_step",
)
"""Each a module of this package with `measure()`, which gives one row or several; imported only when called."""


def main() -> None:
    names = sys.argv[1:] or [name for name in BENCHMARKS if name != "gpu" or machine.gpu()]
    if unknown := [name for name in names if name not in BENCHMARKS]:
        sys.exit(f"benchmark {unknown[0]!r} doesn't exist; choose among: {', '.join(BENCHMARKS)}")
    problems = []
    for name in names:
        try:
            found = import_module(f"benchmarks.{name}").measure()
            for row in [found] if isinstance(found, dict) else found:
                publish(row)
        except ImportError as error:
            problems.append(f"benchmark {name} needs {error.name}; run: .venv/bin/pip install -e '.[bench]'")
        except (LvsegError, RuntimeError) as error:
            problems.append(f"benchmark {name}: {error}")
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
