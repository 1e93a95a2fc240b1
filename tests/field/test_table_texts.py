"""CAMUS's and EchoNet's tables and lists in the encodings that people's machines write."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.fuzz_readers import write_camus, write_echonet
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning

WRITTEN = [("utf-8", "\n"), ("utf-8-sig", "\n"), ("utf-8-sig", "\r\n"), ("utf-8", "\r\n"), ("utf-16", "\r\n")]


def rewrite(path: Path, encoding: str, end: str) -> None:
    path.write_bytes(path.read_text().replace("\n", end).encode(encoding))


@pytest.mark.parametrize(("encoding", "end"), WRITTEN)
def test_camus_facts_and_sides_are_read_however_they_were_saved(tmp_path: Path, encoding: str, end: str) -> None:
    folder = write_camus(tmp_path)
    plain = open_source(f"camus:{tmp_path}")[0].facts
    rewrite(folder / "Info_4CH.cfg", encoding, end)
    split = tmp_path / "database_split" / "subgroup_validation.txt"
    split.parent.mkdir()
    split.write_text("patient0001\npatient0002\n")
    rewrite(split, encoding, end)
    frame = open_source(f"camus:{tmp_path}")[0]
    assert frame.facts == plain and len(plain) == 6 and frame.subset == "validation"


def test_a_quality_in_another_language_keeps_its_patient(tmp_path: Path) -> None:
    info = write_camus(tmp_path) / "Info_4CH.cfg"
    info.write_bytes("EF: 54\nImageQuality: Médiocre\n".encode("cp1252"))
    with pytest.warns(DataWarning, match=r"Info_4CH.cfg"):
        frames = open_source(f"camus:{tmp_path}")
    assert len(frames) == 2 and frames[0].read().mask is not None


@pytest.mark.parametrize(("encoding", "end"), WRITTEN)
def test_echonet_tables_are_read_however_they_were_saved(tmp_path: Path, encoding: str, end: str) -> None:
    root = write_echonet(tmp_path)
    plain = [(frame.name, frame.phase, frame.facts) for frame in open_source(f"echonet:{root}")]
    for name in ("FileList.csv", "VolumeTracings.csv"):
        rewrite(root / name, encoding, end)
    frames = open_source(f"echonet:{root}")
    assert [(frame.name, frame.phase, frame.facts) for frame in frames] == plain
    assert frames[0].read().mask.any()


def test_a_list_of_other_words_is_told(tmp_path: Path) -> None:
    write_camus(tmp_path)
    split = tmp_path / "database_split" / "subgroup_training.txt"
    split.parent.mkdir()
    split.write_text("patient0001, patient0002;\n")
    assert open_source(f"camus:{tmp_path}")[0].subset == "training"
    split.write_text("name\npatient0001\n")
    with pytest.warns(DataWarning, match="lists 'name', which is no patient's name"):
        assert open_source(f"camus:{tmp_path}")[0].subset == "training"


def test_a_table_with_semicolons_says_so(tmp_path: Path) -> None:
    table = write_echonet(tmp_path) / "FileList.csv"
    table.write_text(table.read_text().replace(",", ";"))
    with pytest.raises(DataError, match="divided by semicolons, so save it with commas"):
        open_source(f"echonet:{tmp_path}")
