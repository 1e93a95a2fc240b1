"""What all readers share: grey levels, spacings, outlines and names are checked, and errors name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_readers import PICTURE, write_nifti, write_picture
from lvseg.data.source import open_source
from lvseg.errors import DataError
from lvseg.readers import open_path
from lvseg.readers.common import check_outline
from tests.readers.support import only, refused


@pytest.mark.parametrize(
    "points", [[], [[1, 2]], [[0, 0], [1, 1]], [[0, 0], [1, 1], [1, float("nan")]], [[0, 1e300]] * 3]
)
def test_an_outline_must_be_points(points: list) -> None:
    refused(lambda: check_outline(Path("a.json"), points), "a.json", "outline")


def test_names_are_safe_as_file_names(tmp_path: Path) -> None:
    write_picture(tmp_path / "p 1" / "x;y <z>'.png")
    write_picture(tmp_path / "p 1" / "x;y <z>'_mask.png", np.zeros((24, 32), np.uint8))
    (frame,) = open_source(f"images:{tmp_path}")
    assert frame.name == "p-1_x-y--z--" and frame.patient == "p-1"


@pytest.mark.parametrize(
    ("values", "word"),
    [
        (np.linspace(0, 1, 768).reshape(24, 32).astype(np.float32), "fractions"),
        (np.full((24, 32), np.nan, np.float32), "nan"),
        (np.full((24, 32), 256, np.int16), "256"),
        (np.full((24, 32), -1, np.int16), "-1"),
        (np.full((24, 32), 1j, np.complex64), "complex"),
    ],
)
def test_values_that_are_not_grey_levels_are_refused(tmp_path: Path, values: np.ndarray, word: str) -> None:
    path = write_nifti(tmp_path / "a.nii", values)
    refused(lambda: only(open_path(path)), path, word)


def test_grey_levels_as_floats_are_rounded(tmp_path: Path) -> None:
    image = only(open_path(write_nifti(tmp_path / "a.nii", PICTURE.astype(np.float32) * 0.9))).image
    np.testing.assert_array_equal(image, np.round(PICTURE.astype(np.float32) * 0.9))


@pytest.mark.parametrize(
    "spacing",
    [(0.0, 0.3), (0.3, 1e-9), (1e-9, 0.3), (-0.3, 0.3), (float("nan"), 0.3), (float("inf"), 0.3), (308.0, 308.0)],
)
def test_a_spacing_that_cannot_be_is_refused(tmp_path: Path, spacing: tuple[float, float]) -> None:
    path = write_nifti(tmp_path / "a.nii", PICTURE)
    data = bytearray(path.read_bytes())
    data[80:88] = np.array(spacing, "<f4").tobytes()  # pixdim[1:3]
    path.write_bytes(data)
    refused(lambda: only(open_path(path)), path, "mm")


def test_a_file_that_may_not_be_read_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_picture(tmp_path / "a.png")

    def forbidden(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", forbidden)
    refused(lambda: only(open_path(path)), path, "may not be read by you; have its permissions changed")


def test_a_sentence_shows_no_address_in_memory(tmp_path):
    (tmp_path / "notes.png").write_text("no picture at all")
    with pytest.raises(DataError, match=r"notes\.png: can't be read") as caught:
        open_path(tmp_path / "notes.png")[0].read()
    assert "0x" not in str(caught.value)
