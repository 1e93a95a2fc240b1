"""CAMUS's half sequences: `patient0001_4CH_half_sequence.nii.gz`, every frame from ED to ES, each outlined."""

from __future__ import annotations

from pathlib import Path

from lvseg.readers import camus
from lvseg.readers.record import Frame


def open_folder(root: Path) -> list[Frame]:
    """All frames of the half sequences below `root`; ED and ES are those that `Info_*.cfg` names."""
    return camus.open_folder(root, cines=True)
