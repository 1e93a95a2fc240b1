"""What Windows and macOS lack or do otherwise, taken from a Python on Linux before its first line.

Python imports a module of this name by itself where its folder is on PYTHONPATH: in Snakemake and kernels too, as they
are started. `LVSEG_PRETEND` names the system. Modules and functions are taken from lvseg alone, since the libraries
below it choose their code by `sys.platform`, which stays for them. What files and shells do holds for all.
"""

from __future__ import annotations

import builtins
import errno
import importlib
import io
import os
import re
import subprocess
import sys
import types

SYSTEM = os.environ.get("LVSEG_PRETEND", "")
LACKING = {
    "windows": {
        "os": "sched_getaffinity sysconf uname fork killpg getpgid setsid getuid geteuid getgid statvfs nice mkfifo "
        "getloadavg chown getpriority posix_fadvise",
        "signal": "SIGKILL SIGHUP SIGALRM alarm setitimer pthread_kill",
        "time": "tzset",
    },
    "macos": {"os": "sched_getaffinity sched_setaffinity posix_fadvise memfd_create", "signal": "SIGPWR"},
}
NO_MODULE = {"windows": "fcntl resource pwd grp termios tty pty syslog readline posix", "macos": "spwd"}
_real = types.SimpleNamespace(
    import_=builtins.__import__, open=io.open, os_open=os.open, fsync=os.fsync, replace=os.replace, rename=os.rename,
    unlink=os.unlink, mkdir=os.mkdir, popen=subprocess.Popen.__init__,
)  # fmt: skip


# What lvseg imports


def _changed(module: types.ModuleType, **instead: object) -> types.ModuleType:
    """A stand-in for a module: without what the system lacks, with some things otherwise."""
    stand_in, lacking = types.ModuleType(module.__name__), LACKING[SYSTEM].get(module.__name__, "").split()

    def find(name: str) -> object:
        if name in lacking:
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r} on {SYSTEM}")
        return instead[name] if name in instead else getattr(module, name)

    stand_in.__getattr__ = find
    return stand_in


def _os() -> types.ModuleType:
    parent = os.getppid()  # Windows tells no other when that one is gone
    return _changed(os, name="nt", getppid=lambda: parent) if SYSTEM == "windows" else _changed(os)


def _sys() -> types.ModuleType:
    return _changed(sys, platform={"windows": "win32", "macos": "darwin"}[SYSTEM])


def _platform() -> types.ModuleType:
    import platform

    name, machine = {"windows": ("Windows", "AMD64"), "macos": ("Darwin", "arm64")}[SYSTEM]
    return _changed(platform, system=lambda: name, machine=lambda: machine, processor=lambda: machine)


def _ctypes() -> types.ModuleType:
    import ctypes

    def library(name: str | None, *arguments: object) -> object:
        if name is not None:
            return ctypes.CDLL(name, *arguments)
        if SYSTEM == "windows":
            raise TypeError("bad argument type for built-in operation")
        return types.SimpleNamespace()  # no glibc

    return _changed(ctypes, CDLL=library)


def _resource() -> types.ModuleType:
    import resource

    def in_bytes(who: int) -> object:
        return types.SimpleNamespace(ru_maxrss=1024 * resource.getrusage(who).ru_maxrss)

    return _changed(resource, getrusage=in_bytes)


def _psutil() -> types.ModuleType:
    import resource

    import psutil

    class Process(psutil.Process):
        def __getattribute__(self, name: str) -> object:
            if name == "cpu_affinity" and SYSTEM == "macos":
                raise AttributeError(name)
            return super().__getattribute__(name)

        def memory_info(self) -> object:
            if SYSTEM == "macos":
                return super().memory_info()
            peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            return types.SimpleNamespace(rss=super().memory_info().rss, peak_wset=peak)

    return _changed(psutil, Process=Process)


_STAND_INS = {
    "os": _os, "sys": _sys, "platform": _platform, "ctypes": _ctypes, "resource": _resource, "psutil": _psutil,
}  # fmt: skip
_made: dict[str, types.ModuleType] = {}


def _import(name, globals=None, locals=None, fromlist=(), level=0):
    asked_by_lvseg = level == 0 and str((globals or {}).get("__package__")).split(".")[0] == "lvseg"
    if asked_by_lvseg and name in NO_MODULE[SYSTEM].split():
        raise ModuleNotFoundError(f"No module named {name!r} on {SYSTEM}", name=name)
    if asked_by_lvseg and (name in _STAND_INS or name in LACKING[SYSTEM]):
        if name not in _made:
            _made[name] = _STAND_INS.get(name, lambda: _changed(importlib.import_module(name)))()
        return _made[name]
    return _real.import_(name, globals, locals, fromlist, level)


# What files do


_FORBIDDEN = re.compile(r'[<>:"|?*\x00-\x1f]|[ .]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)


def _check_name(path: object) -> None:
    """Windows makes no file of such a name."""
    if isinstance(path, str | os.PathLike):
        text = os.fspath(path)
        ours = isinstance(text, str) and not text.startswith(("/dev", "/proc"))
        if ours and _FORBIDDEN.search(os.path.basename(text.rstrip("/"))):
            raise OSError(errno.EINVAL, "The filename, directory name, or volume label syntax is incorrect", text)


def _check_free(path: object) -> None:
    """Windows neither replaces nor removes a file that is open or mapped."""
    if isinstance(path, int | bytes) or sys._getframe(2).f_globals["__name__"] == "tempfile":
        return  # `TemporaryFile` is made otherwise there
    real = os.path.realpath(os.fspath(path))
    held = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    opened = any(os.path.lexists(fd) and os.path.realpath(fd) == real for fd in held)
    with _real.open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        if opened or any(line.rstrip("\n").endswith(real) for line in maps):
            raise PermissionError(errno.EACCES, "The process cannot access the file, as it is being used", real)


def _asked_by_lvseg() -> bool:
    frame = sys._getframe(2)
    while frame.f_back and frame.f_globals["__name__"].startswith("pathlib"):
        frame = frame.f_back
    return str(frame.f_globals.get("__package__")).split(".")[0] == "lvseg"


def _open(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
    if str(file).startswith(("/proc/", "/sys/")) and _asked_by_lvseg():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    if SYSTEM == "windows":
        if set(mode) & set("wax"):
            _check_name(file)
        if "b" not in mode:
            encoding = "cp1252" if encoding in (None, "locale") else encoding
            newline = "\r\n" if newline is None and not set(mode) & set("r+") else newline
    return _real.open(file, mode, buffering, encoding, errors, newline, closefd, opener)


def _os_open(path, flags, mode=0o777, *, dir_fd=None):
    if flags & os.O_CREAT:
        _check_name(path)
    elif dir_fd is None and os.path.isdir(path) and not flags & os.O_DIRECTORY:
        raise PermissionError(errno.EACCES, "Permission denied", path)
    return _real.os_open(path, flags, mode, dir_fd=dir_fd)


def _fsync(fd):
    import fcntl

    number = fd if isinstance(fd, int) else fd.fileno()
    if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        raise OSError(errno.EBADF, "Bad file descriptor")
    _real.fsync(fd)


def _replace(source, target, **where):
    if not where:
        _check_name(target)
        _check_free(source)
        _check_free(target)
    _real.replace(source, target, **where)


def _rename(source, target, **where):
    if not where and os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", target)
    _replace(source, target, **where)


def _unlink(path, *, dir_fd=None):
    if dir_fd is None:
        _check_free(path)
    _real.unlink(path, dir_fd=dir_fd)


def _mkdir(path, mode=0o777, *, dir_fd=None):
    _check_name(path)
    _real.mkdir(path, mode, dir_fd=dir_fd)


# What a shell does


def _popen(self, args, *rest, shell=False, executable=None, **how):
    """cmd.exe knows double quotes, but no word of bash: neither `exec` nor `$PWD` nor `'...'`."""
    if shell and isinstance(args, str):
        line = args.removeprefix("set -euo pipefail; ")  # Snakemake's own, for bash alone
        args, shell, executable = [word.replace('"', "") for word in re.findall(r'(?:"[^"]*"|\S)+', line)], False, None
    _real.popen(self, args, *rest, shell=shell, executable=executable, **how)


if SYSTEM:
    builtins.__import__ = _import
    builtins.open = io.open = _open
if SYSTEM == "windows":
    os.linesep = "\r\n"
    os.open, os.fsync, os.replace, os.rename, os.mkdir = _os_open, _fsync, _replace, _rename, _mkdir
    os.unlink = os.remove = _unlink
    subprocess.Popen.__init__ = _popen
