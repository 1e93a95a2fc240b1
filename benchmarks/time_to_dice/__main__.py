"""Named systems alone; see `benchmarks.time_to_dice`."""

import sys

from benchmarks.table import publish
from benchmarks.time_to_dice import SYSTEMS, measure

if unknown := [name for name in sys.argv[1:] if name not in SYSTEMS]:
    sys.exit(f"system {unknown[0]!r} doesn't exist; choose among: {', '.join(SYSTEMS)}")
for found in measure(tuple(sys.argv[1:]) or tuple(SYSTEMS)):
    publish(found)
