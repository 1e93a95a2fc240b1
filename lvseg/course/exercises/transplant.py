"""The proof of a student's block: it takes the trained weights of the shipped network's piece and must say the same."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from lvseg import files
from lvseg.backend import keras, ops
from lvseg.course.exercises.exercise import Misfit, Probes
from lvseg.course.samples import real_cine
from lvseg.data import prepared
from lvseg.experiment import Experiment
from lvseg.inference.segmenter import SHIPPED


@cache
def shipped() -> keras.Model:
    """The network that comes with the course, width 8, 64x64, with its trained weights."""
    return keras.saving.load_model(SHIPPED.with_suffix(".keras"), compile=False)


@cache
def real_frame() -> np.ndarray:
    """A real echo frame as the shipped network takes it: float32 (1, 64, 64, 1) in 0..1."""
    experiment = Experiment.of(**files.read_json(SHIPPED.with_suffix(".json")))
    seen = prepared.preprocess(real_cine()[0].read().image, experiment)
    return prepared.to_network(seen[None], experiment.channels)


def transplant(mine: keras.Model, trained: keras.Model) -> keras.Model:
    """`mine` with the weights of `trained`, layer by layer, matched by their shapes in the order of the graph.

    Raises `Misfit` unless the two have the same shapes of weights.
    """
    donors = defaultdict(list)
    for layer in _leaves(trained):
        donors[_shapes(layer)].append(layer)
    takers = list(_leaves(mine))
    needed, given = Counter(map(_shapes, takers)), Counter({shapes: len(each) for shapes, each in donors.items()})
    if needed != given:
        raise Misfit(_misfit(needed - given, given - needed))
    for layer in takers:
        layer.set_weights(donors[_shapes(layer)].pop(0).get_weights())
    return mine


def _leaves(model: keras.Model) -> Iterator[keras.Layer]:
    """The layers with weights, those of nested models too."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from _leaves(layer)
        elif layer.weights:
            yield layer


def _shapes(layer: keras.Layer) -> tuple:
    return tuple(tuple(weight.shape) for weight in layer.weights)


def _misfit(extra: Counter, missing: Counter) -> str:
    def listed(shapes: Counter) -> str:
        return ", ".join(f"{count} of {shape[0]}" for shape, count in sorted(shapes.items()))

    parts = []
    if extra:
        parts.append(f"yours has layers that the trained network lacks, with first weights {listed(extra)}")
    if missing:
        parts.append(f"the trained network has layers that yours lacks, with first weights {listed(missing)}")
    return "the trained weights don't fit: " + "; ".join(parts)


@dataclass(frozen=True)
class Piece:
    """The piece of the shipped network that leads from the outputs of the layers `inputs` to that of `output`."""

    inputs: tuple[str, ...]
    output: str

    def answer(self, *arrays: np.ndarray) -> np.ndarray:
        """What the piece makes of its inputs, float32 arrays (batch, height, width, channels)."""
        return ops.convert_to_numpy(self._trained()(_one_or_all(arrays)))

    def prepare(self, block: Callable) -> Callable | None:
        """A student's block with the piece's weights, as a function of arrays; it takes Keras tensors and returns one.

        None where the block returns none; raises `Misfit` where the weights don't fit.
        """
        trained = self._trained()
        inputs = [keras.Input(each.shape[1:]) for each in trained.inputs]
        output = block(*inputs)
        if output is None or output is ...:
            return None
        mine = transplant(keras.Model(inputs, output), trained)
        return lambda *arrays: ops.convert_to_numpy(mine(_one_or_all(arrays)))

    def probes(self, random: np.random.Generator) -> Probes:
        """The piece's inputs where the network sees a real frame, and normally distributed ones of that shape."""
        outputs = [shipped().get_layer(name).output for name in self.inputs]
        features = keras.tree.flatten(keras.Model(shipped().input, outputs)(real_frame()))
        real = tuple(ops.convert_to_numpy(each) for each in features)
        noise = tuple(random.normal(size=each.shape).astype(np.float32) for each in real)
        return {"a real frame": real, "random numbers": noise}

    def _trained(self) -> keras.Model:
        inputs = [shipped().get_layer(name).output for name in self.inputs]
        return keras.Model(inputs, shipped().get_layer(self.output).output)


def _one_or_all(arrays: tuple[np.ndarray, ...]) -> np.ndarray | list[np.ndarray]:
    return arrays[0] if len(arrays) == 1 else list(arrays)
