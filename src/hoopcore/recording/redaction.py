"""Keeps out of a recording the values that masks keep out of rows.

A constant that may be a masked value is replaced by ``⟦kind:code⟧``.  The code is a keyed hash of
the value: the same value has the same code wherever it stands, so that two statements about one
customer can be told to be, and nobody without the key can try values against it.

Where a statement may meet a mask, only constants that the reading accounts for, and that stand
beside no masked column, are kept; a text that cannot be read loses all of them.  Detectors look at
every text, comments included.

Order of the file: a statement's text, its parameters, which constants go, finding constants.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from hoopcore.detectors import IN_RECORDINGS, Sweep
from hoopcore.statement import Literal, Reading

NOTHING: frozenset[str] = frozenset()
"""The names of masked columns where none can be met."""

ANY = "*"
"""In their place: any column may be masked."""

# What is kept of one text, and of one parameter.  The rest is told by its length and its code.
LARGEST_TEXT = 256 << 10
LARGEST_PARAMETER = 4 << 10
# A detector needs a little of what stands behind the cut to see a value that crosses it.
_OVERHANG = 256

_ALWAYS = Sweep(IN_RECORDINGS)


class _Hidden(NamedTuple):
    start: int
    stop: int
    kind: str


def redact(
    text: bytes,
    reading: Reading,
    masked: frozenset[str] = NOTHING,
    key: bytes | None = None,
    encoding: str = "UTF8",
    sweep: Sweep | None = None,
) -> str:
    """The text as it may be kept; ``key`` None keeps it exactly, but for its length.

    ``text`` is in that client_encoding, and the reading's offsets are into its UTF-8 form.
    ``masked`` names the masked columns whose values the statement may hold.  What ``sweep`` finds
    goes too, beside the kinds that no recording holds.
    """
    plain = _utf8(text, encoding)
    if key is None:
        return _shown(plain, [], None)
    if not masked:
        return _shown(plain, _detected(plain, sweep), key)
    hidden = _hidden(plain, reading, masked)
    if hidden is None:
        return _mark("text", plain, key)
    return _shown(plain, [*hidden, *_detected(plain, sweep)], key)


def redact_parameters(
    parameters: Sequence[bytes | None],
    formats: Sequence[int],
    masked: frozenset[str] = NOTHING,
    key: bytes | None = None,
    encoding: str = "UTF8",
    sweep: Sweep | None = None,
) -> tuple[str | None, ...]:
    """The parameters as they may be kept: NULL is None, what is no text is ``\\x`` and hex.

    Which parameter stands beside which column is not known, so where a mask may be met every one
    is replaced.  All together are bounded; those beyond the bound are told by one mark.
    """
    kept: list[str | None] = []
    room = LARGEST_TEXT
    for i, value in enumerate(parameters):
        if room <= 0:
            kept.append(f"⟦cut:{len(parameters) - i} parameters⟧")
            break
        binary = bool(formats[i]) if i < len(formats) else False
        shown = None if value is None else _parameter(value, binary, masked, key, encoding, sweep)
        room -= len(shown or "")
        kept.append(shown)
    return tuple(kept)


def _parameter(
    value: bytes,
    binary: bool,
    masked: frozenset[str],
    key: bytes | None,
    encoding: str,
    sweep: Sweep | None,
) -> str:
    plain = _utf8(value, encoding)
    if key is not None and masked:
        return _mark("value", plain, key)
    if (binary and not plain.isascii()) or b"\0" in plain:
        kind = _kind_in_binary(value, sweep) if key is not None else ""
        if key is not None and kind:
            return _mark(kind, value, key)
        rest = f"…⟦cut:{len(value)} bytes⟧" if len(value) > LARGEST_PARAMETER else ""
        return "\\x" + value[:LARGEST_PARAMETER].hex() + rest
    hidden = _detected(plain, sweep) if key is not None else []
    return _shown(plain, hidden, key, LARGEST_PARAMETER)


def _kind_in_binary(value: bytes, sweep: Sweep | None) -> str:
    """The kind of the first hit in bytes; eight of them may be a number, such as a card's."""
    hits = _detected(value, sweep)
    if hits or len(value) != 8:
        return hits[0].kind if hits else ""
    number = b"%d" % int.from_bytes(value, "big", signed=True)
    found = _detected(number, sweep)
    return found[0].kind if found else ""


# --- what goes ----------------------------------------------------------------------------------


def _hidden(plain: bytes, reading: Reading, masked: frozenset[str]) -> list[_Hidden] | None:
    """The constants to replace; None where it cannot be told what is one."""
    cut = len(plain) > LARGEST_TEXT
    plain = plain[: LARGEST_TEXT + _OVERHANG]
    unread = bool(reading.why)
    known = {} if unread else {(one.start, one.stop): one for one in reading.literals}
    hidden = [
        _Hidden(one.start, one.stop, _kind(one, masked))
        for one in known.values()
        if ANY in masked or ANY in one.columns or one.columns & masked
    ]
    covered = _Cover(list(known))
    behind = 0
    for token in _constants(plain):
        if token is None:
            if unread or not cut:
                return None
            # It was read as a whole, so what does not end here ends behind the cut.
            hidden.append(_Hidden(behind, len(plain), "value"))
        elif token.kind == "comment":
            if unread:
                hidden.append(token)
        elif not covered.holds(token.start, token.stop):
            hidden.append(token)
        behind = token.stop if token is not None else behind
    return hidden


class _Cover:
    """Whether a span lies inside one of many; asked in ascending order."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._spans = sorted(spans)
        self._at = 0
        self._upto = 0

    def holds(self, start: int, stop: int) -> bool:
        while self._at < len(self._spans) and self._spans[self._at][0] <= start:
            self._upto = max(self._upto, self._spans[self._at][1])
            self._at += 1
        return stop <= self._upto


_SIMPLE = re.compile(r"[A-Za-z0-9_ .-]{1,63}")


def _kind(literal: Literal, masked: frozenset[str]) -> str:
    """The column's name where there is one that can be shown, else ``value``."""
    names = literal.columns & masked or literal.columns
    name = next(iter(names)) if len(names) == 1 else ""
    return name if _SIMPLE.fullmatch(name) else "value"


def _detected(plain: bytes, sweep: Sweep | None) -> list[_Hidden]:
    looks = _ALWAYS if sweep is None else sweep.for_recordings
    found = looks.find(plain[: LARGEST_TEXT + _OVERHANG])
    return [_Hidden(span.start, span.stop, span.kind) for span in found]


def _shown(
    plain: bytes, hidden: list[_Hidden], key: bytes | None, limit: int = LARGEST_TEXT
) -> str:
    """The text with marks for what is hidden, cut before anything that crosses the limit."""
    if not hidden and len(plain) <= limit:
        return _text(plain)
    parts: list[str] = []
    at = 0
    cut = len(plain) if len(plain) <= limit else limit
    for span in _merged(hidden):
        if span.stop > cut:
            cut = min(cut, span.start)
            break
        parts.append(_text(plain[at : span.start]))
        parts.append(_mark(span.kind, plain[span.start : span.stop], key or b""))
        at = span.stop
    parts.append(_text(plain[at:cut]))
    if cut < len(plain):
        rest = plain[cut:]
        parts.append(f"…⟦cut:{len(rest)} bytes:{_code(rest, key) if key else _digest(rest)}⟧")
    return "".join(parts)


def _merged(hidden: list[_Hidden]) -> Iterator[_Hidden]:
    """In order, those that overlap as one."""
    last: _Hidden | None = None
    for span in sorted(hidden):
        if last is None:
            last = span
        elif span.start < last.stop:
            last = _Hidden(last.start, max(last.stop, span.stop), last.kind)
        else:
            yield last
            last = span
    if last is not None:
        yield last


def _mark(kind: str, value: bytes, key: bytes) -> str:
    return f"⟦{kind}:{_code(_bare(value), key)}⟧"


def _code(value: bytes, key: bytes) -> str:
    # 48 bits: two values of one recording hardly ever share a code, and the code is short to read.
    return hmac.digest(key, value, "sha256").hex()[:12]


def _digest(value: bytes) -> str:
    return hmac.digest(b"", value, "sha256").hex()[:12]


_QUOTED = re.compile(rb"(?s)(?:[eEbBxXnN]|[uU]&)?'(.*)'")
_DOLLARS = re.compile(rb"(?s)(\$[^$]*\$)(.*)\1")


def _bare(value: bytes) -> bytes:
    """The value of a constant as a parameter would carry it: without its quotes."""
    if (found := _QUOTED.fullmatch(value)) is not None:
        return found[1].replace(b"''", b"'")
    if (found := _DOLLARS.fullmatch(value)) is not None:
        return found[2]
    return value


# --- finding constants without understanding the text ---------------------------------------

_TOKEN = re.compile(
    rb"""(?xs)
      (?P<comment> --[^\r\n]*+ )
    | (?P<block> /\* )
    | (?P<dollar> \$(?:[A-Za-z_\x80-\xff][A-Za-z0-9_\x80-\xff]*+)?\$ )
    | (?P<parameter> \$\d++ )
    | (?P<escape> [eE]' (?: [^'\\]++ | '' | \\. )*+ ' )
    | (?P<string> (?:[bBxXnN]|[uU]&)? ' [^']*+ (?: '' [^']*+ )*+ ' )
    | (?P<name> " [^"]*+ (?: "" [^"]*+ )*+ " )
    | (?P<word> [A-Za-z_\x80-\xff][A-Za-z0-9_$\x80-\xff]*+ )
    | (?P<number> (?: \d [0-9A-Za-z_]*+ (?:\.[0-9_]*+)? | \.\d[0-9_]*+ ) (?:(?<=[eE])[+-]?\d++)?
                  (?: [eE][+-]?\d++ )? )
    | (?P<stray> ['"] )
    """
)
_BLOCK_EDGE = re.compile(rb"/\*|\*/")


def _constants(plain: bytes) -> Iterator[_Hidden | None]:
    """Strings, numbers and comments, in order; a last None where the quotes cannot be told."""
    at = 0
    while (found := _TOKEN.search(plain, at)) is not None:
        kind = found.lastgroup or ""
        at = found.end()
        stop: int | None = at
        if kind == "stray":
            stop = None
        elif kind == "block":
            stop = _block_end(plain, at)
        elif kind == "dollar":
            end = plain.find(found[0], at)
            stop = end + len(found[0]) if end >= 0 else None
        elif kind == "string" and b"\\'" in found[0]:
            stop = None  # where this string ends hangs on a setting
        if stop is None:
            yield None
            return
        at = stop
        if kind in ("comment", "block"):
            yield _Hidden(found.start(), at, "comment")
        elif kind in ("dollar", "escape", "string", "number"):
            yield _Hidden(found.start(), at, "value")


def _block_end(plain: bytes, at: int) -> int | None:
    """Behind the end of a block comment, which may hold others."""
    depth = 1
    while depth:
        found = _BLOCK_EDGE.search(plain, at)
        if found is None:
            return None
        depth += 1 if found[0] == b"/*" else -1
        at = found.end()
    return at


# --- encodings ------------------------------------------------------------------------------

_CODECS = {"UTF8": "utf-8", "UNICODE": "utf-8", "SQL_ASCII": "ascii", "KOI8R": "koi8-r"}


def _utf8(text: bytes, encoding: str) -> bytes:
    """The text in UTF-8; as it is where it is not of the encoding it should have."""
    if text.isascii():
        return text
    name = encoding.upper()
    codec = _CODECS.get(name) or ("cp" + name[3:] if name.startswith("WIN") else name)
    try:
        return text.decode(codec).encode()
    except (UnicodeError, LookupError):
        return text


def _text(plain: bytes) -> str:
    return plain.decode("utf-8", "backslashreplace")
