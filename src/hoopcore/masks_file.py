"""masks.toml → the masks that are declared, and the detectors that are switched on or of its own.

Everything that is not understood is an error with its line: a mask that is spelled wrong would be
a value in clear.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from hoopcore.detectors import (
    CHECKSUMS,
    KINDS,
    REGIONS,
    Kind,
    Own,
    Sweep,
    kind_named,
    known_regions,
    phone,
)
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


_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")  # as it stands in recordings: ⟦name:code⟧
_DETECTOR = ("name", "pattern", "checksum", "keep", "match", "no_match")
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


Masks: TypeAlias = tuple[tuple[Mask, ...], tuple[str, ...], Sweep | None]


def read_masks(text: str) -> Masks:
    """The masks, the names of the detectors, and what looks for them.

    MaskError says which line is wrong.
    """
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

    def masks(self) -> Masks:
        known = ("detectors", "phone_regions", "mask", "detector")
        self._known((), self.document, known)
        masks = tuple(
            self._mask(("mask", place), table) for place, table in enumerate(self._tables("mask"))
        )
        kinds = (*self._built_in(), *self._own())
        return masks, tuple(kind.name for kind in kinds), Sweep.of(kinds)

    def _tables(self, key: str) -> list[dict[str, Any]]:
        tables = self.document.get(key, [])
        if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
            raise self._error((key,), f"a {key} is written as [[{key}]]")
        return tables

    # Detectors.

    def _built_in(self) -> Iterator[Kind]:
        """Those of ``detectors``; without ``phone_regions`` the usual ones are tried."""
        regions = self._words(("phone_regions",), self.document.get("phone_regions", [*REGIONS]))
        words = self._words(("detectors",), self.document.get("detectors", []))
        if "phone_regions" in self.document:
            supported = sorted(known_regions())
            for region in regions:
                self._one_of(("phone_regions",), region, supported, "region")
        for word in dict.fromkeys(words):
            self._one_of(("detectors",), word, KINDS, "detector")
            yield phone(regions) if word == "phone" else kind_named(word)

    def _own(self) -> Iterator[Kind]:
        """Those of ``[[detector]]``, each tried on its examples."""
        names: set[str] = set(KINDS)
        for place, table in enumerate(self._tables("detector")):
            path: Path = ("detector", place)
            self._known(path, table, _DETECTOR)
            for key in ("name", "pattern", "match"):
                if key not in table:
                    raise self._error((*path, key), f'a detector wants "{key}"')
            name = table["name"]
            if not isinstance(name, str) or not _NAME.fullmatch(name):
                raise self._error(
                    (*path, "name"), f"{name!r} is not a name: small letters, -, digits"
                )
            if name in names:
                raise self._error((*path, "name"), f'there is a detector "{name}" already')
            names.add(name)
            yield self._compiled(path, name, table)

    def _compiled(self, path: Path, name: str, table: Mapping[str, Any]) -> Kind:
        pattern, keep = table["pattern"], table.get("keep", 0)
        if not isinstance(pattern, str):
            raise self._error((*path, "pattern"), "a pattern is a text")
        if type(keep) is not int or not 0 <= keep <= 8:
            raise self._error((*path, "keep"), "keep is how many bytes at the end stay: 0 to 8")
        checksum = table.get("checksum", "")
        if "checksum" in table:
            self._one_of((*path, "checksum"), str(checksum), [*CHECKSUMS], "checksum")
        found = self._words((*path, "match"), table["match"])
        if not found:
            raise self._error((*path, "match"), "a detector wants an example that it finds")
        left = self._words((*path, "no_match"), table.get("no_match", []))
        try:
            return Own(name, pattern, checksum, keep, found, left).kind()
        except ValueError as problem:
            raise self._error((*path, "pattern"), str(problem)) from None

    # Declared columns.

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
                where = f" in [[{path[0]}]]" if path else ""
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
