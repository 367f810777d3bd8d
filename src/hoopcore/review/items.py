"""One question about one grant, from being asked to being proved.

Order of the file: the states and their moves, the item.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from hoopcore.model import Time


class ItemState(StrEnum):
    PENDING = "pending"
    DELEGATED = "delegated"  # somebody else is asked
    DECIDED = "decided"  # kept, and that is that
    AWAITING = "awaiting confirmation"
    CONFIRMED = "confirmed"
    OVERRIDDEN = "overridden"
    REMEDIATING = "remediating"  # taken away, and no refusal was seen yet
    VERIFIED = "verified"  # a refusal was seen
    FAILED = "failed"  # none was
    DEFAULTED = "defaulted"
    MOOT = "moot"  # the grant ended meanwhile
    UNDONE = "undone"  # taken back within the time there is for it


_S = ItemState
MOVES: Mapping[ItemState, frozenset[ItemState]] = {
    _S.PENDING: frozenset(
        {_S.DECIDED, _S.DELEGATED, _S.AWAITING, _S.REMEDIATING, _S.MOOT, _S.DEFAULTED}
    ),
    _S.DELEGATED: frozenset(
        {_S.DECIDED, _S.DELEGATED, _S.AWAITING, _S.REMEDIATING, _S.MOOT, _S.DEFAULTED}
    ),
    _S.AWAITING: frozenset({_S.CONFIRMED, _S.REMEDIATING, _S.MOOT}),
    _S.REMEDIATING: frozenset({_S.VERIFIED, _S.FAILED, _S.UNDONE}),
    _S.FAILED: frozenset({_S.VERIFIED}),
    **{
        state: frozenset()
        for state in (
            _S.DECIDED,
            _S.CONFIRMED,
            _S.OVERRIDDEN,
            _S.VERIFIED,
            _S.DEFAULTED,
            _S.MOOT,
            _S.UNDONE,
        )
    },
}
"""Which state may follow which.  ``decided`` and ``overridden`` are passed through on the way to
``remediating``; they are where an item stays only if nothing has to be taken away."""

OPEN = frozenset({_S.PENDING, _S.DELEGATED, _S.AWAITING, _S.REMEDIATING, _S.FAILED})
"""States in which a grant has no second item."""

DEPTH = 2
"""How often a question may be handed on."""


def may_move(old: ItemState, new: ItemState) -> bool:
    return new in MOVES[old]


@dataclass(frozen=True, slots=True)
class Item:
    """``path`` names everybody who was asked, the subject first and the reviewer last."""

    id: str
    grant: str
    subject: str  # Principal.id of whoever has the grant
    target: str
    state: ItemState
    made: Time
    path: tuple[str, ...] = ()
    answer: str = ""
    decision: str = ""  # id of the decision that made it what it is
    after: str = ""  # id of the grant that supersedes the one asked about
    scope: str = ""  # that was taken away from; what was granted before
    until: Time | None = None  # undone it may be until then
    proof: str = ""  # JSON of what the probe saw
    ended: Time | None = None  # when nothing was left to do

    @property
    def reviewer(self) -> str:
        return self.path[-1] if self.path else self.subject
