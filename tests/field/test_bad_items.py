"""One bad item is named and never hides the rest; with --skip-bad the others train, and the receipt says so."""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_readers import write_camus, write_camus_cine, write_echonet, write_pediatric, write_video
from lvseg import files
from lvseg.course import reproduce
from lvseg.data import prepared, splits
from lvseg.data.check import check
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning
from lvseg.experiment import Experiment
from lvseg.readers import Frame, Pixels, video
from tests.data.support import discs
from tests.support import lvseg


def outcomes(spec: str) -> dict[str, str]:
    """By frame, what is wrong with it, or nothing."""
    found = {}
    for frame in open_source(spec):
        try:
            frame.read()
            found[frame.name] = ""
        except DataError as error:
            found[frame.name] = str(error)
    return found


def test_a_bad_tracing_refuses_its_own_frame(tmp_path: Path) -> None:
    tracings = write_echonet(tmp_path) / "VolumeTracings.csv"
    whole = tracings.read_text()
    short = "".join(line for line in whole.splitlines(keepends=True) if not ("0XA" in line and line.endswith(",3\n")))
    for text, words in (
        (short + "0XA.avi,50,5,50,95,3\n", "0XA in its frame 4 (Frame 3) can't be an outline: 1 rows"),
        (whole.replace("0XA.avi,29.5,19.5", "0XA.avi,nan,19.5"), "0XA in its frame 4 (Frame 3) has a coordinate"),
        (whole.replace("0XA.avi,29.5,19.5", "0XA.avi,left,19.5"), "no number"),
        (whole.replace("0XA.avi,29.5,19.5", "0XA.avi,295,19.5"), "drawn on another size"),
    ):
        tracings.write_text(text)
        found = outcomes(f"echonet:{tmp_path}")
        assert [name for name, error in found.items() if error] == ["0XA_0004"] and len(found) == 4
        assert words in found["0XA_0004"]


def test_a_bad_row_refuses_its_own_video_and_so_does_a_doubled_one(tmp_path: Path) -> None:
    tracings, listed = (write_echonet(tmp_path) / name for name in ("VolumeTracings.csv", "FileList.csv"))
    whole = tracings.read_text()
    for number in ("soon", "1.5", "-1", "1e300", "inf", "-inf", ""):
        tracings.write_text(whole.replace("0XA.avi,50,5,50,95,1\n", f"0XA.avi,50,5,50,95,{number}\n"))
        found = outcomes(f"echonet:{tmp_path}")
        assert [error for name, error in found.items() if "0XB" in name] == ["", ""]
        assert ["row 23" in error for name, error in found.items() if "0XA" in name] == [True] or (
            [("Frame" in error) for name, error in found.items() if "0XA" in name] == [True]
        )
    tracings.write_text(whole)
    listed.write_text(listed.read_text() + "0XA.avi,55,45,100,112,112,50,4,TEST\n")
    found = outcomes(f"echonet:{tmp_path}")
    assert [name for name, error in found.items() if "lists 0XA twice" in error] == ["0XA_0002", "0XA_0004"]


def test_a_video_of_another_size_than_its_table_states_is_refused(tmp_path: Path) -> None:
    listed = write_echonet(tmp_path) / "FileList.csv"
    whole = listed.read_text()
    listed.write_text(whole.replace("0XA,55,45,100,112,112", "0XA,55,45,100,120,160"))
    found = outcomes(f"echonet:{tmp_path}")
    assert [name for name, error in found.items() if error] == ["0XA_0002", "0XA_0004"] and len(found) == 4
    assert "0XA.avi: has 112 x 112 pixels, but FileList.csv states 160 x 120" in found["0XA_0002"]
    for text in (
        whole.replace("112,112", ","),
        whole.replace("FrameHeight", "Rows"),
        whole.replace("112,112", "inf,1"),
    ):
        listed.write_text(text)
        assert not any(outcomes(f"echonet:{tmp_path}").values())


def test_a_frame_past_the_end_is_named_with_its_video(tmp_path: Path) -> None:
    write_video(write_pediatric(tmp_path) / "A4C" / "Videos" / "CR1-CR2-000039.avi", [20, 60])
    found = list(outcomes(f"pediatric:{tmp_path}").values())
    assert "CR1-CR2-000039.avi: has no frame 3, as it ends after 2" in found[0] and not found[1]


def test_tracings_of_videos_that_are_not_listed_are_told(tmp_path: Path) -> None:
    listed = write_echonet(tmp_path) / "FileList.csv"
    listed.write_text("".join(line for line in listed.read_text().splitlines(keepends=True) if "0XB" not in line))
    with pytest.warns(DataWarning, match="traces 1 videos that FileList.csv doesn't list, such as 0XB"):
        assert len(open_source(f"echonet:{tmp_path}")) == 2


def test_a_bad_video_is_one_bad_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_video(tmp_path / "a.avi", [20, 60])
    (tmp_path / "b.avi").write_bytes(b"RIFF\0\0\0\0AVI ")
    (tmp_path / "c.mp4").write_text("#EXTM3U")
    found = check(f"video:{tmp_path}")
    assert found.frames == 4 and sorted(found.bad) == ["b", "c"]
    monkeypatch.setattr(video, "_listed", video.list_file)
    with pytest.raises(DataError):
        check(f"video:{tmp_path}")


def test_a_bad_sequence_or_map_of_camus_is_one_bad_frame(tmp_path: Path) -> None:
    folder = write_camus_cine(tmp_path)
    other = tmp_path / "patient0002" / "patient0002_4CH_half_sequence.nii.gz"
    other.parent.mkdir()
    other.write_bytes(b"\x1f\x8b nothing")
    found = outcomes(f"camus_cine:{tmp_path}")
    assert [name for name, error in found.items() if error] == ["patient0002_4CH_half_sequence"] and len(found) == 4
    write_camus(tmp_path)
    (folder / "patient0001_4CH_ES_gt.nii.gz").unlink()
    found = outcomes(f"camus:{tmp_path}")
    assert [bool(error) for error in found.values()] == [False, True]


def with_bad(*numbers: int) -> list[Frame]:
    """Fifty frames of ten patients, of which some can't be read."""

    def broken(name: str) -> Pixels:
        raise DataError(f"{name}: is broken; mend it")

    return [
        replace(frame, load=partial(broken, frame.name)) if number in numbers else frame
        for number, frame in enumerate(discs())
    ]


def test_training_refuses_with_the_count_or_takes_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "whole"))
    experiment = Experiment.of_profile("class", split="patient")
    whole = prepared.prepare(experiment, discs())
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "bad"))  # frames without files: kept ones count as the same
    assert whole.skipped == ()
    gone = [whole.split.train[0], whole.split.test[0], whole.split.train[7]]
    frames = with_bad(*(n for n, frame in enumerate(discs()) if frame.name in gone))
    with pytest.raises(DataError, match=r"is broken; mend it \(3 of 50 frames can't be used.*--skip-bad"):
        prepared.prepare(experiment, frames)
    for _ in range(2):  # made, then kept
        with pytest.warns(DataWarning, match=r"is broken; mend it \(left out\)"):
            data = prepared.prepare(experiment, frames, skip_bad=True)
        assert set(data.skipped) == set(gone) and data.checksum != whole.checksum
        assert (len(data.split.train), len(data.split.test)) == (len(whole.split.train) - 2, len(whole.split.test) - 1)
        assert [frame.name for frame in data.tested] == list(whole.split.test[1:])
        kept = [n for n, name in enumerate(whole.split.train) if name not in gone]
        for index in range(len(data.arrays)):
            for one, other in zip(data.arrays.pick(index), whole.arrays.pick(kept[index]), strict=True):
                np.testing.assert_array_equal(one, other)
    with pytest.raises(DataError, match="3 of 50"):  # what was skipped once is refused again
        prepared.prepare(experiment, frames)


def test_a_side_of_which_nothing_is_left_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path))
    experiment = Experiment.of_profile("class", split="patient")
    test = splits.choose(discs(), experiment).test
    numbers = [n for n, frame in enumerate(discs()) if frame.name in test]
    with pytest.raises(DataError, match="of the frames to test none can be used"):
        prepared.prepare(experiment, with_bad(*numbers), skip_bad=True)
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path / "other"))
    with pytest.raises(DataError, match="50 of 50 frames can't be used"):
        prepared.prepare(experiment, with_bad(*range(50)), skip_bad=True)


def test_a_reproduction_hands_it_to_its_notebooks_only_where_it_is_asked_for(tmp_path: Path) -> None:
    experiment = prepared.settled(Experiment.of_profile("smoke"))
    assert not {"skip_bad", "patients"} & reproduce._notebook_parameters(experiment, tmp_path).keys()
    given = reproduce._notebook_parameters(experiment, tmp_path, skip_bad=True, patients=tmp_path / "mine.csv")
    assert given["skip_bad"] is True and given["patients"] == str(tmp_path / "mine.csv")


@pytest.mark.slow
def test_the_command_line_trains_on_the_others_and_the_receipt_names_the_rest(tmp_path: Path) -> None:
    from lvseg.readers.labelme import write_labelme

    frames = discs(10, 1)
    write_labelme(frames, tmp_path / "data")
    bad = next((tmp_path / "data").rglob("*p1_f0*.json"))
    bad.write_text(bad.read_text().replace("points", "dots"))
    arguments = ["train", "--profile", "smoke", "--model", "unet", "--data", f"labelme:{tmp_path / 'data'}"]
    arguments += ["--set", "epochs=1", "--set", "max_frames=null", "--out", tmp_path / "run"]
    refused = lvseg(*arguments)
    assert refused.returncode == 2 and "1 of 10 frames can't be used" in refused.stderr
    assert not (tmp_path / "run" / "receipt.json").exists()
    done = lvseg(*arguments, "--skip-bad")
    assert done.returncode == 0 and "(left out)" in done.stderr, done.stderr
    (name,) = files.read_json(tmp_path / "run" / "receipt.json")["skipped"]
    assert "p1_f0" in name


@pytest.mark.slow
def test_a_reproduction_does_so_through_its_notebooks_and_takes_a_list_of_patients(tmp_path: Path) -> None:
    """Each file named after its view: the list alone says whose they are, here two patients a folder."""
    from lvseg.readers.labelme import write_labelme

    frames = [replace(frame, patient="ch2") for frame in discs(10, 2)]
    write_labelme(frames, tmp_path / "data")
    bad = tmp_path / "data" / "ch2" / "p1_f0.json"
    bad.write_text(bad.read_text().replace("points", "dots"))
    rows = [f"{frame.name}.json,{frame.name.partition('_')[0]}" for frame in frames]
    (tmp_path / "mine.csv").write_text("file,patient\n" + "\n".join(rows) + "\n")
    arguments = ["reproduce", "--profile", "smoke", "--model", "unet", "--data", "labelme:data", "--out", "out"]
    arguments += ["--set", "epochs=1", "--set", "max_frames=null", "--patients", "mine.csv"]
    refused = lvseg(*arguments, cwd=tmp_path)
    assert refused.returncode == 2 and "1 of 20 frames can't be used" in refused.stderr
    done = lvseg(*arguments, "--skip-bad", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (tmp_path / "out" / "runs").glob("*/receipt.json")
    receipt, split = files.read_json(run), files.read_json(run.with_name("split.json"))
    assert [name.endswith("p1_f0") for name in receipt["skipped"]] == [True] and receipt["patients"] == "stated"
    sides = [{name.rpartition("_")[0] for name in split[side]} for side in ("train", "test")]
    assert len(split["test"]) in (3, 4) and not sides[0] & sides[1]
    assert "The patients are stated" in (tmp_path / "out" / "report" / "index.html").read_text()


def test_what_is_known_of_a_patient_is_left_out_where_it_is_unclear(tmp_path: Path) -> None:
    info = write_camus(tmp_path) / "Info_4CH.cfg"
    for text, facts in (
        ("EF: 54%\nSex: F\n", {"sex": "F"}),
        ("EF = 54\nAge = 56\n", {"ef_percent": 54.0, "age_years": 56.0}),
        ("EF: 54,5\nAge: 56 years\nLVedv: 90\n", {"edv_ml": 90.0}),
    ):
        info.write_text(text)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            assert open_source(f"camus:{tmp_path}")[0].facts == facts
        assert len({str(w.message) for w in told}) == ("%" in text or "," in text)
    info.unlink()
    info.mkdir()
    with pytest.warns(DataWarning, match="is left out"):
        assert open_source(f"camus:{tmp_path}")[0].facts == {}
