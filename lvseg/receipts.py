"""The receipt of a finished run: the only proof that it is done, written as its last act."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from lvseg import files
from lvseg.errors import DataError
from lvseg.profiles import Experiment

NAME = "receipt.json"
OUTPUTS = ("experiment.json", "split.json", "history.csv", "weights.keras", "weights.onnx", "frames.csv", "masks.npz")
"""What a finished run's folder holds besides the receipt, which has a checksum of each."""


def write(folder: Path, experiment: Experiment, data: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the receipt of a run whose outputs all lie in `folder`; returns it.

    data: `lvseg.dataset.checksum` of the experiment. facts: are added as they are.
    """
    receipt = {
        "fingerprint": experiment.fingerprint(),
        "data": data,
        **facts,
        "files": {name: files.sha256(folder / name) for name in OUTPUTS},
    }
    files.write_json(folder / NAME, receipt)
    return receipt


def read(folder: Path) -> dict[str, Any] | None:
    """The receipt in `folder`; None where there is none or a file isn't what it was when the receipt was written."""
    try:
        receipt = files.read_json(folder / NAME)
        intact = all(files.sha256(folder / name) == receipt["files"][name] for name in OUTPUTS)
    except (DataError, OSError, KeyError, TypeError):
        return None
    return receipt if intact else None


def valid(folder: Path, experiment: Experiment, data: str) -> dict[str, Any] | None:
    """The receipt in `folder` if it is of this very experiment on data of this `lvseg.dataset.checksum`, else None."""
    receipt = read(folder)
    expected = (experiment.fingerprint(), data)
    return receipt if receipt and (receipt.get("fingerprint"), receipt.get("data")) == expected else None


def system() -> dict[str, str]:
    """The machine's system and Python, for receipts and reports."""
    return {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
