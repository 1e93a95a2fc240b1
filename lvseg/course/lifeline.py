"""Run a module in a process that ends when another does, so that a killed run leaves nothing working behind it.

`python -m lvseg.course.lifeline PROCESS MODULE ARGUMENT...` is `python -m MODULE ARGUMENT...` with that promise. It
names the process, since not every system tells whose child one is when the parent is gone, and since a shell may lie
between the two.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time

import psutil


def end_with(process: int, every: float = 0.5) -> None:
    """Watch the process of that number from a thread, and end this one at once when it is gone."""

    def watch() -> None:
        try:
            watched = psutil.Process(process)
            while watched.is_running() and watched.status() != psutil.STATUS_ZOMBIE:
                time.sleep(every)
        except psutil.NoSuchProcess:
            pass
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with(int(sys.argv[1]))
    del sys.argv[:2]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
