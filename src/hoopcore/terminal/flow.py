"""One stream of a terminal: what comes goes on as it came, but for the values in it.

What came and has not gone on is a queue of pieces: text, each with its place on its line, and all
else.  A line is looked at as it stands on the screen, so that nothing hides a value that stands
within it in pieces: colours, the cursor going back, the margin.  What is found is hidden in the
pieces; then the queue goes on, up to what may still become part of a value.

Before a cursor goes back, or elsewhere, a line has been seen as it stands: it is looked at as one
that is over.  So a value that is written over is hidden as well.

How the stream is cut changes nothing of what goes on; only ``quiet`` does, behind which nothing
waits.

Order of the file: pieces, coming and going, tokens, cursors, looking.
"""

from __future__ import annotations

import unicodedata
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, TypeAlias

from hoopcore.detectors import Span
from hoopcore.terminal.finder import Finder, encoded
from hoopcore.terminal.opening import PEM, is_strong
from hoopcore.terminal.pems import Pem, hidden
from hoopcore.terminal.row import LONGEST, Row
from hoopcore.terminal.screen import Screen
from hoopcore.terminal.sequences import Sign, Token, token_at

Mark: TypeAlias = Callable[[str, bytes], str]
"""What stands in place of a value: its kind, and the value."""

MOST_WAITING: Final = 128 << 10
"""Characters of text and controls that wait together, at most."""

_STEP: Final = 4096  # characters of a line between two looks at it


@dataclass(slots=True, eq=False)
class _Piece:
    text: str
    row: Row | None = None  # None: it takes no cell
    at: int = 0
    hidden: list[tuple[int, int, str | None]] = field(default_factory=list)  # None: stars

    @property
    def shown(self) -> str:
        if not self.hidden:
            return self.text
        said, place = [], 0
        for start, stop, mark in sorted(self.hidden, key=lambda one: one[:2]):
            if stop <= place and mark is None:
                continue
            start = max(start, place)
            said.append(self.text[place:start])
            said.append(_stars(self.text[start:stop]) if mark is None else mark)
            place = max(place, stop)
        return "".join([*said, self.text[place:]])

    def cut(self, place: int) -> _Piece:
        """The first so many characters, as another piece."""
        first = _Piece(self.text[:place], self.row, self.at)
        first.hidden = [(a, min(b, place), mark) for a, b, mark in self.hidden if a < place]
        self.hidden = [
            (max(0, a - place), b - place, mark if a >= place or mark is None else "")
            for a, b, mark in self.hidden
            if b > place
        ]
        self.text, self.at = self.text[place:], self.at + place
        return first


def _stars(text: str) -> str:
    if text.isascii():
        return "*" * len(text)
    return "".join("**" if unicodedata.east_asian_width(c) in "WF" else "*" for c in text)


class Flow:
    """``columns`` and ``lines`` are the terminal's; 0: it is none, or they are not known."""

    def __init__(
        self, finder: Finder, columns: int = 0, lines: int = 0, mark: Mark | None = None
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._finder = finder
        self._mark = mark
        self._screen = Screen(columns, lines)
        self._row = Row()
        self._string: Row | None = None  # what stands within OSC and the like
        self._begun = ""  # a sequence that is not over; it has gone on already
        self._pieces: deque[_Piece] = deque()
        self._waiting = 0  # characters in them
        self._out: list[str] = []

    def resized(self, columns: int, lines: int) -> None:
        self._screen = Screen(columns, lines)

    # --- coming and going -------------------------------------------------------------------------

    @property
    def waits(self) -> bool:
        """Whether anything is held back."""
        return bool(self._pieces)

    @property
    def waits_for_much(self) -> bool:
        """Whether what is held back looks like a value already."""
        row = self._string or self._row
        return self.waits and is_strong(encoded(row.text[row.held : row.at][-512:]))

    @property
    def is_new(self) -> bool:
        """Whether nothing before tells on what comes: between two lines, with nothing waiting."""
        row = self._row
        idle = not (row.text or row.at or row.pem.left or self._pieces or self._begun)
        return idle and self._string is None and not self._screen.known

    def feed(self, text: str) -> str:
        """What goes on now."""
        behind = len(self._begun)
        text, self._begun = self._begun + text, ""
        place = 0
        while place < len(text):
            token = token_at(text, place, inside=self._string is not None)
            fresh = token.raw[max(0, behind - place) :]
            place += len(token.raw)
            if token.sign is Sign.PARTIAL:
                self._begun = token.raw
                self._put(_Piece(fresh))
            else:
                self._take(token, fresh)
        for row in self._rows:
            self._look(row)
        self._go_on()
        if self._waiting > MOST_WAITING:
            return self.quiet()
        return self._said()

    def quiet(self) -> str:
        """Nothing more comes for now: all that waits goes on, as if lines ended here."""
        for row in self._rows:
            self._look(row, over=True, release=True)
        self._go_on()
        return self._said()

    def let_go(self) -> str:
        """All that waits goes on as it is: whoever reads it has written it."""
        for row in self._rows:
            self._look(row, release=True)
        self._go_on()
        return self._said()

    @property
    def _rows(self) -> tuple[Row, ...]:
        return (self._row,) if self._string is None else (self._row, self._string)

    def _put(self, piece: _Piece) -> None:
        if piece.text:
            self._pieces.append(piece)
            self._waiting += len(piece.text)

    def _go_on(self) -> None:
        """What does not wait goes, in order."""
        while self._pieces:
            piece = self._pieces[0]
            row, size = piece.row, len(piece.text)
            if row is not None and row.held < row.at and piece.at < row.at:
                free = row.held - piece.at
                if free <= 0:
                    return
                if free < size:
                    self._out.append(piece.cut(free).shown)
                    self._waiting -= free
                    return
            self._pieces.popleft()
            self._waiting -= size
            self._out.append(piece.shown)

    def _said(self) -> str:
        said, self._out = "".join(self._out), []
        return said

    # --- tokens -----------------------------------------------------------------------------------

    def _take(self, token: Token, fresh: str) -> None:
        """``fresh`` is what of it has not gone on before."""
        row = self._string or self._row
        match token.sign:
            case Sign.TEXT:
                self._write(row, token.raw)
                return
            case Sign.NEWLINE:
                self._line_ends(fresh, fed=not token.raw.startswith("\r"))
                return
            case Sign.BEGIN:
                self._string = Row()
            case Sign.END:
                self._over(row)
                self._string = None
            case Sign.RETURN if self._string is None:
                self._over(row)
                row.go(row.starts_at(self._screen.columns))
                row.held = row.at
            case Sign.BACK if self._string is None:
                self._back(1)
            case Sign.CSI:
                self._control(token)
            case Sign.ESCAPE if token.letter in ("c", "8", "D", "E", "M"):
                self._elsewhere(None)
            case _:
                pass
        self._put(_Piece(fresh))

    def _write(self, row: Row, text: str) -> None:
        for start in range(0, len(text), _STEP):
            part = text[start : start + _STEP]
            self._put(_Piece(part, row, row.at))
            row.write(part)
            if len(text) > _STEP:
                self._look(row)
                self._go_on()
            if len(row.text) > LONGEST:
                self._shorten(row)

    def _shorten(self, row: Row) -> None:
        """Its beginning is forgotten, and what has waited too long goes on."""
        self._look(row)
        self._go_on()
        keep = max(len(row.text) - min(row.held, row.anchor) + self._finder.reach, LONGEST // 2)
        count = max(0, len(row.text) - min(keep, LONGEST))
        if self._screen.columns > 0:
            count -= count % self._screen.columns
        hidden(row.text[:count], row.pem)
        row.forget(count)
        for piece in self._pieces:
            if piece.row is row:
                piece.at = max(0, piece.at - count)

    def _line_ends(self, fresh: str, *, fed: bool) -> None:
        row, screen = self._string or self._row, self._screen
        if row is self._string:
            self._over(row)
            self._string = Row()
        elif row.at_margin(screen.columns):
            row.joints.append(len(row.text))  # where the next line may go on with it
            screen.joined()
        else:
            self._over(row)
            self._row = screen.next_line(row, keep_column=fed)
            self._row.pem = self._behind(row)
        self._put(_Piece(fresh))

    def _behind(self, row: Row) -> Pem:
        """The private key that is under way behind this line."""
        pem = row.pem.copy()
        if self._finder.pem:
            hidden(row.text, pem)
            pem.line_ends(row.text)
        return pem

    # --- cursors ----------------------------------------------------------------------------------

    def _control(self, token: Token) -> None:
        """What a CSI does to lines; most only colour them."""
        row, screen, letter = self._row, self._screen, token.letter
        first = token.numbers[0]
        count = min(max(1, first), 4096)
        start = row.starts_at(screen.columns)
        match letter:
            case "C" | "a":
                self._to(row.at + count)
            case "D":
                self._back(count)
            case "G" | "`":
                self._to(start + count - 1)
            case "K" | "J" if first < 2 and (first or row.at < len(row.text)):
                self._edit("K", 0, first)
            case "K" if first == 2:
                self._edit("K", 0, 2)
            case "J" if first >= 2:
                place = screen.cursor(row)
                screen.forget()
                self._elsewhere(place)
            case "P" | "@" | "X":
                self._edit(letter, count)
            case "b":
                row.write(row.text[max(0, row.at - 1) : row.at] * count)
            case "H" | "f":
                second = token.numbers[1] if len(token.numbers) > 1 else 1
                self._elsewhere((count, max(1, second) - 1))
            case "A" | "B" | "E" | "F" | "d":
                self._elsewhere(screen.moved(row, letter, count))
            case "r":
                screen.scrolls_in_part()
                self._elsewhere((1, 0))
            case "L" | "M" | "S" | "T":
                place = screen.cursor(row)
                screen.forget()
                self._elsewhere(place)
            case "u" | "?1049h" | "?1049l" | "?1047h" | "?1047l" | "?47h" | "?47l":
                screen.forget()
                self._elsewhere(None)
            case _:
                pass

    def _to(self, place: int) -> None:
        row = self._row
        if place < row.at:
            self._back(row.at - place)
        elif place > row.at:
            self._seen_so(row)
            row.go(place)
            self._waits_on(row)

    def _back(self, count: int) -> None:
        row = self._row
        self._seen_so(row)
        row.go(max(row.starts_at(self._screen.columns), row.at - count))
        self._waits_on(row)

    def _edit(self, letter: str, count: int, place: int = 0) -> None:
        row = self._row
        self._seen_so(row)
        row.edit(letter, count, place)
        self._waits_on(row)

    def _elsewhere(self, place: tuple[int, int] | None) -> None:
        """The cursor goes to that line (from 1) and column (from 0); None: nobody knows where."""
        row, screen = self._row, self._screen
        if place is not None and screen.is_here(row, place[0]):
            self._to(row.starts_at(screen.columns) + place[1])
        elif place is not None and screen.is_next(row, place):
            row.joints.append(len(row.text))
            screen.joined()
        else:
            self._over(row)
            self._row = screen.at(row, place)
            self._row.pem = self._behind(row)

    # --- looking ----------------------------------------------------------------------------------

    def _over(self, row: Row) -> None:
        """The line is left: it is looked at as it stands, and nothing of it waits any more."""
        if row.changed or row.held < row.at:
            self._look(row, over=True, release=True)
        self._go_on()

    def _seen_so(self, row: Row) -> None:
        """The line has been seen as it stands, before the cursor goes."""
        if row.changed:
            self._look(row, over=True)
            self._go_on()

    def _waits_on(self, row: Row) -> None:
        """What waits where the cursor has come to."""
        low = max(0, min(row.held, row.anchor, row.at) - self._finder.reach)
        row.held = row.anchor = self._opening(row, low)
        self._go_on()

    def _look(self, row: Row, *, over: bool = False, release: bool = False) -> None:
        """Hides what is found, and settles what waits.

        ``over``: what stands at the end of the line, or before the cursor, is not going on.
        """
        if not row.changed and not (over or release):
            return
        low = max(0, min(row.held, row.anchor) - self._finder.reach)
        wait = self._opening(row, low)
        settled = wait == row.opened and row.at == len(row.text) and not (over or release)
        if settled and not row.waits_too_long:
            return
        row.opened = -1 if over else wait
        pem = row.pem.copy()
        if self._finder.pem:
            for one in hidden(row.text, pem):
                self._hide(row, Span(one.start, one.stop, PEM if one.begins else ""))
            if pem.left and row.at == len(row.text):
                wait, row.opened = row.at, -1
        row.anchor = wait
        for span in self._spans(row, low):
            if over or span.stop <= wait or span.start >= row.at:
                self._hide(row, span)
            else:
                wait = min(wait, span.start)
        row.anchor = min(wait, row.anchor)
        row.held = row.at if release else wait
        row.changed = row.changed and not over
        if row.waits_too_long:
            self._look(row, over=True, release=True)

    def _opening(self, row: Row, low: int) -> int:
        """From where on it has to wait, also if a line of its own begins at a joint."""
        place = low + self._finder.opening(row.text[low : row.at])
        for joint in row.joints:
            if low <= joint < min(row.at, place):
                place = joint + self._finder.opening(row.text[joint : row.at])
        return place

    def _spans(self, row: Row, low: int) -> list[Span]:
        """What is found from there on; where lines may be one or two, both ways."""
        spans = [_moved(span, low) for span in self._finder.find(row.text[low:])]
        edges = [low, *(joint for joint in row.joints if joint > low), len(row.text)]
        if len(edges) > 2:
            for start, stop in pairwise(edges):
                spans += [_moved(one, start) for one in self._finder.find(row.text[start:stop])]
            spans.sort()
        return spans

    def _hide(self, row: Row, span: Span) -> None:
        """In all of it that has not gone on."""
        pieces = [
            piece
            for piece in self._pieces
            if piece.row is row and piece.at < span.stop and span.start < piece.at + len(piece.text)
        ]
        if not pieces:
            return
        stop = span.stop - span.keep
        if stop > span.start and (span.keep and self._seen(row, pieces, span.start, stop)):
            stop = span.stop  # what may be shown was to be all that is seen of it
        whole = self._mark is not None
        new = False
        text = (
            ""
            if self._mark is None
            else self._mark(span.kind, encoded(row.text[span.start : span.stop]))
        )
        if not span.kind:
            text = ""
        for piece in pieces:
            start = max(0, span.start - piece.at)
            end = min(len(piece.text), (span.stop if whole else stop) - piece.at)
            if end <= start or any(a <= start and end <= b for a, b, _ in piece.hidden):
                continue
            new = True
            piece.hidden.append((start, end, text if whole else None))
            text = ""
        if new:
            known = any(a < span.stop and span.start < b for a, b in row.stars)
            row.stars.append((span.start, span.stop if whole else stop))
            if span.kind and not known:
                self.counts[span.kind] += 1

    def _seen(self, row: Row, pieces: list[_Piece], start: int, stop: int) -> bool:
        """Whether any character in between has gone on in clear."""
        hidden = bytearray(stop - start)
        places = [(piece.at, piece.at + len(piece.text)) for piece in pieces] + row.stars
        for a, b in places:
            low, high = max(a, start) - start, min(b, stop) - start
            if low < high:
                hidden[low:high] = b"\1" * (high - low)
        return not all(hidden)


def _moved(span: Span, by: int) -> Span:
    return span._replace(start=span.start + by, stop=span.stop + by)
