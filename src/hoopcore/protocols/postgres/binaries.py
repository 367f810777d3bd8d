"""Cells in which the quick look over many rows sees nothing: numbers in binary, bytea, and parts.

Each is brought into the text that a person would read, and that is looked at.  Where something is
found the cell becomes NULL, since a number with stars is none.

Order of the file: the one entry; numbers; bytea; arrays, rows and hstore.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hoopcore.detectors import Sweep
from hoopcore.form_arrays import parts
from hoopcore.watches import Watch


def hard_hits(
    sweep: Sweep, watch: Watch, chunk: bytearray, starts: Sequence[int], stops: Sequence[int]
) -> list[tuple[int, str]]:
    """Which of the cells hold a hit, by place, and of which kind the first one is."""
    if watch is Watch.INET:
        return [(place, "ip") for place in range(len(starts))] if "ip" in sweep.kinds else []
    if watch is Watch.INT8:
        return _int8s(sweep.numbers, chunk, starts, stops) if sweep.numbers is not None else []
    if watch is Watch.NUMERIC and sweep.numbers is None:
        return []
    found = []
    for place, (start, stop) in enumerate(zip(starts, stops, strict=True)):
        if watch is Watch.NUMERIC:
            kind = _in_numeric(sweep, bytes(chunk[start:stop]))
        elif watch is Watch.BYTEA:
            kind = _in_bytea(sweep, chunk, start, stop)
        else:
            kind = _in_parts(sweep, bytes(chunk[start:stop]))
        if kind:
            found.append((place, kind))
    return found


def _first(sweep: Sweep | None, text: bytes) -> str:
    """The kind of the first hit in a text; empty where there is none."""
    found = sweep.find(text) if sweep is not None else []
    return found[0].kind if found else ""


# --- numbers --------------------------------------------------------------------------------------

_INT8 = struct.Struct("!q")
_FEW = 16


def _int8s(
    sweep: Sweep, chunk: bytearray, starts: Sequence[int], stops: Sequence[int]
) -> list[tuple[int, str]]:
    """The int8 of so many cells; those of another width are none."""
    low = 10**sweep.digits // 10
    if len(starts) > _FEW:
        places = np.asarray(starts, np.int64)
        octets: Any = np.frombuffer(chunk, np.uint8)
        wide = np.asarray(stops, np.int64) - places == 8
        values = octets[np.where(wide, places, 0)[:, None] + np.arange(8)].view(">i8").reshape(-1)
        chosen = np.flatnonzero(wide & ((values >= low) | (values <= -low))).tolist()
        numbers = [int(values[place]) for place in chosen]
    else:
        chosen = [place for place in range(len(starts)) if stops[place] - starts[place] == 8]
        numbers = [_INT8.unpack_from(chunk, starts[place])[0] for place in chosen]
    found = []
    for place, number in zip(chosen, numbers, strict=True):
        if abs(number) >= low and (kind := _first(sweep, b"%d" % number)):
            found.append((place, kind))
    return found


_HEAD = struct.Struct("!hhHh")  # digits of base 10,000, weight of the first, sign, scale
# Beyond any number that somebody was given: a numeric may have 131,072 digits.
_MOST_DIGITS = 40


def numeric_text(value: bytes) -> bytes:
    """A numeric as text; empty where it is none, or has more digits than any hit."""
    if len(value) < 8:
        return b""
    count, weight, sign, scale = _HEAD.unpack_from(value)
    if len(value) != 8 + 2 * count or sign not in (0, 0x4000) or not 0 <= weight < 10 > count >= 0:
        return b""
    groups = struct.unpack_from(f"!{count}H", value, 8)
    digits = "".join(f"{group:04d}" for group in groups).ljust(4 * (weight + 1), "0")
    whole = digits[: 4 * (weight + 1)].lstrip("0") or "0"
    fraction = digits[4 * (weight + 1) :].ljust(scale, "0")[: max(0, scale)]
    return f"{'-' if sign else ''}{whole}{'.' if fraction else ''}{fraction}"[:99].encode()


def _in_numeric(sweep: Sweep, value: bytes) -> str:
    return _first(sweep.numbers, numeric_text(value))


# --- bytea ----------------------------------------------------------------------------------------

_STRANGE = bytes(byte for byte in range(32) if byte not in b"\t\n\r\f") + b"\x7f\xff"
_HEAD_SIZE = 64
_HEX = re.compile(rb"(?:[0-9a-f]{2})+")


def _is_text(data: bytes | bytearray) -> bool:
    """Whether it could be text for people: a beginning without control characters, then all."""
    head = data[:_HEAD_SIZE]
    return len(head.translate(None, _STRANGE)) == len(head) and len(
        data.translate(None, _STRANGE)
    ) == len(data)


def _in_bytea(sweep: Sweep, chunk: bytearray, start: int, stop: int) -> str:
    r"""Bytes that are text, as they are, or in hex behind \x."""
    if chunk[start : start + 2] == b"\\x":
        # Only pairs of digits are hex; the head first, since most are no text.
        if not _is_text(_unhexed(chunk, start + 2, min(stop, start + 2 + 2 * _HEAD_SIZE))):
            return ""
        text = _unhexed(chunk, start + 2, stop)
        if not text:
            text = bytes(chunk[start:stop])
    else:
        if not _is_text(chunk[start : min(stop, start + _HEAD_SIZE)]):
            return ""
        text = bytes(chunk[start:stop])
    if not _is_text(text) or not sweep.may_hold(text):
        return ""
    return _first(sweep, text)


def _unhexed(chunk: bytearray, start: int, stop: int) -> bytes:
    try:
        return bytes.fromhex(chunk[start:stop].decode("ascii"))
    except ValueError:
        return b""


# --- arrays, rows, hstore -------------------------------------------------------------------------

_DEEPEST = 8
_SHORTEST = 12  # of anything that has parts with something in them
_COUNT = struct.Struct("!i")
_TYPE_AND_LENGTH = struct.Struct("!Ii")
_MOST_FIELDS = 1664  # of a row, in PostgreSQL
_ARRAY_HEAD = struct.Struct("!iiI")


def _in_parts(sweep: Sweep, value: bytes) -> str:
    """The kind of the first hit in any part; of what has no known parts, in the whole."""
    if len(value) >= _SHORTEST:
        for kind in _kinds(sweep, value, 0, _DEEPEST):
            if kind:
                return kind
    return _first(sweep, value) if sweep.may_hold(value) else ""


def _kinds(sweep: Sweep, value: bytes, type_oid: int, depth: int) -> Iterator[str]:
    """What is found in a value of this type (0: not known), and in its parts."""
    if type_oid == 20 and len(value) == 8:
        yield _first(sweep.numbers, b"%d" % _INT8.unpack(value)[0])
        return
    if type_oid == 1700:
        yield _in_numeric(sweep, value)
        return
    if type_oid in (650, 869):
        yield "ip" if "ip" in sweep.kinds else ""
        return
    if depth and len(value) >= _SHORTEST:
        for found in (_fields(value), _elements(value), _pairs(value)):
            for oid, start, stop in found or ():
                yield from _kinds(sweep, value[start:stop], oid, depth - 1)
    if type_oid and sweep.may_hold(value):
        yield _first(sweep, value)


_Parts = list[tuple[int, int, int]]  # type, start, stop


def _fields(value: bytes) -> _Parts | None:
    """The fields of a row: how many, then type, length and bytes of each."""
    (count,) = _COUNT.unpack_from(value)
    if not 0 < count <= _MOST_FIELDS:
        return None
    place = 4
    found: _Parts = []
    for _ in range(count):
        if place + 8 > len(value):
            return None
        oid, length = _TYPE_AND_LENGTH.unpack_from(value, place)
        place += 8
        if length < -1 or place + length > len(value):
            return None
        if length > 0:
            found.append((oid, place, place + length))
            place += length
    return found if place == len(value) else None


def _elements(value: bytes) -> _Parts | None:
    """The elements of an array, which are all of one type."""
    try:
        _, _, oid = _ARRAY_HEAD.unpack_from(value)
        return [(oid, start, stop) for start, stop in parts(value)]
    except ValueError:
        return None


def _pairs(value: bytes) -> _Parts | None:
    """Keys and values of an hstore: how many pairs, then length and bytes of each."""
    (count,) = _COUNT.unpack_from(value)
    place = 4
    found: _Parts = []
    while place + 4 <= len(value) and len(found) <= 2 * count:
        (length,) = _COUNT.unpack_from(value, place)
        place += 4
        if length < -1 or place + length > len(value):
            return None
        found.append((25, place, place + max(0, length)))
        place += max(0, length)
    return found if place == len(value) and len(found) == 2 * count else None
