"""The control API, on the agent's unix socket and over channels of the SSH door.

uvicorn knows no peer of a unix socket, so the first protocol below asks the kernel and puts
``uid:N`` where a TCP server puts the address.  A channel of the SSH door is given the second one,
in process: its certificate was checked at the door, and no uid is behind it.
"""

from __future__ import annotations

from asyncio import BaseTransport, Transport
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

import uvicorn
from fastapi import FastAPI, HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from hoopagent.api.context import Agent, install
from hoopagent.doors.sockets import peer_of

# The largest message is a request for access; recordings go out, never in.
_MOST_HELD = 64 << 10

# Anybody on this machine may connect; whoever takes more hurts only themselves.
_MOST_CONNECTIONS = 128  # of one uid


class PeerProtocol(H11Protocol):
    """HTTP/1.1 whose client address is the peer's uid."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))  # uvloop's is one in all but name
        peer = peer_of(transport.get_extra_info("socket"))
        if peer is None:
            cast(Transport, transport).abort()  # a token is good for one uid, so there must be one
            return
        self.client = (f"uid:{peer[0]}", 0)
        if (
            sum(getattr(one, "client", None) == self.client for one in self.connections)
            > _MOST_CONNECTIONS
        ):
            cast(Transport, transport).abort()


class ChannelProtocol(H11Protocol):
    """HTTP/1.1 of the SSH door's channels: the certificate was checked there, uids mean nothing."""

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(cast(Transport, transport))  # uvloop's is one in all but name
        self.client = ("ssh", 0)


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


def application(agent: Agent) -> FastAPI:
    """The whole API.  Its modules are one a noun."""
    from hoopagent.api import endpoints, grants, requests, reviews, sessions, status, targets

    app = FastAPI(title="hoop agent", version=agent.version, openapi_url=None)
    install(app, agent)
    app.add_middleware(Bounded)
    for noun in (status, targets, endpoints, requests, grants, sessions, reviews):
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
