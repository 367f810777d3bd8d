"""A grant that was made for later begins: at its time, or with the first connection.

What was true when it was approved may not be true any more.  So its ceilings are looked at again
when it begins, and where no role of its principal offers it now, it ends instead.  Two agents may
come at once: the one whose update finds it scheduled begins it, and the other one sees it begun.
"""

from __future__ import annotations

from collections.abc import Iterable

from hoopagent.means import Means, offers_of
from hoopcore.access import holds, still_offered
from hoopcore.model import (
    SECOND,
    SYSTEM,
    Grant,
    GrantState,
    Request,
    Target,
    Time,
    rfc3339,
)

_NOT_OFFERED = "no role covers it any more"


async def begin_waiting(means: Means, grants: Iterable[Grant], target: Target, now: Time) -> bool:
    """Begins those that wait for a connection, since there is one; whether there was any."""
    found = [grant for grant in grants if grant.waits and holds(grant, target, now)]
    for grant in found:
        await begin(means, grant, now, grant.principal)
    return bool(found)


async def begin(means: Means, grant: Grant, now: Time, actor: str) -> bool:
    """Begins a scheduled grant whose time has come, or ends it where nobody offers it any more.

    Whether it was this call that changed it.  StoreAway.
    """
    request = await means.store.request(grant.request)
    seconds = 0 if request is None else await _offered(means, request)
    if not seconds:
        event = means.event(now, SYSTEM, "grant.revoked", grant.id, reason=_NOT_OFFERED)
        return await means.store.end_grant(
            grant.id, GrantState.REVOKED, SYSTEM, _NOT_OFFERED, now, event
        )
    begins, lasts = _clock(grant, seconds, now)
    ends = grant.not_after if lasts is None else (begins or now) + lasts * SECOND
    event = means.event(now, actor, "grant.started", grant.id, until=rfc3339(ends))
    return await means.store.begin_grant(grant.id, begins, lasts, event)


def _clock(grant: Grant, seconds: int, now: Time) -> tuple[Time | None, int | None]:
    """When its time begins and how long it lasts; None twice: as it was made."""
    if grant.lasts is not None:
        return now, min(grant.lasts, seconds)
    whole = (grant.not_after - grant.not_before) // SECOND
    return (None, None) if whole <= seconds else (grant.not_before, seconds)


async def _offered(means: Means, request: Request) -> int:
    """For how many seconds its asker could ask for it now; 0: not at all."""
    target = means.target(request.target)
    asker = await means.store.principal(request.requester)
    if target is None or asker is None:
        return 0
    offers = offers_of(means.config_now())
    return min(still_offered(request, asker, offers), target.max_duration)
