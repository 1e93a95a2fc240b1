"""EchoNet-Pediatric: children's videos in two views, `A4C/` and `PSAX/`, each laid out as EchoNet-Dynamic.

Reddy et al., J Am Soc Echocardiogr, 2023. Here the rows of `VolumeTracings.csv` are an outline's points (X,
Y), and Split in `FileList.csv` is a fold from 0 to 9. Video names start with their study, the same in both
views (`CR32a7555-CR32a7582-000039`): the study stands for the patient, whom the public files don't name.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

from lvseg.readers.common import numbered
from lvseg.readers.echonet import read_traced, traced_videos
from lvseg.readers.record import Frame

_VIEWS = {"A4C": "4CH", "PSAX": "PSAX"}


def open_folder(root: Path) -> list[Frame]:
    """The traced frames of the views in `root`; the subset is the fold, such as `fold3`."""
    frames = []
    for folder in (root / name for name in _VIEWS if (root / name).is_dir()):
        for name, fold, path, traced in traced_videos(folder, ["X", "Y"], lambda points: points):
            study = name.rpartition("-")[0] or name
            for index, outline, phase in traced:
                load = partial(read_traced, path, index, outline)
                unique, view = numbered(f"{folder.name}_{name}", index), _VIEWS[folder.name]
                frames.append(Frame(unique, study, load, view, phase, f"fold{fold}", (path,)))
    return frames
