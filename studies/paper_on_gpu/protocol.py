"""Train a network by the paper's protocol in pieces of many steps, go on after a stop, and score it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import jax
import numpy as np
import pandas as pd

from lvseg import evaluation, files, networks
from lvseg.backend import keras
from lvseg.data import batches
from lvseg.data.prepared import Arrays, to_network
from lvseg.experiment import Experiment
from lvseg.figures import graph
from lvseg.results import statistics
from lvseg.training import devices
from lvseg.training.fit import precision_of, trainer_of
from studies.paper_on_gpu.data import Data, Outlined
from studies.paper_on_gpu.quick import quick

PIECE = 100
"""Steps in one call of the device: a second's work, so that the host costs nothing and a stop loses little."""


class Method:
    """One network's compiled steps and forward pass, which serve every data set.

    layers: `quick`, or `stock` for Keras's own pooling and upsampling.
    """

    def __init__(self, experiment: Experiment, layers: str = "quick"):
        self.experiment = experiment
        self.layers = layers
        self.start()  # draws weights that are not used
        self.steps = devices.compiled_steps(self.trainer, experiment.channels)
        exact = networks.build(experiment)  # float32, as lvseg scores
        self.multiply_adds, self.convolved = _work(exact)
        self.parameters = exact.count_params()

        def forward(trainable, others, images):
            return exact.stateless_call(trainable, others, images, training=False)[0]

        self.forward = jax.jit(forward)

    def start(self) -> devices.Values:
        """The state before the first step, as `lvseg.training.fit.fit` begins."""
        keras.utils.set_random_seed(self.experiment.seed)
        with precision_of(self.experiment):
            network = networks.build(self.experiment)
            if self.layers == "quick":
                network = quick(network)
            self.trainer = trainer_of(network, self.experiment, self.experiment.batch, steps_per_epoch=1)
        return devices.values(self.trainer)


def _work(network: keras.Model) -> tuple[int, int]:
    """A forward pass's multiply-adds, and the number of values that its convolutions write, of one image."""
    made = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(map(graph.multiply_adds, made)), sum(math.prod(layer.output.shape[1:]) for layer in made)


def resident(arrays: Arrays, frames: int) -> devices.Resident:
    """The frames in the device's memory, with black ones behind them up to so many: one program for all data sets."""
    more = ((0, frames - len(arrays)), (0, 0), (0, 0))
    return devices.Resident(*(keras.ops.convert_to_tensor(np.pad(side, more)) for side in arrays.pick(slice(None))))


@dataclass
class Training:
    """How far a training is. seconds: of each piece, on all starts; the first one of a process compiles."""

    state: devices.Values
    losses: list[float]
    seconds: list[float]

    def save(self, path: Path) -> None:
        leaves = {f"v{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(self.state))}
        with files.atomic(path) as temporary:
            np.savez(temporary, losses=self.losses, seconds=self.seconds, **leaves)

    @classmethod
    def begin(cls, method: Method, path: Path) -> Training:
        """At the beginning, or where `save` left it."""
        state = method.start()
        if not path.exists():
            return cls(state, [], [])
        with np.load(path) as stored:
            leaves, tree = jax.tree.flatten(state)
            kept = [jax.numpy.asarray(stored[f"v{i}"]) for i in range(len(leaves))]
            return cls(jax.tree.unflatten(tree, kept), stored["losses"].tolist(), stored["seconds"].tolist())


def order(experiment: Experiment, frames: int) -> np.ndarray:
    """The frames that each step of the whole protocol takes, int (steps, batch)."""
    return np.concatenate([batches.order(experiment, frames, epoch) for epoch in range(1, experiment.epochs + 1)])


def train(method: Method, data: Data, frames: int, experiment: Experiment, folder: Path, deadline: float) -> Iterator:
    """Yields the `Training` after each piece of steps; ends with the protocol, or saved at the deadline (monotonic).

    frames: as `resident` takes it. `history.csv` is written when all epochs are done.
    """
    done = Training.begin(method, folder / "state.npz")
    kept = resident(data.train, frames)
    rows = order(experiment, len(data.train))
    ahead = None  # the device's next piece is always under way while the host looks at the last one
    asked, at = len(done.losses), time.monotonic()
    while len(done.losses) < len(rows):
        stopping = time.monotonic() > deadline
        if asked < len(rows) and not stopping:
            done.state, losses = method.steps(done.state, kept, rows[asked : asked + PIECE])
            asked += PIECE
        else:
            losses = None
        if ahead is not None:
            done.losses += np.asarray(ahead).tolist()
            done.seconds.append(time.monotonic() - at)
            at = time.monotonic()
            if not np.isfinite(done.losses[-1]):
                raise RuntimeError(f"{folder.name}: the loss is {done.losses[-1]} after {len(done.losses)} steps")
            yield done
        elif stopping:
            break
        ahead = losses
    if len(done.losses) < len(rows):
        done.save(folder / "state.npz")
        return
    table = np.reshape(done.losses, (experiment.epochs, -1)).mean(1)
    history = pd.DataFrame({"epoch": range(1, experiment.epochs + 1), "loss": table})
    files.write_text(folder / "history.csv", history.to_csv(index=False))


def score(method: Method, state: devices.Values, tested: list[Outlined], batch: int = 20) -> pd.DataFrame:
    """The per-frame table of `lvseg.evaluation`, at native resolution, of the network with these weights in float32."""
    trainable, others, _ = state
    images = to_network(np.stack([frame.image for frame in tested]), method.experiment.channels)
    padded = np.pad(images, ((0, -len(images) % batch), (0, 0), (0, 0), (0, 0)))
    parts = [method.forward(trainable, others, padded[i : i + batch]) for i in range(0, len(padded), batch)]
    probabilities = np.concatenate([np.asarray(part) for part in parts])[: len(images), ..., 0]

    def row(frame: Outlined, probability: np.ndarray) -> dict[str, Any]:
        size = frame.truth.shape[::-1]
        mask = cv2.resize(probability, size, interpolation=cv2.INTER_CUBIC) > method.experiment.threshold
        spacing = frame.spacing_mm if np.isfinite(frame.spacing_mm).all() else None
        record = {"frame": frame.frame, "patient": frame.patient, "view": frame.view, "phase": frame.phase}
        return {**record, **evaluation.score(mask, frame.truth, spacing)}

    with ThreadPoolExecutor(8) as pool:
        return pd.DataFrame(pool.map(row, tested, probabilities))


def finish(
    method: Method, done: Training, data: Data, experiment: Experiment, folder: Path, facts: dict[str, Any]
) -> dict[str, Any]:
    """Score a finished training; writes the table and, last, what the run was and found, which it returns."""
    started = time.monotonic()
    table = score(method, done.state, data.test)
    files.write_text(folder / "frames.csv", table.to_csv(index=False))
    files.write_json(folder / "experiment.json", experiment.model_dump())
    means = {name: float(table[name].mean()) for name in ("dice", "acc", "hd95_mm", "assd_mm")}
    low, high = statistics.bootstrap_ci(table.dice, table.patient)
    found = {
        "model": experiment.model,
        "data": experiment.data,
        "fingerprint": experiment.fingerprint(),
        "arrays_sha256": data.train.sha256(),
        "frames": {"train": len(data.train), "test": len(table), "test_patients": table.patient.nunique()},
        "parameters": method.parameters,
        **means,
        "dice_ci95": [low, high],
        "without_distance": int(table.hd95_mm.isna().sum()),
        "last_loss": float(np.mean(done.losses[-len(done.losses) // experiment.epochs :])),
        "steps": len(done.losses),
        "ms_per_step": 1000 * float(np.median(done.seconds)) / PIECE,
        "training_s": float(sum(done.seconds)),
        "scoring_s": time.monotonic() - started,
        **facts,
    }
    files.write_json(folder / "run.json", found)
    (folder / "state.npz").unlink(missing_ok=True)
    return found


def read(folder: Path) -> dict[str, Any] | None:
    """What `finish` found earlier in this folder."""
    path = folder / "run.json"
    return json.loads(path.read_text()) if path.exists() else None
