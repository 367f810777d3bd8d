"""Ways a value escapes a mask, each through the real agent: no canary reaches the client.

The client is a plain socket that keeps every byte behind the login, so rows, errors, notices,
notifications, parameters and descriptions are all looked at; and so is what was recorded.  The
same statements are run past hoop too: a case that shows nothing there would prove nothing here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import zstandard

from hoopcli.demo.postgres import Postgres
from hoopcore.protocols.postgres import wire
from tests.bypass.canaries import SCHEMA, shown, written
from tests.bypass.escapes import CASES, SILENT
from tests.bypass.raw import Gone, Raw, run
from tests.bypass.world import Doorway, Vault

COPY = wire.COPY_IN


def tell(raw: Raw, text: str, mode: str) -> list[tuple[int, bytes]]:
    """Runs one text; a COPY that wants data is given none."""
    data = text.encode()
    if mode == "simple":
        raw.send(wire.query(data))
    else:
        raw.send(run(data, binary=mode == "binary"))
    got: list[tuple[int, bytes]] = []
    while not got or got[-1][0] != wire.READY:
        got.append(raw.message())
        if got[-1][0] == COPY:
            raw.send(wire.frame(wire.COPY_FAIL, b"no\0"))
            if mode != "simple":
                raw.send(wire.frame(wire.SYNC))
    return got


def talk(raw: Raw, texts: tuple[str, ...], mode: str) -> bytes:
    """Everything that the client was sent."""
    raw.query("set search_path = app, public")
    raw.query("begin; rollback")
    for text in texts:
        try:
            tell(raw, text, mode)
        except Gone:
            break
    raw.close()
    return bytes(raw.received)


@pytest.mark.parametrize("name", list(CASES))
def test_no_canary_reaches_the_client(door: Doorway, name: str) -> None:
    for mode in ("simple", "text", "binary"):
        with door.connect() as raw:
            received = talk(raw, CASES[name], mode)
        assert shown(received) == [], mode


def test_nothing_of_it_stands_in_a_recording(vault: Vault, door: Doorway) -> None:
    """All sessions so far, decompressed; there is one for each case and mode at least."""
    unpacked = zstandard.ZstdDecompressor()
    texts = [
        unpacked.stream_reader(path.read_bytes(), read_across_frames=True).read()
        for path in vault.recordings()
    ]
    assert texts
    assert written(b"".join(texts)) == []


def test_no_canary_was_left_in_an_unmasked_place(vault: Vault, door: Doorway) -> None:
    """Behind all of the above: every place where somebody else could read it in clear."""
    assert vault.postgres is not None
    told = vault.postgres.psql(
        "select format('select %s::text from %I.%I x;', case relname when 'people' then 'name'"
        " else 'x' end, relnamespace::regnamespace, relname) from pg_class"
        " where relkind = 'r' and relnamespace > 16384 and relpersistence <> 't' and relname not in"
        " ('parts_1', 'parts_2', 'base', 'child', 'pets', 'toys', 'games') order by 1;",
        "vault",
    )
    assert "app.people" in told  # nothing was renamed, and nothing was dropped
    assert shown(vault.postgres.psql(told, "vault").encode()) == []
    kept = "select encode(data, 'hex') from pg_largeobject; select last_value from app.seq"
    assert shown(vault.postgres.psql(kept, "vault").encode()) == []
    assert vault.postgres.psql("select count(*) from app.people", "vault") == "3\n"


# --- the same past hoop ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bare(postgres: Postgres) -> Iterator[Postgres]:
    """The vault, without a gate before it."""
    postgres.psql("create database bare_template")
    postgres.psql(SCHEMA, "bare_template")
    yield postgres
    postgres.psql("drop database bare_template")


# What leaves something behind for the next case.
_CHANGES = re.compile(
    r"\b(insert|update|delete|merge|create|alter|into|call|do|set_config|lo_|keep|setval|refresh)\b"
)
_state = {"fresh": False}


def renew(bare: Postgres, name: str) -> None:
    """A vault as it was at first; making one costs more than the statements."""
    fresh = _state["fresh"]
    _state["fresh"] = not _CHANGES.search(" ".join(CASES[name]))
    if fresh:
        return
    bare.psql(
        "drop database if exists bare with (force);"
        "create database bare template bare_template strategy file_copy"
    )


@pytest.mark.parametrize("name", list(CASES))
def test_without_hoop_the_same_statements_show_a_canary(bare: Postgres, name: str) -> None:
    renew(bare, name)
    path = f"{bare.socket_dir}/.s.PGSQL.{bare.port}"
    with Raw(path, {"user": "postgres", "database": "bare"}) as raw:
        received = talk(raw, CASES[name], "simple")
    assert bool(shown(received)) == (name not in SILENT)
