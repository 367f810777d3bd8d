"""How much of a masked value stays: a style of stars keeps the length and hides a prefix.

A hidden byte becomes ``*``.  The length in bytes is kept, so that a value is overwritten where it
stands: a masked character of two bytes leaves two stars.  What stays is whole characters.

Each style twice: for one value, and for the values of a whole column at once.  Both hide the same.
Styles that write something else than stars, and types that are no plain text: ``forms.py``.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Offsets: TypeAlias = npt.NDArray[np.int64]
Octets: TypeAlias = npt.NDArray[np.uint8]


class Style(StrEnum):
    KEEP_LAST_4 = "keep-last-4"
    KEEP_DOMAIN = "keep-domain"
    FULL = "full"
    HASH = "hash"
    YEAR_ONLY = "year-only"
    ROUND = "round"
    NULL = "null"


FORMED = frozenset({Style.HASH, Style.YEAR_ONLY, Style.ROUND})
"""Styles without stars: a cell that has one, and no form, becomes NULL."""


LONGEST_DOMAIN = 253  # RFC 1035, in text

# A domain in ASCII, or bytes of one that is not.
DOMAIN_BYTES = frozenset(
    b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-"
) | frozenset(range(128, 256))
_DOMAIN = bytes(sorted(DOMAIN_BYTES))
_IN_DOMAIN = np.array([byte in DOMAIN_BYTES for byte in range(256)])

# Four characters of UTF-8 are at most this long.
_LONGEST_4 = 16


def hidden(style: Style, value: bytes, *, utf8: bool) -> int:
    """How many bytes at the start of the value the style hides; the rest stays.

    ``keep-last-4`` keeps four characters of a value of more than four.  Outside UTF8 it keeps at
    most four bytes, and no byte that would be half a character in UTF8.  ``keep-domain`` keeps
    what follows the last ``@`` if that looks like a domain, blanks at its end allowed.
    """
    if style is Style.KEEP_LAST_4:
        return _before_last_4(value, utf8=utf8)
    if style is Style.KEEP_DOMAIN:
        return _before_domain(value)
    return len(value)


def _before_last_4(value: bytes, *, utf8: bool) -> int:
    cut = len(value) - 4
    if cut <= 0:
        return len(value)
    if value[cut:].isascii():
        return cut
    if not utf8:
        while cut < len(value) and value[cut] & 0xC0 == 0x80:
            cut += 1
        return cut
    kept = 0
    for cut in range(len(value) - 1, max(0, len(value) - _LONGEST_4 - 1), -1):
        kept += value[cut] & 0xC0 != 0x80
        if kept == 4:
            return cut
    return len(value)


def _before_domain(value: bytes) -> int:
    at = value.rfind(b"@")
    domain = value[at + 1 :].rstrip(b" ")
    if at < 0 or not 0 < len(domain) <= LONGEST_DOMAIN or domain.strip(_DOMAIN):
        return len(value)
    return at


def hidden_at_once(
    style: Style, octets: Octets, starts: Offsets, stops: Offsets, *, utf8: bool
) -> Offsets:
    """Where the hidden part of each value ``octets[start:stop]`` ends.  Starts are rising."""
    if style is Style.KEEP_LAST_4:
        return _before_last_4s(octets, starts, stops, utf8=utf8)
    if style is Style.KEEP_DOMAIN:
        return _before_domains(octets, starts, stops)
    return stops


def _before_last_4s(octets: Octets, starts: Offsets, stops: Offsets, *, utf8: bool) -> Offsets:
    cuts: Offsets = np.where(stops - starts > 4, stops - 4, stops)
    quads: Any = np.ndarray((max(len(octets) - 3, 0),), "<u4", octets, 0, (1,))
    long = np.flatnonzero(cuts < stops)
    beyond = long[(quads[cuts[long]] & 0x80808080) != 0]
    for place in beyond.tolist():  # not ASCII: one by one, what is looked at is short
        start, stop = int(starts[place]), int(stops[place])
        low = max(start, stop - _LONGEST_4 - 1)
        tail = octets[low:stop].tobytes()
        kept = len(tail) - _before_last_4(tail, utf8=utf8)
        cuts[place] = stop - kept
    return cuts


def _before_domains(octets: Octets, starts: Offsets, stops: Offsets) -> Offsets:
    cuts = stops.copy()
    if not len(starts):
        return cuts
    signs = _places_of(octets, ord("@"), int(starts[0]), int(stops[-1]))
    if not len(signs):
        return cuts
    nearest = np.searchsorted(signs, stops) - 1
    ats = np.where(nearest >= 0, signs[nearest], -1)
    sizes = stops - ats - 1
    has = ats >= starts
    kept = np.flatnonzero(has & (sizes > 0) & (sizes <= LONGEST_DOMAIN))
    cuts[kept] = ats[kept]
    strange = ~_IN_DOMAIN[octets[each_of(ats[kept] + 1, sizes[kept])]]
    doubtful = np.flatnonzero(has & (sizes > LONGEST_DOMAIN)).tolist()
    if strange.any():
        doubtful += np.unique(np.repeat(kept, sizes[kept])[strange]).tolist()
    for place in doubtful:  # blanks at the end, or no domain at all: one by one
        start, stop = int(starts[place]), int(stops[place])
        cuts[place] = start + _before_domain(octets[start:stop].tobytes())
    return cuts


def _places_of(octets: Octets, byte: int, start: int, stop: int) -> Offsets:
    """Where the byte stands, looked for in pieces, since a value may be of many megabytes."""
    step = 1 << 20
    return np.concatenate(
        [
            np.flatnonzero(octets[low : min(low + step, stop)] == byte) + low
            for low in range(start, stop, step)
        ]
        or [np.empty(0, np.int64)]
    )


def star_at_once(octets: Octets, starts: Offsets, sizes: Offsets) -> None:
    """Writes ``*`` over each range, in words, since a step of numpy costs the same for 8 bytes.

    A range ends with the range; the words within one may lie over each other.
    """
    for width in (8, 4, 2, 1):
        here = np.flatnonzero(sizes >= width)
        if len(here):
            words: Any = np.ndarray((len(octets) - width + 1,), f"u{width}", octets, 0, (1,))
            star = int.from_bytes(b"*" * width, "big")
            begins, left = starts[here], sizes[here]
            words[begins + left - width] = star
            while len(begins):
                words[begins] = star
                more = np.flatnonzero(left > 2 * width)
                begins, left = begins[more] + width, left[more] - width
        rest = np.flatnonzero(sizes < width)
        starts, sizes = starts[rest], sizes[rest]
        if not len(rest):
            return


def each_of(starts: Offsets, sizes: Offsets) -> Offsets:
    """Every offset of the ranges, one range after the other."""
    ends = np.cumsum(sizes)
    return np.repeat(starts - ends + sizes, sizes) + np.arange(ends[-1] if len(ends) else 0)
