"""EXIF's turn and stated sizes are compared with the picture: it is read upright, or somebody is told."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.fuzz_readers import CORNERS, PICTURE, write_labelme, write_picture
from lvseg.data.source import open_source
from lvseg.errors import DataWarning
from lvseg.readers import open_path
from tests.readers.support import SQUARE, only, refused

TURNS = range(1, 9)
# What a camera does to an upright picture before it states each orientation, by Pillow's own operations.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


def _stored(values: np.ndarray, turn: int) -> Image.Image:
    picture, way = Image.fromarray(values), STORED[turn]
    return picture if way is None else picture.transpose(way)


def _turned(path: Path, turn: int, values: np.ndarray = PICTURE) -> Path:
    """A picture file that is upright once it is turned as its EXIF data say."""
    exif = Image.Exif()
    exif[0x0112] = turn
    path.parent.mkdir(parents=True, exist_ok=True)
    lossless = {"lossless": True} if path.suffix == ".webp" else {}
    _stored(values, turn).save(path, exif=exif, **lossless)
    return path


@pytest.mark.parametrize("turn", TURNS)
@pytest.mark.parametrize("ending", [".png", ".tif", ".webp"])
def test_a_picture_is_read_upright(tmp_path: Path, turn: int, ending: str) -> None:
    np.testing.assert_array_equal(only(open_path(_turned(tmp_path / f"a{ending}", turn))).image, PICTURE)


@pytest.mark.parametrize("turn", TURNS)
def test_an_outline_of_labelme_lies_on_the_upright_picture(tmp_path: Path, turn: int) -> None:
    _turned(tmp_path / "x.png", turn)
    write_labelme(tmp_path / "a.json", imageData=None)
    image, mask, *_ = only(open_source(f"labelme:{tmp_path}"))
    np.testing.assert_array_equal(image, PICTURE)
    np.testing.assert_array_equal(mask, SQUARE)


@pytest.mark.parametrize("turn", [5, 6, 7, 8])
@pytest.mark.parametrize("kind", ["labelme", "images"])
def test_what_was_drawn_before_the_turn_is_turned_along_and_told(tmp_path: Path, turn: int, kind: str) -> None:
    _turned(tmp_path / "x.png", turn)
    if kind == "images":
        _stored(SQUARE, turn).save(tmp_path / "x_mask.png")
    else:
        stored = np.argwhere(np.array(_stored(SQUARE, turn)))
        (top, left), (bottom, right) = stored.min(axis=0).tolist(), (stored.max(axis=0) + 1).tolist()
        box = {"label": "LV", "shape_type": "rectangle", "points": [[left, top], [right, bottom]]}
        write_labelme(tmp_path / "x.json", [box], imageData=None, imageHeight=32, imageWidth=24)
    with pytest.warns(DataWarning, match="turned along"):
        image, mask, *_ = only(open_source(f"{kind}:{tmp_path}"))
    np.testing.assert_array_equal(image, PICTURE)
    np.testing.assert_array_equal(mask, SQUARE)


def test_a_mask_of_which_nobody_knows_whether_it_was_turned_is_told(tmp_path: Path) -> None:
    _turned(tmp_path / "x.png", 3)
    write_picture(tmp_path / "x_mask.png", SQUARE)
    with pytest.warns(DataWarning, match="nothing says"):
        only(open_source(f"images:{tmp_path}"))
    _turned(tmp_path / "x_mask.png", 3, SQUARE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.testing.assert_array_equal(only(open_source(f"images:{tmp_path}")).mask, SQUARE)


def test_an_outline_of_another_size_is_refused(tmp_path: Path) -> None:
    path = write_labelme(tmp_path / "a.json", imageHeight=48, imageWidth=64)
    refused(lambda: only(open_source(f"labelme:{tmp_path}")), path, "64 x 48", "32 x 24")
    write_labelme(tmp_path / "a.json", imageHeight=None, imageWidth=None)
    np.testing.assert_array_equal(only(open_source(f"labelme:{tmp_path}")).mask, SQUARE)


def test_an_outline_that_leaves_its_picture_is_told(tmp_path: Path) -> None:
    shape = {"label": "LV", "points": [[3 * x, 3 * y] for x, y in CORNERS]}
    write_labelme(tmp_path / "a.json", [shape], imageHeight=None, imageWidth=None)
    with pytest.warns(DataWarning, match="leaves the picture"):
        only(open_source(f"labelme:{tmp_path}"))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    write_picture(tmp_path / "images" / "a.png")
    path = write_picture(tmp_path / "masks" / "a.png", np.zeros((48, 64), np.uint8))
    refused(lambda: only(open_source(f"images:{tmp_path}")), path, "64 x 48", "32 x 24")
