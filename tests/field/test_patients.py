"""Patients are known, stated or guessed, and it is said which; a guess that looks like something else is doubted."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_readers import PICTURE, write_camus, write_dicom, write_labelme, write_picture
from lvseg.data.check import check
from lvseg.data.source import open_source
from lvseg.data.splits import doubtful_patients, patients_by, split_frames
from lvseg.errors import DataWarning
from lvseg.readers.common import BY_FOLDER, BY_NAME
from tests.data.support import discs
from tests.readers.support import SQUARE, refused


def _pictures(root: Path, *names: str) -> None:
    for name in names:
        write_picture(root / f"{name}.png")
        write_picture(root / f"{name}_mask.png", SQUARE)


def test_pictures_whose_names_begin_with_the_view(tmp_path: Path) -> None:
    _pictures(tmp_path, "ch2_ed_0", "ch2_ed_1", "ch4_ed_0", "ch4_ed_1")
    frames = open_source(f"images:{tmp_path}")
    assert patients_by(frames) == BY_NAME
    with pytest.warns(DataWarning, match=r"patients ch2, ch4 look like views.*patients\.csv"):
        split_frames(frames)
    found = check(f"images:{tmp_path}")
    assert found.patients_by == BY_NAME and "ch2, ch4" in (found.doubt or "")


def test_annotations_in_folders_of_phases(tmp_path: Path) -> None:
    for phase in ("ED", "ES"):
        write_labelme(tmp_path / phase / "p1.json")
    frames = open_source(f"labelme:{tmp_path}")
    assert patients_by(frames) == BY_FOLDER
    with pytest.warns(DataWarning, match="patients ED, ES look like"):
        split_frames(frames)


def test_dicom_files_that_are_numbered(tmp_path: Path) -> None:
    for number in range(3):
        write_dicom(tmp_path / f"000{number}", PICTURE)
    with pytest.warns(DataWarning, match="each file is taken for a patient of its own"):
        split_frames(open_source(f"dicom:{tmp_path}"))


def test_patients_in_folders_and_known_ones_are_not_doubted(tmp_path: Path) -> None:
    _pictures(tmp_path / "p1", "a_ED", "a_ES")
    _pictures(tmp_path / "p2", "a_ED")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split_frames(open_source(f"images:{tmp_path}"))
        split_frames([replace(frame, patient=f"ch{frame.patient[1:]}") for frame in discs()])  # known, so let be
    write_camus(tmp_path / "camus")
    assert patients_by(open_source(f"camus:{tmp_path / 'camus'}")) == "known"


@pytest.mark.parametrize("layout", ["annotations", "data/labels", "train_json", "training"])
def test_a_folder_named_after_its_content_is_no_patient(tmp_path: Path, layout: str) -> None:
    for name in ("p1_ED", "p1_ES", "p2_ED"):
        write_labelme(tmp_path / layout / f"{name}.json")
    assert [frame.patient for frame in open_source(f"labelme:{tmp_path}")] == ["p1", "p1", "p2"]


@pytest.mark.parametrize(
    "table",
    [
        "file,patient\nimages/a.png,x\nimages/sub/b.png,y\n",
        "Patient;File\nx;a\ny;images\\sub\\b\n",
        "file\tview\tpatient\na.png\t2CH\tx\n\nsub_b\t4CH\ty\n",
    ],
)
def test_patients_are_stated_in_a_table_beside_the_data(tmp_path: Path, table: str) -> None:
    _pictures(tmp_path, "a", "b")
    for name in ("a", "sub/b"):
        for folder in ("images", "masks"):
            write_picture(tmp_path / "set" / folder / f"{name}.png", np.zeros((24, 32), np.uint8))
    (tmp_path / "set" / "patients.csv").write_text(table)
    frames = open_source(f"images:{tmp_path / 'set'}")
    assert [(f.name, f.patient, f.patient_by) for f in frames] == [("a", "x", "stated"), ("sub_b", "y", "stated")]


def test_a_table_that_is_given_goes_before_the_one_beside_the_data(tmp_path: Path) -> None:
    _pictures(tmp_path / "set", "ch2_0", "ch4_0", "ch2_1", "ch4_1")
    (tmp_path / "set" / "patients.csv").write_text("file,patient\n")
    given = tmp_path / "mine.csv"
    given.write_text("file,patient\nch2_0,a\nch4_0,a\nch2_1,b\nch4_1,b\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        split = split_frames(open_source(f"images:{tmp_path / 'set'}", given))
    assert {name[-1] for name in split.train} != {name[-1] for name in split.test} and len(split.test) == 2
    assert check(f"images:{tmp_path / 'set'}", given).patients == 2


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "no columns file and patient"),
        ("name,patient\na,x\n", "no columns file and patient"),
        ("file,patient\na,x\n", "names no patient for b.png; add a row"),
        ("file,patient\na,x\nb\n", "row 3 names no file, or no patient"),
        ("file,patient\na,x\nb,y\na,z\n", "names two patients for a; keep one"),
    ],
)
def test_a_table_that_does_not_name_everybody_is_refused(tmp_path: Path, table: str, words: str) -> None:
    _pictures(tmp_path, "a", "b")
    (tmp_path / "patients.csv").write_text(table)
    refused(lambda: open_source(f"images:{tmp_path}"), tmp_path / "patients.csv", words)


def test_rows_about_other_files_are_told(tmp_path: Path) -> None:
    _pictures(tmp_path, "a")
    (tmp_path / "patients.csv").write_text("file,patient\na,x\nc,y\nd,y\n")
    with pytest.warns(DataWarning, match="names c and 1 more that aren't among the data"):
        assert doubtful_patients(open_source(f"images:{tmp_path}")) is None
