"""The course in a folder of one's own, to be worked in: notebooks and samples as they come with lvseg."""

from __future__ import annotations

import shutil
from pathlib import Path

from lvseg.errors import ConfigError
from lvseg.files import CHECKOUT

PARTS = ("notebooks", "data_samples")


def copy_course(folder: Path) -> None:
    """Copy `PARTS` into `folder`; raises `lvseg.ConfigError` where it has one of them: it may be somebody's work."""
    for name in PARTS:
        if (folder / name).exists():
            raise ConfigError(f"{folder / name}: is there already; choose another folder, or move it away")
    for name in PARTS:
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns(".*"))
