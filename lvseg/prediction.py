"""From an echo image to the mask of its LV: preprocess, run the network, resize back to the image's own pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lvseg import clinical, dataset, figures, files
from lvseg.backend import keras
from lvseg.errors import ConfigError, DataError
from lvseg.profiles import Experiment
from lvseg.readers import Frame, open_path

SHIPPED = Path(__file__).parents[1] / "data_samples" / "weights" / "phantom.keras"
"""The weights that come with lvseg: trained on virtual patients only."""


class Segmenter:
    """A trained network together with the choices it was trained with.

    network: as `lvseg.networks.build` makes it. experiment: gives preprocessing and threshold (U9, U10, U17, U18).
    """

    def __init__(self, network: keras.Model, experiment: Experiment):
        self.network = network
        self.experiment = experiment

    @classmethod
    def load(cls, weights: Path = SHIPPED) -> Segmenter:
        """Load a run's folder, or a `.keras` file beside whose name a `.json` with its experiment stands.

        Raises `lvseg.DataError` where either is missing or unreadable.
        """
        weights = Path(weights)
        run = weights.is_dir()
        choices = files.read_json(weights / "experiment.json" if run else weights.with_suffix(".json"))
        path = weights / "weights.keras" if run else weights
        if not path.exists():
            raise DataError(f"{path}: there is no such file; name a finished run's folder or a .keras file")
        try:
            network = keras.saving.load_model(path, compile=False, safe_mode=True)
            return cls(network, Experiment.of(**choices))
        except (ConfigError, TypeError) as error:
            raise DataError(f"{path}: the experiment beside it is not one of lvseg's ({error})") from None
        except Exception as error:  # Keras raises many types for a broken archive
            raise DataError(f"{path}: can't be loaded as a Keras network ({error})") from None

    def probabilities(self, images: Iterable[np.ndarray], batch: int = 16) -> Iterator[np.ndarray]:
        """For each uint8 (height, width) image, float32 (height, width): the probability of LV at native resolution."""
        images = iter(images)
        while chunk := list(islice(images, batch)):
            small = np.stack([dataset.preprocess(image, self.experiment) for image in chunk])
            output = self.network.predict_on_batch(dataset.to_network(small, self.experiment.channels))
            for probability, image in zip(np.asarray(output)[..., 0], chunk, strict=True):
                height, width = image.shape
                yield cv2.resize(probability, (width, height), interpolation=cv2.INTER_CUBIC)

    def masks(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """For each uint8 (height, width) image, its bool mask: True inside the LV endocardium."""
        for probability in self.probabilities(images):
            yield probability > self.experiment.threshold


def predict(segmenter: Segmenter, inputs: Iterable[Path], out: Path) -> tuple[pd.DataFrame, list[str]]:
    """Segment files and folders into `out`: a mask and an overlay per frame, and `measurements.csv`.

    Returns the measurements (a row per frame; mm where the spacing is known) and a sentence for each input that
    couldn't be used; the others are written all the same.
    """
    frames, problems = _collect(inputs)
    rows = []
    for frame in frames:
        try:
            pixels = frame.read()
        except DataError as error:
            problems.append(str(error))
            continue
        mask = next(segmenter.masks([pixels.image]))
        _write_png(out / f"{frame.name}_mask.png", mask.astype(np.uint8) * 255)
        _write_png(out / f"{frame.name}_overlay.png", figures.overlay(pixels.image, mask))
        rows.append({"frame": frame.name, **_measure(mask, pixels.spacing_mm)})
    table = pd.DataFrame(rows)
    if rows:
        files.write_text(out / "measurements.csv", table.to_csv(index=False, float_format="%.4g"))
    return table, problems


def _collect(inputs: Iterable[Path]) -> tuple[list[Frame], list[str]]:
    """Every input's frames, and a sentence for each input that has none or whose frames' names are taken."""
    frames: dict[str, Frame] = {}
    problems = []
    for path in inputs:
        try:
            found = open_path(path)
        except DataError as error:
            problems.append(str(error))
            continue
        if taken := {frame.name for frame in found} & frames.keys():
            problems.append(f"{path}: another input is named {min(taken)} too; rename one or predict them apart")
        else:
            frames.update((frame.name, frame) for frame in found)
    return list(frames.values()), problems


def _measure(mask: np.ndarray, spacing_mm: tuple[float, float] | None) -> dict[str, float]:
    """A frame's measurements; those in mm are NaN where the spacing is not known."""
    row_mm, column_mm = spacing_mm or (np.nan, np.nan)
    measured = {"lv_pixels": int(mask.sum()), "row_mm": row_mm, "column_mm": column_mm}
    if spacing_mm is None:
        return {**measured, "area_mm2": np.nan, "length_mm": np.nan, "volume_ml": np.nan}
    return {
        **measured,
        "area_mm2": clinical.area_mm2(mask, spacing_mm),
        "length_mm": clinical.long_axis(mask, spacing_mm).length_mm,
        "volume_ml": clinical.volume_disks_ml(mask, spacing_mm),
    }


def _write_png(path: Path, image: np.ndarray) -> None:
    with files.atomic(path) as temporary:
        if not cv2.imwrite(str(temporary), image):
            raise OSError(None, "the PNG could not be encoded")
