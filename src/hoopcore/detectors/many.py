"""E-mail addresses in many cells at once: what ``people.py`` finds, for the plainest of them.

One step over arrays in place of some microseconds for each.  What is not plain (a hyphen in the
domain, a point at its end, a long part, bytes beyond ASCII) is left to the exact look.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from hoopcore.detectors.people import LOCAL
from hoopcore.styles import DOMAIN_BYTES, Octets, Offsets

_LONGEST = 48  # of either part, here
_BEFORE, _BEHIND = np.arange(1, _LONGEST + 1), np.arange(1, _LONGEST + 1)
_POINT = ord(".")


def _table(members: bytes | frozenset[int]) -> npt.NDArray[np.bool_]:
    return np.array([byte in members for byte in range(256)])


_IN_LOCAL = _table(frozenset(LOCAL))
_IN_DOMAIN = _table(DOMAIN_BYTES)
_LETTER = _table(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_PLAIN = _LETTER | _table(b"0123456789.")
_LED = _table(b".'")  # what is no beginning of a local part


class Found(NamedTuple):
    """For each ``@``: whether it is an address's, where that begins, whether this is certain."""

    hits: npt.NDArray[np.bool_]
    starts: Offsets
    certain: npt.NDArray[np.bool_]


def addresses(octets: Octets, ats: Offsets, lows: Offsets, highs: Offsets) -> Found:
    """The addresses around these ``@``, each within its cell ``octets[low:high]``."""
    before = ats[:, None] - _BEFORE
    in_local = (before >= lows[:, None]) & _IN_LOCAL[octets[np.maximum(before, 0)]]
    certain = ~in_local.all(1)
    sizes = np.where(certain, (~in_local).argmax(1), _LONGEST)
    starts = ats - sizes
    certain &= ~_LED[octets[starts]] | (sizes == 0)
    behind = ats[:, None] + _BEHIND
    domain = octets[np.minimum(behind, len(octets) - 1)]
    inside = behind < highs[:, None]
    plain = inside & _PLAIN[domain]
    certain &= ~plain.all(1)
    ends = (~plain).argmax(1)
    rows = np.arange(len(ats))
    certain &= ~(inside[rows, ends] & _IN_DOMAIN[domain[rows, ends]])
    points = plain & (domain == _POINT) & (_BEHIND[None, :] <= ends[:, None])
    certain &= ~points[:, 0] & ~(points[:, 1:] & points[:, :-1]).any(1)
    last = domain[rows, np.maximum(ends - 1, 0)]
    has_point = points.any(1)
    top = _LONGEST - points[:, ::-1].argmax(1)  # behind the last point
    good = has_point & _LETTER[last] & (ends - top >= 2)
    good &= _LETTER[domain[rows, np.minimum(top, _LONGEST - 1)]]
    certain &= good | ~has_point | (sizes == 0)
    return Found(good & certain & (sizes > 0), starts, certain)
