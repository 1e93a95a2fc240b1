"""From an echo image to the mask of its LV: preprocess, run the network, resize back to the image's own pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from lvseg import files
from lvseg.data import prepared
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment

SHIPPED = files.CHECKOUT / "data_samples" / "weights" / "phantom.onnx"
"""The weights that come with lvseg: trained on virtual patients only. Beside it the same as `.keras`."""


Precision = Literal["float32", "bfloat16"]
Forward = Callable[[np.ndarray], np.ndarray]
"""A network's forward pass: float32 (batch, size, size, channels) in 0..1 to probabilities (batch, size, size, 1)."""


class Segmenter:
    """A trained network's forward pass together with the choices it was trained with.

    forward: such as `predict_on_batch` of what `lvseg.networks.build` makes. experiment: gives preprocessing and
    threshold (U9, U10, U17, U18).
    """

    def __init__(self, forward: Forward, experiment: Experiment):
        self.forward = forward
        self.experiment = experiment

    @classmethod
    def load(cls, weights: Path = SHIPPED, precision: Precision = "float32", choices: Path | None = None) -> Segmenter:
        """Load an `.onnx` or `.keras` file, and the `.json` that holds its experiment: `choices`, or that of its name.

        An `.onnx` file needs no Keras: OpenVINO starts in half a second and is faster (see benchmarks/inference.py).
        precision: "bfloat16" computes with fewer digits, several times faster on processors that have it; such a mask
        may differ along the contour. A run's folder is loaded by `lvseg.training.folder.segmenter`. Raises
        `lvseg.DataError` where a file is missing, unreadable, or doesn't fit the other, `lvseg.ConfigError` for
        bfloat16 with a `.keras` file.
        """
        weights = Path(weights)
        choices = choices or weights.with_suffix(".json")
        experiment = _experiment(weights, choices)
        if weights.suffix == ".keras" and precision != "float32":
            raise ConfigError(f"{weights}: only an .onnx file or a run's folder can be used with precision {precision}")
        try:
            forward, shapes = open_keras(weights) if weights.suffix == ".keras" else open_onnx(weights, precision)
        except Exception as error:  # both libraries raise many types for a broken file
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{weights}: can't be loaded as a network ({reason}); restore it") from None
        size = (experiment.size, experiment.size)
        if shapes != ((*size, experiment.channels), (*size, 1)):
            raise DataError(
                f"{weights}: is not the network that {choices.name} describes; put the two of one run together"
            )
        return cls(forward, experiment)

    def probabilities(self, images: Iterable[np.ndarray], batch: int = 16) -> Iterator[np.ndarray]:
        """For each uint8 (height, width) image, float32 (height, width): the probability of LV at native resolution."""
        images = iter(images)
        while chunk := list(islice(images, batch)):
            small = np.stack([prepared.preprocess(image, self.experiment) for image in chunk])
            output = self.forward(prepared.to_network(small, self.experiment.channels))
            for probability, image in zip(np.asarray(output)[..., 0], chunk, strict=True):
                height, width = image.shape
                yield cv2.resize(probability, (width, height), interpolation=cv2.INTER_CUBIC)

    def masks(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """For each uint8 (height, width) image, its bool mask: True inside the LV endocardium."""
        for probability in self.probabilities(images):
            yield probability > self.experiment.threshold


_Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def _experiment(weights: Path, choices: Path) -> Experiment:
    """The experiment in `choices`, where both files are there."""
    for needed in (weights, choices):
        if not needed.is_file():
            raise DataError(
                f"{needed}: there is no such file; name a finished run's folder or an .onnx or .keras file with its "
                ".json"
            )
    try:
        return Experiment.of(**files.read_json(choices))
    except (ConfigError, TypeError) as error:
        raise DataError(f"{choices}: is no experiment of this lvseg's ({error}); restore it, or train anew") from None


def open_keras(path: Path) -> tuple[Forward, _Shapes]:
    """The forward pass of a `.keras` file, and the shapes (height, width, channels) of its input and output."""
    from lvseg.backend import keras  # only here: it takes seconds and half a gigabyte

    network = keras.saving.load_model(path, compile=False, safe_mode=True)
    return network.predict_on_batch, (network.input_shape[1:], network.output_shape[1:])


def open_onnx(path: Path, precision: Precision) -> tuple[Forward, _Shapes]:
    """The same of an `.onnx` file, run by OpenVINO."""
    import openvino

    hints = {"INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32", "PERFORMANCE_HINT": "LATENCY"}
    network = openvino.Core().compile_model(path, "CPU", hints)
    ends = (network.input().partial_shape, network.output().partial_shape)
    source, target = (tuple(length.get_length() for length in list(shape)[1:]) for shape in ends)
    return lambda images: network([images])[0], (source, target)
