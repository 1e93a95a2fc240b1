"""A mask means the same at every door: `images`, LabelMe's mask shapes, `evaluate`; anything else is refused."""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from benchmarks.fuzz_readers import CORNERS, PICTURE, write_labelme, write_picture
from lvseg.data.source import open_source
from lvseg.errors import DataWarning
from lvseg.evaluation import compare_folders
from lvseg.readers.images import read_mask
from tests.readers.support import SQUARE, filled, only, refused

DISC = np.hypot(*(np.ogrid[:120, :160][axis] - centre for axis, centre in ((0, 60), (1, 70)))) < 40
LEVELS = DISC.astype(np.uint8)


def _colours(inside: tuple[int, ...], outside: tuple[int, ...]) -> Image.Image:
    return Image.fromarray(np.where(DISC[..., None], inside, outside).astype(np.uint8))


def _palette(*colours: int) -> Image.Image:
    picture = Image.fromarray(LEVELS, "P")
    picture.putpalette(colours)
    return picture


SOUND: dict[str, Callable[[], Image.Image]] = {
    "0 and 1": lambda: Image.fromarray(LEVELS),
    "0 and 255": lambda: Image.fromarray(LEVELS * 255),
    "bool": lambda: Image.fromarray(DISC),
    "16 bits": lambda: Image.fromarray(LEVELS.astype(np.uint16) * 65535),
    "fractions.tif": lambda: Image.fromarray(LEVELS.astype(np.float32)),
    "red": lambda: _colours((255, 0, 0), (0, 0, 0)),
    "nearly black": lambda: _colours((0, 0, 1), (0, 0, 0)),
    "a palette": lambda: _palette(0, 0, 0, 128, 0, 0),
    "a black palette": lambda: _palette(0, 0, 0, 0, 0, 0),
    "a palette whose black comes last": lambda: Image.fromarray(255 * LEVELS).quantize(2),
    "seen white": lambda: _colours((255, 255, 255, 255), (255, 255, 255, 0)),
    "seen black": lambda: _colours((0, 0, 0, 255), (0, 0, 0, 0)),
    "half seen red": lambda: _colours((255, 0, 0, 128), (0, 0, 0, 0)),
}
UNCLEAR: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "classes": (lambda: Image.fromarray(np.where(np.arange(160) > 120, 3, LEVELS).astype(np.uint8)), "0, 1, 3"),
    "grey classes": (
        lambda: Image.fromarray(np.where(np.arange(160) > 120, 128, 255 * LEVELS).astype(np.uint8)),
        "128",
    ),
    "no 0": (lambda: Image.fromarray(LEVELS + np.uint8(1)), "1, 2"),
    "one class a channel": (lambda: _colours((0, 1, 0), (1, 0, 0)), "#000100, #010000"),
    "negative.tif": (lambda: Image.fromarray(-LEVELS.astype(np.float32)), "-1"),
    "a picture": (lambda: Image.fromarray(PICTURE), "grey levels"),
    "a dim picture": (lambda: Image.fromarray(PICTURE // 3), "grey levels"),
    "1 as JPEG.jpg": (lambda: Image.fromarray(LEVELS), "grey levels"),
    "transparent": (lambda: _colours((255, 255, 255, 0), (0, 0, 0, 0)), "transparent everywhere"),
}


def _save(folder: Path, name: str, picture: Image.Image) -> Path:
    path = folder / (name if "." in name else f"{name}.png")
    folder.mkdir(parents=True, exist_ok=True)
    picture.save(path)
    return path


@pytest.mark.parametrize("kind", SOUND)
def test_the_same_two_sides_are_read_from_every_kind_of_mask(tmp_path: Path, kind: str) -> None:
    np.testing.assert_array_equal(read_mask(_save(tmp_path, kind, SOUND[kind]())), DISC)


@pytest.mark.parametrize("kind", UNCLEAR)
def test_a_picture_of_no_two_sides_is_refused_with_what_was_found(tmp_path: Path, kind: str) -> None:
    make, found = UNCLEAR[kind]
    path = _save(tmp_path, kind, make())
    refused(lambda: read_mask(path), path, found)


@pytest.mark.parametrize("name", ["smoothed.png", "smoothed.jpg", "sharp.jpg", "colour.jpg", "sharp.webp"])
def test_a_softened_edge_is_cut_at_its_middle(tmp_path: Path, name: str) -> None:
    picture = Image.fromarray(255 * LEVELS).convert("RGB" if "colour" in name else "L")
    path = _save(tmp_path, name, picture.filter(ImageFilter.GaussianBlur(0.8)) if "smoothed" in name else picture)
    mask = read_mask(path)
    assert 2 * (mask & DISC).sum() / (mask.sum() + DISC.sum()) > 0.99


@pytest.mark.parametrize("level", [1, 255])
def test_pictures_with_masks(tmp_path: Path, level: int) -> None:
    write_picture(tmp_path / "a.png")
    write_picture(tmp_path / "a_mask.png", SQUARE.astype(np.uint8) * level)
    np.testing.assert_array_equal(only(open_source(f"images:{tmp_path}")).mask, SQUARE)


@pytest.mark.parametrize("level", [1, 255])
def test_shapes_of_labelme_that_are_masks(tmp_path: Path, level: int) -> None:
    buffer = io.BytesIO()
    alpha = np.full((8, 10), level, np.uint8)
    alpha[2, 2] = 0
    Image.fromarray(np.stack([0 * alpha, 0 * alpha, 0 * alpha, alpha], axis=2)).save(buffer, "PNG")
    patch = {"label": "LV", "shape_type": "mask", "mask": base64.b64encode(buffer.getvalue()).decode()}
    write_labelme(tmp_path / "a.json", [patch | {"points": [[4, 3], [13, 10]]}])
    expected = SQUARE & ~filled(slice(5, 6), slice(6, 7))
    np.testing.assert_array_equal(only(open_source(f"labelme:{tmp_path}")).mask, expected)


@pytest.mark.parametrize("predicted", [1, 255])
@pytest.mark.parametrize("true", [1, 255])
def test_masks_that_are_compared_may_use_either_level_and_it_is_said_which(tmp_path: Path, predicted: int, true: int):
    for folder, level in (("predicted", predicted), ("true", true)):
        write_picture(tmp_path / folder / "same.png", SQUARE.astype(np.uint8) * level)
    write_picture(tmp_path / "predicted" / "apart_mask.png", SQUARE.astype(np.uint8) * predicted)
    write_picture(tmp_path / "true" / "apart_gt.PNG", filled(slice(14, 20), slice(20, 30)).astype(np.uint8) * true)
    table, taken = compare_folders(tmp_path / "predicted", tmp_path / "true")
    assert dict(zip(table.frame, table.dice, strict=True)) == {"same": 1, "apart": 0}
    assert f"predicted masks: 0 outside, {predicted} inside (2)" in taken
    assert f"true masks: 0 outside, {true} inside (2)" in taken


def test_further_masks_of_a_frame_are_united_and_a_doubtful_second_one_is_named(tmp_path: Path) -> None:
    parts = filled(slice(0, 4), slice(0, 4)), filled(slice(10, 14), slice(10, 14))
    write_picture(tmp_path / "b (2).png")
    for name, part in zip(("b (2)_mask.png", "b (2)_mask_1.png"), parts, strict=True):
        write_picture(tmp_path / name, part.astype(np.uint8) * 255)
    np.testing.assert_array_equal(only(open_source(f"images:{tmp_path}")).mask, parts[0] | parts[1])
    other = write_picture(tmp_path / "b (2)_gt.png", parts[0].astype(np.uint8))
    (frame,) = open_source(f"images:{tmp_path}")
    refused(frame.read, tmp_path, other.name, "b (2)_mask.png")


@pytest.mark.parametrize("ending", ["_mask2", "_mask (1)", "_mask(1)", "_mask_2"])
def test_a_further_mask_may_be_numbered_as_programs_number_copies(tmp_path: Path, ending: str) -> None:
    parts = filled(slice(0, 4), slice(0, 4)), filled(slice(10, 14), slice(10, 14))
    write_picture(tmp_path / "b (2).png")
    for name, part in zip(("b (2)_mask.png", f"b (2){ending}.png"), parts, strict=True):
        write_picture(tmp_path / name, part.astype(np.uint8) * 255)
    np.testing.assert_array_equal(only(open_source(f"images:{tmp_path}")).mask, parts[0] | parts[1])


@pytest.mark.parametrize("mask", [~DISC, np.ones_like(DISC)])
def test_an_inverted_mask_is_told(tmp_path: Path, mask: np.ndarray) -> None:
    path = write_picture(tmp_path / "a.png", mask.astype(np.uint8) * 255)
    with pytest.warns(DataWarning, match=r"a\.png: marks .* inverted"):
        read_mask(path)


def test_a_sound_mask_and_an_empty_one_are_not_told(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_mask(write_picture(tmp_path / "a.png", LEVELS)).sum() == DISC.sum()
        assert not read_mask(write_picture(tmp_path / "b.png", 0 * LEVELS)).any()


HOLE = [[6, 5], [10, 5], [10, 9], [6, 9]]
RING = SQUARE & ~filled(slice(5, 9), slice(6, 10))


@pytest.mark.parametrize(
    ("second", "expected", "told"),
    [
        ({"label": "_background_"}, RING, ""),
        ({"label": "hole", "group_id": None}, RING, ""),
        ({"label": "LV"}, RING, "taken for a hole"),
        ({"label": "LV", "group_id": None}, SQUARE, "adds nothing"),
        ({"label": "LV", "points": CORNERS}, SQUARE, "adds nothing"),
        ({"label": "_background_", "points": [[0, 0], [32, 0], [32, 24], [0, 24]]}, SQUARE, ""),
        ({"label": "_background_", "points": [[12, 5], [20, 5], [20, 9]]}, SQUARE, "nothing is cut out"),
    ],
)
def test_holes_in_outlines(tmp_path: Path, second: dict, expected: np.ndarray, told: str) -> None:
    shapes = [{"label": "LV", "points": CORNERS, "group_id": 1}, {"points": HOLE, "group_id": 1} | second]
    write_labelme(tmp_path / "a.json", shapes)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        np.testing.assert_array_equal(only(open_source(f"labelme:{tmp_path}")).mask, expected)
    assert [told in str(warning.message) for warning in caught] == ([True] if told else [])
