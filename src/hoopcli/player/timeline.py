"""The left side: one line a row, of which only those on the screen are ever made.

Where evidence ends stands a line that is no row: what comes behind it was changed, or is missing.
"""

from __future__ import annotations

from rich.segment import Segment
from rich.style import Style
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from hoopcli.player import rows as told
from hoopcli.player.reel import Reel, Row
from hoopcore.recording import End, Fatal, Notice, Policy, Said

_STYLES = {
    "refused": Style(color="red", bold=True),
    "held": Style(color="yellow", bold=True),
    "error": Style(color="magenta", bold=True),
    "masked": Style(color="cyan"),
}
_QUIET = Style(dim=True)
_ENDS = Style(color="red", bold=True, reverse=True)
_HERE = Style(reverse=True)


def text_of(reel: Reel, row: Row) -> str:
    """A statement's text; of a run what was prepared."""
    said = row.event
    if not isinstance(said, Said):
        return ""
    if said.kind == "call":
        return said.text or "a call of a function by its number"
    if said.kind != "run" or not said.origin:
        return said.text
    origin = reel.said(said.origin)
    return origin.text if origin is not None else f"(prepared as statement {said.origin})"


class Timeline(ScrollView, can_focus=True):
    """The rows of a reel, with a cursor."""

    BINDINGS = [  # noqa: RUF012 - Textual's own form
        Binding("up,k", "move(-1)", show=False),
        Binding("down,j", "move(1)", show=False),
        Binding("pageup", "page(-1)", show=False),
        Binding("pagedown", "page(1)", show=False),
        Binding("home,g", "to(0)", show=False),
        Binding("end,G", "last", show=False),
    ]

    class Moved(Message):
        """The cursor is on another row; ``by_hand`` unless the recording plays."""

        def __init__(self, by_hand: bool) -> None:
            super().__init__()
            self.by_hand = by_hand

    def __init__(self, reel: Reel) -> None:
        super().__init__(id="timeline")
        self.reel = reel
        self.cursor = 0
        self.ends: int | None = None  # before the row of this number evidence ends
        self.why = ""

    # --- moving -----------------------------------------------------------------------------------

    def go(self, row: int, *, by_hand: bool = True) -> None:
        """Puts the cursor on a row, or on the nearest there is."""
        row = max(min(row, self.reel.rows - 1), 0)
        if row == self.cursor:
            return
        self.cursor = row
        self._show()
        self.refresh()
        self.post_message(self.Moved(by_hand))

    def action_move(self, by: int) -> None:
        self.go(self.cursor + by)

    def action_page(self, by: int) -> None:
        self.go(self.cursor + by * max(self.size.height - 1, 1))

    def action_to(self, row: int) -> None:
        self.go(row)

    def action_last(self) -> None:
        self.go(self.reel.rows - 1)

    def _show(self) -> None:
        """Scrolls so that the cursor is seen, and at the end what stands behind the last row."""
        y = self._line(self.cursor)
        height = 2 if self.cursor == self.reel.rows - 1 and self.ends == self.reel.rows else 1
        self.scroll_to_region(Region(0, y, 1, height), animate=False, force=True)

    def _line(self, row: int) -> int:
        return row + (self.ends is not None and row >= self.ends)

    # --- growing ----------------------------------------------------------------------------------

    def grown(self) -> None:
        """There may be more rows, and it may be known where evidence ends."""
        lines = self.reel.rows + (self.ends is not None)
        self.virtual_size = Size(self.size.width, lines)
        self.refresh()

    def end_here(self, row: int, why: str) -> None:
        """Evidence ends before this row."""
        self.ends, self.why = row, why
        self.grown()
        self._show()

    def is_behind(self, row: int) -> bool:
        """Whether the row stands behind the end of evidence: it may have been changed."""
        return self.ends is not None and row >= self.ends

    # --- drawing ----------------------------------------------------------------------------------

    def render_line(self, y: int) -> Strip:
        line = self.scroll_offset.y + y
        width = self.scrollable_content_region.width
        base = self.rich_style
        if line == self.ends:
            text = f"== evidence ends here: {self.why} "
            return Strip([Segment(text[:width].ljust(width, "="), base + _ENDS)], width)
        number = line - (self.ends is not None and line > self.ends)
        if number >= self.reel.rows:
            return Strip.blank(width, base)
        row = self.reel[number]
        here = ">" if number == self.cursor else "~" if self.is_behind(number) else " "
        shown = told.cells(row, text_of(self.reel, row))
        text = here + told.fitted(shown, width - 1)
        style = base + self._style(row, number)
        if number == self.cursor:
            style += _HERE
        return Strip([Segment(text, style)], width)

    def _style(self, row: Row, number: int) -> Style:
        if self.is_behind(number):
            return _QUIET
        if isinstance(row.event, (Notice, Policy, End)) and not isinstance(row.event, Fatal):
            return _QUIET
        kinds = told.kinds(row)
        return next((style for kind, style in _STYLES.items() if kind in kinds), Style())
