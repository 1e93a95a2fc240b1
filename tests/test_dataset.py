"""Splits that never divide a patient, preprocessing that is cached truthfully, batches that a resumed run repeats."""

from __future__ import annotations

import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import needs_camus

from benchmarks.real_data import CAMUS
from lvseg import clahe
from lvseg.data import prepared, splits
from lvseg.data.batches import augment, batches
from lvseg.data.check import near_duplicates, nearest_similarity
from lvseg.data.source import open_source
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
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
        split = splits.split_frames(frames, "patient", seed)
        assert (len(split.train), len(split.test)) == (400, 100)
        assert not patients_of(frames, split.train) & patients_of(frames, split.test)
        assert set(split.train) | set(split.test) == {frame.name for frame in frames}


@pytest.mark.parametrize("kind", ["patient", "frame"])
def test_five_seeds_test_every_frame_once(kind):
    frames = discs()
    tested = [name for seed in range(5) for name in splits.split_frames(frames, kind, seed).test]
    assert sorted(tested) == sorted(frame.name for frame in frames)


def test_split_by_frame_puts_patients_on_both_sides():
    frames = discs(10, 50)
    split = splits.split_frames(frames, "frame")
    assert len(patients_of(frames, split.train) & patients_of(frames, split.test)) > 5


def test_own_split_follows_the_data_set():
    split = splits.split_frames(discs(), "own", seed=3)
    assert set(split.test) == {f"p3_f{f}" for f in range(5)} and len(split.train) == 45


@pytest.mark.parametrize(("kind", "frames"), [("own", [replace(f, subset="") for f in discs()]), ("patient", discs(1))])
def test_data_that_cannot_be_split_so_are_refused(kind, frames):
    with pytest.raises(DataError, match=f"split by {kind}"):
        splits.split_frames(frames, kind)


@pytest.mark.parametrize("folds", [2, 3, 10])
def test_k_folds_test_every_patient_once(folds):
    frames = discs()
    tested = [splits.split_frames(frames, "patient", seed, folds).test for seed in range(folds)]
    assert sorted(sum(tested, ())) == sorted(frame.name for frame in frames)
    assert {len(patients_of(frames, test)) for test in tested} <= {10 // folds, -(-10 // folds)}


def test_the_data_sets_own_folds_are_tested_in_turn():
    frames = [replace(frame, subset=f"fold{int(frame.patient[1:]) % 3}") for frame in discs()]
    for seed in range(6):
        split = splits.split_frames(frames, "own", seed)
        assert {int(name[1]) % 3 for name in split.test} == {seed % 3} and len(split.train) + len(split.test) == 50
        assert not patients_of(frames, split.train) & patients_of(frames, split.test)


def test_an_experiment_can_name_a_split_file_and_is_another_one_when_it_changes(tmp_path):
    frames, path = discs(), tmp_path / "mine.json"
    splits.Split("patient", 0, ("p0_f0", "p1_f1"), ("p2_f0",)).save(path)
    experiment = Experiment.of_profile("class", split=str(path))
    assert splits.choose(frames, experiment) == splits.Split.load(path)
    again = Experiment.of(**experiment.model_dump())
    assert again == experiment
    splits.Split("patient", 0, ("p0_f0", "p1_f1"), ("p3_f0",)).save(path)
    assert Experiment.of_profile("class", split=str(path)).fingerprint() != experiment.fingerprint()
    with pytest.raises(DataError, match="isn't the split"):
        splits.choose(frames, again)


@pytest.mark.parametrize(
    ("train", "test", "word"),
    [
        (["p0_f0"], ["p0_f0"], "on both"),
        (["p0_f0"], [], "empty side"),
        (["p0_f0"], ["p9_f9"], "p9_f9, which isn't among the data"),
        (["p0_f0"], ["p0_f1"], "p0 on both sides"),
    ],
)
def test_a_split_file_that_cannot_be_used_is_refused(tmp_path, train, test, word):
    path = tmp_path / "mine.json"
    splits.Split("patient", 0, tuple(train), tuple(test)).save(path)
    with pytest.raises(DataError, match=f"mine.json: .*{word}"):
        splits.choose(discs(), Experiment.of_profile("class", split=str(path)))


@pytest.mark.parametrize("split", ["doctor", "gone.json", "x.json#12"])
def test_a_split_that_does_not_exist_is_refused_before_any_data_is_read(split):
    with pytest.raises(ConfigError, match="choose patient, frame, own, or a file"):
        Experiment.of_profile("class", split=split)


def test_one_picture_on_both_sides_of_a_split_is_named():
    frames = discs(10, 1)
    split = splits.split_frames(frames, "patient")
    assert near_duplicates(frames, split) == []
    test, train = split.test[0], split.train[3]
    shown = {frame.name: frame.read() for frame in frames}
    faint = np.clip(shown[train].image.astype(int) + np.random.default_rng(0).integers(-3, 4, (90, 120)), 0, 255)
    copied = [
        replace(f, load=lambda: Pixels(faint.astype(np.uint8), None, None)) if f.name == test else f for f in frames
    ]
    ((one, other, similarity),) = near_duplicates(copied, split)
    assert (one, other) == (test, train) and 0.99 < similarity <= 1 + 1e-6


@needs_camus
def test_camus_splits_keep_the_heart_that_is_there_twice_on_one_side():
    frames = open_source(f"camus:{CAMUS}")
    for seed in range(5):
        split = splits.split_frames(frames, "patient", seed)
        sides = {name in split.test for name in ("patient0033_4CH_ED", "patient0068_4CH_ED", "patient0068_4CH_ES")}
        assert len(sides) == 1


def test_unknown_split():
    with pytest.raises(ConfigError, match="'doctor' doesn't exist"):
        splits.split_frames(discs(), "doctor")


def test_split_file_survives_a_round_trip_and_no_tampering(tmp_path):
    split = splits.split_frames(discs(), "patient", 2)
    path = tmp_path / "split.json"
    split.save(path)
    assert splits.Split.load(path) == split
    stored = json.loads(path.read_text())
    stored["train"].append(stored["test"].pop())
    path.write_text(json.dumps(stored))
    with pytest.raises(DataError, match=r"split\.json: was changed"):
        splits.Split.load(path)


def test_max_frames_keeps_the_sides_and_spreads_over_patients():
    frames = discs(10, 50)
    experiment = Experiment.of_profile("smoke", max_frames=16)
    split, whole = splits.choose(frames, experiment), splits.split_frames(frames)
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
    experiment = Experiment.of_profile("class", clahe=when)
    np.testing.assert_array_equal(prepared.preprocess(image, experiment), expected[when])
    assert not np.array_equal(expected["before"], expected["after"])


def test_masks_keep_their_area_when_resized():
    frames = discs(2, 2)
    arrays = prepared.prepare(frames, Experiment.of_profile("class"))
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
    experiment = Experiment.of_profile("class", data=f"images:{tmp_path}")
    first = prepared.prepare(frames, experiment)
    np.testing.assert_array_equal(prepared.prepare(frames, experiment).image, first.image)
    assert len(reads) == 1
    source.write_bytes(b"second, longer")
    prepared.prepare(frames, experiment)
    prepared.prepare(frames, Experiment.of_profile("class", data=f"images:{tmp_path}", size=32))
    assert len(reads) == 3


def pictures(folder: Path, n: int = 5) -> list[Frame]:
    for frame in discs(n, 1):
        for ending, values in (("", frame.read().image), ("_mask", frame.read().mask.astype(np.uint8) * 255)):
            cv2.imwrite(str(folder / f"{frame.patient}{ending}.png"), values)
    return open_source(f"images:{folder}")


def write_other(path: Path) -> None:
    cv2.imwrite(str(path), np.full((90, 120), 77, np.uint8))
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: write_other(folder / "p1.png"),
        lambda folder: os.utime(folder / "p1_mask.png", ns=(5, 5)),
        lambda folder: (folder / "p1_mask.png").unlink(),
        lambda folder: [(folder / f"p1{end}.png").unlink() for end in ("", "_mask")],
        lambda folder: [shutil.copy(folder / f"p1{end}.png", folder / f"q{end}.png") for end in ("", "_mask")],
        lambda folder: [(folder / f"p1{end}.png").rename(folder / f"z{end}.png") for end in ("", "_mask")],
    ],
    ids=["changed", "touched", "mask removed", "removed", "added", "renamed"],
)
def test_changed_added_and_removed_files_are_noticed(tmp_path, change):
    before = prepared.identity(pictures(tmp_path))
    assert prepared.identity(open_source(f"images:{tmp_path}")) == before
    change(tmp_path)
    assert prepared.identity(open_source(f"images:{tmp_path}")) != before


def test_another_patient_or_side_of_the_official_split_is_noticed():
    frames = discs(2, 1)
    others = [[replace(frames[0], **change), frames[1]] for change in ({"patient": "q"}, {"subset": "testing"})]
    assert len({prepared.identity(some) for some in (frames, *others)}) == 3


@pytest.fixture
def masked(tmp_path) -> Path:
    folder = tmp_path / "first"
    folder.mkdir()
    pictures(folder)
    return folder


def checksum(folder: Path) -> str:
    return prepared.checksum(open_source(f"images:{folder}"), Experiment.of_profile("class", split="frame"))


def test_a_copy_of_the_data_is_the_same_data(masked, tmp_path):
    """Copied without its times, so that each file is read again, it has the same checksum, and another identity."""
    copy = shutil.copytree(masked, tmp_path / "second", copy_function=shutil.copyfile)
    assert checksum(copy) == checksum(masked)
    identities = [prepared.identity(open_source(f"images:{folder}")) for folder in (masked, copy)]
    assert identities[0] != identities[1]


@pytest.mark.parametrize("name", ["p1.png", "p1_mask.png"])
def test_a_changed_pixel_makes_other_data(masked, name):
    before, image = checksum(masked), cv2.imread(str(masked / name), cv2.IMREAD_GRAYSCALE)
    image[0, 0] = 255 - image[0, 0]
    cv2.imwrite(str(masked / name), image)
    assert checksum(masked) != before


def test_another_spacing_patient_or_side_makes_other_data(tmp_path, monkeypatch):
    frames = discs(10, 1)
    pixels = frames[0].read()
    cases = {
        "as it was": (frames, 0),
        "spacing": ([replace(frames[0], load=lambda: Pixels(pixels.image, pixels.mask, (0.5, 0.25))), *frames[1:]], 0),
        "patient": ([replace(frame, patient="p" + frame.patient) for frame in frames], 0),
        "side": (frames, 1),
    }
    found = set()
    for case, (some, seed) in cases.items():
        monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / case))  # frames without files: kept ones count as the same
        found.add(prepared.checksum(some, Experiment.of_profile("class", seed=seed)))
    assert len(found) == 4


def test_changed_code_prepares_anew(monkeypatch):
    """Whoever edits the preprocessing doesn't train on the old pixels."""
    frames, experiment, reads = discs(2, 2), Experiment.of_profile("class", clahe="none"), []
    counted = [replace(frame, load=lambda frame=frame: (reads.append(1), frame.read())[1]) for frame in frames]
    for code in ("as it was", "as it was", "edited"):
        monkeypatch.setattr(prepared, "_code", lambda code=code: code)
        prepared.prepare(counted, experiment)
    assert len(reads) == 2 * len(frames)


@pytest.mark.parametrize("ending", ["pixels", "sha256"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"\1" + data[1:], None])
def test_a_damaged_cache_is_made_again(tmp_path, monkeypatch, ending, damage):
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "cache"))
    frames = discs(3, 2)
    whole = [array.tobytes() for array in prepared.prepare(frames, Experiment.of_profile("class"))]
    (kept,) = (tmp_path / "cache").glob(f"*.{ending}")
    if damage is None:
        kept.unlink()
    else:
        kept.write_bytes(damage(kept.read_bytes()))
    for _ in range(2):
        assert [array.tobytes() for array in prepared.prepare(frames, Experiment.of_profile("class"))] == whole


def test_prepared_frames_stay_on_disk(tmp_path, monkeypatch):
    """Arrays of the data's size never get into the process's own memory, only into pages that the system can drop."""
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path))
    frames = discs(10, 5)
    split, arrays = prepared.load(frames, Experiment.of_profile("class"))
    whole = prepared.prepare(frames, Experiment.of_profile("class"))
    rows = [row for row, frame in enumerate(frames) if frame.name in split.train]
    for part, all_of_it in zip(arrays, whole, strict=True):
        assert isinstance(part, np.memmap) and isinstance(all_of_it, np.memmap)
        np.testing.assert_array_equal(part, all_of_it[rows])


def test_a_frame_without_outline_is_named():
    frames = [Frame("naked", "p", lambda: Pixels(np.zeros((8, 8), np.uint8), None, None))]
    with pytest.raises(DataError, match="naked: has no LV outline"):
        prepared.prepare(frames, Experiment.of_profile("class"))


def test_batches_follow_from_seed_epoch_and_step():
    arrays = prepared.prepare(discs(), Experiment.of_profile("class"))
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
    arrays = prepared.prepare(discs(), Experiment.of_profile("class"))
    orders = set()
    for seed, epoch in ((0, 1), (0, 2), (1, 1)):
        experiment = Experiment.of_profile("class", augment="none", batch=48, seed=seed)
        ((images, _),) = batches(arrays, experiment, epoch)
        orders.add(images.tobytes())
    assert len(orders) == 3


def test_seed_epoch_and_step_each_give_another_augmentation():
    """Of one frame, eight times: its order can't matter."""
    one = prepared.prepare(discs(1, 1), Experiment.of_profile("class"))
    arrays = prepared.Arrays(*(np.repeat(array, 8, axis=0) for array in one))
    seen = []
    for seed, epoch in ((0, 1), (0, 2), (1, 1)):
        experiment = Experiment.of_profile("class", batch=4, seed=seed)
        seen += [images.tobytes() for images, _ in batches(arrays, experiment, epoch)]
    assert len(set(seen)) == len(seen) == 6


def test_an_epoch_shows_each_frame_once_without_augmentation():
    arrays = prepared.prepare(discs(2, 4), Experiment.of_profile("class"))
    experiment = Experiment.of_profile("class", batch=4, augment="none", channels=3)
    images = np.concatenate([x for x, _ in batches(arrays, experiment, 1)])
    assert images.shape == (8, 64, 64, 3) and images.dtype == np.float32 and images.max() <= 1
    expected = prepared.to_network(arrays.image, 3)
    assert sorted(x.tobytes() for x in images) == sorted(x.tobytes() for x in expected)


def test_fewer_frames_than_a_batch_still_make_one():
    arrays = prepared.prepare(discs(1, 3), Experiment.of_profile("class"))
    assert [x.shape[0] for x, _ in batches(arrays, Experiment.of_profile("class", batch=8), 1)] == [3]


@pytest.mark.parametrize("kind", ["usual", "mirrored"])
def test_augmentation_moves_image_and_mask_together(kind):
    """The disc is bright: wherever the mask says LV, the moved image is bright, and nowhere else."""
    arrays = prepared.prepare(discs(1, 1), Experiment.of_profile("class", clahe="none"))
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


def test_nearest_similarity_finds_the_leak():
    frames = discs(10, 5)
    by = {kind: Experiment.of_profile("smoke", split=kind, max_frames=40) for kind in ("patient", "frame")}
    leak = {kind: nearest_similarity(frames, experiment).mean() for kind, experiment in by.items()}
    assert leak["frame"] > leak["patient"] and leak["frame"] <= 1 + 1e-9
