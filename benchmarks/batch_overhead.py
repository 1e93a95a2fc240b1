"""What the training loop adds to bare `train_on_batch` calls (order, augmentation, state, history), in percent."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.table import row
from lvseg import networks
from lvseg.data.batches import batches
from lvseg.data.prepared import Arrays, settled
from lvseg.experiment import Experiment
from lvseg.training import devices
from lvseg.training.fit import fit, precision_of, trainer_of


def measure(epochs: int = 9, steps: int = 50) -> dict[str, Any]:
    """Epochs of `fit` in turn with as many bare steps on batches made beforehand; class profile, smallest network."""
    experiment = settled(Experiment.of_profile("class", model="unet", epochs=epochs))
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (2, steps * experiment.batch, experiment.size, experiment.size), np.uint8)
    arrays = Arrays(*pixels)
    devices.prepare(experiment)
    with precision_of(experiment):
        bare = trainer_of(networks.build(experiment), experiment, experiment.batch, steps)
    ready = list(batches(arrays, experiment, epoch=1))
    bare.train_on_batch(*ready[0])
    percent: list[float] = []
    ended = [0.0]

    def compare(network, history) -> None:
        ours = time.perf_counter() - ended[0]
        started = time.perf_counter()
        for batch in ready:
            float(np.asarray(bare.train_on_batch(*batch)))
        theirs = time.perf_counter() - started
        if len(history) > 1:  # the first epoch compiles
            percent.append(100 * (ours / theirs - 1))
        ended[0] = time.perf_counter()

    with tempfile.TemporaryDirectory() as folder:
        fit(arrays, experiment, Path(folder), lambda line: None, compare)
    return row("batch_overhead", "% of a step", {"lvseg": percent})
