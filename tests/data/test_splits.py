"""Splits never divide a patient, follow from the seed alone, and are kept in files that nobody changes unseen."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.real_data import CAMUS
from lvseg.data import splits
from lvseg.data.prepared import settled
from lvseg.data.source import apart, open_source
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
        assert (len(split.train), len(split.watch), len(split.test)) == (350, 50, 100)
        sides = [patients_of(frames, side) for side in split.sides.values()]
        assert [len(side) for side in sides] == [7, 1, 2] and len(set().union(*sides)) == 10
        assert sorted(sum(split.sides.values(), ())) == sorted(frame.name for frame in frames)


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
    assert set(split.test) == {f"p3_f{f}" for f in range(5)}
    assert patients_of(frames := discs(), split.watch) == {"p0", "p9"}  # of p0 p1 p2 p4 p5 p6 p7 p8 p9
    assert len(split.train) == 35 and len(frames) == 50


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
        assert {int(name[1]) % 3 for name in split.test} == {seed % 3} and sum(map(len, split.sides.values())) == 50
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
        (["p0_f0"], ["p0_f0"], "on two"),
        (["p0_f0"], [], "empty side"),
        (["p0_f0"], ["p9_f9"], "p9_f9, which isn't among the data"),
        (["p0_f0"], ["p0_f1"], "p0 on two sides"),
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
    experiment = Experiment.of_profile("smoke", max_frames=16, data="images:anywhere")
    split, whole = splits.choose(frames, experiment), splits.split_frames(frames)
    assert (len(split.train), len(split.watch), len(split.test)) == (16, 4, 4)
    assert all(set(some) <= set(side) for some, side in zip(split.sides.values(), whole.sides.values(), strict=True))
    assert len(patients_of(frames, split.train)) == 7


# Who is watched


@pytest.mark.parametrize(("patients", "watched"), [(9, 0), (10, 1), (21, 2)])
def test_every_eighth_training_patient_is_watched_from_eight_on(patients, watched):
    """Of 9 patients 2 are tested and 7 are left, of 10 8, of 21 16."""
    frames = [replace(f, name=f"q{n:02}", patient=f"q{n:02}") for n, f in enumerate(discs(patients, 1))]
    split = splits.split_frames(frames)
    training = sorted({frame.patient for frame in frames} - set(split.test))
    assert list(split.watch) == training[::8][:watched] and len(split.watch) == watched


def test_by_frame_every_eighth_training_frame_is_watched():
    split = splits.split_frames(discs(10, 5), "frame")
    assert (len(split.train), len(split.watch), len(split.test)) == (35, 5, 10)
    assert list(split.watch) == sorted((*split.train, *split.watch))[::8]


@pytest.mark.parametrize("kind", ["patient", "frame"])
def test_the_papers_400_and_100_phantoms_stay_and_others_are_watched(kind):
    experiment = Experiment.of_profile("class", split=kind)
    frames, beside = open_source("phantom"), apart("phantom")
    split = splits.choose(frames, experiment)
    assert (len(split.train), len(split.test)) == (400, 100)
    assert set(split.train) | set(split.test) == {frame.name for frame in frames}
    assert list(split.watch) == [frame.name for frame in beside]
    assert splits.counts([*frames, *beside], split)["watch"] == {"frames": 100, "patients": 2}
    assert not {frame.patient for frame in beside} & {frame.patient for frame in frames}
    pictures = [frame.read().image for frame in (beside[0], frames[0])]
    assert not np.array_equal(*pictures)  # another seed, another heart


def test_a_larger_cohort_has_more_who_are_watched_and_data_on_disk_none_beside():
    assert len(apart("phantom:random:40x3")) == 5 * 3
    assert apart("camus:anywhere") == []


def test_a_split_kept_from_before_there_was_a_third_side_still_opens(tmp_path):
    """As the file was written then: two sides, and a checksum of two."""
    train, test = ["a", "b"], ["c"]
    old = {"kind": "patient", "fold": 0, "train": train, "test": test}
    old["sha256"] = hashlib.sha256(b"a\nb\n\nc").hexdigest()
    path = tmp_path / "split.json"
    path.write_text(json.dumps(old))
    split = splits.Split.load(path)
    assert (split.train, split.watch, split.test) == (("a", "b"), (), ("c",))
    split.save(path)
    assert json.loads(path.read_text()) == {**old, "watch": []}


def test_the_checksum_covers_the_watched(tmp_path):
    path = tmp_path / "split.json"
    splits.Split("patient", 0, ("a",), ("b",), ("c",)).save(path)
    stored = json.loads(path.read_text())
    path.write_text(json.dumps({**stored, "watch": ["d"]}))
    with pytest.raises(DataError, match="was changed"):
        splits.Split.load(path)


@pytest.mark.parametrize(
    ("watch", "word"), [(["p1_f0"], "on two"), (["p9_f9"], "p9_f9, which"), (["p1_f1"], "of p1 on two")]
)
def test_a_watched_frame_that_trains_or_is_nowhere_is_refused(tmp_path, watch, word):
    path = tmp_path / "mine.json"
    splits.Split("patient", 0, ("p1_f0",), ("p2_f0",), tuple(watch)).save(path)
    with pytest.raises(DataError, match=word):
        splits.choose(discs(), settled(Experiment.of_profile("class", split=str(path))))


def test_a_split_of_phantoms_may_be_kept_with_those_who_are_watched(tmp_path):
    frames, path = open_source("phantom"), tmp_path / "mine.json"
    splits.split_frames(frames, beside=apart("phantom")).save(path)
    split = splits.choose(frames, settled(Experiment.of_profile("class", split=str(path))))
    assert len(split.watch) == 100


@needs_camus
def test_of_camus_own_training_patients_every_eighth_is_watched():
    """The patients by which the class recipe was chosen too (studies/recipe.py)."""
    frames = open_source(f"camus:{CAMUS}")
    training = [frame for frame in frames if frame.subset == "training"]
    split = splits.split_frames(frames, "own")
    eighth = set(sorted({frame.patient for frame in training})[::8])
    assert list(split.watch) == [frame.name for frame in training if frame.patient in eighth]
    assert {name.partition("_")[0] for name in split.test} == {f.patient for f in frames if f.subset == "validation"}
    assert not splits.divided_patients(frames, split)
    counted = splits.counts(frames, split)
    assert {side: n["patients"] for side, n in counted.items()} == {"train": 348, "watch": 50, "test": 50}
