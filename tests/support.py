"""What tests of several parts need: where real data may lie, and the command line in a process of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.real_data import CAMUS, CAMUS_MHD

needs_camus = pytest.mark.skipif(not CAMUS.is_dir(), reason=f"CAMUS isn't at {CAMUS}")
needs_camus_mhd = pytest.mark.skipif(not CAMUS_MHD.is_dir(), reason=f"CAMUS's .mhd release isn't at {CAMUS_MHD}")


def lvseg(*arguments: object, timeout: float = 600, **options) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "lvseg.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)
