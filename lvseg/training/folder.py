"""What lies in a run's folder: the names, the receipt that proves it is done, and how a finished run is read.

No other module names a file of a run. A folder of runs has a plan beside them.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvseg import files
from lvseg.data.prepared import Prepared
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment, NetworkConfig
from lvseg.inference.segmenter import Precision, Segmenter

EXPERIMENT, SPLIT = "experiment.json", "split.json"
"""Every choice, settled; and which frames train, are watched, and test."""
HISTORY, SCORES, MASKS = "history.csv", "frames.csv", "masks.npz"
"""Loss by epoch; a row of scores and a mask for each test frame, at native resolution."""
KERAS, ONNX = "weights.keras", "weights.onnx"
"""The trained network, for Keras and for everything else."""
OUTPUTS = (EXPERIMENT, SPLIT, HISTORY, KERAS, ONNX, SCORES, MASKS)
"""What a finished run's folder holds besides the receipt, which has a checksum of each."""
NUMBERS = (EXPERIMENT, HISTORY, SCORES)
"""What tables and curves are made of: enough to keep a run to look at, without its weights and masks."""
RECEIPT = "receipt.json"
"""The only proof that a run is done, written as its last act."""
STATE, MEMBER = "state.npz", "member_"
"""While it trains: what a killed training goes on from, of an ensemble in a folder for each network."""
LOG = "log.txt"
"""Each start, each epoch, and how the start ended. A start without an end was killed."""
PARAMETERS, NOTEBOOK = "parameters.json", "notebook.ipynb"
"""What notebook 05 was asked for, where it made the run, and the executed notebook."""
PLAN = "plan.json"
"""In a folder of runs: their names, in order, under `runs`."""


def write_receipt(folder: Path, data: Prepared, facts: Mapping[str, Any]) -> dict[str, Any]:
    """Write the receipt of a run whose outputs all lie in `folder`, with `facts` as they are; returns it."""
    receipt = {
        "fingerprint": data.experiment.fingerprint(),
        "data": data.checksum,
        **facts,
        "files": {name: files.sha256(folder / name) for name in OUTPUTS},
    }
    files.write_json(folder / RECEIPT, receipt)
    return receipt


def tidy(folder: Path) -> None:
    """Remove what a finished run no longer needs."""
    (folder / STATE).unlink(missing_ok=True)
    for member in folder.glob(f"{MEMBER}*"):
        shutil.rmtree(member)


def read_receipt(folder: Path, held: Sequence[str] = OUTPUTS) -> dict[str, Any] | None:
    """The receipt in `folder`; None where there is none or a file isn't what it was when the receipt was written.

    held: the files that are looked at; `NUMBERS` of a run that was kept without the others.
    """
    try:
        receipt = files.read_json(folder / RECEIPT)
        intact = all(files.sha256(folder / name) == receipt["files"][name] for name in held)
    except (DataError, OSError, KeyError, TypeError):
        return None
    return receipt if intact else None


def valid_receipt(folder: Path, data: Prepared) -> dict[str, Any] | None:
    """The receipt in `folder` if it is of this very experiment on these very data, else None."""
    receipt = read_receipt(folder)
    expected = (data.experiment.fingerprint(), data.checksum)
    return receipt if receipt and (receipt.get("fingerprint"), receipt.get("data")) == expected else None


def experiment_in(folder: Path) -> Experiment | None:
    """The experiment that `folder` holds, finished or not; None where it holds none.

    Raises `lvseg.DataError` where it was made by an lvseg whose choices were others.
    """
    path = folder / EXPERIMENT
    if not path.exists():
        return None
    try:
        return Experiment.of(**files.read_json(path))
    except (ConfigError, TypeError) as error:
        raise DataError(f"{path}: is of an lvseg with other choices ({error}); train that experiment anew") from None


def network_of(folder: Path) -> dict[str, Any]:
    """The choices by which another experiment has the network of a finished run, and starts with its weights.

    Raises `lvseg.DataError` where the run isn't finished.
    """
    experiment = Run.load(folder).experiment
    return {**experiment.model_dump(include=set(NetworkConfig.model_fields)), "start": str(folder / KERAS)}


def segmenter(folder: Path, precision: Precision = "float32") -> Segmenter:
    """The network of a finished run, to segment images with; raises as `Segmenter.load`."""
    return Segmenter.load(folder / ONNX, precision, choices=folder / EXPERIMENT)


@dataclass(frozen=True)
class Run:
    """A finished run: its experiment, receipt, per-frame scores and training history."""

    folder: Path
    experiment: Experiment
    receipt: dict[str, Any]
    scores: pd.DataFrame
    history: pd.DataFrame

    @classmethod
    def load(cls, folder: Path, held: Sequence[str] = OUTPUTS) -> Run:
        """Read a run's folder; raises `lvseg.DataError` where its receipt is missing or no longer holds for `held`."""
        receipt, experiment = read_receipt(folder, held), experiment_in(folder)
        if receipt is None or experiment is None:
            raise DataError(f"{folder}: has no valid receipt, so the run isn't finished; run it again")
        names = {"frame": str, "patient": str}  # a name may look like a number, or like "NA"
        scores = pd.read_csv(folder / SCORES, keep_default_na=False, na_values=[""], dtype=names)
        return cls(folder, experiment, receipt, scores, pd.read_csv(folder / HISTORY))

    def mask(self, frame: str) -> np.ndarray:
        """The mask that this run predicted for a test frame: bool (height, width)."""
        with np.load(self.folder / MASKS) as masks:
            return masks[frame]


def gather(runs: Path, held: Sequence[str] = OUTPUTS) -> list[Run]:
    """All runs of the plan in the folder `runs`, in its order; raises `lvseg.DataError` where one isn't finished."""
    return [Run.load(runs / name, held) for name in files.read_json(runs / PLAN)["runs"]]
