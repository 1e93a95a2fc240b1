"""EchoNet-Dynamic and EchoNet-Pediatric: videos with the left ventricle traced in some frames.

Dynamic: apical four-chamber videos, one a patient.

Ouyang et al., Nature 580, 2020; layout as in github.com/echonet/dynamic: `FileList.csv` (FileName, Split,
...), `VolumeTracings.csv` (FileName, X1, Y1, X2, Y2, Frame) and `Videos/NAME.avi`. A traced frame's first row
is the long axis, each further one a chord across the ventricle from wall to wall. No spacing is stated.

Pediatric: children's videos in two views, `A4C/` and `PSAX/`, each laid out as Dynamic.
Reddy et al., J Am Soc Echocardiogr, 2023. Here the rows of `VolumeTracings.csv` are an outline's points (X,
Y), and Split in `FileList.csv` is a fold from 0 to 9. Video names start with their study, the same in both
views (`CR32a7555-CR32a7582-000039`): the study stands for the patient, whom the public files don't name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lvseg.clinical import ed_es_frames
from lvseg.errors import DataError
from lvseg.masks import inside
from lvseg.readers.common import MAX_TEXT, check_bytes, check_outline, facts_of, numbered, reading
from lvseg.readers.record import Frame, Pixels
from lvseg.readers.video import read_frame

Description = tuple[str, str, str, str]
"""A frame's name without its number, its patient, view and subset."""

_VIEWS = {"A4C": "4CH", "PSAX": "PSAX"}
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
    frames, seen = [], set()
    for told in _table(videos, ["FileName", "Split"]).to_dict("records"):
        name = _stem(told["FileName"])
        if name in seen:
            raise DataError(f"{videos}: lists {name} twice; restore it from the data set")
        seen.add(name)
        unique, patient, view, subset = describe(name, told["Split"])
        path, traced, facts = folder / "Videos" / f"{name}.avi", outlines[name], facts_of(told)
        for (index, outline), phase in zip(traced, _phases([outline for _, outline in traced]), strict=True):
            load = partial(_read, path, index, outline)
            frames.append(Frame(numbered(unique, index), patient, load, view, phase, subset, (path, tracings), facts))
    return frames


def _outlines(
    path: Path, columns: list[str], to_outline: Callable[[np.ndarray], np.ndarray]
) -> dict[str, list[tuple[int, np.ndarray]]]:
    """By video, the index and the outline, float array (points, 2), of each traced frame."""
    rows = _table(path, ["FileName", "Frame", *columns])
    rows = rows[~rows["Frame"].isin(["No Systolic", "No Diastolic"])]
    outlines: dict[str, list[tuple[int, np.ndarray]]] = defaultdict(list)
    with reading(path):
        points, frames = rows[columns].to_numpy(float), rows["Frame"].astype(float)
        if not (frames.between(0, 1e6) & (frames % 1 == 0)).all():
            raise DataError(f"{path}: has a Frame that is no number from 0 on; restore it from the data set")
        stems = {name: _stem(name) for name in rows["FileName"].unique()}  # a name has some forty rows
        for (name, index), places in rows.groupby([rows["FileName"].map(stems), frames]).indices.items():
            outlines[name].append((int(index), check_outline(path, to_outline(points[places]))))
    return outlines


def _read(path: Path, index: int, outline: np.ndarray) -> Pixels:
    image = read_frame(path, index)
    return Pixels(image, inside(outline, (image.shape[0], image.shape[1])), None)


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    """A CSV file as text, which must have the named columns."""
    with reading(path):
        check_bytes(path, MAX_TEXT)
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if absent := [column for column in columns if column not in table]:
        raise DataError(f"{path}: lacks the columns {', '.join(absent)}; restore it from the data set")
    return table


def _stem(name: str) -> str:
    """`NAME.avi` or `NAME` (the tables differ) as `NAME`; folders in it are dropped."""
    return Path(name).name.removesuffix(".avi")


def _chords_to_outline(chords: np.ndarray) -> np.ndarray:
    """Down one wall and up the other, without the long axis; chords: (rows, 4) of X1, Y1, X2, Y2."""
    return np.concatenate([chords[1:, :2], chords[:0:-1, 2:]])


def _phases(outlines: list[np.ndarray]) -> list[str]:
    """End-diastole and end-systole among two or more outlines of a video."""
    phases = [""] * len(outlines)
    if len(outlines) > 1:
        ed, es = ed_es_frames([cv2.contourArea(outline.astype(np.float32)) for outline in outlines])
        phases[ed], phases[es] = "ED", "ES"
    return phases
