"""Sinks of the audit: a file that is rotated, a syslog that comes and goes.  No row is lost."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from hoopagent.audit_follow import Following
from hoopagent.audit_sinks import sink_of
from hoopagent.config import AuditSink
from hoopagent.store import AuditQuery
from hoopagent.store.sql import SqlStore
from hoopcore.audit import Chain, row_of
from hoopcore.model import AuditEvent
from tests.servers import private_folder
from tests.store.world import START


async def follow(store: SqlStore, section: AuditSink, folder: Path) -> Following:
    following = Following(store, sink_of(section, folder, "k"), "agent", lambda: START)
    await following.step()
    return following


async def write(store: SqlStore, *numbers: int) -> None:
    for number in numbers:
        await store.audit(AuditEvent(START, "p-é", "test.said", f"x{number}", {"n": "ü"}))


async def test_a_file_gets_every_row_and_is_evidence_of_its_own(
    store: SqlStore, tmp_path: Path
) -> None:
    path = tmp_path / "audit.log"
    following = await follow(store, AuditSink(name="file", file=Path("audit.log")), tmp_path)
    await write(store, 1, 2)
    assert await following.step()
    assert path.stat().st_mode & 0o777 == 0o600
    path.rename(tmp_path / "audit.log.1")  # whoever rotates it just moves it away
    await write(store, 3)
    assert await following.step()
    chain = Chain()
    for text in ((tmp_path / "audit.log.1").read_text() + path.read_text()).splitlines():
        chain.take(row_of(json.loads(text)))
    assert chain.end(await store.audit_tail()) is None
    assert chain.rows == 3


async def test_a_file_that_cannot_be_written_loses_no_row(store: SqlStore, tmp_path: Path) -> None:
    section = AuditSink(name="file", file=Path("folder/audit.log"))
    following = await follow(store, section, tmp_path)
    await write(store, 1)
    assert not await following.step()
    assert "No such file" in (await store.followers())[0].problem
    await write(store, 2)
    (tmp_path / "folder").mkdir()
    assert await following.step()
    lines = (tmp_path / "folder" / "audit.log").read_text().splitlines()
    assert [json.loads(line)["subject"] for line in lines] == ["x1", "x2"]


async def test_a_link_in_the_sink_s_place_is_not_followed(store: SqlStore, tmp_path: Path) -> None:
    (tmp_path / "audit.log").symlink_to(tmp_path / "elsewhere")
    following = await follow(store, AuditSink(name="file", file=Path("audit.log")), tmp_path)
    await write(store, 1)
    assert not await following.step()
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize("kind", ["unix", "udp"])
async def test_syslog_gets_rfc_5424_and_what_it_missed(
    store: SqlStore, tmp_path: Path, kind: str
) -> None:
    with private_folder() as folder:
        if kind == "unix":
            door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            where = str(folder / "log")
            section = AuditSink(name="log", syslog=where)
            following = await follow(store, section, tmp_path)
            await write(store, 1)
            assert not await following.step()  # nobody listens yet
            door.bind(where)
        else:
            door = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            door.bind(("127.0.0.1", 0))
            where = f"udp:127.0.0.1:{door.getsockname()[1]}"
            following = await follow(store, AuditSink(name="log", syslog=where), tmp_path)
            await write(store, 1)
        with door:
            door.settimeout(20)
            await write(store, 2)
            assert await following.step()
            heard = [door.recv(1 << 16).decode() for _ in range(2)]
    for number, text in enumerate(heard, 1):
        head, _, body = text.partition(" - \ufeff")
        assert head.startswith("<109>1 2027-01-15T08:00:00Z ")
        assert head.endswith(" hoop-agent - test.said")
        assert json.loads(body)["subject"] == f"x{number}"


async def test_a_row_too_long_for_a_datagram_is_told_by_its_hash(
    store: SqlStore, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as door:
        door.bind(("127.0.0.1", 0))
        door.settimeout(20)
        section = AuditSink(name="log", syslog=f"udp:127.0.0.1:{door.getsockname()[1]}")
        following = await follow(store, section, tmp_path)
        await store.audit(AuditEvent(START, "a", "test.said", "x", {"why": "w" * 100_000}))
        assert await following.step()
        told = json.loads(door.recv(1 << 16).decode().partition("\ufeff")[2])
    assert told["too_long"] is True
    (row,) = await store.audit_rows(AuditQuery())
    assert told["hash"] == row.hash
