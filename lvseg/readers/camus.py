"""CAMUS: apical views with the endocardium outlined, in its NIfTI release and the older `.mhd` one.

Leclerc et al., IEEE TMI 38(9), 2019, doi 10.1109/TMI.2019.2900516. A frame is `patient0001_4CH_ED.nii.gz`
with its label map `..._gt.nii.gz` (0 background, 1 LV endocardium, 2 myocardium, 3 left atrium), at any depth
below the folder. `Info_4CH.cfg` beside it tells of the patient and the view. The half sequences, every frame from ED
to ES (`patient0001_4CH_half_sequence.nii.gz`), are a data set of their own: `open_cines`.

Some releases came without the label maps of the testing patients: these are left out, and that is told.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

from lvseg.errors import DataError, DataWarning
from lvseg.readers.common import facts_of, files_below, numbered, read_text, unusable
from lvseg.readers.record import Frame, Pixels
from lvseg.readers.volumes import frame_count, read_labels, read_picture

_NAME = re.compile(r"((patient\d+)_([24]CH)_(ED|ES|half_sequence))(\.nii\.gz|\.nii|\.mhd)")
_NNUNET = {"imagesTr", "imagesTs", "labelsTr", "labelsTs"}
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
    frames: list[Frame] = []
    unlabelled: list[Path] = []
    for path in files_below(root):
        match = _NAME.fullmatch(path.name)
        if not match or path.parent.name in _NNUNET or (match[4] == "half_sequence") != cines:
            continue
        name, patient, view, phase, ending = match.groups()
        labels = path.with_name(f"{name}_gt{ending}")
        testing = "testing" in (subsets.get(patient, ""), *path.relative_to(root).parts[:-1])
        if testing and not labels.exists():
            unlabelled.append(path)
            continue
        info = _info(path.with_name(f"Info_{view}.cfg"))
        pixels = (path.with_suffix(".raw"), labels.with_suffix(".raw")) if ending == ".mhd" else ()
        frame = Frame(
            name=name,
            patient=SAME_HEART.get(patient, patient),
            load=partial(_read, path, labels, 0),
            view=view,
            phase="" if cines else phase,
            subset=subsets.get(patient, ""),
            files=(path, labels, *pixels),
            facts=facts_of(info, path.with_name(f"Info_{view}.cfg")),
        )
        frames += _cine(frame, info) if cines else [frame]
    if unlabelled:
        text = f"{len(unlabelled)} pictures of testing patients have no label map beside them and are left out"
        warnings.warn(DataWarning(f"{unlabelled[0]}: {text}; `lvseg predict` segments them"), stacklevel=2)
    if not frames and _NNUNET.intersection((root.name, *(path.name for path in root.iterdir()))):
        raise DataError(
            f"{root}: is laid out as for nnU-Net; put each image of imagesTr as patient0001_4CH_ED.nii.gz "
            "beside its map of labelsTr, named patient0001_4CH_ED_gt.nii.gz"
        )
    return frames


def _cine(whole: Frame, info: dict[str, str]) -> list[Frame]:
    """The frames of a half sequence, which `whole` describes; ED and ES are those that `Info_*.cfg` names."""
    path, labels, *_ = whole.files
    try:
        count = frame_count(path)
    except DataError as error:
        return [unusable(whole, error)]
    phases = {info.get("ED"): "ED", info.get("ES"): "ES"}
    return [
        replace(
            whole,
            name=numbered(whole.name, index),
            load=partial(_read, path, labels, index),
            phase=phases.get(str(index + 1), ""),
        )
        for index in range(count)
    ]


def _subsets(root: Path) -> dict[str, str]:
    """Each patient's side of the official split, whose folder lies in `root` or beside it."""
    subsets: dict[str, str] = {}
    for folder in (root, root.resolve().parent):
        for path in sorted(folder.glob("database_split/subgroup_*.txt")):
            patients = re.split(r"[\s,;]+", read_text(path).strip(" \r\n\t,;"))
            if unknown := [patient for patient in patients if not re.fullmatch(r"(patient\d+)?", patient)]:
                warnings.warn(
                    DataWarning(f"{path}: lists {unknown[0]!r}, which is no patient's name such as patient0001"),
                    stacklevel=2,
                )
            subset = path.stem.removeprefix("subgroup_")
            if twice := [patient for patient in patients if subsets.get(patient, subset) != subset]:
                raise DataError(f"{path}: lists {twice[0]}, who is in {subsets[twice[0]]} too; leave one of the two")
            subsets |= dict.fromkeys(patients, subset)
    return subsets


def _info(path: Path) -> dict[str, str]:
    """The `name: value` lines of an `Info_*.cfg`; none where the release left the file out, or it can't be read."""
    if not path.exists():
        return {}
    try:
        lines = [re.split("[:=]", line, maxsplit=1) for line in read_text(path).splitlines()]
    except DataError as error:
        warnings.warn(DataWarning(f"{error}; what it tells of the patient is left out"), stacklevel=2)
        return {}
    return {line[0].strip(): line[1].strip() for line in lines if len(line) == 2}


def _read(path: Path, labels_path: Path, index: int) -> Pixels:
    picture, spacing = read_picture(path, index)
    if not labels_path.exists():
        raise DataError(f"{labels_path}: there is no such file, the map of the labels of {path.name}; put it there")
    labels = read_labels(labels_path, index, path)
    if labels.shape != picture.shape:
        sizes = " and ".join(" x ".join(map(str, shape[::-1])) for shape in (labels.shape, picture.shape))
        raise DataError(f"{labels_path}: isn't in the size of its image {path.name} ({sizes}); bring its own map")
    return Pixels(picture, labels == 1, spacing)
