"""What is said of a file that can't be used, or should be known of: the whole sentence for each cause, and all of them.

A sentence says what was found, where, and what to do with this file, and `restore it` only of a damaged one.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lvseg import readers
from lvseg.data.source import open_source
from lvseg.errors import DataError, DataWarning
from lvseg.readers import Frame, open_path
from tests.readers.causes import dicom, pictures, sets, volumes

TABLES = {"pictures": pictures.CAUSES, "dicom": dicom.CAUSES, "volumes": volumes.CAUSES, "sets": sets.CAUSES}
CAUSES = {f"{kind}: {name}": cause for kind, table in TABLES.items() for name, cause in table.items()}
JARGON = re.compile(r"\w*(Error|Exception)\b|Traceback|codec|NoneType|object at|, line \d+ in|0x[0-9a-f]{4}")
HANDED_ON = {"{sentence}", "{path}: {told.refusal}", "{str(outline)}", "{no_images(path)}"}
"""What only repeats a sentence that another place has made."""
ELSEWHERE = {"{path}: may not be read by you; have its permissions changed"}
"""What no file brings about where tests run as root: `test_common` does without one."""


def heard(opened: Path | str) -> tuple[set[str], set[str]]:
    """The refusals and the warnings while a file or a data set is opened and its frames are read."""
    refusals: set[str] = set()

    def listen(action: Callable[[], list[Frame] | object]) -> list[Frame]:
        try:
            found = action()
        except DataError as error:
            refusals.add(str(error))
            return []
        return found if isinstance(found, list) else []

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for frame in listen(lambda: open_source(opened) if isinstance(opened, str) else open_path(opened)):
            listen(frame.read)
    return refusals, {str(one.message) for one in caught if one.category is DataWarning}


@pytest.mark.parametrize("name", CAUSES)
def test_the_whole_sentence(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LVSEG_CACHE", str(tmp_path.parent / f"{tmp_path.name}_cache"))
    cause = CAUSES[name]
    refusals, told = heard(cause.make(tmp_path))
    assert refusals | told == {cause.said.replace("{root}", str(tmp_path))}
    (sentence,) = refusals | told
    assert "\n" not in sentence and not JARGON.search(sentence)
    assert not refusals or re.search(r"; |\?$", sentence), "it doesn't say what to do"
    assert ("restore" in sentence) <= cause.damaged


def test_jargon_is_found() -> None:
    for sentence in ("can't be read (KeyError: 'shapes')", "'utf-8' codec can't decode", "<x object at 0x7f3a12>"):
        assert JARGON.search(sentence)


def templates() -> Iterator[tuple[str, str]]:
    """Where a sentence of the readers is made, and its text with `{...}` for what is filled in."""
    for module in sorted(Path(readers.__file__).parent.glob("*.py")):
        tree = ast.parse(module.read_text(encoding="utf-8"))
        for function in (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)):
            assigned = [
                (node.lineno, node.targets[0].id, node.value)
                for node in ast.walk(function)
                if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
            ]
            for node in ast.walk(function):
                if (said := _said(node)) is not None:
                    known = {name: value for line, name, value in sorted(assigned, key=_line) if line < said.lineno}
                    yield f"{module.name}, line {said.lineno}", _text(said, known)


def _line(assigned: tuple[int, str, ast.expr]) -> int:
    return assigned[0]


def _said(node: ast.AST) -> ast.expr | None:
    """The sentence that is made here, to be raised, told, or given to whoever does so."""
    makers = ("DataError", "DataWarning", "doubts.append", "told.append")
    if isinstance(node, ast.Call) and ast.unparse(node.func) in makers:
        return node.args[0]
    if isinstance(node, ast.Return) and isinstance(node.value, ast.JoinedStr):
        return node.value if ast.unparse(node.value).startswith(("f'{path}: ", 'f"{path}: ')) else None
    return None


def _text(node: ast.expr, known: dict[str, ast.expr]) -> str:
    """A sentence as it is written; names that stand for a text in the same function are filled in."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, known) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)) | ast.Name(id=name) if isinstance(
            known.get(name), ast.JoinedStr | ast.Constant
        ):
            return _text(known[name], {})
        case ast.FormattedValue(value=value):
            return f"{{{ast.unparse(value)}}}"
    return f"{{{ast.unparse(node)}}}"


def test_every_sentence_of_the_readers_is_in_the_tables() -> None:
    """Whoever adds one adds a cause; what is filled in may be anything."""
    said = [cause.said for cause in CAUSES.values()]
    found = dict(templates())
    assert len(found) > 140 and set(found.values()) >= HANDED_ON | ELSEWHERE
    absent = {
        place: text
        for place, text in found.items()
        if text not in HANDED_ON | ELSEWHERE and not any(_pattern(text).fullmatch(sentence) for sentence in said)
    }
    assert absent == {}


def _pattern(text: str) -> re.Pattern[str]:
    """What a sentence of this text looks like; a doubt is told with its file before it."""
    parts = [re.escape(part) for part in re.split(r"\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}", text)]
    return re.compile(("" if text.startswith("{") else r"\{root\}[^:]*: ") + ".*".join(parts))


def test_a_sentence_that_nobody_listed_is_noticed() -> None:
    patterns = [_pattern(text) for text in ("{path}: isn't sound; mend it", "holds {count} hearts")]
    assert not any(pattern.fullmatch(cause.said) for pattern in patterns for cause in CAUSES.values())
    assert patterns[1].fullmatch("{root}/a: holds 2 hearts")
