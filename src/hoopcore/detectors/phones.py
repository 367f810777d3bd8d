"""Telephone numbers: E.164 of any country, and the national forms of chosen regions.

``phonenumbers`` knows which numbers there are; its tables are asked, and not its parser, which
takes fifty times as long.  It is imported when this kind is switched on, and not before.

First the tables of one region, then the three forms in which a number is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache, partial
from typing import Any, NamedTuple

from hoopcore.detectors.spans import NO_DIGITS, Kind, Span

REGIONS = ("US", "GB", "DE", "FR")
"""Whose national forms are looked for, unless masks.toml says otherwise."""

_TYPES = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)


class _Plan(NamedTuple):
    """The numbers of one region."""

    code: bytes  # of the country
    prefix: bytes  # what stands before a national number when it is dialled at home
    numbers: re.Pattern[bytes]  # national numbers that can have been given out
    plain: re.Pattern[bytes]  # those that are told from other digits without any separator
    fixed: bool  # whether numbers have few lengths


_NOWHERE = "001"  # satellites and the like: codes without a region


@cache
def _plan(region: str) -> _Plan:
    from phonenumbers import PhoneMetadata

    tables: Any = PhoneMetadata.metadata_for_region(region)
    general = tables.general_desc.national_number_pattern
    kinds = [getattr(tables, name) for name in _TYPES]
    patterns = [
        rf"(?=(?:{general})$)(?:{one.national_number_pattern})"
        for one in kinds
        if one is not None and one.national_number_pattern
    ]
    # Where fixed lines have any length, as in Germany, any digits would do.
    fixed = len(tables.general_desc.possible_length) <= 3
    plain = patterns if fixed else patterns[1:2]
    return _Plan(
        str(tables.country_code).encode(),
        (tables.national_prefix or "").encode(),
        re.compile("|".join(patterns).encode()),
        re.compile("|".join(plain).encode()),
        fixed,
    )


@cache
def _by_code() -> dict[bytes, tuple[str, ...]]:
    from phonenumbers import COUNTRY_CODE_TO_REGION_CODE as REGIONS_OF

    return {str(code).encode(): regions for code, regions in REGIONS_OF.items() if regions}


def known_regions() -> frozenset[str]:
    """The regions of which there are tables: ISO 3166's two letters."""
    from phonenumbers import SUPPORTED_REGIONS

    return frozenset(SUPPORTED_REGIONS)


@cache
def _numbers_of(code: bytes) -> tuple[re.Pattern[bytes], ...]:
    """What the numbers of a country code look like, region by region; empty for no such code."""
    regions = _by_code().get(code, ())
    return tuple(_plan(region).numbers for region in regions if region != _NOWHERE)


def is_international(digits: bytes) -> bool:
    """Whether a number that is called as +DIGITS can have been given out."""
    for size in (1, 2, 3):
        patterns = _numbers_of(digits[:size])
        if patterns:
            number = digits[size:]
            return any(pattern.fullmatch(number) for pattern in patterns)
    return False


def is_national(digits: bytes, region: str, *, plain: bool = False) -> bool:
    """Whether it is a number at home there, with the prefix that is dialled there, if there is any.

    ``plain``: only a number that does not need its separators to be told from others.
    """
    plan = _plan(region)
    if not digits.startswith(plan.prefix):
        return False
    numbers = plan.plain if plain else plan.numbers
    return numbers.fullmatch(digits[len(plan.prefix) :]) is not None


# --- how they are written -------------------------------------------------------------------------

_GAP = rb"[ ()./-]"
_ABROAD = rb"\+[1-9](?:%b{0,3}[0-9]){6,14}" % _GAP
_AMERICAN = rb"[2-9][0-9]{2}(?:\)[ .-]?|[ .-]{1,2})[2-9][0-9]{2}[ .-][0-9]{4}"
_AMERICANS = re.compile(
    rb"(?<![0-9A-Za-z+])(?<![0-9][.-])(?:1[ .-])?"
    rb"\(?([2-9][0-9]{2})(?:\)[ .-]?|[ .-]{1,2})([2-9][0-9]{2})[ .-]([0-9]{4})"
    rb"(?![0-9A-Za-z]|[.-][0-9])"
)
_TOLD = rb"(?i:phone|mobile|cell|tel|fax|call)[A-Za-z.:=# \"']{1,10}[2-9][0-9]{9}"
_TOLDS = re.compile(
    rb"(?<![a-zA-Z])(?i:tele|mobile |cell )?(?i:phone|mobile|cell|tel|fax|call)(?i:number|no)?"
    rb"[.:=# \"']{1,5}"
    rb"([2-9][0-9]{9})(?![0-9A-Za-z]|[.-][0-9])"
)
# At home behind a 0; not the 026-01-02 03 within a timestamp, of which there are many.
_TRUNK = (
    rb"0[1-9](?:%b{1,3}[0-9]%b{0,3}[0-9]|[0-9](?:[0-9]|[ ()./]%b{0,2}[0-9]|-[0-9]{2}[0-9 ()./]))"
    rb"(?:%b{0,3}[0-9]){5,11}" % (_GAP, _GAP, _GAP, _GAP)
)
_DIALLED = rb"00[1-9](?:[0-9]|[ ()./])(?:%b{0,3}[0-9]){5}" % _GAP
# What may be one number: from abroad, at home behind a 0, or anywhere.
_RUNS = [
    re.compile(
        rb"(?:\+[1-9]|(?<![0-9A-Za-z+])(?<![0-9][.,:-])%b)(?:%b{0,3}[0-9]){6,18}" % (start, _GAP)
    )
    for start in (rb"00", rb"\(?0[0-9]", rb"\(?[0-9]")
]
_MOST_GROUPS = 8
_GROUPED = rb"[0-9]{2,4}(?:[ .-][0-9]{2,4}){2,5}"
_GROUP = re.compile(rb"[0-9]+")
_HOME_ZERO = re.compile(rb"\(0\)")  # +44 (0)20 …: not dialled from abroad


class _Search(NamedTuple):
    """What is looked for at home in some regions."""

    regions: tuple[str, ...]  # all but those of +1
    runs: re.Pattern[bytes]
    american: bool


def _search(regions: tuple[str, ...]) -> _Search:
    others = tuple(region for region in regions if _plan(region).code != b"1")
    anywhere = any(_plan(region).prefix != b"0" for region in others)
    return _Search(others, _RUNS[2 if anywhere else bool(others)], len(others) < len(regions))


def _phones(data: bytes, search: _Search) -> Iterator[Span]:
    """Numbers by rising start; of two that overlap the one that begins first."""
    found = list(_runs(data, search))
    if search.american and not (found and found[0].stop - found[0].start == len(data)):
        found += _americans(data)
    if len(found) < 2:
        yield from found
        return
    behind = -1
    for span in sorted(found, key=lambda one: (one.start, -one.stop)):
        if span.start >= behind:
            behind = span.stop
            yield span


def _americans(data: bytes) -> Iterator[Span]:
    """Numbers of the +1 countries: in three groups, or ten digits behind a word that says so."""
    for pattern in (_AMERICANS, _TOLDS):
        for match in pattern.finditer(data):
            if is_international(b"1" + b"".join(match.groups())):
                start = match.start() if pattern is _AMERICANS else match.start(1)
                yield Span(start, match.end(), "phone", 4)


def _runs(data: bytes, search: _Search) -> Iterator[Span]:
    """The longest number that begins each run of groups of digits."""
    place = 0
    while run := search.runs.search(data, place):
        stop = _longest(data, run.start(), run.end(), search.regions)
        if stop is not None:
            yield Span(run.start(), stop, "phone", 4)
        else:  # behind the first group, which may be another number that stands before it
            group = _GROUP.search(data, run.start())
            assert group is not None
            stop = group.end()
        place = stop


def _longest(data: bytes, start: int, stop: int, regions: tuple[str, ...]) -> int | None:
    """Where the longest number ends that begins here and ends where a group does."""
    text = data[start:stop]
    if stop == len(data) and _is_phone(text, regions):
        return stop  # most are: nothing stands behind the number
    groups = [match.end() for match in _GROUP.finditer(text)]
    for group in reversed(groups[:_MOST_GROUPS]):
        behind = data[start + group : start + group + 2]
        if behind[:1].isalnum() or (behind[:1] in (b".", b"-", b",") and behind[1:].isdigit()):
            if group == len(text):
                return None  # the run goes on, as something else
            continue
        if _is_phone(text[:group], regions):
            return start + group
    return None


# Social security numbers, dates, and what stands within a card number or an IBAN.
_OTHERS = ([3, 2, 4], [4, 2, 4], [4, 2, 2], [2, 2, 4], [4, 4, 4])


def _is_phone(text: bytes, regions: tuple[str, ...]) -> bool:
    if text[:1] == b"+":
        digits = (_HOME_ZERO.sub(b"", text) if b"(0)" in text else text).translate(None, NO_DIGITS)
        return 7 <= len(digits) <= 15 and is_international(digits)
    groups = _GROUP.findall(text)
    digits = b"".join(groups)
    dashes = text.count(b"-")
    if [len(group) for group in groups] in _OTHERS or (dashes and b"." in text):
        return False
    if digits[:2] == b"00":
        return 9 <= len(digits) <= 17 and len(groups) > 1 and is_international(digits[2:])
    if not 9 <= len(digits) <= 12:
        return False
    for region in regions:
        plan = _plan(region)
        if (not plan.prefix and len(groups) < 3) or (dashes > 1 and not plan.fixed):
            continue
        if is_national(digits, region, plain=len(groups) == 1):
            return True
    return False


def phone(regions: Iterable[str] = REGIONS) -> Kind:
    """The kind, for these regions; they are known ones."""
    chosen = tuple(dict.fromkeys(regions))
    plans = [_plan(region) for region in chosen]
    loose = [_ABROAD, _DIALLED]
    if any(plan.code == b"1" for plan in plans):
        loose += [_AMERICAN, _TOLD]
    if any(plan.prefix == b"0" for plan in plans):
        loose.append(_TRUNK)
    if any(plan.prefix not in (b"0", b"1") for plan in plans):
        loose.append(_GROUPED)
    find = partial(_phones, search=_search(chosen))
    return Kind("phone", b"|".join(loose), find, digits=7, reach=96)
