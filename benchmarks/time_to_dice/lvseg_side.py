"""lvseg as anyone calls it: `lvseg_side SEED NETWORK [CHOICE=VALUE ...]`."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.real_data import CAMUS
from benchmarks.time_to_dice.clock import Clock
from lvseg import dataset, profiles, training
from lvseg.prediction import Segmenter
from lvseg.readers import open_source


def main(seed: str, network: str, *changes: str) -> None:
    clock = Clock()
    choices: dict[str, Any] = dict(change.split("=") for change in changes)
    data = f"camus:{CAMUS}"
    experiment = profiles.experiment("class", data=data, split="own", model=network, seed=int(seed), **choices)
    _, arrays = dataset.load(open_source(data), experiment)

    def score(network: Any, history: Any) -> None:
        segmenter = Segmenter(network.predict_on_batch, experiment)
        clock.score(lambda images: list(segmenter.masks(images)))

    with tempfile.TemporaryDirectory() as folder:
        training.fit(arrays, experiment, Path(folder), lambda line: print(line, file=sys.stderr), score)


main(*sys.argv[1:])
