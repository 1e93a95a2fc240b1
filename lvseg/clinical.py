"""From a mask of the left ventricle to what a cardiologist reads: area, long axis, volume, ejection fraction.

Masks are bool arrays (height, width), True inside the endocardium, of an upright apical view: probe and apex
at the top, mitral annulus at the bottom. Lengths come from `spacing_mm`, the (row, column) size of a pixel.
Nothing can be measured on an empty mask: every answer is then NaN. A mask that isn't bool or a spacing that
isn't positive raises `DataError`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvseg.errors import DataError
from lvseg.masks import Spacing, check_mask, check_spacing, contour, largest_region

DISKS = 20  # the customary number in the modified Simpson method
ACROSS = 0.65  # weighs sideways against downwards in the search for the corners of the mitral annulus


def area_mm2(mask: np.ndarray, spacing_mm: Spacing) -> float:
    """Area of the cavity in mm²: all pixels of the mask."""
    check_mask(mask)
    area = float(np.count_nonzero(mask) * check_spacing(spacing_mm).prod())
    return area if area > 0 else math.nan


@dataclass(frozen=True)
class LongAxis:
    """The line from the apex to the middle of the mitral annulus.

    apex, annulus: (row, column) in pixels of the mask; the centres of pixels lie at whole numbers.
    length_mm: the distance between the two.
    """

    apex: tuple[float, float]
    annulus: tuple[float, float]
    length_mm: float


def long_axis(mask: np.ndarray, spacing_mm: Spacing) -> LongAxis:
    """Find the long axis of the mask's largest connected region.

    Of the region's two principal axes, the more vertical one says where down is. The annulus has two corners,
    the points that lie farthest down and to either side; the apex is farthest from the middle between them
    (the centre of all points that are, within a pixel). Where the region bulges beyond an end, the axis
    is drawn out to the region's edge.
    """
    spacing = check_spacing(spacing_mm)
    cavity = largest_region(mask)
    if not cavity.any():
        return LongAxis((math.nan, math.nan), (math.nan, math.nan), math.nan)
    edge = _pixel_corners(cavity) * spacing
    middle = _annulus_middle(edge, _down(cavity, spacing))
    distance = np.linalg.norm(edge - middle, axis=1)
    farthest = edge[distance >= distance.max() - spacing.max()].mean(axis=0)
    apex = _draw_out(cavity, spacing, middle, farthest)
    annulus = _draw_out(cavity, spacing, apex, middle)
    length_mm = float(np.linalg.norm(annulus - apex))
    return LongAxis(tuple((apex / spacing).tolist()), tuple((annulus / spacing).tolist()), length_mm)


def disk_diameters_mm(mask: np.ndarray, spacing_mm: Spacing) -> np.ndarray:
    """Diameters in mm of the 20 disks stacked along the long axis, from the apex down; float array (20,).

    A disk's diameter is the mean width of its slice of the largest connected region. What lies beyond an end
    of the axis, as with a slanting annulus, counts with the last disk.
    """
    axis = long_axis(mask, spacing_mm)
    if math.isnan(axis.length_mm):
        return np.full(DISKS, math.nan)
    spacing = np.asarray(spacing_mm)
    apex, annulus = np.array(axis.apex) * spacing, np.array(axis.annulus) * spacing
    along = (np.argwhere(largest_region(mask)) * spacing - apex) @ (annulus - apex) / axis.length_mm**2
    disk = np.clip(np.floor(along * DISKS).astype(int), 0, DISKS - 1)
    return np.bincount(disk, minlength=DISKS) * spacing.prod() / (axis.length_mm / DISKS)


def volume_disks_ml(mask: np.ndarray, spacing_mm: Spacing) -> float:
    """Volume in ml by the single-plane method of disks (modified Simpson): sum of pi / 4 d² L / 20."""
    height_mm = long_axis(mask, spacing_mm).length_mm / DISKS
    return float(math.pi / 4 * np.square(disk_diameters_mm(mask, spacing_mm)).sum() * height_mm / 1000)


def measured(mask: np.ndarray, spacing_mm: Spacing) -> tuple[float, float, float]:
    """Area in mm², long axis in mm and volume by the method of disks in ml."""
    length_mm = long_axis(mask, spacing_mm).length_mm
    return area_mm2(mask, spacing_mm), length_mm, volume_disks_ml(mask, spacing_mm)


def volume_area_length_ml(mask: np.ndarray, spacing_mm: Spacing) -> float:
    """Volume in ml by the single-plane area-length method, 8 A² / (3 pi L), exact for ellipsoids."""
    length_mm = long_axis(mask, spacing_mm).length_mm
    return 8 * area_mm2(largest_region(mask), spacing_mm) ** 2 / (3 * math.pi * length_mm) / 1000


def ejection_fraction(edv_ml: float, esv_ml: float) -> float:
    """Ejected share of the end-diastolic volume, in percent; NaN where EDV is 0 or a volume is NaN.

    Of the two areas instead of the volumes, it is the fractional area change.
    """
    return 100 * (edv_ml - esv_ml) / edv_ml if edv_ml > 0 else math.nan


def ed_es_frames(areas: Sequence[float] | np.ndarray) -> tuple[int, int]:
    """The indices of end-diastole and end-systole in a clip: the frames of largest and of smallest area.

    areas: one per frame; NaN (an empty mask) is passed over. Of equal areas the first counts.
    Raises `DataError` where no frame has an area.
    """
    values = np.asarray(areas, dtype=float)
    if not np.isfinite(values).any():
        raise DataError("No frame of the clip has an area: the left ventricle was found in none of them.")
    return int(np.nanargmax(values)), int(np.nanargmin(values))


def _pixel_corners(cavity: np.ndarray) -> np.ndarray:
    """The four corners of every contour pixel, where the region ends: (row, column), float (n, 2)."""
    half = np.array([(-0.5, -0.5), (-0.5, 0.5), (0.5, -0.5), (0.5, 0.5)])
    return (contour(cavity)[:, None] + half).reshape(-1, 2)


def _down(cavity: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """The more vertical principal axis of the region, a unit vector (row, column) in mm that points down."""
    pixels = np.argwhere(cavity) * spacing
    _, axes = np.linalg.eigh(np.cov(pixels.T, bias=True))
    axis = axes[:, np.abs(axes[0]).argmax()]
    return axis * np.sign(axis[0])


def _annulus_middle(edge: np.ndarray, down: np.ndarray) -> np.ndarray:
    """Halfway between the points in mm along a region's edge that lie farthest to the lower left and right.

    `ACROSS` was chosen on CAMUS, where the annulus is known as the border to the atrium: larger, and the
    corners slip up the walls; smaller, and a slanting annulus loses its upper corner.
    """
    along, across = edge @ down, edge @ np.array([-down[1], down[0]])
    along, across = along / np.ptp(along), ACROSS * across / np.ptp(across)
    return (edge[(along - across).argmax()] + edge[(along + across).argmax()]) / 2


def _draw_out(cavity: np.ndarray, spacing: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Where the line from start to end, drawn on, leaves the cavity for good; `end` if it has left before."""
    direction = (end - start) / np.linalg.norm(end - start)
    steps = np.arange(0, np.linalg.norm(cavity.shape * spacing), spacing.min() / 4)
    line = end + steps[:, None] * direction
    inside = _nearest(cavity, line / spacing)
    return line[inside][-1] if inside.any() else end


def _nearest(cavity: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The cavity's value at the pixel nearest to each point (row, column); False beyond the outermost centres."""
    within = np.all((points >= 0) & (points <= np.array(cavity.shape) - 1), axis=1, keepdims=True)
    row, column = np.floor(np.where(within, points, 0) + 0.5).astype(int).T
    return within[:, 0] & cavity[row, column]
