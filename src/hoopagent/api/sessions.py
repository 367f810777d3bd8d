"""Sessions: who was on which target, what their recordings say, and ending those that run.

One's own are visible; those of others to administrators and to owners of the target.  What may not
be seen is not there.  Reading a recording and ending a session are on the audit trail first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from hoopagent import recordings
from hoopagent.api.context import Agent, Who
from hoopagent.api.requests import Id, means_of
from hoopagent.errors import Refused
from hoopagent.means import Means, View, person, time_or_none
from hoopcore.access import LONGEST_REASON, fault_in
from hoopcore.model import SECOND, Principal, Session, Time

# A running session is counted by reading what it has recorded, some 40 ms for a MiB; one that has
# recorded more is counted at its end.
_COUNTED = 1 << 20
_MOST = 10_000


class Killing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=4 * LONGEST_REASON)


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for; None: whatever."""

    mine: bool
    target: str | None
    principal: str | None  # an id or a name
    since: Time | None
    live: bool | None
    limit: int


@dataclass(frozen=True, slots=True)
class Sessions:
    """The use cases of a session that was, or is, open."""

    agent: Agent
    means: Means

    async def listed(self, who: Principal, wish: Wish) -> list[View]:
        """The newest first."""
        # Names are not the store's to look for, so they are looked for among all there are.
        limit = wish.limit if wish.principal is None else _MOST
        found: dict[str, Session] = {}
        for principal, target in self._queries(who, wish):
            for session in await self.agent.store.sessions(
                principal=principal,
                target=target,
                since=wish.since,
                live=wish.live,
                limit=limit,
            ):
                found[session.id] = session
        newest = sorted(found.values(), key=lambda session: session.started, reverse=True)
        if wish.principal is not None:
            known = await self.agent.store.principals(list({one.principal for one in newest}))
            newest = [
                one for one in newest if wish.principal in person(one.principal, known).values()
            ]
        return await self._views(newest[: wish.limit])

    def _queries(self, who: Principal, wish: Wish) -> list[tuple[str | None, str | None]]:
        """(principal, target) of each question to the store: all that may be seen, and is meant."""
        if wish.mine:
            return [(who.id, wish.target)]
        if self.means.administers(who):
            return [(None, wish.target)]
        owned = [
            (None, name)
            for name, section in self.means.config_now().targets.items()
            if section.owners & who.groups and wish.target in (None, name)
        ]
        return [(who.id, wish.target), *owned]

    async def show(self, who: Principal, id: str) -> View:
        return (await self._views([await self._visible(who, id)]))[0]

    async def recording(self, who: Principal, id: str) -> StreamingResponse:
        """The file as it is, with what a running session has written so far."""
        session = await self._visible(who, id)
        now = await self.means.now()
        path = await asyncio.to_thread(
            recordings.find, self.agent.recordings, session.id, session.started
        )
        if path is None:
            words = f"the recording of {id} is not here"
            refused = Refused(404, "no_recording", words, "tell who runs the agent")
            raise await self.means.refuse(now, who, "recording.read", id, refused)
        event = self.means.event(
            now, who.id, "recording.read", id, owner=session.principal, target=session.target
        )
        await self.agent.store.audit(event)
        return StreamingResponse(
            recordings.pieces(path),
            media_type="application/zstd",
            headers={"Content-Disposition": f'attachment; filename="{path.name}"'},
        )

    async def kill(self, who: Principal, id: str, reason: str) -> View:
        """Ends a running session, with a reason that its principal reads."""
        session = await self._visible(who, id)
        now = await self.means.now()
        reason = reason.strip()
        if not reason:
            raise Refused(422, "reason", "this needs a reason", f'hoop kill {id} --reason "…"')
        fault = fault_in(reason, LONGEST_REASON)
        if fault is not None:
            raise Refused(422, "reason", f"the reason {fault}")
        event = self.means.event(
            now, who.id, "session.killed", id, reason=reason, owner=session.principal
        )
        if session.ended is None:
            await self.agent.store.audit(event)
        if session.ended is not None or not await self.agent.live.kill(id, who.id, reason):
            words = f"{id} has ended already"
            refused = Refused(409, "ended", words, "hoop sessions --live")
            raise await self.means.refuse(now, who, "session.killed", id, refused)
        return await self.show(who, id)

    async def _visible(self, who: Principal, id: str) -> Session:
        session = await self.agent.store.session(id)
        if session is not None:
            section = self.means.config_now().targets.get(session.target)
            owns = section is not None and bool(section.owners & who.groups)
            if session.principal == who.id or owns or self.means.administers(who):
                return session
        words = f"there is no session {id} that you may see"
        refused = Refused(404, "no_session", words, "hoop sessions")
        raise await self.means.refuse(await self.means.now(), who, "session.read", id, refused)

    async def _views(self, sessions: Sequence[Session]) -> list[View]:
        known = await self.agent.store.principals(list({one.principal for one in sessions}))
        counted = [one if one.ended else await self._counted(one) for one in sessions]
        return [_view(one, known) for one in counted]

    async def _counted(self, session: Session) -> Session:
        """A running session with what it came to so far."""
        return await asyncio.to_thread(_count, self.agent, session)


def _count(agent: Agent, session: Session) -> Session:
    path = recordings.find(agent.recordings, session.id, session.started)
    try:
        if path is None or path.stat().st_size > _COUNTED:
            return session
        used = recordings.usage(path)
    except OSError:
        return session  # the list is worth more than a number in it
    return replace(session, statements=used.statements, refused=used.refused, masked=used.masked)


def _view(session: Session, known: dict[str, Principal]) -> View:
    return {
        "id": session.id,
        "principal": person(session.principal, known),
        "target": session.target,
        "database": session.database,
        "door": session.door,
        "client": session.client,
        "grants": list(session.grants),
        "started": time_or_none(session.started),
        "ended": time_or_none(session.ended),
        "end_cause": session.end_cause,
        "statements": session.statements,
        "refused": session.refused,
        "masked": session.masked,
        "head": session.head,
    }


def _time(text: str | None) -> Time | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise Refused(422, "malformed", "since is not a time of RFC 3339") from problem
    if moment.tzinfo is None:
        raise Refused(422, "malformed", "since has no time zone; end it with Z")
    return int(moment.timestamp() * SECOND)


def router(agent: Agent) -> APIRouter:
    """``/v1/sessions``."""
    routes = APIRouter(prefix="/v1/sessions")
    sessions = Sessions(agent, means_of(agent))

    @routes.get("")
    async def every(
        who: Who,
        mine: bool = False,
        target: str | None = None,
        principal: str | None = None,
        since: str | None = None,
        live: bool | None = None,
        limit: Annotated[int, Query(ge=1, le=_MOST)] = 200,
    ) -> list[View]:
        wish = Wish(mine, target, principal, _time(since), live, limit)
        return await sessions.listed(who, wish)

    @routes.get("/{id}")
    async def one(who: Who, id: Id) -> View:
        return await sessions.show(who, id)

    @routes.get("/{id}/recording")
    async def recording(who: Who, id: Id) -> StreamingResponse:
        return await sessions.recording(who, id)

    @routes.post("/{id}/kill")
    async def kill(who: Who, id: Id, new: Killing) -> View:
        return await sessions.kill(who, id, new.reason)

    return routes
