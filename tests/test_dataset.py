"""Splits that never divide a patient, preprocessing that is cached truthfully, batches that a resumed run repeats."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lvseg import ConfigError, DataError, clahe, dataset, profiles
from lvseg.readers import Frame, Pixels


def discs(patients: int = 10, frames: int = 5) -> list[Frame]:
    """Frames whose LV is a disc of known place and size, brighter than the rest."""

    def load(patient: int, number: int) -> Pixels:
        y, x = np.ogrid[:90, :120]
        mask = (y - 45) ** 2 + (x - 30 - 6 * patient - number / 2) ** 2 < (15 + patient) ** 2
        return Pixels(np.where(mask, 200, 40).astype(np.uint8), mask, (0.5, 0.5))

    return [
        Frame(f"p{p}_f{f}", f"p{p}", lambda p=p, f=f: load(p, f), subset="validation" if p == 3 else "training")
        for p in range(patients)
        for f in range(frames)
    ]


def patients_of(frames, names):
    return {frame.patient for frame in frames if frame.name in set(names)}


def test_split_by_patient_is_the_papers_400_to_100_and_divides_nobody():
    frames = discs(10, 50)
    for seed in range(5):
        split = dataset.split_frames(frames, "patient", seed)
        assert (len(split.train), len(split.test)) == (400, 100)
        assert not patients_of(frames, split.train) & patients_of(frames, split.test)
        assert set(split.train) | set(split.test) == {frame.name for frame in frames}


@pytest.mark.parametrize("kind", ["patient", "frame"])
def test_five_seeds_test_every_frame_once(kind):
    frames = discs()
    tested = [name for seed in range(5) for name in dataset.split_frames(frames, kind, seed).test]
    assert sorted(tested) == sorted(frame.name for frame in frames)


def test_split_by_frame_puts_patients_on_both_sides():
    frames = discs(10, 50)
    split = dataset.split_frames(frames, "frame")
    assert len(patients_of(frames, split.train) & patients_of(frames, split.test)) > 5


def test_own_split_follows_the_data_set():
    split = dataset.split_frames(discs(), "own", seed=3)
    assert set(split.test) == {f"p3_f{f}" for f in range(5)} and len(split.train) == 45


@pytest.mark.parametrize(("kind", "frames"), [("own", [replace(f, subset="") for f in discs()]), ("patient", discs(1))])
def test_data_that_cannot_be_split_so_are_refused(kind, frames):
    with pytest.raises(DataError, match=f"split by {kind}"):
        dataset.split_frames(frames, kind)


def test_unknown_split():
    with pytest.raises(ConfigError, match="'doctor' doesn't exist"):
        dataset.split_frames(discs(), "doctor")


def test_split_file_survives_a_round_trip_and_no_tampering(tmp_path):
    split = dataset.split_frames(discs(), "patient", 2)
    path = tmp_path / "split.json"
    split.save(path)
    assert dataset.Split.load(path) == split
    stored = json.loads(path.read_text())
    stored["train"].append(stored["test"].pop())
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"split\.json: was changed"):
        dataset.Split.load(path)


def test_max_frames_keeps_the_sides_and_spreads_over_patients():
    frames = discs(10, 50)
    experiment = profiles.experiment("smoke", max_frames=16)
    split, whole = dataset.choose(frames, experiment), dataset.split_frames(frames)
    assert (len(split.train), len(split.test)) == (16, 4)
    assert set(split.train) <= set(whole.train) and set(split.test) <= set(whole.test)
    assert len(patients_of(frames, split.train)) == 8


@pytest.mark.parametrize("when", ["before", "after", "none"])
def test_preprocessing_is_clahe_and_resizing_in_the_stated_order(when):
    image = np.random.default_rng(0).integers(0, 256, (90, 130), dtype=np.uint8)

    def small(picture):
        return cv2.resize(picture, (64, 64), interpolation=cv2.INTER_AREA)

    expected = {
        "before": small(clahe.equalise(image)), "after": clahe.equalise(small(image)), "none": small(image)
    }  # fmt: skip
    experiment = profiles.experiment("class", clahe=when)
    np.testing.assert_array_equal(dataset.preprocess(image, experiment), expected[when])
    assert not np.array_equal(expected["before"], expected["after"])


def test_masks_keep_their_area_when_resized():
    frames = discs(2, 2)
    arrays = dataset.prepare(frames, profiles.experiment("class"))
    shares = [frame.read().mask.mean() for frame in frames]
    np.testing.assert_allclose(arrays.mask.mean((1, 2)) / 255, shares, atol=2e-3)


def test_cache_is_used_and_notices_changed_files(tmp_path):
    reads = []

    def load() -> Pixels:
        reads.append(1)
        return discs(1, 1)[0].read()

    source = tmp_path / "a.png"
    source.write_bytes(b"first")
    frames = [Frame("a", "a", load, files=(source,))]
    experiment = profiles.experiment("class", data=f"images:{tmp_path}")
    first = dataset.prepare(frames, experiment)
    np.testing.assert_array_equal(dataset.prepare(frames, experiment).image, first.image)
    assert len(reads) == 1
    source.write_bytes(b"second, longer")
    dataset.prepare(frames, experiment)
    dataset.prepare(frames, profiles.experiment("class", data=f"images:{tmp_path}", size=32))
    assert len(reads) == 3


def test_a_frame_without_outline_is_named():
    frames = [Frame("naked", "p", lambda: Pixels(np.zeros((8, 8), np.uint8), None, None))]
    with pytest.raises(DataError, match="naked: has no LV outline"):
        dataset.prepare(frames, profiles.experiment("class"))


def test_batches_follow_from_seed_epoch_and_step():
    arrays = dataset.prepare(discs(), profiles.experiment("class"))
    experiment = profiles.experiment("class", batch=8, seed=1)
    once = list(dataset.batches(arrays, experiment, epoch=2))
    again = list(dataset.batches(arrays, experiment, epoch=2))
    assert len(once) == 50 // 8
    for (a, b), (c, d) in zip(once, again, strict=True):
        np.testing.assert_array_equal(a, c)
        np.testing.assert_array_equal(b, d)
    resumed = list(dataset.batches(arrays, experiment, epoch=2, first_step=4))
    np.testing.assert_array_equal(resumed[0][0], once[4][0])
    other = next(dataset.batches(arrays, experiment, epoch=3))
    assert not np.array_equal(other[0], once[0][0])


def test_an_epoch_shows_each_frame_once_without_augmentation():
    arrays = dataset.prepare(discs(2, 4), profiles.experiment("class"))
    experiment = profiles.experiment("class", batch=4, augment=False, channels=3)
    images = np.concatenate([x for x, _ in dataset.batches(arrays, experiment, 1)])
    assert images.shape == (8, 64, 64, 3) and images.dtype == np.float32 and images.max() <= 1
    expected = dataset.to_network(arrays.image, 3)
    assert sorted(x.tobytes() for x in images) == sorted(x.tobytes() for x in expected)


def test_fewer_frames_than_a_batch_still_make_one():
    arrays = dataset.prepare(discs(1, 3), profiles.experiment("class"))
    assert [x.shape[0] for x, _ in dataset.batches(arrays, profiles.experiment("class", batch=8), 1)] == [3]


def test_augmentation_moves_image_and_mask_together():
    """The disc is bright: wherever the mask says LV, the moved image is bright, and nowhere else."""
    arrays = dataset.prepare(discs(1, 1), profiles.experiment("class", clahe="none"))
    rng = np.random.default_rng(0)
    places = []
    for _ in range(40):
        image, mask = dataset.augment(arrays.image[0], arrays.mask[0], rng)
        inside, outside = image[mask == 255], image[(mask == 0) & (image > 0)]
        assert inside.min() > outside.max()
        places.append(np.argwhere(mask > 127).mean(0))
    assert np.std(places, axis=0).min() > 1  # it does move


def test_nearest_similarity_finds_the_leak():
    frames = discs(10, 5)
    by = {kind: profiles.experiment("smoke", split=kind, max_frames=40) for kind in ("patient", "frame")}
    leak = {kind: dataset.nearest_similarity(frames, experiment).mean() for kind, experiment in by.items()}
    assert leak["frame"] > leak["patient"] and leak["frame"] <= 1 + 1e-9
