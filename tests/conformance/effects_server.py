"""One session of a real server that is watched while it runs statements.

What it tells of each statement: the trees it parsed, the tag, what was locked, inserted, updated
and deleted, which relations came, went or got other files, what new definitions depend on, and
which settings, prepared statements, cursors and channels changed.

Order: what was seen, the questions, the session.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.pq import DiagnosticField, ExecStatus, TransactionStatus

from hoopcore.sql.behind import (
    BEHIND_CODE_QUERY,
    OPERATORS_QUERY,
    READS_QUERY,
    RULES_QUERY,
    depths_of,
)
from hoopcore.sql.catalog import CATALOG_QUERY, CODE_QUERY, Catalog, catalog_of
from hoopcore.sql.functions import HARMLESS
from tests.conformance.effects_tree import Meant, NoTree, meant_by, tree_of

Name = tuple[str, str]  # schema and name


@dataclass(slots=True)
class Named:
    """A tree's findings, by name."""

    relations: dict[Name, int] = field(default_factory=dict)
    columns: set[str] = field(default_factory=set)
    called: set[Name] = field(default_factory=set)
    code: set[Name] = field(default_factory=set)  # what runs and is not known to be harmless
    meant: Meant = field(default_factory=Meant)


@dataclass(slots=True)
class Seen:
    """What one text did."""

    tags: list[str] = field(default_factory=list)
    failed: str = ""  # SQLSTATE
    asked: Named | None = None  # the text's own statement
    inside: list[Named] = field(default_factory=list)  # what was parsed while it ran
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None


_STATE = """
select pg_catalog.jsonb_build_object(
 'xid', pg_catalog.pg_current_xact_id_if_assigned()::text,
 'rows', (select coalesce(pg_catalog.jsonb_object_agg(relid::text, array[schemaname::text,
    relname::text, n_tup_ins::text, n_tup_upd::text, n_tup_del::text]), '{}')
    from pg_catalog.pg_stat_xact_user_tables where n_tup_ins + n_tup_upd + n_tup_del > 0),
 'relations', (select coalesce(pg_catalog.jsonb_object_agg(c.oid::text, array[n.nspname::text,
    c.relname::text, c.relfilenode::text, c.relkind::text]), '{}') from pg_catalog.pg_class c
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where c.oid >= 16384 and c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
    and n.nspname not like 'pg_toast%'),
 'locked', (select coalesce(pg_catalog.jsonb_agg(array[n.nspname::text, c.relname::text]), '[]')
    from pg_catalog.pg_locks l join pg_catalog.pg_class c on c.oid = l.relation
    join pg_catalog.pg_namespace n on n.oid = c.relnamespace
    where l.pid = pg_catalog.pg_backend_pid() and c.oid >= 16384
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
    and l.mode not in ('AccessShareLock', 'RowShareLock')),
 'parents', (select coalesce(pg_catalog.jsonb_agg(array[inhrelid::text, inhparent::text]), '[]')
    from pg_catalog.pg_inherits),
 'settings', (select pg_catalog.jsonb_object_agg(name, setting) from pg_catalog.pg_settings
    where source = 'session' and name not in ('debug_print_parse', 'client_min_messages',
    'debug_pretty_print', 'transaction_isolation', 'transaction_read_only',
    'transaction_deferrable', 'statement_timeout')),
 'triggers', (select coalesce(pg_catalog.jsonb_agg(distinct c.relname), '[]')
    from pg_catalog.pg_trigger t join pg_catalog.pg_class c on c.oid = t.tgrelid
    where not t.tgisinternal),
 'user', session_user || '/' || current_user,
 'listening', (select coalesce(pg_catalog.jsonb_agg(c), '[]')
    from pg_catalog.pg_listening_channels() c),
 'prepared', (select coalesce(pg_catalog.jsonb_agg(name), '[]')
    from pg_catalog.pg_prepared_statements),
 'cursors', (select coalesce(pg_catalog.jsonb_agg(name), '[]') from pg_catalog.pg_cursors
    where name <> ''),
 'advisory', (select pg_catalog.count(*) from pg_catalog.pg_locks
    where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid()))::text
"""

# What definitions of this transaction depend on: relations, and functions somebody made.
_DEPENDS = """
select distinct n.nspname::text, c.relname::text, null::text, null::text
from pg_catalog.pg_depend d join pg_catalog.pg_class c on c.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where d.xmin = pg_catalog.pg_current_xact_id_if_assigned()::xid
 and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
 and d.classid in ('pg_catalog.pg_rewrite'::pg_catalog.regclass)
 and c.relkind in ('r', 'p', 'v', 'm', 'f')
union all
select distinct null, null, n.nspname::text, p.proname::text
from pg_catalog.pg_depend d join pg_catalog.pg_proc p on p.oid = d.refobjid
join pg_catalog.pg_namespace n on n.oid = p.pronamespace
where d.xmin = pg_catalog.pg_current_xact_id_if_assigned()::xid
 and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
 and d.classid in ('pg_catalog.pg_rewrite'::pg_catalog.regclass,
   'pg_catalog.pg_attrdef'::pg_catalog.regclass, 'pg_catalog.pg_constraint'::pg_catalog.regclass,
   'pg_catalog.pg_class'::pg_catalog.regclass, 'pg_catalog.pg_policy'::pg_catalog.regclass)
"""
_RELATIONS = """
select c.oid::text, n.nspname::text, c.relname::text from pg_catalog.pg_class c
join pg_catalog.pg_namespace n on n.oid = c.relnamespace where c.oid = any (%s::oid[])
"""
_COLUMNS = """
select a.attrelid::text, a.attnum::int, a.attname::text from pg_catalog.pg_attribute a
where a.attrelid = any (%s::oid[])
"""
_FUNCTIONS = """
select p.oid::text, n.nspname::text, p.proname::text from pg_catalog.pg_proc p
join pg_catalog.pg_namespace n on n.oid = p.pronamespace where p.oid = any (%s::oid[])
"""
_OPERATORS = """
select p.oid::text, n.nspname::text, p.proname::text from pg_catalog.pg_operator o
join pg_catalog.pg_proc p on p.oid = o.oprcode
join pg_catalog.pg_namespace n on n.oid = p.pronamespace where o.oid = any (%s::oid[])
"""
_DOMAINS = """
select p.oid::text, n.nspname::text, p.proname::text from pg_catalog.pg_constraint k
join pg_catalog.pg_depend d on d.objid = k.oid
 and d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass
join pg_catalog.pg_proc p on p.oid = d.refobjid
 and d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
join pg_catalog.pg_namespace n on n.oid = p.pronamespace where k.contypid = any (%s::oid[])
"""
_WATCH = (
    "set statement_timeout = '10s'; set debug_pretty_print = off; set client_min_messages = log;"
    " set debug_print_parse = on"
)
OWN_SCHEMAS = frozenset({"pg_catalog", "information_schema"})


class Watched:
    """A connection as superuser.  ``run`` never raises for what a statement does."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True, prepare_threshold=None)
        self.connection.add_notice_handler(self._notice)
        self._trees: list[str] | None = None
        self._catalog: Catalog | None = None
        self.stale = True  # whether definitions may have changed since the catalog was read

    def close(self) -> None:
        self.connection.close()

    def _notice(self, told: psycopg.errors.Diagnostic) -> None:
        if self._trees is None:
            return
        primary = told.message_primary or ""
        if primary == "parse tree:":
            self._trees.append(told.message_detail or "")
        elif primary.startswith("parse tree:"):
            self._trees.append(primary.removeprefix("parse tree:"))

    @property
    def state(self) -> TransactionStatus:
        return TransactionStatus(self.connection.pgconn.transaction_status)

    @property
    def catalog(self) -> Catalog:
        """As an agent would know it."""
        if self._catalog is None or self.stale:
            depths = depths_of(
                self._rows(READS_QUERY),
                self._rows(RULES_QUERY),
                self._rows(BEHIND_CODE_QUERY),
                self._rows(OPERATORS_QUERY),
            )
            relations, code = self._rows(CATALOG_QUERY), self._rows(CODE_QUERY)
            self._catalog = catalog_of(relations, (), code, depths)
            self.stale = False
        return self._catalog

    def _rows(self, text: str, oids: Iterable[int] | None = None) -> list[Any]:
        cursor = self.connection.cursor()
        given = None if oids is None else ([str(oid) for oid in sorted(oids)],)
        return cursor.execute(text.encode(), given, prepare=False).fetchall()

    def _quietly(self, text: str) -> None:
        self.connection.pgconn.exec_(text.encode())

    # --- one text -------------------------------------------------------------------------------

    def run(self, text: str, data: str = "", *, wrap: bool = True) -> Seen:
        """Runs a text, in a transaction of its own where there is none and ``wrap``."""
        seen = Seen()
        own = wrap and self.state == TransactionStatus.IDLE
        if own:
            self._quietly("begin")
        if self.state == TransactionStatus.INTRANS:
            seen.before = self._state()
        trees = self._send(text, data, seen)
        if self.state == TransactionStatus.INTRANS:
            seen.after = self._state()
            self._name(trees, seen)
            if own:
                self._quietly("commit")
        else:
            if own:
                self._quietly("rollback")
            if self.state == TransactionStatus.IDLE:
                self._name(trees, seen)
        return seen

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._rows(_STATE)[0][0])
        state["depends"] = self._rows(_DEPENDS) if state["xid"] else []
        return state

    def _send(self, text: str, data: str, seen: Seen) -> list[str]:
        self._quietly(_WATCH)
        trees: list[str] = []
        self._trees = trees
        connection = self.connection.pgconn
        connection.send_query(text.encode())
        connection.flush()
        while (result := connection.get_result()) is not None:
            status = result.status
            if status == ExecStatus.COPY_IN:
                if data:
                    connection.put_copy_data(data.encode())
                connection.put_copy_end()
            elif status in (ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH):
                while connection.get_copy_data(0)[0] > 0:
                    pass
            elif status == ExecStatus.FATAL_ERROR:
                seen.failed = (result.error_field(DiagnosticField.SQLSTATE) or b"XX000").decode()
            else:
                seen.tags.append((result.command_status or b"").decode())
        self._trees = None
        if self.state != TransactionStatus.INERROR:
            self._quietly("set debug_print_parse = off")
        return trees

    # --- names ----------------------------------------------------------------------------------

    def _name(self, trees: list[str], seen: Seen) -> None:
        """Oids mean something only while the transaction sees what it made."""
        named = []
        for text in trees[:200]:
            try:
                named.append(self._named(meant_by(tree_of(text))))
            except NoTree:
                continue
        if named:
            seen.asked, seen.inside = named[0], named[1:]

    def _named(self, meant: Meant) -> Named:
        found = Named(meant=meant)
        if meant.relations:
            names = {int(o): (s, r) for o, s, r in self._rows(_RELATIONS, meant.relations)}
            found.relations = {names[o]: n for o, n in meant.relations.items() if o in names}
        if meant.columns:
            wanted = self._rows(_COLUMNS, {oid for oid, _ in meant.columns})
            columns = {(int(oid), number): name for oid, number, name in wanted}
            found.columns = {columns[one] for one in meant.columns if one in columns}
        called = self._functions(_FUNCTIONS, meant.called)
        found.called = called
        found.code = {one for one in called if not _is_harmless(one)}
        others = (
            self._functions(_FUNCTIONS, meant.implied)
            | self._functions(_OPERATORS, meant.sorted_by)
            | self._functions(_DOMAINS, meant.domains)
        )
        found.code |= {one for one in others if one[0] not in OWN_SCHEMAS}
        return found

    def _functions(self, query: str, oids: set[int]) -> set[Name]:
        return {(s, n) for _, s, n in self._rows(query, oids - {0})} if oids - {0} else set()


def _is_harmless(function: Name) -> bool:
    schema, name = function
    return schema == "information_schema" or (schema == "pg_catalog" and name in HARMLESS)
