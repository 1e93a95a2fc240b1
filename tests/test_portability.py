"""The same on three systems: what Windows and macOS lack or do otherwise is taken from this one (tests/systems)."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from lvseg import cli
from lvseg.data.source import absolute
from lvseg.files import CHECKOUT
from lvseg.readers.common import safe
from lvseg.training.folder import read_receipt
from tests.support import lvseg
from tests.training.support import TINY

SYSTEMS = pytest.mark.parametrize("system", ["windows", "macos"])
FRAME = next((CHECKOUT / "data_samples" / "phantom_labelme").rglob("*.png"))


def on(system: str) -> dict[str, str]:
    """The environment in which every Python process takes itself to be on that system."""
    folders = [CHECKOUT / "tests" / "systems", CHECKOUT, os.environ.get("PYTHONPATH", "")]
    shown = {"PYTHONIOENCODING": "cp1252", "PYTHONUTF8": "0"} if system == "windows" else {}
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders)), "LVSEG_PRETEND": system, **shown}


def run_on(system: str, code: str, folder: Path) -> str:
    """What `code`, taken to be lvseg's own, prints there."""
    command = [sys.executable, "-c", f"__package__ = 'lvseg'\n{textwrap.dedent(code)}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=on(system))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.replace("\r\n", "\n")


def test_the_pretence_would_be_noticed(tmp_path):
    """Each of these works on Linux and isn't so on Windows."""
    code = """
        import io, os
        from pathlib import Path

        def fails(attempt):
            try:
                attempt()
            except (ImportError, AttributeError, OSError) as error:
                return type(error).__name__
            return "works"

        def synced():
            with open("a.txt") as file:
                os.fsync(file.fileno())

        def replaced():
            with open("a.txt") as file:
                os.replace("b.txt", "a.txt")

        Path("a.txt").write_text("one\\n\\u00e9", "utf-8")
        Path("b.txt").write_text("two")
        print(fails(lambda: __import__("fcntl", {"__package__": "lvseg"})))
        print(fails(lambda: os.sched_getaffinity(0)), fails(synced), fails(replaced))
        print(fails(lambda: Path("nul.txt").write_text("")), fails(lambda: Path("a:b").mkdir()))
        print(fails(lambda: Path("/proc/cpuinfo").read_text()))
        print(Path("a.txt").read_bytes(), ascii(Path("a.txt").read_text()))
    """
    assert run_on("windows", code, tmp_path).splitlines() == [
        "ModuleNotFoundError",
        "AttributeError OSError PermissionError",
        "OSError OSError",
        "FileNotFoundError",
        r"b'one\r\n\xc3\xa9' 'one\n\xc3\xa9'",
    ]


@SYSTEMS
@pytest.mark.slow
def test_every_module_is_imported(system, tmp_path):
    code = """
        import importlib, pkgutil, lvseg
        for module in pkgutil.walk_packages(lvseg.__path__, "lvseg."):
            importlib.import_module(module.name)
        from lvseg import machine
        machine.limit_arenas(); machine.release_memory()
        print(machine.cores() > 0, machine.memory_limit() > 2**28, 20 < machine.peak_memory_mb() < 4000)
        print(machine.identity()["system"])
    """
    names = {"windows": "Windows AMD64", "macos": "Darwin arm64"}
    assert run_on(system, code, tmp_path) == f"True True True\n{names[system]}\n"


@pytest.fixture(scope="module")
def predicted(tmp_path_factory) -> Path:
    """What `predict` writes here."""
    out = tmp_path_factory.mktemp("here")
    assert lvseg("predict", FRAME, "--out", out, "--quality").returncode == 0
    return out


@SYSTEMS
def test_prediction_writes_the_same_bytes(system, predicted, tmp_path):
    done = lvseg("predict", FRAME, "--out", tmp_path / "masks", "--quality", env=on(system))
    assert done.returncode == 0, done.stderr
    here, there = (
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (predicted, tmp_path / "masks")
    )
    assert here == there and len(here) == 4


def train(out: Path, **how) -> dict:
    """The receipt of a tiny run."""
    choices = [f"--set={name}={value}" for name, value in TINY.items() if name != "model"]
    done = lvseg("train", "--profile", "smoke", "--model", TINY["model"], *choices, "--out", out, **how)
    assert done.returncode == 0, done.stderr
    return read_receipt(out)


@pytest.mark.slow
def test_training_ends_with_the_same_scores(tmp_path):
    here = train(tmp_path / "here")
    for system in ("windows", "macos"):
        _check_run(tmp_path / system, train(tmp_path / system, env=on(system)), here)


def _check_run(out: Path, receipt: dict, here: dict) -> None:
    for name in ("experiment.json", "split.json", "frames.csv"):
        assert receipt["files"][name] == here["files"][name], name
    assert (receipt["fingerprint"], receipt["data"], receipt.keys()) == (here["fingerprint"], here["data"], here.keys())
    assert 100 < receipt["peak_memory_mb"] < 4000
    assert b"\r" not in (out / "log.txt").read_bytes() + (out / "history.csv").read_bytes()


def test_a_drive_is_no_kind_of_data_and_its_backslashes_are_no_json():
    assert absolute(r"labelme:C:\frames").startswith("labelme:") and absolute(r"labelme:C:\frames").endswith(
        r"C:\frames"
    )
    assert cli._pairs([r"split=C:\new\table.json", r"data=images:D:\a b"]) == {
        "split": r"C:\new\table.json", "data": r"images:D:\a b",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["con", "NUL.1", "aux", "Com3"])
def test_no_folder_gets_a_name_that_windows_keeps_for_itself(name):
    assert safe(name) == f"_{name}" and safe(f"x{name}") == f"x{name}"
