"""Which way up a stored picture lies: what its affine states, and where the tip of its ultrasound fan is.

Echo pictures have no anatomical axes. Where a file states some, the picture is seen as programs for them show a plane
of their own kind: to the right is left (L), down is posterior (P). CAMUS states just that, and is read as stored.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

_STEEP = 0.9
"""The cosine of 26 degrees: how near an axis must be to the one it stands for."""
_LEAN = 0.05
"""A sector's middle lies by this share of its height (or more) nearer to its arc than to its tip. Measured on CAMUS's
4-chamber views: 0.05 to 0.14 down, and at most 0.05 to a side."""
_SMALLEST = 64
"""Pixels; on less the fan can't be told."""


class Turn(NamedTuple):
    """How a stored slice (first axis, second axis) becomes an upright picture (row, column).

    rows_first: the first axis runs along the rows' order already; else the two are exchanged. up, left: whether the
    picture's rows, columns are then reversed.
    """

    rows_first: bool = False
    up: bool = False
    left: bool = False

    def __call__(self, stored: np.ndarray) -> np.ndarray:
        """The slice as an upright picture: a view, of any dtype."""
        picture = stored if self.rows_first else stored.T
        return picture[:: -1 if self.up else 1, :: -1 if self.left else 1]

    def opposite(self) -> Turn:
        """The same by half a turn further."""
        return Turn(self.rows_first, not self.up, not self.left)


def stated_turn(directions: np.ndarray) -> Turn | None:
    """What the axes' directions say: float array (2, 3), each a unit vector towards left, posterior, superior.

    None where the picture lies in another plane, in which nobody has agreed on a way up.
    """
    for rows_first in (False, True):
        across, down = directions[::-1] if rows_first else directions
        if abs(across[0]) > _STEEP and abs(down[1]) > _STEEP:
            return Turn(rows_first, up=bool(down[1] < 0), left=bool(across[0] < 0))
    return None


def fan_tip(picture: np.ndarray) -> str:
    """Where the tip of a picture's fan is: `top`, `bottom`, `left` or `right`; "" where there is no fan."""
    if min(picture.shape) < _SMALLEST:
        return ""
    coarse = picture[::4, ::4]
    seen = coarse > max(coarse.max() / 12, 0)
    if not seen.any():
        return ""
    down, across = _leans(seen)
    if max(abs(down), abs(across)) < _LEAN or min(abs(down), abs(across)) > max(abs(down), abs(across)) / 2:
        return ""
    if abs(down) > abs(across):
        return "top" if down > 0 else "bottom"
    return "left" if across > 0 else "right"


def _leans(seen: np.ndarray) -> Iterator[float]:
    """Along rows, then columns: how far the middle of what is seen, gaps filled, is from halfway, as a share."""
    for lines in (seen, seen.T):
        lines = lines[lines.any(axis=1)]
        widths = lines.shape[1] - lines.argmax(axis=1) - lines[:, ::-1].argmax(axis=1)
        yield float((widths @ np.arange(len(widths))) / widths.sum() - (len(widths) - 1) / 2) / len(widths)
