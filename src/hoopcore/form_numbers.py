"""Numbers rounded towards zero: at most half of the digits before the point stay, and at most two.

84312.55 is 84000.00, 842 is 800, 42 is 40 and 7 is 0, so no number is shown whole.  Of a number
below one, and of one with an exponent, the digits are counted from the first that is not 0.  The
length stays, so text is written over in place.  NaN and infinity are NULL.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import numpy as np

from hoopcore.styles import Octets, Offsets

_SHAPE = re.compile(rb"-?([0-9]+)(?:\.([0-9]+))?(?:[eE][+-]?[0-9]+)?")
_ZEROS = bytes.maketrans(b"123456789", b"000000000")


def _kept(digits: int) -> int:
    return min(2, digits // 2)


def _text(value: bytes) -> bytes | None:
    found = _SHAPE.fullmatch(value)
    if found is None:
        return None
    whole, fraction = found[1], found[2] or b""
    start, stop = found.start(1), found.end(2) if found[2] else found.end(1)
    if whole.strip(b"0") and stop == len(value):
        cut = start + _kept(len(whole))
    else:
        zeros = len(whole + fraction) - len((whole + fraction).lstrip(b"0"))
        kept = zeros + _kept(len(whole + fraction) - zeros)
        cut = start + kept + (kept > len(whole))  # the point, where it stands before the cut
    return value[:cut] + value[cut:stop].translate(_ZEROS) + value[stop:]


def _texts(octets: Octets, starts: Offsets, stops: Offsets) -> Offsets:
    nulls: list[int] = []
    sizes = stops - starts
    for size in np.unique(sizes).tolist():
        places = np.flatnonzero(sizes == size)
        if 0 < size <= 40:
            places = places[~_usual(octets, starts[places], size)]
        for place in places.tolist():
            start, stop = int(starts[place]), int(stops[place])
            left = _text(octets[start:stop].tobytes())
            if left is None:
                nulls.append(place)
            else:
                octets[start:stop] = np.frombuffer(left, np.uint8)
    return np.array(sorted(nulls), np.int64)


def _usual(octets: Octets, starts: Offsets, size: int) -> Any:
    """Overwrites numbers that do not begin with 0 and have no exponent; says which they were."""
    values = octets[starts[:, None] + np.arange(size)]
    digit = values - ord("0") < 10  # octets wrap around below "0"
    point = values == ord(".")
    minus = values[:, 0] == ord("-")
    others = ~digit & ~point
    others[:, 0] &= ~minus
    first = np.where(minus, 1, 0)
    points = point.sum(1)
    ends = np.where(points == 1, point.argmax(1), size)
    leading = values[np.arange(len(values)), np.minimum(first, size - 1)]
    are = ~others.any(1) & (points <= 1) & (ends > first) & (ends != size - 1)
    are &= leading - ord("1") < 9
    cuts = first + np.minimum(2, (ends - first) // 2)
    zeros = digit & (np.arange(size) >= cuts[:, None]) & are[:, None]
    rows, columns = np.nonzero(zeros)
    octets[starts[rows] + columns] = ord("0")
    return are


# --- binary ---------------------------------------------------------------------------------------

_POWERS = 10 ** np.arange(19, dtype=np.uint64)


def _integers(octets: Octets, starts: Offsets, stops: Offsets, *, width: int) -> Offsets:
    good = np.flatnonzero(stops - starts == width)
    places = starts[good]
    raw: Any = octets[places[:, None] + np.arange(width)]
    values = raw.view(f">i{width}").astype(np.int64).reshape(-1)
    sizes = np.where(values < 0, ~values, values).astype(np.uint64) + (values < 0)
    digits = np.searchsorted(_POWERS, sizes, "right")
    units = _POWERS[np.minimum(digits - np.minimum(2, digits // 2), 18)]
    rounded = (sizes // units * units).astype(np.int64)
    made = np.where(values < 0, -rounded, rounded).astype(f">i{width}")
    octets[places[:, None] + np.arange(width)] = made.view(np.uint8).reshape(-1, width)
    return np.flatnonzero(stops - starts != width)


def _integer(value: bytes, *, width: int) -> bytes | None:
    octets = np.frombuffer(bytearray(value), np.uint8)
    zero, end = np.zeros(1, np.int64), np.full(1, len(value), np.int64)
    return None if len(_integers(octets, zero, end, width=width)) else octets.tobytes()


def _float(value: bytes, *, shape: str) -> bytes | None:
    if len(value) != struct.calcsize(shape):
        return None
    (number,) = struct.unpack(shape, value)
    # As PostgreSQL writes it: the shortest text that means this number.
    left = _text(str(number if shape == "!d" else np.float32(number)).encode())
    return None if left is None else struct.pack(shape, float(left))


_HEAD = struct.Struct("!hhHh")  # digits of base 10,000, weight of the first, sign, scale


def _numeric(value: bytes) -> bytes | None:
    """A numeric as numeric_send writes it: digits of base 10,000, the first of them not 0."""
    if len(value) < 8:
        return None
    count, weight, sign, scale = _HEAD.unpack_from(value)
    if count < 0 or len(value) != 8 + 2 * count or sign not in (0, 0x4000):
        return None
    groups = list(struct.unpack_from(f"!{count}H", value, 8))
    if not groups:
        return value
    if not 0 < groups[0] < 10_000:
        return None
    leading = len(str(groups[0]))
    whole = leading + 4 * weight
    kept = _kept(whole if weight >= 0 else whole + scale)
    made = []
    for place, group in enumerate(groups):
        room = leading if place == 0 else 4
        unit = 10 ** max(0, room - max(0, kept))
        made.append(group // unit * unit if kept > 0 else 0)
        kept -= room
    return value[:8] + struct.pack(f"!{count}H", *made)


_Pair: TypeAlias = tuple[
    Callable[[bytes], bytes | None], Callable[[Octets, Offsets, Offsets], Offsets] | None
]


def _of(width: int) -> _Pair:
    return partial(_integer, width=width), partial(_integers, width=width)


_INT8, _INT2, _INT4, _FLOAT4, _FLOAT8, _NUMERIC = 20, 21, 23, 700, 701, 1700
NUMBERS: dict[tuple[int, int], _Pair] = {
    **{(kind, 0): (_text, _texts) for kind in (_INT8, _INT2, _INT4, _FLOAT4, _FLOAT8, _NUMERIC)},
    (_INT2, 1): _of(2),
    (_INT4, 1): _of(4),
    (_INT8, 1): _of(8),
    (_FLOAT4, 1): (partial(_float, shape="!f"), None),
    (_FLOAT8, 1): (partial(_float, shape="!d"), None),
    (_NUMERIC, 1): (_numeric, None),
}
"""By type and format: for one value, for a column at once."""
