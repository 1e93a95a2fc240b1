"""CAMUS: apical views with the endocardium outlined, in its NIfTI release and the older `.mhd` one.

Leclerc et al., IEEE TMI 38(9), 2019, doi 10.1109/TMI.2019.2900516. A frame is `patient0001_4CH_ED.nii.gz`
with its label map `..._gt.nii.gz` (0 background, 1 LV endocardium, 2 myocardium, 3 left atrium), at any depth
below the folder. Half sequences are passed over: their ED and ES frames have files of their own.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from lvseg.errors import DataError
from lvseg.readers.common import files_below, grey_levels, reading
from lvseg.readers.record import Frame, Pixels
from lvseg.readers.volumes import read_slice

_NAME = re.compile(r"((patient\d+)_([24]CH)_(E[DS]))(\.nii\.gz|\.nii|\.mhd)")


def open_folder(root: Path) -> list[Frame]:
    """The ED and ES frames below `root`; a patient or view without files is passed over."""
    subsets = _subsets(root)
    frames = []
    for path in files_below(root):
        if match := _NAME.fullmatch(path.name):
            name, patient, view, phase, ending = match.groups()
            labels = path.with_name(f"{name}_gt{ending}")
            load = partial(_read, path, labels)
            frames.append(Frame(name, patient, load, view, phase, subsets.get(patient, ""), (path, labels)))
    return frames


def _subsets(root: Path) -> dict[str, str]:
    """Each patient's side of the official split, whose folder lies in `root` or beside it."""
    subsets: dict[str, str] = {}
    for folder in (root, root.resolve().parent):
        for path in sorted(folder.glob("database_split/subgroup_*.txt")):
            with reading(path):
                patients = path.read_text(encoding="utf-8").split()
            subsets |= dict.fromkeys(patients, path.stem.removeprefix("subgroup_"))
    return subsets


def _read(path: Path, labels_path: Path) -> Pixels:
    values, spacing = read_slice(path)
    labels, _ = read_slice(labels_path)
    if labels.shape != values.shape or not np.isin(labels, (0, 1, 2, 3)).all():
        raise DataError(f"{labels_path}: isn't a map of labels 0 to 3 in its image's size; restore it")
    return Pixels(grey_levels(path, values), labels == 1, spacing)
