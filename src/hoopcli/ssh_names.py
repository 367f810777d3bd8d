"""What SSH targets are called behind ssh, scp and git: by their own names, where these are free.

A name is the agent's word and becomes a line of ssh's settings, so it is looked at hard.  What a
person has settings for already is theirs: ours stand above them, and would take it over in silence.

Order of the file: names for targets, what a person has settings for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import Path
from typing import Any

from hoopcli.errors import usage
from hoopcli.stock_ssh import Host
from hoopcli.view import clean

_TARGET = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,30}|")

# Bytes of a file of settings, files that include each other, and names that one agent gets.
_LARGEST, _FILES, _MOST = 1 << 20, 64, 1000


@dataclass(frozen=True, slots=True)
class Named:
    """Agents with the names of their targets, and which got none, with why."""

    hosts: list[Host]
    without: list[tuple[str, str]]


def named(
    hosts: Sequence[Host], seen: Sequence[tuple[str, Mapping[str, Any]]], prefix: str
) -> Named:
    """``seen`` are targets as agents list them, each with what its agent is called."""
    if not _PREFIX.fullmatch(prefix):
        usage(f'"{clean(prefix)}" cannot begin a name', "Letters, digits, dot and dash can.")
    wanted = [(nick, str(one.get("name"))) for nick, one in seen if _is_mine(one)]
    every = [name for _, name in wanted]
    taken = {host.alias: "an agent is called so" for host in hosts}
    own, given, without = list(_theirs()), dict[str, list[tuple[str, str]]](), []
    of = {host.nick: host for host in hosts}
    for nick, name in wanted:
        host = of.get(nick)
        if host is None or not _TARGET.fullmatch(name):
            without.append((clean(name), "that is no name of a target"))
            continue
        alone = every.count(name) == 1
        typed = prefix + (name if alone else f"{host.alias.removeprefix('hoop-')}-{name}")
        why = taken.get(typed) or next((line.place for line in own if line.matches(typed)), "")
        if not why and len(given.get(nick, ())) >= _MOST:
            why = f"there are more than {_MOST}"
        if why:
            without.append((typed, why))
            continue
        taken[typed] = "another target is called so"
        given.setdefault(nick, []).append((typed, name))
    found = [replace(host, targets=tuple(given.get(host.nick, ()))) for host in hosts]
    return Named(found, without)


def _is_mine(target: Mapping[str, Any]) -> bool:
    """An SSH target that somebody has access to, or may ask for."""
    return target.get("protocol") == "ssh" and bool(
        target.get("grant") or target.get("may_request")
    )


# --- what a person has settings for ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Line:
    """A line that settings for some hosts begin with."""

    place: str  # in words
    patterns: tuple[str, ...]

    def matches(self, name: str) -> bool:
        """Whether it means this host; what is for every host means none."""
        name = name.lower()
        yes = [one for one in self.patterns if not one.startswith("!") and one.strip("*")]
        no = [one[1:] for one in self.patterns if one.startswith("!")]
        return any(fnmatchcase(name, one) for one in yes) and not any(
            fnmatchcase(name, one) for one in no
        )


def _theirs() -> Iterator[_Line]:
    """Of the person's own file and the system's, with all that these include but ours."""
    home, system = Path("~/.ssh").expanduser(), Path("/etc/ssh")
    from hoopcli.stock_ssh import folder

    seen = {(folder() / "config").resolve()}
    for path, base in ((home / "config", home), (system / "ssh_config", system)):
        yield from _lines(path, base, seen)


def _lines(path: Path, base: Path, seen: set[Path]) -> Iterator[_Line]:
    path = path.resolve()
    if path in seen or len(seen) > _FILES:
        return
    seen.add(path)
    try:
        with path.open("rb") as file:
            text = file.read(_LARGEST).decode("utf-8", "replace")
    except OSError:
        return
    for number, line in enumerate(text.splitlines(), 1):
        key, _, rest = line.strip().replace("=", " ", 1).partition(" ")
        words = rest.replace('"', " ").lower().split()
        place = f"{clean(path)}, line {number}, speaks of it"
        match key.lower():
            case "host":
                yield _Line(place, tuple(words))
            case "match":
                for kind, patterns in pairwise(words):
                    if kind in ("host", "originalhost"):
                        yield _Line(place, tuple(patterns.split(",")))
            case "include":
                for pattern in rest.replace('"', " ").split():
                    for found in _included(pattern, base):
                        yield from _lines(found, base, seen)


def _included(pattern: str, base: Path) -> list[Path]:
    """The files that an Include means."""
    whole = Path(pattern).expanduser() if pattern.startswith("~") else base / pattern
    try:
        return sorted(Path(whole.anchor).glob(str(whole.relative_to(whole.anchor))))
    except (OSError, ValueError, NotImplementedError):
        return []
