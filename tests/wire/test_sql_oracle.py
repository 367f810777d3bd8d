"""What a text means hangs on the session: a server shows what others would overlook.

The corpus of statements against real servers is ``conformance/test_effects.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from hoopcli.demo.postgres import Postgres
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect


@pytest.fixture(scope="module")
def shop(postgres: Postgres) -> Iterator[str]:
    postgres.psql("create database sql_oracle")
    orders = "create table orders (id int); insert into orders values (1), (2)"
    postgres.psql(orders, database="sql_oracle")
    yield postgres.dsn("sql_oracle")
    postgres.psql("drop database sql_oracle with (force)")


def rows(connection: psycopg.Connection[Any], text: str) -> list[tuple[Any, ...]]:
    return connection.execute(text.encode()).fetchall()


def test_sjis_hides_a_delete_from_who_reads_it_as_latin_1(shop: str) -> None:
    # In SJIS 0x95 0x5C is one character, so the quote behind it ends the string.
    text = b"select E'\x95\x5c'; delete from orders; --'"
    with psycopg.connect(shop) as connection:
        connection.execute("set client_encoding = 'SJIS'")
        connection.pgconn.exec_(text)
        connection.execute("set client_encoding = 'UTF8'")
        assert rows(connection, "select count(*) from orders") == [(0,)]
        connection.rollback()
    assert Effect.DELETE not in read(text, encoding="LATIN1").effects
    assert read(text, encoding="SJIS").effects == {Effect.UNKNOWN}


def test_strings_that_are_not_standard_hide_a_delete_from_who_reads_on(shop: str) -> None:
    text = rb"select 'a\', $$' ; delete from orders; --$$, 'b'"
    with psycopg.connect(shop) as connection:
        connection.execute("set standard_conforming_strings = off")
        connection.execute("set escape_string_warning = off")
        connection.pgconn.exec_(text)
        assert rows(connection, "select count(*) from orders") == [(0,)]
        connection.rollback()
    assert Effect.DELETE not in read(text).effects
    assert read(text, standard_strings=False).effects == {Effect.UNKNOWN}
    assert read(text, trusted=False).effects == {Effect.UNKNOWN}
