"""CLAHE, the paper's preprocessing (Eq. 2, Fig. 6): whole, and step by step for teaching.

`equalise` is OpenCV's own implementation and is what training uses. `steps` computes the same picture in
plain NumPy and keeps every intermediate; tests hold the two equal, grey level for grey level. Both belong
before any resizing, at native resolution, as the axes of Fig. 6 suggest: the order changes the picture.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lvseg.errors import ConfigError, DataError

MAX_TILES = 32
Tiles = int | tuple[int, int]


def equalise(image: np.ndarray, clip_limit: float = 2.0, tiles: Tiles = 8) -> np.ndarray:
    """Contrast-limited adaptive histogram equalisation by OpenCV.

    image: uint8 or uint16 array (height, width) of grey levels, at native resolution.
    clip_limit: how many times its fair share (pixels of a tile / grey levels) a grey level may count in the
        histogram of a tile; 0 means no limit. The paper doesn't state it: 2 is OpenCV's customary value.
    tiles: tiles along each side, or (rows, columns) of tiles, 1 to 32. Not stated either: 8 is customary.
    Returns a new array of the same shape and dtype.
    Raises `DataError` for any other image and `ConfigError` for an impossible clip limit or number of tiles.
    """
    rows, columns = _checked(image, clip_limit, tiles)
    clip_limit = min(clip_limit, _levels(image))  # more limits nothing, and would overflow OpenCV's integer
    return cv2.createCLAHE(clip_limit, (columns, rows)).apply(image)


@dataclass(frozen=True)
class Steps:
    """CLAHE taken apart; R x C tiles of h x w pixels, L grey levels (256 or 65536).

    image: the input, uint8 or uint16 (height, width).
    padded: the input, mirrored at the bottom and right so that tiles divide it, (R * h, C * w).
    tile_shape: (h, w) in pixels.
    histograms: step 1, the pixels of each grey level in each tile, int (R, C, L).
    clip_count: the most that a grey level may count, in pixels of one tile; None where nothing is clipped.
    clipped: step 2, the histograms with what exceeds `clip_count` spread over all levels, int (R, C, L).
    mappings: s = T(r) of each tile as a look-up table (Eq. 2), dtype of the image, (R, C, L).
    unjoined: each tile through its own mapping, its edges still visible, dtype and shape of the image.
    result: step 3, neighbouring tiles' mappings joined by bilinear interpolation: what `equalise` returns.
    """

    image: np.ndarray
    padded: np.ndarray
    tile_shape: tuple[int, int]
    histograms: np.ndarray
    clip_count: int | None
    clipped: np.ndarray
    mappings: np.ndarray
    unjoined: np.ndarray
    result: np.ndarray


def steps(image: np.ndarray, clip_limit: float = 2.0, tiles: Tiles = 8) -> Steps:
    """The same as `equalise`, with every intermediate kept; same arguments, same errors."""
    rows, columns = _checked(image, clip_limit, tiles)
    levels = _levels(image)
    padded = _pad(image, rows, columns)
    height, width = padded.shape[0] // rows, padded.shape[1] // columns
    histograms = _tile_histograms(padded, rows, columns, levels)
    clip_count = max(1, int(clip_limit * height * width / levels)) if clip_limit > 0 else None
    clipped = histograms if clip_count is None else clip_histogram(histograms, clip_count)
    mappings = grey_mapping(clipped)
    y, x = np.ogrid[: image.shape[0], : image.shape[1]]
    unjoined = mappings[y // height, x // width, image]
    result = _join(image, mappings, height, width)
    return Steps(image, padded, (height, width), histograms, clip_count, clipped, mappings, unjoined, result)


def clip_histogram(histogram: np.ndarray, clip_count: int) -> np.ndarray:
    """Cut a histogram's peaks at `clip_count` pixels and spread the cut pixels evenly over all grey levels.

    What doesn't divide evenly goes, one pixel each, to levels at regular distances, as OpenCV does it. So a
    level may end a little above `clip_count`, and the number of pixels stays the same.
    histogram: int array (..., L); returns the like.
    """
    levels = histogram.shape[-1]
    clipped = np.minimum(histogram, clip_count)
    excess = (histogram - clipped).sum(axis=-1, keepdims=True)
    share, rest = np.divmod(excess, levels)
    distance = levels // np.maximum(rest, 1)
    level = np.arange(levels)
    gets_one_more = (level % distance == 0) & (level // distance < rest)
    return clipped + share + gets_one_more


def grey_mapping(histogram: np.ndarray) -> np.ndarray:
    """Eq. 2, s = T(r) = (L - 1) * integral of p_r from 0 to r; of counted pixels, the integral is a sum.

    histogram: int array (..., L) of pixels per grey level, at least one pixel in all.
    Returns the look-up table(s) (..., L), uint8 for L = 256, uint16 for L = 65536: `table[image]` equalises.
    On the histogram of a whole image this is plain (global) histogram equalisation.
    """
    top = histogram.shape[-1] - 1
    cumulative = histogram.cumsum(axis=-1)
    scale = np.float32(top) / cumulative[..., -1:].astype(np.float32)  # single precision, as in OpenCV
    return np.rint(cumulative.astype(np.float32) * scale).astype(np.min_scalar_type(top))


def _checked(image: np.ndarray, clip_limit: float, tiles: Tiles) -> tuple[int, int]:
    """Raise on what CLAHE can't work with, else return (rows, columns) of tiles."""
    if image.dtype not in (np.uint8, np.uint16):  # also refuses foreign byte order, which OpenCV misreads
        raise DataError(
            f"CLAHE needs grey levels of type uint8 or uint16, not {image.dtype}: "
            "convert the image first, e.g. (255 * image).astype('uint8') for values from 0 to 1."
        )
    if image.ndim != 2 or image.size == 0:
        raise DataError(
            f"CLAHE needs a grey image of shape (height, width), not {image.shape}: "
            "turn colour into grey first, and check that the image isn't empty."
        )
    if not 0 <= clip_limit < math.inf:
        raise ConfigError(
            f"clip_limit must be a finite number, 0 (no limit) or more, not {clip_limit}: 2 is customary."
        )
    sides = tuple(tiles) if isinstance(tiles, Sequence) else (tiles, tiles)
    if len(sides) != 2 or any(side not in range(1, MAX_TILES + 1) for side in sides):
        raise ConfigError(
            f"tiles must be one whole number or (rows, columns), each 1 to {MAX_TILES}, not {tiles}: 8 is customary."
        )
    return int(sides[0]), int(sides[1])


def _levels(image: np.ndarray) -> int:
    return int(np.iinfo(image.dtype).max) + 1


def _pad(image: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Mirror the image at the bottom and right until the tiles divide it.

    OpenCV pads both sides as soon as one doesn't divide: a side that does gets a whole pixel more per tile.
    """
    height, width = image.shape
    if height % rows == 0 and width % columns == 0:
        return image
    bottom, right = rows - height % rows, columns - width % columns
    return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REFLECT_101)


def _tile_histograms(padded: np.ndarray, rows: int, columns: int, levels: int) -> np.ndarray:
    y, x = np.ogrid[: padded.shape[0], : padded.shape[1]]
    height, width = padded.shape[0] // rows, padded.shape[1] // columns
    tile = y // height * columns + x // width
    counts = np.bincount((tile * levels + padded).ravel(), minlength=rows * columns * levels)
    return counts.reshape(rows, columns, levels)


def _join(image: np.ndarray, mappings: np.ndarray, height: int, width: int) -> np.ndarray:
    """Send each pixel through the mappings of the four nearest tile centres, weighted by nearness."""
    rows, columns, _ = mappings.shape
    top, bottom, down = (a[:, None] for a in _neighbours(image.shape[0], height, rows))
    left, right, across = _neighbours(image.shape[1], width, columns)
    upper = mappings[top, left, image] * (1 - across) + mappings[top, right, image] * across
    lower = mappings[bottom, left, image] * (1 - across) + mappings[bottom, right, image] * across
    return np.rint(upper * (1 - down) + lower * down).astype(image.dtype)


def _neighbours(pixels: int, tile: int, tiles: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each pixel along a side: the tile centre before it, the one after it, and the latter's weight.

    Single precision throughout, as in OpenCV; beyond the outermost centres both are the outermost tile.
    """
    position = np.arange(pixels, dtype=np.float32) * (np.float32(1) / np.float32(tile)) - np.float32(0.5)
    before = np.floor(position)
    first = before.astype(int)
    return np.maximum(first, 0), np.minimum(first + 1, tiles - 1), position - before
