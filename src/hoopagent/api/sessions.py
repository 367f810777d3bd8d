"""Sessions: who was on which target, what their recordings say, and ending those that run.

One's own are visible; those of others to auditors, administrators and owners of the target, and to
whoever answered a request behind them (``readers.py``).  What may not be seen is not there.
Reading a recording and ending a session are on the audit trail first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from hoopagent import archive, readers, recordings
from hoopagent.api.context import Agent, Who
from hoopagent.api.requests import Id, means_of
from hoopagent.depot import DepotAway
from hoopagent.errors import Refused
from hoopagent.keeping import Coming, Gone, Keeping
from hoopagent.means import Means, View, person, time_or_none
from hoopagent.recording_keys import RecordingKeys
from hoopagent.search import Search, Wish
from hoopagent.store import Kept
from hoopcore.access import LONGEST_REASON, fault_in
from hoopcore.model import SECOND, Principal, Session, Time, rfc3339
from hoopcore.recording.facets import conditions

# A running session is counted by reading what it has recorded, some 40 ms for a MiB; one that has
# recorded more is counted at its end.
_COUNTED = 1 << 20
_MOST = 10_000
# Pieces asked for within so long after the first belong to one reading; of so many it is known.
_READING = 10 * 60 * SECOND
_READINGS = 1_000


class Killing(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=4 * LONGEST_REASON)


class Readings:
    """Who reads which recording piece by piece: the first piece is audited, and again later on."""

    def __init__(self) -> None:
        self._began: dict[tuple[str, str], Time] = {}

    def goes_on(self, reading: tuple[str, str], begin: int, now: Time) -> bool:
        """Whether a piece belongs to a reading that is on the audit trail already."""
        began = self._began.get(reading)
        return begin > 0 and began is not None and 0 <= now - began < _READING

    def began(self, reading: tuple[str, str], now: Time) -> None:
        self._began.pop(reading, None)
        self._began[reading] = now
        while len(self._began) > _READINGS:
            self._began.pop(next(iter(self._began)))


@dataclass(frozen=True, slots=True)
class Sessions:
    """The use cases of a session that was, or is, open."""

    agent: Agent
    means: Means
    readings: Readings = field(default_factory=Readings)
    one_archive: asyncio.Lock = field(default_factory=asyncio.Lock)  # each reads all of a file

    async def listed(self, who: Principal, wish: Wish) -> list[View]:
        """The newest first."""
        if wish.wanted:
            search = Search(self.means.store, self.agent.recordings)
            return await self._views(await search.found(self._queries(who, wish), wish))
        # Names are not the store's to look for, so they are looked for among all there are.
        limit = wish.limit if wish.principal is None and wish.until is None else _MOST
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
        if wish.until is not None:
            newest = [one for one in newest if one.started < wish.until]
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
        if self._sees_all(who):
            return [(None, wish.target)]
        owned = [
            (None, name)
            for name, section in self.means.config_now().targets.items()
            if section.owners & who.groups and wish.target in (None, name)
        ]
        return [(who.id, wish.target), *owned]

    def _sees_all(self, who: Principal) -> bool:
        roles = self.means.config_now().roles.values()
        return any((one.audit or one.administer) and one.groups & who.groups for one in roles)

    async def show(self, who: Principal, id: str) -> View:
        session, _ = await self._readable(who, id)
        return (await self._views([session]))[0]

    async def recording(
        self, who: Principal, id: str, begin: int = 0, most: int | None = None
    ) -> StreamingResponse:
        """The file as it is, with what a running session has written so far; or a piece of it."""
        session, capacity = await self._readable(who, id)
        now = await self.means.now()
        path = await self._path(who, session, "recording.read", now)
        if not self.readings.goes_on((who.id, id), begin, now):
            event = self.means.event(
                now,
                who.id,
                "recording.read",
                id,
                owner=session.principal,
                target=session.target,
                capacity=capacity,
            )
            await self.agent.store.audit(event)
            self.readings.began((who.id, id), now)
        return StreamingResponse(
            recordings.pieces(path, begin, most),
            media_type="application/zstd",
            headers={"Content-Disposition": f'attachment; filename="{path.name}"'},
        )

    async def evidence(self, who: Principal, id: str) -> StreamingResponse:
        """An archive of all about a session that has ended, signed."""
        session, capacity = await self._readable(who, id)
        now = await self.means.now()
        path = await self._path(who, session, "evidence.made", now)
        keys: RecordingKeys | None = self.agent.parts.get("recording_keys")
        if session.ended is None or keys is None:
            words = f"{id} still runs, so its evidence is not whole yet"
            hint = f"Watch it:  hoop replay {id} --follow\nEnd it:  hoop kill {id} --reason …"
            refused = Refused(409, "runs", words, hint)
            raise await self.means.refuse(now, who, "evidence.made", id, refused)
        told: dict[str, str] = {"owner": session.principal, "target": session.target}
        event = self.means.event(now, who.id, "evidence.made", id, capacity=capacity, **told)
        await self.agent.store.audit(event)
        shown = (await self._views([session]))[0]
        holds = await asyncio.to_thread(archive.holds_in, path)
        gathered = await archive.gather(self.means, session, shown, holds, now)
        making = archive.Making(session, who, now, self.agent.version, keys, path)
        async with self.one_archive:
            file = await asyncio.to_thread(archive.made, making, gathered)
        return StreamingResponse(
            archive.sent(file),
            media_type="application/zip",
            headers={"Content-Disposition": f'attachment; filename="{id}.zip"'},
        )

    async def _path(self, who: Principal, session: Session, action: str, now: Time) -> Path:
        """Where its recording is, brought from the archive; refused where nobody has it."""
        keeping: Keeping | None = self.agent.parts.get("keeping")
        keeping = keeping or Keeping(self.means, self.agent.recordings, None)
        try:
            path = await keeping.here(session)
        except Gone as gone:
            at = "" if gone.kept.deleted is None else f", {rfc3339(gone.kept.deleted)}"
            words = f"the recording of {session.id} was deleted when its time was up{at}"
            refused = Refused(410, "deleted", words, "hoop audit --action recording.deleted")
        except Coming:
            words = f"the recording of {session.id} is on its way from the archive"
            refused = Refused(503, "coming", words, "ask again in a minute")
        except DepotAway as problem:
            words = f"the recording of {session.id} is in the archive, and does not come: {problem}"
            refused = Refused(503, "archive_away", words, "tell who runs the agent")
        else:
            if path is not None:
                return path
            words = f"the recording of {session.id} is not here"
            refused = Refused(404, "no_recording", words, "tell who runs the agent")
        raise await self.means.refuse(now, who, action, session.id, refused)

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

    async def _readable(self, who: Principal, id: str) -> tuple[Session, str]:
        """The session, and as what they may read it."""
        session = await self.agent.store.session(id)
        capacity = "" if session is None else await readers.capacity(self.means, who, session)
        if session is None or not capacity:
            raise await self._not_there(who, id)
        return session, capacity

    async def _visible(self, who: Principal, id: str) -> Session:
        """A session that they may end."""
        session = await self.agent.store.session(id)
        if session is not None:
            section = self.means.config_now().targets.get(session.target)
            owns = section is not None and bool(section.owners & who.groups)
            if session.principal == who.id or owns or self.means.administers(who):
                return session
        raise await self._not_there(who, id)

    async def _not_there(self, who: Principal, id: str) -> Refused:
        words = f"there is no session {id} that you may see"
        refused = Refused(404, "no_session", words, "hoop sessions")
        return await self.means.refuse(await self.means.now(), who, "session.read", id, refused)

    async def _views(self, sessions: Sequence[Session]) -> list[View]:
        known = await self.agent.store.principals(list({one.principal for one in sessions}))
        counted = [one if one.ended else await self._counted(one) for one in sessions]
        kept = await self.agent.store.kept([one.id for one in sessions])
        return [_view(one, known) | _kept(kept.get(one.id)) for one in counted]

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


def _kept(kept: Kept | None) -> View:
    """Where the recording is, and why nobody may delete it."""
    if kept is None:
        return {"kept": "agent", "held": None}
    held = {"since": time_or_none(kept.held), "by": kept.held_by, "reason": kept.held_why}
    return {"kept": kept.state.value or "agent", "held": None if kept.held is None else held}


def _time(text: str | None, name: str = "since") -> Time | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as problem:
        raise Refused(422, "malformed", f"{name} is not a time of RFC 3339") from problem
    if moment.tzinfo is None:
        raise Refused(422, "malformed", f"{name} has no time zone; end it with Z")
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
        until: str | None = None,
        touching: Annotated[str, Query(max_length=200)] = "",
        effect: Annotated[str, Query(max_length=30)] = "",
        masked: Annotated[str, Query(max_length=60)] = "",
        refused: bool = False,
    ) -> list[View]:
        try:
            wanted = conditions(touching=touching, effect=effect, masked=masked, refused=refused)
        except ValueError as problem:
            raise Refused(422, "malformed", str(problem)) from problem
        wish = Wish(
            mine, target, principal, _time(since), live, limit, _time(until, "until"), wanted
        )
        return await sessions.listed(who, wish)

    @routes.get("/{id}")
    async def one(who: Who, id: Id) -> View:
        return await sessions.show(who, id)

    @routes.get("/{id}/recording")
    async def recording(
        who: Who,
        id: Id,
        begin: Annotated[int, Query(ge=0, lt=1 << 62)] = 0,
        most: Annotated[int | None, Query(ge=1)] = None,
    ) -> StreamingResponse:
        return await sessions.recording(who, id, begin, most)

    @routes.get("/{id}/evidence")
    async def evidence(who: Who, id: Id) -> StreamingResponse:
        return await sessions.evidence(who, id)

    @routes.post("/{id}/kill")
    async def kill(who: Who, id: Id, new: Killing) -> View:
        return await sessions.kill(who, id, new.reason)

    return routes
