"""The right side: all about the row that the cursor is on."""

from __future__ import annotations

import re

from rich.syntax import Syntax
from rich.text import Text
from textual.containers import VerticalScroll
from textual.widgets import Static

from hoopcli import view
from hoopcli.player.rows import Part

_KINDS = {"good": "green", "bad": "bold red", "head": "bold", "quiet": "dim", "": ""}
_LEXERS = {"sql": "postgresql", "sh": "bash"}
# Above this, colours would take longer than a person waits.
_LARGEST_COLOURED = 16 << 10
_NAMES = 9  # columns of a name
_HIDDEN = re.compile(r"⟦[^⟧]*⟧")


class Details(VerticalScroll, can_focus=True):
    """Shows parts; scrolls where they are more than the screen has."""

    def __init__(self) -> None:
        super().__init__(id="details")
        self._text = Static("", markup=False, id="about")
        self._parts: list[Part] = []

    def compose(self):  # type: ignore[no-untyped-def]  # Textual's own type changes with versions
        yield self._text

    def show(self, parts: list[Part], *, fresh: bool = True) -> None:
        """``fresh``: of another row, which is read from its beginning."""
        self._parts = parts
        self._draw()
        if fresh:
            self.scroll_home(animate=False)

    def on_resize(self) -> None:
        self._draw()

    def _draw(self) -> None:
        # A column is left for the bar, which comes and goes with what is drawn.
        self._text.update(drawn(self._parts, max(self.content_size.width - 1, 20)))


def drawn(parts: list[Part], width: int) -> Text:
    """The parts as text; what a terminal would obey is visible."""
    found = Text()
    for part in parts:
        if not part.text:
            continue
        if part.kind in _LEXERS:
            found.append("\n")
            found.append_text(_code(part.text, _LEXERS[part.kind]))
            found.append("\n\n")
            continue
        room = width - _NAMES if part.name else width
        lines = view.wrap(view.clean(part.text), room)
        for i, line in enumerate(lines):
            if part.name:
                found.append(f"{part.name if i == 0 else '':<{_NAMES}}", style="dim")
            found.append(f"{line}\n", style=_KINDS[part.kind])
    found.rstrip()
    return found


def _code(text: str, lexer: str) -> Text:
    lines = [view.clean(line.rstrip("\r").replace("\t", "    ")) for line in text.split("\n")]
    plain = "\n".join(lines).strip("\n")
    if len(plain) > _LARGEST_COLOURED:
        return Text(plain)
    shown = Syntax("", lexer, theme="ansi_dark").highlight(plain)
    shown.rstrip()
    for found in _HIDDEN.finditer(shown.plain):
        shown.stylize("not underline bold black on cyan", *found.span())
    return shown
