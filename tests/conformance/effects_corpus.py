"""Texts to run: our own corpus, and scripts written for psql.

A script is cut as psql cuts it: at semicolons that stand outside quotes, comments, parentheses and
``BEGIN ATOMIC … END``.  psql's own commands are left out, and what they would have sent with them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

OWN = Path(__file__).with_name("statements.sql")

_PIECE = re.compile(
    r"""--[^\n]*
      | /\*
      | \b[eE]'(?:\\.|''|[^'\\])*'
      | '(?:''|[^'])*'
      | "(?:""|[^"])*"
      | \$([A-Za-z_]\w*)?\$(?:.*?)\$\1\$
      | \$\$.*?\$\$
      | \\[^\n]*
      | [();]
      | [A-Za-z_][\w$]*
      | [^'"$();\\A-Za-z_/-]+
      | .""",
    re.VERBOSE | re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One statement of our own corpus; ``before`` runs first, in the same transaction."""

    before: tuple[str, ...]
    text: str


def own(path: Path = OWN) -> tuple[str, list[Line]]:
    """The definitions, and the statements."""
    setup, _, rest = path.read_text().partition("\n-- statements\n")
    lines = []
    for line in rest.splitlines():
        if line.strip() and not line.startswith("--"):
            *before, text = line.split(" ;; ")
            lines.append(Line(tuple(before), text))
    return setup, lines


def script(text: str) -> Iterator[tuple[str, str]]:
    """Statements of a psql script in order, each with the data that follows a COPY FROM STDIN."""
    position, start, depth, atomic = 0, 0, 0, 0
    words: list[str] = []
    while position < len(text):
        piece, position = _next(text, position)
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(0, depth - 1)
        elif piece.startswith("\\"):
            # What was typed so far goes with the command (\gset, \bind): it is not looked at.
            start, depth, atomic, words = position, 0, 0, []
        elif piece == ";" and not depth and not atomic:
            statement = text[start : position - 1].strip()
            data = ""
            if _copies_in(statement):
                data, position = _data(text, position)
            if statement:
                yield statement, data
            start, words = position, []
        elif piece[0].isalpha():
            words.append(piece.upper())
            if words[-2:] == ["BEGIN", "ATOMIC"]:
                atomic = 1
            elif atomic and words[-1] == "CASE":
                atomic += 1
            elif atomic and words[-1] == "END":
                atomic -= 1


def _next(text: str, position: int) -> tuple[str, int]:
    if text.startswith("/*", position):
        depth, at = 1, position + 2
        while depth and at < len(text):
            if text.startswith("/*", at):
                depth, at = depth + 1, at + 2
            elif text.startswith("*/", at):
                depth, at = depth - 1, at + 2
            else:
                at += 1
        return "/", at
    found = _PIECE.match(text, position)
    assert found is not None
    return found[0], found.end()


def _copies_in(statement: str) -> bool:
    return re.search(r"(?is)\bcopy\b.*\bfrom\s+stdin\b", statement) is not None


def _data(text: str, position: int) -> tuple[str, int]:
    """The lines up to ``\\.``, which begin behind the line of the statement."""
    line = text.find("\n", position) + 1
    if line == 0:
        return "", len(text)
    end = line if text.startswith("\\.", line) else text.find("\n\\.", line) + 1
    if end == 0:
        return "", position
    stop = text.find("\n", end)
    return text[line:end], len(text) if stop < 0 else stop
