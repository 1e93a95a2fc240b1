"""One experiment in one folder: train, resume exactly, evaluate, and end with a receipt.

A run is done when its receipt says so. A killed run goes on at the last step that was kept and ends as it would have
ended: the order of the data, the augmentation and the schedule follow from the seed and the step alone, and all else
that a step depends on (weights, moving averages, the optimiser's state) is kept every now and then.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import resource
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import lvseg
from lvseg import dataset, devices, evaluation, exporting, files, losses, machine, networks, receipts
from lvseg.backend import keras
from lvseg.errors import ConfigError, DataError
from lvseg.prediction import Segmenter
from lvseg.profiles import Experiment
from lvseg.readers import Frame, open_source

LOG = "log.txt"
"""In a run's folder: each start, each epoch, and how the start ended. A start without an end was killed."""

Report = Callable[[str], None]
History = list[dict[str, Any]]
"""A row per finished epoch: `epoch` from 1, `loss` (the mean over its steps), `seconds`."""
EachEpoch = Callable[[keras.Model, History], None]
"""Called after each epoch with the network as it is then, and the history."""


def run(
    experiment: Experiment, folder: Path, report: Report = print, each_epoch: EachEpoch | None = None
) -> dict[str, Any]:
    """Train and evaluate `experiment` in `folder`; returns its receipt.

    A folder with a valid receipt of the same experiment on the same data is left as it is. `report` gets one line per
    epoch; `each_epoch` can look at the network as it learns. Raises `lvseg.DataError` for bad data, a full disk, or a
    folder that another process is writing or that holds another experiment; `lvseg.ConfigError` where training
    diverges.
    """
    frames = open_source(experiment.data)
    split, arrays = dataset.load(frames, experiment)  # bad data is refused before the folder is made
    data = dataset.checksum(frames, experiment)
    with files.locked(folder):
        if (done := receipts.valid(folder, experiment, data)) is not None:
            (folder / _STATE).unlink(missing_ok=True)  # where a kill came between the two
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
    split: dataset.Split,
    arrays: dataset.Arrays,
    data: str,
    folder: Path,
    report: Report,
    each_epoch: EachEpoch | None,
) -> dict[str, Any]:
    (folder / receipts.NAME).unlink(missing_ok=True)
    files.write_json(folder / "experiment.json", experiment.model_dump())
    split.save(folder / "split.json")

    network = _in_float32(fit(arrays, experiment, folder, report, each_epoch), experiment)
    machine.release_memory()  # that the compiled step took
    started = time.monotonic()
    with files.atomic(folder / "weights.keras") as temporary:
        network.save(temporary)
    exporting.to_onnx(network, folder / "weights.onnx")

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
    receipt = receipts.write(folder, experiment, data, facts)
    (folder / _STATE).unlink(missing_ok=True)
    return receipt


def fit(
    arrays: dataset.Arrays,
    experiment: Experiment,
    folder: Path,
    report: Report = print,
    each_epoch: EachEpoch | None = None,
) -> keras.Model:
    """Train the experiment's network on preprocessed frames; returns it with its last epoch's weights, or a mean (U14).

    Each batch is shared among the machine's devices. `folder` gets `history.csv` after each epoch, and every now and
    then the state from which a killed training goes on. Raises `lvseg.DataError` where there is nothing to learn,
    `lvseg.ConfigError` where training diverges.
    """
    _check(arrays)
    devices.prepare(experiment, report)
    started = time.monotonic()
    size = min(experiment.batch, len(arrays.image))
    steps = len(arrays.image) // size
    place = devices.choose(experiment, size)
    keras.utils.set_random_seed(experiment.seed)
    with _precision(experiment):
        network = networks.build(experiment)
        with place.scope():
            trained = place.copy(network, experiment)
            trainer = _trainer(trained, experiment, size, steps)
    identity = f"{experiment.fingerprint()} {arrays.sha256()} {keras.backend.backend()}"
    variables = [
        *trained.variables,
        *trainer.optimizer.variables,
        *(network.variables if trained is not network else ()),
    ]
    progress = _resume(folder, identity, variables, report)
    started -= progress.seconds
    report(f"{folder.name}: {network.count_params():,} parameters, {steps} steps an epoch on {place}; {progress}")

    due, kept = 0.0, place.keep(arrays, experiment)
    for epoch in range(len(progress.history) + 1, experiment.epochs + 1):
        batches = dataset.batches(kept, experiment, epoch, first_step=len(progress.losses))
        for value in place.losses(trainer, batches):
            progress.losses.append(value)
            if not due:
                machine.release_memory()  # that compiling the first step took
            if not math.isfinite(value):
                where = f"epoch {epoch}, step {len(progress.losses)}"
                raise ConfigError(
                    f"{folder.name}: the loss is {value} in {where}; choose a smaller rate than {experiment.rate}"
                )
            if time.monotonic() > due:
                progress.seconds = time.monotonic() - started
                due = _keep(folder, identity, variables, progress)
        _follow(network, trained, 4 / (epoch + 3) if experiment.average else 1.0)
        row = progress.end_epoch(time.monotonic() - started)
        files.write_text(folder / "history.csv", pd.DataFrame(progress.history).to_csv(index=False))
        report(f"{folder.name}: epoch {epoch}/{experiment.epochs}  loss {row['loss']:.4f}  {row['seconds']:.1f} s")
        if each_epoch is not None:
            each_epoch(network, progress.history)
            machine.release_memory()
        started = time.monotonic()
    _keep(folder, identity, variables, progress)  # what follows may be killed too
    return network


def _follow(network: keras.Model, trained: keras.Model, share: float) -> None:
    """Move the weights of `network` towards those of its trained copy, by `share` of the way.

    With a share of 4 / (epoch + 3) they are a mean of all epochs so far in which the last quarter of them weighs two
    thirds: polynomial-decay averaging with eta = 3 (O. Shamir, T. Zhang, ICML 2013). Batch statistics are averaged too.
    """
    if trained is not network:
        pairs = zip(network.get_weights(), trained.get_weights(), strict=True)
        network.set_weights([new + (1 - share) * (old - new) for old, new in pairs])


def _check(arrays: dataset.Arrays) -> None:
    if not len(arrays.image):
        raise DataError("there are no frames to train on; choose more data, or another split")
    if not arrays.mask.any():
        raise DataError(f"not one of the {len(arrays.mask)} frames to train on shows any LV; check their outlines")


def _optimizer(experiment: Experiment, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Adam, as the paper says; with a schedule, weight decay and clipped gradients where the profile asks for them."""
    rate: Any = experiment.rate
    if experiment.schedule == "warmup_cosine":
        total = steps_per_epoch * experiment.epochs
        warmup = max(total // 10, 1)
        rate = keras.optimizers.schedules.CosineDecay(
            rate / 20, max(total - warmup, 1), alpha=experiment.decay_to, warmup_target=rate, warmup_steps=warmup
        )
    choices = {
        "global_clipnorm": experiment.clip_norm or None,
        "gradient_accumulation_steps": experiment.accumulate if experiment.accumulate > 1 else None,
    }
    if experiment.weight_decay:
        return keras.optimizers.AdamW(rate, weight_decay=experiment.weight_decay, **choices)
    return keras.optimizers.Adam(rate, **choices)


def _trainer(network: keras.Model, experiment: Experiment, size: int, steps_per_epoch: int) -> keras.Model:
    """The network up to its logits, ready for `train_on_batch` with batches of `size`."""
    trainer = _side_by_side(networks.logits(network), size, math.gcd(size, experiment.parts))
    loss = losses.combined_loss(experiment.alpha, experiment.beta, reduction=experiment.cross_entropy)
    # TensorFlow has no deterministic gradient of max pooling that its compiler could use.
    trainer.compile(_optimizer(experiment, steps_per_epoch), loss, jit_compile=keras.backend.backend() == "jax")
    # Built before the first step: TensorFlow would trace the step twice otherwise, once to make the variables.
    trainer.optimizer.build(trainer.trainable_variables)
    return trainer


def _side_by_side(network: keras.Model, size: int, parts: int) -> keras.Model:
    """The network applied to each of `parts` of a batch by itself: branches of one graph, which cores can share."""
    if parts == 1:
        return network
    images = keras.Input(batch_shape=(size, *network.input_shape[1:]))
    outputs = [network(part) for part in keras.ops.split(images, parts)]
    return keras.Model(images, keras.ops.concatenate(outputs))


@contextlib.contextmanager
def _precision(experiment: Experiment) -> Iterator[None]:
    """Layers made within compute in the experiment's precision; in float16 the loss is scaled, as Keras does it."""
    usual = keras.config.dtype_policy()
    mixed = experiment.precision != "float32"
    keras.config.set_dtype_policy(f"mixed_{experiment.precision}" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


def _in_float32(network: keras.Model, experiment: Experiment) -> keras.Model:
    """The network as it is scored, saved and used: with float32 activations, whatever it was trained with."""
    if experiment.precision == "float32":
        return network
    exact = networks.build(experiment)
    exact.set_weights(network.get_weights())
    return exact


# What a killed training goes on from


_STATE = "state.npz"
_SHARE = 100
"""The state is kept again after so many times as long as keeping it took: it costs a hundredth of the time."""


@dataclass
class _Progress:
    """How far a training is: its finished epochs, then the losses of the next one's steps so far and their seconds."""

    history: History = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def end_epoch(self, seconds: float) -> dict[str, Any]:
        row = {"epoch": len(self.history) + 1, "loss": float(np.mean(self.losses)), "seconds": round(seconds, 2)}
        self.history, self.losses, self.seconds = [*self.history, row], [], 0.0
        return row

    def __str__(self) -> str:
        if not self.history and not self.losses:
            return "compiling the first step"
        return f"going on after epoch {len(self.history)} and {len(self.losses)} steps"


def _keep(folder: Path, identity: str, variables: list, progress: _Progress) -> float:
    """Keep everything that the next step depends on; returns the time at which to do it again."""
    started = time.monotonic()
    state = {f"v{i}": keras.ops.convert_to_numpy(variable.value) for i, variable in enumerate(variables)}
    with files.atomic(folder / _STATE) as temporary:
        np.savez(temporary, identity=identity, progress=json.dumps(asdict(progress)), **state)
    return time.monotonic() + _SHARE * (time.monotonic() - started)


def _resume(folder: Path, identity: str, variables: list, report: Report) -> _Progress:
    """Load the state that a killed training of the same identity left into `variables`; how far it was."""
    path = folder / _STATE
    try:
        with np.load(path) as state:
            if str(state["identity"]) != identity:
                report(f"{folder.name}: {path.name} is of other choices, data or backend; training from the beginning")
                return _Progress()
            for i, variable in enumerate(variables):
                variable.assign(state[f"v{i}"])
            return _Progress(**json.loads(str(state["progress"])))
    except FileNotFoundError:
        return _Progress()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: can't be read ({error}); remove it to train from the beginning") from None


def environment() -> dict[str, Any]:
    """What the numbers depend on besides the experiment: versions, backend, processor, cores."""
    backend = keras.backend.backend()
    return {
        "lvseg": lvseg.__version__,
        **receipts.system(),
        "keras": keras.__version__,
        "backend": backend,
        f"{backend}": importlib.import_module(backend).__version__,
        "numpy": np.__version__,
        "processor": machine.processor(),
        "cores": machine.cores(),
        "GPU": machine.gpu() or "none",
    }
