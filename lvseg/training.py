"""One experiment in one folder: train, resume exactly, evaluate, and end with a receipt.

A run is done when its receipt says so. A killed run starts again at its last finished epoch and ends as it would have
ended: the order of the data, the augmentation and the schedule follow from the seed and the step alone, and weights
and the optimiser's state are kept after every epoch.
"""

from __future__ import annotations

import csv
import hashlib
import io
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import lvseg
from lvseg import dataset, evaluation, files, losses, networks, receipts
from lvseg.backend import keras
from lvseg.errors import ConfigError
from lvseg.prediction import Segmenter
from lvseg.profiles import Experiment
from lvseg.readers import Frame, open_source


def run(experiment: Experiment, folder: Path, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Train and evaluate `experiment` in `folder`; returns its receipt.

    A folder with a valid receipt of the same experiment on the same data is left as it is. `report` gets one line per
    epoch. Raises `lvseg.DataError` for bad data or a folder that another process is writing, `lvseg.ConfigError`
    where training diverges.
    """
    frames = open_source(experiment.data)
    split, arrays = dataset.load(frames, experiment)  # bad data is refused before the folder is made
    with files.locked(folder):
        if (done := receipts.valid(folder, experiment, frames)) is not None:
            report(f"{folder.name}: done before, kept")
            return done
        return _run(experiment, frames, split, arrays, folder, report)


def _run(
    experiment: Experiment,
    frames: list[Frame],
    split: dataset.Split,
    arrays: dataset.Arrays,
    folder: Path,
    report: Callable[[str], None],
) -> dict[str, Any]:
    started = time.time()
    (folder / receipts.NAME).unlink(missing_ok=True)
    files.write_json(folder / "experiment.json", experiment.model_dump())
    split.save(folder / "split.json")

    network = fit(arrays, experiment, folder, report)
    with files.atomic(folder / "weights.keras") as temporary:
        network.save(temporary)

    tested = [frame for frame in frames if frame.name in set(split.test)]
    table, masks = evaluation.evaluate(Segmenter(network, experiment).masks, tested)
    files.write_text(folder / "frames.csv", table.to_csv(index=False))
    with files.atomic(folder / "masks.npz") as temporary:
        np.savez_compressed(temporary, allow_pickle=False, **masks)
    report(f"{folder.name}: Dice {table.dice.mean():.4f} on {len(table)} frames of {table.patient.nunique()} patients")

    facts = {
        "arrays_sha256": hashlib.sha256(arrays.image.tobytes() + arrays.mask.tobytes()).hexdigest(),
        "environment": environment(),
        "parameters": network.count_params(),
        "seconds": round(time.time() - started, 1),
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }
    receipt = receipts.write(folder, experiment, frames, facts)
    (folder / _STATE).unlink(missing_ok=True)
    return receipt


def fit(
    arrays: dataset.Arrays, experiment: Experiment, folder: Path, report: Callable[[str], None] = print
) -> keras.Model:
    """Train the experiment's network on preprocessed frames; returns it with its last epoch's weights (U14).

    After each epoch `folder` gets `history.csv` (epoch, loss, seconds) and the state from which to go on.
    """
    keras.utils.set_random_seed(experiment.seed)
    network = networks.build(experiment)
    trainer = networks.logits(network)
    steps = max(len(arrays.image) // experiment.batch, 1)
    optimizer = _optimizer(experiment, steps)
    # Built before the first step: TensorFlow would trace the step twice otherwise, once to make the variables.
    optimizer.build(trainer.trainable_variables)
    loss = losses.combined_loss(experiment.alpha, experiment.beta, reduction=experiment.cross_entropy)
    trainer.compile(optimizer, loss, jit_compile=keras.backend.backend() == "jax")

    history = _resume(folder, experiment, network, optimizer)
    if not history:
        report(
            f"{folder.name}: {network.count_params():,} parameters, {steps} steps an epoch; compiling the first step"
        )
    for epoch in range(len(history) + 1, experiment.epochs + 1):
        started = time.time()
        step_losses = []
        for images, labels in dataset.batches(arrays, experiment, epoch):
            trainer.reset_metrics()
            step_losses.append(float(np.asarray(trainer.train_on_batch(images, labels))))
        value = float(np.mean(step_losses))
        if not np.isfinite(value):
            raise ConfigError(
                f"{folder.name}: the loss is {value} in epoch {epoch}; choose a smaller rate than {experiment.rate}"
            )
        history.append({"epoch": epoch, "loss": value, "seconds": round(time.time() - started, 2)})
        _keep(folder, experiment, network, optimizer, history)
        report(f"{folder.name}: epoch {epoch}/{experiment.epochs}  loss {value:.4f}  {history[-1]['seconds']:.1f} s")
    return network


def _optimizer(experiment: Experiment, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Adam, as the paper says; with a schedule, weight decay and clipped gradients where the profile asks for them."""
    rate: Any = experiment.rate
    if experiment.schedule == "warmup_cosine":
        total = steps_per_epoch * experiment.epochs
        warmup = max(total // 10, 1)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 20, max(total - warmup, 1), alpha=1e-3, warmup_target=rate, warmup_steps=warmup
        )
    clip = experiment.clip_norm or None
    if experiment.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=experiment.weight_decay, global_clipnorm=clip)
    return keras.optimizers.Adam(rate, global_clipnorm=clip)


_STATE = "state.npz"


def _keep(folder: Path, experiment: Experiment, network, optimizer, history: list[dict[str, Any]]) -> None:
    """Keep everything that the next epoch depends on, then the history for people to read."""
    variables = [*network.variables, *optimizer.variables]
    state = {f"v{i}": keras.ops.convert_to_numpy(variable.value) for i, variable in enumerate(variables)}
    rows = _csv(history)
    with files.atomic(folder / _STATE) as temporary:
        np.savez(temporary, fingerprint=experiment.fingerprint(), history=rows, **state)
    files.write_text(folder / "history.csv", rows)


def _resume(folder: Path, experiment: Experiment, network, optimizer) -> list[dict[str, Any]]:
    """Load the state of a killed run of this very experiment into network and optimiser; the epochs it had finished."""
    path = folder / _STATE
    if not path.exists():
        return []
    with np.load(path) as state:
        if str(state["fingerprint"]) != experiment.fingerprint():
            return []
        for i, variable in enumerate([*network.variables, *optimizer.variables]):
            variable.assign(state[f"v{i}"])
        rows = csv.DictReader(io.StringIO(str(state["history"])))
        return [{"epoch": int(r["epoch"]), "loss": float(r["loss"]), "seconds": float(r["seconds"])} for r in rows]


def _csv(rows: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, rows[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def environment() -> dict[str, Any]:
    """What the numbers depend on besides the experiment: versions, backend, processor, cores."""
    return {
        "lvseg": lvseg.__version__,
        **receipts.system(),
        "keras": keras.__version__,
        "backend": keras.backend.backend(),
        "numpy": np.__version__,
        "cores": len(os.sched_getaffinity(0)),
    }
