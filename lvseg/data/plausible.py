"""Can it be a left ventricle? What a mask, a cine and an ejection fraction can't be, each said in words.

The ranges reach from newborns to the most dilated adults, and beyond: they are there to notice a wrong scale, a wrong
picture or an inverted mask, not to judge a heart. Measured for comparison, over outlines by people or by construction:
CAMUS (adults, 400 frames) 8.2 to 60 cm², 46 to 102 mm, 12 to 286 ml, 2.9 to 24 % of the picture; the phantom's children
and its widest population together 6.9 to 61 cm², 37 to 138 mm, 9 to 237 ml, 1.5 to 21 %. No outline of either touches
an edge. Normal adults have an end-diastolic volume of 46 to 150 ml and an ejection fraction of 52 to 74 % (Lang et al.,
JASE 2015;28:1-39).
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from lvseg import clinical
from lvseg.errors import DataError
from lvseg.masks import Spacing, check_mask
from lvseg.readers.record import Frame, Pixels

Region = tuple[slice, slice]
AREA_MM2 = (100.0, 12_000.0)
"""Half the smallest and twice the largest seen in CAMUS and the phantom leave room; a newborn's is some 2 cm²."""
LENGTH_MM = (15.0, 160.0)
"""A newborn's is some 25 mm, the longest of the phantom's 138."""
VOLUME_ML = (1.0, 700.0)
"""A newborn's is a few millilitres; twice CAMUS's largest and more."""
SHARE = (0.002, 0.6)
"""Of the picture, or of its two-dimensional region: an eighth of the least seen, two and a half times the most."""
LEAST_PIXELS = 50
"""Fewer say nothing of a shape; EchoNet's small pictures (112 x 112) have some 200 at 1.5 %."""
LEAST_SIDE = 16
"""Pixels of a picture in which a ventricle can be seen at all."""
MOST_EF_PERCENT = 85.0
"""A hyperdynamic ventricle reaches some 80 %."""
JUMP = 3.5
"""Times that the area may change from a frame to the next: in a cine of end-diastole and end-systole alone the largest
ejection fraction changes it 3.3 times. Area² goes with volume times length, and length with the volume's power 1/4 (in
CAMUS, as `lvseg.phantom.heart` measured)."""
OUTSIDE = 0.01
"""The share of a mask that may lie outside the two-dimensional region: its contour's pixels."""


HOLLOW = 2.0
"""Times its own area that a mask may enclose; a ventricle's has no holes, and a contour of a few pixels' width is all
hole."""


def outline_doubt(mask: np.ndarray, region: Region | None = None) -> str:
    """Why a mask can't be a left ventricle's, whatever its scale: it is most of the picture, all around, or
    hollow.

    mask: bool (height, width). region: (rows, columns) of the ultrasound image in it. Returns "" where it can be.
    """
    check_mask(mask)
    seen = mask[region] if region is not None else mask
    if not seen.any():
        return ""
    whole = "its two-dimensional region" if region is not None else "the picture"
    if (share := seen.mean()) > SHARE[1]:
        return f"the mask covers {100 * share:.0f} % of {whole}, as an inverted one does"
    if all(edge.any() for edge in (seen[0], seen[-1], seen[:, 0], seen[:, -1])):
        return f"the mask touches all four edges of {whole}, as an inverted one does"
    if (times := _filled(seen).sum() / seen.sum()) > HOLLOW:
        return f"the mask encloses {times:.1f} times its own area, as an outline that wasn't filled does"
    return ""


def _filled(mask: np.ndarray) -> np.ndarray:
    """A mask with its holes filled; bool (height, width)."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), contours, -1, 1, cv2.FILLED) > 0


def doubt(mask: np.ndarray, region: Region | None = None) -> str:
    """Why a mask can't be measured as a left ventricle; "" where it can be one.

    As `outline_doubt`, and: it is empty or nearly so, or lies outside the region.
    """
    if min(mask.shape) < LEAST_SIDE:
        return f"a picture of {mask.shape[1]} x {mask.shape[0]} pixels shows no left ventricle"
    if not mask.any():
        return "no left ventricle was found"
    if said := outline_doubt(mask, region):
        return said
    seen = mask[region] if region is not None else mask
    if seen.sum() < (1 - OUTSIDE) * mask.sum():
        return f"{100 * (1 - seen.sum() / mask.sum()):.0f} % of the mask lie outside the two-dimensional region"
    if seen.sum() < LEAST_PIXELS or seen.mean() < SHARE[0]:
        return f"the mask has only {int(seen.sum())} pixels, {100 * seen.mean():.2g} % of the picture"
    return ""


def size_doubt(area_mm2: float, length_mm: float, volume_ml: float, spacing_mm: Spacing) -> str:
    """Why what was measured at this pixel size can't be a left ventricle; "" where it can."""
    measured = (
        ("area", area_mm2, "mm²", AREA_MM2),
        ("long axis", length_mm, "mm", LENGTH_MM),
        ("volume", volume_ml, "ml", VOLUME_ML),
    )
    for what, value, unit, (least, most) in measured:
        if not least <= value <= most:  # so written, NaN is doubted too
            would = f"its {what} would be {value:,.0f} {unit}, not {least:g} to {most:,.0f}"
            return f"at {spacing_mm[0]:g} x {spacing_mm[1]:g} mm a pixel {would}: mask or scale is wrong"
    return ""


def outlined_doubt(pixels: Pixels) -> str:
    """Both, of a frame that somebody outlined; an empty outline is one: it says that there is no ventricle."""
    if pixels.mask is None or not pixels.mask.any():
        return ""
    said = doubt(pixels.mask, pixels.region)
    if said or pixels.spacing_mm is None:
        return said
    return size_doubt(*clinical.measured(pixels.mask, pixels.spacing_mm), pixels.spacing_mm)


def jumps(pixels: Sequence[int] | np.ndarray) -> dict[int, str]:
    """The frames of a cine whose area jumps, by index, and by how much.

    pixels: the mask's in each frame, in the order of time; frames without any are passed over. Of two neighbours whose
    areas differ by more than `JUMP` times, the one farther from the cine's median is doubted; both where that is equal.
    """
    areas = np.asarray(pixels, dtype=float)
    seen = np.flatnonzero(areas > 0)
    if len(seen) < 2:
        return {}
    logs = np.log(areas[seen])
    far = np.abs(logs - np.median(logs))
    found: dict[int, str] = {}
    for i in np.flatnonzero(np.abs(np.diff(logs)) > np.log(JUMP)):
        times = np.exp(abs(logs[i + 1] - logs[i]))
        for one, other in ((i, i + 1), (i + 1, i)):
            if far[one] >= far[other] - 1e-9:
                found[int(seen[one])] = f"its area jumps {times:.1f}-fold between neighbouring frames"
    return found


def ejection_doubt(edv_ml: float, esv_ml: float) -> str:
    """Why an ejection fraction can't be; "" where it can."""
    ef = clinical.ejection_fraction(edv_ml, esv_ml)
    if not ef <= MOST_EF_PERCENT:
        return f"an ejection fraction of {ef:.0f} % can't be ({edv_ml:.1f} to {esv_ml:.1f} ml)"
    return ""


def check_outlined(frame: Frame, mask: np.ndarray, region: Region | None = None) -> None:
    """Raise `lvseg.DataError` for a mask that nothing can be learnt from, as it can't be a left ventricle's."""
    if said := outline_doubt(mask, region):
        where = frame.files[0] if frame.files else frame.name
        raise DataError(f"{where}: {said}; invert the mask, fill the outline or correct it, or leave the frame out")
