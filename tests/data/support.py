"""Frames of known content for the tests of the data."""

from __future__ import annotations

import numpy as np

from lvseg.readers import Frame, Pixels


def discs(patients: int = 10, frames: int = 5) -> list[Frame]:
    """Frames whose LV is a disc of known place and size, brighter than the rest."""

    def load(patient: int, number: int) -> Pixels:
        y, x = np.ogrid[:90, :120]
        mask = (y - 45) ** 2 + (x - 30 - 6 * patient - number / 2) ** 2 < (15 + patient) ** 2
        return Pixels(np.where(mask, 200, 40).astype(np.uint8), mask, (0.5, 0.5))

    return [
        Frame(f"p{p}_f{f}", f"p{p}", lambda p=p, f=f: load(p, f), subset="validation" if p == 3 else "training")
        for p in range(patients)
        for f in range(frames)
    ]
