"""Grants, and their ends."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from hoopagent.api.context import Agent, Who
from hoopagent.api.requests import Extension, Id, Nothing, extension, means_of
from hoopagent.asking import Asking
from hoopagent.grants import Grants
from hoopagent.means import View
from hoopagent.review_due import due


class Revocation(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=4_000)


def grants_of(agent: Agent) -> Grants:
    return Grants(means_of(agent), agent.live.close_for_grant)


def router(agent: Agent) -> APIRouter:
    """``/v1/grants``."""
    routes = APIRouter(prefix="/v1/grants")
    grants = grants_of(agent)

    @routes.get("")
    async def every(
        who: Who, mine: bool = False, all: bool = False, live: bool = False
    ) -> list[View]:
        views = await grants.listed(who, everyone=all and not mine, live=live)
        why = await due(grants.means, [view["id"] for view in views], grants.means.clock())
        return [{**view, "review_due": why.get(view["id"], [])} for view in views]

    @routes.post("/{id}/relinquish")
    async def relinquish(who: Who, id: Id, _: Nothing | None = None) -> View:
        return await grants.relinquish(who, id)

    @routes.post("/{id}/revoke")
    async def revoke(who: Who, id: Id, new: Revocation) -> View:
        return await grants.revoke(who, id, new.reason)

    @routes.post("/{id}/extend")
    async def extend(who: Who, id: Id, new: Extension) -> View:
        return await Asking(grants.means).ask(who, extension(id, new))

    return routes
