"""What several parts need: where real data may lie, the command line in a process of its own, short trainings."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benchmarks.real_data import CAMUS, CAMUS_MHD

needs_camus = pytest.mark.skipif(not CAMUS.is_dir(), reason=f"CAMUS isn't at {CAMUS}")
needs_camus_mhd = pytest.mark.skipif(not CAMUS_MHD.is_dir(), reason=f"CAMUS's .mhd release isn't at {CAMUS_MHD}")


def lvseg(*arguments: object, timeout: float = 600, **options) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    command = [sys.executable, "-m", "lvseg.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, **options)


@contextlib.contextmanager
def eagerly() -> Iterator[None]:
    """TensorFlow computes each operation as it comes: a few steps are done before their graph would be made."""
    import tensorflow

    tensorflow.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tensorflow.config.run_functions_eagerly(False)
