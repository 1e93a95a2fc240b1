"""Data sets are opened by name, wrong names and places are told, and no pixel is read before it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from lvseg.data.source import absolute, open_source
from lvseg.errors import ConfigError
from lvseg.readers import KINDS, Frame
from tests.readers.support import refused


def test_an_unknown_kind_lists_the_kinds() -> None:
    for spec in ("camel:DIR", "camus", "camus:", ""):
        with pytest.raises(ConfigError) as caught:
            open_source(spec)
        assert all(kind in str(caught.value) for kind in (*KINDS, "phantom"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_missing_or_empty_folder_is_refused(kind: str, tmp_path: Path) -> None:
    refused(lambda: open_source(f"{kind}:{tmp_path / 'no'}"), tmp_path / "no", "no such folder")
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(lambda: open_source(f"{kind}:{empty}"), empty)


def test_the_phantom_needs_no_folder() -> None:
    frames = open_source("phantom")
    assert frames and all(isinstance(frame, Frame) for frame in frames)


def test_listing_reads_no_pixels(tmp_path: Path) -> None:
    for name in ("images/p1/a.png", "masks/p1/a.png", "ann/b.json", "patient0001_4CH_ED.nii.gz"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"no picture, no JSON, no NIfTI")
    for kind, said in {"images": "can't be read", "labelme": "can't be read", "camus": "as a NIfTI file does"}.items():
        (frame,) = open_source(f"{kind}:{tmp_path}")
        refused(frame.read, tmp_path, said)


def test_a_cohort_of_virtual_patients_is_as_large_as_asked_for() -> None:
    frames = open_source("phantom:adult:3x2")
    assert len(frames) == 6 and len({frame.patient for frame in frames}) == 3
    for spec in ("phantom:adult", "phantom:adult:3", "phantom:adult:x2", "phantom:martian:3x2"):
        with pytest.raises(ConfigError):
            open_source(spec)


def test_a_folder_means_the_same_from_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute("images:a/../b") == f"images:{tmp_path / 'b'}" and absolute("camus:~") == f"camus:{Path.home()}"
    assert absolute("phantom") == "phantom" and absolute("phantom:adult:3x2") == "phantom:adult:3x2"


def test_a_list_of_virtual_patients_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="virtual patients are known"):
        open_source("phantom", tmp_path / "patients.csv")
