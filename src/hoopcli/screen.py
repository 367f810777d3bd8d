"""The terminal hoop is on: how wide, what time it is, and where text goes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from hoopcli import about, view
from hoopcli.errors import say
from hoopcli.view import Output


def width() -> int:
    """Columns of the terminal, or $COLUMNS; 80 where there is none."""
    return shutil.get_terminal_size((80, 24)).columns


def now() -> datetime:
    return datetime.now(UTC)


def out(text: str) -> None:
    """Data, to stdout at once: whoever reads it may be waiting for it."""
    print(text, flush=True)


def show(
    output: Output,
    values: Sequence[Any],
    *,
    heads: Sequence[str],
    row: Callable[[Any], Sequence[object]],
    name: Callable[[Any], object],
    empty: str,
) -> None:
    """A list on stdout.  For nobody's eyes is it empty without a word: ``empty`` is talk."""
    text = view.listed(output, values, heads=heads, row=row, name=name, width=width())
    if text:
        out(text)
    elif output is Output.TABLE:
        say(empty)


def show_one(
    output: Output,
    value: Any,
    *,
    pairs: Callable[[Any], Iterable[tuple[str, object]]],
    name: Callable[[Any], object],
) -> None:
    """One thing on stdout."""
    if output is Output.JSON:
        out(view.as_json(value))
    elif output is Output.NAMES:
        out(view.clean(name(value)))
    else:
        out(view.card(pairs(value), width()))


def show_request(output: Output, request: Any) -> None:
    """A request as the agent tells it."""
    show_one(output, request, pairs=lambda one: about.request_card(one, now()), name=_id)


def show_grant(output: Output, grant: Any) -> None:
    """A grant as the agent tells it."""
    show_one(output, grant, pairs=lambda one: about.grant_card(one, now()), name=_id)


def _id(value: Any) -> object:
    return value["id"]


def talks() -> bool:
    """Whether a person sees what is said, so that a line may be drawn over itself."""
    return sys.stderr.isatty()


class Progress:
    """One line of talk that is drawn over itself; where nobody watches, each text once."""

    def __init__(self) -> None:
        self._shown = ""

    def show(self, text: str, passing: str = "") -> None:
        """``passing`` is what changes with every second: only for who watches."""
        text = view.clean(text)
        if not talks():
            if text != self._shown:
                say(text)
            self._shown = text
            return
        wide = width() - 1
        line = view.wrap(f"{text}  ({view.clean(passing)})" if passing else text, wide)[0]
        blank = " " * max(view.cells(self._shown) - view.cells(line), 0)
        print(f"\r{line}{blank}", end="", file=sys.stderr, flush=True)
        self._shown = line

    def leave(self) -> None:
        """Lets the line stand, and whatever the terminal wrote behind it."""
        if self._shown and talks():
            say()
            self._shown = ""

    def end(self) -> None:
        """Takes the line away again."""
        if self._shown and talks():
            print("\r" + " " * view.cells(self._shown) + "\r", end="", file=sys.stderr, flush=True)
            self._shown = ""
