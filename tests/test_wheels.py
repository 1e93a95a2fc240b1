"""The table of wheels goes by tags as pip does, worked by hand for made-up pins."""

from __future__ import annotations

import sys

import pytest

from lvseg.files import CHECKOUT

sys.path.insert(0, str(CHECKOUT / "binder"))
import wheels


def pin(*files: str, **more: str) -> dict:
    return {"name": "made-up", "wheels": [{"url": f"somewhere/made_up-1.0-{file}.whl"} for file in files], **more}


LINUX, ARM, MAC, WINDOWS = wheels.SYSTEMS


@pytest.mark.parametrize(
    ("file", "system", "python", "fits"),
    [
        ("py3-none-any", WINDOWS, "3.13", True),
        ("py2-none-any", LINUX, "3.11", False),
        ("cp311-cp311-manylinux_2_27_x86_64.manylinux_2_28_x86_64", LINUX, "3.11", True),
        ("cp311-cp311-manylinux_2_27_x86_64", LINUX, "3.12", False),
        ("cp311-cp311-manylinux_2_27_x86_64", ARM, "3.11", False),
        ("cp311-cp311-manylinux_2_39_x86_64", LINUX, "3.11", False),
        ("cp311-cp311-musllinux_1_2_x86_64", LINUX, "3.11", False),
        ("cp39-abi3-macosx_11_0_arm64", MAC, "3.13", True),
        ("cp312-abi3-win_amd64", WINDOWS, "3.11", False),
        ("cp313-cp313t-win_amd64", WINDOWS, "3.13", False),
        ("cp311-cp311-macosx_15_0_arm64", MAC, "3.11", False),
        ("cp311-cp311-macosx_10_9_x86_64", MAC, "3.11", False),
        ("cp311-cp311-macosx_10_9_universal2", MAC, "3.11", True),
        ("py3-none-win_arm64", WINDOWS, "3.12", False),
    ],
)
def test_a_wheel_fits_where_pip_would_take_it(file, system, python, fits):
    assert wheels.has_wheel(pin(file), system, python) is fits


def test_a_pin_counts_where_its_marker_asks_for_it(tmp_path, monkeypatch):
    bare = pin(marker="sys_platform == 'win32' and python_full_version < '3.12'")
    monkeypatch.setattr(wheels, "listed", lambda lock: [pin("py3-none-any"), bare])
    rows = wheels.table(tmp_path / "requirements.lock").splitlines()[2:]
    assert rows[0] == f"| {LINUX} " + "| 1 pins, a wheel for each " * 3 + "|"
    assert rows[3] == f"| {WINDOWS} | 2 pins, no wheel: made-up " + "| 1 pins, a wheel for each " * 2 + "|"
