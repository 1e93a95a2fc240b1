"""Notebook 01: from a polygon to a mask, which frame is end-diastole, a split by patient, leakage as a number."""

from __future__ import annotations

import numpy as np
from matplotlib.path import Path

from lvseg.course.exercises.exercise import Exercise, Mistake, Probes


def polygon_mask(points, height, width):
    """The mask of a LabelMe polygon: True where a pixel's centre lies inside.

    points: list of (x, y) in pixels, x to the right and y down, (0, 0) at the upper
    left corner of the first pixel; the last point joins the first. Returns a bool
    array (height, width).
    """
    ### BEGIN SOLUTION
    y, x = np.mgrid[:height, :width] + 0.5  # the pixels' centres
    inside = np.zeros((height, width), bool)
    for (x0, y0), (x1, y1) in zip(points, points[1:] + points[:1]):
        at_this_height = (y0 > y) != (y1 > y)
        edge = x0 + (y - y0) / ((y1 - y0) or 1) * (x1 - x0)
        inside ^= at_this_height & (x < edge)  # each edge to the right turns it over
    return inside
    ### END SOLUTION


def _filled(points: list[tuple[float, float]], height: int, width: int) -> np.ndarray:
    centres = [(column + 0.5, row + 0.5) for row in range(height) for column in range(width)]
    return Path([*points, points[0]], closed=True).contains_points(centres).reshape(height, width)


def _polygons(random: np.random.Generator) -> Probes:
    turn = np.sort(random.uniform(0, 2 * np.pi, 11))
    reach = random.uniform(5, 12, 11)
    ring = [(16 + r * float(np.sin(t)), 14 + r * float(np.cos(t))) for t, r in zip(turn, reach)]
    return {
        "a triangle": ([(3.3, 2.2), (24.6, 8.7), (9.4, 20.1)], 24, 30),
        "a notched square": ([(4.2, 3.3), (25.7, 3.3), (25.7, 20.6), (14.1, 9.9), (4.2, 20.6)], 24, 30),
        "a random outline": (ring, 28, 32),
    }


_CLOSED = "points[1:] + points[:1]"
_BOX = """xs, ys = zip(*points)
    y, x = np.mgrid[:height, :width] + 0.5
    return (x > min(xs)) & (x < max(xs)) & (y > min(ys)) & (y < max(ys))
"""

POLYGON = Exercise(
    "01.polygon",
    "Fill a polygon: turn LabelMe's points into a mask. A pixel belongs to it where its centre lies inside.",
    polygon_mask,
    "your masks and Matplotlib's of three polygons",
    answer=_filled,
    probes=_polygons,
    mistakes=(
        Mistake(
            "x and y mixed up",
            {"y, x = np.mgrid": "x, y = np.mgrid"},
            "your masks are mirrored along the diagonal: a point is (x, y), an array's index is [y, x].",
        ),
        Mistake(
            "corners instead of centres",
            {" + 0.5": ""},
            "half a pixel off: you test each pixel's corner. Its centre lies at + 0.5.",
        ),
        Mistake(
            "whole-number points",
            {"y, x = np.mgrid": "points = [(round(a), round(b)) for a, b in points]\n    y, x = np.mgrid"},
            "you round the points to whole pixels first, and the border moves by up to half a pixel. Keep them as they "
            "are.",
        ),
        Mistake(
            "polygon left open",
            {_CLOSED: "points[1:]"},
            "the last point joins the first: one edge is missing, and rows leak.",
        ),
        Mistake(
            "bounding box",
            {"y, x = np.mgrid[:height, :width] + 0.5  # the pixels' centres\n    ": _BOX + "    "},
            "that is the smallest rectangle around the outline. Follow the edges.",
        ),
        Mistake(
            "outside instead of inside",
            {"return inside": "return ~inside"},
            "your mask is True outside the outline.",
        ),
        Mistake(
            "edges counted to both sides",
            {" & (x < edge)": ""},
            "you count every edge at a pixel's height, right and left of it; their number is always even. Count those "
            "to the right only.",
        ),
    ),
    hints=(
        "Walk from a pixel to the right, out of the picture: crossing an odd number of edges, it started inside.",
        "An edge from (x0, y0) to (x1, y1) is met at the pixel's height y where (y0 > y) != (y1 > y); there it lies at "
        "x0 + (y - y0) / (y1 - y0) * (x1 - x0).",
        "`np.mgrid[:height, :width] + 0.5` has the centres of all pixels at once, and `inside ^= ...` turns over.",
    ),
)


def ed_es(areas):
    """The frames of end-diastole and end-systole in a clip, counted from 0.

    areas: the LV's area in each frame, float array (frames,); 0 where none was found.
    End-diastole is the frame of largest area, end-systole that of smallest, among
    those where it was found. Returns two whole numbers.
    """
    ### BEGIN SOLUTION
    found = np.where(areas > 0, areas, np.nan)
    return np.nanargmax(found), np.nanargmin(found)
    ### END SOLUTION


def _phases(areas: np.ndarray) -> tuple[int, int]:
    seen = {frame: float(area) for frame, area in enumerate(areas) if area > 0}
    return max(seen, key=seen.__getitem__), min(seen, key=seen.__getitem__)


def _clips(random: np.random.Generator) -> Probes:
    start = random.uniform(0.6, 1.4)
    areas = 30 + 9 * np.cos(np.linspace(start, start + 7, 25)) + random.normal(0, 0.05, 25)
    lost = areas.copy()
    lost[[0, 6]] = 0
    return {
        "a clip": (areas,),
        "a clip with two frames in which no LV was found": (lost,),
        "random areas": (random.uniform(10, 40, 40),),
    }


_FOUND = "found = np.where(areas > 0, areas, np.nan)"
_BOTH = "return np.nanargmax(found), np.nanargmin(found)"

ED_ES = Exercise(
    "01.ed_es",
    "Which frame is end-diastole, which end-systole?",
    ed_es,
    "your frames and those found one by one, of a clip with gaps too",
    answer=_phases,
    probes=_clips,
    mistakes=(
        Mistake(
            "gaps taken for small hearts",
            {_FOUND: "found = areas"},
            "right without gaps; but a frame in which no LV was found has area 0 and passes for end-systole. Leave it "
            "out.",
        ),
        Mistake(
            "counted among the frames that are left",
            {_FOUND: "found = areas[areas > 0]"},
            "you throw the gaps away first, and the frames behind them move up: your number isn't the clip's. Put NaN "
            "in their place.",
        ),
        Mistake(
            "ED and ES swapped",
            {_BOTH: "return np.nanargmin(found), np.nanargmax(found)"},
            "swapped: at end-diastole the ventricle is fullest.",
        ),
        Mistake(
            "first frame taken for end-diastole",
            {"np.nanargmax(found),": "0,"},
            "a clip starts anywhere in the beat. Look for the largest area.",
        ),
        Mistake(
            "half a clip after end-diastole",
            {"np.nanargmin(found)": "(np.nanargmax(found) + len(areas) // 2) % len(areas)"},
            "you take end-systole for half a clip after end-diastole. Systole's share of a beat varies, and a clip may "
            "hold several beats: look for the smallest area.",
        ),
        Mistake(
            "areas instead of frames",
            {"np.nanargmax(found), np.nanargmin(found)": "np.nanmax(found), np.nanmin(found)"},
            "those are the areas. The frames' numbers are asked for: `argmax`, not `max`.",
        ),
        Mistake(
            "counted from 1",
            {"np.nanargmax(found), np.nanargmin(found)": "np.nanargmax(found) + 1, np.nanargmin(found) + 1"},
            "one too far: frames are counted from 0.",
        ),
    ),
    hints=(
        "`np.argmax` gives the place of the largest number.",
        "Where the area is 0, put NaN; `np.nanargmax` and `np.nanargmin` pass it over.",
    ),
)


def tested(patients, n):
    """Which frames test where the last `n` patients by name test, the others train.

    patients: each frame's patient, array of text (frames,), in any order. Returns a
    bool array (frames,).
    """
    ### BEGIN SOLUTION
    names = np.unique(patients)  # each name once, sorted
    return np.isin(patients, names[-n:])
    ### END SOLUTION


def _tested(patients: np.ndarray, n: int) -> list[bool]:
    names = sorted(set(patients.tolist()))
    return [names.index(each) >= len(names) - n for each in patients.tolist()]


def _cohorts(random: np.random.Generator) -> Probes:
    names = np.array(["p06", "p04", "p01", "p02", "p05", "p03"])
    mixed = np.concatenate([names, random.permutation(np.repeat(names, [2, 4, 3, 6, 5, 3]))])
    return {"29 mixed frames of six patients, two of them tested": (mixed, 2), "one of them tested": (mixed, 1)}


_ISIN = "np.isin(patients, names[-n:])"

SPLIT = Exercise(
    "01.split",
    "Divide the frames so that no patient is on both sides.",
    tested,
    "your split and one made name by name",
    answer=_tested,
    probes=_cohorts,
    mistakes=(
        Mistake(
            "frames counted instead of patients",
            {_ISIN: "np.arange(len(patients)) >= len(patients) - n"},
            "you take the last n frames. Their patients train too: take whole patients.",
        ),
        Mistake(
            "some frames of each patient",
            {_ISIN: "np.array([each in patients[i + 1 :] for i, each in enumerate(patients)]) == False"},
            "you test on the last frame of every patient, so that each is on both sides: the network has seen every "
            "tested heart.",
        ),
        Mistake(
            "the share of frames, not of patients",
            {_ISIN: "np.arange(len(patients)) >= len(patients) * (1 - n / len(names))"},
            "you cut the list of frames at the patients' share. Where frames are mixed, the cut goes through patients.",
        ),
        Mistake(
            "the first patients",
            {"names[-n:]": "names[:n]"},
            "those are the first n names; the last n are asked for.",
        ),
        Mistake(
            "in the order of their frames",
            {"np.unique(patients)  # each name once, sorted": "list(dict.fromkeys(patients.tolist()))"},
            "you take the patients that turn up last. Then the split depends on the order of the files: sort the "
            "names.",
        ),
        Mistake(
            "training and test swapped",
            {f"return {_ISIN}": f"return ~{_ISIN}"},
            "True should mean: tests. Yours is True where a frame trains.",
        ),
        Mistake(
            "one patient too many",
            {"names[-n:]": "names[-n - 1 :]"},
            "n patients are to be tested, and yours are n + 1.",
        ),
    ),
    hints=(
        "`np.unique(patients)` has each name once, sorted.",
        "`np.isin(patients, some)` is True where a frame's patient is among `some`.",
    ),
)


def leakage(train, test):
    """The share of the test frames whose patient trains too, from 0 to 1.

    train, test: each frame's patient, arrays of text.
    """
    ### BEGIN SOLUTION
    return np.isin(test, train).mean()
    ### END SOLUTION


def _leaked(train: np.ndarray, test: np.ndarray) -> float:
    known = set(train.tolist())
    return sum(each in known for each in test.tolist()) / len(test)


def _sides(random: np.random.Generator) -> Probes:
    train = np.repeat(["p1", "p3", "p2", "p4"], random.integers((30, 30, 400, 400), (90, 90, 600, 600)))
    test = random.permutation(np.repeat(["p2", "p4", "p5"], random.integers((30, 30, 400), (90, 90, 600))))
    return {
        "p1 to p4 train, p2, p4 and p5 test": (train, test),
        "nobody on both sides": (train, np.array(["p8", "p9", "p9"])),
        "everybody on both sides": (train, np.array(["p1", "p1", "p3"])),
    }


LEAKAGE = Exercise(
    "01.leakage",
    "Put leakage into a number: how many of the tested frames show a heart that the network has trained on?",
    leakage,
    "your share and one counted frame by frame",
    answer=_leaked,
    probes=_sides,
    mistakes=(
        Mistake(
            "share of patients",
            {"np.isin(test, train)": "np.isin(np.unique(test), train)"},
            "you count patients. One patient may have many frames, and frames are what is scored.",
        ),
        Mistake(
            "share of the training frames",
            {"np.isin(test, train)": "np.isin(train, test)"},
            "that is the share of training frames whose patient is tested. It is the tested frames that can't be "
            "trusted.",
        ),
        Mistake(
            "a number of frames",
            {".mean()": ".sum()"},
            "that is how many frames. Divide by the number of tested ones.",
        ),
        Mistake(
            "yes or no",
            {".mean()": ".any()"},
            "yours says whether there is any leakage. How much?",
        ),
        Mistake(
            "share that is clean",
            {"np.isin(test, train)": "1 - np.isin(test, train)"},
            "that is the share of frames that are clean.",
        ),
        Mistake(
            "share of all frames",
            {".mean()": ".sum() / (len(train) + len(test))"},
            "you divide by all frames. Only the tested ones are scored.",
        ),
        Mistake(
            "patients in common",
            {"return np.isin(test, train).mean()": "a, b = set(train.tolist()), set(test.tolist())\n"
             "    return len(a & b) / len(a | b)"},
            "you compare the two lists of patients. Go through the tested frames.",
        ),
    ),
    hints=("`np.isin(test, train)` is True where a tested frame's patient trains.", "The mean of bools is a share."),
)  # fmt: skip

EXERCISES = (ED_ES, POLYGON, SPLIT, LEAKAGE)
