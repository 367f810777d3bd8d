"""From a pattern to the pattern of its beginnings: what may still become what it matches.

A pattern is cut into its parts, and each part is kept as it is written; so whatever RE2 knows as
one character (a class, an escape) needs no understanding here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

# Beyond it the pattern of beginnings, which holds most parts twice for each group around them,
# would be larger than RE2 takes.
LONGEST: Final = 20_000


class NotKnown(ValueError):
    """A pattern that is written in a way that is not read here."""


@dataclass(frozen=True, slots=True)
class _Part:
    """As it is written, and the beginnings of it (itself and nothing among them)."""

    text: str
    begun: str


def beginnings(pattern: str) -> str:
    """A pattern that matches each beginning of what ``pattern`` matches; NotKnown."""
    reader = _Reader(pattern)
    part = reader.alternatives()
    if reader.place != len(pattern) or len(part.begun) > LONGEST:
        raise NotKnown(pattern)
    return part.begun


_CLASS = re.compile(r"\[\^?\]?(?:\[:\^?\w+:\]|\\[pP](?:\{\^?\w+\}|\w)|\\x\{\w+\}|\\.|[^\]\\])*\]")
_ESCAPE = re.compile(
    r"\\(?:[pP](?:\{\^?\w+\}|\w)|x(?:\{[0-9A-Fa-f]+\}|[0-9A-Fa-f]{2})|[0-7]{1,3}|.)"
)
_GROUP = re.compile(r"\((?:\?(?:P?<\w+>|(?P<flags>[imsU-]*):|(?P<rest>[imsU-]+)\)))?")
_REPEAT = re.compile(r"(?:[*+?]|\{(?P<low>\d+)(?:(?P<to>,)(?P<high>\d*))?\})\??")


class _Reader:
    def __init__(self, pattern: str) -> None:
        self._pattern = pattern
        self.place = 0

    def alternatives(self) -> _Part:
        parts = [self._sequence()]
        while self._pattern.startswith("|", self.place):
            self.place += 1
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        return _Part(
            f"(?:{'|'.join(part.text for part in parts)})",
            f"(?:{'|'.join(part.begun for part in parts)})",
        )

    def _sequence(self) -> _Part:
        parts: list[_Part] = []
        while self.place < len(self._pattern) and self._pattern[self.place] not in "|)":
            parts.append(self._repeated(self._atom()))
        begun = ""
        for part in reversed(parts):
            longer = f"|{part.text}{begun}" if begun else ""
            begun = f"(?:{part.begun}{longer})"
        return _Part("".join(part.text for part in parts), begun)

    def _repeated(self, part: _Part) -> _Part:
        match = _REPEAT.match(self._pattern, self.place)
        if match is None:
            return part
        self.place = match.end()
        most = _most(match)
        if most is None:
            before = "*"
        elif most == 0:
            return _Part("", "")
        else:
            before = f"{{0,{most - 1}}}"
        again = f"(?:{part.text}){before}" if most != 1 else ""
        return _Part(f"(?:{part.text}){match[0]}", f"(?:{again}{part.begun})")

    def _atom(self) -> _Part:
        pattern, start = self._pattern, self.place
        char = pattern[start]
        if char == "(":
            return self._group()
        if char in "*+?" or (char == "{" and _REPEAT.match(pattern, start)):
            raise NotKnown(pattern)
        match = {"[": _CLASS, "\\": _ESCAPE}.get(char, _ANY).match(pattern, start)
        if match is None:
            raise NotKnown(pattern)
        self.place = match.end()
        if match[0] in ("^", "$", "\\b", "\\B", "\\A", "\\z"):
            return _Part(match[0], "")
        if match[0] == "\\Q":
            raise NotKnown(pattern)
        return _Part(match[0], f"(?:{match[0]})?")

    def _group(self) -> _Part:
        match = _GROUP.match(self._pattern, self.place)
        if match is None or (match[0] == "(" and self._pattern.startswith("(?", self.place)):
            raise NotKnown(self._pattern)
        if match["rest"] is not None:  # from here to the end of the group
            flags = match["rest"]
            self.place = match.end()
            rest = self.alternatives()
        else:
            flags = match["flags"] or ""
            self.place = match.end()
            rest = self.alternatives()
            if not self._pattern.startswith(")", self.place):
                raise NotKnown(self._pattern)
            self.place += 1
        return _Part(f"(?{flags}:{rest.text})", f"(?{flags}:{rest.begun})")


_ANY = re.compile(r"[\s\S]")


def _most(match: re.Match[str]) -> int | None:
    """How often at most; None: as often as it likes."""
    if match["low"] is None:
        return 1 if match[0][0] == "?" else None
    if match["to"] is None:
        return int(match["low"])
    return int(match["high"]) if match["high"] else None
