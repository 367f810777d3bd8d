"""Looking back at one's own grants."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from hoopagent import recordings
from hoopagent.api.context import Agent, Who
from hoopagent.api.grants import grants_of
from hoopagent.api.requests import means_of
from hoopagent.means import View
from hoopagent.reviews import Reviews
from hoopcore.model import ReviewAnswer, Session


class NewDecision(BaseModel):
    model_config = ConfigDict(extra="forbid")

    grant: str = Field(pattern=r"^[a-z]+-[0-9a-z]{8,26}$")
    answer: ReviewAnswer
    reason: str = Field("", max_length=4_000)


def reviews_of(agent: Agent) -> Reviews:
    """The use cases of reviews; usage is read from the recordings of this agent."""

    def usage(session: Session) -> recordings.Usage:
        path = recordings.find(agent.recordings, session.id, session.started)
        if path is None:
            raise FileNotFoundError(session.id)
        return recordings.usage(path)

    return Reviews(means_of(agent), grants_of(agent), usage)


def router(agent: Agent) -> APIRouter:
    """``/v1/reviews``."""
    routes = APIRouter(prefix="/v1/reviews")
    reviews = reviews_of(agent)

    @routes.get("/mine")
    async def mine(who: Who) -> list[View]:
        return await reviews.mine(who)

    @routes.post("")
    async def decide(who: Who, new: NewDecision) -> View:
        return await reviews.decide(who, new.grant, new.answer, new.reason)

    return routes
