"""Shared by all tests: a cache of their own, and one smoke reproduction that several of them look at."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support import lvseg


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Preprocessed frames of tests stay out of the user's cache, also in the processes that tests start."""
    os.environ["LVSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def reproduction(tmp_path_factory) -> Path:
    """The folder of a finished smoke reproduction: three runs and the report."""
    folder = tmp_path_factory.mktemp("reproduction")
    done = lvseg("reproduce", "--profile", "smoke", "--out", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Let `--dist loadgroup` see the groups, which pytest-xdist 3.8 writes where pytest 9.2 no longer looks.

    Without this each worker would make a reproduction of its own: https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    for item in items:
        grouped = vars(item).get("_nodeid")  # an older pytest's own, and a newer pytest-xdist's none: nothing to do
        if grouped:
            item._id = type(item._id).parse(grouped)
