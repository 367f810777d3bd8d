"""A target that lies to the agent's own questions: it harms itself, and nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from hoopagent.config import Agent, Config, Credential, Identity, TargetSection, Tls
from hoopagent.ephemeral import Users
from hoopagent.own import AskedInVain
from hoopagent.secrets import Secrets
from hoopcore.model import SECOND
from hoopcore.protocols.postgres import wire

Row = tuple[bytes | None, ...]
Answers = Callable[[str], Iterable[Row]]

NOW = 1_800_000_000  # by the target's clock, which is years ahead of ours


def row(values: Row) -> bytes:
    body = b"".join(
        wire.INT32.pack(-1) if one is None else wire.UINT32.pack(len(one)) + one for one in values
    )
    return wire.frame(wire.DATA_ROW, wire.UINT16.pack(len(values)) + body)


class Target:
    """Lets everybody in, and answers each text as it is told to."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.asked: list[str] = []
        self.served: list[asyncio.Task[None] | None] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.served.append(asyncio.current_task())
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError, OSError):
            await self._talk(reader, writer)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = wire.UINT32.unpack(await reader.readexactly(4))
        await reader.readexactly(length - 4)
        hello = wire.authentication(0) + wire.parameter_status("client_encoding", "UTF8")
        writer.write(hello + wire.backend_key_data(1, b"KEYS") + wire.ready_for_query())
        while True:
            kind, length = wire.HEADER.unpack(await reader.readexactly(5))
            body = await reader.readexactly(length - 4)
            if kind != wire.QUERY:
                break
            self.asked.append(body[:-1].decode())
            rows = b"".join(map(row, self._answers(self.asked[-1])))
            done = wire.frame(wire.COMMAND_COMPLETE, wire.cstring("SELECT"))
            writer.write(rows + done + wire.ready_for_query())


@asynccontextmanager
async def users_of(answers: Answers) -> AsyncIterator[tuple[Users, Target, TargetSection]]:
    target = Target(answers)
    server = await asyncio.start_server(target.serve, "127.0.0.1", 0)
    section = TargetSection(
        address=f"127.0.0.1:{server.sockets[0].getsockname()[1]}",
        databases=("shop",),
        credential=Credential(user="maker", ephemeral=True, in_roles=("reader",)),
        tls=Tls(mode="off"),
    )
    config = Config(
        folder=Path("/nowhere"),
        agent=Agent.model_validate({}),
        identity=Identity(issuer="https://id.test", client_id="hoop"),
        targets={"db": section},
        roles={},
        rules="",
        masks="",
        version="v1",
    )
    secrets = Secrets(lambda: config, lambda: 0)
    try:
        yield Users(lambda: config, secrets, os.urandom), target, section
    finally:
        server.close()
        await asyncio.gather(*(one for one in target.served if one is not None))
        await server.wait_closed()


def told(*left: str, now: bytes = str(NOW).encode()) -> Answers:
    """A target that is asked the time, and for the users that were left."""

    def answers(text: str) -> Iterable[Row]:
        if "pg_roles r\nWHERE" in text:
            return [(name.encode(),) for name in left]
        return [(now,)] if "clock_timestamp" in text else []

    return answers


NONSENSE: dict[str, Iterable[Row]] = {
    "bytes that are no text": [(b"\xff\xfe",)],
    "rows without columns": [()],
    "NULL": [(None,)],
    "no row": [],
    "a number without end": [(b"9" * 5000,)],
    "a time with a column to spare": [(b"1800000000", b"1")],
    "the users it would like to be rid of": [(b"postgres",)],
}


@pytest.mark.parametrize("kind", NONSENSE)
async def test_a_target_that_answers_nonsense_does_not_end_the_sweep(kind: str) -> None:
    async with users_of(lambda text: [] if text.startswith("SET") else NONSENSE[kind]) as found:
        users, target, section = found
        await users.sweep()
        assert not any("DROP" in text for text in target.asked)
        with pytest.raises(AskedInVain):
            await users.make("db", section, ("reader",), 2 * NOW * SECOND)
        assert not any("CREATE" in text for text in target.asked)


async def test_only_names_that_hoop_makes_are_swept() -> None:
    names = [f"hoop_{NOW - 3600}_aaaaaaaaaa", "postgres", f'hoop_{NOW - 3600}_a"; drop table t; --']
    async with users_of(told(*names)) as (users, target, _):
        await users.sweep()
        dropped = [text for text in target.asked if "DROP" in text]
    assert dropped == [f'DROP ROLE IF EXISTS "{names[0]}"']


async def test_whether_a_user_is_old_is_told_by_the_clock_that_named_it() -> None:
    """Ours is years behind: that of another agent may be, too."""
    young, old = f"hoop_{NOW - 60}_aaaaaaaaaa", f"hoop_{NOW - 600}_bbbbbbbbbb"
    async with users_of(told(young, old)) as (users, target, section):
        made = await users.make("db", section, ("reader",), 2 * NOW * SECOND)
        assert re.fullmatch(rf"hoop_{NOW}_[0-9a-z]{{10}}", made.name)
        await users.sweep()
        dropped = [text for text in target.asked if "DROP" in text]
    assert dropped == [f'DROP ROLE IF EXISTS "{old}"']
