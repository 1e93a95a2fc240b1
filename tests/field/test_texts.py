"""Texts are read as people's machines write them, wherever a text belongs to the data."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_readers import CORNERS, PICTURE, write_camus, write_labelme, write_picture
from lvseg.data.source import open_source
from lvseg.data.splits import Split
from lvseg.errors import DataWarning
from lvseg.readers.common import read_text
from tests.readers.support import SQUARE, only

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "gb18030"]


@pytest.fixture(autouse=True)
def _without_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("text", ["LV: 左心室\n", "室\n", "a;b\n1;患者 一\n"])
def test_a_text_is_read_in_the_encodings_of_chinese_machines(tmp_path: Path, encoding: str, text: str) -> None:
    if encoding.startswith("utf-16-") and not text.isascii() and text[0] > "\xff":
        pytest.skip("without a mark, UTF-16 is known by its Latin letters")
    (tmp_path / "a.txt").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert read_text(tmp_path / "a.txt") == text


def test_two_bytes_of_chinese_that_would_pass_for_utf_8(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("腔\n".encode("gb18030"))
    assert read_text(tmp_path / "a.txt") == "腔\n"


@pytest.mark.parametrize("text", ["Größe: José, Jérôme\n", "ß ñ é\n"])
def test_western_european_is_the_last_resort_and_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.cfg").write_bytes(text.encode("cp1252"))
    with pytest.warns(DataWarning, match=r"a\.cfg: is neither UTF-8"):
        assert read_text(tmp_path / "a.cfg") == text


@pytest.mark.parametrize("text", ["Jérôme ß", "Ελλάδα", "русский", "tiếng Việt ơ ư", "e\u0301"])
def test_utf_8_stays_utf_8(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    assert read_text(tmp_path / "a.txt") == text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_annotation(tmp_path: Path, encoding: str) -> None:
    path = write_labelme(tmp_path / "病人.json", [{"label": "左心室", "points": CORNERS}], imageData=None)
    path.write_bytes(json.dumps(json.loads(path.read_text()), ensure_ascii=False, indent=1).encode(encoding))
    write_picture(tmp_path / "x.png")
    frame = open_source(f"labelme:{tmp_path}")[0]
    np.testing.assert_array_equal(frame.read().mask, SQUARE)
    assert tmp_path / "x.png" in frame.files


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_list_of_labels(tmp_path: Path, encoding: str) -> None:
    write_labelme(tmp_path / "a.json", [{"label": "cavity 腔", "points": CORNERS}])
    (tmp_path / "lv_labels.txt").write_bytes("cavity 腔\r\n".encode(encoding))
    np.testing.assert_array_equal(only(open_source(f"labelme:{tmp_path}")).mask, SQUARE)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_table_of_patients(tmp_path: Path, encoding: str) -> None:
    write_picture(tmp_path / "ch2_1.png")
    (tmp_path / "patients.csv").write_bytes("file;patient\r\nch2_1.png;病人\r\n".encode(encoding))
    (frame,) = open_source(f"images:{tmp_path}")
    assert (frame.patient, frame.patient_by) == ("病人", "stated")


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_official_split_and_a_patients_facts(tmp_path: Path, encoding: str) -> None:
    folder = write_camus(tmp_path)
    info = folder / "Info_4CH.cfg"
    info.write_bytes((info.read_text() + "Note: 好\n").replace("\n", "\r\n").encode(encoding))
    (tmp_path / "database_split").mkdir()
    (tmp_path / "database_split" / "subgroup_validation.txt").write_bytes("patient0001\r\n".encode(encoding))
    frames = open_source(f"camus:{tmp_path}")
    assert {(frame.subset, frame.facts["ef_percent"]) for frame in frames} == {("validation", 63.2)}
    np.testing.assert_array_equal(frames[0].read().image, PICTURE)


def test_a_split_file_that_an_editor_marked(tmp_path: Path) -> None:
    split = Split("patient", 0, ("a",), ("b",))
    split.save(tmp_path / "mine.json")
    (tmp_path / "mine.json").write_text((tmp_path / "mine.json").read_text(), encoding="utf-8-sig")
    assert Split.load(tmp_path / "mine.json") == split
