"""Notebook 09: from pixels to area, long axis, volume and ejection fraction, and how two measurements agree."""

from __future__ import annotations

import math

import numpy as np
from scipy import integrate, stats

from lvseg.course.exercises.exercise import Exercise, Mistake, Probes


def area_cm2(mask, spacing_mm):
    """The area of a mask in cm².

    mask: bool array (height, width). spacing_mm: the size of a pixel, (row, column).
    """
    ### BEGIN SOLUTION
    row, column = spacing_mm
    return mask.sum() * row * column / 100
    ### END SOLUTION


def _area(mask: np.ndarray, spacing_mm: tuple[float, float]) -> float:
    """Column by column: how many pixels, how tall, how wide."""
    return sum(float(np.count_nonzero(column)) * spacing_mm[0] * spacing_mm[1] for column in mask.T) / 10**2


def _areas(random: np.random.Generator) -> Probes:
    mask = random.random((40, 30)) < 0.3
    mask[0, :2] = True, False
    return {"random pixels of 0.31 x 0.19 mm": (mask, (0.31, 0.19)), "pixels of 0.5 x 0.5 mm": (mask, (0.5, 0.5))}


AREA = Exercise(
    "09.area",
    "Measure a mask's area in cm². A pixel need not be square.",
    area_cm2,
    "your area and one added up column by column",
    answer=_area,
    probes=_areas,
    mistakes=(
        Mistake(
            "mm² for cm²",
            {" / 100": ""},
            "that is mm². A square centimetre is 10 mm by 10 mm: divide by 100.",
        ),
        Mistake(
            "divided by 10",
            {" / 100": " / 10"},
            "a centimetre has 10 mm, a square centimetre 10 times 10: divide by 100.",
        ),
        Mistake(
            "one side of the pixel only",
            {"row * column": "row"},
            "you multiply by one side of a pixel. Its area is both sides multiplied.",
        ),
        Mistake(
            "square pixels taken for granted",
            {"row * column": "row**2"},
            "you take pixels for squares of the rows' spacing. Some scanners' aren't: rows times columns.",
        ),
        Mistake(
            "a number of pixels",
            {" * row * column / 100": ""},
            "you count pixels. The same heart on a finer grid would come out larger: multiply by a pixel's area.",
        ),
        Mistake(
            "a share of the image",
            {"mask.sum()": "mask.mean()"},
            "you take the share of the picture that is LV. Count its pixels: `sum`, not `mean`.",
        ),
    ),
    hints=(
        "`mask.sum()` is the number of pixels; one pixel has an area of row times column, in mm².",
        "1 cm² is 100 mm².",
    ),
)


def length_mm(apex, annulus, spacing_mm):
    """The length of the long axis in mm, from the apex to the middle of the annulus.

    apex, annulus: (row, column) in pixels. spacing_mm: the size of a pixel, (row,
    column).
    """
    ### BEGIN SOLUTION
    down = (annulus[0] - apex[0]) * spacing_mm[0]
    across = (annulus[1] - apex[1]) * spacing_mm[1]
    return (down**2 + across**2) ** 0.5
    ### END SOLUTION


def _length(apex: tuple[float, float], annulus: tuple[float, float], spacing_mm: tuple[float, float]) -> float:
    return math.dist([a * s for a, s in zip(apex, spacing_mm)], [a * s for a, s in zip(annulus, spacing_mm)])


def _axes(random: np.random.Generator) -> Probes:
    ends = random.uniform(20, 60, 2), random.uniform((150, 70), (220, 140))
    apex, annulus = (tuple(end.tolist()) for end in ends)
    return {
        "apex (40, 100), annulus (200, 160), pixels of 0.3 x 0.4 mm": ((40, 100), (200, 160), (0.3, 0.4)),
        "a random axis": (apex, annulus, (0.31, 0.19)),
    }


_ROOT = "(down**2 + across**2) ** 0.5"

LENGTH = Exercise(
    "09.length",
    "Measure the long axis in mm, from its two ends in pixels.",
    length_mm,
    "your lengths and Euclid's distance of points in mm",
    answer=_length,
    probes=_axes,
    mistakes=(
        Mistake(
            "pixels instead of millimetres",
            {" * spacing_mm[0]": "", " * spacing_mm[1]": ""},
            "your length is in pixels: multiply rows and columns by their size in mm first.",
        ),
        Mistake(
            "pixels first, spacing last",
            {" * spacing_mm[0]": "", " * spacing_mm[1]": "", _ROOT: f"{_ROOT} * sum(spacing_mm) / 2"},
            "you scale the length by a mean spacing. Where pixels aren't square, that depends on the direction: scale "
            "rows and columns first.",
        ),
        Mistake(
            "rows and columns mixed up",
            {"spacing_mm[0]": "spacing_mm[9]", "spacing_mm[1]": "spacing_mm[0]", "spacing_mm[9]": "spacing_mm[1]"},
            "rows and columns have changed places: spacing_mm is (row, column), as the points are.",
        ),
        Mistake(
            "only downwards",
            {_ROOT: "down"},
            "you measure how far down the annulus lies. A tilted axis is longer: add the way across, by Pythagoras.",
        ),
        Mistake(
            "legs added",
            {_ROOT: "abs(down) + abs(across)"},
            "you walk down, then across. The axis takes the straight way: square, add, root.",
        ),
        Mistake(
            "squared length",
            {" ** 0.5": ""},
            "that is the square of the length: the root is missing.",
        ),
    ),
    hints=(
        "The difference of rows times the row spacing is how far down, in mm; the same for columns.",
        "Then Pythagoras.",
    ),
)


def volume_ml(diameters_mm, length_mm):
    """A volume in ml by the method of disks (Simpson's, of a single plane).

    diameters_mm: the diameters of disks of equal height that fill the long axis, float
    array (disks,). length_mm: the length of the axis. Each disk is a cylinder.
    """
    ### BEGIN SOLUTION
    height_mm = length_mm / len(diameters_mm)
    sections_mm2 = np.pi / 4 * diameters_mm**2
    return (sections_mm2 * height_mm).sum() / 1000
    ### END SOLUTION


def _solid(diameters_mm: np.ndarray, length_mm: float) -> float:
    """The integral of the sections along the axis, by SciPy's trapezoids on a fine grid of steps."""
    fine = np.repeat(np.asarray(diameters_mm) / 2, 2)
    ends = np.repeat(np.linspace(0, length_mm, len(diameters_mm) + 1), 2)[1:-1]
    return float(integrate.trapezoid(math.pi * fine**2, ends)) / 1e3


def _disks(random: np.random.Generator) -> Probes:
    level = (np.arange(20) + 0.5) / 20
    heart = 44 * np.sqrt(1 - (1 - level) ** 2)
    return {
        "half an ellipsoid, 80 mm long and 44 mm wide": (heart, 80.0),
        "random disks": (random.uniform(5, 50, 20), float(random.uniform(50, 100))),
        "ten disks": (random.uniform(5, 50, 10), 70.0),
    }


_SUM = "return (sections_mm2 * height_mm).sum() / 1000"

DISKS = Exercise(
    "09.disks",
    "Turn the widths of a ventricle into its volume: pile up round disks.",
    volume_ml,
    "your volumes and the integral of the sections by SciPy",
    answer=_solid,
    probes=_disks,
    mistakes=(
        Mistake(
            "diameter taken for radius",
            {"np.pi / 4": "np.pi"},
            "your volumes are four times too large: you have pi d², a disk's section is pi r² = pi / 4 d².",
        ),
        Mistake(
            "every disk as tall as the heart",
            {"length_mm / len(diameters_mm)": "length_mm"},
            "each of your disks is as tall as the whole axis. They share it: its length over their number.",
        ),
        Mistake(
            "mm³ for ml",
            {" / 1000": ""},
            "that is mm³. A millilitre is 10 mm x 10 mm x 10 mm: divide by 1000.",
        ),
        Mistake(
            "mean diameter squared",
            {_SUM: "return np.pi / 4 * diameters_mm.mean() ** 2 * length_mm / 1000"},
            "you average the diameters, then square. Square first: wide disks hold more than narrow ones lack.",
        ),
        Mistake(
            "pi forgotten",
            {"np.pi / 4 * ": ""},
            "your disks are square, d by d. A round one has pi / 4 of that.",
        ),
        Mistake(
            "diameters not squared",
            {"diameters_mm**2": "diameters_mm"},
            "you add up widths: that is an area. A disk's section grows with the square of its diameter.",
        ),
        Mistake(
            "always 20 disks",
            {"len(diameters_mm)": "20"},
            "right for 20 disks only: take their number from `len(diameters_mm)`.",
        ),
    ),
    hints=(
        "A disk is a cylinder: its section pi / 4 d² times its height.",
        "All disks are equally tall: length_mm / len(diameters_mm).",
        "1 ml is 1 cm³, 1000 mm³.",
    ),
)


def ejection_fraction(volumes_ml):
    """The ejection fraction of a beat in percent.

    volumes_ml: one per frame, float array (frames,); NaN where the network found no LV.
    End-diastole is the frame of largest volume, end-systole that of smallest.
    """
    ### BEGIN SOLUTION
    edv, esv = np.nanmax(volumes_ml), np.nanmin(volumes_ml)
    return 100 * (edv - esv) / edv
    ### END SOLUTION


def _ejected(volumes_ml: np.ndarray) -> float:
    known = sorted(float(v) for v in volumes_ml if v == v)
    return 100 * (1 - known[0] / known[-1])


def _beats(random: np.random.Generator) -> Probes:
    edv, esv = random.uniform(90, 150), random.uniform(30, 70)
    beat = esv + (edv - esv) * (0.5 + 0.5 * np.cos(np.linspace(0.4, 2 * np.pi + 0.3, 24)))
    lost = beat.copy()
    lost[[0, 7]] = np.nan
    return {"a beat": (beat,), "a beat with two frames in which nothing was found": (lost,)}


_VOLUMES = "edv, esv = np.nanmax(volumes_ml), np.nanmin(volumes_ml)"

EF = Exercise(
    "09.ef",
    "From the volume in every frame of a beat to the ejection fraction.",
    ejection_fraction,
    "your ejection fractions and those of the sorted volumes, of a beat with gaps too",
    answer=_ejected,
    probes=_beats,
    mistakes=(
        Mistake(
            "divided by the end-systolic volume",
            {") / edv": ") / esv"},
            "you divide by what is left. The fraction is of what was there: the end-diastolic volume.",
        ),
        Mistake(
            "stroke volume",
            {"100 * (edv - esv) / edv": "edv - esv"},
            "that is the stroke volume, in ml. Divide by the end-diastolic volume, times 100.",
        ),
        Mistake(
            "a share instead of percent",
            {"100 * (edv": "(edv"},
            "yours is a share from 0 to 1; percent is asked for.",
        ),
        Mistake(
            "what is left",
            {"(edv - esv) / edv": "esv / edv"},
            "that is the share that stays. What is ejected is the rest.",
        ),
        Mistake(
            "first frame taken for end-diastole",
            {_VOLUMES: "edv, esv = volumes_ml[np.isfinite(volumes_ml)][0], np.nanmin(volumes_ml)"},
            "a clip starts anywhere in the beat. End-diastole is the frame of largest volume, not the first.",
        ),
        Mistake(
            "gaps not passed over",
            {"np.nanmax": "np.max", "np.nanmin": "np.min"},
            "right without gaps; but one frame without an LV makes your whole beat NaN. Pass over NaN: `np.nanmax`.",
        ),
        Mistake(
            "gaps taken for empty hearts",
            {_VOLUMES: "edv, esv = np.nanmax(volumes_ml), np.nan_to_num(volumes_ml).min()"},
            "a frame in which nothing was found counts as 0 ml with you, and so as end-systole: a perfect heart. Pass "
            "over it.",
        ),
    ),
    hints=("`np.nanmax` and `np.nanmin` pass over NaN.", "100 * (EDV - ESV) / EDV."),
)


def bland_altman(found, true):
    """Bias and limits of agreement, after Bland and Altman.

    found, true: the measured and the true value of each patient, float arrays
    (patients,). Returns three numbers: the mean of found - true, and that mean minus
    and plus 1.96 standard deviations (n - 1) of the differences.
    """
    ### BEGIN SOLUTION
    difference = found - true
    bias, spread = difference.mean(), 1.96 * difference.std(ddof=1)
    return bias, bias - spread, bias + spread
    ### END SOLUTION


def _limits(found: np.ndarray, true: np.ndarray) -> tuple[float, float, float]:
    told = stats.describe(found - true)
    spread = 1.96 * math.sqrt(told.variance)
    return float(told.mean), float(told.mean - spread), float(told.mean + spread)


def _measurements(random: np.random.Generator) -> Probes:
    true = random.uniform(30, 70, 9)
    return {"nine patients": (true + random.permutation(np.linspace(-6, 12, 9) + random.normal(size=9)), true)}


BLAND_ALTMAN = Exercise(
    "09.bland_altman",
    "How far may the network's ejection fraction lie from the truth in the next patient?",
    bland_altman,
    "your bias and limits and those from SciPy's variance",
    answer=_limits,
    probes=_measurements,
    mistakes=(
        Mistake(
            "n instead of n - 1",
            {"ddof=1": "ddof=0"},
            "your deviation divides by n. NumPy does unless it is told `ddof=1`; of few patients that is too small.",
        ),
        Mistake(
            "interval of the mean",
            {"difference.std(ddof=1)": "difference.std(ddof=1) / np.sqrt(len(difference))"},
            "that is how surely the bias is known. The limits say where single patients lie: don't divide by the root "
            "of n.",
        ),
        Mistake(
            "one standard deviation",
            {"1.96 * ": ""},
            "one standard deviation holds two patients of three. 19 of 20 take 1.96 of them.",
        ),
        Mistake(
            "true minus found",
            {"found - true": "true - found"},
            "your sign is turned: a bias above 0 should say that the network measures too much.",
        ),
        Mistake(
            "differences without sign",
            {"found - true": "np.abs(found - true)"},
            "without signs, too much here and too little there don't cancel: that is the mean absolute error. Keep the "
            "sign.",
        ),
        Mistake(
            "percent of the truth",
            {"found - true": "100 * (found - true) / true"},
            "you divide by the truth. Limits of agreement stay in the measurement's own unit.",
        ),
        Mistake(
            "spread without bias",
            {"bias - spread, bias + spread": "-spread, spread"},
            "your limits lie around 0. They lie around the bias.",
        ),
    ),
    hints=(
        "Everything is about `found - true`, one number per patient.",
        "`difference.std(ddof=1)` divides by n - 1.",
    ),
)

EXERCISES = (AREA, LENGTH, DISKS, EF, BLAND_ALTMAN)
