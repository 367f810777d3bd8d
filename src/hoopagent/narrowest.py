"""The narrowest scope that would have let somebody's last refused statement pass.

What a session was refused is in its recording, with all that the statement touches; so who asks for
more need not know how scopes are written, and is not tempted to ask for everything.

Recordings that have left this machine are not fetched for it.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

from hoopagent import recordings
from hoopagent.means import Means, offers_of
from hoopcore.access import offers_for
from hoopcore.model import SECOND, Principal, Scope, Session
from hoopcore.policy import SCOPE
from hoopcore.recording.events import Event, Said

# Seconds.  What was refused before is another day's work.
_RECENT = 24 * 3600
_MOST = 5  # sessions that are looked at, the last first

_PLAIN = re.compile(r"(\*|\w+)\.(\*|\w+):[a-z_]+")  # a name in quotes cannot be written in a scope
_DESCRIBES = ("pg_catalog.", "information_schema.")


async def narrowest(means: Means, folder: Path, who: Principal, target: str) -> Scope | None:
    """Within what they may ask for and beyond what they have; None: nothing is to be said."""
    store, now = means.store, means.clock()
    since = now - _RECENT * SECOND
    found = await store.sessions(principal=who.id, target=target, since=since, limit=_MOST)
    scope: Scope | None = None
    for session in sorted(found, key=lambda one: one.started, reverse=True):
        scope = await asyncio.to_thread(_wanted_in, folder, session)
        if scope is not None:
            break
    if scope is None:
        return None
    offers = offers_for(who, target, offers_of(means.config_now()))
    if not any(offer.scope.covers(scope) for offer in offers):
        return None
    held = await store.grants(principal=who.id, target=target, live_at=now)
    return None if any(grant.scope.covers(scope) for grant in held) else scope


def _wanted_in(folder: Path, session: Session) -> Scope | None:
    """A recording that is not here, or not whole, tells what it can."""
    path = recordings.find(folder, session.id, session.started)
    try:
        return None if path is None else wanted(recordings.read(path))
    except (OSError, ValueError):
        return None


def wanted(events: Iterable[Event]) -> Scope | None:
    """What the last statement wanted that was refused for its scope, as far as a scope can say."""
    last = None
    for event in events:
        if isinstance(event, Said) and event.verdict == "refuse" and event.rule == SCOPE:
            last = event
    if last is None or last.unread:
        return None
    touches = [one for one in last.touches if not one.startswith(_DESCRIBES)]
    touches += [f"*.*:{effect}" for effect in last.beyond]
    if not touches or not all(_PLAIN.fullmatch(one) for one in touches):
        return None
    return Scope.parse(" ".join(touches))
