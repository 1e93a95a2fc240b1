"""What this machine is, as far as it matters for training: cores, memory it may use, GPU, backend."""

from __future__ import annotations

import os
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def describe() -> dict[str, Any]:
    """Cores and memory (GiB) that this process may use, the GPU, and the installed Keras backends."""
    return {
        "cores": len(os.sched_getaffinity(0)),
        "memory GiB": round(memory_limit() / 2**30, 1),
        "GPU": gpu() or "none",
        "backends": ", ".join(name for name in ("tensorflow", "jax", "torch") if find_spec(name)) or "none",
        "backend": os.environ.get("KERAS_BACKEND", "tensorflow" if find_spec("tensorflow") else "jax"),
    }


def memory_limit() -> int:
    """Bytes that this process may use: the machine's memory, or its control group's limit where that is less."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for path in map(Path, CGROUP_LIMITS):
        if path.exists() and (text := path.read_text().strip()).isdigit():
            limits.append(int(text))
    return min(limits)


def gpu() -> str | None:
    """The name of the first NVIDIA GPU, or None; asks the driver, so no framework has to be imported."""
    if shutil.which("nvidia-smi") is None:
        return None
    command = ["nvidia-smi", "--query-gpu=name,memory.total", "--format=csv,noheader"]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20)
    return answer.stdout.splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else None


def fitting_profile(facts: dict[str, Any]) -> str:
    """A sentence that names the profile for a machine as `describe` tells it."""
    if facts["GPU"] != "none":
        return "Profile paper fits: full width and size on the GPU."
    if facts["memory GiB"] < 2:
        return "Profile smoke fits; class needs 2 GiB of memory."
    return "Profile class fits; paper wants a GPU."
