"""The catalog of real servers, and what masks make of real results by it."""

from __future__ import annotations

import asyncio
import os
import pwd
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import psycopg
import pytest

from hoopagent.catalog import CatalogUnread, read_catalog
from hoopagent.config import Tls
from hoopagent.connect import Place, is_verified, wants_tls
from hoopcli.demo.postgres import Postgres
from hoopcore.masking import Bound, Column, Masking
from hoopcore.protocols.postgres.rows import mask_rows
from hoopcore.protocols.postgres.target_login import LARGEST_MESSAGE, Credential
from hoopcore.sql.catalog import Catalog, Table
from hoopcore.sql.names import ASKED, Viewer
from hoopcore.sql.postgres import read
from hoopcore.statement import Relation
from tests.certificates import Authority
from tests.servers import DEBIAN_POSTGRES, private_folder, running_postgres

DATABASE = "masks_shop"
CANARY = "QzXj-canary-VwKp"
SCHEMA = f"""
create schema shop; set search_path = shop, public;
create extension if not exists citext with schema public;
create domain label as text;
create table customers (id int primary key, gone int, ssn text, mail public.citext, tag label,
  upper_ssn text generated always as (upper(ssn)) stored, twice int generated always as (id * 2) stored);
alter table customers drop column gone;
insert into customers(id, ssn, mail, tag) select i, '{CANARY}', '{CANARY}', '{CANARY}' from generate_series(1, 3) i;
create table orders (id int primary key, customer int, note text);
insert into orders select i, i, 'a note' from generate_series(1, 3) i;
create table parts (id int, secret text) partition by list (id);
create table parts_1 partition of parts for values in (1);
create table parts_2 partition of parts default;
insert into parts values (1, '{CANARY}'), (2, '{CANARY}');
create table base (id int, secret text); create table child (more text) inherits (base);
insert into child values (1, '{CANARY}', 'open');
create view v as select * from customers; create view vv as select ssn as note from v;
create materialized view m as select ssn from customers;
create sequence s;
create function secret() returns setof text language sql stable as 'select ssn from shop.customers';
create function secret_table() returns table (note text) language sql stable as 'select ssn from shop.customers';
analyze customers;
"""  # noqa: E501
MASKS = "\n".join(
    f'[[mask]]\ncolumn = "{column}"\nstyle = "full"'
    for column in [
        *("shop.customers.ssn", "shop.customers.mail", "shop.customers.tag"),
        *("shop.parts_1.secret", "shop.base.secret"),
    ]
)


def read_now(server: Postgres, **changed: Any) -> Catalog:
    off = Place("shop", f"127.0.0.1:{server.port}", Tls(mode="off"))
    place, limit = changed.pop("place", off), changed.pop("limit", 15.0)
    database = changed.pop("database", DATABASE)
    known: dict[str, Any] = {"target": "shop", "user": "postgres", "password": server.password}
    known |= {"tls": wants_tls(place), "verified": is_verified(place)}
    credential = Credential(**(known | changed))

    async def read() -> Catalog:
        try:
            return await read_catalog(place, credential, database, limit)
        finally:
            await asyncio.sleep(0.02)  # what was given up is closed by the loop, which ends here

    return asyncio.run(read())


@pytest.fixture(scope="module", params=["postgres", "postgres15"])
def server(request: pytest.FixtureRequest) -> Postgres:
    """Both majors, with the schema above in a database of its own."""
    found: Postgres = request.getfixturevalue(request.param)
    found.psql(f"create database {DATABASE}")
    found.psql(SCHEMA, DATABASE)
    return found


@pytest.fixture(scope="module")
def catalog(server: Postgres) -> Catalog:
    return read_now(server)


@pytest.fixture(scope="module")
def bound(catalog: Catalog) -> Bound:
    return Masking.load(MASKS).bind(catalog)


def one(catalog: Catalog, name: str, schema: str = "shop") -> Table:
    [table] = catalog.named(Relation(schema, name))
    return table


# --- the catalog --------------------------------------------------------------------------------


def test_the_catalog_knows_relations_columns_kinds_and_kin(catalog: Catalog) -> None:
    customers = one(catalog, "customers")
    assert [(number, name) for number, name, _ in customers.columns] == [
        *((1, "id"), (3, "ssn"), (4, "mail"), (5, "tag"), (6, "upper_ssn"), (7, "twice")),
    ]
    assert customers.derived == ((6, 3), (7, 1))
    kinds = {name: one(catalog, name).kind for name in ("customers", "parts", "v", "m", "s")}
    assert kinds == {"customers": "r", "parts": "p", "v": "v", "m": "m", "s": "S"}
    assert one(catalog, "parts_1").parents == (one(catalog, "parts").oid,)
    assert one(catalog, "child").parents == (one(catalog, "base").oid,)
    assert one(catalog, "pg_class", "pg_catalog").system
    assert one(catalog, "columns", "information_schema").system


def test_types_that_are_text_under_another_name_are_known(catalog: Catalog) -> None:
    mail = next(kind for _, name, kind in one(catalog, "customers").columns if name == "mail")
    assert mail in catalog.texts
    assert {25, 1042, 1043} <= catalog.texts
    assert not catalog.texts & {20, 114, 3802, 1009}


def test_temporary_tables_are_not_in_the_catalog(server: Postgres) -> None:
    with psycopg.connect(server.dsn(DATABASE)) as session:
        session.execute("create temp table mine (ssn text)")
        session.commit()
        assert read_now(server).named(Relation("", "mine")) == ()


def test_what_views_select_is_read_with_whole_names(catalog: Catalog) -> None:
    text = catalog.views[one(catalog, "vv").oid]
    assert "FROM shop.v" in text
    assert one(catalog, "m").oid in catalog.views
    assert not {table.oid for table in catalog.tables if table.system} & set(catalog.views)


def test_a_migration_that_holds_a_view_keeps_nothing_but_views_waiting(server: Postgres) -> None:
    with psycopg.connect(server.dsn(DATABASE)) as session:
        session.execute("lock table shop.customers in access exclusive mode")
        catalog = read_now(server)
        assert not catalog.views
        assert one(catalog, "v").kind == "v"
        assert Masking.load(MASKS).bind(catalog).is_near(Relation("shop", "v"))
    assert read_now(server).views


def test_a_catalog_of_thousands_of_tables_is_read(server: Postgres) -> None:
    server.psql(
        "create schema many; do $$ begin for i in 1..1500 loop"
        " execute format('create table many.t%s (a int, b text, c text)', i); end loop; end $$",
        DATABASE,
    )
    try:
        bound = Masking.load('[[mask]]\ncolumn = "many.*.b"\nstyle = "full"').bind(read_now(server))
        assert len(bound.declared) == 1500
    finally:
        for first in range(1, 1501, 500):  # each drop takes locks, of which there are few
            names = ", ".join(f"many.t{number}" for number in range(first, first + 500))
            server.psql(f"drop table {names}", DATABASE)
        server.psql("drop schema many", DATABASE)


def test_settings_of_the_role_do_not_change_what_is_read(server: Postgres) -> None:
    server.psql(
        "create schema odd; create table odd.pg_class (oid oid, relname name);"
        " drop role if exists odd; create role odd login password 'odd';"
        " grant usage on schema odd to odd; alter role odd set jit = on;"
        " alter role odd set search_path = odd, pg_catalog",
        DATABASE,
    )
    catalog = read_now(server, user="odd", password="odd")
    assert one(catalog, "customers").kind == "r"
    assert len(catalog.named(Relation("", "pg_class"))) == 2
    server.psql("drop schema odd cascade", DATABASE)


def test_what_stands_in_the_way_is_said_without_the_password(server: Postgres) -> None:
    for changed in (
        {"password": "wr0ng-s3cret"},
        {"database": "nowhere", "password": "postgres"},
        {"place": Place("shop", "127.0.0.1:1", Tls(mode="off"))},
        {"place": Place("shop", "/nowhere/at/all", Tls(mode="off"))},
        {"place": Place("shop", f"127.0.0.1:{server.port}", Tls(mode="require"))},
        {"limit": 0.000001},
    ):
        with pytest.raises(CatalogUnread) as caught:
            read_now(server, **changed)
        assert "shop" in str(caught.value)
        assert "wr0ng" not in str(caught.value)


def test_a_unix_socket_is_an_address_too(server: Postgres) -> None:
    place = Place("shop", f"{server.socket_dir}:{server.port}", Tls())
    assert one(read_now(server, place=place, password=None), "orders").ordinary


# --- results --------------------------------------------------------------------------------------


def masked(server: Postgres, bound: Bound, sql: str, binary: bool) -> tuple[bool, bytes, bytes]:
    """Whether the text is covered; the rows as the server gave them, and as they would pass."""
    with psycopg.connect(server.dsn(DATABASE), autocommit=True) as session:
        session.execute("set search_path = shop, public")
        cursor = session.execute(sql, binary=binary)
        result = cursor.pgresult
        assert result is not None
        width = range(result.nfields)
        columns = [
            Column(
                str(i), result.ftable(i), result.ftablecol(i), result.ftype(i), result.fformat(i)
            )
            for i in width
        ]
        rows = [[result.get_value(row, i) for i in width] for row in range(result.ntuples)]
    frames = b""
    for cells in rows:
        body = b"".join(
            struct.pack("!i", -1) if cell is None else struct.pack("!i", len(cell)) + cell
            for cell in cells
        )
        frames += b"D" + struct.pack("!IH", len(body) + 6, len(cells)) + body
    covered = bound.covers(read(sql.encode()))
    plan = bound.plan(columns, covered, "UTF8")
    passed = bytes(mask_rows(plan, bytearray(frames))[0]) if plan and frames else frames
    return covered, frames, passed


@pytest.mark.parametrize(
    "sql",
    [
        "select ssn from customers",
        "select ssn as id, id as ssn from customers",
        "select *, c from customers c",
        "select c from customers c",
        "select mail, tag from customers",
        "select upper_ssn from customers",
        "select lower(ssn), ssn || '', substr(ssn, 1, 9) from customers",
        "select note from orders union all select ssn from customers",
        "select ssn from customers union all select note from orders",
        "select note from (select note from orders union all select ssn from customers) x",
        "with recursive r(note) as (select note from orders union all select ssn from customers)"
        " select note from r",
        "with x as (select ssn as note from customers) select note from x",
        "select note from (select ssn as note from customers offset 0) x",
        "select coalesce(note, ssn) from orders full join customers on orders.id = -customers.id",
        "select ssn from v",
        "select note from vv",
        "select * from m",
        "select * from parts",
        "select * from parts_2",
        "select * from base",
        "select * from child",
        "select secret()",
        "select * from secret_table()",
        "select (select ssn from customers limit 1) from orders",
        "select x from orders, lateral (select ssn as x from customers) y",
        "select string_agg(ssn, ','), array_agg(ssn), min(ssn) from customers",
        "select row_to_json(c), to_jsonb(c), c::text from customers c",
        "update customers set id = id returning ssn, customers",
        "table customers",
        "select most_common_vals::text from pg_stats where tablename = 'customers'",
        "select query from pg_stat_activity where query like '%QzXj%'",
        "select 'x', s from customers, unnest(array[ssn]) s",
    ],
)
@pytest.mark.parametrize("binary", [False, True])
def test_no_masked_value_passes(server: Postgres, bound: Bound, sql: str, binary: bool) -> None:
    covered, _, passed = masked(server, bound, sql, binary)
    assert covered
    for start in range(len(CANARY) - 5):
        piece = CANARY[start : start + 6]
        assert piece.encode() not in passed
        assert piece.upper().encode() not in passed


@pytest.mark.parametrize(
    "sql",
    [
        "select * from orders",
        "select o.note, o.id from orders o join customers c on c.id = o.customer",
        "select id, twice from customers",
        "select more from child",
        "select relname, oid from pg_class where relname = 'customers'",
        "select upper(note), count(*) from orders group by 1",
        "select column_name from information_schema.columns where table_name = 'customers'",
    ],
)
def test_what_is_not_masked_passes_beside_it(server: Postgres, bound: Bound, sql: str) -> None:
    _, given, passed = masked(server, bound, sql, binary=False)
    assert passed == given


COMMANDS = [
    *(r"\d", r"\dt", r"\dn", r"\l", r"\du", r"\df", r"\dv", r"\dm", r"\di", r"\ds", r"\dp", r"\dT"),
    *(r"\dx", r"\db", r"\dD", r"\d+", r"\dt+", r"\dn+", r"\l+", r"\df+", r"\dv+"),
    *(r"\d shop.orders", r"\d shop.customers", r"\d+ shop.parts", r"\d shop.v", r"\d+ shop.child"),
]


@pytest.fixture
def hidden_queries(server: Postgres) -> list[str]:
    """What psql itself asks for its backslash commands."""
    said = server.psql("\n".join([r"\set ECHO_HIDDEN on", *COMMANDS]), DATABASE)
    # A line of stars with QUERY in it, the query, a line of stars; version 18 adds slashes.
    found = re.findall(r"^/?\*+ QUERY \*+/?$\n(.*?)^/?\*+/?$", said, re.DOTALL | re.MULTILINE)
    assert len(found) >= len(COMMANDS)
    return found


def test_no_backslash_command_of_psql_loses_a_column(
    hidden_queries: list[str], bound: Bound
) -> None:
    assert bound.masks
    lost = [sql for sql in hidden_queries if bound.covers(read(sql.encode()))]
    assert lost == []


# --- TLS ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secured() -> Iterator[tuple[Postgres, Path]]:
    """A server whose certificate is for db.internal, and the file of its authority."""
    with private_folder() as folder:
        folder.chmod(0o711)
        authority = Authority(folder)
        owner = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        certificate, key = authority.issue("db", names=("db.internal",), owner=owner)
        settings = {"ssl": "on", "ssl_cert_file": str(certificate), "ssl_key_file": str(key)}
        hba = "local all postgres trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n"
        with running_postgres(install=DEBIAN_POSTGRES, settings=settings, hba=hba) as server:
            yield server, authority.file


@pytest.mark.parametrize(
    ("mode", "name", "works"),
    [
        ("verify-full", "db.internal", True),
        ("verify-full", "other.internal", False),
        ("verify-full", None, False),
        ("verify-ca", None, True),
        ("require", None, True),
        ("off", None, False),
    ],
)
def test_the_catalog_is_read_from_the_server_that_is_meant(
    secured: tuple[Postgres, Path], mode: Literal["off"], name: str | None, works: bool
) -> None:
    server, ca_file = secured
    tls = Tls(mode=mode, ca_file=ca_file, server_name=name)
    place = Place("shop", f"127.0.0.1:{server.port}", tls)
    if works:
        assert one(
            read_now(server, place=place, database="postgres"), "pg_class", "pg_catalog"
        ).ordinary
    else:
        with pytest.raises(CatalogUnread):
            read_now(server, place=place, database="postgres")


@pytest.mark.parametrize("fixture", ["postgres", "postgres15"])
def test_a_schema_for_each_of_many_customers_keeps_nobody_out(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    """The answer fits a message of the login; schemas beyond search_path are not known then."""
    server: Postgres = request.getfixturevalue(fixture)
    server.psql("create database crowded")
    try:
        few = Viewer.told(server.psql(ASKED.decode(), "crowded"))
        assert few is not None
        assert few.usable == {"public", "pg_catalog", "information_schema"}
        server.psql(
            "do $$ begin for i in 1..1000 loop"
            " execute format('create schema %I', 'customer_' || rpad(i::text, 50, 'x'));"
            " end loop; end $$",
            "crowded",
        )
        told = server.psql(ASKED.decode(), "crowded")
        assert len(told) < LARGEST_MESSAGE
        assert Viewer.told(told) == Viewer(few.user, few.path, frozenset({"public", "pg_catalog"}))
    finally:
        server.psql("drop database crowded")
