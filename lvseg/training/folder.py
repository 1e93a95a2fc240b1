"""What lies in a run's folder: names, the receipt that proves it is done, and how a finished run is read."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvseg import files
from lvseg.errors import DataError
from lvseg.experiment import Experiment

RECEIPT = "receipt.json"
OUTPUTS = ("experiment.json", "split.json", "history.csv", "weights.keras", "weights.onnx", "frames.csv", "masks.npz")
"""What a finished run's folder holds besides the receipt, which has a checksum of each."""


def write_receipt(folder: Path, experiment: Experiment, data: str, facts: dict[str, Any]) -> dict[str, Any]:
    """Write the receipt of a run whose outputs all lie in `folder`; returns it.

    data: `lvseg.data.prepared.checksum` of the experiment. facts: are added as they are.
    """
    receipt = {
        "fingerprint": experiment.fingerprint(),
        "data": data,
        **facts,
        "files": {name: files.sha256(folder / name) for name in OUTPUTS},
    }
    files.write_json(folder / RECEIPT, receipt)
    return receipt


def read_receipt(folder: Path) -> dict[str, Any] | None:
    """The receipt in `folder`; None where there is none or a file isn't what it was when the receipt was written."""
    try:
        receipt = files.read_json(folder / RECEIPT)
        intact = all(files.sha256(folder / name) == receipt["files"][name] for name in OUTPUTS)
    except (DataError, OSError, KeyError, TypeError):
        return None
    return receipt if intact else None


def valid_receipt(folder: Path, experiment: Experiment, data: str) -> dict[str, Any] | None:
    """The receipt in `folder` if it is of this very experiment on data of this `checksum`, else None."""
    receipt = read_receipt(folder)
    expected = (experiment.fingerprint(), data)
    return receipt if receipt and (receipt.get("fingerprint"), receipt.get("data")) == expected else None


def system() -> dict[str, str]:
    """The machine's system and Python, for receipts and reports."""
    return {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}


@dataclass(frozen=True)
class Run:
    """A finished run: its experiment, receipt, per-frame scores and training history."""

    folder: Path
    experiment: Experiment
    receipt: dict[str, Any]
    frames: pd.DataFrame
    history: pd.DataFrame

    @classmethod
    def load(cls, folder: Path) -> Run:
        """Read a run's folder; raises `lvseg.DataError` where its receipt is missing or no longer holds."""
        receipt = read_receipt(folder)
        if receipt is None:
            raise DataError(f"{folder}: has no valid receipt, so the run isn't finished; run it again")
        experiment = Experiment.of(**files.read_json(folder / "experiment.json"))
        names = {"frame": str, "patient": str}  # a name may look like a number, or like "NA"
        frames = pd.read_csv(folder / "frames.csv", keep_default_na=False, na_values=[""], dtype=names)
        return cls(folder, experiment, receipt, frames, pd.read_csv(folder / "history.csv"))

    def mask(self, frame: str) -> np.ndarray:
        """The mask that this run predicted for a test frame: bool (height, width)."""
        with np.load(self.folder / "masks.npz") as masks:
            return masks[frame]


def gather(folder: Path) -> list[Run]:
    """All runs of the plan in `folder`, in its order; raises `lvseg.DataError` where one isn't finished."""
    return [Run.load(folder / name) for name in files.read_json(folder / "plan.json")["runs"]]


LOG = "log.txt"
"""In a run's folder: each start, each epoch, and how the start ended. A start without an end was killed."""
