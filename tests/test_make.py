"""`make.py` sets up once, does what the Makefile and CI ask of it, and says where lvseg can't be."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lvseg.files import CHECKOUT

sys.path.insert(0, str(CHECKOUT))
import make


@pytest.fixture
def calls(tmp_path, monkeypatch) -> list[tuple[list[str], dict]]:
    """What would be run, in a checkout of its own: (program and words, options)."""
    calls: list[tuple[list[str], dict]] = []

    def run(words, **how):
        calls.append(([Path(words[0]).name, *words[1:]], how))
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(make.subprocess, "run", run)
    monkeypatch.setattr(make.venv, "create", lambda folder, with_pip: folder.mkdir(exist_ok=True))
    monkeypatch.setattr(make, "VENV", tmp_path / ".venv")
    monkeypatch.setattr(make, "READY", tmp_path / ".venv" / ".ready")
    return calls


def test_it_sets_up_once_and_passes_words_on(calls):
    make.main(["reproduce", "--profile", "smoke"])
    make.main(["lvseg", "doctor"])
    programs = [words for words, _ in calls]
    assert [words[0] for words in programs] == ["python", "python", "lvseg", "lvseg"]
    assert "--require-hashes" in programs[0] and "--no-deps" in programs[1]
    assert programs[2:] == [["lvseg", "reproduce", "--profile", "smoke"], ["lvseg", "doctor"]]
    assert all(how["env"]["PYTHONUTF8"] == "1" for _, how in calls)
    assert calls[2][1]["cwd"] is None and calls[0][1]["cwd"] == CHECKOUT


def installed(calls) -> list[str]:
    return [Path(words[-1]).name for words, _ in calls if "--requirement" in words]


def test_a_changed_lock_is_installed_anew(calls, tmp_path, monkeypatch):
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(make, "RUN", lock)
    for text in ("one", "one", "two"):
        lock.write_text(text)
        make.set_up(lock)
    assert installed(calls) == [lock.name] * 2


def test_a_class_installs_no_test_tool_and_a_tester_installs_once(calls):
    make.main(["lab"])
    make.main(["test"])
    make.main(["reproduce"])
    make.main(["lint"])
    assert installed(calls) == ["requirements.lock", "requirements-test.lock"]


def test_a_failed_step_ends_it_with_its_status(calls, monkeypatch):
    statuses = iter([0, 0, 3])
    monkeypatch.setattr(make.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], next(statuses)))
    with pytest.raises(SystemExit) as ended:
        make.main(["test"])
    assert ended.value.code == 3


@pytest.mark.parametrize(
    ("version", "system", "machine", "said"),
    [
        ((3, 10, 13), "linux", "x86_64", "needs Python 3.11"),
        ((3, 14, 0), "linux", "x86_64", "needs Python 3.11"),
        ((3, 11, 7), "linux", "x86_64", None),
        ((3, 13, 0), "darwin", "arm64", None),
        ((3, 12, 1), "win32", "AMD64", None),
        ((3, 12, 1), "linux", "aarch64", None),
        ((3, 12, 1), "darwin", "x86_64", "Binder"),
        ((3, 12, 1), "win32", "ARM64", "Binder"),
    ],
)
def test_where_lvseg_can_be(version, system, machine, said):
    found = make.hindrance(version, system, machine)
    assert found is None if said is None else said in found


@pytest.mark.parametrize(
    ("gpu", "system", "command", "said"),
    [
        ("1", "linux", "reproduce", None),
        ("jax", "linux", "lab", None),
        ("2", "linux", "lab", "choose GPU=1"),
        ("1", "win32", "lab", "work in WSL"),
        ("1", "linux", "test", "test runs on processors"),
    ],
)
def test_where_a_gpu_can_be(gpu, system, command, said):
    found = make.hindrance((3, 11, 7), system, "x86_64", gpu, command)
    assert found is None if said is None else said in found


def test_a_gpu_has_an_environment_and_a_lock_of_its_own(calls, monkeypatch):
    for gpu in ("1", "jax"):
        monkeypatch.setenv("GPU", gpu)
        make.main(["reproduce"])
    assert installed(calls) == ["requirements-gpu.lock", "requirements-jax.lock"]
    assert len({folder for folder, _ in make.GPU.values()}) == 3


def test_an_unknown_command_lists_those_there_are(capsys):
    with pytest.raises(SystemExit, match=r"reproduce .*\n.*lab "):
        make.main(["rebuild"])


def test_the_makefile_and_ci_ask_for_what_there_is():
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[1].split())
    assert targets == set(make.COMMANDS) - {"lvseg"}
    workflow = "".join(path.read_text(encoding="utf-8") for path in (CHECKOUT / ".github" / "workflows").glob("*.yml"))
    asked = re.findall(r"run: (?:make|python make\.py) ([\w-]+)", workflow + (CHECKOUT / ".ci/run").read_text("utf-8"))
    assert len(asked) > 5 and set(asked) <= set(make.COMMANDS)


def test_what_it_runs_is_there():
    """Files that its commands name exist."""
    words = [word for _, steps in make.COMMANDS.values() for _, step in steps for word in step]
    named = [word for word in words if re.search(r"\.(py|ipynb)$", word)]
    assert len(named) > 10 and all((CHECKOUT / word).exists() for word in named)
