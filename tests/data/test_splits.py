"""Splits never divide a patient, follow from the seed alone, and are kept in files that nobody changes unseen."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks.real_data import CAMUS
from lvseg.data import splits
from lvseg.data.prepared import settled
from lvseg.data.source import open_source
from lvseg.errors import ConfigError, DataError
from lvseg.experiment import Experiment
from tests.data.support import discs
from tests.support import needs_camus


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
    experiment = settled(Experiment.of_profile("class", split=str(path)))
    assert splits.choose(frames, experiment) == splits.Split.load(path)
    again = Experiment.of(**experiment.model_dump())
    assert again == experiment
    splits.Split("patient", 0, ("p0_f0", "p1_f1"), ("p3_f0",)).save(path)
    assert settled(Experiment.of_profile("class", split=str(path))).fingerprint() != experiment.fingerprint()
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
        splits.choose(discs(), settled(Experiment.of_profile("class", split=str(path))))


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
