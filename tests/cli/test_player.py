"""The player on a screen: what is where in 80 by 24, and what every key does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from textual.pilot import Pilot

from hoopcli.player.app import INTERRUPTED, Played, Player
from hoopcli.player.checking import Checking
from hoopcli.player.pace import Pace
from hoopcli.player.reel import Reel
from hoopcli.player.tape import Tape
from hoopcore.recording import Event, Said
from tests.cli.recorded import PUBLIC, SESSION, file_of, lines, many, packed, told


@dataclass(slots=True)
class Shown:
    """A player that runs, without a terminal."""

    player: Player
    pilot: Pilot[int]
    tape: Tape

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await self.player.workers.wait_for_complete()
        await self.pilot.pause()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Waits for it; fails where it does not come."""
        for _ in range(400):
            if holds():
                return
            await self.pilot.pause(0.02)
        raise AssertionError(f"it did not come; the screen is\n{self.screen()}")

    @property
    def seq(self) -> int:
        event = self.player.reel[self.player.timeline.cursor].event
        return event.seq if isinstance(event, Said) else 0

    def beside(self) -> str:
        """The details, as one line."""
        parts = [line.partition("│")[2] for line in self.screen().split("\n")]
        return re.sub(r"\s+", " ", " ".join(parts))

    def screen(self) -> str:
        """What a person sees."""
        strips = self.player.screen._compositor.render_strips()
        return "\n".join(strip.text.rstrip() for strip in strips)


@asynccontextmanager
async def shown(
    data: bytes,
    *,
    size: tuple[int, int] = (80, 24),
    whole: bool = True,
    runs: bool = False,
    pace: Pace | None = None,
    **played: Any,
) -> AsyncIterator[Shown]:
    tape = Tape.empty()
    tape.add(data)
    tape.whole = whole
    reel = Reel(tape)
    checking = Checking(tape, reel, PUBLIC, SESSION, lambda: "")
    checking.first(10)
    checking.start()
    has_key = played.pop("has_key", True)
    player = Player(Played(reel, checking, lambda: runs, has_key, **played), pace or Pace())
    try:
        async with player.run_test(size=size) as pilot:
            await pilot.pause()
            yield Shown(player, pilot, tape)
    finally:
        checking.stop()


# --- what is where --------------------------------------------------------------------------------

FIRST = """\
 s-1c9fz4m2qk  ada@example.com on prod-db/shop  2027-01-15T08:00:00Z
 verified: complete and unchanged
  0:00.5 ·R select 1         0.4ms    1 │ statement 2
> 0:02.0 xD delete from ord…            │ verdict  refused
 10:00.0 *R select name, ss… 2.1ms    2 │ rule     no-unbounded-delete
 10:01.0 =W held: update or…            │ reason   a DELETE or UPDATE needs a
 10:40.0 !W update orders s… 0.9ms      │          WHERE here
 10:41.0  R prepare: select…            │
 10:41.0 ·R select $1::int   0.3ms    1 │ delete from orders
 10:50.0    hoop: your gran…            │
 10:50.0    end: client left            │ effects  delete
                                        │ touches  public.orders:delete
                                        │ at       2027-01-15 08:00:02Z"""


async def test_the_timeline_stands_beside_all_about_one_row() -> None:
    async with shown(file_of(told())) as it:
        await it.press("r")
        screen = it.screen().split("\n")
        assert "\n".join(screen[:13]) == FIRST
        assert screen[22] == " || 0:02.0/10:50.0  1x  row 2 of 9"
        assert screen[23].startswith(" space play  n p next mark")
        assert max(map(len, screen)) <= 80


async def test_what_masks_hid_stays_hidden_and_says_of_which_column() -> None:
    async with shown(file_of(told())) as it:
        await it.press("m")
        screen = it.screen()
        assert "where ssn = ⟦ssn:3fa9c2d17b40⟧" in screen
        assert "masked   public.customers.ssn: 2" in screen


async def test_no_text_of_a_session_reaches_the_terminal_as_a_command() -> None:
    async with shown(file_of(told())) as it:
        await it.press("end", "up")
        assert r"said your grant ends in 5 minutes\x1b[2J" in it.beside()
        assert "\x1b" not in it.screen()


async def test_a_narrow_terminal_has_the_details_below() -> None:
    async with shown(file_of(told()), size=(44, 20)) as it:
        await it.press("r")
        screen = it.screen().split("\n")
        assert screen[3].startswith("> 0:02.0 xD delete from")
        assert any(line.startswith(" verdict  refused") for line in screen)
        await it.pilot.resize_terminal(100, 30)
        await it.pilot.pause()
        assert "│ verdict  refused" in it.screen()


async def test_who_voted_on_a_held_statement_is_asked_of_the_agent() -> None:
    vote = {"voter": {"name": "ben@example.com"}, "answer": "approve", "reason": "known"}
    async with shown(file_of(told()), votes=lambda hold: {"id": hold, "votes": [vote]}) as it:
        await it.press("h")
        await it.until(lambda: "ben@example.com" in it.screen())
        assert "hold it waits for req-7h2vd9xk4p" in it.beside()
        assert "vote ben@example.com, approve: known" in it.beside()
    async with shown(file_of(told())) as it:
        await it.press("h", "down")
        assert "approved by p-ben0000000" in it.beside()


async def test_the_first_row_tells_whose_session_it_is() -> None:
    async with shown(file_of(told())) as it:
        assert "who      ada@example.com" in it.screen()


# --- evidence -------------------------------------------------------------------------------------


async def test_where_evidence_ends_is_marked_in_what_was_cut() -> None:
    data = file_of(told())
    async with shown(data[: len(data) * 2 // 3]) as it:
        await it.press("end")
        screen = it.screen()
        assert "! NOT WHOLE: the file stops inside a line; signed up to line 2" in screen
        assert "== evidence ends here: the file stops" in screen


async def test_what_stands_behind_a_changed_line_is_marked_as_no_evidence() -> None:
    found, _ = lines(told())
    found[5] = found[5].replace(b"3fa9", b"3fa8")
    async with shown(packed(found)) as it:
        screen = it.screen().split("\n")
        assert screen[1].startswith(" ! CHANGED at line 6: its hash does not fit")
        at = next(i for i, line in enumerate(screen) if line.startswith("== evidence ends here"))
        assert screen[at + 1][0] == "~"
        assert screen[at - 1][0] != "~"
        await it.press("x")
        assert "no evidence" not in it.screen()
        await it.press("down")
        assert "no evidence: it stands behind" in it.screen()


async def test_without_a_key_no_signature_is_claimed() -> None:
    async with shown(file_of(told()), has_key=False) as it:
        assert "signatures not verified" in it.screen().split("\n")[1]


async def test_a_large_one_is_shown_before_it_is_verified_and_says_so() -> None:
    async with shown(file_of(many(12_000)), whole=False) as it:
        assert "select * from orders where id = 1" in it.screen()
        assert "verified" not in it.screen().split("\n")[1]
        it.tape.whole = True
        await it.until(lambda: "verified: complete and unchanged" in it.screen())


async def test_a_file_that_is_none_says_so() -> None:
    async with shown(b"no recording at all") as it:
        assert "This is no recording" in it.screen()
        await it.press("space", "n", "r", "end", "left", "right", "slash", "a", "enter", "x", "f")
        assert "This is no recording" in it.screen()


# --- keys -----------------------------------------------------------------------------------------


async def test_keys_go_to_the_next_of_each_kind_and_back() -> None:
    async with shown(file_of(told())) as it:
        places = []
        for key in ("n", "n", "n", "n", "p", "R", "e", "M", "h"):
            await it.press(key)
            places.append(it.player.timeline.cursor)
        assert places == [1, 2, 3, 4, 3, 1, 4, 2, 3]
        await it.press("h")
        assert "no hold further on" in it.screen()


async def test_a_search_leads_from_one_to_the_next_and_escape_ends_it() -> None:
    async with shown(file_of(told())) as it:
        await it.press("slash", *"sent", "enter")
        assert it.player.timeline.cursor == 3
        await it.press("n")
        assert it.player.timeline.cursor == 4
        await it.press("n")
        assert '"sent" is not further on' in it.screen()
        await it.press("p")
        assert it.player.timeline.cursor == 3
        assert "/sent: 2" in it.screen()
        await it.press("escape")
        assert "/sent" not in it.screen()
        assert it.player.return_code is None


async def test_a_number_and_a_time_lead_to_a_row() -> None:
    async with shown(file_of(many(12_000)), size=(100, 24)) as it:
        await it.until(lambda: it.player.reel.rows > 12_000)
        await it.press("colon", *"7777", "enter")
        assert it.seq == 7777
        await it.press("colon", *"0:05", "enter")
        assert it.seq == 5000
        await it.press("colon", *"soon", "enter")
        assert "a statement's number (12), or a time" in it.screen()
        await it.press("left")
        assert it.seq == 1
        await it.press("right")
        assert it.seq == 10_001
        await it.press("end", "home", "pagedown")
        assert it.seq == 20


async def test_it_plays_with_the_timing_it_had_and_stops_at_the_end() -> None:
    async with shown(file_of(told()), pace=Pace(64.0, 2.0), plays=True) as it:
        await it.until(lambda: it.player.timeline.cursor == 8)
        await it.until(lambda: not it.player.plays)
        await it.press(*["minus"] * 10)
        assert "0.0625x" in it.screen()
        await it.press("space")  # from the beginning
        assert it.player.timeline.cursor == 0
        assert it.player.plays
        await it.press("space")
        assert not it.player.plays


async def test_playing_ends_behind_the_statement_asked_for() -> None:
    played: dict[str, Any] = {"plays": True, "begin": 2, "stop": 3}
    async with shown(file_of(told()), pace=Pace(64.0, 2.0), **played) as it:
        await it.until(lambda: not it.player.plays)
        assert it.seq == 3


async def test_a_session_that_runs_is_followed() -> None:
    found, chain = lines(told())
    data = packed(found, chain)
    async with shown(data[:600], whole=False, runs=True, follow=True) as it:
        before = it.player.reel.rows
        assert "running" in it.screen().split("\n")[1]
        it.tape.add(data[600:])
        await it.until(lambda: it.player.reel.rows == 9)
        assert before < 9
        await it.until(lambda: it.player.timeline.cursor == 8)
        await it.press("home")
        assert "following" not in it.screen()
        it.tape.whole = True
        await it.until(lambda: "verified: complete and unchanged" in it.screen())
        assert it.player.timeline.cursor == 0


async def test_long_details_are_scrolled_and_widened() -> None:
    text = "select\n" + "".join(f"  column_{i},\n" for i in range(60)) + "  last_column from t"
    events: list[Event] = [Said(seq=1, text=text)]
    async with shown(file_of(events)) as it:
        assert "column_5" in it.screen()
        assert "last_column" not in it.screen()
        await it.press("tab", "end")
        await it.until(lambda: "last_column" in it.screen())
        await it.press("tab", "enter")
        assert not it.screen().split("\n")[2].startswith("> 0:00")
        await it.press("escape")
        assert it.screen().split("\n")[2].startswith("> 0:00")


async def test_help_names_every_key_and_every_mark() -> None:
    async with shown(file_of(told())) as it:
        await it.press("question_mark")
        screen = it.screen()
        for word in ("play, and pause", "refused", "masked", "search", "leave", "a transaction"):
            assert word in screen
        await it.press("escape")
        assert "verdict" in it.screen()


@pytest.mark.parametrize(("key", "code"), [("q", 0), ("escape", 0), ("ctrl+c", INTERRUPTED)])
async def test_it_is_left_by(key: str, code: int) -> None:
    async with shown(file_of(told())) as it:
        await it.pilot.press(key)
        await it.until(lambda: it.player.return_value is not None)
        assert it.player.return_value == code
