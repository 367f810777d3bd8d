"""Payment card numbers: ISO/IEC 7812 as issuers use it, with Luhn's check digit."""

from __future__ import annotations

import re
from collections.abc import Iterator

import re2

from hoopcore.detectors.checksums import luhn
from hoopcore.detectors.ibans import LENGTHS
from hoopcore.detectors.spans import LATIN1, Kind, Span

# Prefixes from..to (inclusive), and lengths.
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


def is_card(digits: bytes) -> bool:
    """Whether these ASCII digits are a number some issuer could have given out."""
    return len(digits) in _LENGTHS.get(digits[:4], _NO_LENGTHS) and luhn(digits)


# Digits with at most one blank or dash between two of them: as many as there are.
_CARD_RUN = rb"[0-9](?:[ -]?[0-9]){11,}"
_LINEAR_RUNS = re2.compile(_CARD_RUN, LATIN1)
_SHORT_RUNS = re.compile(_CARD_RUN)
# The standard library answers a short text in a third of RE2's time, and is not bounded on a long.
_SHORT_TEXT = 4096
_GROUP = re.compile(rb"[0-9]+")
_PLUS = ord("+")
# Another number before it, which can be no part of it.
_BEHIND_ONE = re.compile(
    rb"(?:[0-9]{1,3}|[0-9]{5,11})[ -]([0-9]{16}|[0-9]{4}([ -])(?:[0-9]{4}\2){2}[0-9]{4})"
)
_ONE_NUMBER = re.compile(rb"[0-9]{12,19}|[0-9]{4}(?:[ -][0-9]{2,7}){2,7}")


def _cards(data: bytes) -> Iterator[Span]:
    """Card numbers that begin and end where a group of digits does.

    A number is one group of 12 to 19 digits, or several: a first one of 4 and others of 2 to 7.
    What goes on in fours is a longer number, the groups of an IBAN are none, and + begins a phone
    number, which has 15 digits at most.
    """
    runs = _SHORT_RUNS if len(data) <= _SHORT_TEXT else _LINEAR_RUNS
    for run in runs.finditer(data):
        base, end = run.span()
        text = data[base:end]
        called = base > 0 and data[base - 1] == _PLUS
        if _ONE_NUMBER.fullmatch(text) and is_card(text.translate(None, b" -")):
            if called and len(text) <= 15:
                continue
            yield Span(base, end, "card", 4)  # most are: nothing stands beside the number
            continue
        in_iban = data[max(0, base - 2) : base] in LENGTHS
        behind = None if in_iban else _BEHIND_ONE.fullmatch(text)
        if behind is not None and is_card(behind[1].translate(None, b" -")):
            yield Span(base + behind.start(1), end, "card", 4)
            continue
        groups = [match.span() for match in _GROUP.finditer(text)]
        first = 0
        if groups[0][1] == 2 and in_iban:
            first = len(groups)
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
    if found is None or found == first or found + 1 == len(groups):
        return found
    gap, following = groups[found][1], groups[found + 1]
    goes_on = following[1] - following[0] == 4 == groups[found][1] - groups[found][0]
    return None if goes_on and text[gap] == text[groups[first][1]] else found


CARD = Kind("card", _CARD_RUN, _cards, digits=_SHORTEST)
