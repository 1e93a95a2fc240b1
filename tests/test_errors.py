"""Whatever the package defines to be raised is caught where the command line makes one sentence of it."""

from __future__ import annotations

import ast
import builtins
from pathlib import Path

import pytest

import lvseg
from lvseg.errors import ConfigError, DataError, LvsegError

BUILT_IN = {name for name, value in vars(builtins).items() if isinstance(value, type)}


def built_on_exceptions(source: str) -> list[str]:
    """The classes that derive from one of Python's own exceptions directly."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            bases = {base.id for base in node.bases if isinstance(base, ast.Name)} & BUILT_IN
            found += [node.name for base in bases if issubclass(getattr(builtins, base), BaseException)]
    return found


def test_one_error_and_one_warning_are_built_on_pythons_own():
    assert built_on_exceptions("class Mine(ValueError): pass\nclass Ours(LvsegError): pass") == ["Mine"]
    modules = sorted(Path(str(lvseg.__file__)).parent.rglob("*.py"))
    assert len(modules) > 30
    assert [name for path in modules for name in built_on_exceptions(path.read_text())] == [
        "LvsegError",
        "DataWarning",
    ]


@pytest.mark.parametrize("kind", [DataError, ConfigError])
def test_both_kinds_are_one_family_and_none_is_the_other(kind):
    with pytest.raises(LvsegError, match="a sentence"):
        raise kind("a sentence")
    assert not issubclass(DataError, ConfigError) and not issubclass(ConfigError, DataError)
