"""What this machine is, as far as it matters for training: cores, memory it may use, GPU, backend."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil

import lvseg
from lvseg.errors import ConfigError

SYSTEM = Path("/")
"""Where Linux shows its control groups, by which a container or a batch system limits a process."""


def identity() -> dict[str, Any]:
    """What receipts and reports say of this machine: versions of lvseg and Python, system, processor, cores, GPU."""
    return {
        "lvseg": lvseg.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "cores": cores(),
        "GPU": gpu() or "none",
    }


def describe() -> dict[str, Any]:
    """`identity`, the memory (GiB) that this process may use, and the installed Keras backends.

    Where there is a GPU, also its driver, and how many GPUs the backend sees.
    """
    seen = gpus_seen() if gpu() and installed_backends() else 0
    card = {"driver": driver() or "none", "GPUs seen": seen} if gpu() else {}
    return {
        **identity(),
        "memory GiB": round(memory_limit() / 2**30, 1),
        "backends": ", ".join(installed_backends()) or "none",
        "backend": os.environ.get("KERAS_BACKEND") or next(iter(installed_backends()), "none"),
        **card,
    }


def installed_backends() -> list[str]:
    """What Keras can compute with here, the usual one first."""
    return [name for name in ("tensorflow", "jax", "torch") if find_spec(name)]


def backend() -> str:
    """What Keras computes with: what `KERAS_BACKEND` says, else the first that is installed.

    Raises `lvseg.ConfigError` where that isn't installed, or none is.
    """
    named, installed = os.environ.get("KERAS_BACKEND"), installed_backends()
    if not installed:
        raise ConfigError(
            "no TensorFlow, JAX or PyTorch is installed, which networks train with: pip install lvseg[cpu]"
        )
    if named and named not in installed:
        raise ConfigError(f"KERAS_BACKEND={named}, which isn't installed; choose one of: {', '.join(installed)}")
    return named or installed[0]


def cores() -> int:
    """Processor cores that this process may use: those it may run on, or its control groups' share where less."""
    process = psutil.Process()  # on macOS it can run on all
    shares = [len(process.cpu_affinity()) if hasattr(process, "cpu_affinity") else psutil.cpu_count() or 1]
    for group in _control_groups("cpu"):
        text = _text(group / "cpu.max") or f"{_text(group / 'cpu.cfs_quota_us')} {_text(group / 'cpu.cfs_period_us')}"
        quota, _, period = text.partition(" ")
        if quota.isdigit() and period.isdigit():  # no limit reads "max", or -1
            shares.append(math.ceil(int(quota) / int(period)))
    return max(min(shares), 1)


def memory_limit() -> int:
    """Bytes that this process may use: the machine's memory, or its control groups' limit where that is less."""
    limits = [psutil.virtual_memory().total]
    for group in _control_groups("memory"):
        text = _text(group / "memory.max") or _text(group / "memory.limit_in_bytes")
        if text.isdigit():
            limits.append(int(text))
    return min(limits)


def _control_groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control groups that may limit `controller`, each with all above it.

    Both versions count: of version 2, the line in /proc/self/cgroup names no controller, and there is one tree.
    """
    tree = SYSTEM / "sys/fs/cgroup"
    for line in _text(SYSTEM / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers or controller in controllers.split(","):
            top = tree / controller if controllers else tree
            group = top / path.lstrip("/")
            yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(top))


def _text(path: Path) -> str:
    """A system file's text; "" where there is no such file."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def processor() -> str:
    """The processor's name, as the system tells it."""
    named = (
        line.partition(":")[2].strip() for line in _text(SYSTEM / "proc/cpuinfo").splitlines() if "model name" in line
    )
    return next(named, platform.processor() or platform.machine())


def fastest_precision() -> str:
    """`bfloat16` where TensorFlow trains on a processor that has instructions for it, else `float32`."""
    flags = _text(SYSTEM / "proc/cpuinfo")
    able = "amx_bf16" in flags or "avx512_bf16" in flags
    tensorflow = os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow" and find_spec("tensorflow")
    return "bfloat16" if able and tensorflow else "float32"


def gpu() -> str | None:
    """The name of the first NVIDIA GPU, or None; asks the driver, so no framework has to be imported."""
    if told := _told_by_driver("name,memory.total"):
        return told
    for card in sorted((SYSTEM / "proc/driver/nvidia/gpus").glob("*/information")):
        for line in _text(card).splitlines():
            if line.startswith("Model:"):
                return line.removeprefix("Model:").strip()
    return None


def driver() -> str | None:
    """The version of the NVIDIA driver, or None."""
    version = re.search(r"Kernel Module.*?(\d+\.\d+[\d.]*)", _text(SYSTEM / "proc/driver/nvidia/version"))
    return _told_by_driver("driver_version") or (version[1] if version else None)


def _told_by_driver(fields: str) -> str | None:
    """What nvidia-smi says of the first card; None where there is none, or no nvidia-smi, as in some containers."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):  # the driver hangs or is broken
        return None
    return answer.stdout.splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else None


_COUNT_GPUS = {
    "tensorflow": "import tensorflow as tf; print(len(tf.config.list_physical_devices('GPU')))",
    "jax": "import jax; print(sum(device.platform == 'gpu' for device in jax.devices()))",
    "torch": "import torch; print(torch.cuda.device_count())",
}


def gpus_seen() -> int:
    """How many GPUs the backend can compute on; a process of its own finds out, so that this one stays as it is."""
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
    command = [sys.executable, "-c", _COUNT_GPUS[backend()]]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **quiet})
    return int(done.stdout.split()[-1]) if done.returncode == 0 else 0


ALLOW_CPU = "LVSEG_ALLOW_CPU"
"""In the environment, and set by `--allow-cpu`: train on the processor although there is a GPU."""


def check_gpu() -> None:
    """Raise `lvseg.ConfigError` where there is a GPU that the backend doesn't see, unless the processor is asked for.

    It is by `ALLOW_CPU`, or where the GPU is hidden by `CUDA_VISIBLE_DEVICES` or `JAX_PLATFORMS`.
    """
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1") or os.environ.get("JAX_PLATFORMS") == "cpu"
    if not os.environ.get(ALLOW_CPU) and not hidden and (card := gpu()) and not gpus_seen():
        raise ConfigError(unseen_gpu(card))


def unseen_gpu(card: str) -> str:
    """A sentence for a GPU that the backend doesn't see: what to install."""
    if platform.system() != "Linux":
        remedy = "it computes on GPUs on Linux alone: on Windows, work in WSL"
    elif backend() == "tensorflow" and find_spec("nvidia") is None:
        remedy = "in a checkout, make reproduce GPU=1; elsewhere, pip uninstall tensorflow-cpu, pip install lvseg[gpu]"
    elif backend() == "jax" and find_spec("jax_cuda12_plugin") is None:
        remedy = "in a checkout, make reproduce GPU=jax; elsewhere, pip install lvseg[jax]"
    else:
        remedy = f"its driver ({driver() or 'none'}) may be older than the CUDA libraries that are installed: renew it"
    return (
        f"{backend()} doesn't see the GPU ({card}) and would train on the processor for hours; {remedy}; or --allow-cpu"
    )


def matmul_flops(size: int = 2048) -> float:
    """The processor's rate in float32 matrix products, in operations per second: the best of three with NumPy."""
    import numpy as np  # only here: `lvseg doctor` stays light

    a = np.ones((size, size), np.float32)
    seconds = []
    for _ in range(3):
        started = time.perf_counter()
        a @ a
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / min(seconds)


_NOT_GLIBC = (AttributeError, TypeError)
"""What asking for its functions raises on macOS, and on Windows."""


def limit_arenas(count: int = 2) -> None:
    """Let all threads share `count` pools of memory, where the C library is glibc and nobody set `MALLOC_ARENA_MAX`.

    Pools that there are already stay; processes started from now on are limited from their beginning.

    glibc gives each of TensorFlow's threads a pool, which keeps what it once held. With two, a class-size training
    peaks some 30 MB lower and takes as long; with one, it takes 17 % longer.
    """
    arena_max = -8  # malloc.h: M_ARENA_MAX
    if "MALLOC_ARENA_MAX" not in os.environ:
        os.environ["MALLOC_ARENA_MAX"] = str(count)
        with contextlib.suppress(*_NOT_GLIBC):
            ctypes.CDLL(None).mallopt(arena_max, count)


def release_memory() -> None:
    """Give back to the system what nothing needs any more, and what the C library keeps of it, where that is glibc.

    After compiling a class-size network that is 180 MB; after drawing six large frames 60 MB, since matplotlib's
    figures and Keras's compiled steps refer to themselves and wait for a collection that seldom comes while training.
    """
    gc.collect()
    with contextlib.suppress(*_NOT_GLIBC):
        ctypes.CDLL(None).malloc_trim(0)


def peak_memory_mb() -> int:
    """The most memory (MB) that this process has held."""
    held = psutil.Process().memory_info()
    if hasattr(held, "peak_wset"):
        return round(held.peak_wset / 2**20)
    import resource  # isn't there on Windows, which tells it as above

    unit = 2**20 if sys.platform == "darwin" else 2**10
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit)


def training_seconds(multiply_adds: float, images: int, flops: float, share: float) -> float:
    """About how long training takes on a device of `flops` operations per second of which it uses a `share`, 0..1.

    multiply_adds: of one image, forward (`lvseg.figures.graph`); each is two operations, and the backward pass costs
    twice the forward pass. images: in all epochs together.
    """
    return 6 * multiply_adds * images / (flops * share)


def fitting_profile(facts: dict[str, Any]) -> str:
    """A sentence that names the profile for a machine as `describe` tells it."""
    if facts.get("GPUs seen"):
        return "Profile paper fits: full width and size on the GPU."
    if facts["memory GiB"] < 2:
        return "Profile smoke fits; class needs 2 GiB of memory."
    return "Profile class fits; paper wants a GPU."
