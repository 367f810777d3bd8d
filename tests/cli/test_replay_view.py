"""What a person sees of a recording: all of it, in 80 columns, and nothing a terminal obeys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hoopcli.replay_view import LONGEST_PAUSE, Timeline, clock, paced, script, took, values
from hoopcli.view import as_json, cells
from hoopcore.recording import (
    Copied,
    End,
    Fatal,
    Finished,
    Head,
    Header,
    Known,
    Notice,
    Other,
    Said,
    Totals,
)

HEADER = Header(
    session="s-1c9fz4m2qk",
    principal="p-ada0000000",
    name="ada@example.com",
    target="prod-db",
    database="shop",
    door="local",
    client="psql",
    grants=("grt-7h2vd9xk4p",),
    at=1_800_000_000_000_000,
)


def told() -> list[Known]:
    return [
        HEADER,
        Head(key="k", signature="ff"),
        Said(seq=1, text="select name\n  from customers\n where ssn = ⟦ssn:ab12⟧;", t=10_000),
        Finished(
            seq=1,
            tag="SELECT 3",
            rows=3,
            bytes=120,
            masked={"ssn": 3, "card": 1},
            took=2100,
            t=12_110,
        ),
        Said(
            seq=2,
            text="delete from orders",
            verdict="refuse",
            rule="no-unbounded-delete",
            reason="a DELETE needs a WHERE",
            t=4_123_000,
        ),
        Said(seq=3, text="select $1", prepared=True, t=5_000_000),
        Said(seq=4, kind="run", origin=3, parameters=("7", None), t=5_000_100),
        Finished(seq=4, error="22P02", t=5_000_200),
        Copied(seq=5, to="client", bytes=2048, t=6_000_000),
        Notice(text="your grant ends in 5 min", t=7_000_000),
        Fatal(code="57P01", t=8_000_000),
        Other(unknown="terminal", t=8_000_001),
        End(
            cause="killed",
            by="p-ben0000000",
            why="maintenance",
            totals=Totals(statements=3, refused=1, rows=3, masked=4),
            torn=12,
            t=3_723_004_000,
        ),
    ]


def lines(events: Sequence[Known], **options: Any) -> list[str]:
    return [line for line in paced(Timeline(**options), events, 0) if isinstance(line, str)]


def test_the_timeline_tells_statements_verdicts_and_counts() -> None:
    assert "\n".join(lines(told())) == "\n".join(
        [
            "session  s-1c9fz4m2qk",
            "who      ada@example.com",
            "target   prod-db, database shop",
            "from     local psql",
            "began    2027-01-15T08:00:00Z",
            "grants   grt-7h2vd9xk4p",
            "",
            " 0:00.010  says 1         select name",
            "                            from customers",
            "                           where ssn = ⟦ssn:ab12⟧;",
            " 0:00.012  → 1            SELECT 3 · 3 rows, 120 B · masked: 1 card, 3 ssn · 2.1",
            "                          ms",
            " 0:04.123  refused 2      delete from orders",
            '                          refused by rule "no-unbounded-delete": a DELETE needs',
            "                          a WHERE",
            " 0:05.000  prepare 3      select $1",
            " 0:05.000  run 4          select $1",
            "                          with $1 = 7, $2 = NULL",
            " 0:05.000  → 4            failed with SQLSTATE 22P02",
            " 0:06.000  → 5            COPY moved 2 KiB to the client",
            " 0:07.000  hoop           your grant ends in 5 min",
            " 0:08.000  target         the target ended the connection with SQLSTATE 57P01",
            " 0:08.000  ?              (terminal: this version of hoop cannot show it)",
            "1:02:03.0  end            killed by p-ben0000000: maintenance",
            "                          12 B at its end could not be read",
            "                          3 statements, 1 refused, 3 rows, 4 values masked",
        ]
    )


def test_no_line_is_wider_than_the_terminal() -> None:
    wide = [Said(seq=1, text="select " + "日本語, " * 100 + "x" * 300, parameters=("y" * 500,))]
    for width in (40, 80, 200):
        assert max(map(cells, lines(wide, width=width))) <= width


def test_a_long_statement_is_cut_in_the_timeline_and_whole_in_the_script() -> None:
    long = [Said(seq=1, text="\n".join(f"line {i}" for i in range(100)))]
    assert "60 more lines (-o sql has all)" in lines(long)[-1]
    assert "line 99;" in list(script(long))


def test_from_leaves_earlier_statements_out_but_not_what_they_prepared() -> None:
    shown = "\n".join(lines(told(), first=4))
    assert "run 4          select $1" in shown
    assert "delete from orders" not in shown
    assert "SELECT 3" not in shown
    assert [v.get("seq") for v in values(told(), 4)] == [None, 4, 4, 5, None, None, None, None]
    assert "delete from orders" not in "\n".join(script(told(), 4))


def test_pauses_are_real_scaled_and_shortened_aloud() -> None:
    events: list[Known] = [Notice(text=str(t), t=t * 1_000_000) for t in (0, 1, 3, 600)]
    waits = [x for x in paced(Timeline(), events, 1) if isinstance(x, float)]
    assert waits == [1.0, 2.0, LONGEST_PAUSE]
    assert any("9 min pass" in x for x in paced(Timeline(), events, 1) if isinstance(x, str))
    faster = [x for x in paced(Timeline(), events, 4) if isinstance(x, float)]
    assert faster == [0.25, 0.5, LONGEST_PAUSE / 4]
    short = [x for x in paced(Timeline(), events, 1, 0.5) if isinstance(x, float)]
    assert short == [0.5, 0.5, 0.5]
    assert not [x for x in paced(Timeline(), events, 0) if isinstance(x, float)]


def test_colours_come_only_where_they_are_asked_for() -> None:
    plain = "\n".join(lines(told()))
    coloured = "\n".join(lines(told(), colours=True))
    assert "\x1b" not in plain
    assert "\x1b[1;31mrefused 2" in coloured


def test_the_script_has_what_was_let_through_as_sql_and_the_rest_as_comments() -> None:
    text = "\n".join(script(told()))
    bare = [line for line in text.split("\n") if line and not line.startswith("--")]
    assert bare == [
        "select name",
        "  from customers",
        " where ssn = ⟦ssn:ab12⟧;",
        "select $1;",
    ]
    assert "-- delete from orders" in text
    assert "REFUSED by rule no-unbounded-delete: a DELETE needs a WHERE" in text
    assert "run of 3 with $1 = 7, $2 = NULL" in text


def test_a_refused_statement_of_many_lines_is_a_comment_to_its_last_line() -> None:
    refused = Said(seq=1, text="select 1\n;drop table t\r;x", verdict="refuse", rule="r")
    for line in script([refused]):
        assert not line or line.startswith("--")


def test_json_has_every_field_and_no_heads() -> None:
    shown = list(values(told()))
    assert [one["type"] for one in shown][:3] == ["header", "statement", "finished"]
    assert shown[1]["verdict"] == "allow"
    assert shown[0]["time"] == "2027-01-15T08:00:00Z"
    assert "head" not in {one["type"] for one in shown}
    assert shown[-2]["type"] == "terminal"
    json.loads(as_json(shown))


def test_times_are_told_so_that_they_can_be_compared() -> None:
    told = [clock(t * 1000) for t in (-5, 1, 61_000, 3_723_456, 43_323_456)]
    assert told == ["0:00.000", "0:00.001", "1:01.000", "1:02:03.4", "12:02:03"]
    assert [took(t) for t in (10, 2_500_000, 3_600_000_000)] == ["0.0 ms", "2.5 s", "60 min"]


@given(st.text(max_size=60), st.text(max_size=20))
def test_no_text_of_a_recording_is_obeyed_by_a_terminal(text: str, name: str) -> None:
    events: list[Known] = [
        Header(session="s", principal="p", name=name, target=text, client=name),
        Said(seq=1, text=text, parameters=(text,), verdict="refuse", rule=name, reason=text),
        Said(seq=2, text=text, unread=text),
        Said(seq=3, kind="run", origin=9, parameters=(text,)),
        Finished(seq=2, tag=text, masked={name: 1}),
        Notice(text=text),
        Fatal(code=name),
        Other(unknown=name),
        End(cause=text, by=name, why=text),
    ]
    printed = [*lines(events), *script(events)]
    for line in printed:
        assert line.isprintable() or not any(ord(c) < 32 or 127 <= ord(c) < 160 for c in line)
