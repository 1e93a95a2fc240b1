"""Files are written whole or not at all, by one process at a time, and a full disk is a sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

from lvseg import files
from lvseg.errors import DataError


def test_an_atomic_write_leaves_the_old_file_or_the_new(tmp_path):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")
    with pytest.raises(RuntimeError), files.atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_another_process_writes_is_refused(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", "import sys, time\nfrom pathlib import Path\nfrom lvseg import files\n"
         "with files.locked(Path(sys.argv[1])):\n    print('held', flush=True); time.sleep(60)", tmp_path],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(DataError, match="another process is writing here"), files.locked(tmp_path, patience=0.3):
        pass
    holder.kill()
    holder.wait()
    with files.locked(tmp_path, patience=0.3):
        pass


def test_a_full_disk_under_the_cache_is_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path))
    said = f"{tmp_path}/kept.pixels: can't be written .No space left on device.; free some space"
    with pytest.raises(DataError, match=said), files.atomic(files.cache_folder() / "kept.pixels") as temporary:
        temporary.write_bytes(b"some")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert list(tmp_path.iterdir()) == []
