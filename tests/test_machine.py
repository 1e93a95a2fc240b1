"""What the machine is found to have, how long a training would take on it, and memory that goes back to the system."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lvseg import files, machine


@pytest.mark.parametrize(
    ("facts", "profile"),
    [
        ({"GPU": "NVIDIA H100, 81559 MiB", "memory GiB": 64}, "paper"),
        ({"GPU": "none", "memory GiB": 8.0}, "class"),
        ({"GPU": "none", "memory GiB": 1.0}, "smoke"),
    ],
)
def test_the_profile_that_fits(facts, profile):
    assert machine.fitting_profile(facts).startswith(f"Profile {profile} fits")


@pytest.mark.parametrize(
    ("cgroup", "limits"),
    [
        ("0::/", {"memory.max": "1000000", "cpu.max": "100000 100000"}),
        ("0::/a/b", {"a/memory.max": "1000000", "a/b/memory.max": "max", "a/b/cpu.max": "50000 100000"}),
        (
            "4:memory:/job/7\n2:cpu,cpuacct:/job",
            {
                "memory/job/memory.limit_in_bytes": "1000000",
                "memory/memory.limit_in_bytes": "9223372036854771712",
                "cpu/job/cpu.cfs_quota_us": "100000",
                "cpu/job/cpu.cfs_period_us": "100000",
            },
        ),
        ("4:memory:/docker/unseen\n2:cpu:/docker/unseen", {"memory/memory.limit_in_bytes": "1000000"}),
    ],
)
def test_limits_of_control_groups_are_found(tmp_path, monkeypatch, cgroup, limits):
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    free = machine.cores()
    assert machine.memory_limit() > 2**28
    files.write_text(tmp_path / "proc/self/cgroup", cgroup + "\n")
    for name, text in limits.items():
        files.write_text(tmp_path / "sys/fs/cgroup" / name, text + "\n")
    assert machine.memory_limit() == 1_000_000
    assert machine.cores() == (1 if any("cpu" in name for name in limits) else free)


def test_no_limit_leaves_the_whole_machine(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    free = machine.cores(), machine.memory_limit()
    files.write_text(tmp_path / "proc/self/cgroup", "0::/\n1:cpu:/\n")
    files.write_text(tmp_path / "sys/fs/cgroup/memory.max", "max\n")
    files.write_text(tmp_path / "sys/fs/cgroup/cpu.max", "max 100000\n")
    files.write_text(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n")
    files.write_text(tmp_path / "sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n")
    assert (machine.cores(), machine.memory_limit()) == free


ROOT = Path(__file__).parents[1]


def test_the_estimate_of_a_training_is_arithmetic():
    """A multiply-add is two operations, a step three forward passes: 10^9 of them, 100 images, 10^12 a second, half."""
    assert machine.training_seconds(1e9, 100, 1e12, 0.5) == pytest.approx(1.2)
    assert 1e8 < machine.matmul_flops(256) < 1e15


def test_threads_share_two_pools_of_memory(tmp_path):
    """Six threads allocate; glibc tells how many pools it made for them, with and without the limit."""
    code = """
        import ctypes, pathlib, sys, threading
        from lvseg import machine

        if sys.argv[2] == "limited":
            machine.limit_arenas()
        gate = threading.Barrier(6)

        def allocate():
            gate.wait()
            piece = bytearray(10_000)
            gate.wait()

        threads = [threading.Thread(target=allocate) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        libc = ctypes.CDLL(None)
        libc.fopen.restype = ctypes.c_void_p
        file = ctypes.c_void_p(libc.fopen(sys.argv[1].encode(), b"w"))
        libc.malloc_info(0, file)
        libc.fclose(file)
        print(pathlib.Path(sys.argv[1]).read_text().count("<heap nr="))
    """
    environment = {name: value for name, value in os.environ.items() if name != "MALLOC_ARENA_MAX"}
    pools = {}
    for how in ("limited", "free"):
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "info.xml"), how]
        done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=environment)
        pools[how] = int(done.stdout or 0)
    assert 1 <= pools["limited"] <= 2 < pools["free"], done.stderr[-3000:]


def test_released_memory_goes_back_to_the_system():
    """200 MB in small pieces; all but the last are garbage, half of them in a list that refers to itself.

    The C library keeps what is freed until it is told to let go, Python what refers to itself until it is collected.
    """
    code = """
        import gc, psutil
        from lvseg import machine

        gc.disable()
        rss = lambda: psutil.Process().memory_info().rss / 1e6
        pieces = [bytearray(b"x" * 10_000) for _ in range(20_000)]
        figure = pieces[:10_000]
        figure.append(figure)
        del figure, pieces[:-1]
        before = rss()
        machine.release_memory()
        print(before - rss())
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT)
    assert float(done.stdout) > 150, done.stderr[-3000:]
