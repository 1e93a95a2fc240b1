"""Run a module in a process that ends when its parent does, so that a killed run leaves nothing working behind it.

`python -m lvseg.course.lifeline MODULE ARGUMENT...` is `python -m MODULE ARGUMENT...` with that promise.
"""

from __future__ import annotations

import os
import runpy
import sys
import threading
import time


def end_with_parent(every: float = 0.5) -> None:
    """Watch the parent process from a thread and end this process at once when it is gone."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(every)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
