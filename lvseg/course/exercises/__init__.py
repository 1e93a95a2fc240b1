"""The exercises: students write the paper's pieces themselves, and a check proves them.

One module per notebook, `nb03_network` for 03, each with its `EXERCISES`. A module is loaded when one of its exercises
is asked for, since some of them need Keras.
"""

from __future__ import annotations

from difflib import get_close_matches
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from lvseg.course.exercises.exercise import Exercise, Result
from lvseg.errors import ConfigError

__all__ = ["Exercise", "Result", "check", "every", "find", "hint", "solution"]


class Text(str):
    """A text that a notebook shows as Markdown."""

    def _repr_markdown_(self) -> str:
        return str(self)


def check(exercise: str, mine: Any) -> Result:
    """Judge a student's function: right, wrong with the hint that fits, or not tried yet.

    exercise: such as "03.gate". mine: the function itself. An error in the student's code is told in the result. Raises
    `lvseg.ConfigError` where there is no such exercise.
    """
    return find(exercise).check(mine)


def hint(exercise: str, number: int = 1) -> Text:
    """An exercise's hint of that number, counted from 1; the last one where there are fewer."""
    hints = find(exercise).hints
    number = max(1, min(number, len(hints)))
    more = f' The next one: `hint("{exercise}", {number + 1})`' if number < len(hints) else ""
    return Text(f"Hint {number} of {len(hints)}: {hints[number - 1]}{more}")


def solution(exercise: str) -> Text:
    """The code of one right answer."""
    return Text(f"```python\n{find(exercise).solution}```")


def every() -> dict[str, Exercise]:
    """All exercises by their id, in the course's order; loads Keras."""
    names = sorted(module.name for module in iter_modules(__path__) if module.name.startswith("nb"))
    return {each.id: each for name in names for each in import_module(f"{__name__}.{name}").EXERCISES}


def find(exercise: str) -> Exercise:
    """The exercise of that id; raises `lvseg.ConfigError` where there is none."""
    number = exercise.partition(".")[0]
    names = [module.name for module in iter_modules(__path__) if module.name.startswith(f"nb{number}_")]
    own = {each.id: each for name in names for each in import_module(f"{__name__}.{name}").EXERCISES}
    if exercise in own:
        return own[exercise]
    near = get_close_matches(exercise, list(own or every()), 1)
    meant = f"did you mean {near[0]}?" if near else f"choose one of: {', '.join(own or every())}"
    raise ConfigError(f"exercise {exercise!r} doesn't exist; {meant}")
