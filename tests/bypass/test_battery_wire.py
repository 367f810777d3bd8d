"""Ways out that are no statement but a use of the protocol: formats, portals, descriptions.

The same schema and the same oracle as the battery's; each of these shows a canary without hoop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from hoopcore.protocols.postgres import wire
from tests.bypass.battery_arena import BEGIN, Arena, arena
from tests.bypass.battery_schema import masks
from tests.bypass.canaries import shown
from tests.bypass.inside import Between, running_inside
from tests.bypass.raw import Gone, Raw, kinds
from tests.servers import private_folder

SYNC = wire.frame(wire.SYNC)
FLUSH = wire.frame(wire.FLUSH)
COLUMNS = b"select id, ssn, card, name, email, photo, born, prefs, tags, income from customers"


@pytest.fixture(scope="module", params=[18, 15])
def field(request: pytest.FixtureRequest) -> Iterator[Arena]:
    with arena(request.param) as made:
        yield made


def bind(name: bytes = b"", portal: bytes = b"", formats: tuple[int, ...] = (0,)) -> bytes:
    parts = [wire.cstring(portal), wire.cstring(name), wire.UINT16.pack(0) * 2]
    parts += [wire.UINT16.pack(number) for number in (len(formats), *formats)]
    return wire.frame(wire.BIND, b"".join(parts))


def execute(portal: bytes = b"", rows: int = 0) -> bytes:
    return wire.frame(wire.EXECUTE, wire.cstring(portal) + wire.INT32.pack(rows))


def describe_statement(name: bytes) -> bytes:
    return wire.frame(wire.DESCRIBE, b"S" + wire.cstring(name))


def formats_by_column(raw: Raw) -> None:
    for shift in (0, 1):
        formats = tuple((place + shift) % 2 for place in range(10))
        said = wire.parse(b"", COLUMNS) + bind(formats=formats)
        raw.ask(said + wire.describe_portal(b"") + execute() + SYNC)


def no_description(raw: Raw) -> None:
    raw.ask(wire.parse(b"s", COLUMNS) + SYNC)
    for formats in ((0,), (1,)):
        raw.ask(bind(b"s", formats=formats) + execute() + SYNC)


def described_once(raw: Raw) -> None:
    raw.ask(wire.parse(b"s", COLUMNS) + describe_statement(b"s") + SYNC)
    for formats in ((0,), (1,), (0, 1) * 5):
        raw.ask(bind(b"s", formats=formats) + execute() + SYNC)


def suspended(raw: Raw) -> None:
    raw.query("begin")
    raw.send(wire.parse(b"", COLUMNS) + bind(portal=b"p") + wire.describe_portal(b"p") + FLUSH)
    for rows in (1, 2, 3):
        raw.send(execute(b"p", rows) + FLUSH)
    raw.ask(execute(b"p") + SYNC)
    raw.query("rollback")


def two_portals(raw: Raw) -> None:
    clean = wire.parse(b"c", b"select name as ssn from staff")
    both = clean + wire.parse(b"m", b"select ssn as name from customers")
    opened = bind(b"c", b"a") + bind(b"m", b"b") + wire.describe_portal(b"a")
    raw.query("begin")
    raw.ask(both + opened + execute(b"a", 1) + execute(b"b", 1) + execute(b"a") + SYNC)
    raw.query("rollback")
    raw.ask(both.replace(b"c\0", b"d\0") + SYNC)


def pipelined(raw: Raw) -> None:
    out = b""
    for text in (
        b"select name from staff",
        b"select ssn from customers",
        b"select 1, email from customers",
    ):
        out += wire.parse(b"", text) + bind(formats=(1,)) + wire.describe_portal(b"") + execute()
        out += bind() + execute()
    raw.ask(out + SYNC)


def another_search_path(raw: Raw) -> None:
    """A prepared text whose name means a masked relation by the time it is run."""
    raw.query("begin; create schema mine; create table mine.orders (note text, state text)")
    raw.query("set local search_path = mine")
    raw.ask(wire.parse(b"s", b"select note, state from orders") + describe_statement(b"s") + SYNC)
    raw.ask(bind(b"s") + wire.describe_portal(b"") + execute() + SYNC)
    raw.query("set local search_path = shop")
    raw.ask(bind(b"s") + execute() + SYNC)
    raw.query("rollback")


def sql_cursor_by_protocol(raw: Raw) -> None:
    raw.query("begin; declare c cursor for select ssn, upper(email) from customers")
    raw.ask(execute(b"c", 2) + SYNC)
    raw.ask(wire.describe_portal(b"c") + execute(b"c") + SYNC)
    raw.query("rollback")


def protocol_portal_by_sql(raw: Raw) -> None:
    raw.query("begin")
    raw.ask(wire.parse(b"", COLUMNS) + bind(portal=b"p") + SYNC)
    raw.query("fetch 2 from p")
    raw.ask(wire.parse(b"", b"fetch all from p") + bind() + execute() + SYNC)
    raw.query("rollback")


def sql_prepared_by_protocol(raw: Raw) -> None:
    raw.query("prepare s as select ssn, email || '' from customers")
    raw.ask(bind(b"s") + wire.describe_portal(b"") + execute() + SYNC)
    raw.query("deallocate s; prepare s as select phone from customers")
    raw.ask(bind(b"s") + execute() + SYNC)


def described_as_another(raw: Raw) -> None:
    """A name that is given another text behind its description."""
    raw.ask(wire.parse(b"s", b"select name, city from customers") + describe_statement(b"s") + SYNC)
    close = wire.frame(wire.CLOSE, b"S" + wire.cstring(b"s"))
    raw.ask(
        close
        + wire.parse(b"s", b"select ssn, email from customers")
        + bind(b"s")
        + execute()
        + SYNC
    )


def copy_by_protocol(raw: Raw) -> None:
    text = b"copy (select ssn, name from customers) to stdout"
    raw.ask(wire.parse(b"", text) + bind() + execute() + SYNC)


def parameters(raw: Raw) -> None:
    value = wire.UINT32.pack(1) + b"1"
    given = (
        wire.cstring(b"") * 2
        + wire.UINT16.pack(0)
        + wire.UINT16.pack(1)
        + value
        + wire.UINT16.pack(0)
    )
    text = b"select ssn, $1 || ssn from customers where id = $1::int"
    raw.ask(wire.parse(b"", text) + wire.frame(wire.BIND, given) + execute() + SYNC)


WAYS: tuple[Callable[[Raw], None], ...] = (
    *(formats_by_column, no_description, described_once, suspended, two_portals, pipelined),
    *(
        another_search_path,
        sql_cursor_by_protocol,
        protocol_portal_by_sql,
        sql_prepared_by_protocol,
    ),
    *(described_as_another, copy_by_protocol, parameters),
)


def heard(raw: Raw, way: Callable[[Raw], None]) -> bytes:
    with raw:
        raw.query(BEGIN)
        raw.received.clear()
        with suppress(Gone):
            way(raw)
        return bytes(raw.received)


@pytest.mark.parametrize("way", WAYS, ids=[way.__name__ for way in WAYS])
def test_the_protocol_carries_no_canary_out(field: Arena, way: Callable[[Raw], None]) -> None:
    assert shown(heard(field.direct(), way)) != []
    assert shown(heard(field.styled.connect(), way)) == []


def test_values_that_are_split_over_packets_are_masked_whole(field: Arena) -> None:
    """The target's bytes come in pieces of seven."""
    between = Between(field.postgres, piece=7)
    with (
        private_folder() as folder,
        running_inside(folder, field.postgres, between.address, masks(), ("vault",)) as agent,
        agent.connect() as raw,
    ):
        raw.query(BEGIN)
        for text in ("select * from customers", "select name, ssn, upper(ssn) from customers"):
            assert "D" in kinds(raw.query(text))
        assert shown(bytes(raw.received)) == []
    between.close()
    assert threading.active_count() < 100
