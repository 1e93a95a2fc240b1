"""Milliseconds per image of a training step at the paper's full size, beside PyTorch with its fastest settings.

`python -m benchmarks gpu` on a machine with a GPU; the backend is `KERAS_BACKEND`'s. It needs no data. Each measurement
is a process of its own, so that none finds memory taken.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

from benchmarks.table import row


def measure(*options: str) -> Iterator[dict[str, Any]]:
    """A row per network and precision; PyTorch takes part where it is installed.

    Beside the times: images a second, the share of the measured matrix-product rate, and the peak device memory.
    """
    for network in ("resunet", "improved_resunet"):
        for precision in ("float32", "bfloat16"):
            sides = {"lvseg": _step("lvseg", network, precision, *options)}
            if find_spec("torch"):
                sides["torch"] = _step("torch", network, precision, *options)
            for side, found in sides.items():
                print(
                    f"{side:6} {network:16} {precision:8} {found['images_per_s']:8.2f} images/s, "
                    f"{100 * found['share_of_matmul']:.0f} % of {found['matmul_tflops']:.3g} TFLOP/s, "
                    f"{found['peak_mib']:.0f} MiB on {found['device']}"
                )
            times = {side: found.pop("ms_per_image") for side, found in sides.items()}
            facts = {"machine": sides["lvseg"].pop("device"), **sides["lvseg"]}
            yield row("gpu", "ms/image", times, case=f"{network} {precision}", **facts)


def _step(*choices: str) -> dict[str, Any]:
    """What `benchmarks.gpu.step` measures in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.gpu.step", *choices]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
