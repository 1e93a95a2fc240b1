"""What the device could do at best, and what the same network needs in PyTorch."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from lvseg import machine
from studies.paper_on_gpu.protocol import Method


def ceilings(tiny: bool) -> dict[str, Any]:
    """The device's rate in bfloat16 matrix products (operations a second) and in copies (bytes read and written)."""
    side, words = (256, 2**20) if tiny else (8192, 2**30)
    a, b = (jax.random.normal(jax.random.key(n), (side, side), jnp.bfloat16) for n in (0, 1))
    x = jax.random.normal(jax.random.key(2), (words,), jnp.bfloat16)
    product = _seconds(jax.jit(lambda a, b: a @ b), a, b)
    copy = _seconds(jax.jit(lambda x: -x), x)
    return {
        "device": machine.gpu() or machine.processor(),
        "matmul_flops": 2 * side**3 / product,
        "copy_bytes_per_s": 4 * words / copy,
    }


def _seconds(call: Callable, *arguments: Any) -> float:
    """Of one call: the best of five times the mean of ten that only the last is waited for."""
    jax.block_until_ready(call(*arguments))
    best = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(10):
            result = call(*arguments)
        jax.block_until_ready(result)
        best.append((time.perf_counter() - started) / 10)
    return min(best)


def floors(method: Method, ceiling: dict[str, Any]) -> dict[str, float]:
    """Milliseconds below which no step of the network can be, by arithmetic and by memory.

    Arithmetic: two operations a multiply-add, forward, and twice that backward. Memory: of each convolution's output in
    bfloat16, a write and a read forward, a read backward for the weights' gradient, and its own gradient's write and
    read; of each parameter 36 bytes: read as a weight, then its gradient, Adam's two means and itself read and written.
    """
    batch = method.experiment.batch
    operations = 6 * method.multiply_adds * batch
    moved = 5 * 2 * method.convolved * batch + 36 * method.parameters
    return {
        "operations_per_step": operations,
        "bytes_per_step": moved,
        "floor_arithmetic_ms": 1000 * operations / ceiling["matmul_flops"],
        "floor_memory_ms": 1000 * moved / ceiling["copy_bytes_per_s"],
    }


class Peer:
    """PyTorch's side of a network, in a process that compiles while this one trains and measures when asked to."""

    def __init__(self, model: str, tiny: bool):
        command = [sys.executable, "-m", "studies.paper_on_gpu.torch_side", model, *(["--tiny"] if tiny else [])]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)

    def measure(self, patience: float) -> dict[str, Any]:
        """What it found, with the GPU for itself; or its `error`, also where it isn't ready in so many seconds."""
        try:
            out, errors = self.process.communicate("go\n", timeout=patience)
            return json.loads(out.splitlines()[-1]) if self.process.returncode == 0 else {"error": errors[-800:]}
        except subprocess.TimeoutExpired:
            return {"error": f"not ready after {patience:.0f} s"}
        finally:
            self.process.kill()
