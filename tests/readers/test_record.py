"""A frame reads its pixels when it is asked and not before, and says of itself only what is in its name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lvseg.errors import DataError
from lvseg.readers.record import Frame, Pixels


def test_pixels_are_read_each_time_and_only_when_asked_for():
    """Not kept: a data set is larger than the memory."""
    reads = []

    def load() -> Pixels:
        reads.append(1)
        return Pixels(np.full((2, 3), len(reads), np.uint8), None, None)

    frame = Frame("a", "p", load)
    assert repr(frame) and frame == Frame("a", "p", load) and reads == []
    assert [frame.read().image[0, 0] for _ in range(2)] == [1, 2]


def test_a_frame_is_told_by_its_name_alone():
    """Files and facts of a patient stay out of logs; frames of other names, patients or files are others."""
    secret = {"files": (Path("/ward/Doe"),), "facts": {"sex": "F", "age_years": 4.0}}
    frame = Frame("a", "p", lambda: pytest.fail("was read"), **secret)
    assert not any(word in repr(frame) for word in ("Doe", "sex", "4.0", "lambda"))
    others = [Frame("b", "p", frame.load, **secret), Frame("a", "q", frame.load, **secret), Frame("a", "p", frame.load)]
    assert frame not in others and frame in {Frame("a", "p", lambda: None, **secret): 1}


def test_a_bad_files_error_goes_through():
    def load() -> Pixels:
        raise DataError("a.png: can't be read")

    with pytest.raises(DataError, match=r"a\.png"):
        Frame("a", "p", load).read()
