"""Suspending grants, people who leave, and break-glass with its reviews."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from hoopagent.api.context import Agent, Who
from hoopagent.api.grants import grants_of
from hoopagent.api.requests import Id, NewRequest, means_of, wish_of
from hoopagent.api.reviews import reviews_of
from hoopagent.ends import Ends
from hoopagent.errors import Refused
from hoopagent.glass import Glass
from hoopagent.means import View
from hoopcore.access.glass import ItemState
from hoopcore.model import Principal


class Why(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field("", max_length=4_000)


class Leaving(Why):
    who: str = Field(min_length=1, max_length=255)
    back: bool = False


class Broken(NewRequest):
    incident: str = Field(max_length=4_000)


class Verdict(Why):
    state: ItemState


def ends_of(agent: Agent) -> Ends:
    def signed_out(principal: str) -> None:
        for listener in list(getattr(agent.identity, "revoked", ())):
            listener(principal)

    return Ends(means_of(agent), grants_of(agent), signed_out)


def glass_of(agent: Agent) -> Glass:
    return Glass(means_of(agent), reviews_of(agent))


def router(agent: Agent) -> APIRouter:
    """``/v1/grants/ID/suspend``, ``/v1/leavers``, ``/v1/break-glass``."""
    routes = APIRouter(prefix="/v1")
    ends, glass = ends_of(agent), glass_of(agent)

    @routes.post("/grants/{id}/suspend")
    async def suspend(who: Who, id: Id, new: Why) -> View:
        return await ends.suspend(who, id, new.reason)

    @routes.post("/grants/{id}/resume")
    async def resume(who: Who, id: Id, new: Why | None = None) -> View:
        return await ends.resume(who, id, "" if new is None else new.reason)

    @routes.post("/leavers")
    async def leave(who: Who, new: Leaving) -> list[View]:
        await _check_administers(agent, who, new)
        do = ends.come_back if new.back else ends.leave
        return await do(who.id, new.who, new.reason, "administrator")

    @routes.get("/break-glass")
    async def reviews(who: Who, all: bool = False) -> list[View]:
        return await glass.listed(who, all=all)

    @routes.post("/break-glass")
    async def broken(who: Who, new: Broken) -> View:
        return await glass.break_glass(who, wish_of(new), new.incident)

    @routes.post("/break-glass/{id}")
    async def decide(who: Who, id: Id, new: Verdict) -> View:
        if new.state is ItemState.PENDING:
            raise Refused(422, "state", "pending is no answer")
        return await glass.decide(who, id, new.state, new.reason)

    return routes


async def _check_administers(agent: Agent, who: Principal, new: Leaving) -> None:
    if agent.administers(who):
        return
    means = means_of(agent)
    words = "only who administers the agent says that somebody has left"
    refused = Refused(403, "not_allowed", words, "hoop relinquish gives back what is yours")
    action = "principal.came-back" if new.back else "principal.left"
    raise await means.refuse(await means.now(), who, action, new.who, refused)


async def told(agent: Agent, asked: dict[str, Any]) -> Any:
    """What ``hoop-agent leaver`` asks of the running agent; whoever may ask runs its account."""
    ends = ends_of(agent)
    do = ends.come_back if asked.get("back") else ends.leave
    try:
        return {"done": await do("operator", str(asked["who"]), str(asked["reason"]), "operator")}
    except Refused as refused:
        return {"no": refused.message, "hint": refused.hint}
