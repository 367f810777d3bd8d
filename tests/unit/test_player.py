"""The player without a screen: any row is found in any file, and played at the right time."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcli.player import reel as reels
from hoopcli.player.checking import Checking
from hoopcli.player.pace import Pace
from hoopcli.player.reel import Reel, Row
from hoopcli.player.rows import cells, count, details, fitted, gist, kinds, took
from hoopcli.player.rows import clock as short_clock
from hoopcli.player.seeking import Search, following
from hoopcli.player.tape import Fetching, Tape
from hoopcli.view import cells as columns
from hoopcore.recording import End, Event, Finished, Notice, Other, Rows, Said, State
from tests.cli.recorded import PUBLIC, SESSION, file_of, lines, many, packed, told

MANY = 12_000  # three frames


@pytest.fixture(scope="module")
def large() -> bytes:
    return file_of(many(MANY))


def tape_of(data: bytes, *, whole: bool = True) -> Tape:
    tape = Tape.empty()
    tape.add(data)
    tape.whole = whole
    return tape


def reel_of(data: bytes) -> Reel:
    reel = Reel(tape_of(data))
    while reel.grow():
        pass
    return reel


# --- the reel -------------------------------------------------------------------------------------


def test_every_row_is_found_with_what_became_of_it(large: bytes) -> None:
    reel = reel_of(large)
    assert len(reel) > 2
    assert reel.rows == MANY + 1
    for number in (0, 98, 99, MANY // 2, MANY - 2):
        row = reel[number]
        assert isinstance(row.event, Said)
        assert row.event.seq == number + 1
        assert (row.finished is None) == ((number + 1) % 100 == 0)
    assert isinstance(reel[MANY].event, End)
    with pytest.raises(IndexError):
        reel[MANY + 1]


def test_what_became_of_a_statement_is_found_in_the_next_frame(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found, chain = lines([Said(seq=1, text="select pg_sleep(1)"), Finished(seq=1, rows=7)])
    apart = packed(found[:3]) + b"\x01\x00\x00"  # the frame of the statement is closed
    reel = reel_of(apart + packed(found[3:]) + b"\x01\x00\x00")
    assert len(reel) == 2
    finished = reel[0].finished
    assert finished is not None
    assert finished.rows == 7
    assert chain.n == 6


def test_few_frames_are_kept_however_many_are_looked_at(large: bytes) -> None:
    reel = reel_of(large)
    for number in range(0, reel.rows, 500):
        reel[number]
    assert len(reel._decoded) <= reels._KEPT


@pytest.mark.parametrize("piece", [1, 7, 500, 1 << 20])
def test_a_tape_that_grows_gives_the_same_rows(piece: int) -> None:
    data = file_of(told())
    whole = reel_of(data)
    tape = Tape.empty()
    reel = Reel(tape)
    for i in range(0, len(data), piece):
        tape.add(data[i : i + piece])
        while reel.grow():
            assert reel.rows <= whole.rows
    tape.whole = True
    assert [reel[i].event for i in range(reel.rows)] == [whole[i].event for i in range(whole.rows)]
    assert reel[0].finished == whole[0].finished


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_no_file_at_all_breaks_the_reel(data: st.DataObject) -> None:
    whole = bytearray(file_of(told()))
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(whole) - 1))
        whole[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    reel = reel_of(bytes(whole[:cut]))
    for number in range(reel.rows):
        row = reel[number]
        list(details(row, ""))
        assert columns(fitted(cells(row, ""), 39)) == 39
    following(reel, 0, frozenset({"error"}), 1)
    Search(reel, "select").next(-1)


def test_rows_are_counted_as_they_are_shown_on_lines_nobody_wrote() -> None:
    strange = [
        b'{"type":"finished","n":1}\n',  # a result without its statement's number
        b'{"type":"statement","seq":"x"}\n',
        b"not JSON\n",
        b'{"type":"new","n":4}\n',
        b'{"type":"head"}\n',
    ]
    reel = reel_of(packed(strange))
    assert reel.rows == 3
    shown = [reel[i] for i in range(3)]
    assert [type(row.event) for row in shown] == [type(None), type(None), Other]
    assert [row.n for row in shown] == [2, 3, 4]


def test_a_run_says_what_was_prepared_wherever_that_was() -> None:
    events: list[Event] = [Said(seq=1, text="select $1", prepared=True), *many(9_000)][:9_001]
    for event in events[1:]:
        if isinstance(event, (Said, Finished)):
            event.seq += 1
    events.append(Said(seq=9_500, kind="run", origin=1))
    reel = reel_of(file_of(events))
    said = reel.said(1)
    assert said is not None
    assert said.text == "select $1"
    assert reel.said(4_711_000) is None


def test_a_time_and_a_number_lead_to_their_row(large: bytes) -> None:
    reel = reel_of(large)
    assert reel.row_at(0) == 0
    assert reel.row_at(5_000_000) == 4_999
    assert reel.row_at(1 << 60) == reel.rows - 1
    assert reel.row_of_seq(7_777) == 7_776
    assert reel.row_of_seq(MANY + 5) is None


# --- finding --------------------------------------------------------------------------------------


def test_the_next_refusal_is_found_both_ways_over_frames(large: bytes) -> None:
    reel = reel_of(large)
    refused = frozenset({"refused"})
    assert following(reel, 0, refused, 1) == 99
    assert following(reel, 99, refused, 1) == 199
    assert following(reel, 199, refused, -1) == 99
    assert following(reel, 99, refused, -1) is None
    assert following(reel, 0, frozenset({"held"}), 1) is None
    assert following(reel, 0, refused, 1, lambda: False) is None


def test_each_kind_is_found() -> None:
    reel = reel_of(file_of(told()))
    places = [following(reel, 0, frozenset({k}), 1) for k in ("refused", "held", "masked", "error")]
    assert places == [1, 3, 2, 4]
    assert kinds(reel[4]) == {"error"}


def test_a_search_finds_texts_rules_and_runs_of_what_was_prepared() -> None:
    reel = reel_of(file_of(told()))

    def found(word: str) -> list[int]:
        search, places, at = Search(reel, word), [], -1
        while (at_or_none := search.next(at)) is not None:
            at = at_or_none
            places.append(at)
        assert search.complete
        return places

    assert found("CUSTOMERS") == [2]
    assert found("no-unbounded") == [1]
    assert found("$1::int") == [5, 6]
    assert found("23514") == [4]
    assert found("⟦ssn:3fa9") == [2]
    assert found("'sent'") == [3, 4]
    assert found("type") == []  # how a line is written is nothing that was said
    assert found("\x1b[2J") == [7]


def test_a_search_goes_back_and_over_frames(large: bytes) -> None:
    reel = reel_of(large)
    search = Search(reel, "id = 777")
    places = [776, *range(7_769, 7_779)]
    assert search.next(-1) == 776
    assert search.next(776) == 7_769
    assert search.previous(reel.rows) == places[-1]
    assert search.previous(776) is None
    assert Search(reel, "nowhere").next(0) is None


# --- verifying ------------------------------------------------------------------------------------


def checked(data: bytes, key: bytes | None = PUBLIC) -> Checking:
    tape = tape_of(data)
    checking = Checking(tape, Reel(tape), key, SESSION, lambda: "")
    while not checking.report:
        checking.first(5.0)
        if not checking._step() and checking._done():
            break
    return checking


def test_a_small_recording_is_verified_before_it_is_seen() -> None:
    checking = checked(file_of(told()))
    assert checking.report is not None
    assert checking.report.ok


def test_a_large_one_is_verified_behind_the_scenes(large: bytes) -> None:
    tape = tape_of(large)
    reel = Reel(tape)
    checking = Checking(tape, reel, PUBLIC, SESSION, lambda: "0" * 64)
    reel.grow()
    assert checking.report is None
    assert checking.so_far.state is State.UNFINISHED
    checking.start()
    checking._thread.join(60)
    assert checking.report is not None
    assert checking.report.why == "its last hash is not the one the agent keeps"
    assert reel.rows == MANY + 1


def test_what_was_changed_is_found_and_so_is_a_cut() -> None:
    data = file_of(told())
    found, _ = lines(told())
    found[4] = found[4].replace(b"orders", b"ordres")
    changed = checked(packed(found)).report
    assert changed is not None
    assert (changed.state, changed.bad) == (State.BROKEN, 5)
    cut = checked(data[: len(data) // 2]).report
    assert cut is not None
    assert cut.state is State.UNFINISHED


# --- coming ---------------------------------------------------------------------------------------


def test_a_recording_comes_in_pieces_and_is_whole_at_the_end(large: bytes) -> None:
    asked = []

    def ask(begin: int, most: int) -> bytes:
        asked.append((begin, most))
        return large[begin : begin + most]

    tape = Tape.empty()
    fetching = Fetching(tape, ask, lambda: True, follow=False)
    fetching.first()
    fetching.start()
    if fetching._thread.is_alive():
        fetching._thread.join(30)
    assert tape.whole
    assert tape.read(0, tape.size) == large
    assert [begin for begin, _ in asked] == sorted({begin for begin, _ in asked})


def test_a_followed_session_is_whole_when_it_has_ended() -> None:
    data = file_of(told())
    there = [100]

    def ask(begin: int, most: int) -> bytes:
        return data[begin : min(there[0], begin + most)]

    def ended() -> bool:
        there[0] = min(there[0] + 1_000, len(data))
        return there[0] == len(data)

    tape = Tape.empty()
    fetching = Fetching(tape, ask, ended, follow=True)
    fetching.first()
    assert not tape.whole
    fetching.start()
    fetching._thread.join(30)
    assert tape.whole
    assert tape.size == len(data)


def test_a_failure_on_the_way_is_told_and_ends_it() -> None:
    def ask(begin: int, most: int) -> bytes:
        if begin:
            raise OSError(104, "connection reset")
        return b"x" * most

    tape = Tape.empty()
    fetching = Fetching(tape, ask, lambda: True, follow=False)
    fetching.first()
    fetching.start()
    fetching._thread.join(30)
    assert tape.whole
    assert "connection reset" in tape.problem


def test_a_file_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    from hoopcli.errors import Failure

    for path in (tmp_path / "nothing", tmp_path):
        with pytest.raises(Failure, match="cannot read"):
            Tape.of_file(path)


# --- pace -----------------------------------------------------------------------------------------


def test_time_passes_as_it_did_times_the_speed_and_pauses_are_shortened() -> None:
    times = [0, 1_000_000, 3_000_000, 600_000_000]
    pace = Pace(1.0, 2.0)
    at = times.__getitem__
    assert pace.tick(0.9, 0, 4, at) == 0
    assert pace.tick(0.2, 0, 4, at) == 1
    assert pace.tick(1.8, 1, 4, at) == 1
    assert pace.tick(0.2, 1, 4, at) == 2
    assert pace.tick(1.5, 2, 4, at) == 2
    assert pace.skipped == pytest.approx(595)
    assert pace.tick(0.5, 2, 4, at) == 3
    fast = Pace(4.0, 2.0)
    assert fast.tick(0.75, 0, 4, at) == 2
    assert fast.tick(0.5, 2, 4, at) == 3


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=40),
    st.lists(st.floats(0.01, 10), max_size=20),
    st.floats(0.1, 100),
)
def test_playing_never_goes_back_nor_past_the_end(
    gaps: list[int], ticks: list[float], speed: float
) -> None:
    times = [sum(gaps[: i + 1]) for i in range(len(gaps))]
    pace, place = Pace(speed, 2.0), 0
    for seconds in ticks:
        after = pace.tick(seconds, place, len(times), times.__getitem__)
        assert place <= after < len(times)
        place = after


# --- rows -----------------------------------------------------------------------------------------


@given(st.integers(0, 1 << 55))
def test_times_and_counts_keep_to_their_columns(number: int) -> None:
    assert len(short_clock(number)) <= 8
    assert len(took(number)) <= 6 or number > 10**13
    assert len(count(min(number, 10**12))) <= 5


@given(st.text(max_size=60), st.integers(20, 120))
def test_a_row_fills_its_width_whatever_it_says(text: str, width: int) -> None:
    reel = reel_of(packed(lines([Notice(text=text)])[0]))
    told_cells = cells(reel[0], "")
    assert columns(fitted(told_cells, width)) == width
    assert "\x1b" not in fitted(told_cells, width)


def test_rows_that_were_kept_are_a_row_of_their_own_with_all_of_them_beside() -> None:
    event = Rows(seq=3, first=21, rows=[["1", None], ["\x1b[2J", "b"]])
    shown = Row(9, event)
    assert cells(shown, "").gist == "→ 3: rows 21 to 22"
    told = [part.text for part in details(shown, "")]
    assert "1 │ NULL" in told
    assert gist(Rows(seq=3, withheld=7), "") == "→ 3: 7 rows, not kept"
