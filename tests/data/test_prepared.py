"""Preprocessing in the stated order, kept in a cache that notices every change of files, choices and code."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lvseg import clahe, machine
from lvseg.data import prepared, splits
from lvseg.data.source import open_source
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
from lvseg.readers import Frame, Pixels
from tests.data.support import discs


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
    arrays = prepared.arrays_of(frames, Experiment.of_profile("class"))
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
    first = prepared.arrays_of(frames, experiment)
    np.testing.assert_array_equal(prepared.arrays_of(frames, experiment).image, first.image)
    assert len(reads) == 1
    source.write_bytes(b"second, longer")
    prepared.arrays_of(frames, experiment)
    prepared.arrays_of(frames, Experiment.of_profile("class", data=f"images:{tmp_path}", size=32))
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
    return prepared.prepare(Experiment.of_profile("class", data=f"images:{folder}", split="frame")).checksum


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
        found.add(prepared.prepare(Experiment.of_profile("class", seed=seed), some).checksum)
    assert len(found) == 4


def test_changed_code_prepares_anew(monkeypatch):
    """Whoever edits the preprocessing doesn't train on the old pixels."""
    frames, experiment, reads = discs(2, 2), Experiment.of_profile("class", clahe="none"), []
    counted = [replace(frame, load=lambda frame=frame: (reads.append(1), frame.read())[1]) for frame in frames]
    for code in ("as it was", "as it was", "edited"):
        monkeypatch.setattr(prepared, "_code", lambda code=code: code)
        prepared.arrays_of(counted, experiment)
    assert len(reads) == 2 * len(frames)


@pytest.mark.parametrize("ending", ["pixels", "json"])
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: b"\1" + data[1:], None])
def test_a_damaged_cache_is_made_again(tmp_path, monkeypatch, ending, damage):
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "cache"))
    frames = discs(3, 2)
    whole = prepared.arrays_of(frames, Experiment.of_profile("class")).sha256()
    (kept,) = (tmp_path / "cache").glob(f"*.{ending}")
    if damage is None:
        kept.unlink()
    else:
        kept.write_bytes(damage(kept.read_bytes()))
    for _ in range(2):
        assert prepared.arrays_of(frames, Experiment.of_profile("class")).sha256() == whole


def test_prepared_frames_stay_on_disk(tmp_path, monkeypatch):
    """Arrays of the data's size never get into the process's own memory, only into pages that the system can drop."""
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path))
    frames = discs(10, 5)
    data = prepared.prepare(Experiment.of_profile("class"), frames)
    whole = prepared.arrays_of(frames, Experiment.of_profile("class"))
    rows = [row for row, frame in enumerate(frames) if frame.name in data.split.train]
    assert isinstance(data.arrays.image, np.memmap) and isinstance(whole.mask, np.memmap)
    assert len(data.arrays) == len(rows) == 40 and data.arrays.nbytes == 40 * 2 * 64 * 64
    for part, all_of_it in zip(data.arrays.pick(slice(None)), (whole.image, whole.mask), strict=True):
        np.testing.assert_array_equal(part, all_of_it[rows])
    assert [frame.name for frame in data.tested] == list(data.split.test)
    assert [frame.name for frame in data.watched] == list(data.split.watch)
    assert data.sides["train"] == {"frames": 40, "patients": 8} and data.sides["test"] == {"frames": 10, "patients": 2}


def test_a_frame_without_outline_is_named():
    frames = [Frame("naked", "p", lambda: Pixels(np.zeros((8, 8), np.uint8), None, None))]
    with pytest.raises(DataError, match="naked: has no LV outline"):
        prepared.arrays_of(frames, Experiment.of_profile("class"))


@pytest.mark.parametrize(
    ("flags", "expected"), [("avx2 avx512f", "float32"), ("avx512_bf16", "bfloat16"), ("amx_bf16", "bfloat16")]
)
def test_activations_take_bfloat16_where_the_processor_has_it(tmp_path, monkeypatch, flags, expected):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/cpuinfo").write_text(f"processor: 0\nflags\t: fpu {flags} sse\n")
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    auto = Experiment.of_profile("smoke", precision="auto")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    assert prepared.settled(auto).precision == expected
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert prepared.settled(auto).precision == "float32"


def test_a_split_file_that_is_gone_is_refused_before_any_data_is_read(tmp_path):
    with pytest.raises(ConfigError, match="choose patient, frame, own, or a file"):
        prepared.prepare(Experiment.of_profile("class", data="images:nowhere", split=str(tmp_path / "gone.json")))


def test_a_settled_experiment_stays_as_it_is():
    settled = prepared.settled(Experiment.of_profile("class", precision="auto"))
    assert prepared.settled(settled) == settled and settled.precision != "auto"


def test_arrays_are_made_smaller_as_they_are_used():
    """By the mean of each two by two pixels; a frame alone, some, and all of them."""
    image = np.arange(5 * 4 * 4, dtype=np.uint8).reshape(5, 4, 4) * 3
    whole = prepared.Arrays(image, image[:, ::-1], np.array([4, 0, 2]))
    small = replace(whole, size=2)
    assert (whole.edge, small.edge, small.nbytes) == (4, 2, 3 * 2 * 4)
    for chosen in (1, [0, 2], slice(None)):
        for found, kept in zip(small.pick(chosen), whole.pick(chosen), strict=True):
            blocks = kept.reshape(*kept.shape[:-2], 2, 2, 2, 2).mean((-3, -1))
            np.testing.assert_allclose(found, blocks, atol=0.51)


def test_the_watched_are_read_and_neither_train_nor_test(tmp_path):
    """They are read, so that a bad file is noticed, but neither train nor test."""
    frames, path = discs(10, 1), tmp_path / "split.json"
    found = {}
    for watch in ((), ("p3_f0",), ("p4_f0",)):
        splits.Split("patient", 0, ("p0_f0", "p1_f0"), ("p2_f0",), watch).save(path)
        found[watch] = prepared.prepare(Experiment.of_profile("class", split=str(path)), frames)
        assert [frame.name for frame in found[watch].watched] == list(watch)
    used = [data.arrays.sha256() for data in found.values()]
    assert len(set(used)) == 1


def test_the_phantoms_that_train_are_those_of_before_anybody_was_watched():
    """The checksum of a run's data as receipts hold it: of two sides' names, and of what was read for them."""
    experiment = Experiment.of_profile("smoke")
    data = prepared.prepare(experiment)
    names = [frame.name for frame in (*data.tested,)]
    assert len(data.watched) == 4 and names == list(data.split.test)
    read = hashlib.sha256()
    for frame in open_source("phantom"):
        if frame.name in {*data.split.train, *data.split.test}:
            pixels = frame.read()
            read.update(repr((frame.name, frame.patient, pixels.image.shape, pixels.spacing_mm)).encode())
            read.update(pixels.image.tobytes() + pixels.mask.tobytes())
    sides = hashlib.sha256("\n".join((*data.split.train, "", *data.split.test)).encode()).hexdigest()
    assert data.checksum == hashlib.sha256(f"{sides} {read.hexdigest()}".encode()).hexdigest()
