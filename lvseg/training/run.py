"""One experiment in one folder: train, resume exactly, evaluate, and end with a receipt.

A run is done when its receipt says so. A killed run goes on at the last step that was kept and ends as it would have
ended: the order of the data, the augmentation and the schedule follow from the seed and the step alone, and all else
that a step depends on (weights, moving averages, the optimiser's state) is kept every now and then.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lvseg import evaluation, files, machine, networks
from lvseg.backend import keras
from lvseg.data.prepared import Arrays, Prepared
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.inference import onnx_file
from lvseg.inference.segmenter import Segmenter
from lvseg.training import folder as names
from lvseg.training.fit import EachEpoch, fit, in_float32
from lvseg.training.state import Say


def train(data: Prepared, folder: Path, say: Say = print, each_epoch: EachEpoch | None = None) -> dict[str, Any]:
    """Train and evaluate an experiment in `folder`, on its data as `lvseg.data.prepared.prepare` opened them.

    A folder with a valid receipt of the same experiment on the same data is left as it is. `say` gets one line per
    epoch; `each_epoch` can look at the network as it learns. Returns the receipt. Raises `lvseg.DataError` for a full
    disk, or a folder that another process is writing or that holds another experiment; `lvseg.ConfigError` where
    training diverges, or would leave a GPU unused (`machine.check_gpu`).
    """
    with files.locked(folder):
        if (done := names.valid_receipt(folder, data)) is not None:
            names.tidy(folder)  # where a kill came between the two
            say(f"{folder.name}: done before, kept")
            return done
        if names.experiment_in(folder) not in (None, data.experiment):
            raise DataError(f"{folder}: holds another experiment; choose another folder, or remove this one")
        machine.check_gpu()
        with _logged(folder, say) as tell:
            return _train(data, folder, tell, each_epoch)


@contextlib.contextmanager
def _logged(folder: Path, say: Say) -> Iterator[Say]:
    """Something to `say` lines with that go into the folder's log too, which tells how this start began and ended."""

    def log(line: str) -> None:
        files.append_line(folder / names.LOG, f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}")

    def tell(line: str) -> None:
        log(line)
        say(line)

    log(f"start: process {os.getpid()}")
    try:
        yield tell
    except BaseException as error:
        with contextlib.suppress(DataError):  # on a full disk only the error itself is told
            log(f"end: {type(error).__name__}: {error}")
        raise
    log("end: done")


def _train(data: Prepared, folder: Path, say: Say, each_epoch: EachEpoch | None) -> dict[str, Any]:
    experiment = data.experiment
    (folder / names.RECEIPT).unlink(missing_ok=True)
    files.write_json(folder / names.EXPERIMENT, experiment.model_dump())
    data.split.save(folder / names.SPLIT)

    trained, history = zip(
        *(_member(data.arrays, member, folder / name, say, each_epoch) for name, member in _members(experiment)),
        strict=True,
    )
    network = networks.mean(trained)
    if len(history) > 1:
        files.write_text(folder / names.HISTORY, files.csv_text(_together(history)))
    machine.release_memory()  # that the compiled step took
    started = time.monotonic()
    with files.atomic(folder / names.KERAS) as temporary:
        network.save(temporary)
    onnx_file.to_onnx(network, folder / names.ONNX)

    segment = Segmenter(network.predict_on_batch, experiment).masks
    table, masks = evaluation.evaluate(segment, data.tested, experiment.size)
    files.write_text(folder / names.SCORES, files.csv_text(table))
    with files.atomic(folder / names.MASKS) as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **masks)
    say(f"{folder.name}: Dice {table.dice.mean():.4f} on {len(table)} frames of {table.patient.nunique()} patients")

    training_seconds = pd.read_csv(folder / names.HISTORY).seconds.sum()  # of all starts
    facts = {
        "seed": experiment.seed,
        "sides": data.sides,
        "patients": data.patients,
        "arrays_sha256": data.arrays.sha256(),
        "skipped": list(data.skipped),
        "environment": environment(),
        "parameters": network.count_params(),
        "seconds": round(training_seconds + time.monotonic() - started, 1),
        "starts": (folder / names.LOG).read_text(encoding="utf-8").count(" start: "),
        "peak_memory_mb": machine.peak_memory_mb(),
    }
    receipt = names.write_receipt(folder, data, facts)
    names.tidy(folder)
    return receipt


def _members(experiment: Experiment) -> list[tuple[str, Experiment]]:
    """The experiment of each network of an ensemble, and the folder in the run's own that its training is kept in."""
    if experiment.members == 1:
        return [("", experiment)]
    first = experiment.seed * experiment.members
    alone = [experiment.model_copy(update={"members": 1, "seed": first + k}) for k in range(experiment.members)]
    return [(f"{names.MEMBER}{k}", member) for k, member in enumerate(alone, 1)]


def _member(
    arrays: Arrays, experiment: Experiment, folder: Path, say: Say, each_epoch: EachEpoch | None
) -> tuple[keras.Model, pd.DataFrame]:
    """A trained network and its history."""
    folder.mkdir(exist_ok=True)
    network = in_float32(fit(arrays, experiment, folder, say, each_epoch), experiment)
    return network, pd.read_csv(folder / names.HISTORY)


def _together(histories: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """The mean loss of several trainings by epoch, and the seconds that all of them took."""
    epochs = pd.concat(histories).groupby("epoch", as_index=False)
    return epochs.agg({"loss": "mean", "seconds": "sum"})


def environment() -> dict[str, Any]:
    """What the numbers depend on besides the experiment: the machine, and the versions that compute."""
    backend = keras.backend.backend()
    return {
        **machine.identity(),
        "keras": keras.__version__,
        "backend": backend,
        backend: importlib.import_module(backend).__version__,
        "numpy": np.__version__,
    }
