"""Shared by all tests: a cache of their own, one smoke reproduction that several of them look at, and their order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.reproduction import Survivor, survivor


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """Preprocessed frames of tests stay out of the user's cache, also in the processes that tests start."""
    os.environ["LVSEG_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session", autouse=True)
def on_the_processor():
    """Tests train small networks, with what the lock for tests has: no CUDA."""
    os.environ["LVSEG_ALLOW_CPU"] = "1"


@pytest.fixture(scope="session")
def survived(tmp_path_factory) -> Survivor:
    """A smoke reproduction that was killed three times and ended all the same."""
    return survivor(tmp_path_factory.mktemp("reproduction"))


@pytest.fixture(scope="session")
def reproduction(survived) -> Path:
    """The folder of a finished smoke reproduction: three runs and the report."""
    return survived.folder


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Slow tests first, so that no worker waits for the other's last one; and let `--dist loadgroup` see the groups.

    pytest-xdist 3.8 writes the groups where pytest 9.2 no longer looks, so that each worker would make a reproduction
    of its own: https://github.com/pytest-dev/pytest-xdist/issues/1386
    """
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    for item in items:
        grouped = vars(item).get("_nodeid")  # an older pytest's own, and a newer pytest-xdist's none: nothing to do
        if grouped:
            item._id = type(item._id).parse(grouped)
