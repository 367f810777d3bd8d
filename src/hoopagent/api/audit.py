"""``/v1/audit``: who did what to hoop itself."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query

from hoopagent.api.context import Agent, Who
from hoopagent.api.requests import means_of
from hoopagent.audit import MOST, Audit, Wish
from hoopagent.errors import Refused
from hoopagent.means import View
from hoopagent.store import AuditQuery
from hoopcore.model import SECOND, Time

_Number = Annotated[int, Query(ge=0, lt=1 << 62)]
_Word = Annotated[str, Query(max_length=255)]


def router(agent: Agent) -> APIRouter:
    """``/v1/audit``."""
    routes = APIRouter(prefix="/v1/audit")
    audit = Audit(means_of(agent), agent.parts.get("heads"))

    @routes.get("")
    async def rows(
        who: Who,
        since: _Word = "",
        until: _Word = "",
        actor: _Word = "",
        action: _Word = "",
        target: _Word = "",
        after: _Number = 0,
        to: _Number = 0,
        newest: bool = False,
        limit: Annotated[int, Query(ge=1, le=MOST)] = 200,
    ) -> View:
        query = AuditQuery(
            after=after,
            to=to,
            since=_time("since", since),
            until=_time("until", until),
            action=action,
            target=target,
            newest=newest,
        )
        return await audit.listed(who, Wish(query, actor, limit))

    @routes.get("/heads")
    async def heads(who: Who) -> View:
        return await audit.signed(who)

    return routes


def _time(name: str, text: str) -> Time | None:
    """From RFC 3339 with a zone."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError(text)
        return int(moment.timestamp() * SECOND)
    except (ValueError, OverflowError):
        raise Refused(422, name, f'"{name}" is no time of RFC 3339 with its zone') from None
