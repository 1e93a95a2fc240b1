"""The same network's training step in PyTorch: `python -m studies.paper_on_gpu.torch_side MODEL [--tiny]`.

It compiles while the GPU has other work, says so, and measures when a line comes in; prints a JSON object.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np
import torch

from benchmarks.gpu import torch_peer
from studies.paper_on_gpu.data import experiment


def main() -> None:
    chosen = experiment("phantom", sys.argv[1], "--tiny" in sys.argv)
    rng = np.random.default_rng(0)
    pixels = (chosen.batch, chosen.size, chosen.size)
    images = rng.random((*pixels, chosen.channels), np.float32)
    labels = (rng.random((*pixels, 1)) > 0.5).astype(np.float32)
    started = time.monotonic()
    step, multiply_adds = torch_peer.unwaited_step(chosen, images, labels)
    for _ in range(3):
        step().item()
    compiling = time.monotonic() - started
    print("ready", flush=True)
    sys.stdin.readline()
    found = {
        "ms_per_step": [_milliseconds(step, 2 if "--tiny" in sys.argv else 30) for _ in range(5)],
        "multiply_adds": multiply_adds,
        "compile_s": compiling,
        "peak_gib": torch_peer.peak_mib() / 1024,
        "torch": torch.__version__,
    }
    print(json.dumps(found), flush=True)


def _milliseconds(step, steps: int) -> float:
    """A step's time, the mean over `steps` that only the last one waits for."""
    started = time.perf_counter()
    for _ in range(steps):
        loss = step()
    loss.item()
    return 1000 * (time.perf_counter() - started) / steps


if __name__ == "__main__":
    main()
