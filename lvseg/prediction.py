"""From an echo image to the mask of its LV: preprocess, run the network, resize back to the image's own pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice, tee
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import pandas as pd

from lvseg import clinical, dataset, figures, files
from lvseg.errors import ConfigError, DataError
from lvseg.profiles import Experiment
from lvseg.readers import Frame, Pixels, list_file
from lvseg.readers.common import is_label, stem

SHIPPED = Path(__file__).parents[1] / "data_samples" / "weights" / "phantom.onnx"
"""The weights that come with lvseg: trained on virtual patients only. Beside it the same as `.keras`."""
MEASUREMENTS = "measurements.csv"

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
    def load(cls, weights: Path = SHIPPED, precision: Precision = "float32") -> Segmenter:
        """Load a run's folder, or an `.onnx` or `.keras` file beside which a `.json` of its name holds its experiment.

        A run's folder and an `.onnx` file need no Keras: OpenVINO starts in half a second and is faster (see
        benchmarks/inference.py). precision: "bfloat16" computes with fewer digits, several times faster on
        processors that have it; such a mask may differ along the contour. Raises `lvseg.DataError` where a file is
        missing, unreadable, or doesn't fit the other, `lvseg.ConfigError` for bfloat16 with a `.keras` file.
        """
        weights = Path(weights)
        run = weights.is_dir()
        path = weights / "weights.onnx" if run else weights
        choices = weights / "experiment.json" if run else weights.with_suffix(".json")
        for needed in (path, choices):
            if not needed.is_file():
                raise DataError(
                    f"{needed}: there is no such file; name a finished run's folder or an .onnx or .keras file with "
                    "its .json"
                )
        try:
            experiment = Experiment.of(**files.read_json(choices))
        except (ConfigError, TypeError) as error:
            raise DataError(f"{choices}: is no experiment of lvseg's ({error}); restore it") from None
        if path.suffix == ".keras" and precision != "float32":
            raise ConfigError(f"{path}: only an .onnx file or a run's folder can be used with precision {precision}")
        try:
            forward, shapes = _keras(path) if path.suffix == ".keras" else open_onnx(path, precision)
        except Exception as error:  # both libraries raise many types for a broken file
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{path}: can't be loaded as a network ({reason}); restore it") from None
        size = (experiment.size, experiment.size)
        if shapes != ((*size, experiment.channels), (*size, 1)):
            raise DataError(
                f"{path}: is not the network that {choices.name} describes; put the two of one run together"
            )
        return cls(forward, experiment)

    def probabilities(self, images: Iterable[np.ndarray], batch: int = 16) -> Iterator[np.ndarray]:
        """For each uint8 (height, width) image, float32 (height, width): the probability of LV at native resolution."""
        images = iter(images)
        while chunk := list(islice(images, batch)):
            small = np.stack([dataset.preprocess(image, self.experiment) for image in chunk])
            output = self.forward(dataset.to_network(small, self.experiment.channels))
            for probability, image in zip(np.asarray(output)[..., 0], chunk, strict=True):
                height, width = image.shape
                yield cv2.resize(probability, (width, height), interpolation=cv2.INTER_CUBIC)

    def masks(self, images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """For each uint8 (height, width) image, its bool mask: True inside the LV endocardium."""
        for probability in self.probabilities(images):
            yield probability > self.experiment.threshold


_Shapes = tuple[tuple[int, ...], tuple[int, ...]]


def _keras(path: Path) -> tuple[Forward, _Shapes]:
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


def predict(segmenter: Segmenter, inputs: Iterable[Path], out: Path) -> tuple[pd.DataFrame, dict[str, str]]:
    """Segment files and folders into `out`: `NAME_mask.png`, `NAME_overlay.png`, and a row in `measurements.csv`.

    NAME is the file's stem, with the frame's number from 1 in a cine (`stem_0001`). A mask has 0 outside and 255
    inside, in the image's own size, upright. Of a folder, sub-folders, hidden files, labels and masks are passed over.
    Returns the measurements, a row per frame (lengths, areas and volumes are NaN where the spacing is not known), and
    by file a sentence for each that couldn't be used; the others are written all the same, as are the good frames of
    a damaged cine. Nothing is made where there are none. Raises `lvseg.DataError` where `out` can't be written.
    """
    frames, problems = _collect(inputs, out)
    pictures, ahead = tee(_readable(frames, problems))  # the segmenter reads a batch ahead
    masks = segmenter.masks(pixels.image for _, pixels in ahead)
    rows = []
    for (frame, pixels), mask in zip(pictures, masks, strict=True):
        _write_png(out / f"{frame.name}_mask.png", mask.astype(np.uint8) * 255)
        _write_png(out / f"{frame.name}_overlay.png", figures.overlay(pixels.image, mask))
        rows.append({"file": str(frame.files[0]), "frame": frame.name, **_measure(mask, pixels.spacing_mm)})
    table = pd.DataFrame(rows)
    if rows:
        text = table.to_csv(index=False, float_format="%.6g")
        files.write_text(out / MEASUREMENTS, text.encode(errors="replace").decode())  # names may be no UTF-8
    return table, problems


def ejection_fractions(table: pd.DataFrame) -> pd.DataFrame:
    """Of `predict`'s measurements, a row per cine whose volumes are known: its ejection fraction from one plane.

    Columns: file; ed_frame, es_frame, the names of the frames of largest and smallest area; edv_ml, esv_ml, their
    volumes by the method of disks; ef_percent. Frames in which no LV was found are passed over.
    """
    rows = []
    for file, cine in table.groupby("file", sort=False):
        seen = cine[cine.volume_ml.notna()]
        if len(seen) > 1:
            ed, es = (seen.iloc[i] for i in clinical.ed_es_frames(seen.area_mm2))
            ef = clinical.ejection_fraction(ed.volume_ml, es.volume_ml)
            rows.append((file, ed.frame, es.frame, ed.volume_ml, es.volume_ml, ef))
    return pd.DataFrame(rows, columns=["file", "ed_frame", "es_frame", "edv_ml", "esv_ml", "ef_percent"])


def _collect(inputs: Iterable[Path], out: Path) -> tuple[list[Frame], dict[str, str]]:
    """Every input's frames, named as their output will be, and by file a sentence for each that can't be used."""
    frames: dict[str, Frame] = {}
    problems: dict[str, str] = {}
    for path in inputs:
        images = 0
        for file in _files(path):
            try:
                found = {frame.name.casefold(): frame for frame in _named(list_file(file), file)}
                _check_names(found, frames, out)
            except DataError as error:
                images += 1
                problems[str(file)] = str(error)
            else:
                images += len(found)
                frames |= found
        if not images:
            problems[str(path)] = f"{path}: holds no PNG, JPEG, TIFF, BMP, NIfTI, MetaImage, DICOM, AVI or MP4 image"
    return list(frames.values()), problems


def _files(path: Path) -> list[Path]:
    """The file itself, or what may be images in a folder: no sub-folders, hidden files, labels or output of ours."""
    if not path.is_dir():
        return [path]
    return sorted(f for f in path.iterdir() if f.is_file() and not f.name.startswith(".") and not is_label(f))


def _named(frames: list[Frame], file: Path) -> list[Frame]:
    """The frames of one file by the file's own stem, whatever is in it, and their number where there are several."""
    if len(frames) == 1:
        return [replace(frames[0], name=stem(file))]
    return [replace(frame, name=f"{stem(file)}_{number:04d}") for number, frame in enumerate(frames, start=1)]


def _check_names(found: dict[str, Frame], frames: dict[str, Frame], out: Path) -> None:
    """Raises `lvseg.DataError` where a mask would replace another input's, or one that somebody else drew."""
    for name, frame in found.items():
        file, mask = frame.files[0], out / f"{frame.name}_mask.png"
        if name in frames and frames[name].files[0].absolute() != file.absolute():
            raise DataError(f"{file}: its masks would be named as those of {frames[name].files[0]}; rename one of them")
        if mask.exists() and out.samefile(file.parent) and not (out / MEASUREMENTS).exists():
            raise DataError(f"{file}: beside it is a {mask.name} that lvseg didn't make; choose another output folder")


def _readable(frames: Iterable[Frame], problems: dict[str, str]) -> Iterator[tuple[Frame, Pixels]]:
    """The frames with their pixels; `problems` gets a sentence for each file that has an unreadable frame."""
    for frame in frames:
        try:
            pixels = frame.read()
        except DataError as error:
            problems.setdefault(str(frame.files[0]), str(error))
        else:
            yield frame, pixels


def _measure(mask: np.ndarray, spacing_mm: tuple[float, float] | None) -> dict[str, float]:
    """A frame's measurements; those in mm are NaN where the spacing is not known."""
    height, width = mask.shape
    measured = {"height": height, "width": width, "lv_pixels": int(mask.sum())}
    if spacing_mm is None:
        return {**measured, **dict.fromkeys(("row_mm", "column_mm", "area_mm2", "length_mm", "volume_ml"), np.nan)}
    return {
        **measured,
        "row_mm": spacing_mm[0],
        "column_mm": spacing_mm[1],
        "area_mm2": clinical.area_mm2(mask, spacing_mm),
        "length_mm": clinical.long_axis(mask, spacing_mm).length_mm,
        "volume_ml": clinical.volume_disks_ml(mask, spacing_mm),
    }


def _write_png(path: Path, image: np.ndarray) -> None:
    with files.atomic(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", image)[1].tobytes())
