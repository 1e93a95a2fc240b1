"""A process that was started through the lifeline doesn't outlive the one it hangs on, shells between them or not."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

STARTS = """
import os, subprocess, sys
line = [sys.executable, "-m", "lvseg.course.lifeline", str(os.getpid()), "sleeper"]
between = "import subprocess, sys; subprocess.run(sys.argv[1:])"
subprocess.run([sys.executable, "-c", between, *line] if sys.argv[1] == "between" else line)
"""


@pytest.mark.parametrize("how", ["straight", "between"])
@pytest.mark.parametrize("reaped", [True, False])
def test_lifeline_ends_with_the_process_it_hangs_on(how, reaped, tmp_path):
    """Killed, and its death asked for or not: until then it is a zombie."""
    (tmp_path / "sleeper.py").write_text("import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n")
    parent = subprocess.Popen([sys.executable, "-c", STARTS, how], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    child = psutil.Process(int(parent.stdout.readline()))
    assert child.is_running()
    parent.kill()
    if reaped:
        parent.wait()
    assert not psutil.wait_procs([child], timeout=10)[1], "the child outlived it"
    parent.wait()


def test_lifeline_of_a_process_that_is_gone_ends_at_once(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(60)\n")
    command = [sys.executable, "-m", "lvseg.course.lifeline", str(gone.pid), "sleeper"]
    assert subprocess.run(command, cwd=tmp_path, timeout=30).returncode == 1
