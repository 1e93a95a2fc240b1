"""A process that was started through the lifeline doesn't outlive its parent."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest


def test_lifeline_ends_with_its_parent(tmp_path):
    """A child started through the lifeline is gone soon after its parent was killed."""
    (tmp_path / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    starts_it = "import subprocess, sys\nsubprocess.run([sys.executable, '-m', 'lvseg.course.lifeline', 'sleeper'])"
    (tmp_path / "parent.py").write_text(starts_it)
    parent = subprocess.Popen([sys.executable, "parent.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    for _ in range(50):
        time.sleep(0.1)
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            break
        if Path(f"/proc/{child}/stat").read_text().split()[2] == "Z":
            break
    else:
        pytest.fail("the child outlived its parent")
