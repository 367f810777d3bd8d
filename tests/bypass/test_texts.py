"""Texts beside rows, of statements without masked columns, through the real agent: detectors."""

from __future__ import annotations

import pytest

from hoopcore.protocols.postgres import wire
from tests.bypass.raw import codes, run
from tests.bypass.world import Doorway

CARD = "4111111111111111"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (f"select 'card {CARD}'::text::int", "22P02"),
        (f'select (\'{{"a": "{CARD}", b}}\')::text::jsonb', "22P02"),
        (f"insert into app.pub (id, note) values (1, 'card {CARD}')", "23505"),
        (f"insert into app.pub (id, note) values (null, 'card {CARD}')", "23502"),
        (f"insert into app.pub (id, note) values (null, 'a {'x' * 52}{CARD}')", "23502"),
    ],
)
@pytest.mark.parametrize("mode", ["simple", "extended"])
def test_no_card_stands_in_an_error(door: Doorway, text: str, code: str, mode: str) -> None:
    with door.connect() as raw:
        data = text.encode()
        got = raw.ask(wire.query(data) if mode == "simple" else run(data, binary=False))
        assert codes(got) == [code]
        told = bytes(raw.received)
        assert CARD.encode() not in told
        assert CARD[:8].encode() not in told


def test_statistics_of_a_masked_column_show_none_of_its_values(door: Doorway) -> None:
    query = "select most_common_vals, histogram_bounds, most_common_elems from pg_stats"
    with door.connect() as raw:
        got = raw.query(f"{query} where tablename = 'people' and attname in ('secret', 'items')")
        found = [body for kind, body in got if kind == wire.DATA_ROW]
        assert found
        assert set(found) == {b"\0\3" + b"\xff" * 12}
        raw.query("select stavalues1::text from pg_statistic")
        raw.query("copy (select most_common_vals from pg_stats) to stdout")
        assert b"QzXjVwKp" not in raw.received
