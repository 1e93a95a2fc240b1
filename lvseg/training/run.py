"""One experiment in one folder: train, resume exactly, evaluate, and end with a receipt.

A run is done when its receipt says so. A killed run goes on at the last step that was kept and ends as it would have
ended: the order of the data, the augmentation and the schedule follow from the seed and the step alone, and all else
that a step depends on (weights, moving averages, the optimiser's state) is kept every now and then.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lvseg
from lvseg import evaluation, files, machine
from lvseg.backend import keras
from lvseg.data import prepared, splits
from lvseg.data.source import open_source
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.inference import onnx_file
from lvseg.inference.segmenter import Segmenter
from lvseg.readers import Frame
from lvseg.training.fit import EachEpoch, fit, in_float32
from lvseg.training.folder import LOG, RECEIPT, system, valid_receipt, write_receipt
from lvseg.training.state import STATE, Report


def train(
    experiment: Experiment, folder: Path, report: Report = print, each_epoch: EachEpoch | None = None
) -> dict[str, Any]:
    """Train and evaluate `experiment` in `folder`; returns its receipt.

    A folder with a valid receipt of the same experiment on the same data is left as it is. `report` gets one line per
    epoch; `each_epoch` can look at the network as it learns. Raises `lvseg.DataError` for bad data, a full disk, or a
    folder that another process is writing or that holds another experiment; `lvseg.ConfigError` where training
    diverges.
    """
    frames = open_source(experiment.data)
    split, arrays = prepared.load(frames, experiment)  # bad data is refused before the folder is made
    data = prepared.checksum(frames, experiment)
    with files.locked(folder):
        if (done := valid_receipt(folder, experiment, data)) is not None:
            (folder / STATE).unlink(missing_ok=True)  # where a kill came between the two
            report(f"{folder.name}: done before, kept")
            return done
        _refuse_another(folder, experiment)

        def log(line: str) -> None:
            files.append_line(folder / LOG, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")

        def tell(line: str) -> None:
            log(line)
            report(line)

        log(f"start: process {os.getpid()}")
        try:
            receipt = _run(experiment, frames, split, arrays, data, folder, tell, each_epoch)
        except BaseException as error:
            with contextlib.suppress(DataError):  # on a full disk only the error itself is told
                log(f"end: {type(error).__name__}: {error}")
            raise
        log("end: done")
        return receipt


def _refuse_another(folder: Path, experiment: Experiment) -> None:
    """Raises `lvseg.DataError` where the folder's work, finished or not, would be lost to another experiment."""
    path = folder / "experiment.json"
    if path.exists() and Experiment.of(**files.read_json(path)) != experiment:
        raise DataError(f"{folder}: holds another experiment; choose another folder, or remove this one")


def _run(
    experiment: Experiment,
    frames: list[Frame],
    split: splits.Split,
    arrays: prepared.Arrays,
    data: str,
    folder: Path,
    report: Report,
    each_epoch: EachEpoch | None,
) -> dict[str, Any]:
    (folder / RECEIPT).unlink(missing_ok=True)
    files.write_json(folder / "experiment.json", experiment.model_dump())
    split.save(folder / "split.json")

    network = in_float32(fit(arrays, experiment, folder, report, each_epoch), experiment)
    machine.release_memory()  # that the compiled step took
    started = time.monotonic()
    with files.atomic(folder / "weights.keras") as temporary:
        network.save(temporary)
    onnx_file.to_onnx(network, folder / "weights.onnx")

    tested = [frame for frame in frames if frame.name in set(split.test)]
    table, masks = evaluation.evaluate(Segmenter(network.predict_on_batch, experiment).masks, tested)
    files.write_text(folder / "frames.csv", table.to_csv(index=False))
    with files.atomic(folder / "masks.npz") as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **masks)
    report(f"{folder.name}: Dice {table.dice.mean():.4f} on {len(table)} frames of {table.patient.nunique()} patients")

    training_seconds = pd.read_csv(folder / "history.csv").seconds.sum()  # of all starts
    facts = {
        "seed": experiment.seed,
        "arrays_sha256": arrays.sha256(),
        "environment": environment(),
        "parameters": network.count_params(),
        "seconds": round(training_seconds + time.monotonic() - started, 1),
        "starts": (folder / LOG).read_text(encoding="utf-8").count(" start: "),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    receipt = write_receipt(folder, experiment, data, facts)
    (folder / STATE).unlink(missing_ok=True)
    return receipt


def environment() -> dict[str, Any]:
    """What the numbers depend on besides the experiment: versions, backend, processor, cores."""
    backend = keras.backend.backend()
    return {
        "lvseg": lvseg.__version__,
        **system(),
        "keras": keras.__version__,
        "backend": backend,
        f"{backend}": importlib.import_module(backend).__version__,
        "numpy": np.__version__,
        "processor": machine.processor(),
        "cores": machine.cores(),
        "GPU": machine.gpu() or "none",
    }
