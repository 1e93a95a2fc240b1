"""lvseg as anyone calls it: `lvseg_side SEED NETWORK [CHOICE=VALUE ...]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_data import CAMUS
from benchmarks.time_to_dice.clock import Clock
from lvseg.data.prepared import prepare
from lvseg.experiment import Experiment
from lvseg.inference.segmenter import Segmenter
from lvseg.training.fit import fit


def main(seed: str, network: str, *changes: str) -> None:
    clock = Clock()
    choices: dict[str, Any] = dict(change.split("=") for change in changes)
    data = f"camus:{CAMUS}"
    ready = prepare(Experiment.of_profile("class", data=data, split="own", model=network, seed=int(seed), **choices))

    def score(network: Any, history: Any) -> None:
        segmenter = Segmenter(network.predict_on_batch, ready.experiment)
        clock.score(lambda images: list(segmenter.masks(images)))

    with tempfile.TemporaryDirectory() as folder:
        fit(ready.arrays, ready.experiment, Path(folder), lambda line: print(line, file=sys.stderr), score)


main(*sys.argv[1:])
