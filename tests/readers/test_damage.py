"""Damaged and hostile files of every format, and whether the search for bad outcomes would find one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import fuzz_readers
from lvseg.readers.images import Picture


@pytest.mark.slow
def test_damaged_and_hostile_files_are_read_right_or_refused_in_one_sentence() -> None:
    assert fuzz_readers.sweep(range(12 * len(fuzz_readers.SOURCES))) == []


def test_the_search_for_bad_outcomes_finds_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that raises, one that gives nonsense, one that accepts all: each is complained about."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    sources = [n for n in range(600) if list(fuzz_readers.SOURCES)[n % len(fuzz_readers.SOURCES)] == "png"]
    for broken, word in (
        (lambda path: 1 / 0, "ZeroDivisionError"),
        (lambda path: Picture(np.zeros((24, 32), np.uint8), 1), "isn't what it was"),
        (lambda path: Picture(np.zeros((3, 3, 3)), 1), "status"),
    ):
        with monkeypatch.context() as patch:
            fuzz_readers._original("png")
            patch.setattr("lvseg.readers.images.read_picture", broken)
            assert any(word in fuzz_readers.complaint(number) for number in sources)
