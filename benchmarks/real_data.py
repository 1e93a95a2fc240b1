"""Where real data lie for whoever has them: they are never part of the project."""

from __future__ import annotations

import os
from pathlib import Path

BESIDE = Path(__file__).resolve().parents[2] / "shared" / "data"
FOLDER = Path(os.environ.get("LVSEG_DATA", BESIDE))
"""The folder with the data sets: `LVSEG_DATA`, or `shared/data` beside the checkout."""
CAMUS = FOLDER / "camus"
CAMUS_MHD = FOLDER / "camus_mhd"
"""CAMUS's first release, as MetaImage files."""
