"""A whole reproduction on each pretended system (`make test-systems`; `make test` leaves it out for its time)."""

from __future__ import annotations

import json

from tests.support import lvseg
from tests.test_portability import SYSTEMS, on


@SYSTEMS
def test_the_reproduction_ends_with_the_same_tables(system, reproduction, tmp_path):
    done = lvseg("reproduce", "--profile", "smoke", "--out", tmp_path, env=on(system))
    assert done.returncode == 0, done.stderr + (tmp_path / "runs" / "snakemake.log").read_text(errors="replace")[-3000:]
    here, there = (json.loads((out / "report" / "results.json").read_text("utf-8")) for out in (reproduction, tmp_path))
    for part in ("table1", "table2", "claims"):
        assert here[part] == there[part], part
    assert {"windows": "Windows", "macos": "Darwin"}[system] in there["environment"]["system"]
