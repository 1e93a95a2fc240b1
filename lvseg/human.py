"""How well people agree on the left ventricle's outline: the band beside every result. Data, no logic.

All on CAMUS's adults: on other hearts, and on phantoms, people may do better or worse.
"""

from __future__ import annotations

from typing import NamedTuple


class Agreement(NamedTuple):
    """The Dice of two outlines by people: whose, how much, where it was found, and how far that can be trusted."""

    who: str
    dice: float
    source: str
    status: str


AGREEMENT = (
    Agreement(
        "one cardiologist against herself, end-diastole",
        0.945,
        "CAMUS's leaderboard, as copied in the repository lhutchin23/WaveletFCT",
        "copied there; not seen at its origin",
    ),
    Agreement(
        "one cardiologist against herself, end-systole",
        0.930,
        "CAMUS's leaderboard, as copied in the repository lhutchin23/WaveletFCT",
        "copied there; not seen at its origin",
    ),
    Agreement(
        "between observers, mean",
        0.899,
        "quoted in the repository Seraf00/mamba",
        "quoted there; not seen at its origin",
    ),
    Agreement(
        "one picture outlined twice, end-diastole",
        0.958,
        "CAMUS's patients 33 and 68, who are one: the two outlines of the same four-chamber frame",
        "measured on the files; one picture",
    ),
)
