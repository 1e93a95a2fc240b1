"""Writing that leaves either the whole file or the old one, one writer per folder, and where things are kept."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lvseg.errors import DataError

_PACKAGE = Path(__file__).resolve().parent
CHECKOUT = _PACKAGE / "shipped" if (_PACKAGE / "shipped").is_dir() else _PACKAGE.parent
"""Where notebooks, samples and workflow lie: beside the package in a checkout, within it as a wheel installs it."""
_TEMPORARY = ".{stem}.{process}{suffix}"
"""The name under which a file is written before it gets its own."""


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path` (same ending); when the block ends well, sync it to disk and rename it."""
    temporary = path.with_name(_TEMPORARY.format(stem=path.stem, process=os.getpid(), suffix=path.suffix))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("r+b") as file:  # Windows syncs no file that is open for reading only
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)


def _unwritable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path}: can't be written ({error.strerror or error}); free some space or choose another folder")


def append_line(path: Path, line: str) -> None:
    """Add `line` to the text file `path`, which is made where it is missing."""
    try:
        with path.open("a", encoding="utf-8", newline="\n") as file:
            file.write(line + "\n")
    except OSError as error:
        raise _unwritable(path, error) from None


def write_text(path: Path, text: str) -> None:
    """Write `text` to `path` atomically, in UTF-8 and with its own line ends: its checksum is the same everywhere."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def csv_text(table: Any, **how: Any) -> str:
    """A pandas table as CSV without its index, lines ending alike on every system. how: `DataFrame.to_csv`'s own."""
    return table.to_csv(index=False, lineterminator="\n", **how)


def write_json(path: Path, value: Any) -> None:
    """Write `value` to `path` atomically, as indented JSON."""
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path: Path) -> Any:
    """The JSON in `path`; raises `lvseg.DataError` where the file is missing or is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))  # editors may put a byte-order mark before it
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: is no readable JSON ({error}); restore or remove it") from None


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pinned(path: Path) -> str:
    """A file's name with the beginning of its SHA-256, `FILE#CHECKSUM`: how an experiment keeps which file it meant."""
    return f"{path}#{sha256(path)[:16]}"


@contextmanager
def locked(folder: Path, patience: float = 5.0) -> Iterator[None]:
    """Hold `folder` as its only writer; the system lets go of the lock when the process ends, however it ends.

    What a killed writer left half-written in the folder is removed.
    patience: seconds to wait for another writer, such as one that is just being ended with its killed parent.
    Raises `lvseg.DataError` when it still holds the folder then.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{folder}: can't be made ({error.strerror}); choose another folder") from None
    import filelock  # only here, as in `cache_folder`: `lvseg --help` stays quick

    try:
        held = filelock.FileLock(folder / ".lock").acquire(timeout=patience, poll_interval=0.1)
    except filelock.Timeout:
        raise DataError(f"{folder}: another process is writing here; wait for it or choose another folder") from None
    except (OSError, NotImplementedError) as error:  # a folder that can't be written, a disk that knows no locks
        raise DataError(f"{folder}: can't be locked ({error}); choose another folder") from None
    with held:
        for half_written in folder.glob(_TEMPORARY.format(stem="*", process="[0-9]*", suffix=".*")):
            half_written.unlink()
        yield


def cache_folder() -> Path:
    """Where what was read once is kept: `LVSEG_CACHE`, or the system's place for it, such as `~/.cache/lvseg`."""
    import platformdirs

    named = os.environ.get("LVSEG_CACHE") or platformdirs.user_cache_dir("lvseg", appauthor=False)
    return Path(named).expanduser().resolve()


def kept() -> list[Path]:
    """The files in the cache folder that are ours, by their names: whoever named the folder may keep others in it."""
    ours = re.compile(r"[0-9a-f]{32}\.(pixels|json|dicom\.json)")
    folder = cache_folder()
    return sorted(path for path in folder.iterdir() if ours.fullmatch(path.name)) if folder.is_dir() else []
