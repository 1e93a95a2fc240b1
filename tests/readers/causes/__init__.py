"""What can be wrong with a file, and the whole sentence that is said of it: a table for each kind of file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple


class Cause(NamedTuple):
    """What is wrong, and what is said.

    make: brings it about in an empty folder; gives what a user opens, a file or a data set. said: the whole sentence,
    with `{root}` for the folder. damaged: whether the file is, so that `restore it` is good advice.
    """

    make: Callable[[Path], Path | str]
    said: str
    damaged: bool = False
