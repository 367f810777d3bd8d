"""A connection of the agent's own to a target: what it asks for itself, beside any session.

It logs in like a session does (``target_login``), so that what holds there holds here: the right
host, TLS or nothing, and no weaker proof of the credential than the config allows.  It speaks the
simple protocol only, and a target's error is its SQLSTATE, never its text.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeAlias

from hoopagent import connect
from hoopagent.config import TargetSection
from hoopagent.connect import Place, TargetUnreachable
from hoopagent.lane import Lane, LaneClosed
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.target_login import Credential, Ready, open_target
from hoopcore.stream import Aside, Connect, LoginRefused, ProtocolError, Read, Send, StartTLS, Step

Row: TypeAlias = tuple[str | None, ...]

# The catalog of a database with ten thousand tables is some megabytes, a row of it some kilobytes.
LARGEST_ROW = 16 << 20
# All that is kept of one answer: a target that goes on for ever takes the agent's memory else.
_LARGEST_ANSWER = 256 << 20

VERSIONS = {"3.0": wire.PROTOCOL_3_0, "3.2": wire.PROTOCOL_3_2}


class AskedInVain(Exception):
    """The target cannot be asked, or says no: why, without a word of the target's own."""

    def __init__(self, why: str, code: str = "") -> None:
        super().__init__(why)
        self.code = code  # a SQLSTATE, where the target gave one


def credential_of(place: Place, section: TargetSection, password: str | None) -> Credential:
    """How the agent logs in to the target by itself."""
    return Credential(
        target=place.target,
        user=section.credential.user,
        password=password,
        tls=connect.wants_tls(place),
        verified=connect.is_verified(place),
        require_auth=section.credential.require_auth,
        hosts=1 + len(place.others),
        attrs=section.target_session_attrs,
        newest=newest(section),
    )


def newest(section: TargetSection) -> int:
    """The newest version of the protocol that this target is asked for."""
    # Poolers know 3.0, and end a connection that asks for more.
    known = "3.0" if section.pooler != "none" else section.max_protocol_version
    return VERSIONS[known]


@asynccontextmanager
async def opened(
    place: Place, credential: Credential, database: str, limit: float
) -> AsyncIterator[Own]:
    """A connection for as long as the block runs; AskedInVain where none is to be had in time.

    The time limit is for the block too.
    """
    own = Own(place)
    try:
        async with asyncio.timeout(limit):
            await own.log_in(credential, database)
            yield own
    except TimeoutError:
        raise AskedInVain(f"no answer within {limit:.0f} s") from None
    except LoginRefused as refused:
        raise AskedInVain(refused.message, refused.code) from None
    except (TargetUnreachable, ProtocolError) as problem:
        raise AskedInVain(str(problem)) from None
    except LaneClosed:
        raise AskedInVain("it closed the connection") from None
    finally:
        own.close()


class Own:
    """One connection, asked one thing after the other."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._host = 0
        self._lane: Lane | None = None
        self._ready = Ready()  # as the login left it

    async def log_in(self, credential: Credential, database: str) -> None:
        settings = {"client_encoding": "UTF8", "application_name": "hoop-agent"}
        steps = open_target(credential, database, settings, os.urandom(18))
        answer: object = None
        problem: Exception | None = None
        while True:
            try:
                step = steps.throw(problem) if problem is not None else steps.send(answer)
            except StopIteration as done:
                self._ready = done.value
                return
            answer, problem = None, None
            try:
                answer = await self._carry_out(step)
            except TargetUnreachable as unreachable:
                problem = LoginRefused("08001", str(unreachable))

    async def _carry_out(self, step: Step) -> object:
        place = self._place.at(self._host)
        match step:
            case Connect(host):
                self.close()
                self._host = host
                self._lane = await connect.reach(self._place.at(host))
                return None
            case Send(_, data):
                self._at.write(data)
                return None
            case StartTLS(_):
                return await connect.secure(self._at, place)
            case Read(_, size):
                return await self._at.read_exactly(size)
            case Aside(work):
                return await asyncio.to_thread(work)
        raise AssertionError(f"a login to a target has no step {step}")

    @property
    def _at(self) -> Lane:
        assert self._lane is not None, "a login connects before it speaks"
        return self._lane

    async def rows(self, text: str, *, lossy: bool = False) -> list[Row]:
        """The rows that the text gives, all values as text; AskedInVain where it fails.

        ``lossy``: what is not UTF-8 in a value is replaced, and is no error.
        """
        self._at.write(wire.query(text.encode()))
        found: list[Row] = []
        failed, size = "", 0
        while True:
            kind, body = await self._message()
            size += len(body) + 100  # an empty row is one in memory, too
            if size > _LARGEST_ANSWER:
                raise ProtocolError("the target's answer has no end")
            if kind == wire.DATA_ROW:
                reader = wire.Body(body)
                values = (reader.value() for _ in range(reader.uint16()))
                found.append(tuple(None if v is None else _text(v, lossy=lossy) for v in values))
            elif kind == wire.ERROR:
                failed = wire.sqlstate(wire.error_fields(body))
            elif kind == wire.READY:
                if failed:
                    raise AskedInVain(f"the target says no ({failed})", failed)
                return found
            elif kind in (wire.COPY_IN, wire.COPY_OUT, wire.AUTHENTICATION):
                raise ProtocolError("the target answers what nobody asked")

    async def _message(self) -> tuple[int, bytes]:
        kind, length = wire.HEADER.unpack(await self._at.read_exactly(5))
        if not 4 <= length <= LARGEST_ROW:
            raise ProtocolError("the target does not speak PostgreSQL")
        body = await self._at.read_exactly(length - 4) if length > 4 else b""
        return kind, body

    async def cancel(self) -> None:
        """Asks the target to give up what it is doing here; TargetUnreachable."""
        if self._ready.pid:
            place = self._place.at(self._host)
            await connect.cancel(place, self._ready.pid, self._ready.secret)

    def close(self) -> None:
        """Says goodbye; safe to call twice."""
        if self._lane is not None:
            self._lane.write(wire.frame(wire.TERMINATE))
            self._lane.close()
            self._lane = None


def _text(value: bytes, *, lossy: bool = False) -> str:
    try:
        return value.decode(errors="replace" if lossy else "strict")
    except UnicodeDecodeError:  # a database in SQL_ASCII holds whatever was put in
        raise ProtocolError("the target's answer is not in UTF-8") from None
