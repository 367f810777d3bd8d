"""Requests and the votes on them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from hoopagent.api.context import Agent, Who
from hoopagent.asking import Asking
from hoopagent.errors import Refused
from hoopagent.following import follow
from hoopagent.means import Means, View
from hoopagent.narrowest import narrowest
from hoopagent.requests import Requests
from hoopagent.stepping import StepUps
from hoopcore.access import Wish
from hoopcore.model import SECOND, Answer, Priority, RequestState, Scope, Time

# What is longer is no sentence; the exact bounds are the core's, which says so in words.
_LONG = 4_000
_TEN_YEARS = 10 * 366 * 86_400

Seconds = Annotated[int, Field(ge=1, le=_TEN_YEARS)]
Id = Annotated[str, Path(pattern=r"^[a-z]+-[0-9a-z]{8,26}$")]


class NewRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    target: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")
    reason: str = Field(max_length=_LONG)
    duration: Seconds
    scope: str | None = Field(None, max_length=_LONG)
    task: str = Field("", max_length=_LONG)
    ticket: str = Field("", max_length=_LONG)
    priority: Priority = Priority.NORMAL
    key: str = Field("", pattern=r"^[\x21-\x7e]{0,128}$")
    starts: AwareDatetime | None = None


class Outlook(NewRequest):
    reason: str = Field("", max_length=_LONG)


class Extension(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=_LONG)
    duration: Seconds
    scope: str | None = Field(None, max_length=_LONG)
    ticket: str = Field("", max_length=_LONG)
    priority: Priority = Priority.NORMAL
    key: str = Field("", pattern=r"^[\x21-\x7e]{0,128}$")


class NewVote(BaseModel):
    model_config = ConfigDict(extra="forbid")

    answer: Answer
    reason: str = Field("", max_length=_LONG)
    duration: Seconds | None = None
    scope: str | None = Field(None, max_length=_LONG)
    starts: AwareDatetime | None = None
    shown: str = Field("", pattern=r"^([0-9a-f]{64})?$")  # digest of what the voter was shown


class StepUp(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=_LONG)


class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


def means_of(agent: Agent) -> Means:
    """What the use cases around access need of an agent."""
    return Means(agent.store, agent.config_now, agent.clock, agent.random)


def router(agent: Agent) -> APIRouter:
    """``/v1/requests``."""
    routes = APIRouter(prefix="/v1/requests")
    requests = Requests(means_of(agent))

    @routes.get("")
    async def every(
        who: Who,
        mine: bool = False,
        to_decide: bool = False,
        state: RequestState | None = None,
    ) -> list[View]:
        return await requests.listed(who, mine=mine, to_decide=to_decide, state=state)

    @routes.post("")
    async def ask(who: Who, wish: NewRequest) -> View:
        return await requests.ask(who, wish_of(wish))

    @routes.post("/outlook")
    async def outlook(who: Who, wish: Outlook) -> View:
        return await Asking(requests.means).outlook(who, wish_of(wish))

    @routes.get("/narrowest")
    async def narrow(who: Who, target: str) -> View:
        """What the last statement that was refused there wants of a scope; null: nothing."""
        scope = await narrowest(requests.means, agent.recordings, who, target)
        return {"target": target, "scope": None if scope is None else str(scope)}

    @routes.get("/{id}")
    async def one(who: Who, id: Id) -> View:
        return await requests.show(who, id)

    @routes.post("/{id}/votes")
    async def vote(who: Who, id: Id, new: NewVote) -> View:
        return await requests.vote(
            who,
            id,
            new.answer,
            new.reason,
            new.duration,
            scope=_scope(new.scope),
            starts=_time(new.starts),
            seen=new.shown,
        )

    @routes.post("/{id}/step-up")
    async def step_up(who: Who, id: Id, said: StepUp) -> View:
        return await StepUps(requests.means).confirm(who, id, said.reason)

    @routes.get("/{id}/shown")
    async def told(who: Who, id: Id) -> View:
        return await requests.told(who, id)

    @routes.get("/{id}/events")
    async def events(who: Who, id: Id) -> StreamingResponse:
        await requests.show(who, id)  # what is no answer is said as one
        told = follow(requests, who, id, agent.stopping)
        return StreamingResponse(told, media_type="text/event-stream")

    @routes.post("/{id}/cancel")
    async def cancel(who: Who, id: Id, _: Nothing | None = None) -> View:
        return await requests.cancel(who, id)

    return routes


def extension(grant: str, new: Extension) -> Wish:
    """The wish to go on from a grant; what its target is, the grant says."""
    return Wish(
        target="",
        reason=new.reason,
        duration=new.duration,
        scope=_scope(new.scope),
        ticket=new.ticket,
        priority=new.priority,
        key=new.key,
        extends=grant,
    )


def wish_of(new: NewRequest) -> Wish:
    """What was sent, in the words of the core; Refused where its scope cannot be read."""
    return Wish(
        target=new.target,
        reason=new.reason,
        duration=new.duration,
        scope=_scope(new.scope),
        task=new.task,
        ticket=new.ticket,
        priority=new.priority,
        key=new.key,
        starts=_time(new.starts),
    )


def _scope(text: str | None) -> Scope | None:
    if text is None:
        return None
    try:
        return Scope.parse(text)
    except ValueError as problem:
        raise Refused(422, "scope", f"the scope cannot be read: {problem}") from problem


def _time(moment: datetime | None) -> Time | None:
    return None if moment is None else int(moment.timestamp()) * SECOND
