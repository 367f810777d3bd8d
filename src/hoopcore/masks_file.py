"""masks.toml → the masks that are declared, and the detectors that are switched on.

Everything that is not understood is an error with its line: a mask that is spelled wrong would be
a value in clear.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hoopcore.detectors import KINDS
from hoopcore.places import ConfigError, Path, did_you_mean, line_of, lines_of
from hoopcore.styles import Style


class MaskError(ConfigError):
    """masks.toml is wrong: ``line``, ``key``, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Mask:
    """One declared column: patterns of schema, table and column, and how it is masked."""

    column: str  # as written
    schema: re.Pattern[str]
    table: re.Pattern[str]
    name: re.Pattern[str]
    style: Style
    exempt: frozenset[str] = frozenset()  # groups who see the column in clear


_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def _patterns(column: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]] | None:
    """``schema.table.column`` as three patterns; None where it is not of that form.

    ``*`` and ``?`` stand for any characters and any one, as in a shell.  Names fold to lower
    case, as in SQL; a part in double quotes is taken letter by letter.
    """
    parts, place = [], 0
    while match := _PART.match(column, place):
        quoted, plain = match[1], match[2]
        if quoted is not None:
            parts.append(re.compile(re.escape(quoted.replace('""', '"'))))
        else:
            text = re.escape(plain.strip().lower())
            parts.append(re.compile(text.replace(r"\*", ".*").replace(r"\?", "."), re.DOTALL))
        place = match.end() + 1
        if match.end() == len(column):
            return (parts[0], parts[1], parts[2]) if len(parts) == 3 else None
        if column[match.end()] != ".":
            return None
    return None


def read_masks(text: str) -> tuple[tuple[Mask, ...], tuple[str, ...]]:
    """The masks and the kinds of detectors; MaskError says which line is wrong."""
    return _Loader(text).masks()


class _Loader:
    """One reading of masks.toml: checks each key, and knows its line."""

    def __init__(self, text: str) -> None:
        self.places: dict[Path, int] = {}
        try:
            self.document: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as problem:
            said = str(problem)
            line = re.search(r"line (\d+)", said)
            raise MaskError(said, line=int(line[1]) if line else 0) from None
        self.places = lines_of(text)

    def masks(self) -> tuple[tuple[Mask, ...], tuple[str, ...]]:
        self._known((), self.document, ("detectors", "mask"))
        masks = self.document.get("mask", [])
        if not isinstance(masks, list) or not all(isinstance(mask, dict) for mask in masks):
            raise self._error(("mask",), "a mask is written as [[mask]]")
        detectors = tuple(
            self._one_of(("detectors",), word, KINDS, "detector")
            for word in self._words(("detectors",), self.document.get("detectors", []))
        )
        return (
            tuple(self._mask(("mask", place), table) for place, table in enumerate(masks)),
            tuple(dict.fromkeys(detectors)),
        )

    def _mask(self, path: Path, table: Mapping[str, Any]) -> Mask:
        self._known(path, table, ("column", "style", "exempt"))
        for key in ("column", "style"):
            if key not in table:
                raise self._error((*path, key), f'a mask wants "{key}"')
        column = table["column"]
        patterns = _patterns(column) if isinstance(column, str) else None
        if patterns is None:
            raise self._error((*path, "column"), f"{column!r} is not schema.table.column")
        written = str(table["style"])
        spelled = re.sub(r"[\s_-]+", "-", written.strip())
        style = self._one_of((*path, "style"), spelled, [str(one) for one in Style], "style")
        exempt = self._words((*path, "exempt"), table.get("exempt", []))
        return Mask(column, *patterns, Style(style), frozenset(exempt))

    def _known(self, path: Path, table: Mapping[str, Any], known: Sequence[str]) -> None:
        for key in table:
            if key not in known:
                where = " in [[mask]]" if path else ""
                near = did_you_mean(key, known)
                raise self._error((*path, key), f'unknown key "{key}"{where}{near}')

    def _one_of(self, path: Path, word: str, known: Sequence[str], what: str) -> str:
        if word not in known:
            near = did_you_mean(word, known) or f"; known are {', '.join(known)}"
            raise self._error(path, f'unknown {what} "{word}"{near}')
        return word

    def _words(self, path: Path, value: object) -> list[str]:
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise self._error(path, f'"{path[-1]}" is a list of words')
        return value

    def _error(self, path: Path, message: str) -> MaskError:
        return MaskError(message, line=line_of(self.places, path), key=str(path[-1]))
