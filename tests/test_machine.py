"""What the machine is found to have, how long a training would take on it, and memory that goes back to the system."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lvseg import files, machine
from lvseg.errors import ConfigError
from tests.support import lvseg


@pytest.mark.parametrize(
    ("facts", "profile"),
    [
        ({"GPUs seen": 1, "memory GiB": 64}, "paper"),
        ({"GPUs seen": 0, "memory GiB": 8.0}, "class"),
        ({"memory GiB": 8.0}, "class"),
        ({"GPUs seen": 0, "memory GiB": 1.0}, "smoke"),
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


@pytest.fixture
def card(tmp_path, monkeypatch) -> Path:
    """A machine with a card: nvidia-smi, a backend that sees what the file `seen` says, no word of the processor."""
    smi = tmp_path / "bin" / "nvidia-smi"
    answers = "case $1 in *driver*) echo 570.86;; *) echo 'NVIDIA T4, 15360 MiB';; esac"
    files.write_text(smi, f"#!/bin/sh\n{answers}\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", str(smi.parent), prepend=os.pathsep)
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    seen = tmp_path / "seen"
    files.write_text(seen, "0")
    look = f"print('a library talks'); print(open({str(seen)!r}).read())"
    monkeypatch.setattr(machine, "_COUNT_GPUS", dict.fromkeys(machine._COUNT_GPUS, look))
    for name in (machine.ALLOW_CPU, "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    return seen


@pytest.mark.parametrize(("backend", "remedy"), [("tensorflow", "GPU=1"), ("jax", "GPU=jax")])
def test_a_gpu_that_the_backend_does_not_see_is_a_sentence(card, monkeypatch, backend, remedy):
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(
        ConfigError, match=rf"{backend} doesn't see the GPU \(NVIDIA T4, 15360 MiB\).*{remedy};.*--allow-cpu"
    ):
        machine.check_gpu()
    files.write_text(card, "1")
    machine.check_gpu()


@pytest.mark.parametrize(
    ("name", "value"), [("LVSEG_ALLOW_CPU", "1"), ("CUDA_VISIBLE_DEVICES", ""), ("JAX_PLATFORMS", "cpu")]
)
def test_who_asks_for_the_processor_gets_it(card, monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    machine.check_gpu()


def test_a_broken_backend_sees_nothing(card, monkeypatch):
    monkeypatch.setattr(machine, "_COUNT_GPUS", {"tensorflow": "raise SystemExit(1)"})
    assert machine.gpus_seen() == 0


def test_doctor_goes_by_what_the_backend_sees(card):
    facts = machine.describe()
    assert (facts["GPU"], facts["driver"], facts["GPUs seen"]) == ("NVIDIA T4, 15360 MiB", "570.86", 0)
    assert machine.fitting_profile(facts).startswith("Profile class fits")
    files.write_text(card, "2")
    assert machine.fitting_profile(machine.describe()).startswith("Profile paper fits")


def test_a_card_is_found_without_nvidia_smi(tmp_path, monkeypatch):
    """As in a container that has the driver's files alone."""
    monkeypatch.setattr(machine, "SYSTEM", tmp_path)
    monkeypatch.setattr(machine.shutil, "which", lambda name: None)
    assert machine.gpu() is None and machine.driver() is None
    told = "Model: \t\t NVIDIA L4\nIRQ:   \t\t 17\n"
    files.write_text(tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0/information", told)
    version = (
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  12\n"
    )
    files.write_text(tmp_path / "proc/driver/nvidia/version", version)
    assert (machine.gpu(), machine.driver()) == ("NVIDIA L4", "535.104.05")


@pytest.mark.slow
def test_a_training_stops_before_it_writes(card, tmp_path):
    done = lvseg("train", "--profile", "smoke", "--out", tmp_path / "run")
    assert done.returncode == 2 and "doesn't see the GPU" in done.stderr and done.stderr.count("\n") == 1
    assert {path.name for path in (tmp_path / "run").iterdir()} == {".lock"}


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
