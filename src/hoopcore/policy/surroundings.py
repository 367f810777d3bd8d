"""What stands around the rules: the names in targets.toml and roles.toml.

Only names, labels and groups are read, out of the texts of the files, and nothing here says what is
wrong with them: that is ``hoop-agent check``.  A file that cannot be read has no names.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hoopcore.model import Target


@dataclass(frozen=True, slots=True)
class Place:
    """What rules, and the reading of statements, want to know of a target."""

    target: Target
    functions: frozenset[str] = frozenset()  # harmless there
    pooled: bool = False


@dataclass(frozen=True, slots=True)
class Surroundings:
    """None: that file is not there, so nothing is known of its names."""

    places: Mapping[str, Place] | None = None
    roles: Mapping[str, frozenset[str]] | None = None  # the groups of each
    groups: frozenset[str] | None = None  # all that any file names

    def roles_of(self, groups: frozenset[str]) -> frozenset[str] | None:
        """The roles of somebody in these groups."""
        if self.roles is None:
            return None
        return frozenset(name for name, has in self.roles.items() if has & groups)


def surroundings(targets: str | None, roles: str | None) -> Surroundings:
    """From the texts of the two files."""
    places = None if targets is None else _places(_table(targets, "targets"))
    if roles is None:
        return Surroundings(places)
    tables = _table(roles, "roles")
    named = {name: _texts(role, "groups") for name, role in tables.items()}
    groups = frozenset[str]().union(*named.values())
    for role in tables.values():
        offers = role.get("may_request")
        for offer in offers if isinstance(offers, list) else ():
            groups |= _texts(offer, "approvers")
    for place in (places or {}).values():
        groups |= place.target.owners
    return Surroundings(places, named, groups)


def _table(text: str, key: str) -> dict[str, dict[str, Any]]:
    """``[key.NAME]`` for every name."""
    try:
        found = tomllib.loads(text).get(key)
    except tomllib.TOMLDecodeError:
        return {}
    tables = found if isinstance(found, dict) else {}
    return {name: table for name, table in tables.items() if isinstance(table, dict)}


def _texts(table: Any, key: str) -> frozenset[str]:
    found = table.get(key) if isinstance(table, dict) else None
    return (
        frozenset(one for one in found if isinstance(one, str))
        if isinstance(found, list)
        else (frozenset())
    )


def _places(tables: Mapping[str, dict[str, Any]]) -> dict[str, Place]:
    return {name: _place(name, table) for name, table in tables.items()}


def _place(name: str, table: dict[str, Any]) -> Place:
    labels = table.get("labels")
    pairs = labels.items() if isinstance(labels, dict) else ()
    target = Target(
        name,
        "postgres",
        tuple(sorted(_texts(table, "databases"))),
        labels=tuple(sorted((key, str(value)) for key, value in pairs)),
        owners=_texts(table, "owners"),
    )
    pooled = table.get("pooler", "none") != "none"
    return Place(target, _texts(table, "functions"), pooled)
