"""What a name without a schema means in a session, where that is known for certain.

PostgreSQL looks through the schemas of search_path, as far as they exist and the user may use them,
and takes the first that has a relation of that name.  All of it is known to us but for two things:
what happens within a message behind its first statement, and what a name meant by SQL PREPARE will
mean when it is executed.  Such texts are left as they are: a name without a schema, which rules
take for any and scopes for none.

Order of the file: search_path, names, and what makes them uncertain.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Final

from hoopcore.sql.catalog import Catalog
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch

_LONGEST = 63  # NAMEDATALEN - 1: a longer name is cut, and is then another one

# Names that begin with pg_t are those of temporary and of TOAST tables.
ASKED: Final = b"""SELECT pg_catalog.json_build_array(current_user,
 pg_catalog.current_setting('search_path'), (SELECT pg_catalog.array_agg(n.nspname)
 FROM pg_catalog.pg_namespace n WHERE pg_catalog.has_schema_privilege(n.oid, 'USAGE')
 AND NOT pg_catalog.starts_with(n.nspname::pg_catalog.text, 'pg_t')
 AND (n.nspname OPERATOR(pg_catalog.=) ANY (pg_catalog.current_schemas(true))
 OR (SELECT pg_catalog.count(*) OPERATOR(pg_catalog.<=) 400 FROM pg_catalog.pg_namespace m
 WHERE NOT pg_catalog.starts_with(m.nspname::pg_catalog.text, 'pg_t'))
 )))::pg_catalog.text"""
"""The statement that a session is asked at its start; ``Viewer.told`` reads the answer.

Where there is a schema for each of many customers, it names those of search_path only: the answer
has to fit a message of a login, and what is not named counts as not known.
"""


# --- search_path ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: the session's user, its search_path, and the schemas it may use."""

    user: str
    path: str
    usable: frozenset[str]

    @classmethod
    def told(cls, text: str) -> Viewer | None:
        """From the answer to ``ASKED``; None where it is none."""
        try:
            user, path, usable = json.loads(text)
            return cls(str(user), str(path), frozenset(map(str, usable)))
        except (ValueError, TypeError):
            return None

    def names(self, catalog: Catalog) -> Names | None:
        """How names are read there; None where that cannot be said."""
        parts = parts_of(self.path)
        if parts is None:
            return None
        parts = [self.user if part == "$user" else part for part in parts]
        if "pg_catalog" not in parts:
            parts.insert(0, "pg_catalog")
        # Made since, or not for this user: which of the two only the server can say.
        if any(part in catalog.schemas and part not in self.usable for part in parts):
            return None
        return Names(catalog, tuple(part for part in parts if part in self.usable))


def parts_of(path: str) -> list[str] | None:
    """The schemas of a search_path as it is shown; None where it is not written like one."""
    parts: list[str] = []
    rest = path.strip()
    while rest:
        if rest[0] == '"':
            end = 1
            while (end := rest.find('"', end)) >= 0 and rest[end : end + 2] == '""':
                end += 2
            if end < 0:
                return None
            part, rest = rest[1:end].replace('""', '"'), rest[end + 1 :].lstrip()
        else:
            part, _, _ = rest.partition(",")
            rest = rest[len(part) :]
            part = part.strip().lower()
            if not part or '"' in part or not part.isascii():
                return None
        parts.append(part)
        if len(part.encode()) > _LONGEST or (rest and rest[0] != ","):
            return None
        if rest == ",":
            return None
        rest = rest[1:].strip()
    return parts


# --- names ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Names:
    """The schemas a session looks through, in order, and what is in them."""

    catalog: Catalog
    schemas: tuple[str, ...]

    def meant(self, reading: Reading) -> Reading:
        """The reading with the schema of each name that is known for certain."""
        if any(map(_is_unsure, reading.statements)):
            return reading
        statements = tuple(map(self._meant, reading.statements))
        if all(new is old for new, old in zip(statements, reading.statements, strict=True)):
            return reading
        return replace(reading, statements=statements)

    def _meant(self, statement: Statement) -> Statement:
        if all(touch.relation.schema for touch in statement.touches):
            return statement
        touches = (Touch(self._found(t.relation), t.effect) for t in statement.touches)
        return replace(statement, touches=frozenset(touches))

    def _found(self, relation: Relation) -> Relation:
        # A server with a single-byte encoding folds letters outside ASCII too.
        if relation.schema or not relation.name.isascii():
            return relation
        having = {table.schema for table in self.catalog.named(relation)}
        for schema in self.schemas:
            if schema in having:
                return Relation(schema, relation.name)
        return relation


# --- what makes them uncertain --------------------------------------------------------------------

_PATH = frozenset({"search_path", "role", "session_authorization"})
# Code that is not known may do any of it.
_RELATIONS = frozenset({Effect.DDL, Effect.CALL, Effect.UNKNOWN})
_VIEWER = frozenset({Effect.ROLE, Effect.GRANT, Effect.UNKNOWN})


def _sets_path(statement: Statement) -> bool:
    if Effect.CALL in statement.effects:
        return True
    if Effect.SET not in statement.effects:
        return False
    names = {name for name, _ in statement.settings} | statement.resets
    return not names or not names.isdisjoint(_PATH | {"*"})


def _is_unsure(statement: Statement) -> bool:
    """Whether a name of this message may be looked up later, or otherwise, than now."""
    effects = statement.effects
    return bool(effects & (_RELATIONS | _VIEWER | {Effect.PREPARE})) or _sets_path(statement)


def changes_relations(reading: Reading) -> bool:
    """Whether other relations may stand behind a name after it."""
    return bool(reading.effects & _RELATIONS)


def changes_path(reading: Reading) -> bool:
    """Whether search_path may be another one after it."""
    return any(map(_sets_path, reading.statements))


def changes_viewer(reading: Reading) -> bool:
    """Whether another user may look, or with other rights, after it."""
    return bool(reading.effects & _VIEWER)
