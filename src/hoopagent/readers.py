"""Who may read what a session recorded, and in which capacity.

One's own; the owners of its target; whoever answered a request it rests on, or one of its holds;
auditors; and administrators.  Ending a session is another right (``api/sessions.py``).
"""

from __future__ import annotations

from hoopagent.means import Means
from hoopcore.model import Principal, Session


async def capacity(means: Means, who: Principal, session: Session) -> str:
    """As what this person may read it; empty where they may not."""
    if session.principal == who.id:
        return "self"
    config = means.config_now()
    section = config.targets.get(session.target)
    if section is not None and section.owners & who.groups:
        return "owner"
    for role in config.roles.values():
        if role.groups & who.groups and (role.audit or role.administer):
            return "auditor" if role.audit else "administrator"
    return "approver" if await _has_voted(means, who, session) else ""


async def _has_voted(means: Means, who: Principal, session: Session) -> bool:
    """Whether they answered a request that a grant of this session came from, or a hold of it.

    What a vote was changes nothing: who said no has looked at it too.
    """
    requests = await means.store.answered_by(who.id, session.id, session.grants)
    return bool(requests)
