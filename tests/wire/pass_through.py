"""A local door in a thread of its own, with sessions that pass every byte on unread."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import uvloop

from hoopagent import connect
from hoopagent.connect import Place
from hoopagent.doors.local import LocalDoor
from hoopagent.doors.login import Admitted, Caller, LoggedIn
from hoopcore.model import Kind, Principal, Time
from hoopcore.protocols.postgres.login import Admission
from hoopcore.stream import Admit, Cancel, LoginRefused

T = TypeVar("T")

ANN = Principal("p-ann", Kind.HUMAN, "https://idp", "ann", "ann@example.test")

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "uvloop": uvloop.new_event_loop,
    "asyncio": asyncio.new_event_loop,
}


class Half(asyncio.Protocol):
    """Passes on what one side says, and closes the other one when it leaves."""

    def __init__(self, other: asyncio.Transport) -> None:
        self.other = other
        self.lost = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self.other.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.other.close()
        self.lost.set()


@dataclass
class PassThrough:
    """Lets everybody in to one place; remembers what it was asked."""

    place: Place
    user: str = "postgres"
    password: str | None = "postgres"
    databases: tuple[str, ...] = ("postgres", "shop")
    refusal: LoginRefused | None = None
    secrets: Iterator[int] = field(default_factory=lambda: iter(range(1, 1_000)))
    admitted: list[tuple[Caller, Admit]] = field(default_factory=list)
    abandoned: list[str] = field(default_factory=list)
    cancels: list[tuple[Cancel, int | None]] = field(default_factory=list)
    open: list[LoggedIn] = field(default_factory=list)
    ended: int = 0
    more: dict[str, Any] = field(default_factory=dict)  # of the Admission

    async def admit(self, caller: Caller, step: Admit) -> Admitted:
        self.admitted.append((caller, step))
        if self.refusal is not None:
            raise self.refusal
        admission = Admission(
            target=self.place.target,
            databases=self.databases,
            user=self.user,
            password=self.password,
            tls=connect.wants_tls(self.place),
            verified=connect.is_verified(self.place),
            hosts=1 + len(self.place.others),
            label="hoop:ann:s-1 ",
            client_secret=next(self.secrets).to_bytes(4, "big") * 8,
            **self.more,
        )
        return Admitted(admission, self.place)

    async def run(self, login: LoggedIn) -> None:
        self.open.append(login)
        client, target = login.client.transport, login.target.transport
        client.write(login.opened.to_client)
        halves = Half(client), Half(target)
        client.write(login.target.hand_over(halves[0]))
        target.write(login.client.hand_over(halves[1]))
        client.resume_reading()
        target.resume_reading()
        for half in halves:
            await half.lost.wait()
        self.open.remove(login)
        self.ended += 1

    def abandon(self, admitted: Admitted, why: str) -> None:
        self.abandoned.append(why)

    async def cancel(self, cancel: Cancel, uid: int | None, principal: str | None) -> None:
        self.cancels.append((cancel, uid))
        for login in self.open:
            opened = login.opened
            if (opened.pid, opened.client_secret) == (cancel.pid, cancel.secret):
                place = login.admitted.place
                await connect.cancel(place, opened.pid, opened.secret)


class RunningDoor:
    """A door in a thread; ``do`` runs something on its loop."""

    def __init__(self, run: Path, sessions: PassThrough, loop: str, **options: Any) -> None:
        self.sessions = sessions
        self.now: Time = 1_000_000
        self._run = run
        self._options = options
        self._make_loop = LOOPS[loop]
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._main, name="door", daemon=True)

    def start(self) -> None:
        self._thread.start()
        self._ready.result(10)

    def stop(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert not self._thread.is_alive(), "the door does not end"

    def do(self, act: Callable[[LocalDoor], T]) -> T:
        async def run() -> T:
            return act(self.door)

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(10)

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def _main(self) -> None:
        with asyncio.Runner(loop_factory=self._make_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self.door = LocalDoor(self._run, self.sessions, clock=lambda: self.now, **self._options)
        async with asyncio.TaskGroup() as group:
            try:
                await self.door.open(group)
            except BaseException as error:  # noqa: BLE001 - goes on to who waits for the start
                self._ready.set_exception(error)
                return
            self._ready.set_result(None)
            await self._stop.wait()
            await self.door.close()
            for login in list(self.sessions.open):
                login.client.transport.abort()


@contextmanager
def running_door(
    run: Path, sessions: PassThrough, loop: str = "uvloop", **options: Any
) -> Iterator[RunningDoor]:
    door = RunningDoor(run, sessions, loop, **options)
    door.start()
    try:
        yield door
    finally:
        door.stop()
