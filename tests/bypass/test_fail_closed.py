"""The fail-closed table, a test a row: when something is wrong, nothing passes.

The rows and where they stand here:

    a client's message is malformed    test_a_message_that_is_none_…, test_a_row_that_a_mask_…
    policy raises                      test_a_policy_that_raises_…
    the recorder cannot append         test_a_recorder_that_cannot_append_…
    a mask raises                      test_a_mask_that_raises_…
    columns are unknown                test_unknown_columns_are_null
    a binary format                    test_binary_cells_…
    a reply that cannot be masked      test_replies_that_cannot_be_masked_…
    it closes inside a row             test_a_connection_that_closes_inside_a_row_…
    a config key is unknown            test_an_unknown_config_key_…
    the store is away (both rows)      test_with_the_store_away_…
    a notification fails               tests/store/test_notify.py: test_a_webhook_that_is_slow_…
    the statement cannot be read       test_a_statement_that_cannot_be_read_…, …_whose_reader_…
    client_encoding                    test_an_unsafe_client_encoding_…, test_an_encoding_…
    text is not valid in it            test_text_that_is_not_valid_…
    a reply fits no ask                test_a_reply_that_fits_no_ask_…
    rows without a description         test_rows_without_a_description_…
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

import hoopagent.catalogs
import hoopcore.protocols.postgres.replies
from hoopagent.catalog import CatalogUnread
from hoopcli.demo.postgres import Postgres
from hoopcore.policy import BoundPolicy
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.incoming import Incoming
from hoopcore.recording import EndCause
from hoopcore.sql.postgres import LARGEST
from tests.bypass.canaries import SCHEMA, TEXT, shown
from tests.bypass.evidence import cause_of, recorded, session_of, verdicts
from tests.bypass.inside import Between, Cut, Inside, running_inside
from tests.bypass.raw import Gone, codes, kinds, run, said, values
from tests.bypass.world import Doorway, Vault, children, command_of, eventually
from tests.e2e.world import Person
from tests.servers import private_folder

SELECT = "select secret from app.people order by id"
MASKED = b"*" * (len(TEXT) + 1)


# --- through the real agent -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "message",
    [
        b"\xff\0\0\0\x04",
        wire.frame(ord("p"), b"x\0"),
        wire.HEADER.pack(wire.QUERY, 3),
        wire.HEADER.pack(wire.QUERY, (64 << 20) + 10),
        wire.HEADER.pack(wire.QUERY, 0x80000000),
        wire.frame(wire.QUERY, b"select 1"),
        wire.frame(wire.QUERY, b"select 1\0select 2\0"),
        wire.frame(wire.PARSE, b"\0select 1\0\xff\xff"),
        wire.frame(wire.BIND, b"\0\0\0\1\0\0\0\1\x7f\xff\xff\xff"),
        wire.frame(wire.DESCRIBE, b"X\0"),
        wire.frame(wire.SYNC, b"more"),
    ],
)
def test_a_message_that_is_none_ends_the_connection_and_is_recorded(
    vault: Vault, door: Doorway, message: bytes
) -> None:
    with door.connect() as raw:
        raw.send(message + wire.query(b"insert into app.pub (id) values (4711)"))
        got = raw.until_gone()
        assert codes(got) == ["08P01"]
        events = recorded(vault, session_of(raw))
    assert cause_of(events) is EndCause.PROTOCOL_ERROR
    assert verdicts(events) == []
    assert vault.postgres is not None
    assert vault.postgres.psql("select 1 from app.pub where id = 4711", "vault") == ""


def test_a_row_that_a_mask_cannot_see_whole_ends_the_session(vault: Vault, door: Doorway) -> None:
    """69 MiB.  Without masks a row of any size passes (test_row_of_any_size_passes_…)."""
    with door.connect() as raw:
        raw.send(wire.query(b"select repeat(name, 12000000), secret from app.people where id = 1"))
        got = raw.until_gone()
        assert "D" not in kinds(got)
        assert codes(got) == ["54000"]
        assert cause_of(recorded(vault, session_of(raw))) is EndCause.PROTOCOL_ERROR


@pytest.mark.parametrize("binary", [False, True])
def test_binary_cells_whose_masked_form_would_not_decode_are_null(
    door: Doorway, binary: bool
) -> None:
    text = b"select secret, pin, amount, raw, items, doc, tail from app.people where id = 1"
    with door.connect() as raw:
        (row,) = values(raw.ask(run(text, binary=binary)))
    # Text within an array is a value of its own, and what is left of it is one.
    head = struct.pack("!iiIii", 1, 0, 25, 1, 1) + struct.pack("!i", 16)
    items = head + b"*" * 16 if binary else b"{****************}"
    assert row == [MASKED, None, None, None, items, None, b"*" * 12 + b"4829"]


def test_replies_that_cannot_be_masked_are_refused_at_the_ask(door: Doorway) -> None:
    """COPY BINARY and calls by number here, replication at login; compression is no part of the
    protocol, and an extension of it is negotiated away."""
    with door.connect() as raw:
        assert codes(raw.query("copy app.people to stdout (format binary)")) == ["42501"]
        call = wire.frame(wire.FUNCTION_CALL, b"\0\0\x05\x1b" + b"\0\0" * 3)
        assert codes(raw.ask(call)) == ["42501"]
        assert values(raw.query("select id from app.pub where id = 1")) == [[b"1"]]
    for wish in ({"replication": "database"}, {"replication": "true"}):
        with pytest.raises(Gone):
            door.connect(**wish)
    with door.connect(**{"_pq_.compression": "zstd"}) as raw:
        assert kinds(raw.greeting).count("v") == 1
        assert shown(bytes(raw.received)) == []


@pytest.mark.parametrize(
    "text",
    [
        "selekt 1",
        "select " + "(" * 60 + "1" + "+1)" * 60,
        "select " + "not " * 1500 + "true",
        "select '" + "x" * LARGEST + "'",
        "/*" * 200_000,
        "select 1" + "+1" * 500_000,
    ],
    ids=["grammar", "depth", "nesting", "size", "time", "death"],
)
def test_a_statement_that_cannot_be_read_is_refused(door: Doorway, text: str) -> None:
    with door.connect() as raw:
        got = raw.query(text)
        assert codes(got) == ["42501"]
        assert 'rule "unreadable"' in said(got)
        assert values(raw.query("select 1")) == [[b"1"]]


def test_a_statement_whose_reader_process_was_killed_is_refused_or_read(
    vault: Vault, door: Doorway
) -> None:
    """The text that meets the death is unknown; the next one has a process of its own."""
    long = "delete from app.pub /*" + " " * 4000 + "*/"
    with door.connect() as raw:
        for _ in range(2):
            (reader,) = [
                pid for pid in children(vault.agent.pid) if "reader_process" in command_of(pid)
            ]
            os.kill(reader, signal.SIGKILL)
            assert codes(raw.query(long)) == ["42501"]
            got = raw.query(long)
            assert 'rule "no-unbounded-delete"' in said(got)
    assert vault.postgres is not None
    assert int(vault.postgres.psql("select count(*) from app.pub", "vault")) >= 5


@pytest.mark.parametrize("name", ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", "SHIFT_JIS"])
def test_an_unsafe_client_encoding_is_refused_at_login_and_at_set(door: Doorway, name: str) -> None:
    with pytest.raises(Gone):
        door.connect(client_encoding=name)
    with door.connect() as raw:
        for text in (
            f"set client_encoding = '{name}'",
            f"set names '{name}'",
            f"select set_config('client_encoding', '{name}', false)",
        ):
            assert codes(raw.query(text)) == ["42501"], text
        assert values(raw.query("show client_encoding")) == [[b"UTF8"]]


def test_an_encoding_that_comes_by_another_way_ends_the_session(
    vault: Vault, door: Doorway
) -> None:
    """What a text did not tell, the target's own report does."""
    with door.connect() as raw:
        raw.send(wire.query(b"select app.speak('SJIS')") + wire.query(b"select 1"))
        assert codes(raw.until_gone()) == ["08P01"]
        assert cause_of(recorded(vault, session_of(raw))) is EndCause.PROTOCOL_ERROR


def test_text_that_is_not_valid_in_client_encoding_is_unknown(door: Doorway) -> None:
    with door.connect() as raw:
        for text in (b"select '\xc3'", b"select '\xff\xfe'; select 1", b"select '\xed\xa0\x80'"):
            got = raw.ask(wire.query(text))
            assert codes(got) == ["42501"]
            assert 'rule "unreadable"' in said(got)
    with door.connect(client_encoding="SQL_ASCII") as raw:
        assert codes(raw.ask(wire.query("select 'ä'".encode()))) == ["42501"]
        assert codes(raw.query("select 'a'")) == []


# --- the start, and the store ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "line", "words"),
    [
        ("agent.toml", '[agent]\nrecordngs = "x"\n', "recordngs"),
        ("agent.toml", "[agent]\nheld_bytes = -1\n", "held_bytes"),
        ("rules.toml", '[[rule]]\nname = "x"\nverdit = "refuse"\n', "verdit"),
        (
            "rules.toml",
            '[[rule]]\nname = "x"\nreason = "x"\nverdict = "refuse"\neffects = ["reed"]\n',
            "reed",
        ),
        ("masks.toml", '[[mask]]\ncolumn = "a.b.c"\nstyle = "ful"\n', "ful"),
        ("masks.toml", 'detectors = ["cards"]\n', "cards"),
    ],
)
def test_an_unknown_config_key_or_a_bad_value_stops_the_start(
    tmp_path: Path, file: str, line: str, words: str
) -> None:
    folder = tmp_path / "agent"
    agent = [sys.executable, "-m", "hoopagent"]
    subprocess.run([*agent, "init", "--config", str(folder)], check=True, capture_output=True)
    (folder / file).write_text(line)
    done = subprocess.run(
        [*agent, "run", "--config", str(folder)], capture_output=True, text=True, timeout=30
    )
    assert done.returncode != 0
    assert f"{file}:" in done.stderr
    assert words in done.stderr
    assert not list(folder.rglob("api.sock"))


def _start_again(store: Postgres) -> None:
    assert store._try_start(store.reachable_install(), store.folder / "data", 30)


def test_with_the_store_away_no_session_opens_and_one_goes_on_to_its_grants_known_end(
    vault: Vault, ana: Person, ben: Person
) -> None:
    """Two rows of the table, since making the store's server go and come costs seconds."""
    ana.granted(ben, target="prod-db", span="9s")
    end = time.monotonic() + 9
    doorway = Doorway(ana, "prod-db")
    raw = doorway.connect()
    vault.store.stop()
    try:
        with pytest.raises(Gone):
            doorway.connect()
        while time.monotonic() < end - 3:  # several looks of the watch, each in vain
            assert codes(raw.query("select 1")) == []
            time.sleep(0.2)
        got = raw.until_gone()
        assert codes(got) == ["57P01"]
        assert end - 3 < time.monotonic() < end + 20
    finally:
        _start_again(vault.store)
        raw.close()
        doorway.close()
    assert cause_of(recorded(vault, session_of(raw))) is EndCause.GRANT_ENDED
    eventually(lambda: ana.hoop("sessions", "--mine", status=None).returncode == 0)
    # What could not be written then is known by the time the agent has its store again.
    assert ana.json("targets")


# --- where a fault has to be made inside ----------------------------------------------------------


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> Iterator[Postgres]:
    """A vault past which no agent of another process goes."""
    postgres.psql("create database vault")
    postgres.psql(SCHEMA, "vault")
    yield postgres
    postgres.psql("drop database vault with (force)")


@pytest.fixture(scope="module")
def inside(shop: Postgres) -> Iterator[Inside]:
    with private_folder() as folder, running_inside(folder, shop) as agent:
        yield agent


@pytest.fixture(scope="module")
def between(shop: Postgres) -> Iterator[Between]:
    between = Between(shop)
    yield between
    between.close()


@pytest.fixture(scope="module")
def beyond(shop: Postgres, between: Between) -> Iterator[Inside]:
    """An agent whose target is not what it should be."""
    with private_folder() as folder, running_inside(folder, shop, between.address) as agent:
        yield agent


def raising(*_: Any, **__: Any) -> NoReturn:
    raise ZeroDivisionError


def test_a_policy_that_raises_refuses_the_statement_and_is_recorded(
    inside: Inside, monkeypatch: pytest.MonkeyPatch
) -> None:
    with inside.connect() as raw:
        live = inside.live
        monkeypatch.setattr(BoundPolicy, "decide", raising)
        got = raw.query("select 1")
        assert codes(got) == ["42501"]
        assert 'rule "policy-error"' in said(got)
        monkeypatch.undo()
        assert values(raw.query("select 1")) == [[b"1"]]
    assert verdicts(inside.ended(live)) == [("refuse", "policy-error"), ("allow", "")]


def test_a_recorder_that_cannot_append_ends_the_connection_before_anything_is_forwarded(
    inside: Inside, shop: Postgres
) -> None:
    """The kernel itself says that there is no room."""
    with inside.connect() as raw:
        live = inside.live
        raw.query("select 1")
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, live.recorder._fd)
        os.close(full)
        raw.send(wire.query(b"insert into app.pub (id) values (4712)"))
        got = raw.until_gone()
        assert codes(got) == ["58030"]
    eventually(live.closed.is_set)
    assert shop.psql("select 1 from app.pub where id = 4712", "vault") == ""


@pytest.mark.parametrize("text", [SELECT, "select id, lower(secret) from app.people"])
def test_a_mask_that_raises_lets_no_row_pass_and_ends_the_connection(
    inside: Inside, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    with inside.connect() as raw:
        live = inside.live
        monkeypatch.setattr(hoopcore.protocols.postgres.replies, "mask_rows", raising)
        raw.send(wire.query(text.encode()))
        got = raw.until_gone()
        assert "D" not in kinds(got)
        assert codes(got) == ["XX000"]
        assert shown(bytes(raw.received)) == []
    assert cause_of(inside.ended(live)) is EndCause.MASKING_FAILED


def test_unknown_columns_are_null(inside: Inside, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalog that cannot be read: no column is known, so none is shown."""

    async def unread(*_: Any, **__: Any) -> NoReturn:
        raise CatalogUnread("no")

    monkeypatch.setattr(hoopagent.catalogs, "read_catalog", unread)
    catalogs: Any = inside.sessions.bounds.catalogs
    catalogs._kept.clear()
    for binary in (False, True):
        with inside.connect() as raw:
            text = b"select id, secret, 1, note from app.people join app.pub using (id)"
            assert {cell for row in values(raw.ask(run(text, binary=binary))) for cell in row} == {
                None
            }
            assert codes(raw.query("copy app.pub to stdout")) == ["42501"]
    catalogs._kept.clear()


def test_a_connection_that_closes_inside_a_row_gives_nothing_of_it(
    beyond: Inside, between: Between
) -> None:
    """The server goes when half of the row is out; the half has a whole canary in it."""

    def cut(data: bytes) -> bytes:
        at = data.find(TEXT.encode())
        if at < 0:
            return data
        raise Cut(data[: at + len(TEXT)])

    with beyond.connect() as raw:
        live = beyond.live
        with between.changing(cut):
            raw.send(wire.query(SELECT.encode()))
            got = raw.until_gone()
    assert kinds(got) == "T"
    assert shown(bytes(raw.received)) == []
    assert cause_of(beyond.ended(live)) is EndCause.TARGET_LEFT


def _behind(reply: bytes) -> Callable[[bytes], bytes]:
    return lambda data: data + reply


def test_a_reply_that_fits_no_ask_ends_the_session(beyond: Inside, between: Between) -> None:
    extra = wire.frame(wire.DATA_ROW, b"\0\1\0\0\0\x10" + TEXT.encode())
    for reply in (extra, wire.frame(wire.COMMAND_COMPLETE, b"SELECT 1\0"), wire.ready_for_query()):
        with beyond.connect() as raw:
            live = beyond.live
            with between.changing(_behind(reply)):
                raw.send(wire.query(b"select id from app.pub where id = 1"))
                raw.until_gone()
            assert shown(bytes(raw.received)) == []
            assert cause_of(beyond.ended(live)) is EndCause.PROTOCOL_ERROR


def test_rows_without_a_description_of_this_portal_are_null(
    beyond: Inside, between: Between
) -> None:
    """The client asks for none, and the one the agent asks for gets lost."""

    def no_description(data: bytes) -> bytes:
        incoming = Incoming()
        incoming.feed(data)
        told = b""
        while (header := incoming.header()) is not None:
            piece = bytes(incoming.piece(header[1]))
            told += wire.frame(wire.NO_DATA) if header[0] == wire.ROW_DESCRIPTION else piece
        return told

    with beyond.connect() as raw:
        text = SELECT.encode()
        raw.ask(wire.parse(b"s", text) + wire.frame(wire.SYNC))
        bound = wire.frame(wire.BIND, b"\0s\0" + b"\0\0" * 3)
        execute = wire.frame(wire.EXECUTE, b"\0" + b"\0" * 4)
        with between.changing(no_description):
            got = raw.ask(bound + execute + wire.frame(wire.SYNC))
    assert values(got) == [[None]] * 3
