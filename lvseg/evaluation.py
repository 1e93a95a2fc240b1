"""The per-frame table of a segmentation: every score of every frame, at native resolution."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from lvseg import metrics
from lvseg.errors import DataError
from lvseg.masks import Spacing
from lvseg.readers.common import files_below
from lvseg.readers.images import masks_by_name, other_size, read_masks
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


def compare_folders(predicted: Path, truth: Path) -> tuple[pd.DataFrame, str]:
    """The per-frame table of two folders of mask pictures, and what was taken for inside on each side, in words.

    Names are the same but for `_mask`, `_gt` and the file type; several masks of one frame are united. What a mask
    means is `lvseg.readers.images.read_mask`, for each file by itself. Raises `lvseg.DataError` for a missing, unclear
    or differently sized mask.
    """
    pairs, true = _masks_in(predicted), _masks_in(truth)
    if not true:
        raise DataError(f"{truth}: holds no mask pictures; name the folder of true masks")
    if lacking := sorted(true.keys() - pairs.keys()):
        raise DataError(f"{predicted}: has no mask for {lacking[0]}; predict it, or take it out of {truth}")
    rows = []
    taken: dict[str, Counter[str]] = {"predicted": Counter(), "true": Counter()}
    for name, paths in true.items():
        pred, true_mask = read_masks(pairs[name]), read_masks(paths)
        if pred.inside.shape != true_mask.inside.shape:
            raise other_size(pairs[name][0], pred.inside.shape, str(paths[0]), true_mask.inside.shape)
        rows.append({"frame": name, **score(pred.inside, true_mask.inside, None)})
        taken["predicted"][pred.levels] += 1
        taken["true"][true_mask.levels] += 1
    sides = (f"{side} masks: {', '.join(f'{how} ({n})' for how, n in found.items())}" for side, found in taken.items())
    return pd.DataFrame(rows), "; ".join(sides)


def _masks_in(folder: Path) -> dict[str, list[Path]]:
    """By frame, the mask pictures that lie in a folder, not below it, in the order of their names."""
    return masks_by_name(folder, [path for path in files_below(folder) if path.parent == folder])
