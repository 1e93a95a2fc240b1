"""Where training runs: this machine's cores, one device, or several, on TensorFlow and on JAX."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from lvseg import machine, networks
from lvseg.backend import keras, ops
from lvseg.data.batches import batches, order
from lvseg.data.prepared import Arrays, Batch
from lvseg.experiment import Experiment

Batches = Iterable[Batch]

RESIDENT_BYTES = 2**30
"""So much of a GPU's memory training frames may take: 8,000 of the paper's size. A full-width step has room beside."""


class Resident(Arrays):
    """Training frames in a GPU's memory, uint8 as before: a batch of them is picked and scaled there."""

    def batch(self, chosen: np.ndarray, channels: int) -> Batch:
        levels = np.arange(256, dtype=np.float32) / 255  # a table, since XLA's division by 255 isn't exact
        image, mask = (
            ops.take(levels, ops.cast(ops.take(side, chosen, axis=0), "int32"))[..., None]
            for side in (self.image, self.mask)
        )
        return ops.repeat(image, channels, axis=-1), mask


def prepare(experiment: Experiment, say: Callable[[str], None] = print) -> None:
    """Set TensorFlow up for the experiment; `fit` does it too, but may find that the process has used it before.

    On processors, each part of a batch gets its share of the cores (two cores: one thread each), an undivided batch all
    of them. On a GPU, memory is taken as it is needed, and operations are deterministic. Nothing is done on other
    backends.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    threads = max(machine.cores() // experiment.parts, 1) if experiment.parts > 1 else 0  # 0: all cores
    try:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(max(machine.cores(), experiment.parts))
    except RuntimeError:
        if tf.config.threading.get_intra_op_parallelism_threads() != threads:
            say("TensorFlow was in use with other threads, so training is slower: restart the process to mend it")
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # already in use
            tf.config.experimental.set_memory_growth(gpu, True)
        tf.config.experimental.enable_op_determinism()


def choose(experiment: Experiment, size: int) -> OneDevice:
    """As many of this machine's devices as share a batch of `size` images evenly."""
    backend = keras.backend.backend()
    alone = experiment.clip_norm or experiment.accumulate > 1 or experiment.parts > 1
    if backend == "tensorflow" and (alone or experiment.precision == "float16"):
        return OneDevice()  # Keras would clip, add up, divide or scale for each device by itself
    devices = keras.distribution.list_devices() if backend != "torch" else []
    count = max((n for n in range(1, len(devices) + 1) if size % n == 0), default=1)
    if count == 1:
        return _OneJaxDevice() if backend == "jax" else OneDevice()
    kind = _SeveralTensorFlowDevices if backend == "tensorflow" else _SeveralDevices
    return kind(devices[:count])


def _copy(network: keras.Model, experiment: Experiment) -> keras.Model:
    copy = networks.build(experiment)
    copy.set_weights(network.get_weights())
    return copy


class OneDevice:
    """Where training runs: one device, on any backend."""

    count = 1

    def __str__(self) -> str:
        return "1 device" if self.count == 1 else f"{self.count} devices"

    def scope(self) -> contextlib.AbstractContextManager:
        """What is made within can be trained on these devices."""
        return contextlib.nullcontext()

    def keep(self, arrays: Arrays, experiment: Experiment) -> Arrays:
        """The training frames in the GPU's memory, if there is one, they fit, and nothing is done to them before."""
        if machine.gpu() is None or experiment.augment != "none" or arrays.nbytes > RESIDENT_BYTES:
            return arrays
        return Resident(*(ops.convert_to_tensor(np.asarray(side)) for side in arrays.pick(slice(None))))

    def copy(self, network: keras.Model, experiment: Experiment) -> keras.Model:
        """The network to train in place of `network`: itself, unless that holds the mean of several epochs' weights, or
        the experiment's images are of another size than its own.
        """
        alike = network.input_shape[1] == experiment.size and not experiment.average
        return network if alike else _copy(network, experiment)

    def epoch(
        self, trainer: keras.Model, arrays: Arrays, experiment: Experiment, epoch: int, first_step: int = 0
    ) -> Iterator[list[float]]:
        """Take an epoch's steps with what `keep` gave; their losses, each time the weights are again the trainer's."""
        for loss in self.losses(trainer, batches(arrays, experiment, epoch, first_step)):
            yield [loss]

    def losses(self, trainer: keras.Model, batches: Batches) -> Iterator[float]:
        """Take a training step with each batch; its loss."""
        for images, labels in batches:
            yield float(np.asarray(trainer.train_on_batch(images, labels)))


Values = tuple[list[Any], list[Any], list[Any]]
"""Arrays of a trainer's trainable variables, the others, and the optimiser's."""


def variables(trainer: keras.Model) -> tuple[list, list, list]:
    """What a training step changes, in the order of `Values`."""
    return trainer.trainable_variables, trainer.non_trainable_variables, trainer.optimizer.variables


def values(trainer: keras.Model) -> Values:
    """The values of `variables` as arrays of the backend."""
    trainable, others, optimizer = ([variable.value for variable in side] for side in variables(trainer))
    return trainable, others, optimizer


def compiled_steps(trainer: keras.Model, channels: int) -> Callable:
    """Under JAX: many training steps as one call, since around each of Keras's own the host handles every variable.

    The function takes (values, frames, rows) to (values, losses): `Values`, whose memory it uses, `Resident` frames,
    and the frames that each step takes, int (steps, batch).
    """
    import jax

    untouched = [jax.numpy.zeros_like(variable.value) for variable in trainer.metrics_variables]

    def steps(before: Values, sides: tuple[Any, Any], rows: Any) -> tuple[Values, Any]:
        frames = Resident(*sides)

        def step(before: Values, chosen: Any) -> tuple[Values, Any]:
            found, (*after, _) = trainer.train_step((*before, untouched), frames.batch(chosen, channels))
            return tuple(after), found["loss"]

        return jax.lax.scan(step, before, rows)

    compiled = jax.jit(steps, donate_argnums=0)
    return lambda before, frames, rows: compiled(before, (frames.image, frames.mask), rows)


class _OneJaxDevice(OneDevice):
    """One device under JAX: an epoch of frames in its memory is one call."""

    def __init__(self) -> None:
        self._steps: Callable | None = None

    def epoch(
        self, trainer: keras.Model, arrays: Arrays, experiment: Experiment, epoch: int, first_step: int = 0
    ) -> Iterator[list[float]]:
        if not isinstance(arrays, Resident):
            yield from super().epoch(trainer, arrays, experiment, epoch, first_step)
            return
        rows = order(experiment, len(arrays), epoch)[first_step:]
        if not len(rows):  # killed between the last step and the epoch's end
            return
        self._steps = self._steps or compiled_steps(trainer, experiment.channels)
        after, losses = self._steps(values(trainer), arrays, rows)
        for side, found in zip(variables(trainer), after, strict=True):
            for variable, value in zip(side, found, strict=True):
                variable.assign(value)
        yield np.asarray(losses).tolist()


class _SeveralDevices(OneDevice):
    """Several devices, of which each takes its share of every batch, under JAX.

    A copy is trained: the network itself stays on one device, so that it can be used and saved as any other.
    """

    def __init__(self, devices: list[str]):
        self.count = len(devices)
        self.distribution = self._distribution(devices)

    def _distribution(self, devices: list[str]) -> Any:
        return keras.distribution.DataParallel(devices=devices)

    def scope(self) -> contextlib.AbstractContextManager:
        return self.distribution.scope()

    def keep(self, arrays: Arrays, experiment: Experiment) -> Arrays:
        return arrays  # each batch is divided among the devices as it comes

    def copy(self, network: keras.Model, experiment: Experiment) -> keras.Model:
        return _copy(network, experiment)

    def losses(self, trainer: keras.Model, batches: Batches) -> Iterator[float]:
        for images, labels in batches:
            with self.scope():
                value = trainer.train_on_batch(images, labels)
            yield float(np.asarray(value))


class _SeveralTensorFlowDevices(_SeveralDevices):
    """The same under TensorFlow, which has to be told that batch statistics are the whole batch's."""

    def _distribution(self, devices: list[str]) -> Any:
        import tensorflow as tf

        return tf.distribute.MirroredStrategy(devices, tf.distribute.ReductionToOneDevice())

    def copy(self, network: keras.Model, experiment: Experiment) -> keras.Model:
        copy = super().copy(network, experiment)
        for layer in copy.layers:
            if isinstance(layer, keras.layers.BatchNormalization):
                layer.synchronized = True
        return copy

    def losses(self, trainer: keras.Model, batches: Batches) -> Iterator[float]:
        import tensorflow as tf

        pixels = tf.TensorSpec((None, None, None, None))
        whole = tf.data.Dataset.from_generator(lambda: batches, output_signature=(pixels, pixels))
        trainer.make_train_function()  # `train_on_batch` would give every device the whole batch
        for shared in self.distribution.experimental_distribute_dataset(whole):
            trainer.reset_metrics()
            yield float(trainer.train_function(iter([shared]))["loss"])
