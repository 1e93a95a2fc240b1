"""The per-frame table of a segmentation: every score of every frame, at native resolution."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lvseg import clinical, metrics
from lvseg.errors import DataError
from lvseg.masks import Spacing
from lvseg.readers.common import files_below
from lvseg.readers.images import masks_by_name, other_size, read_masks
from lvseg.readers.record import Frame, Pixels

Segment = Callable[[Iterable[np.ndarray]], Iterator[np.ndarray]]


def evaluate(
    segment: Segment, frames: Sequence[Frame], size: int | None = None
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Score a segmentation frame by frame, at native resolution.

    segment: turns uint8 images (height, width) into bool masks of the same shapes, such as `Segmenter.masks`.
    frames: all outlined. size: the network's, to score each frame there too. Returns a table with a row per frame
    (`score`) and the masks by frame name.
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
        rows.append({**identity, **score(mask, pixels.mask, pixels.spacing_mm, frame.view, size)})
        masks[frame.name] = mask
    return pd.DataFrame(rows), masks


def score(
    pred: np.ndarray, truth: np.ndarray, spacing_mm: Spacing | None, view: str = "", size: int | None = None
) -> dict[str, float]:
    """One frame's scores (`COLUMNS`), of bool masks (height, width) at native resolution.

    NaN is what a frame doesn't have: whatever is measured without `spacing_mm`, a distance where one mask alone is
    empty, a volume in a view that isn't apical, `dice_small` without the network's `size`.
    """
    counts = metrics.confusion(pred, truth)
    found = dict.fromkeys(COLUMNS, math.nan) | {"dice": counts.dice(), "acc": counts.accuracy()} | counts.__dict__
    found |= _shares(counts)
    if spacing_mm is not None:
        found |= _measured(pred, truth, spacing_mm, view)
    if size is not None:
        found["dice_small"] = _dice_small(pred, truth, size)
    return found


COLUMNS = (
    "dice", "acc", "hd95_mm", "assd_mm", "tp", "fp", "fn", "tn",
    "iou", "sensitivity", "specificity", "precision", "hd_mm",
    "area_error_cm2", "area_true_cm2", "volume_ml", "volume_true_ml", "diagonal_mm", "dice_small",
)  # fmt: skip
"""Dice (Eq. 6), accuracy (Eq. 7), distances between contours, pixels; what tables kept before had not: overlap and
shares; HD; the area, predicted minus true, and the true one; the volumes by single-plane disks; the frame's diagonal,
for `published`; Dice at the network's size."""

_DISTANCES = ("hd_mm", "hd95_mm", "assd_mm")
_APICAL = ("4CH", "2CH")
"""The views by which the method of disks takes a volume."""


def _shares(counts: metrics.Confusion) -> dict[str, float]:
    """The columns that pixel counts tell."""
    return {name: getattr(counts, name)() for name in ("iou", "sensitivity", "specificity", "precision")}


def _measured(pred: np.ndarray, truth: np.ndarray, spacing_mm: Spacing, view: str) -> dict[str, float]:
    """The columns in mm, cm2 and ml."""
    distances = metrics.contour_distances_mm(pred, truth, spacing_mm)
    area, true_area = (np.count_nonzero(mask) * math.prod(spacing_mm) / 100 for mask in (pred, truth))
    volumes = [clinical.volume_disks_ml(mask, spacing_mm) if view in _APICAL else math.nan for mask in (pred, truth)]
    return {
        **dict(zip(_DISTANCES, (distances.hd(), distances.hd95(), distances.assd()), strict=True)),
        "area_error_cm2": area - true_area,
        "area_true_cm2": true_area,
        **dict(zip(("volume_ml", "volume_true_ml"), volumes, strict=True)),
        "diagonal_mm": metrics.diagonal_mm(pred.shape, spacing_mm),
    }


def _dice_small(pred: np.ndarray, truth: np.ndarray, size: int) -> float:
    """Dice as it would be at the network's size: of both masks at size x size, True where half of a pixel is."""
    small = (cv2.resize(mask.astype(np.float32), (size, size), interpolation=cv2.INTER_AREA) for mask in (pred, truth))
    return metrics.dice(*(mask >= 0.5 for mask in small))


def with_shares(table: pd.DataFrame) -> pd.DataFrame:
    """The table; where it was kept before they were columns, with what its pixel counts tell."""
    if "iou" in table:
        return table
    counts = table[["tp", "fp", "fn", "tn"]].astype(int).itertuples(index=False)
    return table.join(pd.DataFrame([_shares(metrics.Confusion(*frame)) for frame in counts], index=table.index))


def published(table: pd.DataFrame) -> pd.DataFrame:
    """A per-frame table under the published echo metric rules for empty masks (reference metrics v1.1), beside ours.

    Where both masks are empty nothing is scored: Dice, IoU and distances are NaN. Where one alone is, the distances are
    the frame's diagonal, so that a miss stays in every mean. Ours: Dice and IoU 1, distances 0 where both are empty; no
    distance where one is, and such frames are counted. All else is the same. A table that was kept before it had
    diagonals keeps NaN.
    """
    neither, one = empty(table)
    scored = with_shares(table)
    for name in _DISTANCES:
        if "diagonal_mm" in scored:
            scored = scored.assign(**{name: scored[name].mask(one, scored.diagonal_mm)})
    names = [name for name in ("dice", "iou", *_DISTANCES) if name in scored]
    return scored.assign(**{name: scored[name].mask(neither) for name in names})


def empty(table: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
    """Of each frame of a table: whether both masks are empty, and whether one alone is."""
    predicted, true = table.tp + table.fp > 0, table.tp + table.fn > 0
    return ~predicted & ~true, predicted ^ true


def readings(table: pd.DataFrame) -> dict[str, float]:
    """One Dice, five readings of "Dice" (U15): what the same masks score, by what is averaged, where.

    table: a row per frame, as `evaluate` gives it, or several such tables below each other.
    """
    pooled = metrics.Confusion(*(int(total) for total in table[["tp", "fp", "fn", "tn"]].sum()))
    return {
        "mean over frames": float(table.dice.mean()),
        "all pixels pooled": pooled.dice(),
        "mean of patients' means": float(table.groupby("patient").dice.mean().mean()),
        "mean over frames, at the network's size": float(table.dice_small.mean())
        if "dice_small" in table
        else math.nan,
        "mean over frames, without those where both masks are empty": float(published(table).dice.mean()),
    }


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
