"""What all doors share: the life of one client connection, from its first byte to its end.

A door knows how a client proves who it is (``identify``); ``Sessions`` knows what that person may
do and runs what comes after.  In between stands the protocol's login, a generator of steps, and
``Greeting``, which carries the steps out over lanes.

    identify (memory) → the client proves itself → admit (grant, session) → the target is connected
    and logged in → run (recording begins, the client hears that it is in, the relay takes over)

A login has a time limit and ends when its client leaves, whatever it waits for.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

import structlog

from hoopagent import connect
from hoopagent.connect import Place, TargetUnreachable
from hoopagent.lane import Lane, LaneClosed
from hoopagent.logs import places
from hoopcore.model import Principal
from hoopcore.protocols.postgres.login import RANDOM, Admission, fatal, login, not_let_in
from hoopcore.protocols.postgres.scram import Verifier
from hoopcore.stream import (
    Admit,
    Aside,
    Cancel,
    Closed,
    Connect,
    Identify,
    LoginRefused,
    Opened,
    ProtocolError,
    Read,
    Send,
    Side,
    StartTLS,
    Step,
)

LIMIT = 30.0

NOT_LET_IN = not_let_in().code

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Caller:
    """Who stands at a door, proved."""

    principal: Principal
    target: str  # Target.name
    door: str  # "local" or "ssh"
    origin: str  # for people: "unix uid 1000 pid 4711", "127.0.0.1:50412"
    uid: int | None = None
    database: str = ""  # the endpoint's own; empty: the target's default
    endpoint: str = ""  # its id


@dataclass(frozen=True, slots=True)
class Identified:
    """Whom a name stands for, and what must be proved first.

    A caller without a verifier is proved already.  No caller with a verifier is a name that does
    not exist: nothing satisfies such a verifier.
    """

    caller: Caller | None
    verifier: Verifier | None


Identification: TypeAlias = Callable[[str], Identified]
"""From the startup packet's user, out of memory; or LoginRefused."""


@dataclass(frozen=True, slots=True)
class Admitted:
    """A caller may go on: where to, and as whom.  ``detail`` is Sessions' own."""

    admission: Admission
    place: Place
    detail: Any = None


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Both sides are logged in; the client has not been told yet (``opened.to_client``)."""

    caller: Caller
    admitted: Admitted
    opened: Opened
    client: Lane
    target: Lane

    def fatal(self, code: str, message: str, hint: str = "") -> None:
        """Tells the client why it is not let in after all; for use before ``to_client`` only."""
        self.client.write(fatal(LoginRefused(code, message, hint)))


class Sessions(Protocol):
    """What a door asks of the agent's sessions."""

    async def admit(self, caller: Caller, step: Admit) -> Admitted:
        """May this caller open its target now?  LoginRefused says why not."""

    async def run(self, login: LoggedIn) -> None:
        """The session, from the start of its recording to its end.

        Writes ``opened.to_client`` once the recording has begun, and takes over both lanes
        (``hand_over``).  The door closes both transports when this returns or raises.
        """

    def abandon(self, admitted: Admitted, why: str) -> None:
        """The login failed after ``admit``; ``run`` will not be called."""

    async def cancel(self, cancel: Cancel, uid: int | None, principal: str | None) -> None:
        """A cancel request came; what the door knows of its sender, if anything.

        A wrong secret, and somebody else's, do nothing, silently.
        """


async def greet(
    lane: Lane,
    identify: Identification,
    sessions: Sessions,
    *,
    uid: int | None = None,
    principal: str | None = None,
    limit: float = LIMIT,
    client_tls: ssl.SSLContext | None = None,
    proved: Callable[[Caller], None] | None = None,
    unproved: Callable[[], None] | None = None,
) -> None:
    """The whole life of one client connection.  Raises nothing but CancelledError.

    ``uid`` and ``principal`` are what the door knows of a client that only cancels.  ``proved`` is
    called when the client has shown who it is, and may raise LoginRefused; ``unproved`` when it
    could not.
    """
    greeting = Greeting(lane, identify, sessions, client_tls, proved)
    try:
        result = await greeting.until_opened(limit)
        if isinstance(result, LoggedIn):
            await sessions.run(result)
        elif isinstance(result, Cancel):
            async with asyncio.timeout(limit):
                await sessions.cancel(result, uid, principal)
        else:
            log.info("login.closed", why=result.why, uid=uid, principal=principal)
            if unproved is not None and result.code == NOT_LET_IN:
                unproved()
    except TargetUnreachable as error:
        log.warning("cancel.unreachable", why=str(error))
    except TimeoutError:
        log.warning("login.timeout")
    except Exception as error:  # noqa: BLE001 - the border of one connection: no other ends
        log.error("connection.failed", error=type(error).__name__, where=places(error))
    finally:
        lane.close()
        if greeting.target is not None:
            # Nothing is owed to the target; a session that ran has closed it already.
            greeting.target.transport.abort()


class Greeting:
    """One login on its way: carries out the steps of the protocol's generator."""

    def __init__(
        self,
        lane: Lane,
        identify: Identification,
        sessions: Sessions,
        client_tls: ssl.SSLContext | None,
        proved: Callable[[Caller], None] | None,
    ) -> None:
        self.client = lane
        self.target: Lane | None = None
        self._identify = identify
        self._sessions = sessions
        self._client_tls = client_tls
        self._proved = proved
        self._caller: Caller | None = None
        self._admitted: Admitted | None = None
        self._host = 0  # which one of the target's is tried

    async def until_opened(self, limit: float) -> LoggedIn | Cancel | Closed:
        """The login's result; ``Closed`` too when the time is over or the client leaves.

        Whatever ends the login after the admission, Sessions hears of it.
        """
        why = "the login broke off"
        try:
            result = await self._within(limit)
            if isinstance(result, Opened):
                assert self._caller is not None
                assert self._admitted is not None
                assert self.target is not None
                # From here on the target is the host that the session is on.
                admitted = replace(self._admitted, place=self._place())
                return LoggedIn(self._caller, admitted, result, self.client, self.target)
            if isinstance(result, Closed):
                why = result.why
        except BaseException:
            self._abandon(why)
            raise
        self._abandon(why)
        return result

    def _abandon(self, why: str) -> None:
        if self._admitted is not None:
            self._sessions.abandon(self._admitted, why)

    async def _within(self, limit: float) -> Opened | Cancel | Closed:
        loop = asyncio.get_running_loop()
        steps = login(os.urandom(RANDOM), client_tls=self._client_tls is not None)
        try:
            async with asyncio.timeout(limit) as deadline:

                def leave() -> None:
                    if not deadline.expired():
                        deadline.reschedule(loop.time())

                self.client.on_lost = leave
                return await self._drive(steps)
        except TimeoutError:
            return Closed("the client left" if self.client.lost else "the time limit is over")
        except LaneClosed:
            return Closed("the client left")
        finally:
            self.client.on_lost = None
            steps.close()

    async def _drive(
        self, steps: Generator[Step, Any, Opened | Cancel | Closed]
    ) -> Opened | Cancel | Closed:
        answer: object = None
        problem: Exception | None = None
        while True:
            try:
                step = steps.throw(problem) if problem is not None else steps.send(answer)
            except StopIteration as done:
                result: Opened | Cancel | Closed = done.value
                return result
            answer, problem = None, None
            try:
                answer = await self._carry_out(step)
            except (LoginRefused, ProtocolError) as error:
                problem = error
            except TargetUnreachable as error:
                problem = LoginRefused("08001", str(error))

    async def _carry_out(self, step: Step) -> object:
        match step:
            case Read(Side.CLIENT, size):
                return await self.client.read_exactly(size)
            case Read(Side.TARGET, size):
                return await self._read_target(size)
            case Send(side, data):
                (self.client if side is Side.CLIENT else self._target()).write(data)
                return None
            case StartTLS(Side.CLIENT):
                return await self._secure_client()
            case StartTLS(Side.TARGET):
                return await connect.secure(self._target(), self._place())
            case Identify(user):
                return self._identify_as(user)
            case Admit():
                return await self._admit(step)
            case Connect(host):
                await self._connect(host)
                return None
            case Aside(work):
                return await asyncio.to_thread(work)
            case _:
                raise AssertionError(f"unknown step {step}")

    async def _connect(self, host: int) -> None:
        if self.target is not None:
            self.target.close()
            self.target = None
        self._host = host
        self.target = await connect.reach(self._place())

    async def _read_target(self, size: int) -> bytes:
        try:
            return await self._target().read_exactly(size)
        except LaneClosed:
            raise TargetUnreachable(self._place(), "it closed the connection at login") from None

    async def _secure_client(self) -> bytes:
        assert self._client_tls is not None, "TLS is offered only where the door has a certificate"
        try:
            await self.client.start_tls(self._client_tls, server_name=None, server_side=True)
        except OSError as error:
            raise LaneClosed from error
        # Clients are not offered channel binding, so nobody asks for our certificate.
        return b""

    def _identify_as(self, user: str) -> Verifier | None:
        found = self._identify(user)
        if found.caller is None and found.verifier is None:
            raise not_let_in()
        self._caller = found.caller
        return found.verifier

    async def _admit(self, step: Admit) -> Admission:
        if self._caller is None:
            raise not_let_in()
        if self._proved is not None:
            self._proved(self._caller)
        self._admitted = await self._sessions.admit(self._caller, step)
        return self._admitted.admission

    def _target(self) -> Lane:
        assert self.target is not None, "the generator connects before it speaks to the target"
        return self.target

    def _place(self) -> Place:
        assert self._admitted is not None, "a target is known after the admission"
        return self._admitted.place.at(self._host)
