"""One table of rules.toml, read key by key: every problem is noted, with its line, key and rule.

A key's reader gives a value or raises ValueError with words for people; the entry knows where the
key stands and goes on with the next one, so that a file is mended in one go.

Order: problems, the entry, readers of values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from hoopcore.command import ACTIONS
from hoopcore.model import Kind, Priority
from hoopcore.places import ConfigError, Path, did_you_mean, line_of
from hoopcore.policy.about import About, network_of
from hoopcore.policy.patterns import (
    ColumnPattern,
    CommandPattern,
    DdlPattern,
    PathPattern,
    RelationPattern,
    pattern,
)
from hoopcore.policy.windows import Window
from hoopcore.sql.imposed import LONGEST_MS
from hoopcore.statement import Effect

T = TypeVar("T")
Read = Callable[[Any], T]


class RuleError(ConfigError):
    """What is wrong with an entry of rules.toml: line, key, and the entry's name, if it has one."""

    def __init__(self, message: str, *, line: int, key: str, rule: str = "") -> None:
        super().__init__(message, line=line, key=key)
        self.rule = rule


class Entry:
    """``[[rule]]``, ``[[budget]]`` or ``[[impose]]``, or a table within one."""

    def __init__(
        self,
        table: Any,
        path: Path,
        places: Mapping[Path, int],
        problems: list[RuleError],
        rule: str = "",
    ) -> None:
        self.path = path
        self.places = dict(places)
        self.problems = problems
        self.table: dict[str, Any] = table if isinstance(table, dict) else {}
        self.title = f"[[{path[0]}]]" if len(path) == 2 else f"[{path[0]}.{path[-1]}]"
        name = self.table.get("name")
        self.rule = rule or (name if isinstance(name, str) else "")
        self.before = len(problems)
        if not isinstance(table, dict):
            self.wrong("", f"a {path[0]} is a table: {self.title}")

    @property
    def sound(self) -> bool:
        """Whether nothing was wrong with it so far."""
        return len(self.problems) == self.before

    def wrong(self, key: str, message: str) -> None:
        """Notes a problem at this key, or at the head of the table."""
        line = line_of(self.places, (*self.path, key) if key else self.path)
        self.problems.append(RuleError(message, line=line, key=key, rule=self.rule))

    def check_keys(self, known: Iterable[str]) -> None:
        """Notes keys that are none."""
        known = tuple(known)
        for key in self.table:
            if key not in known:
                self.wrong(key, f'unknown key "{key}" in {self.title}{did_you_mean(key, known)}')

    def take(self, key: str, read: Read[T], default: T) -> T:
        """The value of a key, or the default where it is not there or is wrong."""
        if key not in self.table:
            return default
        try:
            return read(self.table[key])
        except ValueError as problem:
            self.wrong(key, str(problem).replace("{key}", f'"{key}"'))
            return default

    def need(self, key: str, read: Read[T], default: T) -> T:
        """The same of a key that must be there."""
        if key not in self.table:
            self.wrong("", f'a {self.path[0]} needs "{key}"')
        return self.take(key, read, default)

    def about(self, *, times: bool = True) -> About:
        """The conditions on who, where and when."""
        return About(
            targets=self.take("targets", _patterns, ()),
            labels=self.take("labels", _labels, ()),
            groups=self.take("groups", _words, frozenset()),
            roles=self.take("roles", _words, frozenset()),
            kinds=self.take("kinds", one_of(Kind, "kind"), frozenset()),
            priorities=self.take("priorities", one_of(Priority, "priority"), frozenset()),
            addresses=self.take("addresses", each(network_of), ()),
            times=self.take("times", each(Window.parse), ()) if times else (),
        )

    def unless(self, *, times: bool = True) -> About | None:
        """``[….unless]``: whom the entry is not about after all."""
        if "unless" not in self.table:
            return None
        path = (*self.path, "unless")
        inner = Entry(self.table["unless"], path, self.places, self.problems, self.rule)
        inner.check_keys(key for key in WHO if times or key != "times")
        about = inner.about(times=times)
        if inner.sound and not about.names:
            self.wrong("unless", "an exception names somebody: it is not empty")
        return about


WHO = ("targets", "labels", "groups", "roles", "kinds", "priorities", "addresses", "times")
"""The keys of ``Entry.about``."""


# --- readers of values ----------------------------------------------------------------------------


def text(value: Any) -> str:
    if not (isinstance(value, str) and value.strip()):
        raise ValueError("{key} is a text that is not empty")
    return value


def texts(value: Any) -> list[str]:
    if not (isinstance(value, list) and value and all(isinstance(v, str) and v for v in value)):
        raise ValueError("{key} is a list of texts that is not empty")
    return list(value)


def flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("{key} is true or false")
    return value


def count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("{key} is a whole number from 1 on")
    return value


_SIZES = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


def size(value: Any) -> int:
    """Bytes: a number, or one with a unit."""
    if isinstance(value, str):
        found = re.fullmatch(r"(\d{1,12}) ?(B|KiB|MiB|GiB)", value)
        if found is None or int(found[1]) < 1:
            raise ValueError('{key} is a number of bytes, or a text such as "64 MiB"')
        return int(found[1]) * _SIZES[found[2]]
    return count(value)


_SPANS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def span(value: Any) -> int:
    """A duration in milliseconds: ``"500ms"``, ``"1m30s"``."""
    parts = re.findall(r"(\d+)(ms|[smhd])", value) if isinstance(value, str) else []
    if not parts or "".join(n + unit for n, unit in parts) != value:
        raise ValueError('{key} is a duration such as "30s" or "1m30s"')
    told = sum(int(n) * _SPANS[unit] for n, unit in parts)
    if not 0 < told <= LONGEST_MS:
        raise ValueError("{key} is a duration from 1ms to 24 days")
    return told


def wait(value: Any) -> int:
    """How long somebody may take to answer, in seconds: from one second to a day."""
    seconds = span(value) // 1000
    if not 1 <= seconds <= 86_400:
        raise ValueError("{key} is a duration from 1s to 24h")
    return seconds


def moment(value: Any) -> int:
    """A date and time with an offset, in microseconds."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("{key} is a time with an offset, such as 2026-11-23T22:30:00+01:00")
    return int(value.timestamp()) * 1_000_000 + value.microsecond


def each(read: Callable[[str], T]) -> Read[tuple[T, ...]]:
    """A list of texts, each read alike."""
    return lambda value: tuple(read(word) for word in texts(value))


def one_of(words: type[T], noun: str) -> Read[frozenset[T]]:
    """A list of words out of an enumeration."""
    known: dict[str, T] = {str(word): word for word in words}  # type: ignore[attr-defined] # an enumeration is given

    def read(value: Any) -> frozenset[T]:
        return frozenset(chosen(word, known, noun) for word in texts(value))

    return read


def chosen(word: Any, known: Mapping[str, T], noun: str) -> T:
    """The value that a word stands for."""
    if not isinstance(word, str) or word not in known:
        raise ValueError(f'unknown {noun} "{word}"{did_you_mean(str(word), known)}')
    return known[word]


EFFECTS = {"select": Effect.READ} | {effect.value: effect for effect in Effect}


def effects(value: Any) -> frozenset[Effect]:
    return frozenset(chosen(word, EFFECTS, "effect") for word in texts(value))


relations = each(RelationPattern.parse)
columns = each(ColumnPattern.parse)
functions = each(lambda word: RelationPattern.parse(word, "schema.function"))
commands = each(CommandPattern.parse)
paths = each(PathPattern.parse)


def transfers(value: Any) -> frozenset[str]:
    known = {action: action for action in ACTIONS}
    return frozenset(chosen(word, known, "transfer") for word in texts(value))


def kinds(value: Any) -> frozenset[str]:
    from hoopcore.detectors import KINDS  # brings re2

    known = {str(kind): str(kind) for kind in KINDS}
    return frozenset(chosen(word, known, "detector") for word in texts(value))


_patterns = each(pattern)


ddl = each(DdlPattern.parse)


def groups(value: Any) -> frozenset[str]:
    return frozenset(texts(value))


_words = groups


def _labels(value: Any) -> tuple[tuple[str, tuple[re.Pattern[str], ...]], ...]:
    if not isinstance(value, dict) or not value:
        raise ValueError('{key} is a table of texts, such as { env = "prod" }')
    found = []
    for name, wanted in sorted(value.items()):
        words = [wanted] if isinstance(wanted, str) and wanted else texts(wanted)
        found.append((name, tuple(map(pattern, words))))
    return tuple(found)
