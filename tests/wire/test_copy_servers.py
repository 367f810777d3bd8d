"""What a real server writes in a COPY, masked, is what it reads again: both majors, every form.

Nasty values go in by a parameter and come out by COPY TO STDOUT through ``CopyRows``; the server
itself reads the result with COPY FROM STDIN in the same form, and tells the values it has read.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from hoopcore.detectors import Sweep
from hoopcore.masking import Plan
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.copies import CopyRows
from hoopcore.sql.postgres import read
from hoopcore.styles import Style, hidden
from hoopcore.watches import Watch
from tests.servers import DEBIAN_POSTGRES, running_postgres

FORMS = [
    "",
    "(delimiter ',', null 'nil')",
    "(delimiter E'\\x02', null '')",
    "(format csv)",
    "(format csv, force_quote *, null 'x')",
    "(format csv, delimiter '|', quote '''', escape E'\\\\')",
    "(format csv, quote '*', escape 'e', null '-')",
    "(format csv, header, delimiter E'\\t')",
]
SIGNS = [
    "a",
    "é",
    "\\",
    ",",
    '"',
    "\n",
    "\t",
    "'",
    "|",
    "*",
    "e",
    "N",
    "\x02",
    "\r",
    "1",
    ".",
    "\x0b",
    "日",
]
STYLES = (None, Style.FULL, Style.KEEP_LAST_4, Style.NULL, Watch.TEXT)
ROWS = 300


@pytest.fixture(scope="module", params=["wheel", "debian"])
def connection(request: pytest.FixtureRequest) -> Iterator[psycopg.Connection]:
    install = DEBIAN_POSTGRES if request.param == "debian" else None
    with (
        running_postgres(install=install) as server,
        psycopg.connect(server.dsn(), autocommit=True) as connection,
    ):
        connection.execute("create table t (n int, a text, b text, c text, d text, e text)")
        connection.execute("create table back (like t)")
        dice = random.Random(5)
        for n in range(ROWS):
            values = ["".join(dice.choices(SIGNS, k=dice.randrange(9))) for _ in range(5)]
            cells = [None if dice.random() < 0.1 else value for value in values]
            connection.execute("insert into t values (%s, %s, %s, %s, %s, %s)", [n, *cells])
        yield connection


def expected(style: Style | Watch | None, value: str | None) -> str | None:
    if value is None or not isinstance(style, Style):
        return value
    data = value.encode()
    size = hidden(style, data, utf8=True)
    return None if style is Style.NULL else (b"*" * size + data[size:]).decode()


@pytest.mark.parametrize("form", FORMS)
def test_the_server_reads_again_what_was_masked(connection: psycopg.Connection, form: str) -> None:
    text = f"copy t to stdout {form}"
    (statement,) = read(text.encode()).statements
    assert statement.copy_out is not None
    assert statement.copy_out.form is not None
    machine = CopyRows(
        statement.copy_out.form, Plan((None, *STYLES), Sweep.of(("card",)), utf8=True), 6
    )
    cursor = connection.cursor()
    with cursor.copy(sql.SQL(text)) as copy:
        came = [bytes(row) for row in copy]
    frames = b"".join(wire.frame(wire.COPY_DATA, row) for row in came)
    masked = b"".join(bytes(chunk) for chunk in machine.take(bytearray(frames)))
    machine.end()
    connection.execute("truncate back")
    back = f"copy back from stdin {form.replace('force_quote *, ', '')}"
    with cursor.copy(sql.SQL(back)) as copy:
        while masked:
            size = wire.HEADER.unpack_from(masked)[1] + 1
            copy.write(masked[5:size])
            masked = masked[size:]
    before = connection.execute("select * from t order by n").fetchall()
    after = connection.execute("select * from back order by n").fetchall()
    null = statement.copy_out.form.null.decode()
    want = []
    for n, *values in before:
        row = [expected(style, value) for style, value in zip(STYLES, values, strict=True)]
        if not statement.copy_out.form.csv:  # a value that is written like NULL is one
            row = [None if value == null else value for value in row]
            if null not in ("", "\\N"):  # … and nothing shows which
                row[1] = row[2] = None
        want.append((n, *row))
    assert after == want
    assert len(came) == ROWS + ("header" in form)
