"""IBANs (ISO 13616): a country's length, and two check digits by MOD 97-10.

As they are written: in one piece or in groups of four, in capitals.  The registry's table of
lengths decides where a number ends, since letters may follow it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from hoopcore.detectors.checksums import iban
from hoopcore.detectors.spans import WORD, Kind, Span

# The IBAN registry (SWIFT, release 99), by length.
_BY_LENGTH = {
    15: "NO",
    16: "BE",
    18: "DK FI FK FO GL NL SD",
    19: "MK SI",
    20: "AT BA EE KZ LT LU MN XK",
    21: "CH CR HR LI LV",
    22: "BG BH DE GB GE IE ME RS VA",
    23: "AE GI IL IQ OM SO TL",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "LY PT ST",
    26: "IS TR",
    27: "BI DJ FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HN HU LB NI PL SV",
    29: "BR EG PS QA UA",
    30: "JO KW MU YE",
    31: "MT SC",
    32: "LC",
    33: "RU",
}
LENGTHS = {
    country.encode(): length for length, many in _BY_LENGTH.items() for country in many.split()
}

_LOOSE = rb"[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]){11}"
# Overlapping, since what looks like a beginning may be the word before one.
_BEGINS = re.compile(rb"(?<![0-9A-Za-z])(?=([A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]){11,30}))")
_LONGEST = 34 + 33  # with a blank between any two


def _ibans(data: bytes) -> Iterator[Span]:
    """Numbers of a country's length that end where a word does and whose check digits fit."""
    behind = 0
    for match in _BEGINS.finditer(data):
        start, text = match.start(1), match[1]
        wanted = LENGTHS.get(text[:2])
        if start < behind or wanted is None:
            continue
        stop = _end_of(text, wanted)
        if stop is None or (start + stop < len(data) and data[start + stop] in WORD):
            continue
        if iban(text[:stop].translate(None, b" -")):
            behind = start + stop
            yield Span(start, behind, "iban", 4)


def _end_of(text: bytes, wanted: int) -> int | None:
    """Behind so many letters and digits; None where there are fewer."""
    plain = 0
    for place, byte in enumerate(text):
        plain += byte in WORD
        if plain == wanted:
            return place + 1
    return None


IBAN = Kind("iban", _LOOSE, _ibans, digits=2, reach=_LONGEST + 8)
