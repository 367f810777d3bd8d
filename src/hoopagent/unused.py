"""Grants that go back when nobody uses them any more, where their rule says so.

A grant that was never used is not among them: whoever asked for it may be about to connect.
"""

from __future__ import annotations

from hoopagent.store import Store
from hoopcore.model import SECOND, Grant, GrantState, Time


async def unused(store: Store, now: Time) -> list[tuple[Grant, Time]]:
    """Each with the time since when nobody has been connected, which is too long."""
    live = [
        grant
        for grant in await store.grants(live_at=now, limit=None)
        if grant.state is GrantState.ACTIVE
    ]
    terms = await store.terms([grant.id for grant in live]) if live else {}
    found = []
    for grant in live:
        patience = terms[grant.id].give_back if grant.id in terms else None
        if patience is None:
            continue
        since = await _left(store, grant)
        if since is not None and now - since >= patience * SECOND:
            found.append((grant, since))
    return found


async def _left(store: Store, grant: Grant) -> Time | None:
    """When the last session on it, or on one in whose place it is, ended.

    None: one is open, or there has been none.
    """
    sessions = await store.sessions(grant=grant.id, limit=1_000)
    before: Grant | None = grant
    while before is not None and before.supersedes:
        sessions += await store.sessions(grant=before.supersedes, limit=1_000)
        before = await store.grant(before.supersedes)
    ends = [session.ended for session in sessions if session.ended is not None]
    return max(ends) if ends and len(ends) == len(sessions) else None
