"""Masks, before anything is run: what becomes of a statement's columns, and which want a mask.

Nothing here shows a value, and nothing here changes masks.toml.
"""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from hoopagent.api.context import Agent, Who, peer_uid
from hoopagent.api.requests import Id
from hoopagent.means import View
from hoopagent.scan import Scans
from hoopagent.trial import Asked, Trial


class Trying(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str = Field(max_length=63)
    database: str = Field("", max_length=63)
    statement: str = Field(min_length=1)  # of a body of 64 KiB at most
    person: str = Field("", max_length=320, alias="as")


class Scanning(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str = Field(max_length=63)
    database: str = Field("", max_length=63)
    rows: int = Field(200, ge=1, le=1000)  # of each table, at most


def router(agent: Agent) -> APIRouter:
    """``/v1/masks``."""
    routes = APIRouter(prefix="/v1/masks")

    @routes.post("/try")
    async def tried(who: Who, wish: Trying, request: Request) -> View:
        trial = cast(Trial, agent.parts["trial"])
        uid = peer_uid(request)
        origin = "" if uid is None else f"unix uid {uid}"
        asked = Asked(wish.target, wish.database, wish.statement, wish.person, origin)
        return await trial.tried(who, asked)

    def scans() -> Scans:
        return cast(Scans, agent.parts["scans"])

    @routes.post("/scans")
    async def scan(who: Who, wish: Scanning) -> View:
        return await scans().begin(who, wish.target, wish.database, wish.rows)

    @routes.get("/scans/{id}")
    async def look(who: Who, id: Id) -> View:
        return await scans().look(who, id)

    @routes.delete("/scans/{id}")
    async def stop(who: Who, id: Id) -> View:
        return await scans().stop(who, id)

    return routes
