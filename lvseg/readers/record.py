"""The one record that every reader yields: an echo frame whose pixels are read only when asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np


class Pixels(NamedTuple):
    """What one frame holds, at the resolution it was stored in and upright (probe at the top).

    image: uint8 array (height, width), grey levels 0 to 255.
    mask: bool array (height, width), True inside the LV endocardium; None where nobody outlined it.
    spacing_mm: (row, column) size of a pixel in millimetres; None where it is not known.
    region: (rows, columns) of the two-dimensional ultrasound image where it is a part of a scanner's screen; None
        where it fills the picture, or nobody says. `spacing_mm` is this region's.
    """

    image: np.ndarray
    mask: np.ndarray | None
    spacing_mm: tuple[float, float] | None
    region: tuple[slice, slice] | None = None

    @property
    def shown(self) -> np.ndarray:
        """The two-dimensional image alone: what is segmented, and shown to others."""
        return self.image if self.region is None else np.ascontiguousarray(self.image[self.region])


@dataclass(frozen=True)
class Frame:
    """One echo frame: light metadata, and `read()` for its pixels.

    name: unique within its data set and safe as a file name.
    patient: the unit that no split may divide: one name, also where a data set has one heart under two.
    patient_by: `known` by the data set's own rule, `stated` by the user's list, or how it was guessed.
    view, phase: the field's short names (`4CH`, `2CH`; `ED`, `ES`), or "" where not known.
    subset: the side of the data set's own split (`training`, `validation`, `testing`), or "" if it has none.
    files: the files on disk behind it, which tell whether it changed; a computed frame names the code behind it.
    facts: what else the data set tells, where it does: `frame_rate_hz`, `ef_percent`, `edv_ml`, `esv_ml` (the
        clinic's ejection fraction and volumes), `age_years` as floats; `quality`, `sex` in the data set's own words.
    load: returns the `Pixels`; raises `lvseg.DataError` that names the bad file.
    """

    name: str
    patient: str
    load: Callable[[], Pixels] = field(repr=False, compare=False)
    view: str = ""
    phase: str = ""
    subset: str = ""
    files: tuple[Path, ...] = field(default=(), repr=False)
    facts: Mapping[str, float | str] = field(default_factory=dict, repr=False, hash=False)
    patient_by: str = "known"

    def read(self) -> Pixels:
        """Read the pixels; raises `lvseg.DataError` on a bad file."""
        return self.load()
