"""Masks against hand cases, areas of known shapes, and matplotlib's and SciPy's reading of the same outlines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.path import Path as Outline
from scipy import ndimage

from lvseg import masks
from lvseg.masks import contour, inside
from lvseg.readers.images import read_mask
from tests.readers.support import refused

RNG = np.random.default_rng(7)


def test_inside_takes_the_pixels_whose_centres_lie_inside() -> None:
    mask = inside(np.array([(1.5, 0.5), (4.5, 0.5), (4.5, 2.5), (1.5, 2.5)]), (5, 7))
    expected = np.zeros((5, 7), bool)
    expected[1:3, 2:5] = True
    np.testing.assert_array_equal(mask, expected)


def test_inside_has_the_area_of_an_ellipse_without_bias() -> None:
    t = np.linspace(0, 2 * np.pi, 400, endpoint=False)
    for x, y in RNG.uniform(50, 60, (10, 2)):
        outline = np.stack([x + 20 * np.cos(t), y + 35 * np.sin(t)], axis=1)
        assert inside(outline, (112, 112)).sum() == pytest.approx(np.pi * 20 * 35, rel=0.005)


@given(st.lists(st.floats(2.0, 40.0), min_size=3, max_size=30), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_inside_agrees_with_matplotlib_also_beyond_the_edges(radii: list[float], seed: int) -> None:
    centre = np.random.default_rng(seed).uniform(-5, 35, 2)
    angles = np.linspace(0, 2 * np.pi, len(radii), endpoint=False)
    outline = centre + np.array(radii)[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    rows, columns = np.mgrid[:28, :36]
    grid = np.stack([columns.ravel(), rows.ravel()], axis=1)
    expected = Outline(outline).contains_points(grid).reshape(28, 36)
    differing = np.argwhere(inside(outline, (28, 36)) != expected)
    for row, column in differing:  # only where the centre lies on the outline itself
        near = Outline(outline).contains_points([(column, row)], radius=1e-6)
        assert near != Outline(outline).contains_points([(column, row)], radius=-1e-6)


def test_inside_of_a_self_crossing_outline_is_even_odd() -> None:
    bow = np.array([(0.5, 0.5), (9.5, 9.5), (9.5, 0.5), (0.5, 9.5)])
    mask = inside(bow, (11, 11))
    assert mask[5, 2] and mask[5, 8] and not mask[2, 5] and not mask[8, 5]


def test_contour_of_a_square_with_a_hole_at_the_image_border():
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    around = mask.copy()
    around[[1, 1, 3, 3], [1, 3, 1, 3]] = False  # only these have four neighbours in the mask
    np.testing.assert_array_equal(contour(mask), np.argwhere(around))


def test_the_largest_region_is_scipys_and_corners_join():
    mask = np.random.default_rng(3).random((40, 50)) < 0.3
    labels, count = ndimage.label(mask, np.ones((3, 3)))
    sizes = ndimage.sum_labels(mask, labels, range(1, count + 1))
    found = masks.largest_region(mask)
    assert count > 5 and np.sort(sizes)[-1] > np.sort(sizes)[-2]  # so one answer is right
    np.testing.assert_array_equal(found, labels == 1 + np.argmax(sizes))
    assert not masks.largest_region(mask & False).any()


def test_an_overlay_colours_the_outline_and_nothing_else():
    image, mask = np.full((60, 80), 90, np.uint8), np.zeros((60, 80), bool)
    mask[20:40, 30:60] = True
    coloured = np.ptp(masks.overlay(image, mask).astype(int), axis=2) > 0
    np.testing.assert_array_equal(np.argwhere(coloured), masks.contour(mask))


def test_a_mask_survives_its_file_and_half_a_file_is_refused(tmp_path: Path) -> None:
    mask = np.random.default_rng(4).random((30, 20)) < 0.5
    path = tmp_path / "mask.png"
    masks.write_png(path, mask.astype(np.uint8) * 255)
    np.testing.assert_array_equal(read_mask(path), mask)
    assert [file.name for file in tmp_path.iterdir()] == ["mask.png"]
    path.write_bytes(path.read_bytes()[:40])
    refused(lambda: read_mask(path), path)
