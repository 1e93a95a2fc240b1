"""lvseg's own training step, on Keras's backend of the moment."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from lvseg import networks
from lvseg.backend import keras
from lvseg.experiment import Experiment
from lvseg.figures import graph
from lvseg.training import devices
from lvseg.training.fit import precision_of, trainer_of


def training_step(experiment: Experiment, images: np.ndarray, labels: np.ndarray) -> tuple[Callable[[], float], int]:
    """A function that takes one step and returns its loss; the network's multiply-adds per image, forward.

    The batch is in the device's memory, where training keeps its frames.
    """
    devices.prepare(experiment)
    place = devices.choose(experiment, 1)  # one
    with precision_of(experiment):
        network = networks.build(experiment)
        trainer = trainer_of(network, experiment, experiment.batch, steps_per_epoch=100)

    batch = keras.ops.convert_to_tensor(images), keras.ops.convert_to_tensor(labels)

    def step() -> float:
        return next(place.losses(trainer, [batch]))

    return step, int(graph.per_stage(network).multiply_adds.sum())


def matmul_flops(precision: str, size: int) -> float:
    """The device's rate in matrix products of this precision, operations per second: the best of ten."""
    a = keras.ops.ones((size, size), dtype=precision)
    seconds = []
    for _ in range(11):
        started = time.perf_counter()
        product = keras.ops.matmul(a, a)
        float(np.asarray(keras.ops.cast(product[0, 0], "float32")))
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


def peak_mib() -> float:
    """The most device memory that was in use; 0 on a processor."""
    if keras.backend.backend() == "jax":
        import jax

        return ((jax.devices()[0].memory_stats() or {}).get("peak_bytes_in_use", 0)) / 2**20
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    return 0.0


def device() -> str:
    from lvseg import machine

    return machine.gpu() or machine.processor()
