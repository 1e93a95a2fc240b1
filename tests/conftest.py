"""Shared by the tests: where real data may lie, and one smoke reproduction that several tests look at."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.real_data import CAMUS, CAMUS_MHD

needs_camus = pytest.mark.skipif(not CAMUS.is_dir(), reason=f"CAMUS isn't at {CAMUS}")
needs_camus_mhd = pytest.mark.skipif(not CAMUS_MHD.is_dir(), reason=f"CAMUS's .mhd release isn't at {CAMUS_MHD}")


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Preprocessed frames of tests stay out of the user's cache, also in the processes that tests start."""
    os.environ["LVSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


def lvseg(*arguments: object, timeout: float = 600, **options) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "lvseg.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)


@pytest.fixture(scope="session")
def reproduction(tmp_path_factory) -> Path:
    """The folder of a finished smoke reproduction: three runs and the report."""
    folder = tmp_path_factory.mktemp("reproduction")
    done = lvseg("reproduce", "--profile", "smoke", "--out", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder
