"""Published rows can be measured again, and a wrong name is told so."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import pytest

from benchmarks import __main__ as program
from benchmarks.__main__ import BENCHMARKS
from benchmarks.table import RESULTS
from lvseg.errors import DataError

PUBLISHED = sorted({row["name"] for row in json.loads(RESULTS.read_text())})


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_row_has_a_benchmark_that_measures_it(name: str) -> None:
    assert name in BENCHMARKS
    package = RESULTS.parent / name
    source = package / "__init__.py" if package.is_dir() else package.with_suffix(".py")
    assert "\ndef measure(" in source.read_text()  # not imported: its peers may not be installed


def test_an_unknown_name_gets_the_list_of_names() -> None:
    command = [sys.executable, "-m", "benchmarks", "nonsense"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=RESULTS.parents[1])
    assert done.returncode and not done.stdout
    (sentence,) = done.stderr.splitlines()
    assert "'nonsense'" in sentence and all(name in sentence for name in BENCHMARKS)


def test_a_benchmark_that_cannot_run_here_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def without(error: Exception) -> SimpleNamespace:
        return SimpleNamespace(measure=lambda: (_ for _ in ()).throw(error))

    published: list[dict] = []
    monkeypatch.setattr(program, "publish", published.append)
    monkeypatch.setattr(sys, "argv", ["benchmarks", "clahe", "gpu", "metrics", "resume"])
    monkeypatch.setitem(sys.modules, "benchmarks.clahe", without(ImportError(name="kornia")))
    monkeypatch.setitem(sys.modules, "benchmarks.gpu", SimpleNamespace(measure=lambda: {"name": "one"}))
    monkeypatch.setitem(sys.modules, "benchmarks.metrics", without(DataError("there is no such folder")))
    monkeypatch.setitem(sys.modules, "benchmarks.resume", SimpleNamespace(measure=lambda: iter([{"name": "two"}])))
    with pytest.raises(SystemExit) as end:
        program.main()
    assert published == [{"name": "one"}, {"name": "two"}]
    first, second = str(end.value).splitlines()
    assert "clahe" in first and "kornia" in first
    assert "metrics" in second and "there is no such folder" in second
