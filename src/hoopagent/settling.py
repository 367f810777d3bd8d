"""What follows from the votes on a request: nothing yet, an end, or a grant with its audit rows.

The store calls it inside the transaction that found the votes, so it is a function of them alone;
whatever else it hangs on is read before.
"""

from __future__ import annotations

from collections.abc import Sequence

from hoopagent.means import Means
from hoopagent.store import Settle, Settled
from hoopcore.access import grant_for, holds, lasts_until, settle
from hoopcore.model import SYSTEM, Request, RequestState, Target, Time, Vote, rfc3339


async def settling(means: Means, request: Request, target: Target | None, now: Time) -> Settle:
    """For this request, on the target as it is now (None: there is none, so no grant is made)."""
    grant_id = means.id("grt")
    goes_on = await _end_of_extended(means, request, target, now)

    def settled(request: Request, votes: Sequence[Vote]) -> Settled:
        state = settle(request, votes, now)
        if request.held is None and state is RequestState.APPROVED and target is None:
            state = RequestState.PENDING
        if state is RequestState.PENDING:
            return Settled(state)
        event = means.event(
            now,
            SYSTEM,
            f"request.{state.value}",
            request.id,
            rule=request.rule.name,
            auto=request.rule.auto,
            because=request.rule.because,
        )
        # Of a held statement no grant is made: whoever holds it uses the approval, once.
        if request.held is not None or state is not RequestState.APPROVED or target is None:
            return Settled(state, None, (event,))
        grant = grant_for(request, votes, target, now=now, id=grant_id, goes_on=goes_on)
        made = means.event(
            now,
            SYSTEM,
            "grant.made",
            grant.id,
            request=request.id,
            principal=grant.principal,
            target=grant.target,
            scope=grant.scope,
            begins=rfc3339(grant.not_before) if grant.not_before > now else "",
            until=rfc3339(grant.not_after),
            rule=request.rule.name,
            limits=grant.limits or "",
            extends=request.extends,
        )
        return Settled(state, grant, (event, made))

    return settled


async def _end_of_extended(
    means: Means, request: Request, target: Target | None, now: Time
) -> Time | None:
    """Where the grant that it extends ends, with what extends that one; None: it holds no more."""
    if not request.extends or target is None:
        return None
    extended = await means.store.grant(request.extends)
    if extended is None or extended.waits or not holds(extended, target, now):
        return None
    store = means.store
    mine = await store.grants(
        principal=request.requester, target=target.name, live_at=now, later=True, limit=None
    )
    alike = [grant for grant in mine if grant.scope.covers(extended.scope)]
    return lasts_until(alike, target, now)
