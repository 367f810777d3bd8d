"""Dates of which only the year stays: the first of January of that year, at midnight.

Text is written over in place, and only in ISO form: DateStyle may say otherwise.  The offset of a
time zone becomes +00, since summer time would tell half of the year.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from hoopcore.styles import Octets, Offsets

_DATE, _TIMESTAMP, _TIMESTAMPTZ = 1082, 1114, 1184

_ISO = re.compile(
    rb"[0-9]{4,}-([0-9]{2}-[0-9]{2})"
    rb"(?: ([0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?)([+-][0-9]{2}(?::[0-9]{2}){0,2})?)?(?: BC)?"
)
_ZEROS = bytes.maketrans(b"123456789-", b"000000000+")


def _text(value: bytes) -> bytes | None:
    found = _ISO.fullmatch(value)
    if found is None:
        return None
    day = b"01-01"
    start, stop = found.span(1)
    return value[:start] + day + _midnight(value, stop, found.end(3))


def _midnight(value: bytes, start: int, stop: int) -> bytes:
    """The rest with every digit 0, up to the end of the offset."""
    if stop < 0:  # without an offset: what may follow a time are letters
        return value[start:].translate(_ZEROS)
    return value[start:stop].translate(_ZEROS) + value[stop:]


_LONGEST = 40  # far more than any date has


def _texts(octets: Octets, starts: Offsets, stops: Offsets) -> Offsets:
    """Values of one length at a time; those that are not of the usual form one by one."""
    nulls: list[int] = []
    sizes = stops - starts
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size)
        if size <= _LONGEST:
            places = places[~_usual(octets, starts[places], size)]
        for place in places.tolist():
            start, stop = int(starts[place]), int(stops[place])
            left = _text(octets[start:stop].tobytes())
            if left is None:
                nulls.append(place)
            else:
                octets[start:stop] = np.frombuffer(left, np.uint8)
    return np.array(sorted(nulls), np.int64)


_USUAL = b"dddd-dd-dd dd:dd:dd.dddddd"
_AS_WRITTEN = b"    -01-01 00:00:00.000000"
_ZONE = 3  # +dd


def _usual(octets: Octets, starts: Offsets, size: int) -> Any:
    """Overwrites YYYY-MM-DD, with or without a time and a zone of hours; says which they were."""
    are = np.zeros(len(starts), bool)
    if size >= 19 + _ZONE:
        signs = octets[starts + size - _ZONE]
        zoned = np.flatnonzero((signs == ord("+")) | (signs == ord("-")))
        if len(zoned):
            are[zoned] = _overwritten(octets, starts[zoned], size, b"-dd", b"+00")
    rest = np.flatnonzero(~are)
    are[rest] = _overwritten(octets, starts[rest], size)
    return are


def _overwritten(
    octets: Octets, starts: Offsets, size: int, zone: bytes = b"", zero: bytes = b""
) -> Any:
    plain = size - len(zone)
    if plain not in (10, 19) and not 21 <= plain <= len(_USUAL):
        return np.zeros(len(starts), bool)
    shape = np.frombuffer(_USUAL[:plain] + zone, np.uint8)
    values = octets[starts[:, None] + np.arange(size)]
    digit = shape == ord("d")
    are = (values[:, digit] - ord("0") < 10).all(1)  # octets wrap around below "0"
    others = np.flatnonzero(~digit)
    others = others[others < plain]
    are &= (values[:, others] == shape[others]).all(1)
    written = np.frombuffer(_AS_WRITTEN[4:plain] + zero, np.uint8)
    octets[starts[are, None] + np.arange(4, size)] = written
    return are


# --- binary ---------------------------------------------------------------------------------------

_EPOCH = np.datetime64("2000-01-01", "D")
_DAY = 86_400_000_000  # microseconds


def _binaries(octets: Octets, starts: Offsets, stops: Offsets, *, width: int) -> Offsets:
    """Days, or microseconds, since 2000-01-01."""
    good = np.flatnonzero(stops - starts == width)
    places = starts[good]
    raw: Any = octets[places[:, None] + np.arange(width)]
    values = raw.view(">i4" if width == 4 else ">i8").astype(np.int64).reshape(-1)
    days = values if width == 4 else values // _DAY
    infinity = 2 ** (8 * width - 1) - 1  # the least value is infinity too, to the other side
    fine = (values != infinity) & (values != ~infinity)
    years = (_EPOCH + np.where(fine, days, 0)).astype("datetime64[Y]")
    first: Any = (years.astype("datetime64[D]") - _EPOCH).astype(np.int64)
    made = (first if width == 4 else first * _DAY).astype(">i4" if width == 4 else ">i8")
    octets[places[:, None] + np.arange(width)] = made.view(np.uint8).reshape(-1, width)
    nulls = np.ones(len(starts), bool)
    nulls[good[fine]] = False
    return np.flatnonzero(nulls)


def _binary(value: bytes, *, width: int) -> bytes | None:
    octets = np.frombuffer(bytearray(value), np.uint8)
    zero, end = np.zeros(1, np.int64), np.full(1, len(value), np.int64)
    return None if len(_binaries(octets, zero, end, width=width)) else octets.tobytes()


_Pair: TypeAlias = tuple[
    Callable[[bytes], bytes | None], Callable[[Octets, Offsets, Offsets], Offsets] | None
]


def _of(width: int) -> _Pair:
    return partial(_binary, width=width), partial(_binaries, width=width)


YEARS: dict[tuple[int, int], _Pair] = {
    **{(kind, 0): (_text, _texts) for kind in (_DATE, _TIMESTAMP, _TIMESTAMPTZ)},
    (_DATE, 1): _of(4),
    (_TIMESTAMP, 1): _of(8),
    (_TIMESTAMPTZ, 1): _of(8),
}
"""By type and format: for one value, for a column at once."""
