"""Notebook 02: Eq. 2 from a histogram, its clipping, one tile's mapping, and how tiles are joined."""

from __future__ import annotations

import numpy as np

from lvseg import clahe
from lvseg.course.exercises.exercise import Exercise, Mistake, Probes


def mapping(histogram):
    """Eq. 2 for counted pixels: where each grey level r = 0 .. L - 1 is sent.

    histogram: int array (L,), the number of pixels of each grey level.
    Returns an int array (L,), the new grey levels s = T(r), rounded to whole numbers.
    """
    ### BEGIN SOLUTION
    share = histogram.cumsum() / histogram.sum()
    return np.rint((len(histogram) - 1) * share).astype(int)
    ### END SOLUTION


def _histograms(random: np.random.Generator) -> Probes:
    """With an odd number of pixels, no value lies halfway between two grey levels."""
    eight_bit = random.integers(0, 20, 256) * random.integers(0, 2, 256)
    eight_bit[17] += 1 + eight_bit.sum() % 2 + 2
    eight_bit[17] += 1 - eight_bit.sum() % 2
    few = random.integers(1, 9, 16)
    few[:2] = 0
    few[5] += 1 - few.sum() % 2
    return {
        "the histogram 6, 2, 0, 3": (np.array([6, 2, 0, 3]),),
        "a histogram of 16 grey levels": (few,),
        "a histogram of 256 grey levels": (eight_bit,),
    }


MAPPING = Exercise(
    "02.mapping",
    "Turn Eq. 2 into code: from the histogram of an image to the table that says which grey level becomes which.",
    mapping,
    "your table and Eq. 2, on histograms of 4, 16 and 256 grey levels",
    answer=clahe.grey_mapping,
    probes=_histograms,
    mistakes=(
        Mistake(
            "density instead of its integral",
            {"histogram.cumsum()": "histogram"},
            "that is the share of pixels of each level alone. Eq. 2 integrates from 0 to r: add up the shares of all "
            "levels that are not brighter (NumPy: cumsum).",
        ),
        Mistake(
            "L instead of L - 1",
            {"(len(histogram) - 1)": "len(histogram)"},
            "your brightest pixels are sent to L, but grey levels end at L - 1 (255, not 256).",
        ),
        Mistake(
            "pixels instead of shares",
            {" / histogram.sum()": ""},
            "p_r is a density, its sum is 1: divide by the number of pixels.",
        ),
        Mistake(
            "own level left out",
            {"histogram.cumsum()": "(histogram.cumsum() - histogram)"},
            "you count the pixels that are darker than r. The integral runs up to r itself, so r's own pixels count "
            "too.",
        ),
        Mistake(
            "cut off instead of rounded",
            {"np.rint((len(histogram) - 1) * share)": "((len(histogram) - 1) * share)"},
            "astype(int) cuts the decimals off, 2.9 becomes 2. Round first (NumPy: rint).",
        ),
        Mistake(
            "divided by the highest peak",
            {"histogram.sum()": "histogram.max()"},
            "you divide by the highest count. A share is a count divided by all pixels.",
        ),
        Mistake(
            "stretched to start at 0",
            {
                "histogram.cumsum() / histogram.sum()": "(histogram.cumsum() - histogram[histogram > 0][0]) "
                "/ (histogram.sum() - histogram[histogram > 0][0])",
                "* share)": "* share.clip(0))",
            },
            "you send the darkest level that occurs to 0, as cv2.equalizeHist does. Eq. 2 doesn't: the darkest level "
            "goes to its own share of the pixels.",
        ),
    ),
    hints=(
        "Of counted pixels, the integral from 0 to r is a sum over the levels 0 to r.",
        "Three steps: running sum, divided by the number of pixels, times L - 1, where L is the histogram's length.",
        "`histogram.cumsum()` is the running sum, `np.rint` rounds.",
    ),
)


def clip_and_spread(histogram, limit):
    """Cut a histogram's peaks and give what was cut back to all grey levels alike.

    histogram: array (L,), pixels of each grey level. limit: the most a level may count.
    Returns an array (L,) with as many pixels in all; shares needn't be whole numbers.
    """
    ### BEGIN SOLUTION
    clipped = np.minimum(histogram, limit)
    excess = (histogram - clipped).sum()
    return clipped + excess / len(histogram)
    ### END SOLUTION


def _peaked(random: np.random.Generator) -> Probes:
    """What is cut is a multiple of the number of levels: then OpenCV's whole pixels are even shares too."""
    histogram = random.integers(0, 8, 64)
    histogram[:3] = 0, 5, 4
    peaks = random.choice(np.arange(3, 64), 2, replace=False)
    histogram[peaks] = 9, 9
    cut = np.maximum(histogram - 4, 0).sum()
    histogram[peaks[0]] += 64 - cut % 64 + 64
    return {
        "the histogram 9, 1, 0, 2 with limit 5": (np.array([9, 1, 0, 2]), 5),
        "a histogram of 64 levels with two peaks": (histogram, 4),
        "a histogram below the limit": (np.array([3, 1, 2, 2]), 5),
    }


CLIP = Exercise(
    "02.clip",
    "Limit the contrast: cut the histogram at `limit`, and spread the cut pixels evenly over all grey levels.",
    clip_and_spread,
    "your histogram and the one that OpenCV's CLAHE works with, three of them",
    answer=clahe.clip_histogram,
    probes=_peaked,
    mistakes=(
        Mistake(
            "what was cut is thrown away",
            {" + excess / len(histogram)": ""},
            "pixels are lost: the sum must stay the same. Give back what you cut, evenly over all levels.",
        ),
        Mistake(
            "everything given to every level",
            {"excess / len(histogram)": "excess"},
            "every level gets all the cut pixels. They are to be divided among the levels.",
        ),
        Mistake(
            "given to levels that aren't full only",
            {"excess / len(histogram)": "(histogram < limit) * excess / (histogram < limit).sum()"},
            "you give only to the levels below the limit. CLAHE gives to all alike, so that peaks end a little "
            "above it.",
        ),
        Mistake(
            "given to levels that occur only",
            {"excess / len(histogram)": "(histogram > 0) * excess / (histogram > 0).sum()"},
            "empty levels get their share too: spread over all L levels.",
        ),
        Mistake(
            "peaks removed whole",
            {"np.minimum(histogram, limit)": "np.where(histogram > limit, 0, histogram)"},
            "you empty the levels above the limit. They are cut down to the limit, and keep that much.",
        ),
        Mistake(
            "clipped once more",
            {"return clipped + excess / len(histogram)": "return np.minimum(clipped + excess / len(histogram), limit)"},
            "you cut again after spreading, and those pixels are lost. Once is enough.",
        ),
    ),
    hints=(
        "`np.minimum(histogram, limit)` cuts. How many pixels were cut in all?",
        "The sum of the result is the sum of the histogram; that is worth a print.",
        "Every level, also an empty one, gets the cut pixels divided by the number of levels.",
    ),
)


def tile_mapping(tile, clip_limit):
    """The clipped mapping of one tile: CLAHE's second step, whole.

    tile: uint8 array (h, w). clip_limit: how many times its fair share of the tile's
    pixels, h * w / 256, a grey level may count.
    Returns an int array (256,): where each grey level is sent.
    """
    ### BEGIN SOLUTION
    histogram = np.bincount(tile.ravel(), minlength=256)
    limit = int(clip_limit * tile.size / 256)
    clipped = np.minimum(histogram, limit)
    clipped = clipped + (histogram - clipped).sum() / 256
    return np.rint(255 * clipped.cumsum() / tile.size).astype(int)
    ### END SOLUTION


def _tiles(random: np.random.Generator) -> Probes:
    """So large that the whole pixels in which OpenCV spreads move no grey level by more than one."""
    dark = np.clip(random.normal(30, 9, (160, 128)), 0, 255).astype(np.uint8)
    wall = dark.copy()
    wall[100:] = np.clip(random.normal(190, 12, (60, 128)), 0, 255)
    return {
        "a dark tile": (dark, 2.0),
        "a tile with a bright wall": (wall, 3.5),
        "a tile of one grey level": (np.full((160, 128), 90, np.uint8), 2.0),
    }


TILE = Exercise(
    "02.tile",
    "Put the two together: from the pixels of one tile to its clipped mapping.",
    tile_mapping,
    "your tables and those of OpenCV's CLAHE, which spreads whole pixels (so one grey level may differ)",
    answer=lambda tile, clip_limit: clahe.steps(tile, clip_limit, 1).mappings[0, 0],
    probes=_tiles,
    tolerance=1.0,
    mistakes=(
        Mistake(
            "no clipping",
            {"np.minimum(histogram, limit)": "histogram"},
            "nothing is clipped: this is plain equalisation, and the noise of a dark tile is torn apart.",
        ),
        Mistake(
            "clip limit taken as pixels",
            {"int(clip_limit * tile.size / 256)": "clip_limit"},
            "clip_limit is no number of pixels: it counts in fair shares, one of which is tile.size / 256 pixels.",
        ),
        Mistake(
            "fair share of the levels that occur",
            {"tile.size / 256)": "histogram[histogram > 0].mean())"},
            "your fair share divides the tile's pixels by the levels that occur. Divide by all 256: in a dark tile few "
            "levels occur, and they are what is to be limited.",
        ),
        Mistake(
            "divided by what is left instead of spread",
            {
                " + (histogram - clipped).sum() / 256": "",
                "clipped.cumsum() / tile.size": "clipped.cumsum() / clipped.sum()",
            },
            "you divide by the pixels that are left, which stretches the clipped histogram back: the limit is undone. "
            "Spread the cut pixels over all levels.",
        ),
        Mistake(
            "limit of one fair share, whatever is asked",
            {"int(clip_limit * tile.size / 256)": "int(tile.size / 256)"},
            "you clip at one fair share: clip_limit isn't used.",
        ),
        Mistake(
            "cut pixels thrown away",
            {" + (histogram - clipped).sum() / 256": ""},
            "the cut pixels are missing, so the brightest level doesn't reach 255. Spread them first.",
        ),
        Mistake(
            "levels that don't occur left out",
            {
                "return np.rint(255 * clipped.cumsum() / tile.size).astype(int)": "present = histogram > 0\n"
                "    clipped = np.where(present, clipped, 0)\n"
                "    return np.rint(255 * clipped.cumsum() / clipped.sum()).astype(int)"
            },
            "you drop the levels that don't occur in the tile. They got a share of the cut pixels: that share keeps "
            "the "
            "mapping's slope small.",
        ),
    ),
    hints=(
        "`np.bincount(tile.ravel(), minlength=256)` counts the grey levels.",
        "The limit in pixels is clip_limit times tile.size / 256, without decimals.",
        "Then clip and spread, then Eq. 2: your two functions from before, one after the other.",
    ),
)


def tile_weights(x, tile, tiles):
    """How much each tile's mapping counts for the pixels of column x.

    x: the column, from 0. tile: a tile's width in pixels. tiles: how many there are.
    The centre of tile i lies at (i + 0.5) * tile. Returns a float array (tiles,) with
    sum 1: linear between the two nearest centres, all for the outermost tile beyond it.
    """
    ### BEGIN SOLUTION
    position = np.clip(x / tile - 0.5, 0, tiles - 1)  # 0 at the first centre
    before = int(position)
    after = min(before + 1, tiles - 1)
    weights = np.zeros(tiles)
    weights[before] += 1 - (position - before)
    weights[after] += position - before
    return weights
    ### END SOLUTION


def _interpolated(x: int, tile: int, tiles: int) -> np.ndarray:
    """NumPy's own interpolation between the centres, of one tile's 1 among 0s after the other."""
    centres = (np.arange(tiles) + 0.5) * tile
    return np.array([np.interp(x, centres, one) for one in np.eye(tiles)])


def _columns(random: np.random.Generator) -> Probes:
    inner = int(random.integers(41, 79))
    return {
        "a column between two centres": (inner, 40, 4),
        "a column near a centre": (63, 40, 4),
        "a tile's centre": (60, 40, 4),
        "the first column": (0, 40, 4),
        "the last column": (159, 40, 4),
    }


WEIGHTS = Exercise(
    "02.weights",
    "Join the tiles: find how much each tile's mapping counts for a pixel, along one direction.",
    tile_weights,
    "your weights and those of NumPy's linear interpolation between tile centres, edges too",
    answer=_interpolated,
    probes=_columns,
    mistakes=(
        Mistake(
            "the pixel's own tile only",
            {
                "np.clip(x / tile - 0.5, 0, tiles - 1)": "x // tile",
            },
            "each pixel goes through its own tile's mapping alone: that leaves the edges visible. Mix the two nearest.",
        ),
        Mistake(
            "centres at the tiles' edges",
            {"x / tile - 0.5": "x / tile"},
            "you take a tile's left edge for its centre. The centre of tile i is at (i + 0.5) * tile.",
        ),
        Mistake(
            "weights the wrong way round",
            {
                "+= 1 - (position - before)": "+= position - before",
                "weights[after] += position - before": "weights[after] += 1 - (position - before)",
            },
            "the farther centre gets the larger weight. At a centre, its own weight must be 1.",
        ),
        Mistake(
            "no end at the outermost centre",
            {"np.clip(x / tile - 0.5, 0, tiles - 1)": "x / tile - 0.5", "int(position)": "int(np.floor(position))"},
            "in front of the first centre your index is -1, which in Python is the last tile. Beyond the outermost "
            "centre "
            "the outermost tile counts alone.",
        ),
        Mistake(
            "both neighbours alike",
            {"1 - (position - before)": "0.5", "weights[after] += position - before": "weights[after] += 0.5"},
            "both neighbours get one half wherever the pixel lies. The nearer one counts more.",
        ),
        Mistake(
            "in pixels instead of shares",
            {"return weights": "return weights * tile"},
            "your weights add up to the tile's width. They are shares: divide by the distance of two centres.",
        ),
    ),
    hints=(
        "Measure in tiles from the first centre: position = x / tile - 0.5.",
        "The whole part of the position is the tile before, its fraction is the weight of the tile after.",
        "For columns beyond the outermost centres, `np.clip(position, 0, tiles - 1)` helps.",
    ),
)

EXERCISES = (MAPPING, CLIP, TILE, WEIGHTS)
