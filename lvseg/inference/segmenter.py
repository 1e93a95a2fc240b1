"""From an echo image to the mask of its LV: preprocess, run the network, resize back to the image's own pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice, tee
from pathlib import Path

import cv2
import numpy as np

from lvseg import files
from lvseg.data import prepared
from lvseg.errors import DataError
from lvseg.experiment import Experiment
from lvseg.inference.foreign import Forward, fitted, read_description
from lvseg.inference.opened import Precision, check_ending, open_network

SHIPPED = files.CHECKOUT / "data_samples" / "weights" / "phantom.onnx"
"""The weights that come with lvseg: trained on virtual patients only. Beside it the same as `.keras`."""


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
        """Load an `.onnx` or `.keras` file, and the `.json` that describes it: `choices`, or that of its name.

        The `.json` holds an experiment of ours, or of a network made elsewhere a `foreign.Description`.

        An `.onnx` file needs no Keras: OpenVINO starts in half a second and is faster (see benchmarks/inference.py).
        precision: "bfloat16" computes with fewer digits, several times faster on processors that have it; such a mask
        may differ along the contour. A run's folder is loaded by `lvseg.training.folder.segmenter`. Raises
        `lvseg.DataError` where a file is missing, unreadable, or doesn't fit the other, `lvseg.ConfigError` for
        bfloat16 with a `.keras` file.
        """
        weights = Path(weights)
        choices = choices or weights.with_suffix(".json")
        check_ending(weights)
        for needed in (weights, choices):
            if not needed.is_file():
                raise DataError(f"{needed}: there is no such file; {_REMEDY[needed is choices].format(weights)}")
        experiment, description = read_description(choices)
        network = open_network(weights, precision, trusted=weights == SHIPPED)
        return cls(fitted(network, description, weights, choices), experiment)

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


class Ensemble(Segmenter):
    """Several segmenters as one: the mean of their probabilities at native resolution, and the first one's threshold.

    They may work at different sizes, with different preprocessing.
    """

    def __init__(self, members: Sequence[Segmenter]):
        super().__init__(members[0].forward, members[0].experiment)
        self.members = members

    def probabilities(self, images: Iterable[np.ndarray], batch: int = 16) -> Iterator[np.ndarray]:
        """As `Segmenter.probabilities`."""
        for each in self._by_member(images, batch):
            yield np.mean(each, axis=0)

    def _by_member(self, images: Iterable[np.ndarray], batch: int) -> Iterator[tuple[np.ndarray, ...]]:
        copies = tee(images, len(self.members))
        pairs = zip(self.members, copies, strict=True)
        return zip(*(member.probabilities(images, batch) for member, images in pairs), strict=True)


_REMEDY = (
    "name a finished run's folder or an .onnx or .keras file",
    "describe the network by `lvseg weights describe {}`",
)
