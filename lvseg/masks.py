"""A mask of the left ventricle: filled from an outline and back, checked, its contour and largest region, drawn, kept.

Masks are bool arrays (height, width), True inside the endocardium.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from lvseg import files
from lvseg.errors import DataError

Spacing = tuple[float, float]
"""The (row, column) size of a pixel in mm."""


def inside(outline: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Fill a closed outline: True where a pixel's centre lies inside it (even-odd rule).

    outline: float array (points, 2) of x, y, where the centre of the first pixel is (0, 0).
    Returns a bool array of `shape`. Its area is the polygon's, without bias; drawing routines (OpenCV's,
    Pillow's) add the boundary's pixels, about 4 % of a left ventricle on 112 x 112 pixels.
    """
    height, width = shape
    crossings = np.zeros((height, width + 1), np.int32)
    for (x0, y0), (x1, y1) in zip(outline, np.roll(outline, -1, axis=0), strict=True):
        top, bottom = sorted((y0, y1))
        rows = np.arange(max(0, np.ceil(top)), min(height, np.ceil(bottom)), dtype=int)
        if len(rows):
            x = x0 + (rows - y0) * (x1 - x0) / (y1 - y0)
            crossings[rows, np.clip(np.ceil(x), 0, width).astype(int)] += 1
    return np.cumsum(crossings[:, :width], axis=1) % 2 == 1


def contour(mask: np.ndarray) -> np.ndarray:
    """The contour pixels of a bool mask (height, width), as an int array (n, 2) of (row, column).

    A contour pixel lies in the mask and has a neighbour above, below, left or right that doesn't; all around
    the image counts as outside. Holes have contours too.
    """
    check_mask(mask)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    inner = cv2.erode(mask.view(np.uint8), cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.argwhere(mask & (inner == 0))


def check_mask(mask: np.ndarray) -> None:
    """Raise `DataError` unless `mask` is a bool array (height, width) of at least one pixel."""
    if mask.dtype != bool or mask.ndim != 2 or mask.size == 0:
        raise DataError(
            f"A mask must be a bool array of shape (height, width), not {mask.dtype} of shape {mask.shape}: "
            "compare it first, e.g. mask > 0."
        )


def check_spacing(spacing_mm: Spacing) -> np.ndarray:
    """The spacing (row, column) as a float array (2,); raises `DataError` unless positive and finite."""
    spacing = np.asarray(spacing_mm, dtype=float)
    if spacing.shape != (2,) or not (np.isfinite(spacing) & (spacing > 0)).all():
        raise DataError(
            f"spacing_mm must be two positive sizes in mm, (row, column), not {spacing_mm}: "
            "look for it in the image file's header."
        )
    return spacing


def largest_region(mask: np.ndarray) -> np.ndarray:
    """The largest connected region alone: a stray island would shift the apex."""
    check_mask(mask)
    _, labels, regions, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8))
    sizes = regions[1:, cv2.CC_STAT_AREA]
    return labels == 1 + sizes.argmax() if sizes.size else mask


def overlay(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The mask's contour drawn on a uint8 (height, width) image: a uint8 (height, width, 3) picture, blue-green-red."""
    picture = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    thickness = max(1, round(min(image.shape) / 250))
    return cv2.drawContours(picture, outlines, -1, (235, 183, 0), thickness)


def outline(mask: np.ndarray) -> np.ndarray:
    """The outline of the mask's largest region: float (points, 2) of x, y, where the first pixel's corner is (0, 0).

    It runs between the centres of the pixels around it: of every pixel's four quarters it joins the outermost's.
    """
    quarters = cv2.resize(mask.astype(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    outlines, _ = cv2.findContours(quarters, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return (max(outlines, key=cv2.contourArea)[:, 0] + 0.5) / 2


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a uint8 picture, grey or blue-green-red, atomically."""
    with files.atomic(path) as temporary:
        temporary.write_bytes(cv2.imencode(".png", picture)[1].tobytes())
