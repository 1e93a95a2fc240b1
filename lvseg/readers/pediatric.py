"""EchoNet-Pediatric: children's videos in two views, `A4C/` and `PSAX/`, each laid out as EchoNet-Dynamic.

Reddy et al., J Am Soc Echocardiogr, 2023. Here the rows of `VolumeTracings.csv` are an outline's points (X,
Y), and Split in `FileList.csv` is a fold from 0 to 9. Video names start with their study, the same in both
views (`CR32a7555-CR32a7582-000039`): the study stands for the patient, whom the public files don't name.
"""

from __future__ import annotations

from pathlib import Path

from lvseg.readers.echonet import Description, traced_frames
from lvseg.readers.record import Frame

_VIEWS = {"A4C": "4CH", "PSAX": "PSAX"}


def open_folder(root: Path) -> list[Frame]:
    """The traced frames of the views in `root`; the subset is the fold, such as `fold3`."""
    frames = []
    for folder in (root / view for view in _VIEWS if (root / view).is_dir()):

        def describe(name: str, split: str, view: str = folder.name) -> Description:
            return f"{view}_{name}", name.rpartition("-")[0] or name, _VIEWS[view], f"fold{split}"

        frames += traced_frames(folder, ["X", "Y"], lambda points: points, describe)
    return frames
