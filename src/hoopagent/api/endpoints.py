"""Endpoints: where a client connects to be somebody on some target.

Only on this machine: an endpoint is bound to the uid that asked for it.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from hoopagent.api.context import Agent, Who, peer_uid
from hoopagent.errors import Refused
from hoopagent.means import target_of
from hoopcore.access import access
from hoopcore.model import Principal, rfc3339

# Seconds an endpoint outlives its last connection or its last sign of life.
_LINGER = {"unix": 60, "tcp": 90}

# Of one principal at once.  They are held in memory.
_MOST = 256


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str = Field(max_length=63)
    database: str = Field("", max_length=63)
    via: Literal["unix", "tcp"] = "unix"


def router(agent: Agent) -> APIRouter:
    """``/v1/endpoints``."""
    routes = APIRouter(prefix="/v1/endpoints")

    @routes.post("")
    async def add(who: Who, wish: Wish, request: Request) -> dict[str, Any]:
        uid = peer_uid(request)
        if uid is None:
            words = "endpoints are made on the agent's own machine"
            raise Refused(409, "not_local", words, "ssh -L, with a certificate of `hoop login`")
        section = agent.config.targets.get(wish.target)
        if section is None:
            raise Refused(404, "no_target", f'there is no target "{wish.target}"', "hoop targets")
        if wish.database and wish.database not in section.databases:
            words = f'"{wish.target}" has no database "{wish.database}"'
            raise Refused(404, "no_database", words, f"it has: {', '.join(section.databases)}")
        now = agent.clock()
        grants = await agent.store.grants(principal=who.id, target=wish.target, live_at=now)
        until = await agent.store.identity_until(who.id)
        found = access(grants, who.id, target_of(wish.target, section), now, until)
        if found is None:
            words = f'you have no grant for "{wish.target}"'
            hint = f'Ask for it:  hoop request {wish.target} --reason "..." --for 1h'
            raise Refused(403, "no_grant", words, hint)
        door = agent.endpoints
        if sum(one.principal.id == who.id for one in door.endpoints()) >= _MOST:
            words = f"you have {_MOST} endpoints open"
            raise Refused(409, "too_many", words, "end a `hoop connect` first")
        issued = door.add(
            who,
            wish.target,
            uid=uid,
            via=wish.via,
            database=wish.database,
            linger=_LINGER[wish.via],
        )
        unix = wish.via == "unix"
        return {
            "id": issued.endpoint.id,
            "target": wish.target,
            "host": str(door.socket_dir) if unix else "127.0.0.1",
            "port": 5432 if unix else door.port,
            "user": issued.endpoint.id,
            "password": issued.password,
            "database": wish.database or section.databases[0],
            "databases": list(section.databases),
            "not_after": rfc3339(found.until),
            "linger": _LINGER[wish.via],
        }

    def mine(who: Principal, id: str) -> None:
        endpoint = agent.endpoints.find(id)
        if endpoint is None or endpoint.principal.id != who.id:
            raise Refused(404, "no_endpoint", f"there is no endpoint {id} of yours", "")

    @routes.post("/{id}/keep")
    async def keep(who: Who, id: str) -> dict[str, Any]:
        mine(who, id)
        agent.endpoints.keep(id)
        return {}

    @routes.delete("/{id}")
    async def remove(who: Who, id: str) -> dict[str, Any]:
        mine(who, id)
        agent.endpoints.remove(id)
        return {}

    return routes
