"""Where in a TOML text a key stands, and which known word an unknown one was meant to be.

``tomllib`` says what a file means but not where; people mend files by line.  The scan below finds
the line of every table header and every key that starts a line, which is where people put them.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

Path = tuple[str | int, ...]

_HEADER = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_-]+)*)\s*=""")
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


class ConfigError(ValueError):
    """A configuration text is wrong: where, and what to write instead."""

    def __init__(self, message: str, *, line: int = 0, key: str = "", file: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.key = key
        self.file = file

    def __str__(self) -> str:
        where = ":".join(part for part in (self.file, str(self.line or "")) if part)
        return f"{where}: {self.message}" if where else self.message


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))


def lines_of(text: str) -> dict[Path, int]:
    """The line (from 1) of each table and key; an array of tables counts its tables from 0."""
    places: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    closing = ""
    for number, line in enumerate(text.splitlines(), 1):
        if closing:
            closing = "" if closing in line else closing
            continue
        if header := _HEADER.match(line):
            table = _resolve(_parts(header[2]), counts, header[1] == "[[")
            places.setdefault(table, number)
        elif key := _KEY.match(line):
            places.setdefault(table + _parts(key[1]), number)
            rest = line[key.end() :]
            for quote in ('"""', "'''"):
                if rest.count(quote) % 2:
                    closing = quote
    return places


def _resolve(parts: tuple[str, ...], counts: dict[Path, int], appends: bool) -> Path:
    """The path of a header, with the running number behind each array of tables it passes."""
    path: Path = ()
    for place, part in enumerate(parts):
        path += (part,)
        last = place == len(parts) - 1
        if last and appends:
            counts[path] = counts.get(path, -1) + 1
        if path in counts:
            path += (counts[path],)
    return path


def line_of(places: dict[Path, int], path: Path) -> int:
    """The line of this key, or of the nearest table around it; 0 where nothing is known."""
    for size in range(len(path), 0, -1):
        if path[:size] in places:
            return places[path[:size]]
    return 0


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``; did you mean "recordings"?``, or nothing where no known word is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
