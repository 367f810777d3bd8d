"""The screen of the form and its keys.

A list of what waits is on the left, hardest first; the card of the one under the cursor on the
right.  Enter answers nothing: in the list it does nothing, and in a question it ends what is typed.

Order of the file: the screen, keys, the end.
"""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, VerticalScroll
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from hoopcli import review_view, screen
from hoopcli.errors import say
from hoopcli.review_form import words
from hoopcli.review_form.answering import Answering, Asks
from hoopcli.review_form.page import Page
from hoopcli.view import card, clean

_NARROW = 90  # columns below which the list is left out
_EDITS = {
    "backspace": "delete_left",
    "delete": "delete_right",
    "left": "cursor_left",
    "right": "cursor_right",
    "home": "home",
    "ctrl+a": "home",
    "end": "end",
    "ctrl+e": "end",
    "ctrl+w": "delete_left_word",
    "ctrl+u": "delete_left_all",
    "ctrl+k": "delete_right_all",
}
"""Keys of a line that is typed, and the box's actions."""


class Form(Answering):
    """``run`` gives an exit code."""

    ENABLE_COMMAND_PALETTE = False
    TITLE = "hoop review"
    CSS = """
    Screen { layout: vertical; }
    #head { height: auto; background: $panel; padding: 0 1; }
    #both { height: 1fr; }
    #list { width: 40%; height: 1fr; border: none; scrollbar-size-vertical: 1; }
    #right { width: 1fr; height: 1fr; padding: 0 1; }
    #card { height: auto; }
    #said { height: auto; max-height: 6; background: $panel; padding: 0 1; }
    #ask { height: 1; border: none; padding: 0 1; display: none; }
    #ask.asks { display: block; }
    #keys { height: 1; padding: 0 1; color: $text-muted; }
    .narrow #list { width: 0; display: none; }
    """
    BINDINGS = [  # noqa: RUF012 - Textual's own form
        *(
            Binding(key, f"answer('{key}')", show=False, priority=True)
            for key in ("k", "n", "g", "d", "c", "a", "u")
        ),
        Binding("e", "evidence", show=False),
        Binding("y", "why", show=False),
        Binding("r", "replay", show=False),
        Binding("s", "skip", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("up", "move(-1)", show=False),
        Binding("question_mark", "help", show=False),
        Binding("escape", "leave", show=False),
        Binding("q", "quit", show=False),
        Binding("ctrl+c,ctrl+q", "interrupt", show=False, priority=True),
    ]

    # --- the screen -------------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        yield self.head
        with Horizontal(id="both"):
            yield self.list
            with VerticalScroll(id="right", can_focus=False):
                yield self.card
        yield self.said
        yield self.box
        yield Static(words.KEYS, id="keys", markup=False)

    def on_mount(self) -> None:
        self._draw_list()
        self.list.focus()
        self.list.highlighted = 0
        self._draw()

    def on_resize(self, event: events.Resize) -> None:
        self.screen.set_class(event.size.width < _NARROW, "narrow")
        self.call_after_refresh(self._draw)

    @property
    def item(self) -> Any:
        return self.items[self.list.highlighted or 0]

    def _draw_list(self) -> None:
        place = self.list.highlighted
        wide = max(int(self.size.width * 0.4) - 3, 20)
        self.list.clear_options()
        self.list.add_options(Option(words.row(item, self.done, wide)) for item in self.items)
        self.list.highlighted = place

    def _draw(self) -> None:
        number = (self.list.highlighted or 0) + 1
        wide = max(self.card.size.width, 40)
        shown = card(review_view.card(self.item, screen.now()), wide)
        mark = self.done.get(self.item["grant"])
        title = f"{number} of {len(self.items)}: {self.item.get('group', '')}"
        self.card.update(f"{title}{f'  [{mark}]' if mark else ''}\n\n{shown}")
        self.head.update(words.head(self.items, self.done))

    def on_option_list_option_highlighted(self, _: OptionList.OptionHighlighted) -> None:
        self._began = time.monotonic()
        self._draw()

    def draw(self) -> None:
        self._draw_list()
        self._draw()

    # --- keys -------------------------------------------------------------------------------------

    async def on_event(self, event: events.Event) -> None:
        """Keys go, one by one, to the question that is open when their turn comes.

        Over a slow line many come at once; a widget would get them before it is asked anything.
        """
        here = isinstance(event, events.Key) and len(self.screen_stack) == 1
        if not (here and isinstance(event, events.Key) and self._takes(event)):
            await super().on_event(event)

    def _takes(self, event: events.Key) -> bool:
        """Whether the key was of the question that is open."""
        if self._pick and event.character in self._pick:
            act = self._pick[event.character]
            self._asked()
            act()
            return True
        if self._then is None:
            return False
        if event.key == "enter":
            self._submit()
        elif event.key in _EDITS:
            getattr(self.box, f"action_{_EDITS[event.key]}")()
        elif event.is_printable and event.character is not None:
            self.box.insert_text_at_cursor(event.character)
        else:
            return False
        return True

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a question is asked, or a page is open, its own keys are all there are."""
        if action == "answer" and len(self.screen_stack) > 1:
            return False
        free = action in ("interrupt", "leave", "pick", "pop_screen")
        return free or not (self._then or self._pick)

    def action_answer(self, key: str) -> None:
        if self.busy:
            return
        item = self.item
        if key == "u":
            self._undo(item)
        elif item["grant"] in self.done:
            self.say("It is answered; u takes back what was given back.")
        else:
            {
                "k": self._keep,
                "n": self._narrow,
                "g": lambda one: self._send(one, "give back"),
                "d": self._delegate,
                "c": self._cannot_say,
                "a": self._alike,
            }[key](item)

    def action_move(self, step: int) -> None:
        place = (self.list.highlighted or 0) + step
        self.list.highlighted = min(max(place, 0), len(self.items) - 1)

    def action_skip(self) -> None:
        self.go_on()

    def go_on(self) -> None:
        """To the next that waits, from here on and then from the top."""
        here = self.list.highlighted or 0
        for place in [*range(here + 1, len(self.items)), *range(here)]:
            if self.items[place]["grant"] not in self.done:
                self.list.highlighted = place
                return

    def action_evidence(self) -> None:
        self._open("evidence", "\n".join(review_view.linear(self.item)))

    def action_why(self) -> None:
        self._open("why", "\n".join(review_view.linear(self.item.get("why") or {})))

    def action_help(self) -> None:
        text = "\n".join(f"{key:<9} {what}" for key, what in words.HELP)
        self.push_screen(Page(f"{text}\n\nEnter answers nothing."))

    def _open(self, what: str, text: str) -> None:
        self.opened.setdefault(self.item["grant"], []).append(what)
        self.push_screen(Page(text))

    def action_replay(self) -> None:
        """The player, at the statement that says most."""
        telling = self.item.get("telling")
        if not telling:
            self.say("There is nothing to replay.")
            return
        self.opened.setdefault(self.item["grant"], []).append("replay")
        asked = ["replay", str(telling["session"]), "--from", str(telling["seq"])]
        with self.suspend():
            subprocess.run([sys.executable, "-m", "hoopcli", *asked], check=False)
        self.refresh(layout=True)

    def action_leave(self) -> None:
        if self._then or self._pick:
            self._asked()
            self.say("")
        else:
            self.exit(0)

    def action_interrupt(self) -> None:
        self.exit(130)


# --- the end ------------------------------------------------------------------------------------


def fill(client: Asks, items: list[Any]) -> int:
    """The form, until it is left; what was answered is said below it."""
    form = Form(client, items)
    code = form.run() or 0
    counts: dict[str, int] = {}
    for what in form.done.values():
        counts[what] = counts.get(what, 0) + 1
    left = len(form.items) - len(form.done)
    told = ", ".join(f"{count} {what}" for what, count in counts.items()) or "Nothing changed"
    say(told + (f"; {left} not looked at" if left else "") + ".")
    for grant, review in form.reviews.items():
        say(f"{clean(grant)} may be taken again for ten minutes:  hoop review undo {clean(review)}")
    return code
