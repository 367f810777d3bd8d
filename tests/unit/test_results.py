"""Rows that are kept: whose they are, however they come, and what of them is cut."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcli.replay_view import Timeline
from hoopcore.protocols.postgres import results, wire
from hoopcore.protocols.postgres.results import Results
from hoopcore.recording import Finished as FinishedEvent
from hoopcore.recording import Rows, Said
from hoopcore.stream import Finished, Out

Cells = Sequence[bytes | None]


def row(*cells: bytes | None) -> bytes:
    body = len(cells).to_bytes(2, "big")
    for cell in cells:
        body += b"\xff\xff\xff\xff" if cell is None else len(cell).to_bytes(4, "big") + cell
    return wire.frame(wire.DATA_ROW, body)


DONE = wire.frame(wire.COMMAND_COMPLETE, b"SELECT 1\0")
READY = wire.frame(wire.READY, b"I")


def told(
    reply: Sequence[tuple[int, Sequence[Cells]]], cut: Sequence[int], most: int | None
) -> dict[int, list[list[str | None]]]:
    """By ask, the rows kept of these replies, which come in pieces cut there."""
    data, ends = b"", []
    for seq, rows in reply:
        data += b"".join(row(*cells) for cells in rows) + DONE + READY
        ends.append((len(data), Finished(seq, rows=len(rows))))
    places = sorted({min(at, len(data)) for at in cut} | {0, len(data)})
    keeping = Results(most)
    found: dict[int, list[list[str | None]]] = {}
    for start, stop in pairwise(places):
        seen = [one for at, one in ends if start < at <= stop]
        answering = next((one.seq for at, one in ends if at > stop), 0)
        out = Out(to_client=[data[start:stop]], seen=list(seen))
        for event in keeping.take(out, answering):
            kept = found.setdefault(event.seq, [])
            assert event.first == len(kept) + 1
            kept += event.rows
    return found


cells = st.lists(st.one_of(st.none(), st.binary(max_size=12)), max_size=3)
replies = st.lists(st.lists(cells, max_size=5), min_size=1, max_size=4).map(
    lambda one: list(enumerate(one, 1))
)


@given(replies, st.lists(st.integers(1, 400), max_size=12), st.sampled_from([None, 1, 3]))
def test_however_rows_come_they_are_kept_with_their_statement(
    reply: list[tuple[int, list[list[bytes | None]]]], cut: list[int], most: int | None
) -> None:
    whole = told(reply, [], most)
    assert told(reply, cut, most) == whole
    wanted = {seq: min(len(rows), most or len(rows)) for seq, rows in reply if rows}
    assert {seq: len(rows) for seq, rows in whole.items()} == wanted


def test_texts_are_texts_and_the_rest_is_hexadecimal() -> None:
    keeping = Results(None)
    data = row("früh\n".encode(), None, b"", b"\x00\x00\x00\x2a", b"\xff\xfe")
    (event,) = keeping.take(Out(to_client=[data], seen=[Finished(7, rows=1)]), 0)
    assert event.rows == [["früh\n", None, "", "\\x0000002a", "\\xfffe"]]
    assert (event.seq, event.first, event.cuts) == (7, 1, [])


def test_a_large_cell_is_cut_and_says_what_it_was() -> None:
    value = b"a" * (results.LARGEST_CELL + 1)
    (event,) = Results(None).take(Out([row(b"x", value)], seen=[Finished(1, rows=1)]), 0)
    (cut,) = event.cuts
    assert event.rows[0][1] == "a" * 1024
    assert (cut.row, cut.column, cut.bytes) == (1, 2, len(value))
    assert cut.sha256 == hashlib.sha256(value).hexdigest()


@pytest.mark.parametrize("step", [3, 5, 7, 4_000, 1 << 30])
def test_a_row_that_is_too_large_to_hold_is_told_by_its_hash(
    step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(results, "LARGEST_ROW", 10_000)
    large = row(random.Random(1).randbytes(20_000))
    data = row(b"before") + large + row(b"behind") + DONE
    keeping = Results(None)
    events: list[Rows] = []
    for at in range(0, len(data), step):
        last = at + step >= len(data)
        seen = [Finished(1, rows=3)] if last else []
        events += keeping.take(Out([data[at : at + step]], seen=list(seen)), 0 if last else 1)
    assert [one for event in events for one in event.rows] == [["before"], [], ["behind"]]
    (cut,) = [cut for event in events for cut in event.cuts]
    assert (cut.column, cut.bytes) == (0, len(large) - 5)
    assert cut.sha256 == hashlib.sha256(large[5:]).hexdigest()
    assert len(keeping._held) == 0


def test_what_was_seen_in_clear_is_counted_and_not_kept() -> None:
    keeping = Results(None)
    keeping.withheld = True
    out = Out([row(b"219-09-9999"), row(b"219-09-8888")], seen=[Finished(1, rows=2)])
    (event,) = keeping.take(out, 0)
    assert (event.rows, event.withheld) == ([], 2)


def test_a_large_result_becomes_many_lines() -> None:
    out = Out([row(b"x" * 1000) * 1000], seen=[Finished(1, rows=1000)])
    events = Results(None).take(out, 0)
    assert sum(len(event.rows) for event in events) == 1000
    assert max(len(event.rows) for event in events) <= 200
    assert [event.first for event in events[:2]] == [1, 1 + len(events[0].rows)]


def test_the_timeline_shows_rows_below_their_statement_and_nothing_a_terminal_obeys() -> None:
    timeline = Timeline(80)
    kept = Rows(seq=1, rows=[["1", None], ["\x1b[2Jtwo\nlines", "x" * 200]])
    shown = timeline.show(kept)
    assert shown is not None
    assert shown.lines[0].strip() == "1 │ NULL"
    assert len(shown.lines) == 4
    assert all("\x1b" not in line and len(line) <= 80 for line in shown.lines)
    assert "two⏎lines │" in shown.lines[1]
    assert Timeline(80, first=2).show(kept) is None
    withheld = timeline.show(Rows(seq=1, withheld=3))
    assert withheld is not None
    assert "3 rows not kept" in withheld.lines[0]
    assert timeline.show(Said(seq=1, text="select 1")) is not None
    assert timeline.show(FinishedEvent(seq=1)) is not None
