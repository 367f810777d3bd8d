"""What a principal may do on a target now, and until when.

A grant has a beginning and an end, and neither moves; so whether a session may stay open is always
the same question, asked again: ``access``.  Time is half open: a grant holds at its first
microsecond and not at its last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from hoopcore.access.softness import soft_scope
from hoopcore.model import NOTHING, SECOND, Grant, GrantState, Scope, Session, Target, Time

_HOLDING = frozenset({GrantState.ACTIVE, GrantState.SCHEDULED})


@dataclass(frozen=True, slots=True)
class Access:
    """What one principal may do on one target now, by all its grants together."""

    until: Time  # nothing carries a session beyond this, as things stand now; grants that begin
    # where others end are counted
    again: Time  # grants and scope are what they are until here; then ask again
    grants: tuple[str, ...]  # ids, sorted
    scope: Scope  # of all of them together
    masked: bool = False  # each of them was approved with masks on, whoever is exempt from them
    rows: int | None = None  # an hour, where each of them was approved for so many at the most
    soft: Scope = NOTHING  # what some of them were narrowed from, and may have again


def end_of(grant: Grant, target: Target) -> Time:
    """When the grant ends under the target's ceiling, which counts from the grant's beginning.

    Never from the moment somebody connects: that would hand out the full duration again.  The one
    whose time begins with the first connection begins once, and is counted from there.
    """
    if grant.waits:
        return grant.ends
    begun = grant.not_before if grant.started is None else grant.started
    return min(grant.ends, begun + target.max_duration * SECOND)


def holds(grant: Grant, target: Target, now: Time) -> bool:
    """Whether this grant carries a session on this target now.

    A scheduled one does from its beginning on; a suspended or ended one does not.  One that waits
    for a connection does: the connection that finds it so is the one that begins it.
    """
    return (
        grant.target == target.name
        and grant.state in _HOLDING
        and grant.not_before <= now < end_of(grant, target)
    )


def lasts_until(grants: Iterable[Grant], target: Target, now: Time) -> Time:
    """When the last of an unbroken row of grants ends; ``now`` where none holds now.

    One that begins where, or before, another ends goes on from it.  What waits for a connection
    begins with one, so it is no link: nobody knows when its time will be.
    """
    end = now
    for grant in sorted(grants, key=lambda one: one.not_before):
        if not grant.waits and grant.not_before <= end and holds(grant, target, end):
            end = max(end, end_of(grant, target))
    return end


def _if_begun(grant: Grant, target: Target, now: Time) -> Time:
    """When it ends, if one that waits for a connection finds it now."""
    if grant.lasts is None or not grant.waits:
        return end_of(grant, target)
    return now + min(grant.lasts, target.max_duration) * SECOND


def access(
    grants: Iterable[Grant], principal: str, target: Target, now: Time, identity_until: Time
) -> Access | None:
    """What the principal may do on the target now, or None: no session may open or stay open.

    Every live grant counts and the latest end wins, so a newer, shorter grant hides nothing.
    Grants of others and of other targets are passed over.  Whoever keeps a session open asks
    again at ``again``, since a part of the scope may end, or a scheduled grant begin, before
    ``until``; and whenever a grant has been ended.
    """
    mine = [grant for grant in grants if grant.principal == principal]
    live = [grant for grant in mine if holds(grant, target, now)]
    if not live or identity_until <= now:
        return None
    scope, soft = NOTHING, NOTHING
    for grant in live:
        soft = soft.join(soft_scope(grant, now)) if grant.soft is not None else soft
        # Nothing is shown in clear by a grant that was approved with masks on.
        scope = scope.join(grant.scope.with_masks if grant.limits.masked else grant.scope)
    ends = [end_of(grant, target) for grant in live]
    until = max(lasts_until(mine, target, now), *(_if_begun(grant, target, now) for grant in live))
    starts = [
        grant.not_before
        for grant in mine
        if grant.not_before > now and holds(grant, target, grant.not_before)
    ]
    return Access(
        until=min(until, identity_until),
        again=min(*ends, *starts, identity_until),
        grants=tuple(sorted(grant.id for grant in live)),
        scope=scope,
        rows=_rows(live),
        masked=all(grant.limits.masked for grant in live),
        soft=soft,
    )


def _rows(live: Sequence[Grant]) -> int | None:
    """One grant without a bound lifts it, and the widest counts: grants add up."""
    bounds = [grant.limits.rows for grant in live if grant.limits.rows is not None]
    return max(bounds) if len(bounds) == len(live) else None


def deadline(
    grants: Iterable[Grant], principal: str, target: Target, now: Time, identity_until: Time
) -> Time | None:
    """When a session of the principal on the target must end; None: at once."""
    found = access(grants, principal, target, now, identity_until)
    return found.until if found else None


def bereft(
    sessions: Iterable[Session],
    grants: Sequence[Grant],
    targets: Mapping[str, Target],
    now: Time,
    identity_until: Mapping[str, Time],
) -> list[str]:
    """The ids of the open sessions that nothing carries any more, in their order.

    A session stays while any grant of its principal on its target holds, also one made after it
    was opened.  A target that is gone carries nothing.
    """
    closing = []
    for session in sessions:
        target = targets.get(session.target)
        until = identity_until.get(session.principal, 0)
        if session.ended is None and (
            target is None or access(grants, session.principal, target, now, until) is None
        ):
            closing.append(session.id)
    return closing
