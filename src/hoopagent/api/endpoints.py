"""Endpoints: where a client connects to be somebody on some target.

On the agent's own machine an endpoint is bound to the uid that asked for it.  Who asks over a
channel of the SSH door makes none: the way in is a lane of the same SSH connection, and what is
answered is only what the near end of that lane should know.  An SSH target has none either: its
way in is the SSH door itself, for whoever asks.
"""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from hoopagent.api.context import Agent, Who, peer_uid
from hoopagent.config import TargetSection
from hoopagent.ending_soon import last_of
from hoopagent.errors import Refused
from hoopagent.means import target_of
from hoopagent.store import AuditQuery
from hoopcore.access import access
from hoopcore.model import GrantState, Principal, Time, rfc3339
from hoopcore.review import ItemState as ReviewState

# Seconds an endpoint outlives its last connection or its last sign of life.
_LINGER = {"unix": 60, "tcp": 90}

# Of one principal at once.  They are held in memory.
_MOST = 256


class Wish(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str = Field(max_length=63)
    database: str = Field("", max_length=63)
    via: Literal["unix", "tcp", "ssh", "shell"] = "unix"  # shell: of SSH targets


def router(agent: Agent) -> APIRouter:
    """``/v1/endpoints``."""
    routes = APIRouter(prefix="/v1/endpoints")

    @routes.post("")
    async def add(who: Who, wish: Wish, request: Request) -> dict[str, Any]:
        section = _section(agent, wish)
        if wish.via == "shell":
            ends = await _until(agent, who, wish.target, section)
            return {"target": wish.target, "protocol": section.protocol, **ends}
        told = {
            "target": wish.target,
            "database": wish.database or section.databases[0],
            "databases": list(section.databases),
            **await _until(agent, who, wish.target, section),
        }
        uid = peer_uid(request)
        if uid is None and wish.via != "ssh":
            words = "endpoints are made on the agent's own machine"
            raise Refused(409, "not_local", words, "ssh -L, with a certificate of `hoop login`")
        if wish.via == "ssh":
            return told
        assert uid is not None
        return told | _made(agent, who, wish, uid)

    def mine(who: Principal, id: str) -> None:
        endpoint = agent.endpoints.find(id)
        if endpoint is None or endpoint.principal.id != who.id:
            raise Refused(404, "no_endpoint", f"there is no endpoint {id} of yours", "")

    @routes.post("/{id}/keep")
    async def keep(who: Who, id: str) -> dict[str, Any]:
        mine(who, id)
        agent.endpoints.keep(id)
        target = agent.endpoints.find(id).target
        section = agent.config.targets.get(target)
        try:
            return {} if section is None else await _until(agent, who, target, section)
        except Refused:
            return {}  # an access may come back while its endpoint is kept

    @routes.delete("/{id}")
    async def remove(who: Who, id: str) -> dict[str, Any]:
        mine(who, id)
        agent.endpoints.remove(id)
        return {}

    return routes


def _section(agent: Agent, wish: Wish) -> TargetSection:
    """What the configuration says of the target that is wished for."""
    section = agent.config.targets.get(wish.target)
    if section is None:
        raise Refused(404, "no_target", f'there is no target "{wish.target}"', "hoop targets")
    if section.protocol == "ssh" and wish.via != "shell":
        words = f'"{wish.target}" is reached with ssh, not by an address of its own'
        hint = f"hoop connect {wish.target}   or, for ssh, scp and git:  hoop config ssh --write"
        raise Refused(409, "by_ssh", words, hint)
    if section.protocol != "ssh" and wish.via == "shell":
        raise Refused(409, "no_ssh", f'"{wish.target}" is a database, and has no shell', "")
    if wish.database and wish.database not in section.databases:
        words = f'"{wish.target}" has no database "{wish.database}"'
        raise Refused(404, "no_database", words, f"it has: {', '.join(section.databases)}")
    return section


async def _until(
    agent: Agent, who: Principal, target: str, section: TargetSection
) -> dict[str, Any]:
    """When their access ends, and with which grant; Refused where they have none."""
    now, there = agent.clock(), target_of(target, section)
    standing = await agent.store.standing(who.id, target, now)
    found = access(standing.grants, who.id, there, now, standing.until)
    if found is None:
        raise await _none(agent, who, target, now)
    last = last_of(standing.grants, found, there)
    return {"not_after": rfc3339(found.until), "grant": None if last is None else last.id}


async def _none(agent: Agent, who: Principal, target: str, now: Time) -> Refused:
    """Why there is no access: nothing was granted, or what was is suspended."""
    for grant in await agent.store.grants(principal=who.id, target=target, limit=20):
        if grant.state is GrantState.SUSPENDED and grant.ends > now:
            query = AuditQuery(about=[grant.id], action="grant.suspended", newest=True)
            told = await agent.store.audit_rows(query, 1)
            if told and told[0].event.actor == who.id:
                continue  # their own giving back, which may be undone for some minutes
            why = told[0].event.detail.get("reason", "") if told else ""
            words = f'your grant for "{target}" is suspended: {why}'
            hint = f"Whoever suspended it takes it up again:  hoop resume {grant.id}"
            return Refused(403, "suspended", words, hint)
    later = await agent.store.grants(principal=who.id, target=target, live_at=now, later=True)
    begins = [grant.not_before for grant in later if grant.not_before > now]
    if begins:
        words = f'your access to "{target}" begins at {rfc3339(min(begins))}'
        return Refused(403, "not_begun", words, "hoop grants")
    given_back = await agent.store.grant_reviews(
        reviewer=who.id, states=[ReviewState.REMEDIATING], limit=20
    )
    for item in given_back:
        if item.target == target and item.until is not None and item.until > now:
            words = f'you have given your grant for "{target}" back'
            hint = f"Take it again:  hoop review undo {item.id}   or ask:  hoop request {target}"
            return Refused(403, "no_grant", words, hint)
    words = f'you have no grant for "{target}"'
    hint = f'Ask for it:  hoop request {target} --reason "..." --for 1h'
    return Refused(403, "no_grant", words, hint)


def _made(agent: Agent, who: Principal, wish: Wish, uid: int) -> dict[str, Any]:
    """A new endpoint for this uid, and where it is."""
    door = agent.endpoints
    if not door.make_room(who.id, _MOST):
        words = f"you have {_MOST} endpoints open, and each is in use or was opened just now"
        raise Refused(409, "too_many", words, "end a `hoop connect` first, or wait a minute")
    linger = _LINGER[wish.via]
    made = {"uid": uid, "via": wish.via, "database": wish.database, "linger": linger}
    issued = door.add(who, wish.target, **made)
    unix = wish.via == "unix"
    return {
        "id": issued.endpoint.id,
        "host": str(door.socket_dir) if unix else "127.0.0.1",
        "port": 5432 if unix else door.port,
        "user": issued.endpoint.id,
        "password": issued.password,
        "linger": linger,
    }
