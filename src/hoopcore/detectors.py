"""Named finders of sensitive text: bytes → spans.

Two steps.  ``Sweep.suspects`` looks at many rows at once, framing included, and says where
something could be.  It knows no borders of words, since between two cells there are length bytes
that can look like text, and no checksums.  ``Sweep.confirm`` looks at one cell around such a place
and is exact: borders, ranges, checksums.  There each kind looks with a pattern of its own, so that
what one kind rejects never hides what another would find.

First the exact finders, each with its loose pattern, then the two steps.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeAlias

import re2

from hoopcore.styles import DOMAIN_BYTES, LONGEST_DOMAIN

Buffer: TypeAlias = bytes | bytearray | memoryview


class Span(NamedTuple):
    """Where something sensitive stands.  The last ``keep`` bytes of it may be shown."""

    start: int
    stop: int
    kind: str
    keep: int = 0


_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1  # bytes are bytes, in any client encoding
_LATIN1.never_capture = True

# --- payment cards --------------------------------------------------------------------------------

# ISO/IEC 7812 numbers as issuers use them: prefixes from..to (inclusive), and lengths.
_ISSUERS: tuple[tuple[int, int, frozenset[int]], ...] = (
    (4, 4, frozenset({13, 16, 19})),  # Visa
    (51, 55, frozenset({16})),  # Mastercard
    (2221, 2720, frozenset({16})),
    (34, 34, frozenset({15})),  # American Express
    (37, 37, frozenset({15})),
    (300, 305, frozenset({14})),  # Diners Club
    (309, 309, frozenset({14})),
    (36, 36, frozenset({14})),
    (38, 39, frozenset({14})),
    (6011, 6011, frozenset({16, 19})),  # Discover
    (644, 659, frozenset({16, 19})),
    (3528, 3589, frozenset({16, 19})),  # JCB
    (62, 62, frozenset({16, 17, 18, 19})),  # UnionPay
    (2200, 2204, frozenset({16})),  # Mir
    (5018, 5018, frozenset(range(12, 20))),  # Maestro
    (5020, 5020, frozenset(range(12, 20))),
    (5038, 5038, frozenset(range(12, 20))),
    (5893, 5893, frozenset(range(12, 20))),
    (6304, 6304, frozenset(range(12, 20))),
    (6759, 6759, frozenset(range(12, 20))),
    (6761, 6763, frozenset(range(12, 20))),
)
_SHORTEST, _LONGEST = 12, 19


def _lengths_by_prefix() -> dict[bytes, frozenset[int]]:
    """For every four first digits, the lengths a card that begins so can have."""
    table: dict[bytes, frozenset[int]] = {}
    for low, high, lengths in _ISSUERS:
        digits = 4 - len(str(low))
        for prefix in range(low * 10**digits, (high + 1) * 10**digits):
            key = b"%04d" % prefix
            table[key] = table.get(key, frozenset()) | lengths
    return table


_LENGTHS = _lengths_by_prefix()
_NO_LENGTHS: frozenset[int] = frozenset()

# What doubling makes of each digit in Luhn's sum: 0 2 4 6 8 1 3 5 7 9.
_DOUBLED = bytes.maketrans(b"0123456789", b"0246813579")


def _luhn(digits: bytes) -> bool:
    """Whether the last digit is the check digit of those before it (ISO/IEC 7812-1, annex B)."""
    last = digits[::-1]
    total = sum(last[0::2]) + sum(last[1::2].translate(_DOUBLED))
    return (total - 48 * len(digits)) % 10 == 0  # 48: ord("0"), once in every summand


def is_card(digits: bytes) -> bool:
    """Whether these ASCII digits are a number some issuer could have given out."""
    return len(digits) in _LENGTHS.get(digits[:4], _NO_LENGTHS) and _luhn(digits)


# Digits with at most one blank or dash between two of them: as many as there are.
_CARD_RUN = rb"[0-9](?:[ -]?[0-9]){11,}"
_LINEAR_RUNS = re2.compile(_CARD_RUN, _LATIN1)
_SHORT_RUNS = re.compile(_CARD_RUN)
# The standard library answers a short text in a third of RE2's time, and is not bounded on a long.
_SHORT_TEXT = 4096
_GROUP = re.compile(rb"[0-9]+")
_ONE_NUMBER = re.compile(rb"[0-9]{12,19}|[0-9]{4}(?:[ -][0-9]{2,7}){2,7}")


def _cards(data: bytes) -> Iterator[Span]:
    """Card numbers that begin and end where a group of digits does.

    A number is one group of 12 to 19 digits, or several: a first one of 4 and others of 2 to 7.
    """
    runs = _SHORT_RUNS if len(data) <= _SHORT_TEXT else _LINEAR_RUNS
    for run in runs.finditer(data):
        base, end = run.span()
        text = data[base:end]
        if _ONE_NUMBER.fullmatch(text) and is_card(text.translate(None, b" -")):
            yield Span(base, end, "card", 4)  # most are: nothing stands beside the number
            continue
        groups = [match.span() for match in _GROUP.finditer(text)]
        first = 0
        while first < len(groups):
            last = _card_from(text, groups, first)
            if last is None:
                first += 1
                continue
            yield Span(base + groups[first][0], base + groups[last][1], "card", 4)
            first = last + 1


def _card_from(text: bytes, groups: list[tuple[int, int]], first: int) -> int | None:
    """The last group of the longest card number that begins with this group."""
    start, stop = groups[first]
    digits = text[start:stop]
    found = first if is_card(digits) else None
    if len(digits) != 4:
        return found
    for place in range(first + 1, min(len(groups), first + 8)):
        start, stop = groups[place]
        digits += text[start:stop]
        if not 2 <= stop - start <= 7 or len(digits) > _LONGEST:
            break
        if len(digits) >= _SHORTEST and is_card(digits):
            found = place
    return found


# --- US social security numbers -------------------------------------------------------------------

_SSN = rb"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}"
_SSNS = re.compile(_SSN)
_DIGITS = frozenset(b"0123456789")
_JOINS = frozenset(b"-.")


def _ssns(data: bytes) -> Iterator[Span]:
    """Numbers AAA-GG-SSSS that can have been given out: not 000, 666 or 9xx, not 00, not 0000."""
    for match in _SSNS.finditer(data):
        start, stop = match.span()
        text = data[start:stop]
        possible = (
            text[3] == text[6]
            and text[:3] not in (b"000", b"666")
            and text[0] != ord("9")
            and text[4:6] != b"00"
            and text[7:] != b"0000"
        )
        if possible and _stands_alone(data, start, stop):
            yield Span(start, stop, "ssn", 4)


def _stands_alone(data: bytes, start: int, stop: int) -> bool:
    """Whether it is no part of a longer number, such as 001-123-45-6789."""
    before, after = data[max(0, start - 2) : start], data[stop : stop + 2]
    if before and (before[-1] in _DIGITS or (before[-1] in _JOINS and before[0] in _DIGITS)):
        return False
    return not (after and (after[0] in _DIGITS or (after[0] in _JOINS and after[-1] in _DIGITS)))


# --- e-mail addresses -----------------------------------------------------------------------------

# Both parts may hold bytes beyond ASCII (RFC 6531).  Quoted local parts are not looked for.
_EMAIL = rb"[A-Za-z0-9._%+'&!#$/=?^~\x80-\xfe-]@"
_LOCAL = bytes(sorted(DOMAIN_BYTES | frozenset(b"_%+'&!#$/=?^~")))
_DOMAIN = bytes(sorted(DOMAIN_BYTES))
_LONGEST_LOCAL = 256  # RFC 5321 says 64; forwarders write more
_LABELS = re.compile(rb"(?:[^.-](?:[^.]{0,61}[^.-])?\.)+[A-Za-z\x80-\xff][^.]{0,61}[^.0-9-]")


def _emails(data: bytes) -> Iterator[Span]:
    """Addresses local@domain, where the domain has a dot and does not end in a number."""
    at = data.find(b"@")
    while at >= 0:
        window = data[max(0, at - _LONGEST_LOCAL) : at]
        local = window[len(window.rstrip(_LOCAL)) :].lstrip(b".'")
        after = data[at + 1 : at + 2 + LONGEST_DOMAIN]
        domain = after[: len(after) - len(after.lstrip(_DOMAIN))].rstrip(b".-")
        if local and len(domain) <= LONGEST_DOMAIN and _LABELS.fullmatch(domain):
            yield Span(at - len(local), at + 1 + len(domain), "email", len(domain) + 1)
        at = data.find(b"@", at + 1)


# --- both steps -----------------------------------------------------------------------------------

# A loose pattern matches inside every hit, and never over a byte 0 or 255.
_FINDERS: dict[str, tuple[bytes, Callable[[bytes], Iterator[Span]]]] = {
    "card": (_CARD_RUN, _cards),
    "ssn": (_SSN, _ssns),
    "email": (_EMAIL, _emails),
}
KINDS = tuple(_FINDERS)
# No kind is found without nine digits or an @, which settles most texts at a fiftieth of the cost.
_NO_DIGITS = bytes(sorted(set(range(256)) - set(b"0123456789")))


def find(data: bytes, kinds: Iterable[str] = KINDS) -> list[Span]:
    """What is sensitive in this text, by start; spans of two kinds may overlap.

    The text is one cell (or one constant, one parameter): its ends are borders of words.
    """
    if b"@" not in data and len(data.translate(None, _NO_DIGITS)) < 9:
        return []
    return sorted(span for kind in kinds for span in _FINDERS[kind][1](data))


# No hit reaches further than this from a loose match inside it, or from one that overlaps it.
_REACH = max(_LONGEST_LOCAL, LONGEST_DOMAIN) + 64


class Sweep:
    """Some kinds together, over many rows at once."""

    def __init__(self, kinds: Iterable[str]) -> None:
        self.kinds = tuple(kinds)
        # One pass for all: twice as fast as asking a set which kinds there are and looking for
        # each.  A match may swallow the beginning of another kind's, but not its cell.
        loose = b"|".join(_FINDERS[kind][0] for kind in self.kinds)
        self._loose = re2.compile(loose, _LATIN1)

    @classmethod
    def of(cls, kinds: tuple[str, ...]) -> Sweep | None:
        """None for no kinds."""
        return cls(kinds) if kinds else None

    def suspects(self, data: Buffer, start: int, stop: int) -> list[tuple[int, int]]:
        """Places in ``data[start:stop]``, rising; every hit shares bytes with one.

        The last byte of such a place is in the hit's cell; the first ones may be of the length
        before it.  A place may just as well be nothing.
        """
        return [match.span() for match in self._loose.finditer(data, start, stop)]

    def confirm(
        self, data: Buffer, cell: tuple[int, int], places: list[tuple[int, int]]
    ) -> list[Span]:
        """The hits of a cell at these places, by start; offsets are those of ``data``."""
        found: list[Span] = []
        for near in _together(places):
            low = max(cell[0], near[0][0] - _REACH)
            text = bytes(data[low : min(cell[1], near[-1][1] + _REACH)])
            stops = [stop for _, stop in near]
            for kind in self.kinds:
                for start, stop, _, keep in _FINDERS[kind][1](text):
                    # What lies at no place is an end of something that was cut with the text.
                    place = bisect_right(stops, low + start)
                    if place < len(near) and near[place][0] < low + stop:
                        found.append(Span(low + start, low + stop, kind, keep))
        return sorted(found)


def _together(places: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """The places in groups whose surroundings overlap, so that no byte is looked at twice."""
    near = places[:1]
    for place in places[1:]:
        if place[0] - near[-1][1] > 2 * _REACH:
            yield near
            near = []
        near.append(place)
    if near:
        yield near
