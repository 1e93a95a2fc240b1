"""One framework's training step in one precision, measured; prints a JSON object.

`python -m benchmarks.gpu.step lvseg|torch resunet|improved_resunet float32|bfloat16 [--tiny]`
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from lvseg.experiment import Experiment

SECONDS = 10.0
"""About how long a step is repeated."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("framework", choices=["lvseg", "torch"])
    parser.add_argument("network", choices=["resunet", "improved_resunet"])
    parser.add_argument("precision", choices=["float32", "bfloat16"])
    parser.add_argument("--tiny", action="store_true", help="64x64, width 4: to try the script itself")
    chosen = parser.parse_args()
    sizes = {"size": 64, "width": 4} if chosen.tiny else {}
    experiment = Experiment.of_profile("paper", model=chosen.network, precision=chosen.precision, **sizes)
    if chosen.framework == "torch":
        from benchmarks.gpu import torch_peer as side
    else:
        from benchmarks.gpu import keras_side as side
    rng = np.random.default_rng(0)
    pixels = (experiment.batch, experiment.size, experiment.size)
    images = rng.random((*pixels, experiment.channels), np.float32)
    labels = (rng.random((*pixels, 1)) > 0.5).astype(np.float32)
    step, multiply_adds = side.training_step(experiment, images, labels)
    milliseconds = _repeat(step, 0.5 if chosen.tiny else SECONDS)
    flops = side.matmul_flops(experiment.precision, 256 if chosen.tiny else 8192)
    per_image = float(np.median(milliseconds)) / experiment.batch
    needed = 6 * multiply_adds  # two operations a multiply-add; the backward pass takes two forward passes' work
    found: dict[str, Any] = {
        "ms_per_image": [value / experiment.batch for value in milliseconds],
        "images_per_s": 1000 / per_image,
        "share_of_matmul": needed / (per_image / 1000) / flops,
        "matmul_tflops": flops / 1e12,
        "peak_mib": side.peak_mib() or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "device": side.device(),
    }
    print(json.dumps(found))


def _repeat(step: Callable[[], float], seconds: float) -> list[float]:
    """Milliseconds of each step after three that compile and warm up; a step returns its loss, so it has ended."""
    for _ in range(3):
        if not np.isfinite(step()):
            raise RuntimeError("the loss is not finite")
    times: list[float] = []
    while sum(times) < 1000 * seconds or len(times) < 5:
        started = time.perf_counter()
        step()
        times.append(1000 * (time.perf_counter() - started))
    return times


main()
