"""Patterns of names: ``*`` is any run of characters, ``?`` any one; all else is itself.

A pattern is asked two questions.  *May* this be meant is what a refusal asks, *is* this surely
meant is what an allowance asks; they differ where search_path decides, or a name is not whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from hoopcore.command import Command, Text
from hoopcore.places import did_you_mean
from hoopcore.statement import Relation


def pattern(text: str) -> re.Pattern[str]:
    """For ``fullmatch``."""
    parts = (".*" if c == "*" else "." if c == "?" else re.escape(c) for c in text)
    return re.compile("".join(parts), re.DOTALL)


def is_plain(text: str) -> bool:
    """Whether it stands for itself alone."""
    return "*" not in text and "?" not in text


def matches(pattern: re.Pattern[str], name: str) -> bool:
    """A server with a single-byte encoding also folds letters outside ASCII to lower case."""
    return bool(pattern.fullmatch(name)) or (
        not name.isascii() and bool(pattern.fullmatch(name.lower()))
    )


@dataclass(frozen=True, slots=True)
class DdlPattern:
    """Kinds of DDL, such as ``DROP *``; in capitals."""

    text: str
    kind: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> DdlPattern:
        """ValueError where no kind of DDL has such a name."""
        from hoopcore.sql.definitions import DDL_KINDS  # brings the grammar

        text = " ".join(text.upper().split())
        kind = pattern(text)
        if not any(map(kind.fullmatch, DDL_KINDS)):
            raise ValueError(f'"{text}" is no kind of DDL{did_you_mean(text, DDL_KINDS)}')
        return cls(text, kind)

    def matches(self, kind: str) -> bool:
        return self.kind.fullmatch(kind) is not None


@dataclass(frozen=True, slots=True)
class RelationPattern:
    """``schema.table``, or ``table`` in every schema.  Functions are named alike."""

    text: str
    schema: re.Pattern[str]
    name: re.Pattern[str]
    every_schema: bool
    plain: str  # the only name that can match; empty where the name is a pattern

    @classmethod
    def parse(cls, text: str, form: str = "schema.table") -> RelationPattern:
        schema, dot, name = text.rpartition(".")
        if not name or "." in schema or (dot and not schema):
            raise ValueError(f'"{text}" is not of the form {form}')
        plain = name if is_plain(name) else ""
        return cls(text, pattern(schema or "*"), pattern(name), schema in ("", "*"), plain)

    def may_match(self, relation: Relation) -> bool:
        """Whether the relation may be one of these.  No schema: any of the search path."""
        return matches(self.name, relation.name) and (
            not relation.schema or matches(self.schema, relation.schema)
        )

    def surely_matches(self, relation: Relation) -> bool:
        """Whether the relation is one of these, whatever the search path."""
        if self.name.fullmatch(relation.name) is None:
            return False
        if not relation.schema:
            return self.every_schema
        return self.schema.fullmatch(relation.schema) is not None


@dataclass(frozen=True, slots=True)
class ColumnPattern:
    """``schema.table.column``, ``table.column`` in every schema, or ``column`` of every table."""

    text: str
    relation: RelationPattern | None
    name: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> ColumnPattern:
        table, dot, name = text.rpartition(".")
        form = "schema.table.column"
        if not name or (dot and not table):
            raise ValueError(f'"{text}" is not of the form {form}')
        return cls(text, RelationPattern.parse(table, form) if dot else None, pattern(name))

    def may_match(self, column: str, relations: Iterable[Relation]) -> bool:
        """Whether a column so named, of a statement with these relations, may be one of these."""
        if column != "*" and not matches(self.name, column):
            return False
        return self.relation is None or any(map(self.relation.may_match, relations))

    def surely_matches(self, column: str, relations: Iterable[Relation]) -> bool:
        """Whether it is one of these, whichever of the relations it is of."""
        if column == "*" or self.name.fullmatch(column) is None:
            return False
        return self.relation is None or all(map(self.relation.surely_matches, relations))


@dataclass(frozen=True, slots=True)
class CommandPattern:
    """``rm``, ``/usr/local/bin/*``, or ``git push``: a program, and words among its own.

    A program without a slash is meant wherever it is.  The words stand in this order, and others
    may stand between them.
    """

    text: str
    program: str
    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> CommandPattern:
        program, *words = text.split() or [""]
        if not program:
            raise ValueError('"{key}" names a program, such as "rm" or "git push"')
        return cls(text, program, tuple(words))

    def may_match(self, command: Command) -> bool:
        name = command.program if "/" in self.program else command.family
        if pattern(self.program).fullmatch(name) is None:
            return False
        left = list(self.words)
        for word in command.words:
            if not left or (word.many and not word.said):
                return True
            if may_say(left[0], word):
                del left[0]
        return not left


@dataclass(frozen=True, slots=True)
class PathPattern:
    """``/etc/*``: ``*`` is any run of characters, slashes too.  ``~`` is the home folder."""

    text: str

    @classmethod
    def parse(cls, text: str) -> PathPattern:
        if not text.startswith(("/", "~")) and not text.startswith("*"):
            raise ValueError(f'"{text}" is no path: it begins with /, ~ or *')
        return cls(text)

    def may_match(self, file: Text) -> bool:
        """Whether it may be such a path.  Where the home folder is, nobody knows for certain."""
        if file.said.startswith("~"):
            under = f"/home/*{file.said[1:]}", f"/root{file.said[1:]}"
            return may_say(self.text, file) or any(
                may_say(self.text, Text(one, file.whole)) or _overlap(self.text, one)
                for one in under
            )
        return may_say(self.text, file)


def may_say(text: str, word: Text) -> bool:
    """Whether a word may be what a pattern says, as far as the word is known."""
    if word.whole:
        return pattern(text).fullmatch(word.said) is not None
    plain = re.split(r"[*?]", text, maxsplit=1)[0]
    if plain == text:
        return text.startswith(word.said)
    return plain.startswith(word.said) or word.said.startswith(plain)


def _overlap(text: str, wild: str) -> bool:
    """Whether a path in somebody's home may be what a pattern of homes says."""
    if not text.startswith("/home/"):
        return False
    name, slash, rest = text.removeprefix("/home/").partition("/")
    tail = wild.removeprefix("/home/*")
    if not slash:
        return "*" in name or "?" in name or not tail
    return "*" in name or pattern("/" + rest).fullmatch(tail) is not None
