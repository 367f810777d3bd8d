"""Looking back at one's own grants."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict, Field

from hoopagent import recordings
from hoopagent.api.context import Agent, Who
from hoopagent.api.grants import grants_of
from hoopagent.api.requests import Id, Nothing, means_of
from hoopagent.confirming import Confirming
from hoopagent.errors import Refused
from hoopagent.means import View
from hoopagent.review_due import Dues
from hoopagent.reviews import Reviews, Told
from hoopcore.model import Principal, ReviewAnswer, Scope, Session, Time
from hoopcore.review import Said
from hoopcore.usage import Use, use_of

_GRANT = r"^[a-z]+-[0-9a-z]{8,26}$"


class NewDecision(BaseModel):
    model_config = ConfigDict(extra="forbid")

    grant: str = Field(pattern=_GRANT)
    answer: Literal["keep", "narrow", "give back", "delegate", "cannot say"]
    reason: str = Field("", max_length=4_000)
    scope: str = Field("", max_length=20_000)
    until: datetime | None = None
    to: str = Field("", max_length=255)
    opened: list[str] = Field([], max_length=50)
    took: int = Field(0, ge=0, le=1_000_000)
    group: int = Field(1, ge=1, le=10_000)
    sure: bool = False
    hard: bool = False
    attended: bool = True


class Trial(BaseModel):
    model_config = ConfigDict(extra="forbid")

    grant: str = Field(pattern=_GRANT)
    scope: str = Field(max_length=20_000)


class ClosedTicket(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ticket: str = Field(min_length=1, max_length=4_000)


class Word(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answer: Literal["confirm", "override"]
    reason: str = Field("", max_length=4_000)


def reviews_of(agent: Agent) -> Reviews:
    """The use cases of reviews; usage is read from the recordings of this agent."""

    def read(session: Session) -> Use:
        path = recordings.find(agent.recordings, session.id, session.started)
        if path is None:
            raise FileNotFoundError(session.id)
        return use_of(recordings.read(path))

    return Reviews(means_of(agent), grants_of(agent), read)


def dues_of(agent: Agent) -> Dues:
    reviews = reviews_of(agent)
    return Dues(reviews.means, reviews.read)


def confirming_of(agent: Agent) -> Confirming:
    reviews = reviews_of(agent)
    return Confirming(reviews.means, reviews.steps)


def router(agent: Agent) -> APIRouter:
    """``/v1/reviews``."""
    routes = APIRouter(prefix="/v1/reviews")
    reviews, confirming = reviews_of(agent), confirming_of(agent)

    @routes.get("/mine")
    async def mine(who: Who) -> list[View]:
        return await reviews.mine(who)

    @routes.post("")
    async def decide(who: Who, new: NewDecision) -> View:
        told = Told(tuple(new.opened), new.took, new.sure)
        return await reviews.decide(who, new.grant, await _said(agent, new), told)

    @routes.post("/replay")
    async def replay(who: Who, new: Trial) -> View:
        return await reviews.replayed(who, new.grant, _scope(new.scope))

    @routes.get("/of/{grant}")
    async def card(who: Who, grant: Annotated[str, Path(pattern=_GRANT)]) -> View:
        return await reviews.card(who, grant)

    @routes.post("/ticket-closed")
    async def ticket_closed(who: Who, closed: ClosedTicket) -> list[View]:
        return await dues_of(agent).ticket_closed(who, closed.ticket)

    @routes.get("/done")
    async def done(who: Who) -> list[View]:
        return await confirming.done(who)

    @routes.get("/confirm")
    async def to_confirm(who: Who) -> list[View]:
        return await confirming.to_confirm(who)

    @routes.get("/{id}")
    async def one(who: Who, id: Id) -> View:
        return await confirming.one(who, id)

    @routes.post("/{id}/confirm")
    async def confirm(who: Who, id: Id, new: Word) -> View:
        return await confirming.confirm(who, id, ReviewAnswer(new.answer), new.reason)

    @routes.post("/{id}/undo")
    async def undo(who: Who, id: Id, _: Nothing | None = None) -> View:
        return await confirming.undo(who, id)

    return routes


async def _said(agent: Agent, new: NewDecision) -> Said:
    return Said(
        answer=ReviewAnswer(new.answer),
        reason=new.reason,
        scope=_scope(new.scope) if new.scope else None,
        until=None if new.until is None else _time(new.until),
        to=await _person(agent, new.to) if new.to else None,
        group=new.group,
        attended=new.attended,
        hard=new.hard,
    )


def _scope(text: str) -> Scope:
    try:
        return Scope.parse(text)
    except ValueError as problem:
        raise Refused(422, "scope", f"the scope cannot be used: {problem}") from None


def _time(at: datetime) -> Time:
    if at.tzinfo is None:
        raise Refused(422, "until", "the end needs an offset from UTC")
    return int(at.timestamp() * 1_000_000)


async def _person(agent: Agent, name: str) -> Principal:
    found = await agent.store.principals_named(name)
    if len(found) != 1:
        words = f'nobody called "{name}" has signed in here' if not found else f'"{name}" is many'
        raise Refused(404, "no_principal", words, "Give the e-mail address, or the id.")
    return found[0]
