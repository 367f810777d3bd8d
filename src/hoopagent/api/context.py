"""What every module of the control API works with: the agent's parts, and who is asking.

A request is somebody's only after its token was looked up; over the unix socket the kernel says
which uid is at the other end, and a token is good for the first uid that used it and no other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from hoopagent.config import Config
from hoopagent.doors.attempts import Attempts
from hoopagent.errors import Refused
from hoopagent.store import Store, StoreAway, Token
from hoopcore.model import Principal, Time
from hoopcore.places import ConfigError


class Live(Protocol):
    """The sessions that are open now, as the API needs them (sessions.py)."""

    async def kill(self, session: str, actor: str, reason: str) -> bool:
        """Ends a live session and waits until it is closed; False where it is not live."""
        ...

    async def close_for_grant(self, grant: str) -> list[str]:
        """Closes each live session that rests on no other live grant; their ids."""
        ...


class Admits(Protocol):
    """The part of identity.py that the API needs."""

    async def authenticate(self, token: str, uid: int | None) -> Principal: ...

    async def logout(self, token: str) -> None: ...

    async def status(self, token: str) -> Token: ...


class Reloading(Protocol):
    """What the API tells of files that were changed while the agent runs (reload.py)."""

    @property
    def problems(self) -> Sequence[ConfigError]:
        """Of what is on the disk and not in force."""
        ...

    @property
    def wants_restart(self) -> bool:
        """Whether agent.toml is another one than at the start."""
        ...


@dataclass(slots=True)
class Agent:
    """The parts of a running agent.  ``app.py`` alone puts them together."""

    store: Store
    identity: Admits
    live: Live
    clock: Callable[[], Time]
    random: Callable[[int], bytes]
    recordings: Path  # folder
    recording_key: bytes  # public, raw Ed25519
    version: str
    config_now: Callable[[], Config]  # the config in force; a reload changes it
    endpoints: Any = None  # doors/local.py
    wall: Callable[[], Time] = lambda: time.time_ns() // 1000  # what the clock on the wall says
    attempts: Attempts | None = None  # None: nobody who fails has to wait
    reload: Reloading | None = None
    stopping: Callable[[], bool] = lambda: False  # whether nobody is to be kept waiting any more
    parts: dict[str, Any] = field(default_factory=dict)  # use cases, by name

    @property
    def config(self) -> Config:
        return self.config_now()

    def roles(self, principal: Principal) -> dict[str, Any]:
        """The roles this principal has by its groups: name → config.Role."""
        return {
            name: role for name, role in self.config.roles.items() if role.groups & principal.groups
        }

    def administers(self, principal: Principal) -> bool:
        """Whether a role lets them see and end what is not theirs."""
        return any(role.administer for role in self.roles(principal).values())


def peer_uid(request: Request) -> int | None:
    """The uid at the other end of the unix socket; None for a channel of the SSH door.

    The server puts ``uid:N`` where a TCP server puts the address (see ``api/server.py``).
    """
    client = request.client
    if client is None or not client.host.startswith("uid:"):
        return None
    return int(client.host.removeprefix("uid:"))


def _shown(request: Request) -> str:
    """Whom the certificate of this channel of the SSH door names; empty where there is none."""
    kind, _, principal = ("" if request.client is None else request.client.host).partition(":")
    return principal if kind == "ssh" else ""


# What a guess gets.  A token that has expired, or was revoked, was no guess.
_GUESSED = ("not_signed_in", "other_user")


async def _who(request: Request) -> Principal:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    agent: Agent = request.app.state.agent
    if scheme.lower() != "bearer" or not token:
        raise Refused(401, "not_signed_in", "you are not signed in", "hoop login")
    uid = peer_uid(request)
    whose = f"uid {uid}"
    # A channel of the SSH door has shown a certificate, so nobody guesses there.
    attempts = agent.attempts if uid is not None else None
    if attempts is not None and attempts.too_many(whose):
        words = "too many sign-ins of this account have failed"
        raise Refused(429, "too_many_attempts", words, "wait a minute")
    try:
        principal = await agent.identity.authenticate(token, uid)
    except Refused as refused:
        if attempts is not None and refused.error in _GUESSED:
            attempts.failed(whose)
        raise
    if _shown(request) not in ("", principal.id):  # stolen, by somebody who has come as themselves
        words = "this token belongs to somebody else than the certificate"
        raise Refused(401, "other_principal", words, "hoop login")
    request.state.token = token
    return principal


Who = Annotated[Principal, Depends(_who)]
"""The principal who asks.  A route with this parameter cannot be reached without signing in."""


def principal_view(id: str, known: dict[str, Principal]) -> dict[str, str]:
    """``{id, name}`` as the API shows people."""
    person = known.get(id)
    return {"id": id, "name": person.name if person else id}


def _problem(status: int, error: str, message: str, hint: str) -> JSONResponse:
    return JSONResponse({"error": error, "message": message, "hint": hint}, status)


async def _refused(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, Refused)
    return _problem(problem.status, problem.error, problem.message, problem.hint)


async def _away(_: Request, _problem_seen: Exception) -> JSONResponse:
    return _problem(
        503, "store_away", "the agent cannot reach its store", "try again, or look at its log"
    )


async def _not_served(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, HTTPException)
    return _problem(problem.status_code, "not_served", str(problem.detail), "")


async def _malformed(_: Request, problem: Exception) -> JSONResponse:
    assert isinstance(problem, RequestValidationError)
    # What was sent is not repeated: it may be a secret.
    said = "; ".join(
        f"{'.'.join(str(part) for part in error['loc'][1:])}: {error['msg']}"
        for error in problem.errors()
    )
    return _problem(422, "malformed", said, "")


def install(app: FastAPI, agent: Agent) -> None:
    """Gives an app its agent and the one place where errors become answers."""
    app.state.agent = agent
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(StoreAway, _away)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _not_served)
