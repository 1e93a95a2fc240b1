"""What a killed training goes on from: everything that the next step depends on, kept every now and then."""

from __future__ import annotations

import contextlib
import json
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lvseg import files
from lvseg.backend import keras
from lvseg.errors import DataError
from lvseg.training.folder import STATE

Say = Callable[[str], None]
"""Takes a line for whoever watches."""
History = list[dict[str, Any]]
"""A row per finished epoch: `epoch` from 1, `loss` (the mean over its steps), `seconds`."""

_SHARE = 100
"""The state is kept again after so many times as long as keeping it took: it costs a hundredth of the time."""


@dataclass
class Progress:
    """How far a training is: its finished epochs, then the losses of the next one's steps so far and their seconds."""

    history: History = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def end_epoch(self, seconds: float) -> dict[str, Any]:
        row = {"epoch": len(self.history) + 1, "loss": float(np.mean(self.losses)), "seconds": round(seconds, 2)}
        self.history, self.losses, self.seconds = [*self.history, row], [], 0.0
        return row

    @property
    def epoch(self) -> int:
        """The epoch that the last step was of, from 1; 0 before the first step."""
        return len(self.history) + bool(self.losses)

    def __str__(self) -> str:
        if not self.history and not self.losses:
            return "compiling the first step"
        return f"going on after epoch {len(self.history)} and {len(self.losses)} steps"


def keep(folder: Path, identity: str, variables: list, progress: Progress) -> float:
    """Keep everything that the next step depends on; returns the time at which to do it again."""
    started = time.monotonic()
    state = {f"v{i}": keras.ops.convert_to_numpy(variable.value) for i, variable in enumerate(variables)}
    with files.atomic(folder / STATE) as temporary:
        np.savez(temporary, identity=identity, progress=json.dumps(asdict(progress)), **state)
    return time.monotonic() + _SHARE * (time.monotonic() - started)


def resume(folder: Path, identity: str, say: Say) -> Progress:
    """How far a killed training of the same identity was; `restore` loads what it left."""
    path = folder / STATE
    if not path.exists():
        return Progress()
    with _opened(path) as state:
        if str(state["identity"]) != identity:
            say(f"{folder.name}: {path.name} is of other choices, data or backend; training from the beginning")
            return Progress()
        return Progress(**json.loads(str(state["progress"])))


def restore(folder: Path, variables: list) -> None:
    """Load the state that a killed training left into `variables`, as they were given to `keep`."""
    with _opened(folder / STATE) as state:
        for i, variable in enumerate(variables):
            variable.assign(state[f"v{i}"])


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[Any]:
    try:
        with np.load(path) as state:
            yield state
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: can't be read ({error}); remove it to train from the beginning") from None
