"""CLAHE: the step-by-step form against OpenCV, and each step against a case worked out by hand."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from benchmarks.real_data import CAMUS
from lvseg import clahe
from lvseg.errors import ConfigError, DataError
from tests.support import needs_camus


def speckle(height, width, dtype=np.uint8, seed=0):
    """Grey levels crowded near black, as in an echo frame, a few of them saturated."""
    top = np.iinfo(dtype).max
    return np.minimum(np.random.default_rng(seed).exponential(top / 5, (height, width)), top).astype(dtype)


def opencv(image, clip_limit, rows, columns):
    return cv2.createCLAHE(clip_limit, (columns, rows)).apply(image)


@pytest.mark.parametrize("clip_limit", [0, 0.01, 1, 2, 3.7, 40, 1000])
@pytest.mark.parametrize("rows, columns", [(1, 1), (8, 8), (4, 16), (3, 7)])
@pytest.mark.parametrize("shape", [(64, 64), (101, 67), (96, 101), (5, 3), (1, 40)])
def test_steps_and_equalise_match_opencv_exactly(shape, rows, columns, clip_limit):
    image = speckle(*shape)
    expected = opencv(image, clip_limit, rows, columns)
    np.testing.assert_array_equal(clahe.steps(image, clip_limit, (rows, columns)).result, expected)
    np.testing.assert_array_equal(clahe.equalise(image, clip_limit, (rows, columns)), expected)


@pytest.mark.parametrize("clip_limit", [0, 2, 40])
@pytest.mark.parametrize("shape", [(64, 64), (53, 90)])
def test_sixteen_bit_matches_opencv_exactly(shape, clip_limit):
    image = speckle(*shape, np.uint16)
    result = clahe.steps(image, clip_limit, tiles=4).result
    assert result.dtype == np.uint16
    np.testing.assert_array_equal(result, opencv(image, clip_limit, 4, 4))
    np.testing.assert_array_equal(clahe.equalise(image, clip_limit, tiles=4), result)


@settings(max_examples=150, deadline=None)
@given(
    image=arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=48)),
    clip_limit=st.floats(0, 300),
    tiles=st.tuples(st.integers(1, 12), st.integers(1, 12)),
)
def test_steps_match_opencv_on_anything(image, clip_limit, tiles):
    np.testing.assert_array_equal(clahe.steps(image, clip_limit, tiles).result, opencv(image, clip_limit, *tiles))


@needs_camus
def test_steps_match_opencv_on_real_echo_frames():
    nibabel = pytest.importorskip("nibabel")
    files = sorted(CAMUS.glob("database_nifti/patient000[1-3]/*_4CH_ED.nii.gz"))
    assert files
    for file in files:
        image = np.asarray(nibabel.load(file).dataobj).astype(np.uint8).T
        np.testing.assert_array_equal(clahe.steps(image).result, opencv(image, 2.0, 8, 8))


def test_views_that_are_not_contiguous_give_the_same_picture():
    image = speckle(80, 60)
    np.testing.assert_array_equal(clahe.equalise(image.T), clahe.equalise(image.T.copy()))
    np.testing.assert_array_equal(clahe.steps(image[::-1]).result, clahe.equalise(image[::-1].copy()))


def test_the_input_stays_as_it_was():
    image = speckle(50, 50)
    before = image.copy()
    clahe.steps(image)
    clahe.equalise(image)
    np.testing.assert_array_equal(image, before)


def test_one_whole_number_means_as_many_tiles_along_each_side():
    image = speckle(64, 64)
    np.testing.assert_array_equal(clahe.equalise(image, 2.0, 4), clahe.equalise(image, 2.0, (4, 4)))
    assert clahe.steps(image, 2.0, (2, 8)).histograms.shape == (2, 8, 256)


def test_each_step_keeps_every_pixel():
    taken_apart = clahe.steps(speckle(101, 96), clip_limit=2.0, tiles=8)
    height, width = taken_apart.tile_shape
    assert (height, width) == (13, 13)  # 101 doesn't divide by 8, so the 96 columns grow by 8 too
    assert taken_apart.padded.shape == (8 * 13, 8 * 13)
    np.testing.assert_array_equal(taken_apart.padded[101, :96], taken_apart.image[99])  # the mirror
    assert (taken_apart.histograms.sum(axis=-1) == 13 * 13).all()
    assert (taken_apart.clipped.sum(axis=-1) == 13 * 13).all()
    np.testing.assert_array_equal(
        taken_apart.histograms[2, 3], np.histogram(taken_apart.padded[26:39, 39:52], 256, (0, 256))[0]
    )


def test_unjoined_shows_each_tile_through_its_own_mapping():
    taken_apart = clahe.steps(speckle(64, 64), tiles=8)
    tile = slice(16, 24), slice(40, 48)
    expected = cv2.LUT(taken_apart.image[tile], taken_apart.mappings[2, 5])
    np.testing.assert_array_equal(taken_apart.unjoined[tile], expected)


def test_without_clipping_the_histograms_stay():
    taken_apart = clahe.steps(speckle(64, 64), clip_limit=0)
    assert taken_apart.clip_count is None
    np.testing.assert_array_equal(taken_apart.clipped, taken_apart.histograms)


def test_a_limit_that_nothing_reaches_clips_nothing():
    image = speckle(64, 64)
    for function in (clahe.equalise, lambda *choice: clahe.steps(*choice).result):
        np.testing.assert_array_equal(function(image, 1e12), function(image, 0))


def test_clip_count_is_a_multiple_of_the_fair_share():
    assert clahe.steps(speckle(256, 256), clip_limit=3.0, tiles=4).clip_count == 48  # 64 * 64 / 256 * 3
    assert clahe.steps(speckle(16, 16), clip_limit=0.1, tiles=4).clip_count == 1


def test_clipping_worked_out_by_hand():
    # 9 pixels are above 3: each of 4 levels gets 2, and the one left over goes to the first level.
    np.testing.assert_array_equal(clahe.clip_histogram(np.array([0, 12, 1, 3]), 3), [3, 5, 3, 5])
    # 2 of 6 are left over: they go to levels 0 and 2, half of the 4 levels apart.
    np.testing.assert_array_equal(clahe.clip_histogram(np.array([0, 8, 0, 0]), 2), [2, 3, 2, 1])


def test_eq_2_worked_out_by_hand():
    # p = 1/2, 0, 1/4, 1/4, so T = 3 * (0.5, 0.5, 0.75, 1), and 1.5 rounds to the even 2.
    np.testing.assert_array_equal(clahe.grey_mapping(np.array([4, 0, 2, 2])), [2, 2, 2, 3])


def test_eq_2_makes_grey_levels_evenly_frequent():
    ramp_of_squares = (np.linspace(0, 1, 10_000) ** 2 * 255).astype(np.uint8)
    mapping = clahe.grey_mapping(np.bincount(ramp_of_squares, minlength=256))
    assert (np.diff(mapping.astype(int)) >= 0).all()
    levels, counts = np.unique(mapping[ramp_of_squares] // 64, return_counts=True)
    np.testing.assert_array_equal(levels, [0, 1, 2, 3])
    np.testing.assert_allclose(counts, 2500, rtol=0.1)


@pytest.mark.parametrize(
    "image, told",
    [
        (np.zeros((8, 8)), "float64"),
        (np.zeros((8, 8), bool), "bool"),
        (np.zeros((8, 8), np.int16), "int16"),
        (np.zeros((8, 8), np.dtype(np.uint16).newbyteorder()), "u2"),
        (np.zeros((8, 8, 3), np.uint8), "(8, 8, 3)"),
        (np.zeros(8, np.uint8), "(8,)"),
        (np.zeros((0, 8), np.uint8), "(0, 8)"),
    ],
)
def test_unfit_images_are_refused_with_a_reason(image, told):
    for function in (clahe.equalise, clahe.steps):
        with pytest.raises(DataError) as refusal:
            function(image)
        assert told in str(refusal.value)


@pytest.mark.parametrize(
    "choice",
    [{"clip_limit": value} for value in (-1, float("nan"), float("inf"))]
    + [{"tiles": value} for value in (0, 33, -8, 2.5, (8, 0), (8, 8, 8), "8")],
    ids=str,
)
def test_impossible_choices_are_refused(choice):
    for function in (clahe.equalise, clahe.steps):
        with pytest.raises(ConfigError, match=str(next(iter(choice)))):
            function(speckle(16, 16), **choice)
