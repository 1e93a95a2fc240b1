"""The per-frame table of a segmentation: every score of every frame, at native resolution."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lvseg import metrics
from lvseg.errors import DataError
from lvseg.masks import Spacing, read_png
from lvseg.readers.record import Frame, Pixels

Segment = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def evaluate(segment: Segment, frames: Sequence[Frame]) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score a segmentation frame by frame, at native resolution.

    segment: turns uint8 images (height, width) into bool masks of the same shapes, such as `Segmenter.masks`.
    frames: all outlined. Returns a table with a row per frame (`score`) and the masks by frame name.
    Raises `DataError` for a frame that nobody outlined.
    """
    outlined: list[Pixels] = []

    def images() -> Iterator[np.ndarray]:
        for frame in frames:
            outlined.append(frame.read())
            yield outlined[-1].image

    rows, masks = [], {}
    for frame, mask in zip(frames, segment(images()), strict=True):
        pixels = outlined.pop(0)  # the segmenter reads a batch ahead, so few frames are in memory at once
        if pixels.mask is None:
            raise DataError(f"{frame.name}: has no LV outline, so it can't be evaluated")
        identity = {"frame": frame.name, "patient": frame.patient, "view": frame.view, "phase": frame.phase}
        rows.append({**identity, **score(mask, pixels.mask, pixels.spacing_mm)})
        masks[frame.name] = mask
    return pd.DataFrame(rows), masks


def score(pred: np.ndarray, truth: np.ndarray, spacing_mm: Spacing | None) -> dict[str, float]:
    """One frame's scores: Dice (Eq. 6), accuracy (Eq. 7), distances in mm (NaN without spacing), pixel counts."""
    counts = metrics.confusion(pred, truth)
    distances = {"hd95_mm": math.nan, "assd_mm": math.nan}
    if spacing_mm is not None:
        distances = {
            "hd95_mm": metrics.hd95_mm(pred, truth, spacing_mm),
            "assd_mm": metrics.assd_mm(pred, truth, spacing_mm),
        }
    return {"dice": counts.dice(), "acc": counts.accuracy(), **distances, **counts.__dict__}


def compare_folders(predicted: Path, truth: Path) -> pd.DataFrame:
    """The per-frame table of two folders of mask pictures with the same names (`_mask` endings may be left out).

    Any pixel above 127 is LV. Raises `lvseg.DataError` for a missing, unreadable or differently sized mask.
    """
    pairs = {path.stem.removesuffix("_mask"): path for path in sorted(predicted.glob("*.png"))}
    true = {path.stem.removesuffix("_mask"): path for path in sorted(truth.glob("*.png"))}
    true = {name: path for name, path in true.items() if not name.endswith("_overlay")}
    if not true:
        raise DataError(f"{truth}: holds no PNG masks; name the folder of true masks")
    if lacking := sorted(true.keys() - pairs.keys()):
        raise DataError(f"{predicted}: has no mask for {lacking[0]}; predict it, or take it out of {truth}")
    rows = []
    for name, path in true.items():
        try:
            rows.append({"frame": name, **score(read_png(pairs[name]), read_png(path), None)})
        except DataError as error:
            raise DataError(f"{pairs[name]}: can't be compared with {path} ({error})") from None
    return pd.DataFrame(rows)
