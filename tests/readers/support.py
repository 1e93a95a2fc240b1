"""What the tests of several readers need: one frame's pixels, refusals in one sentence, and a square mask."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks.fuzz_readers import PICTURE
from lvseg.errors import DataError
from lvseg.readers import Frame
from lvseg.readers.record import Pixels


def only(frames: list[Frame]) -> Pixels:
    (frame,) = frames
    return frame.read()


def refused(action: Callable[[], object], path: Path | str, *words: str) -> None:
    """`action` must raise a `DataError` of one line that names `path` and says `words`."""
    with pytest.raises(DataError) as caught:
        action()
    message = str(caught.value)
    assert str(path) in message and "\n" not in message
    assert all(word in message for word in words), message


def filled(rows: slice, columns: slice) -> np.ndarray:
    mask = np.zeros(PICTURE.shape, bool)
    mask[rows, columns] = True
    return mask


SQUARE = filled(slice(3, 11), slice(4, 14))
