"""What somebody's own month came to."""

from __future__ import annotations

from fastapi import APIRouter

from hoopagent.api.context import Agent, Who
from hoopagent.api.reviews import reviews_of
from hoopagent.insights import mirror
from hoopagent.means import View


def router(agent: Agent) -> APIRouter:
    """``/v1/insights``."""
    routes = APIRouter(prefix="/v1/insights")
    reviews = reviews_of(agent)

    @routes.get("/me")
    async def me(who: Who) -> list[View]:
        return await mirror(reviews.means, reviews.read, who, reviews.means.clock())

    return routes
