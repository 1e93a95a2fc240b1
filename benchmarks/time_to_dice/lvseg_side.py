"""lvseg as anyone calls it: `lvseg_side SEED NETWORK [CHOICE=VALUE ...]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_data import CAMUS
from benchmarks.time_to_dice.clock import Clock
from lvseg.data import prepared
from lvseg.data.source import open_source
from lvseg.experiment import Experiment
from lvseg.inference.segmenter import Segmenter
from lvseg.training.fit import fit


def main(seed: str, network: str, *changes: str) -> None:
    clock = Clock()
    choices: dict[str, Any] = dict(change.split("=") for change in changes)
    data = f"camus:{CAMUS}"
    experiment = Experiment.of_profile("class", data=data, split="own", model=network, seed=int(seed), **choices)
    _, arrays = prepared.load(open_source(data), experiment)

    def score(network: Any, history: Any) -> None:
        segmenter = Segmenter(network.predict_on_batch, experiment)
        clock.score(lambda images: list(segmenter.masks(images)))

    with tempfile.TemporaryDirectory() as folder:
        fit(arrays, experiment, Path(folder), lambda line: print(line, file=sys.stderr), score)


main(*sys.argv[1:])
