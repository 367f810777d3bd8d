"""The control API, on the agent's unix socket and over channels of the SSH door.

uvicorn knows no peer of a unix socket, so the first protocol below asks the kernel and puts
``uid:N`` where a TCP server puts the address.  A channel of the SSH door is given the second one,
in process: its certificate was checked at the door, and no uid is behind it.
"""

from __future__ import annotations

import asyncio
import json
from asyncio import BaseTransport, Transport
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn
from fastapi import FastAPI, HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from hoopagent.api.context import Agent, install
from hoopagent.doors.sockets import peer_of
from hoopcore import versions

# The largest message is a request for access; recordings go out, never in.
_MOST_HELD = 64 << 10

# Anybody on this machine may connect; whoever takes more hurts only themselves.
_MOST_CONNECTIONS = 128  # of one uid
_MOST_IN_ALL = 1024

# Seconds for a request to arrive whole, counted from the connection or the last answer.
_TO_ASK = 30.0

_BODY = json.dumps(
    {
        "error": "too_many_connections",
        "message": "this account has too many connections to the agent open",
        "hint": "try again in a moment",
    }
).encode()
_TOO_MANY = (
    b"HTTP/1.1 429 Too Many Requests\r\nContent-Type: application/json\r\nRetry-After: 1\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(_BODY), _BODY)
)


class PeerProtocol(H11Protocol):
    """HTTP/1.1 whose client address is the peer's uid."""

    _slow: asyncio.TimerHandle | None = None

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))  # uvloop's is one in all but name
        peer = peer_of(transport.get_extra_info("socket"))
        if peer is None:
            cast(Transport, transport).abort()  # a token is good for one uid, so there must be one
            return
        self.client = (f"uid:{peer[0]}", 0)
        theirs = sum(getattr(one, "client", None) == self.client for one in self.connections)
        if theirs > _MOST_CONNECTIONS or len(self.connections) > _MOST_IN_ALL:
            self.transport.write(_TOO_MANY)
            self.transport.close()
            return
        self._wait_for_request()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self.transport.is_closing():
            self._wait_for_request()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._slow is not None:
            self._slow.cancel()
        super().connection_lost(exc)

    def _wait_for_request(self) -> None:
        """uvicorn itself waits for ever for the rest of a request, a byte now and then."""
        if self._slow is not None:
            self._slow.cancel()
        self._slow = self.loop.call_later(_TO_ASK, self._is_slow)

    def _is_slow(self) -> None:
        cycle = self.cycle
        if cycle is None or cycle.response_complete or cycle.more_body:
            self.transport.abort()


class ChannelProtocol(H11Protocol):
    """HTTP/1.1 of the SSH door's channels: the certificate was checked there, uids mean nothing.

    Its client address is the principal that the certificate names.
    """

    principal = ""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))  # uvloop's is one in all but name
        self.client = (f"ssh:{self.principal}", 0)


class Bounded:
    """Ends a request whose body is too long: FastAPI reads all of it before it asks who sends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > _MOST_HELD:
                raise HTTPException(413, "a request is at most 64 KiB")
            return message

        await self.app(scope, bounded, send)


class Versioned:
    """Says which versions of the API are spoken here, and serves nobody who speaks none of them."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        problem = versions.apart(
            versions.Speaks.read(headers.get(versions.HEADER)), versions.ours()
        )

        async def telling(message: Message) -> None:
            if message["type"] == "http.response.start":
                told = MutableHeaders(scope=message)
                told[versions.HEADER] = str(versions.ours())
            await send(message)

        if problem is None:
            await self.app(scope, receive, telling)
            return
        words, hint = problem
        body = {"error": "version", "message": words, "hint": hint}
        await JSONResponse(body, 426)(scope, receive, telling)


def application(agent: Agent) -> FastAPI:
    """The whole API.  Its modules are one a noun."""
    from hoopagent.api import (
        audit,
        doctor,
        endpoints,
        ends,
        grants,
        insights,
        keeping,
        masks,
        requests,
        reviews,
        sessions,
        status,
        targets,
        who_can,
    )

    app = FastAPI(title="hoop agent", version=agent.version, openapi_url=None)
    install(app, agent)
    app.add_middleware(Bounded)
    app.add_middleware(Versioned)
    nouns = (
        status,
        doctor,
        targets,
        endpoints,
        requests,
        grants,
        sessions,
        reviews,
        insights,
        who_can,
        masks,
    )
    for noun in nouns:
        app.include_router(noun.router(agent))
    for noun in (audit, ends, keeping):
        app.include_router(noun.router(agent))
    return app


@contextmanager
def _no_signals() -> Iterator[None]:
    yield


def server(app: FastAPI, protocol: type[H11Protocol]) -> uvicorn.Server:
    """A uvicorn that serves the sockets it is given and leaves signals and logging alone."""
    config = uvicorn.Config(
        app,
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        h11_max_incomplete_event_size=_MOST_HELD,
        timeout_graceful_shutdown=2,
    )
    made = uvicorn.Server(config)
    made.capture_signals = _no_signals  # type: ignore[method-assign] # the agent has its own
    return made
