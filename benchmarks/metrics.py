"""Seconds to score one frame at native resolution (Dice, HD95, ASSD), beside MONAI's metrics on the same masks."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.table import in_turn, row
from lvseg import metrics


def measure(n: int = 5):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_dice, compute_hausdorff_distance

    spacing = (0.3, 0.3)
    pairs = [(_ellipse(320 + 5 * i, 250), _ellipse(300, 245 + 5 * i)) for i in range(20)]

    def ours() -> None:
        for a, b in pairs:
            metrics.dice(a, b), metrics.hd95_mm(a, b, spacing), metrics.assd_mm(a, b, spacing)

    def monais() -> None:
        for pair in pairs:
            a, b = (torch.from_numpy(np.stack([~mask, mask])[None]) for mask in pair)
            compute_dice(a, b, include_background=False)
            compute_hausdorff_distance(a, b, percentile=95, spacing=spacing)
            compute_average_surface_distance(a, b, symmetric=True, spacing=spacing)

    values = in_turn({"lvseg": ours, "MONAI": monais}, n)
    return row("metrics", "s/frame", {who: [s / len(pairs) for s in seconds] for who, seconds in values.items()})


def _ellipse(row_: int, column: int) -> np.ndarray:
    """A mask about as large as an LV in a CAMUS frame."""
    mask = np.zeros((600, 500), np.uint8)
    cv2.ellipse(mask, (column, row_), (70, 140), 10, 0, 360, 1, -1)
    return mask.astype(bool)
