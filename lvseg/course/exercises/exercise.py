"""What an exercise is: a task, a solution whose blank a student fills, and a check that knows misconceptions.

A misconception is kept as a change of the solution's text. The check computes what it would answer, and so recognises
it by what a student's code does, however it is written.
"""

from __future__ import annotations

import copy
import inspect
import re
import sys
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np

from lvseg.errors import LvsegError

BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"
"""What lies between these two lines of an exercise's function is left to the student; nbgrader knows them too."""

Probes = Mapping[str, tuple]
"""The arguments to try an answer with, by what they are in words: "two empty masks"."""


@dataclass(frozen=True)
class Mistake:
    """A misconception: its name, what it makes of parts of the solution's text, and the hint that answers it."""

    name: str
    changes: Mapping[str, str]
    hint: str


@dataclass(frozen=True)
class Result:
    """What a check found. In a notebook it shows itself as one line; it is true where the answer is right."""

    exercise: str
    verdict: str  # "right", "wrong" or "not tried yet"
    message: str

    @property
    def right(self) -> bool:
        return self.verdict == "right"

    def __bool__(self) -> bool:
        return self.right

    def __repr__(self) -> str:
        mark = {"right": "✓", "wrong": "✗"}.get(self.verdict, "○")
        return f"{mark} {self.exercise}, {self.verdict}: {self.message}"


class Misfit(LvsegError):
    """An answer can't be compared, and the message says why: its weights have other shapes, for instance."""


@dataclass(frozen=True)
class Failed:
    """An answer that stopped instead of answering."""

    kind: str
    text: str
    line: str = ""

    def told(self) -> str:
        if self.kind == Misfit.__name__:
            return self.text
        return f"your code stops with {self.kind}: {self.text}{self.line}"


def _as_it_is(function: Callable) -> Callable:
    return function


@dataclass(frozen=True, eq=False)
class Exercise:
    """A task, its solution and all that its check needs.

    id: the notebook's number and a name, "03.gate". function: the solution, with the lines that a student writes
    between `BEGIN` and `END`. answer: an independent reference that takes a probe's arguments. probes: the arguments
    to try, some of them random. prepare: makes of a student's function one that takes a probe's arguments; may raise
    `Misfit`, and give None for a blank. compared: what the check compares, in words. tolerance: the largest difference
    that counts as equal, besides a hundred-thousandth of the value.
    """

    id: str
    task: str
    function: Callable
    compared: str
    answer: Callable
    probes: Callable[[np.random.Generator], Probes]
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]
    prepare: Callable = _as_it_is
    tolerance: float = 1e-5

    @cached_property
    def source(self) -> str:
        """The solution's text with its markers, as nbgrader takes it."""
        return textwrap.dedent(inspect.getsource(self.function))

    @property
    def solution(self) -> str:
        """The text of a student's complete cell."""
        return re.sub(rf"^ *({BEGIN}|{END})\n", "", self.source, flags=re.M)

    @property
    def start(self) -> str:
        """The text of the blank cell: `...` stands where the student writes."""
        return re.sub(rf"^( *){BEGIN}\n.*?{END}\n", r"\1...\n", self.source, flags=re.M | re.S)

    def compiled(self, text: str) -> Callable:
        """The function that a cell of this text defines, where the notebook has imported what the solution needs."""
        cell = {**self.function.__globals__, "__name__": "cell"}
        exec(compile(text, f"<{self.id}>", "exec"), cell)
        return cell[self.function.__name__]

    def mistaken(self, mistake: Mistake) -> Callable:
        """The function that this misconception makes of the solution."""
        text = self.solution
        for part, becomes in mistake.changes.items():
            if part not in text:
                raise ValueError(f"{self.id}, {mistake.name}: the solution has no {part!r}")
            text = text.replace(part, becomes)
        return self.compiled(text)

    def check(self, mine: Any) -> Result:
        """Judge a student's function; an error in it is told, never raised."""
        name = self.function.__name__
        if not callable(mine):
            return self._wrong(f'hand over the function itself, not what it returns: check("{self.id}", {name})')
        watched, probes = _Watched(mine), self.probes(np.random.default_rng())
        prepared = self._prepared(watched)
        outcomes = {label: _outcome(prepared, arguments, watched) for label, arguments in probes.items()}
        if any(outcome is None for outcome in outcomes.values()):
            if self._is_blank(mine):
                return Result(self.id, "not tried yet", f"write {name} above, then run both cells again")
            return self._wrong(f"{name} returns nothing: is the return missing?")
        if watched.called:
            return self._wrong(f"your answer calls {watched.called[0]}; here you write that piece yourself")
        right = {label: _array(self.answer(*arguments)) for label, arguments in probes.items()}
        if all(_same(outcomes[label], right[label], self.tolerance) for label in probes):
            largest = max(_difference(outcomes[label], right[label]) for label in probes)
            return Result(self.id, "right", f"{self.compared}, largest difference {largest:.1g}")
        for number, mistake in enumerate(self.mistakes):
            mistaken = self._mistaken(number)
            if all(_same(outcomes[each], _outcome(mistaken, probes[each]), self.tolerance) for each in probes):
                return self._wrong(mistake.hint)
        label = next(label for label in probes if not _same(outcomes[label], right[label], self.tolerance))
        return self._wrong(f"{_unlike(outcomes[label], right[label], label)}. {self._see_hints()}")

    def _prepared(self, function: Callable) -> Callable | Failed | None:
        try:
            return self.prepare(function)
        except Exception as error:
            return _failed(error, function)

    @cache  # noqa: B019  (an exercise lives as long as its module)
    def _mistaken(self, number: int) -> Callable | Failed | None:
        return self._prepared(self.mistaken(self.mistakes[number]))

    def _is_blank(self, mine: Callable) -> bool:
        """Whether a function that returns nothing is the blank: there is no more to it than to that."""
        code = getattr(mine, "__code__", None)
        return code is not None and len(code.co_code) <= len(self.compiled(self.start).__code__.co_code)

    def _wrong(self, why: str) -> Result:
        return Result(self.id, "wrong", why)

    def _see_hints(self) -> str:
        return f'There are hints: hint("{self.id}")'


class _Watched:
    """A function that notes which of lvseg's own it calls, by whatever way; those handed to it don't count."""

    def __init__(self, function: Callable):
        self.function = function
        self.called: list[str] = []

    def __call__(self, *arguments: Any) -> Any:
        given = {each.__code__ for each in arguments if inspect.isfunction(each)}

        def note(frame: Any, event: str, _: Any) -> None:
            module = frame.f_globals.get("__name__") or ""
            if event == "call" and module.startswith("lvseg.") and frame.f_code not in given:
                self.called.append(f"{module}.{frame.f_code.co_qualname}")

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            return self.function(*arguments)
        finally:
            sys.setprofile(before)


def _outcome(
    prepared: Callable | Failed | None, arguments: tuple, function: Callable | None = None
) -> np.ndarray | Failed | None:
    """What a prepared answer gives: numbers, None for nothing, or how it failed."""
    if not callable(prepared):
        return prepared
    try:
        with np.errstate(all="ignore"):
            found = prepared(*copy.deepcopy(arguments))
            return None if found is None or found is ... else _array(found)
    except Exception as error:
        return _failed(error, function)


def _failed(error: Exception, function: Callable | None) -> Failed:
    return Failed(type(error).__name__, _first_line(error), _place(error, function))


def _array(value: Any) -> np.ndarray:
    """An answer as numbers, whether it came as a number, a list, an array or a tensor."""
    return np.asarray(value, dtype=np.float64)


def _same(one: np.ndarray | Failed | None, other: np.ndarray | Failed | None, tolerance: float) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.shape == other.shape and np.allclose(one, other, rtol=1e-5, atol=tolerance, equal_nan=True)
    if isinstance(one, Failed) and isinstance(other, Failed):
        return (one.kind, one.text) == (other.kind, other.text)
    return one is None and other is None


def _difference(one: Any, other: np.ndarray) -> float:
    finite = np.isfinite(other)
    return float(np.abs(one - other, where=finite, out=np.zeros_like(other)).max(initial=0))


def _unlike(mine: np.ndarray | Failed | None, right: np.ndarray, label: str) -> str:
    """How a wrong answer differs from the right one, in words."""
    if isinstance(mine, Failed):
        return f"for {label}, {mine.told()}"
    if mine is None:
        return f"for {label} it returns nothing"
    if mine.shape != right.shape:
        return f"for {label} yours has shape {mine.shape}, right is {right.shape}"
    if mine.size == 1:
        return f"for {label} yours gives {mine.item():.6g}, right is {right.item():.6g}"
    wrong = ~np.isclose(mine, right, rtol=1e-5, atol=1e-5, equal_nan=True)
    place = tuple(int(axis) for axis in np.argwhere(wrong)[0])
    differ = f"for {label} {wrong.mean():.0%} of the values differ"
    return f"{differ}: at {list(place)} yours is {mine[place]:.6g}, right is {right[place]:.6g}"


def _first_line(error: Exception) -> str:
    """What an error says, short, and without the numbers that Keras gives to layers without a name."""
    lines = str(error).strip().splitlines() or [""]
    return re.sub(r"(?<=[a-z])_\d+\b", "", textwrap.shorten(lines[0], 300))


def _place(error: Exception, function: Callable | None) -> str:
    """The line of the student's cell at which an error arose, in words."""
    function = getattr(function, "function", function)
    code = getattr(function, "__code__", None)
    steps = traceback.extract_tb(error.__traceback__)
    own: Sequence[Any] = [step for step in steps if code is not None and step.filename == code.co_filename]
    if not own:
        return ""
    line = f": {own[-1].line}" if own[-1].line else ""
    return f" (line {own[-1].lineno}{line})"
