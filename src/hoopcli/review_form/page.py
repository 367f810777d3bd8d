"""Many lines over the form."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Static


class Page(ModalScreen[None]):
    """Many lines over the form, until one of its keys."""

    CSS = """
    Page { align: center middle; }
    #page { width: 90%; height: 90%; padding: 0 1; border: round $accent; background: $surface; }
    #page Static { height: auto; }
    """
    BINDINGS = [  # noqa: RUF012 - Textual's own form
        Binding("escape,q,e,y,question_mark", "app.pop_screen", show=False)
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text

    def compose(self) -> ComposeResult:
        with VerticalScroll(id="page"):
            yield Static(self._text, markup=False)
