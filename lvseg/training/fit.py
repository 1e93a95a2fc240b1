"""Train one network on preprocessed frames, and go on exactly where a killed training was."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from lvseg import files, losses, machine, networks
from lvseg.backend import keras
from lvseg.data import prepared
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
from lvseg.training import devices
from lvseg.training.folder import HISTORY
from lvseg.training.state import History, Say, keep, resume

EachEpoch = Callable[[keras.Model, History], None]
"""Called after each epoch with the network as it is then, and the history."""


def fit(
    arrays: prepared.Arrays,
    experiment: Experiment,
    folder: Path,
    say: Say = print,
    each_epoch: EachEpoch | None = None,
) -> keras.Model:
    """Train a settled experiment on preprocessed frames; returns the network with the last epoch's weights, or a mean.

    Each batch is shared among the machine's devices. `folder` gets `history.csv` after each epoch, and every now and
    then the state from which a killed training goes on. Raises `lvseg.DataError` where there is nothing to learn,
    `lvseg.ConfigError` where training diverges.
    """
    _check(arrays)
    devices.prepare(experiment, say)
    started = time.monotonic()
    size = min(experiment.batch, len(arrays))
    steps = len(arrays) // size
    place = devices.choose(experiment, size)
    keras.utils.set_random_seed(experiment.seed)
    with precision_of(experiment):
        network = networks.build(experiment)
        with place.scope():
            trained = place.copy(network, experiment)
            trainer = trainer_of(trained, experiment, size, steps)
    identity = f"{experiment.fingerprint()} {arrays.sha256()} {keras.backend.backend()}"
    variables = [
        *trained.variables,
        *trainer.optimizer.variables,
        *(network.variables if trained is not network else ()),
    ]
    progress = resume(folder, identity, variables, say)
    started -= progress.seconds
    say(f"{folder.name}: {network.count_params():,} parameters, {steps} steps an epoch on {place}; {progress}")

    due, kept = 0.0, place.keep(arrays, experiment)
    for epoch in range(len(progress.history) + 1, experiment.epochs + 1):
        for found in place.epoch(trainer, kept, experiment, epoch, first_step=len(progress.losses)):
            _check_finite(found, f"epoch {epoch}", len(progress.losses), experiment, folder)
            progress.losses.extend(found)
            if not due:
                machine.release_memory()  # that compiling the first step took
            if time.monotonic() > due:
                progress.seconds = time.monotonic() - started
                due = keep(folder, identity, variables, progress)
        _follow(network, trained, 4 / (epoch + 3) if experiment.average else 1.0)
        row = progress.end_epoch(time.monotonic() - started)
        files.write_text(folder / HISTORY, pd.DataFrame(progress.history).to_csv(index=False))
        say(f"{folder.name}: epoch {epoch}/{experiment.epochs}  loss {row['loss']:.4f}  {row['seconds']:.1f} s")
        if each_epoch is not None:
            each_epoch(network, progress.history)
            machine.release_memory()
        started = time.monotonic()
    keep(folder, identity, variables, progress)  # what follows may be killed too
    return network


def _follow(network: keras.Model, trained: keras.Model, share: float) -> None:
    """Move the weights of `network` towards those of its trained copy, by `share` of the way.

    With a share of 4 / (epoch + 3) they are a mean of all epochs so far in which the last quarter of them weighs two
    thirds: polynomial-decay averaging with eta = 3 (O. Shamir, T. Zhang, ICML 2013). Batch statistics are averaged too.
    """
    if trained is not network:
        pairs = zip(network.get_weights(), trained.get_weights(), strict=True)
        network.set_weights([new + (1 - share) * (old - new) for old, new in pairs])


def _check(arrays: prepared.Arrays) -> None:
    if not len(arrays):
        raise DataError("there are no frames to train on; choose more data, or another split")
    if not any(arrays.pick(index)[1].any() for index in range(len(arrays))):
        raise DataError(f"not one of the {len(arrays)} frames to train on shows any LV; check their outlines")


def _check_finite(losses: list[float], epoch: str, before: int, experiment: Experiment, folder: Path) -> None:
    for step, value in enumerate(losses, before + 1):
        if not math.isfinite(value):
            where = f"{epoch}, step {step}"
            raise ConfigError(
                f"{folder.name}: the loss is {value} in {where}; choose a smaller rate than {experiment.rate}"
            )


def optimizer_of(experiment: Experiment, steps_per_epoch: int) -> keras.optimizers.Optimizer:
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


def trainer_of(network: keras.Model, experiment: Experiment, size: int, steps_per_epoch: int) -> keras.Model:
    """The network up to its logits, ready for `train_on_batch` with batches of `size`."""
    trainer = _side_by_side(networks.logits(network), size, math.gcd(size, experiment.parts))
    loss = losses.combined_loss(experiment.alpha, experiment.beta, reduction=experiment.cross_entropy)
    # TensorFlow has no deterministic gradient of max pooling that its compiler could use.
    trainer.compile(optimizer_of(experiment, steps_per_epoch), loss, jit_compile=keras.backend.backend() == "jax")
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
def precision_of(experiment: Experiment) -> Iterator[None]:
    """Layers made within compute in the experiment's precision; in float16 the loss is scaled, as Keras does it."""
    usual = keras.config.dtype_policy()
    mixed = experiment.precision != "float32"
    keras.config.set_dtype_policy(f"mixed_{experiment.precision}" if mixed else "float32")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(usual)


def in_float32(network: keras.Model, experiment: Experiment) -> keras.Model:
    """The network as it is scored, saved and used: with float32 activations, whatever it was trained with."""
    if experiment.precision == "float32":
        return network
    exact = networks.build(experiment)
    exact.set_weights(network.get_weights())
    return exact
