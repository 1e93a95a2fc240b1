"""EchoNet-Dynamic: apical four-chamber videos, one a patient, with the left ventricle traced in two frames.

Ouyang et al., Nature 580, 2020; layout as in github.com/echonet/dynamic: `FileList.csv` (FileName, Split,
...), `VolumeTracings.csv` (FileName, X1, Y1, X2, Y2, Frame) and `Videos/NAME.avi`. A traced frame's first row
is the long axis, each further one a chord across the ventricle from wall to wall. No spacing is stated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from lvseg.errors import DataError
from lvseg.readers.common import check_outline, inside, numbered, reading
from lvseg.readers.record import Frame, Pixels
from lvseg.readers.video import read_frame

_SUBSETS = {"TRAIN": "training", "VAL": "validation", "TEST": "testing"}


def open_folder(root: Path) -> list[Frame]:
    """The traced frames; the subset is the data set's own."""
    frames = []
    for name, split, path, traced in traced_videos(root, ["X1", "Y1", "X2", "Y2"], _chords_to_outline):
        for index, outline, phase in traced:
            load = partial(read_traced, path, index, outline)
            subset = _SUBSETS.get(split.upper(), "")
            frames.append(Frame(numbered(name, index), name, load, "4CH", phase, subset, (path,)))
    return frames


def traced_videos(
    folder: Path, columns: list[str], to_outline: Callable[[np.ndarray], np.ndarray]
) -> list[tuple[str, str, Path, list[tuple[int, np.ndarray, str]]]]:
    """Each traced video's name, split and path, and its frames: index from 0, outline (points, 2), phase.

    columns: the coordinates in `VolumeTracings.csv`; `to_outline` turns one frame's rows into its outline.
    """
    videos = _table(folder / "FileList.csv", ["FileName", "Split"])
    path = folder / "VolumeTracings.csv"
    rows = _table(path, ["FileName", "Frame", *columns])
    rows = rows[~rows["Frame"].isin(["No Systolic", "No Diastolic"])]
    traced: dict[str, list[tuple[int, np.ndarray]]] = defaultdict(list)
    with reading(path):
        points, frames = rows[columns].to_numpy(float), rows["Frame"].astype(float).astype(int)
        for (name, index), places in rows.groupby([rows["FileName"].map(_stem), frames]).indices.items():
            traced[name].append((index, check_outline(path, to_outline(points[places]))))
    return [
        (name, split, folder / "Videos" / f"{name}.avi", _with_phases(traced[name]))
        for name, split in zip(videos["FileName"].map(_stem), videos["Split"], strict=True)
        if name in traced
    ]


def read_traced(path: Path, index: int, outline: np.ndarray) -> Pixels:
    """One frame of a video and the mask within its outline."""
    if index < 0:
        raise DataError(f"{path}: is traced in frame {index}, which can't be; restore VolumeTracings.csv")
    image = read_frame(path, index)
    return Pixels(image, inside(outline, (image.shape[0], image.shape[1])), None)


def _table(path: Path, columns: list[str]) -> pd.DataFrame:
    """The named columns of a CSV file, as text."""
    with reading(path):
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    if absent := [column for column in columns if column not in table]:
        raise DataError(f"{path}: lacks the columns {', '.join(absent)}; restore it from the data set")
    return table[columns]


def _stem(name: str) -> str:
    """`NAME.avi` or `NAME` (the tables differ) as `NAME`; folders in it are dropped."""
    return Path(name).name.removesuffix(".avi")


def _chords_to_outline(chords: np.ndarray) -> np.ndarray:
    """Down one wall and up the other, without the long axis; chords: (rows, 4) of X1, Y1, X2, Y2."""
    return np.concatenate([chords[1:, :2], chords[:0:-1, 2:]])


def _with_phases(frames: list[tuple[int, np.ndarray]]) -> list[tuple[int, np.ndarray, str]]:
    """Of two or more outlines, the largest is end-diastole and the smallest end-systole."""
    phases = [""] * len(frames)
    if len(frames) > 1:
        areas = [cv2.contourArea(outline.astype(np.float32)) for _, outline in frames]
        phases[int(np.argmax(areas))], phases[int(np.argmin(areas))] = "ED", "ES"
    return [(*frame, phase) for frame, phase in zip(frames, phases, strict=True)]
