"""The screen of the player: a timeline, the details of one row, and the keys.

Nothing here reads a recording or decides what a row says; see the package's other modules.  What
the threads behind find is looked at ten times a second, so no message crosses between them.

Order of the file: what is played, the screen, time passing, keys.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Container
from textual.widgets import Input, Static
from textual.worker import get_current_worker

from hoopcli import view
from hoopcli.player import rows as told
from hoopcli.player import words
from hoopcli.player.checking import Checking
from hoopcli.player.details import Details
from hoopcli.player.help import Help
from hoopcli.player.pace import Pace
from hoopcli.player.reel import Reel
from hoopcli.player.seeking import Search, following
from hoopcli.player.timeline import Timeline, text_of
from hoopcore.recording import Said

_TICK = 0.1
_SEEK = 10_000_000  # microseconds that an arrow goes
_NARROW = 70  # columns below which the details go under the timeline
INTERRUPTED = 130
_ENDED = 143  # what a shell makes of a SIGTERM


@dataclass(slots=True)
class Played:
    """What is played, and what is known of it from elsewhere."""

    reel: Reel
    checking: Checking
    runs: Callable[[], bool]  # whether the agent says that the session goes on
    has_key: bool
    votes: Callable[[str], Any] | None = None  # the request of that id, as the agent gives it
    follow: bool = False
    plays: bool = False  # at once, without the space bar
    begin: int = 0  # with the statement of this number
    stop: int | None = None  # behind the statement of this number


class Player(App[int]):
    """``run`` gives an exit code."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "hoop replay"
    CSS = """
    Screen { layout: vertical; }
    #head { height: 2; background: $panel; padding: 0 1; }
    #both { layout: horizontal; height: 1fr; }
    #timeline { width: 1fr; height: 1fr; scrollbar-size-vertical: 1; scrollbar-gutter: stable;
                overflow-x: hidden; }
    #details { width: 1fr; height: 1fr; padding: 0 1; border-left: solid $panel; }
    #details:focus { border-left: solid $accent; }
    #about { height: auto; }
    #state { height: 1; background: $panel; padding: 0 1; }
    #keys { height: 1; padding: 0 1; color: $text-muted; }
    #ask { height: 1; border: none; padding: 0 1; display: none; }
    #ask.asks { display: block; }
    .narrow #both { layout: vertical; }
    .narrow #details { border-left: none; border-top: solid $panel; }
    .wide-details #timeline { display: none; }
    """
    BINDINGS = [  # noqa: RUF012 - Textual's own form
        Binding("space", "play", show=False),
        Binding("plus,equals_sign,right_square_bracket", "faster(2.0)", show=False),
        Binding("minus,left_square_bracket", "faster(0.5)", show=False),
        Binding("left", "seek(-1)", show=False),
        Binding("right", "seek(1)", show=False),
        Binding("n", "near(1)", show=False),
        Binding("p,N", "near(-1)", show=False),
        *(
            Binding(key, f"jump('{kind}',{step})", show=False)
            for letter, kind in zip("rhme", told.KINDS, strict=True)
            for key, step in ((letter, 1), (letter.upper(), -1))
        ),
        Binding("slash", "ask('/')", show=False),
        Binding("colon", "ask(':')", show=False),
        Binding("f", "follow", show=False),
        Binding("x", "evidence", show=False),
        Binding("t", "watch", show=False),
        Binding("tab,shift+tab", "other", show=False, priority=True),
        Binding("enter", "widen", show=False),
        Binding("question_mark", "help", show=False),
        Binding("escape", "leave", show=False),
        Binding("q", "quit", show=False),
        Binding("ctrl+c,ctrl+q", "interrupt", show=False, priority=True),
        Binding("ctrl+z", "suspend_process", show=False),
    ]

    def __init__(self, played: Played, pace: Pace) -> None:
        super().__init__()
        self.played = played
        self.pace = pace
        self.reel = played.reel
        self.timeline = Timeline(self.reel)
        self.details = Details()
        # Kept, and not looked up: what ticks does so while help is over them, and at the end.
        self.head = Static("", id="head", markup=False)
        self.state = Static("", id="state", markup=False)
        self.box = Input(id="ask", compact=True, select_on_focus=False)
        self.plays = played.plays
        self.follows = played.follow
        self.said = ""  # of the last key, until the next
        self.search: Search | None = None
        self._asks = ""
        self._votes: dict[str, Any] = {}
        self._seen = (-1, -1)
        self._told = ("", "")  # header and line of state, as they are drawn
        self._ended = False
        self._before = time.monotonic()

    # --- the screen -------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.head
        with Container(id="both"):
            yield self.timeline
            yield self.details
        yield self.state
        yield self.box
        yield Static(words.KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        import asyncio

        for number in (signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, self.exit, _ENDED)
        self.app_resume_signal.subscribe(self, self._resumed)
        self.timeline.focus()
        self.set_interval(_TICK, self._tick)
        self._look()
        if self.played.begin:
            row = self.reel.row_of_seq(self.played.begin)
            self.timeline.go(self.reel.rows - 1 if row is None else row)
        elif self.follows:
            self.timeline.action_last()
        self._about()

    def _resumed(self, _: object) -> None:
        """After Ctrl-Z and fg the terminal shows what was there before."""
        self.call_after_refresh(self.refresh, layout=True)

    def on_resize(self, event: events.Resize) -> None:
        self.screen.set_class(event.size.width < _NARROW, "narrow")
        self.timeline.grown()
        self._state()

    def on_timeline_moved(self, moved: Timeline.Moved) -> None:
        if moved.by_hand:
            self.pace.restart()
            self.follows = self.follows and self.timeline.cursor >= self.reel.rows - 1
        self._about()
        self._state()

    def _about(self, *, fresh: bool = True) -> None:
        """The details of the row that the cursor is on."""
        if not self.reel.rows:
            self.details.show([told.Part("", words.nothing(self.reel, self.played.checking))])
            return
        row = self.reel[self.timeline.cursor]
        votes = None
        if isinstance(row.event, Said) and row.event.hold:
            votes = self._voted(row.event.hold)
        opened = words.opened(self.reel) if self.timeline.cursor == 0 else []
        parts = [*told.details(row, text_of(self.reel, row), votes), *opened]
        if self.timeline.is_behind(self.timeline.cursor):
            parts.insert(0, told.Part("", words.BEHIND, "bad"))
        self.details.show(parts, fresh=fresh)

    def _voted(self, hold: str) -> Any:
        """What the agent tells of that request; it is asked behind the scenes, once."""
        if hold not in self._votes and self.played.votes is not None:
            self._votes[hold] = None
            self.run_worker(lambda: self._fetch_votes(hold), thread=True, group="votes")
        return self._votes.get(hold)

    def _fetch_votes(self, hold: str) -> None:
        assert self.played.votes is not None
        self._votes[hold] = self.played.votes(hold)
        self.call_from_thread(self._about, fresh=False)

    def _state(self) -> None:
        """The header and the line of state."""
        width = max(self.size.width - 2, 10)
        told_now = (words.head(self.reel, self.played, width), words.state(self, width))
        if told_now != self._told:  # ten times a second nothing is drawn that is there already
            self._told = told_now
            self.head.update(told_now[0])
            self.state.update(told_now[1])

    # --- time passing -----------------------------------------------------------------------------

    def _tick(self) -> None:
        now = time.monotonic()
        passed, self._before = now - self._before, now
        self._look()
        if self.plays:
            self._play(passed)
        self._state()

    def _look(self) -> None:
        """What the threads behind have found since."""
        seen = (self.reel.rows, self.reel.read)
        if seen != self._seen:
            first = self._seen[0] <= 0
            self._seen = seen
            self.timeline.grown()
            if self.follows:
                self.timeline.go(self.reel.rows - 1, by_hand=False)
            if first or self.timeline.cursor >= self.reel.rows - 2:
                self._about(fresh=first)
        report = self.played.checking.report
        if report is not None and not self._ended:
            self._ended = True
            ends = words.ends(self.reel, report, runs=self.played.runs())
            if ends is not None:
                self.timeline.end_here(*ends)
                self._about(fresh=False)

    def _play(self, passed: float) -> None:
        stop = self._stop_row()
        place = self.timeline.cursor
        upto = self.pace.tick(passed, place, stop, lambda number: self.reel[number].t)
        self.timeline.go(upto, by_hand=False)
        known = self.played.checking.report is not None or stop < self.reel.rows
        if upto >= stop - 1 and known:
            self.plays = False

    def _stop_row(self) -> int:
        """Behind the last row that is played."""
        if self.played.stop is None:
            return self.reel.rows
        row = self.reel.row_of_seq(self.played.stop + 1)
        return self.reel.rows if row is None else row

    # --- keys -------------------------------------------------------------------------------------

    def action_play(self) -> None:
        if not self.plays and self.timeline.cursor >= self.reel.rows - 1 and not self.follows:
            self.timeline.go(0)
        self.plays = not self.plays
        self.pace.restart()
        self._tell("")

    def action_faster(self, by: float) -> None:
        self.pace.faster(by)
        self._tell("")

    def action_seek(self, step: int) -> None:
        if self.reel.rows:
            here = self.reel[self.timeline.cursor].t
            row = self.reel.row_at(here + step * _SEEK)
            # Where nothing happened for longer, an arrow still goes on by a row.
            row = max(row, self.timeline.cursor + 1) if step > 0 else row
            self.timeline.go(row)

    def action_jump(self, kind: str, step: int) -> None:
        self._find(frozenset({kind}), step)

    def action_near(self, step: int) -> None:
        if self.search is not None:
            self._look_for(self.search, step)
        else:
            self._find(frozenset(told.KINDS), step)

    def _find(self, kinds: frozenset[str], step: int) -> None:
        what = next(iter(kinds)) if len(kinds) == 1 else "refusal, hold, mask or error"

        def find(go: Callable[[], bool]) -> int | None:
            return following(self.reel, self.timeline.cursor, kinds, step, go)

        self._seek(find, f"no {words.KINDS.get(what, what)} {words.where(step)}")

    def _look_for(self, search: Search, step: int) -> None:
        place = self.timeline.cursor

        def find(go: Callable[[], bool]) -> int | None:
            return search.next(place, go) if step > 0 else search.previous(place, go)

        self._seek(find, f'"{view.clean(search.word)}" is not {words.where(step)}')

    def _seek(self, find: Callable[[Callable[[], bool]], int | None], none: str) -> None:
        """Looks for a row in a thread; the last question counts."""
        self._tell("looking …")

        def work() -> None:
            worker = get_current_worker()
            found = find(lambda: not worker.is_cancelled)
            if not worker.is_cancelled:
                self.call_from_thread(self._found, found, none)

        self.run_worker(work, thread=True, exclusive=True, group="seek")

    def _found(self, row: int | None, none: str) -> None:
        more = "" if self.played.checking.report is not None else " (it is still being read)"
        self._tell("" if row is not None else none + more)
        if row is not None:
            self.timeline.go(row)

    def action_ask(self, sign: str) -> None:
        self._asks = sign
        self.box.value = ""
        self.box.placeholder = words.ASKS[sign]
        self.box.add_class("asks")
        self.box.focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        text = event.value.strip()
        self._answered()
        if not text:
            return
        if self._asks == "/":
            self.search = Search(self.reel, text)
            self._look_for(self.search, 1)
        else:
            self._go_to(text)

    def _answered(self) -> None:
        self.box.remove_class("asks")
        self.timeline.focus()

    def _go_to(self, text: str) -> None:
        """A statement's number, or a time since the beginning."""
        try:
            place = words.place(text)
        except ValueError as problem:
            self._tell(str(problem))
            return
        if isinstance(place, int):
            row = self.reel.row_of_seq(place)
        else:
            row = self.reel.row_at(int(place * 1e6))
        self._found(row, f"there is no statement {text}")

    def action_evidence(self) -> None:
        """To the last row that is evidence."""
        if self.timeline.ends is None:
            known = self.played.checking.report is not None
            self._tell("it does not end early" if known else "it is still being verified")
        else:
            self.timeline.go(self.timeline.ends - 1)

    def action_watch(self) -> None:
        """What the terminal of this statement showed, in place of the player."""
        from hoopcli.player.watching import Watching

        row = self.timeline.cursor
        said = self.reel[row].event if self.reel.rows else None
        if not isinstance(said, Said) or not words.has_terminal(said):
            self._tell("no terminal: go to a shell, or a command in a terminal")
            return
        self.plays = False
        with self.suspend():
            Watching(
                self.reel,
                said.seq,
                row,
                self.played.runs,
                speed=self.pace.speed,
                max_idle=self.pace.max_idle,
            ).play()
        self._before = time.monotonic()
        self.refresh(layout=True)

    def action_follow(self) -> None:
        self.follows = not self.follows
        if self.follows:
            self.timeline.action_last()
        self._tell("")

    def action_other(self) -> None:
        if self.box.has_focus:
            return
        (self.timeline if self.details.has_focus else self.details).focus()

    def action_widen(self) -> None:
        self.screen.toggle_class("wide-details")
        (self.details if self.screen.has_class("wide-details") else self.timeline).focus()

    def action_help(self) -> None:
        self.push_screen(Help())

    def action_leave(self) -> None:
        """One thing at a time: the question, the wide details, the search, the player."""
        if self.box.has_focus:
            self._answered()
        elif self.screen.has_class("wide-details"):
            self.action_widen()
        elif self.search is not None:
            self.search = None
            self.workers.cancel_group(self, "seek")
            self._tell("")
        else:
            self.exit(0)

    async def action_quit(self) -> None:
        self.exit(0)

    def action_interrupt(self) -> None:
        self.exit(INTERRUPTED)

    def _tell(self, text: str) -> None:
        self.said = text
        self._state()
