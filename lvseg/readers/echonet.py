"""EchoNet-Dynamic and EchoNet-Pediatric: videos with the left ventricle traced in some frames.

Dynamic: apical four-chamber videos, one a patient.

Ouyang et al., Nature 580, 2020; layout as in github.com/echonet/dynamic: `FileList.csv` (FileName, Split,
...), `VolumeTracings.csv` (FileName, X1, Y1, X2, Y2, Frame) and `Videos/NAME.avi`. A traced frame's first row
is the long axis, each further one a chord across the ventricle from wall to wall. No spacing is stated.

Pediatric: children's videos in two views, `A4C/` and `PSAX/`, each laid out as Dynamic.
Reddy et al., J Am Soc Echocardiogr, 2023. Here the rows of `VolumeTracings.csv` are an outline's points (X,
Y), and Split in `FileList.csv` is a fold from 0 to 9. Video names start with their study, the same in both
views (`CR32a7555-CR32a7582-000039`): the study stands for the patient, whom the public files don't name.

A bad tracing spoils its own frame, a bad row its own video, as does a row that states another size than the video has
(FrameHeight, FrameWidth; Pediatric states none): reading these frames says what is wrong.
"""

from __future__ import annotations

import io
import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lvseg.clinical import ed_es_frames
from lvseg.errors import DataError, DataWarning
from lvseg.masks import inside
from lvseg.readers.common import check_outline, facts_of, numbered, read_text, unusable
from lvseg.readers.record import Frame, Pixels
from lvseg.readers.video import read_frame

Description = tuple[str, str, str, str]
"""A frame's name without its number, its patient, view and subset."""

_VIEWS = {"A4C": "4CH", "PSAX": "PSAX"}
_OUTSIDE = 0.1
"""The share of a picture's side by which an outline may leave it; an outline of another size leaves it by more."""
_SUBSETS = {"TRAIN": "training", "VAL": "validation", "TEST": "testing"}


def open_folder(root: Path) -> list[Frame]:
    """EchoNet-Dynamic's traced frames; the subset is the data set's own."""

    def describe(name: str, split: str) -> Description:
        return name, name, "4CH", _SUBSETS.get(split.upper(), "")

    return _traced_frames(root, ["X1", "Y1", "X2", "Y2"], _chords_to_outline, describe)


def open_pediatric(root: Path) -> list[Frame]:
    """EchoNet-Pediatric's traced frames of the views in `root`; the subset is the fold, such as `fold3`."""
    frames = []
    for folder in (root / view for view in _VIEWS if (root / view).is_dir()):

        def describe(name: str, split: str, view: str = folder.name) -> Description:
            return f"{view}_{name}", name.rpartition("-")[0] or name, _VIEWS[view], f"fold{split}"

        frames += _traced_frames(folder, ["X", "Y"], lambda points: points, describe)
    return frames


def _traced_frames(
    folder: Path,
    columns: list[str],
    to_outline: Callable[[np.ndarray], np.ndarray],
    describe: Callable[[str, str], Description],
) -> list[Frame]:
    """The traced frames of the videos in `FileList.csv`.

    columns: the coordinates in `VolumeTracings.csv`; `to_outline` turns one frame's rows into its outline.
    describe: what a video's name and Split mean for its frames.
    """
    videos, tracings = folder / "FileList.csv", folder / "VolumeTracings.csv"
    outlines = _outlines(tracings, columns, to_outline)
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    for told in _table(videos, ["FileName", "Split"]).to_dict("records"):
        rows[_stem(told["FileName"])].append(told)
    if unlisted := sorted(outlines.keys() - rows.keys()):
        text = f"traces {len(unlisted)} videos that {videos.name} doesn't list, such as {unlisted[0]}; passed over"
        warnings.warn(DataWarning(f"{tracings}: {text}"), stacklevel=3)
    frames = []
    for name, listed in rows.items():
        unique, patient, view, subset = describe(name, listed[0]["Split"])
        path, traced, facts = folder / "Videos" / f"{name}.avi", outlines[name], facts_of(listed[0], videos)
        size = _stated_size(listed[0])
        good = {index: outline for index, outline in traced.items() if isinstance(outline, np.ndarray)}
        phases = _phases(good) if len(good) == len(traced) else {}
        for index, outline in traced.items():
            load = partial(_read, path, index, outline, size)
            phase, files = phases.get(index, ""), (path, tracings)
            frame = Frame(numbered(unique, index), patient, load, view, phase, subset, files, facts)
            if len(listed) > 1:
                frame = unusable(frame, DataError(f"{videos}: lists {name} twice; leave the row that is right"))
            frames.append(frame)
    return frames


def _outlines(
    path: Path, columns: list[str], to_outline: Callable[[np.ndarray], np.ndarray]
) -> dict[str, dict[int, np.ndarray | DataError]]:
    """By video and index of a traced frame, its outline, float array (points, 2), or what is wrong with it."""
    rows = _table(path, ["FileName", "Frame", *columns])
    rows = rows[~rows["Frame"].isin(["No Systolic", "No Diastolic"])]
    outlines: dict[str, dict[int, np.ndarray | DataError]] = defaultdict(dict)
    points = rows[columns].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    frames = pd.to_numeric(rows["Frame"], errors="coerce")
    stems = {name: _stem(name) for name in rows["FileName"].unique()}  # a name has some forty rows
    names = rows["FileName"].map(stems)
    good = frames.between(0, 1e6) & (frames % 1 == 0)
    for (name, index), places in rows.groupby([names, frames.where(good)]).indices.items():
        outlines[name][int(index)] = _outline(path, name, int(index), points[places], to_outline)
    for row, name in names[~good].items():
        error = DataError(f"{path}: row {row + 2} has a Frame that is no number from 0 on; correct that row of {name}")
        outlines[name] = {0: error}
    return outlines


def _outline(
    path: Path, name: str, index: int, points: np.ndarray, to_outline: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray | DataError:
    what = f"{path}: the tracing of {name} in its frame {index + 1} (Frame {index})"
    if not np.isfinite(points).all():
        return DataError(f"{what} has a coordinate that is no number; correct it, or remove the rows of that frame")
    try:
        return check_outline(path, to_outline(points))
    except DataError:
        text = f"can't be an outline: {len(points)} rows, with coordinates up to {np.abs(points).max():g}"
        return DataError(f"{what} {text}; trace it again, or remove its rows")


def _stated_size(told: dict[str, str]) -> tuple[int, int] | None:
    """The (height, width) of a video by its row in `FileList.csv`; None where that doesn't say."""
    try:
        return int(float(told["FrameHeight"])), int(float(told["FrameWidth"]))
    except (KeyError, ValueError, OverflowError):  # no such column, no number, or infinite
        return None


def _read(path: Path, index: int, outline: np.ndarray | DataError, size: tuple[int, int] | None) -> Pixels:
    """The frame at `index` with its outline filled; size: the (height, width) in which it was traced, if known."""
    if isinstance(outline, DataError):
        raise DataError(str(outline))
    image = read_frame(path, index)
    height, width = image.shape
    if size is not None and size != image.shape:
        raise DataError(
            f"{path}: has {width} x {height} pixels, but FileList.csv states {size[1]} x {size[0]}, so it isn't the "
            "video that was traced; bring that one, or correct the row"
        )
    reach = np.abs(outline + 0.5 - (width / 2, height / 2)).max(axis=0) / (width, height)
    if reach.max() > 0.5 + _OUTSIDE:
        raise DataError(
            f"{path}: the tracing of frame {index + 1} leaves the picture of {width} x {height} pixels, so it was "
            "drawn on another size; bring the video that was traced"
        )
    return Pixels(image, inside(outline, (height, width)), None)


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV file as text, which must have the named columns."""
    text = read_text(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # rows of more cells than the header has
            table = pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False, index_col=False)
    except (ValueError, pd.errors.ParserError, pd.errors.ParserWarning):
        raise DataError(f"{path}: can't be read as a table with commas; save it as CSV") from None
    if absent := [column for column in columns if column not in table]:
        by = "; it is divided by semicolons, so save it with commas" if ";" in text.partition("\n")[0] else ""
        raise DataError(f"{path}: lacks the columns {', '.join(absent)}{by or '; is it the table of this data set?'}")
    return table


def _stem(name: str) -> str:
    """`NAME.avi` or `NAME` (the tables differ) as `NAME`; folders in it are dropped."""
    name = Path(name.strip()).name
    return name[:-4] if name.lower().endswith(".avi") else name


def _chords_to_outline(chords: np.ndarray) -> np.ndarray:
    """Down one wall and up the other, without the long axis; chords: (rows, 4) of X1, Y1, X2, Y2."""
    return np.concatenate([chords[1:, :2], chords[:0:-1, 2:]])


def _phases(outlines: dict[int, np.ndarray]) -> dict[int, str]:
    """End-diastole and end-systole among two or more outlines of a video, by the frame's index."""
    if len(outlines) < 2:
        return {}
    ed, es = ed_es_frames([cv2.contourArea(outline.astype(np.float32)) for outline in outlines.values()])
    return {list(outlines)[ed]: "ED", list(outlines)[es]: "ES"}
