"""Batches that a resumed run repeats, and augmentation that moves image and mask together."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from lvseg.data import prepared
from lvseg.data.batches import augment, batches
from lvseg.experiment import Experiment
from tests.data.support import discs


def test_batches_follow_from_seed_epoch_and_step():
    arrays = prepared.arrays_of(discs(), Experiment.of_profile("class"))
    experiment = Experiment.of_profile("class", batch=8, seed=1)
    once = list(batches(arrays, experiment, epoch=2))
    again = list(batches(arrays, experiment, epoch=2))
    assert len(once) == 50 // 8
    for (a, b), (c, d) in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    resumed = list(batches(arrays, experiment, epoch=2, first_step=4))
    np.testing.assert_array_equal(resumed[0][0], once[4][0])
    other = next(batches(arrays, experiment, epoch=3))
    assert not np.array_equal(other[0], once[0][0])


def test_seed_and_epoch_each_give_another_order():
    arrays = prepared.arrays_of(discs(), Experiment.of_profile("class"))
    orders = set()
    for seed, epoch in ((0, 1), (0, 2), (1, 1)):
        experiment = Experiment.of_profile("class", augment="none", batch=48, seed=seed)
        ((images, _),) = batches(arrays, experiment, epoch)
        orders.add(images.tobytes())
    assert len(orders) == 3


def test_seed_epoch_and_step_each_give_another_augmentation():
    """Of one frame, eight times: its order can't matter."""
    one = prepared.arrays_of(discs(1, 1), Experiment.of_profile("class"))
    arrays = prepared.Arrays(*(np.repeat(array, 8, axis=0) for array in (one.image, one.mask)))
    seen = []
    for seed, epoch in ((0, 1), (0, 2), (1, 1)):
        experiment = Experiment.of_profile("class", batch=4, seed=seed)
        seen += [images.tobytes() for images, _ in batches(arrays, experiment, epoch)]
    assert len(set(seen)) == len(seen) == 6


def test_an_epoch_shows_each_frame_once_without_augmentation():
    arrays = prepared.arrays_of(discs(2, 4), Experiment.of_profile("class"))
    experiment = Experiment.of_profile("class", batch=4, augment="none", channels=3)
    images = np.concatenate([x for x, _ in batches(arrays, experiment, 1)])
    assert images.shape == (8, 64, 64, 3) and images.dtype == np.float32 and images.max() <= 1
    expected = prepared.to_network(arrays.image, 3)
    assert sorted(x.tobytes() for x in images) == sorted(x.tobytes() for x in expected)


def test_fewer_frames_than_a_batch_still_make_one():
    arrays = prepared.arrays_of(discs(1, 3), Experiment.of_profile("class"))
    assert [x.shape[0] for x, _ in batches(arrays, Experiment.of_profile("class", batch=8), 1)] == [3]


@pytest.mark.parametrize("kind", ["usual", "mirrored"])
def test_augmentation_moves_image_and_mask_together(kind):
    """The disc is bright: wherever the mask says LV, the moved image is bright, and nowhere else."""
    arrays = prepared.arrays_of(discs(1, 1), Experiment.of_profile("class", clahe="none"))
    rng = np.random.default_rng(0)
    places = []
    for _ in range(40):
        image, mask = augment(arrays.image[0], arrays.mask[0], rng, kind)
        inside, outside = image[mask == 255], image[(mask == 0) & (image > 0)]
        assert inside.min() > outside.max()
        places.append(np.argwhere(mask > 127).mean(0))
    assert np.std(places, axis=0).min() > 1  # it does move


@pytest.mark.parametrize(("kind", "mirrored"), [("usual", 0), ("mirrored", 0.5), ("strong", 0)])
def test_every_second_frame_is_mirrored_where_that_is_asked_for(kind, mirrored):
    """An L, whose foot points to the right, turned by at most 15 degrees; what was black stays black but for blur."""
    image = np.zeros((64, 64), np.uint8)
    image[20:44, 28:34] = image[38:44, 28:44] = 200
    rng, to_the_left = np.random.default_rng(1), []
    for _ in range(200):
        seen, mask = augment(image, np.where(image > 0, np.uint8(255), np.uint8(0)), rng, kind)
        assert seen.dtype == mask.dtype == np.uint8 and seen[cv2.dilate(mask, np.ones((5, 5))) == 0].max() == 0
        columns = np.argwhere(mask > 127)[:, 1]
        to_the_left.append(np.median(columns) > (columns.min() + columns.max()) / 2)
    assert np.mean(to_the_left) == pytest.approx(mirrored, abs=0.15)


def test_a_strong_augmentation_changes_grey_levels_more():
    """Over many draws the mean grey of a frame spreads more than twice as far, and noise makes an even area uneven."""
    image = np.full((64, 64), 100, np.uint8)
    spread, unevenness = {}, {}
    for kind in ("usual", "strong"):
        rng = np.random.default_rng(2)
        seen = [augment(image, image, rng, kind)[0][24:40, 24:40] for _ in range(100)]
        spread[kind] = np.std([patch.mean() for patch in seen])
        unevenness[kind] = np.mean([patch.std() for patch in seen])
    assert spread["strong"] > 1.5 * spread["usual"] and unevenness["strong"] > 3 and unevenness["usual"] < 1
