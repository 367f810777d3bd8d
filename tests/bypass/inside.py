"""The agent's sessions in a thread, for faults that nobody can make from outside.

Everything is what ``app.py`` would put together, on uvloop: a store, the reader process, recording
keys, ``Sessions`` with its watch, and the local door.  Left out are signing in and the API: who
comes is known, and the policy grants what they ask for at once.

``Between`` stands between the agent and the target, and may change what the target says.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from hoopagent.clock import Clock
from hoopagent.config import (
    Agent,
    Config,
    Credential,
    Eligibility,
    Identity,
    Role,
    TargetSection,
    Tls,
)
from hoopagent.doors.local import LocalDoor
from hoopagent.live import Live
from hoopagent.means import Means
from hoopagent.reader import Reader
from hoopagent.recording_keys import RecordingKeys
from hoopagent.recordings import read as read_recording
from hoopagent.requests import Requests
from hoopagent.sessions import Sessions
from hoopagent.store import Token
from hoopagent.store.sql import open_store
from hoopcli.demo.postgres import Postgres
from hoopcore.access import Wish
from hoopcore.model import SECOND, Kind, Principal, Priority
from hoopcore.recording import EndCause
from tests.bypass.canaries import MASKS
from tests.bypass.raw import Raw
from tests.bypass.world import eventually

T = TypeVar("T")
ANN = Principal("p-ann", Kind.HUMAN, "https://id.test", "ann", "ann@test", frozenset({"all"}))
_HOUR = 3600


def _config(folder: Path, address: str, masks: str, databases: tuple[str, ...]) -> Config:
    target = TargetSection(
        address=address,
        databases=databases,
        credential=Credential(user="postgres", password="env:HOOP_TEST_PASSWORD"),
        tls=Tls(mode="off"),
    )
    offer = Eligibility(targets=("vault",), votes=0, max="2h")
    return Config(
        folder=folder,
        agent=Agent.model_validate({}),
        identity=Identity(issuer="https://id.test", client_id="hoop"),
        targets={"vault": target},
        roles={"all": Role(groups=frozenset({"all"}), may_request=(offer,))},
        rules="",
        masks=masks,
        version="v1",
    )


class Inside:
    """``connect`` gives a raw client, logged in to the vault behind this agent."""

    def __init__(
        self,
        folder: Path,
        address: str,
        masks: str = MASKS,
        databases: tuple[str, ...] = ("vault",),
    ) -> None:
        self.folder = folder
        self.config = _config(folder, address, masks, databases)
        self.lives: list[Live] = []
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._main, name="agent", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.result(30)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)
        assert not self._thread.is_alive(), "the agent does not end"

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs this on the agent's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def connect(self, **startup: str) -> Raw:
        async def add() -> str:
            issued = self.door.add(ANN, "vault", uid=os.getuid(), via="unix")
            return issued.endpoint.id

        user = self.do(add())
        return Raw(
            f"{self.door.socket_dir}/.s.PGSQL.5432",
            {"user": user, "database": "vault", **startup},
        )

    @property
    def live(self) -> Live:
        """The session that was opened last."""
        eventually(lambda: self.lives)
        return self.lives[-1]

    def ended(self, live: Live) -> list[Any]:
        """What was recorded of a session, when it is closed."""
        eventually(live.closed.is_set)
        return list(read_recording(live.recorder.path))

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            try:
                runner.run(self._serve())
            except BaseException as error:  # noqa: BLE001 - goes on to who waits for the start
                if not self._ready.done():
                    self._ready.set_exception(error)

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        clock = Clock()
        store = await open_store(f"sqlite:///{self.folder / 'hoop.sqlite'}", clock.wall())
        now = clock.wall()
        await store.put_principal(ANN, now)
        hour = now + _HOUR * SECOND
        await store.add_token(Token("ab" * 32, ANN.id, now, hour, hour, "SHA256:key"))
        means = Means(store, lambda: self.config, clock.late, os.urandom)
        wish = Wish("vault", "a test", _HOUR, None, "", "", Priority.NORMAL, "")
        assert (await Requests(means).ask(ANN, wish))["state"] == "fulfilled"
        reader = Reader()
        await reader.start()
        sessions = _Watched(
            config_now=lambda: self.config,
            store=store,
            clock=clock,
            random=os.urandom,
            folder=self.folder / "recordings",
            keys=RecordingKeys.open(self.folder / "keys"),
            reader=reader,
            version="test",
        )
        sessions.lives = self.lives
        self.sessions = sessions
        self.door = LocalDoor(self.folder, sessions, clock=clock.late)
        async with asyncio.TaskGroup() as group:
            sessions.begin(group)
            await self.door.open(group)
            watching = group.create_task(sessions.watch.run())
            self._ready.set_result(None)
            await self._stop.wait()
            await sessions.end_all(EndCause.AGENT_STOPPED, "the agent was stopped")
            watching.cancel()
            await self.door.close()
        await reader.close()
        await store.close()


class _Watched(Sessions):
    """Tells which sessions it has opened."""

    lives: list[Live]

    async def _open_session(self, *arguments: Any) -> Live:
        live = await super()._open_session(*arguments)
        self.lives.append(live)
        return live


@contextmanager
def running_inside(
    folder: Path,
    postgres: Postgres,
    address: str = "",
    masks: str = MASKS,
    databases: tuple[str, ...] = ("vault",),
) -> Iterator[Inside]:
    os.environ["HOOP_TEST_PASSWORD"] = postgres.password
    folder.chmod(0o700)
    agent = Inside(folder, address or f"127.0.0.1:{postgres.port}", masks, databases)
    agent.start()
    try:
        yield agent
    finally:
        agent.stop()


# --- a target that misbehaves ---------------------------------------------------------------------


class Cut(Exception):
    """Raised by a change: these last bytes, and then the connection is closed."""

    def __init__(self, last: bytes) -> None:
        super().__init__()
        self.last = last


class Between:
    """A loopback port in front of a real server; ``change`` sees all the server says.

    It gives what the agent gets in its place, or raises Cut.  ``piece`` is how many bytes are
    read from the server at a time.
    """

    def __init__(self, postgres: Postgres, *, piece: int = 1 << 16) -> None:
        self.change: Callable[[bytes], bytes] = _as_it_is
        self._piece = piece
        self._to = ("127.0.0.1", postgres.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def changing(self, change: Callable[[bytes], bytes]) -> Iterator[None]:
        self.change = change
        try:
            yield
        finally:
            self.change = _as_it_is

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._to)
                self._start(client, server, _as_it_is)
                self._start(server, client, lambda data: self.change(data))

    def _start(
        self, source: socket.socket, to: socket.socket, change: Callable[[bytes], bytes]
    ) -> None:
        def move() -> None:
            with suppress(OSError):
                try:
                    while data := source.recv(self._piece):
                        to.sendall(change(data))
                except Cut as cut:
                    to.sendall(cut.last)
            for side in (source, to):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)
            source.close()  # each socket is the source of one thread

        threading.Thread(target=move, daemon=True).start()


def _as_it_is(data: bytes) -> bytes:
    return data
