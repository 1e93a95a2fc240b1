"""A network made anywhere, used as one of ours: a small JSON says what its file can't, the rest is read off its shapes.

Ours take float32 (batch, size, size, channels) in 0..1 and give probabilities (batch, size, size, 1). Others have their
channels first, a batch of fixed size, grey levels in another range, logits, or a channel for every class.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lvseg import files
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment

Forward = Callable[[np.ndarray], np.ndarray]
"""A network's forward pass: float32 (batch, size, size, channels) in 0..1 to probabilities (batch, size, size, 1)."""
Shape = tuple[int | None, ...]
"""The lengths of an array's axes, the batch's first; None where any length will do."""
MOST_VALUES = 2**28
"""In one array on the way through a network: sixteen images of 2048 x 2048 with four channels."""
_OWN = ("size", "channels", "clahe", "clip_limit", "tiles", "threshold")
_NEAR = 1e-3  # what rounding may add to a probability


class Network(NamedTuple):
    """What a network's file holds. run: from an array of shape `source` to one of shape `target`."""

    run: Callable[[np.ndarray], Any]
    source: Shape
    target: Shape
    activation: str
    """The last one, such as `sigmoid`; "" where it isn't known."""


class Description(BaseModel):
    """What must be known of a network besides its file.

    size, channels: of its input. clahe, clip_limit, tiles: the contrast its images had in training (`Experiment`'s).
    black, white: the input's values for grey levels 0 and 255, a number or one for each channel.
    output: whether it gives probabilities or logits. lv_class: which of several channels of its output is the left
    ventricle's, from 0; background comes before it in a network of two classes. threshold: the least probability of LV.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    size: Annotated[int, Field(ge=16, le=2048)]
    channels: Literal[1, 3] = 1
    clahe: Literal["before", "after", "none"] = "before"
    clip_limit: Annotated[float, Field(ge=0)] = 2.0
    tiles: Annotated[int, Field(ge=1, le=32)] = 8
    black: float | tuple[float, ...] = 0.0
    white: float | tuple[float, ...] = 1.0
    output: Literal["probability", "logit"] = "probability"
    lv_class: Annotated[int, Field(ge=0)] | None = None
    threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5


def read_description(path: Path) -> tuple[Experiment, Description]:
    """The choices in a JSON file: those of an experiment of ours, or a `Description`'s.

    Raises `lvseg.DataError` where it is neither.
    """
    told = files.read_json(path)
    if isinstance(told, dict) and told.keys() <= Description.model_fields.keys():
        try:
            description = Description(**told)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = ".".join(map(str, first["loc"]))
            raise DataError(f"{path}: {name}: {first['msg'].lower()}; correct it there") from None
        return Experiment.of().model_copy(update=description.model_dump(include=set(_OWN))), description
    try:
        experiment = Experiment.of(**told)
    except (ConfigError, TypeError) as error:
        raise DataError(f"{path}: is no experiment of this lvseg's ({error}); restore it, or train anew") from None
    return experiment, Description(**experiment.model_dump(include=set(_OWN)))


def fitted(network: Network, description: Description, weights: Path, choices: Path) -> Forward:
    """The forward pass as `Segmenter` wants it; raises `lvseg.DataError` where the network doesn't fit its JSON.

    What comes out is looked at too: a value that is no probability is refused when it comes.
    """
    size, channels = description.size, description.channels
    wanted = {-1: (size, size, channels), 1: (channels, size, size)}
    axes = [axis for axis, shape in wanted.items() if _fits(network.source[1:], shape)]
    if not axes:
        raise DataError(
            f"{weights}: takes images of {_times(network.source[1:])}, but {choices.name} says {size} x {size} with "
            f"{channels} channel{'s' * (channels > 1)}; correct size and channels there, or export the network for that"
        )
    if len(axes) > 1:
        raise DataError(f"{weights}: doesn't say which axis is the channels'; export it with its channels fixed")
    if all(network.target[1:]):  # where the shape of what comes out is fixed, it is looked at now
        _place(network.target[1:], description, weights, choices)
    black, white = (np.asarray(level, np.float32) for level in (description.black, description.white))
    plain = (description.black, description.white) == (0, 1)
    fixed = network.source[0]

    def forward(images: np.ndarray) -> np.ndarray:
        images = images if plain else black + images * (white - black)
        images = images if axes == [-1] else np.ascontiguousarray(np.moveaxis(images, -1, 1))
        output = network.run(images) if fixed is None else _in_batches(network.run, images, fixed)
        return _probability(np.asarray(output), description, weights, choices)

    return forward


def _fits(shape: Shape, wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(a in (None, b) for a, b in zip(shape, wanted, strict=True))


def _in_batches(run: Callable[[np.ndarray], Any], images: np.ndarray, fixed: int) -> np.ndarray:
    """The output for any number of images of a network that takes `fixed` at a time: the last batch is filled up."""
    filled = np.concatenate([images, np.repeat(images[-1:], -len(images) % fixed, axis=0)])
    parts = [np.array(run(filled[start : start + fixed])) for start in range(0, len(filled), fixed)]
    return np.concatenate(parts)[: len(images)]


def _probability(output: np.ndarray, description: Description, weights: Path, choices: Path) -> np.ndarray:
    """The probability of LV, (batch, size, size, 1), in what a network gives."""
    axis, lv = _place(output.shape[1:], description, weights, choices)
    output = output[..., None] if axis is None else np.moveaxis(output, axis, -1)
    if description.output == "logit":
        output = output.astype(np.float32)
        rest = np.zeros_like(output) if output.shape[-1] == 1 else np.delete(output, lv, axis=-1)
        return 1 / (1 + np.exp(np.minimum(_log_sum(rest) - output[..., lv : lv + 1], 80)))  # e^80 is still a number
    if not (output.min() >= -_NEAR and output.max() <= 1 + _NEAR):  # so written, NaN is refused too
        raise DataError(
            f"{weights}: gives values from {output.min():.3g} to {output.max():.3g}, which are no probabilities; write "
            f'"output": "logit" into {choices.name} if they are logits'
        )
    return output[..., lv : lv + 1]


def _place(shape: Shape, description: Description, weights: Path, choices: Path) -> tuple[int | None, int]:
    """Where LV is in an output of this shape (without the batch): the classes' axis in the batch, and which of them.

    The axis is None where there is none. Raises `lvseg.DataError` where it isn't known, or there are no pixels.
    """
    size = (description.size, description.size)
    if shape == size:
        return None, 0
    axis = -1 if len(shape) == 3 and shape[:2] == size else 1
    if len(shape) != 3 or (axis == 1 and shape[1:] != size):
        raise DataError(
            f"{weights}: gives {_times(shape)} for an image of {size[0]} x {size[1]}, not a value for every pixel; "
            "choose a network that segments"
        )
    classes, lv = shape[-1 if axis == -1 else 0] or 1, description.lv_class
    if lv is None and classes <= 2:
        return axis, classes - 1  # the only one, or the one after the background
    if lv is None or lv >= classes:
        raise DataError(
            f'{weights}: gives {classes} classes; write "lv_class" into {choices.name}, the number of the left '
            f"ventricle's from 0 to {classes - 1}"
        )
    return axis, lv


def _log_sum(values: np.ndarray) -> np.ndarray:
    """log(sum(exp(values))) along the last axis, which stays."""
    most = values.max(axis=-1, keepdims=True)
    return most + np.log(np.exp(values - most).sum(axis=-1, keepdims=True))


def _times(shape: Sequence[int | None]) -> str:
    return " x ".join("any" if length is None else str(length) for length in shape)


def describe(network: Network, weights: Path, size: int | None) -> Description:
    """What can be read off a network, and guesses for the rest: no CLAHE, grey levels 0 to 1.

    size: of its images, where the file leaves it free. Raises `lvseg.ConfigError` where it isn't given then, or
    differs; `lvseg.DataError` where the network doesn't take square images of one or three channels.
    """
    shape = network.source[1:]
    known = [(axis, shape[axis]) for axis in (-1, 0) if len(shape) == 3 and shape[axis] in (1, 3)]
    sides = {length for length in (shape[:2] if known and known[0][0] == -1 else shape[1:]) if length is not None}
    if len(known) != 1 or len(sides) > 1:
        raise DataError(f"{weights}: takes {_times(shape)}, not a square image of 1 or 3 channels; export it for that")
    if sides - {size} and size is not None:
        raise ConfigError(f"{weights}: takes images of {_times(shape)}, so its size can't be {size}")
    if not sides and size is None:
        raise ConfigError(f"{weights}: takes images of any size; say by --size which size it was trained with")
    logit = network.activation not in ("sigmoid", "softmax")
    told = {
        "clahe": "none",
        "size": size or sides.pop(),
        "channels": known[0][1],
        "output": "logit" if logit else "probability",
    }
    return Description.model_validate(told)
