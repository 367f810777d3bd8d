"""What every key does, and what every mark means."""

from __future__ import annotations

from itertools import zip_longest

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static

from hoopcli.player.rows import LEGEND

KEYS = (
    ("space", "play, and pause"),
    ("+  -", "twice as fast, half as fast"),
    ("up down", "a row; PgUp PgDn a page; Home End the first and the last"),
    ("left right", "10 seconds of the session back, and on"),
    ("n  p", "next, previous: refusal, hold, mask or error; or of a search"),
    ("r h m e", "next refusal, hold, mask, error;  R H M E  the one before"),
    ("/", "search: texts, rules, tables, parameters; Esc ends it"),
    (":", "go to a statement (12) or a time (1:30)"),
    ("x", "where evidence ends, if it was cut or changed"),
    ("f", "follow a session that runs"),
    ("t", "of a shell: what its terminal showed; q comes back"),
    ("tab  enter", "to the details, to scroll them; over the whole screen; and back"),
    ("q  Esc", "leave"),
)


class Help(ModalScreen[None]):
    """Over the player, until any of its keys."""

    CSS = """
    Help { align: center middle; }
    #help { width: 78; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
            border: round $accent; background: $surface; }
    #help Static { height: auto; }
    """
    BINDINGS = [  # noqa: RUF012 - Textual's own form
        Binding("escape,q,question_mark,enter,space", "app.pop_screen", show=False)
    ]

    def compose(self) -> ComposeResult:
        keys = "\n".join(f"{key:<11} {what}" for key, what in KEYS)
        half = (len(LEGEND) + 1) // 2
        marks = "\n".join(
            f"{mark}  {what:<31}{other}  {meant}".rstrip()
            for (mark, what), (other, meant) in zip_longest(
                LEGEND[:half], LEGEND[half:], fillvalue=("", "")
            )
        )
        with VerticalScroll(id="help"):
            yield Static(
                f"{keys}\n\nThe two marks of a row, what became of it and what it does:\n{marks}",
                markup=False,
            )
