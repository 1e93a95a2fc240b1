"""The course: its `notebooks` headless, what moves in them (`live`), its `exercises`, the whole reproduction."""

from lvseg.course.exercises import check, hint, solution

__all__ = ["check", "hint", "solution"]
