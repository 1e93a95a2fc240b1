"""Cohorts are lazy, named, marked, the same in any order, and still the one that was shipped."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from lvseg.phantom.cohort import cohort
from lvseg.phantom.heart import POPULATIONS
from tests.phantom.support import digest


@pytest.mark.parametrize("population", POPULATIONS)
def test_frames_depend_neither_on_order_nor_on_threads(population: str):
    frames = cohort(n_patients=2, n_frames=3, seed=11, population=population)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        forwards = [digest(frame.read().image) for frame in frames]
        cv2.setNumThreads(4)
        backwards = [digest(frame.read().image) for frame in reversed(frames)]
    finally:
        cv2.setNumThreads(threads)
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == len(forwards)


def test_the_default_cohort_is_still_the_one_that_was_shipped():
    # Not byte for byte: another processor may round otherwise.
    shipped = Path(__file__).parents[2] / "data_samples" / "phantom_labelme"
    for frame in cohort(n_patients=3, n_frames=4)[::3]:
        now = frame.read()
        then = cv2.imread(str(shipped / frame.patient / f"{frame.name}.png"), cv2.IMREAD_UNCHANGED)
        off = np.abs(now.image.astype(int) - then)
        assert off.mean() < 0.01 and off.max() <= 4


def test_a_cohort_is_lazy_named_and_marked():
    frames = cohort(n_patients=2, n_frames=10, seed=4)
    assert [frame.name for frame in frames] == sorted({frame.name for frame in frames}) and len(frames) == 20
    assert frames[12].name == "phantom-p02-f03" and frames[12].patient == "phantom-p02"
    assert {frame.view for frame in frames} == {"4CH"} and {frame.subset for frame in frames} == {""}
    for patient in {frame.patient for frame in frames}:
        own = [frame for frame in frames if frame.patient == patient]
        areas = {frame.phase: [] for frame in own}
        for frame in own:
            pixels = frame.read()
            assert pixels.image.dtype == np.uint8 and pixels.mask.shape == pixels.image.shape
            areas[frame.phase].append(pixels.mask.sum() * pixels.spacing_mm[0] ** 2)
        assert len(areas["ED"]) == len(areas["ES"]) == 1
        assert areas["ED"][0] >= 0.97 * max(areas[""]) and areas["ES"][0] <= 1.03 * min(areas[""])


def test_the_default_cohort_is_the_papers_size_and_its_patients_differ():
    frames = cohort()
    assert len(frames) == 500 and len({frame.patient for frame in frames}) == 10
    first = [frame.read() for frame in frames[::50]]
    shares = [pixels.mask.mean() for pixels in first]
    brightness = [pixels.image[pixels.mask].mean() for pixels in first]
    assert max(shares) > 1.5 * min(shares) and max(brightness) > 1.5 * min(brightness)


def test_a_cohorts_nudged_probe_still_sees_the_whole_cavity():
    for frame in cohort(n_patients=4, n_frames=5, seed=9):
        mask = frame.read().mask
        assert not mask[0].any() and not mask[-1].any() and not mask[:, 0].any() and not mask[:, -1].any()
