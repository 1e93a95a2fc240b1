"""Plain pictures and their masks, against the arrays that they were written from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.fuzz_readers import PICTURE, write_picture
from lvseg.data.source import open_source
from lvseg.readers import open_path
from tests.readers.support import SQUARE, only, refused

RNG = np.random.default_rng(7)


@pytest.mark.parametrize(("image", "mask"), [("images/p1_a.png", "masks/p1_a.bmp"), ("p1_a.png", "p1_a_mask.tif")])
def test_pictures_with_masks(tmp_path: Path, image: str, mask: str) -> None:
    write_picture(tmp_path / image)
    write_picture(tmp_path / mask, SQUARE.astype(np.uint8) * 255)
    (frame,) = open_source(f"images:{tmp_path}")
    assert (frame.name, frame.patient, frame.files) == ("p1_a", "p1", (tmp_path / image, tmp_path / mask))
    np.testing.assert_array_equal(frame.read().image, PICTURE)
    np.testing.assert_array_equal(frame.read().mask, SQUARE)


def test_pictures_without_a_fitting_mask_are_refused(tmp_path: Path) -> None:
    image, mask = write_picture(tmp_path / "a.png"), tmp_path / "a_mask.png"
    (frame,) = open_source(f"images:{tmp_path}")
    refused(frame.read, image, str(mask))
    write_picture(mask, np.zeros((32, 24), np.uint8))
    refused(frame.read, mask, "size")
    write_picture(mask, (PICTURE // 100).astype(np.uint8))
    refused(frame.read, mask, "two grey levels")
    write_picture(mask, np.zeros((24, 32), np.uint8))
    assert not frame.read().mask.any()
    write_picture(mask, np.ones((24, 32), np.uint8))
    assert frame.read().mask.all()


def test_colour_becomes_luma_and_16_bits_are_read_over_their_whole_range(tmp_path: Path) -> None:
    colour = RNG.integers(0, 256, (24, 32, 3), np.uint8)
    image = only(open_path(write_picture(tmp_path / "rgb.png", colour))).image
    np.testing.assert_allclose(image, colour @ [0.299, 0.587, 0.114], atol=1)
    deep = write_picture(tmp_path / "deep.png", PICTURE.astype(np.uint16) * 257)
    np.testing.assert_array_equal(only(open_path(deep)).image, PICTURE)
    dark = write_picture(tmp_path / "dark.png", PICTURE.astype(np.uint16) * 4)
    refused(lambda: only(open_path(dark)), dark, "no level above 1020")
    pages = tmp_path / "pages.tif"
    Image.fromarray(PICTURE).save(pages, save_all=True, append_images=[Image.fromarray(PICTURE)])
    refused(lambda: only(open_path(pages)), pages, "one picture")
