"""The two steps, for some kinds together.

``Sweep.suspects`` looks at many rows at once, framing included, and says where something could be.
It knows no borders of words, since between two cells there are length bytes that can look like
text, and no checksums.  ``Sweep.confirm`` looks at one cell around such a place and is exact:
borders, ranges, checksums.  There each kind looks with a pattern of its own, so that what one kind
rejects never hides what another would find.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any, TypeAlias

import re2

from hoopcore.detectors.cards import CARD
from hoopcore.detectors.credentials import AWS, GCP, GITHUB, JWT, PEM, SLACK
from hoopcore.detectors.ibans import IBAN
from hoopcore.detectors.networks import IP
from hoopcore.detectors.people import EMAIL, SSN
from hoopcore.detectors.phones import phone
from hoopcore.detectors.spans import LATIN1, NO_DIGITS, Buffer, Kind, Span

Places: TypeAlias = list[tuple[int, int]]

# In JSON any character may be written so: a place for whoever knows that a text is JSON.
_ESCAPE = rb"\\u00[2-7][0-9A-Fa-f]"

_FIXED = {
    kind.name: kind for kind in (CARD, SSN, EMAIL, IBAN, IP, JWT, AWS, GCP, GITHUB, SLACK, PEM)
}
KINDS = tuple(sorted((*_FIXED, "phone"), key=[*_FIXED, "phone"].index))
"""The names that masks.toml may switch on."""

IN_RECORDINGS = tuple(kind for kind in KINDS if kind not in ("phone", "ip"))
"""What no recording holds, switched on or not.  Addresses and telephones are evidence elsewhere."""


def kind_named(name: str) -> Kind:
    """The built-in kind of this name; ``phone`` with the regions that are tried by default."""
    return phone() if name == "phone" else _FIXED[name]


class Sweep:
    """Some kinds together, over many rows at once."""

    def __init__(self, kinds: Iterable[str | Kind]) -> None:
        found = [kind if isinstance(kind, Kind) else kind_named(kind) for kind in kinds]
        self._all = {kind.name: kind for kind in found}
        self.kinds = tuple(self._all)
        self._kinds = tuple(self._all.values())
        self.each = self._kinds
        self.reach = max((kind.reach for kind in found), default=0)
        self._splits = any(kind.splits for kind in found)
        # One pass for all: twice as fast as asking a set which kinds there are and looking for
        # each.  A match may swallow the beginning of another kind's, but not its cell.
        loose = b"|".join([*(kind.loose for kind in found), _ESCAPE])
        self._loose: Any = re2.compile(loose, LATIN1)
        # The wrapper's iterator takes twice as long as what it wraps.
        self._match: Any = getattr(getattr(self._loose, "_regexp", None), "Match", None)

    @classmethod
    def of(cls, kinds: Sequence[str | Kind]) -> Sweep | None:
        """None for no kinds."""
        return cls(kinds) if kinds else None

    @cached_property
    def for_recordings(self) -> Sweep:
        """These kinds and those that no recording holds."""
        return Sweep((*self._all.values(), *(k for k in IN_RECORDINGS if k not in self._all)))

    @cached_property
    def with_all(self) -> Sweep:
        """These kinds and every built-in one."""
        return Sweep((*self._all.values(), *(k for k in KINDS if k not in self._all)))

    @cached_property
    def numbers(self) -> Sweep | None:
        """Those kinds that may be a bare number: cards, and what is not built in."""
        kinds = [k for k in self._all.values() if k.name == "card" or k.name not in KINDS]
        return Sweep(kinds) if kinds else None

    @cached_property
    def plain_mail(self) -> bool:
        """Whether a place that ends with @, alone in its cell, is an e-mail address's or nobody's.

        The other built-in kinds have a place of their own in front of one.
        """
        return "email" in self._all and not self._splits

    @cached_property
    def digits(self) -> int:
        """A text with fewer digits has no hit of any kind."""
        return min((kind.digits for kind in self._all.values()), default=0)

    def suspects(self, data: Buffer, start: int, stop: int) -> Places:
        """Places in ``data[start:stop]``, rising; every hit shares bytes with one.

        The last byte of such a place is in the hit's cell; the first ones may be of the length
        before it.  A place may just as well be nothing.
        """
        if self._match is None:
            places = [match.span() for match in self._loose.finditer(data, start, stop)]
        else:
            places = self._quickly(data, start, stop)
        return list(_split(data, places)) if self._splits else places

    def _quickly(self, data: Buffer, start: int, stop: int) -> Places:
        match, anchor = self._match, _UNANCHORED
        places: Places = []
        while True:
            span = match(anchor, data, start, stop)[0]
            if span[0] < 0:
                return places
            places.append(span)
            start = span[1]

    def may_hold(self, data: bytes) -> bool:
        """Whether there is any suspect in this text."""
        if self._match is None:
            return self._loose.search(data) is not None
        found: bool = self._match(_UNANCHORED, data, 0, len(data))[0][0] >= 0
        return found

    def confirm(self, data: Buffer, cell: tuple[int, int], places: Places) -> list[Span]:
        """The hits of a cell at these places, by start; offsets are those of ``data``."""
        first, last = cell
        reach = self.reach
        if not places:
            return []
        if places[-1][1] - places[0][0] <= reach or len(places) == 1:
            return self._near(data, first, last, places)
        found: list[Span] = []
        for near in _together(places, reach):
            found += self._near(data, first, last, near)
        return sorted(found)

    def _near(self, data: Buffer, first: int, last: int, places: Places) -> list[Span]:
        """The hits around places that stand close together."""
        low, high = places[0][0] - self.reach, places[-1][1] + self.reach
        if low < first:
            low = first
        if high > last:
            high = last
        text = bytes(data[low:high])
        digits = len(text.translate(None, NO_DIGITS))
        found: list[Span] = []
        for _, _, find, least, needs, _, ahead, _ in self._kinds:
            if digits < least or (needs and not _has(text, needs)):
                continue
            far = text
            if ahead and high < last:
                far = bytes(data[low : min(last, high + ahead)])
            for start, stop, name, keep in find(far):
                # What lies at no place is an end of something that was cut with the text.
                if _touches(places, low + start, low + stop):
                    found.append(Span(low + start, low + stop, name, keep))
        if len(found) > 1:
            found.sort()
        return found

    def find(self, data: bytes) -> list[Span]:
        """What is sensitive in this text, by start; spans of two kinds may overlap.

        The text is one cell (or one constant, one parameter): its ends are borders of words.
        """
        if len(self._kinds) > _FEW and not self.may_hold(data):
            return []
        digits = len(data.translate(None, NO_DIGITS))
        found: list[Span] = []
        for _, _, find, least, needs, _, _, _ in self._kinds:
            if digits >= least and (not needs or _has(data, needs)):
                found += find(data)
        if len(found) > 1:
            found.sort()
        return found


_FEW = 3  # kinds whose conditions are asked sooner than one pattern for all
_UNANCHORED = getattr(getattr(re2, "_Anchor", None), "UNANCHORED", None)


def _has(text: bytes, needs: tuple[bytes, ...]) -> bool:
    for one in needs:  # noqa: SIM110 - any() of a generator takes three times as long
        if one in text:
            return True
    return False


def _touches(places: Places, start: int, stop: int) -> bool:
    if len(places) == 1:
        return places[0][0] < stop and start < places[0][1]
    place = bisect_right(places, start, key=_stop)
    return place < len(places) and places[place][0] < stop


def _stop(place: tuple[int, int]) -> int:
    return place[1]


def _together(places: Places, reach: int) -> Iterator[Places]:
    """The places in groups whose surroundings overlap, so that no byte is looked at twice."""
    near = places[:1]
    for place in places[1:]:
        if place[0] - near[-1][1] > 2 * reach:
            yield near
            near = []
        near.append(place)
    if near:
        yield near


def _split(data: Buffer, places: Places) -> Iterator[tuple[int, int]]:
    """The places, cut where a length stands between two cells."""
    for start, stop in places:
        text = bytes(data[start:stop]).replace(b"\xff", b"\0")
        if b"\0" not in text:
            yield start, stop
            continue
        at = start
        for piece in text.split(b"\0"):
            if piece:
                yield at, at + len(piece)
            at += len(piece) + 1


_SWEEPS: dict[tuple[str, ...], Sweep] = {}


def find(data: bytes, kinds: Iterable[str] = KINDS) -> list[Span]:
    """As ``Sweep.find``, with these built-in kinds."""
    names = tuple(kinds)
    sweep = _SWEEPS.get(names)
    if sweep is None:
        sweep = _SWEEPS[names] = Sweep(names)
    return sweep.find(data)
