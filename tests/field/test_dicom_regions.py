"""A scanner's screen: its two-dimensional image is found, segmented alone and measured by its own scale, or refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pydicom
import pytest
from pydicom.uid import RLELossless

from benchmarks.fuzz_readers import write_dicom
from lvseg.errors import DataError
from lvseg.inference.predict import predict
from lvseg.readers.dicom_regions import Screen
from tests.field.dicom_support import THRESHOLD, heart, opened, region, write_jpeg

SCREEN = np.full((200, 300), 250, np.uint8)
SCREEN[40:136, 60:188] = heart()
IMAGE = region(60, 40, 187, 135, 0.05)
SPECTRUM = region(0, 140, 299, 199, 0.4, form=3, kind=3)
BESIDE = region(200, 10, 263, 57, 0.2)


def write_plain(path: Path, **tags: object) -> Path:
    return write_dicom(path, SCREEN, **tags)


def write_rle(path: Path, **tags: object) -> Path:
    data = pydicom.dcmread(write_dicom(path, np.stack([SCREEN, SCREEN]), **tags))
    data.compress(RLELossless)
    data.save_as(path)
    return path


def write_colour(path: Path, **tags: object) -> Path:
    return write_jpeg(path, [np.dstack([SCREEN] * 3)], **tags)


WRITERS = [write_plain, write_rle, write_colour]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("order", [1, -1])
def test_the_image_on_the_screen_is_segmented_alone_by_its_own_scale(tmp_path: Path, write, order: int) -> None:
    path = write(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=[SPECTRUM, IMAGE][::order], PixelSpacing=[0.5, 0.5])
    table, problems = predict(THRESHOLD, [path], tmp_path / "out")
    assert problems == {}
    for row in table.itertuples():
        assert (row.height, row.width, row.row_mm, row.column_mm) == (200, 300, 0.5, 0.5)
        mask = cv2.imread(str(tmp_path / "out" / f"{row.frame}_mask.png"), cv2.IMREAD_GRAYSCALE) > 0
        truth = np.zeros(SCREEN.shape, bool)
        truth[40:136, 60:188] = heart() > 127
        assert mask.shape == SCREEN.shape and 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.97
        assert row.area_mm2 == pytest.approx(truth.sum() * 0.25, rel=0.05)
        shown = cv2.imread(str(tmp_path / "out" / f"{row.frame}_overlay.png"))
        assert shown.shape == (96, 128, 3) and (shown[:5] < 40).all()  # nothing of the white screen around it


@pytest.mark.parametrize("write", WRITERS)
def test_without_the_rule_the_whole_screen_would_be_taken(tmp_path: Path, write, monkeypatch) -> None:
    path = write(tmp_path / "a.dcm", SequenceOfUltrasoundRegions=[SPECTRUM, IMAGE])
    monkeypatch.setattr("lvseg.readers.dicom.screen_of", lambda *_: Screen(None, (4.0, 4.0), True))
    table, _ = predict(THRESHOLD, [path], tmp_path / "out")
    assert table.lv_pixels[0] > 20 * (heart() > 127).sum()
    assert table.row_mm[0] == 4.0 and "covers" in table.doubt[0]  # what can't be is the second net: it isn't measured


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_images_the_clearly_larger_is_taken_and_that_is_told(tmp_path: Path, order: int) -> None:
    frames, said = opened(write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[BESIDE, IMAGE][::order]))
    pixels = frames[0].read()
    assert pixels.region == (slice(40, 136), slice(60, 188)) and pixels.spacing_mm == (0.5, 0.5)
    assert len(said) == 1 and str(tmp_path / "a") in said[0] and "columns 60 to 187" in said[0]


def test_a_part_within_the_image_is_no_second_image(tmp_path: Path) -> None:
    colour_box = region(80, 50, 150, 120, 0.05, kind=2)
    zoom = region(70, 45, 180, 130, 0.05)
    frames, said = opened(write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[colour_box, zoom, IMAGE]))
    assert frames[0].read().region == (slice(40, 136), slice(60, 188)) and said == []


def test_two_images_of_one_size_cannot_be_decided(tmp_path: Path) -> None:
    path = write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[region(0, 0, 99, 99), region(150, 0, 249, 99)])
    with pytest.raises(DataError, match=r"several two-dimensional images.*save the one"):
        opened(path)


@pytest.mark.parametrize("form", [2, 3, 4, 5])
def test_a_screen_without_a_two_dimensional_image_is_refused_as_such(tmp_path: Path, form: int) -> None:
    path = write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[region(0, 0, 299, 199, form=form)])
    with pytest.raises(DataError, match="no two-dimensional image"):
        opened(path)
    table, problems = predict(THRESHOLD, [path], tmp_path / "out")
    assert len(table) == 0 and list(problems) == [str(path)]


@pytest.mark.parametrize(
    "wrong", [region(60, 40, 400, 135), region(60, 40, 187, 900), region(187, 40, 60, 135), region(9, 9, 9, 9)]
)
def test_a_region_that_is_not_in_the_picture_measures_nothing(tmp_path: Path, wrong) -> None:
    """Someone cut or resized the picture: the scale isn't its any more."""
    frames, said = opened(write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[wrong], PixelSpacing=[0.5, 0.5]))
    pixels = frames[0].read()
    assert pixels.region is None and pixels.spacing_mm is None
    assert len(said) == 1 and "don't fit into its 200 x 300 pixels" in said[0]


def test_an_end_counted_one_too_far_is_clipped(tmp_path: Path) -> None:
    frames, said = opened(write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[region(60, 40, 300, 200)]))
    assert frames[0].read().region == (slice(40, 200), slice(60, 300)) and said == []


def test_a_region_of_the_whole_picture_is_no_part_of_it(tmp_path: Path) -> None:
    frames, said = opened(write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[region(0, 0, 299, 199)]))
    assert frames[0].read().region is None and frames[0].read().spacing_mm == (0.5, 0.5) and said == []


def test_two_sizes_of_a_pixel_are_told(tmp_path: Path) -> None:
    path = write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=[IMAGE], PixelSpacing=[0.3, 0.3])
    frames, said = opened(path)
    assert frames[0].read().spacing_mm == (0.5, 0.5) and len(said) == 1 and "PixelSpacing" in said[0]


def test_regions_without_a_scale_or_a_kind_state_none(tmp_path: Path) -> None:
    bare = pydicom.Dataset()
    bare.PhysicalDeltaX = bare.PhysicalDeltaY = 1.0
    for regions in ([region(60, 40, 187, 135, None)], [bare], []):
        frames, said = opened(write_plain(tmp_path / "a", SequenceOfUltrasoundRegions=regions))
        assert frames[0].read().spacing_mm is None and said == []
        frames, _ = opened(write_plain(tmp_path / "b", SequenceOfUltrasoundRegions=regions, PixelSpacing=[0.3, 0.3]))
        assert frames[0].read().spacing_mm == (0.3, 0.3)
