"""A sheet of real frames and phantoms: as many of each, a key that tells, and never in the project."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from lvseg.errors import ConfigError
from lvseg.phantom.cohort import cohort
from lvseg.phantom.sheet import write_sheet


@pytest.mark.slow
def test_a_sheet_mixes_as_many_phantoms_as_frames_and_its_key_tells(tmp_path: Path):
    frames = cohort(n_patients=17, n_frames=1, seed=8, population="random")
    picture = tmp_path / "out" / "sheet.png"
    write_sheet(frames, picture, seed=3)
    sheet = cv2.imread(str(picture), cv2.IMREAD_UNCHANGED)
    key = [line.split(",") for line in picture.with_suffix(".csv").read_text().splitlines()[1:]]
    assert sheet.shape == (1200, 2400) and len(key) == 32
    given = {frame.name: frame for frame in frames}
    assert sum(name in given for *_, name in key) == 16 == sum(name.startswith("phantom ") for *_, name in key)
    for row, column, name in key:
        tile = sheet[int(row) * 300 - 300 : int(row) * 300, int(column) * 300 - 300 : int(column) * 300]
        if name in given:
            image = given[name].read().image
            scale = 300 / max(image.shape)
            assert tile.sum() == pytest.approx(image.sum() * scale**2, rel=0.02)


def test_a_sheet_with_real_frames_never_lies_in_the_project(tmp_path: Path):
    frames = cohort(n_patients=16, n_frames=1)
    with pytest.raises(ConfigError, match="own folder"):
        write_sheet(frames, Path(__file__).parent / "sheet.png")
    with pytest.raises(ConfigError, match="png"):
        write_sheet(frames, tmp_path / "sheet")
    with pytest.raises(ConfigError, match="16"):
        write_sheet(frames[:15], tmp_path / "sheet.png")
