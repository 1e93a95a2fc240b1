"""CAMUS: apical views with the endocardium outlined, in its NIfTI release and the older `.mhd` one.

Leclerc et al., IEEE TMI 38(9), 2019, doi 10.1109/TMI.2019.2900516. A frame is `patient0001_4CH_ED.nii.gz`
with its label map `..._gt.nii.gz` (0 background, 1 LV endocardium, 2 myocardium, 3 left atrium), at any depth
below the folder. `Info_4CH.cfg` beside it tells of the patient and the view. The half sequences, every frame from ED
to ES (`patient0001_4CH_half_sequence.nii.gz`), are a data set of their own: `open_cines`.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np

from lvseg.errors import DataError
from lvseg.readers.common import facts_of, files_below, grey_levels, numbered, read_text
from lvseg.readers.record import Frame, Pixels
from lvseg.readers.volumes import frame_count, read_slice

_NAME = re.compile(r"((patient\d+)_([24]CH)_(ED|ES|half_sequence))(\.nii\.gz|\.nii|\.mhd)")
SAME_HEART = {"patient0068": "patient0033"}
"""One acquisition that CAMUS holds twice, outlined twice: one patient to every split. Its ED images are identical, its
ES images (thumbnails correlate to 0.998) two choices of the frame."""


def open_folder(root: Path) -> list[Frame]:
    """The ED and ES frames below `root`; a patient or view without files is passed over."""
    return _frames(root, cines=False)


def open_cines(root: Path) -> list[Frame]:
    """All frames of the half sequences below `root`; ED and ES are those that `Info_*.cfg` names."""
    return _frames(root, cines=True)


def _frames(root: Path, cines: bool) -> list[Frame]:
    subsets = _subsets(root)
    frames = []
    for path in files_below(root):
        match = _NAME.fullmatch(path.name)
        if not match or (match[4] == "half_sequence") != cines:
            continue
        name, patient, view, phase, ending = match.groups()
        info = _info(path.with_name(f"Info_{view}.cfg"))
        labels = path.with_name(f"{name}_gt{ending}")
        pixels = (path.with_suffix(".raw"), labels.with_suffix(".raw")) if ending == ".mhd" else ()
        for index in range(frame_count(path) if cines else 1):
            if cines:
                phase = {info.get("ED"): "ED", info.get("ES"): "ES"}.get(str(index + 1), "")
            frames.append(
                Frame(
                    name=numbered(name, index) if cines else name,
                    patient=SAME_HEART.get(patient, patient),
                    load=partial(_read, path, labels, index),
                    view=view,
                    phase=phase,
                    subset=subsets.get(patient, ""),
                    files=(path, labels, *pixels),
                    facts=facts_of(info),
                )
            )
    return frames


def _subsets(root: Path) -> dict[str, str]:
    """Each patient's side of the official split, whose folder lies in `root` or beside it."""
    subsets: dict[str, str] = {}
    for folder in (root, root.resolve().parent):
        for path in sorted(folder.glob("database_split/subgroup_*.txt")):
            patients = read_text(path).split()
            subset = path.stem.removeprefix("subgroup_")
            if twice := [patient for patient in patients if subsets.get(patient, subset) != subset]:
                raise DataError(f"{path}: lists {twice[0]}, who is in {subsets[twice[0]]} too; restore the split")
            subsets |= dict.fromkeys(patients, subset)
    return subsets


def _info(path: Path) -> dict[str, str]:
    """The `name: value` lines of an `Info_*.cfg`; none where the release left the file out."""
    if not path.exists():
        return {}
    lines = (line.partition(":") for line in read_text(path).splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _read(path: Path, labels_path: Path, index: int) -> Pixels:
    values, spacing = read_slice(path, index)
    labels, _ = read_slice(labels_path, index)
    if labels.shape != values.shape or not np.isin(labels, (0, 1, 2, 3)).all():
        raise DataError(f"{labels_path}: isn't a map of labels 0 to 3 in its image's size; restore it")
    return Pixels(grey_levels(path, values), labels == 1, spacing)
