"""Seconds of CLAHE per frame over 1,000 frames, beside scikit-image's and kornia's."""

from __future__ import annotations

import numpy as np

from benchmarks.table import in_turn, row
from lvseg import clahe
from lvseg.phantom.heart import sample_patient
from lvseg.phantom.scanner import render

FRAMES = 1000


def measure(n: int = 3):
    """Clip limit 2 and 8x8 tiles; the peers have the same tiles and what their documentation gives as clip limit."""
    import kornia
    import torch
    from skimage import exposure

    patients = [sample_patient(seed) for seed in range(10)]
    distinct = [render(patient, beat / 10).image for patient in patients for beat in range(10)]
    frames = [distinct[i % len(distinct)] for i in range(FRAMES)]
    tiles = [length // 8 for length in frames[0].shape]

    def kornias() -> None:
        for frame in frames:
            kornia.enhance.equalize_clahe(torch.from_numpy(frame)[None, None] / 255.0, 2.0, (8, 8))

    values = in_turn(
        {
            "lvseg": lambda: [clahe.equalise(frame) for frame in frames],
            "scikit-image": lambda: [exposure.equalize_adapthist(frame, tiles, clip_limit=0.01) for frame in frames],
            "kornia": kornias,
        },
        n,
    )
    return row("clahe", "s/frame", {who: list(np.array(seconds) / FRAMES) for who, seconds in values.items()})
