"""What a reading said of a text against what a server did: where it said less, and where more.

Less is ``unsafe``.  More is ``strict``, which costs a refusal and never a row.  What objects of
the database do behind a statement that does not name them (a view's tables, a trigger, a rule, a
foreign key, a default) is ``behind``: no text tells it.

Order: findings, one text, its tree, its session, what was said too much.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from hoopcore.statement import Effect, Reading, Statement
from tests.conformance.effects_server import OWN_SCHEMAS, Name, Named, Seen
from tests.conformance.effects_tree import DELETE, INSERT, SELECT, UPDATE

UNSAFE, STRICT, BEHIND = "unsafe", "strict", "behind"


class Finding(NamedTuple):
    kind: str
    what: str
    detail: str = ""


_TAGS = {
    "INSERT": Effect.INSERT,
    "UPDATE": Effect.UPDATE,
    "DELETE": Effect.DELETE,
    "TRUNCATE": Effect.TRUNCATE,
    "LOCK": Effect.LOCK,
    "GRANT": Effect.GRANT,
    "REVOKE": Effect.GRANT,
    "CREATE": Effect.DDL,
    "ALTER": Effect.DDL,
    "DROP": Effect.DDL,
    "COMMENT": Effect.DDL,
    "SECURITY": Effect.DDL,
    "IMPORT": Effect.DDL,
    "REASSIGN": Effect.DDL,
    "LISTEN": Effect.LISTEN,
    "UNLISTEN": Effect.LISTEN,
    "NOTIFY": Effect.LISTEN,
    "CALL": Effect.CALL,
    "LOAD": Effect.CALL,
    "ANALYZE": Effect.MAINTENANCE,
    "VACUUM": Effect.MAINTENANCE,
    "CLUSTER": Effect.MAINTENANCE,
    "REINDEX": Effect.MAINTENANCE,
    "REFRESH": Effect.MAINTENANCE,
    "CHECKPOINT": Effect.MAINTENANCE,
    "BEGIN": Effect.TRANSACTION,
    "START": Effect.TRANSACTION,
    "COMMIT": Effect.TRANSACTION,
    "SAVEPOINT": Effect.TRANSACTION,
    "RELEASE": Effect.TRANSACTION,
    "ROLLBACK": Effect.TRANSACTION,
    "PREPARE": Effect.PREPARE,
    "DEALLOCATE": Effect.PREPARE,
    "DECLARE": Effect.PREPARE,
    "FETCH": Effect.PREPARE,
    "MOVE": Effect.PREPARE,
    "CLOSE": Effect.PREPARE,
    "DISCARD": Effect.PREPARE,
    "SELECT": Effect.READ,
    "SHOW": Effect.READ,
    "EXPLAIN": Effect.READ,
}
# Tags whose effect has another name than their first word's.
_OTHER_TAGS: dict[str, frozenset[Effect]] = {
    "CREATE ROLE": frozenset({Effect.GRANT}),
    "ALTER ROLE": frozenset({Effect.GRANT}),
    "DROP ROLE": frozenset({Effect.GRANT}),
    "GRANT ROLE": frozenset({Effect.GRANT}),
    "ALTER DEFAULT PRIVILEGES": frozenset({Effect.GRANT}),
    "ALTER SYSTEM": frozenset({Effect.MAINTENANCE}),
    "PREPARE TRANSACTION": frozenset({Effect.TRANSACTION}),
    "COMMIT PREPARED": frozenset({Effect.TRANSACTION}),
    "ROLLBACK PREPARED": frozenset({Effect.TRANSACTION}),
    "SET CONSTRAINTS": frozenset({Effect.TRANSACTION}),
    "SET": frozenset({Effect.SET, Effect.TRANSACTION}),
    "RESET": frozenset({Effect.SET}),
    "COPY": frozenset({Effect.COPY_IN, Effect.COPY_OUT, Effect.SERVER_FILE, Effect.PROGRAM}),
    "SELECT": frozenset({Effect.READ, Effect.DDL}),  # CREATE TABLE AS says SELECT
    "CREATE TABLE AS": frozenset({Effect.DDL}),
    "EXPLAIN": frozenset(Effect),  # with ANALYZE it does what it explains
    "DO": frozenset(Effect),  # and this one what its body does
}
_WRITING = frozenset(
    {
        *(Effect.INSERT, Effect.UPDATE, Effect.DELETE, Effect.TRUNCATE, Effect.DDL, Effect.GRANT),
        *(Effect.CALL, Effect.MAINTENANCE, Effect.COPY_IN, Effect.LISTEN, Effect.LOCK),
        *(Effect.SET, Effect.TRANSACTION, Effect.PREPARE, Effect.SERVER_FILE, Effect.PROGRAM),
    }
)
_DEFINING = frozenset({Effect.DDL, Effect.TRUNCATE, Effect.MAINTENANCE, Effect.CALL, Effect.GRANT})


def findings(reading: Reading, seen: Seen) -> list[Finding]:
    """Everything that the two do not agree in; what neither can tell is no finding."""
    if seen.asked is None and seen.failed:
        return []  # the server rejected it before it meant anything
    if Effect.UNKNOWN in reading.effects and not reading.statements[0].touches:
        return [Finding(STRICT, "unreadable", reading.why)]
    found = list(_counted(reading, seen))
    full = replace(reading, statements=tuple(one.in_full for one in reading.statements))
    if len(full.statements) == 1 and seen.asked is not None:
        found += _tree(full.statements[0], seen)
    if seen.before is not None and seen.after is not None and not seen.failed:
        found += _session(full, seen.before, seen.after)
    if not found and len(reading.statements) == 1:
        found += _too_much(reading.statements[0], seen)
    return list(dict.fromkeys(found))


def _counted(reading: Reading, seen: Seen) -> Iterator[Finding]:
    """The number of statements, and the kind of each by its tag."""
    if seen.failed:
        return
    tags = [tag for tag in seen.tags if tag]
    if len(tags) != len(reading.statements):
        yield Finding(UNSAFE, "number of statements", f"{len(tags)}/{len(reading.statements)}")
        return
    for tag, statement in zip(tags, reading.statements, strict=True):
        words = tag.rstrip("0123456789 ")
        wanted = _OTHER_TAGS.get(words)
        if wanted is None:
            wanted = frozenset({_TAGS[words.split(" ")[0]]} if words.split(" ")[0] in _TAGS else ())
            if not wanted and words not in ("MERGE",):
                yield Finding(UNSAFE, "a tag nobody knows", words)
        if wanted and not wanted & statement.effects and Effect.PREPARE not in statement.effects:
            yield Finding(UNSAFE, "effect of the tag", words)


# --- its tree -------------------------------------------------------------------------------------


class _Said:
    """A statement's touches, asked by name."""

    def __init__(self, statements: Iterable[Statement]) -> None:
        self.statements = tuple(statements)
        self.effects = frozenset(e for one in self.statements for e in one.effects)
        self.opaque = any(one.opaque for one in self.statements)
        self._touches: dict[str, list[tuple[str, Effect]]] = {}
        for one in self.statements:
            for touch in one.touches:
                name = touch.relation
                self._touches.setdefault(name.name, []).append((name.schema, touch.effect))

    def of(self, relation: Name) -> frozenset[Effect]:
        schema, name = relation
        temporary = schema.startswith("pg_temp")
        return frozenset(
            effect
            for said, effect in self._touches.get(name, ())
            if said in ("", schema) or (temporary and said == "pg_temp")
        )


def _tree(statement: Statement, seen: Seen) -> Iterator[Finding]:
    said = _Said((statement,))
    assert seen.asked is not None
    trees = [seen.asked]
    explained = statement.tag == "EXPLAIN"
    if statement.tag == "DO" or explained:
        trees += seen.inside  # parsed only when it runs
    elif statement.tag == "PREPARE" or _is_copy_of_query(statement):
        trees += seen.inside[:1]
    fires = statement.tag == "DO" and _has_triggers(statement, seen)
    for tree in trees:
        for one in _named(statement, said, tree, explained=explained):
            yield one._replace(kind=BEHIND) if fires else one
    if seen.asked.meant.unlimited and not (statement.unlimited or statement.opaque or explained):
        yield Finding(UNSAFE, "missing LIMIT")
    if statement.tag == "DO" or explained or statement.opaque:
        return
    for tree in seen.inside[len(trees) - 1 :]:
        if not all(said.of(name) for name in tree.relations) or tree.code:
            yield Finding(BEHIND, "queries that the database's own code ran")
            return


_RIGHTS = (
    (INSERT, "insert", frozenset({Effect.INSERT})),
    (UPDATE, "update", frozenset({Effect.UPDATE, Effect.LOCK})),
    (DELETE, "delete", frozenset({Effect.DELETE})),
    # A condition of its own on the rows it changes is part of an UPDATE, a DELETE and a MERGE.
    (SELECT, "read", frozenset(Effect)),
)


def _has_triggers(statement: Statement, seen: Seen) -> bool:
    """Whether what a body writes fires others, whose queries cannot be told from its own."""
    firing = () if seen.before is None else seen.before["triggers"]
    return any(touch.relation.name in firing for touch in statement.touches)


def _is_copy_of_query(statement: Statement) -> bool:
    effects = statement.effects
    return statement.tag == "COPY" and (
        Effect.COPY_OUT in effects or not effects & {Effect.INSERT, Effect.COPY_IN}
    )


# What FORMAT JSON ENCODING stands for, though it is not written as a call.
_UNWRITTEN = frozenset({"convert_to", "convert_from"})


def _spelled(function: str) -> str:
    """JSON_ARRAYAGG and JSON_OBJECTAGG are many functions, by what is written in them."""
    found = re.fullmatch(r"jsonb?_(object_)?agg(_unique)?(_strict)?", function)
    return function if found is None else f"json_{found[1] or ''}agg"


def _named(statement: Statement, said: _Said, tree: Named, *, explained: bool) -> Iterator[Finding]:
    for name, rights in tree.relations.items():
        effects = said.of(name)
        if not effects:
            if not said.opaque:
                yield Finding(UNSAFE, "relation", ".".join(name))
            continue
        if explained or said.opaque:
            continue
        for bit, word, wanted in _RIGHTS:
            if rights & bit and not effects & wanted:
                yield Finding(UNSAFE, f"{word} of a relation", ".".join(name))
    columns = statement.columns
    if not (statement.opaque or statement.guises or "*" in columns):
        for column in tree.columns - columns:
            yield Finding(UNSAFE, "column", column)
    known = {_spelled(name.rpartition(".")[2]) for name in statement.functions}
    for name in tree.called:
        written = _spelled(name[1]) in known or name[1] in _UNWRITTEN
        if not written and not statement.opaque:
            yield Finding(UNSAFE, "function", ".".join(name))
    for name in tree.code:
        setting = name == ("pg_catalog", "set_config") and Effect.SET in statement.effects
        if Effect.CALL not in statement.effects and not statement.opaque and not setting:
            yield Finding(UNSAFE, "code that is not known", ".".join(name))
    for word in tree.meant.bare:
        if Effect(word) not in statement.unbounded and not explained and not statement.opaque:
            yield Finding(UNSAFE, "missing WHERE", word)


# --- its session ----------------------------------------------------------------------------------


def _session(reading: Reading, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Finding]:
    said = _Said(reading.statements)
    if before["xid"] != after["xid"] and not said.effects & _WRITING:
        # A function that a view calls may take a transaction id, such as txid_current.
        kind = BEHIND if _reads_a_view(said, after) else UNSAFE
        yield Finding(kind, "it wrote")
    for key, effects in _KEPT.items():
        if before[key] != after[key] and not said.effects & effects:
            yield Finding(UNSAFE, f"changed {key}")
    if not said.opaque:
        family = _Family(before, after)
        yield from _rows(said, family, before, after)
        yield from _relations(said, family, before, after)
        yield from _depends(said, before, after)


def _reads_a_view(said: _Said, state: dict[str, Any]) -> bool:
    return any(
        one[3] in ("v", "m") and said.of((one[0], one[1])) for one in state["relations"].values()
    )


_KEPT = {
    "settings": frozenset({Effect.SET, Effect.CALL, Effect.TRANSACTION, Effect.PREPARE}),
    "user": frozenset({Effect.ROLE, Effect.CALL, Effect.TRANSACTION, Effect.SET}),
    "listening": frozenset({Effect.LISTEN, Effect.CALL, Effect.TRANSACTION}),
    "prepared": frozenset({Effect.PREPARE, Effect.CALL}),
    "cursors": frozenset({Effect.PREPARE, Effect.CALL, Effect.TRANSACTION}),
    "advisory": frozenset({Effect.CALL, Effect.TRANSACTION, Effect.PREPARE}),
}


class _Family:
    """Relations by oid, and who is a partition or child of whom."""

    def __init__(self, before: dict[str, Any], after: dict[str, Any]) -> None:
        self.names = {
            oid: (one[0], one[1])
            for state in (before, after)
            for oid, one in state["relations"].items()
        }
        self._kin: dict[str, set[str]] = {}
        for child, parent in (*before["parents"], *after["parents"]):
            self._kin.setdefault(child, set()).add(parent)
            self._kin.setdefault(parent, set()).add(child)

    def kin(self, oid: str) -> set[Name]:
        """Itself and all that is reached along inheritance."""
        found, waiting = {oid}, [oid]
        while waiting:
            for other in self._kin.get(waiting.pop(), set()) - found:
                found.add(other)
                waiting.append(other)
        return {self.names[one] for one in found if one in self.names}


_CHANGES = (Effect.INSERT, Effect.UPDATE, Effect.DELETE)


def _rows(
    said: _Said, family: _Family, before: dict[str, Any], after: dict[str, Any]
) -> Iterator[Finding]:
    for oid, (_, name, *counts) in after["rows"].items():
        earlier = before["rows"].get(oid, ("", "", "0", "0", "0"))[2:]
        for count, old, effect in zip(counts, earlier, _CHANGES, strict=True):
            if int(count) <= int(old):
                continue
            said_of = {e for one in family.kin(oid) for e in said.of(one)}
            # A row that changes its partition is deleted here and inserted there.
            moved = effect is not Effect.UPDATE and Effect.UPDATE in said_of
            if effect in said_of or moved or said_of & _DEFINING:
                continue
            kind = BEHIND if said.effects & (_WRITING - {Effect.LOCK}) else UNSAFE
            yield Finding(kind, f"{effect} of rows of a relation it does not name", name)


def _relations(
    said: _Said, family: _Family, before: dict[str, Any], after: dict[str, Any]
) -> Iterator[Finding]:
    old, new = before["relations"], after["relations"]
    for oid in old.keys() | new.keys():
        if old.get(oid) == new.get(oid):
            continue
        kind = (new.get(oid) or old[oid])[3]
        touched = any(said.of(name) & _DEFINING for name in family.kin(oid))
        renamed = [one for state in (old, new) if oid in state for one in (tuple(state[oid][:2]),)]
        if touched or any(said.of(name) & _DEFINING for name in renamed):
            continue
        if not said.effects & _DEFINING:
            yield Finding(UNSAFE, "a relation was defined, dropped or emptied", renamed[0][1])
        elif kind != "S":  # a column's own sequence comes and goes with it
            yield Finding(BEHIND, "a relation was defined or dropped by another's", renamed[0][1])
    locked = {tuple(one) for one in after["locked"]} - {tuple(one) for one in before["locked"]}
    oids = {name: oid for oid, name in family.names.items()}
    for name in locked:
        if name in oids and not any(said.of(one) for one in family.kin(oids[name])):
            # EXPLAIN plans what a view stands for, and locks it as if it were run.
            others = said.effects & _WRITING or all(s.tag == "EXPLAIN" for s in said.statements)
            yield Finding(BEHIND if others else UNSAFE, "lock of a relation it does not name")


def _depends(said: _Said, before: dict[str, Any], after: dict[str, Any]) -> Iterator[Finding]:
    earlier = {tuple(one) for one in before["depends"]}
    for schema, name, function_schema, function in {tuple(o) for o in after["depends"]} - earlier:
        if name is not None:
            if not said.of((schema, name)):
                yield Finding(BEHIND, "a definition over a relation it does not name", name)
        elif function_schema not in OWN_SCHEMAS and Effect.CALL not in said.effects:
            yield Finding(BEHIND, "a definition with code it does not name", function)


# --- what was said too much -----------------------------------------------------------------------


def _too_much(statement: Statement, seen: Seen) -> Iterator[Finding]:
    tree = seen.asked
    if Effect.UNKNOWN in statement.effects:
        yield Finding(STRICT, "unreadable in part")
    if tree is None or tree.meant.utility or statement.tag in ("SELECT INTO",):
        return
    if Effect.CALL in statement.effects and not tree.code:
        names = sorted(name for name in statement.functions)
        yield Finding(STRICT, "call of what is harmless", " ".join(names[:6]))
    meant = {name for _, name in tree.relations}
    for touch in statement.touches:
        if touch.relation.name not in meant:
            yield Finding(STRICT, "a relation that is not meant", touch.relation.name)
