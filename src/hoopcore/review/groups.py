"""In which order grants are asked about, and which of them may be answered together.

Order of the file: the groups, which one a grant is in, the order, who is pulled out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from hoopcore.model import SECOND, Scope, Tier, Time

IDLE: Time = 60 * 86_400 * SECOND
"""So long without use, and a grant is idle."""


class Group(StrEnum):
    PRIVILEGED = "privileged"  # each by itself, always
    WIDE = "far wider than needed"
    IDLE = "no use seen for long"
    USED = "used, low risk"


SECONDS: Mapping[Group, int] = {
    Group.PRIVILEGED: 30,
    Group.WIDE: 12,
    Group.IDLE: 5,
    Group.USED: 4,
}
"""About how long one card takes."""

_ORDER = tuple(Group)
# What changes more than rows.
_PLAIN = frozenset({"read", "insert", "update", "delete", "copy_out", "copy_in", "lock"})


class Seen(NamedTuple):
    """What a grant's group hangs on."""

    tier: Tier
    granted: Scope
    begun: Time
    ends: Time
    last: Time | None  # use
    unsure: bool  # something of it could not be read, so nothing is said about use
    narrower: Scope | None


def group_of(seen: Seen, now: Time) -> Group:
    """Privileged: of a high tier, with columns in clear, or for more than changing rows.

    Where the scope is far wider than its use, that is said first of what is privileged by its verbs
    alone.
    """
    if seen.tier is Tier.HIGH or seen.granted.unmasks:
        return Group.PRIVILEGED
    if not seen.unsure and _is_idle(seen, now):
        return Group.IDLE
    if seen.narrower is not None:
        return Group.WIDE
    plain = all(atom.verb in _PLAIN for atom in seen.granted.atoms)
    return Group.USED if plain else Group.PRIVILEGED


def _is_idle(seen: Seen, now: Time) -> bool:
    """For 60 days; a shorter grant, for the first half of its time."""
    patience = min(IDLE, (seen.ends - seen.begun) // 2)
    return now - (seen.begun if seen.last is None else seen.last) >= patience


def ordered(group: Group) -> int:
    """Hardest first: who is tired decides what is easy."""
    return _ORDER.index(group)


def is_pulled(grant: str) -> bool:
    """Whether this one, of twenty, is asked about by itself though its group is answered together.

    Always the same one, so that nobody answers anew until another is pulled.
    """
    return hashlib.sha256(grant.encode()).digest()[0] % 20 == 0
