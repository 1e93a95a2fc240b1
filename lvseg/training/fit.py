"""Train one network on preprocessed frames, and go on exactly where a killed training was."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lvseg import files, losses, machine, networks
from lvseg.backend import keras
from lvseg.data import prepared
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
from lvseg.inference import keras_archive
from lvseg.training import devices
from lvseg.training.folder import HISTORY
from lvseg.training.state import History, Say, keep, restore, resume

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
    identity = f"{experiment.fingerprint()} {arrays.sha256()} {keras.backend.backend()}"
    progress = resume(folder, identity, say)
    started, due = time.monotonic() - progress.seconds, 0.0
    keras.utils.set_random_seed(experiment.seed)
    with precision_of(experiment):
        network = networks.build(experiment)
    if experiment.start:
        _begin_with(network, experiment)
    for stage in stages(experiment):
        if progress.epoch > stage.last:
            continue  # the state is of the next one, which began with what this one ended with
        learner = _Learner(network, stage.experiment, arrays)
        if progress.epoch >= stage.first:
            restore(folder, learner.variables)
        say(f"{folder.name}: {learner}; {progress}")
        for epoch in range(len(progress.history) + 1, stage.last + 1):
            for found in learner.steps(epoch, first_step=len(progress.losses)):
                _check_finite(found, f"epoch {epoch}", len(progress.losses), experiment, folder)
                progress.losses.extend(found)
                if not due:
                    machine.release_memory()  # that compiling the first step took
                if time.monotonic() > due:
                    progress.seconds = time.monotonic() - started
                    due = keep(folder, identity, learner.variables, progress)
            learner.follow(4 / (epoch - stage.first + 4) if experiment.average else 1.0)
            row = progress.end_epoch(time.monotonic() - started)
            files.write_text(folder / HISTORY, files.csv_text(pd.DataFrame(progress.history)))
            say(f"{folder.name}: epoch {epoch}/{experiment.epochs}  loss {row['loss']:.4f}  {row['seconds']:.1f} s")
            if each_epoch is not None:
                each_epoch(network, progress.history)
                machine.release_memory()
            started = time.monotonic()
        due = 0.0
    keep(folder, identity, learner.variables, progress)  # what follows may be killed too
    return network


class Stage(NamedTuple):
    """Epochs `first` to `last` of a training, with a schedule and a mean of weights of their own: an experiment of
    so many epochs, on images of its size.
    """

    experiment: Experiment
    first: int
    last: int


def stages(experiment: Experiment) -> list[Stage]:
    """The experiment's `first_epochs`, if it has some, and the others."""
    size, first, epochs = experiment.first_size, experiment.first_epochs, experiment.epochs
    whole = {"first_epochs": 0}
    others = experiment.model_copy(update={"epochs": epochs - first, **whole})
    if not first:
        return [Stage(others, 1, epochs)]
    return [
        Stage(experiment.model_copy(update={"epochs": first, "size": size, **whole}), 1, first),
        Stage(others, first + 1, epochs),
    ]


class _Learner:
    """`network` as a stage's experiment trains it: itself or a copy, on its images, compiled and on its devices."""

    def __init__(self, network: keras.Model, experiment: Experiment, arrays: prepared.Arrays):
        self.network, self.experiment = network, experiment
        size = min(experiment.batch, len(arrays))
        self.steps_per_epoch = len(arrays) // size
        self.place = devices.choose(experiment, size)
        with precision_of(experiment), self.place.scope():
            self.trained = self.place.copy(network, experiment)
            self.trainer = trainer_of(self.trained, experiment, size, self.steps_per_epoch)
        smaller = arrays if arrays.edge == experiment.size else replace(arrays, size=experiment.size)
        self.arrays = self.place.keep(smaller, experiment)

    def __str__(self) -> str:
        edge = self.experiment.size
        parameters = f"{self.network.count_params():,} parameters"
        return f"{parameters}, {self.steps_per_epoch} steps an epoch of {edge}x{edge} pixels on {self.place}"

    @property
    def variables(self) -> list:
        """Everything that the next step depends on, and the network that follows."""
        followers = self.network.variables if self.trained is not self.network else ()
        return [*self.trained.variables, *self.trainer.optimizer.variables, *followers]

    def steps(self, epoch: int, first_step: int) -> Iterator[list[float]]:
        """Take an epoch's steps; their losses, each time the weights are again in `variables`."""
        return self.place.epoch(self.trainer, self.arrays, self.experiment, epoch, first_step)

    def follow(self, share: float) -> None:
        """Move the network's weights towards those of its trained copy, by `share` of the way.

        With a share of 4 / (epoch + 3) they are a mean of all epochs so far in which the last quarter of them weighs
        two thirds: polynomial-decay averaging with eta = 3 (O. Shamir, T. Zhang, ICML 2013). Batch statistics are
        averaged too.
        """
        if self.trained is not self.network:
            pairs = zip(self.network.get_weights(), self.trained.get_weights(), strict=True)
            self.network.set_weights([new + (1 - share) * (old - new) for old, new in pairs])


def _begin_with(network: keras.Model, experiment: Experiment) -> None:
    """Give the network the weights that the experiment starts with; raises `lvseg.DataError` where they don't fit."""
    path, checksum = experiment.start.rsplit("#", 1)
    if not files.sha256(Path(path)).startswith(checksum):
        raise DataError(f"{path}: isn't what the experiment was made to start with; restore it, or name it anew")
    weights = keras_archive.load(Path(path)).get_weights()
    if [array.shape for array in weights] != [tuple(variable.shape) for variable in network.weights]:
        raise DataError(f"{path}: doesn't fit {experiment.model} of these choices; make those that it was trained with")
    network.set_weights(weights)


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
