"""A rule, and whether it speaks of a statement.

A rule has two halves: whom and when it is about (``about.py``), and what a statement does.  Each is
asked in one of two ways.  A refusal or a hold asks whether the statement *may* do it; an allowance
whether it *surely* does nothing else.

Where a text leaves a doubt, that is: a relation without a schema may be of every schema; ``*``, a
whole row or a column alias may be any column; ``unknown`` is an effect of its own.  What a view or
a function reaches inside is not in the text, so refuse ``call`` where that matters.

Order: the rule, what may match, what surely matches, and columns and functions.
"""

from __future__ import annotations

from dataclasses import dataclass

from hoopcore.command import Shell, Transfer
from hoopcore.model import Principal, Target
from hoopcore.policy.about import EVERYBODY, About, Known
from hoopcore.policy.patterns import (
    ColumnPattern,
    CommandPattern,
    DdlPattern,
    PathPattern,
    RelationPattern,
)
from hoopcore.sql.system import describes_schema
from hoopcore.statement import Effect, Relation, Statement

STRENGTHS = ("refuse", "hold", "allow")
"""Strongest first."""

HOLD_WAIT = 600
"""Seconds that a held statement waits where its rule says nothing else."""

# Refused where nothing names them: they reach what no rule about relations can see.
NEEDS_ALLOWANCE = {
    Effect.UNKNOWN: ("unreadable", "the statement cannot be read"),
    Effect.SERVER_FILE: ("server-file", "files of the server are out of reach"),
    Effect.PROGRAM: ("program", "programs on the server are out of reach"),
}

# With one of these the columns that a statement reaches are not all in the text.
_BEYOND_COLUMNS = frozenset({Effect.DDL, Effect.GRANT, Effect.TRUNCATE, Effect.MAINTENANCE})


_DEFINING = frozenset({Effect.DDL, Effect.UNKNOWN})

# Programs that carry files by a protocol of their own: what they carry is asked for file by file,
# or it may be any.
_CARRIERS = frozenset({"sftp", "sftp-server", "scp", "rsync"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of rules.toml.  A condition that is empty is met by everything."""

    name: str
    reason: str
    verdict: str  # of STRENGTHS
    about: About = EVERYBODY
    unless: About | None = None
    effects: frozenset[Effect] = frozenset()
    relations: tuple[RelationPattern, ...] = ()
    columns: tuple[ColumnPattern, ...] = ()
    functions: tuple[RelationPattern, ...] = ()
    missing_where: bool = False
    missing_limit: bool = False
    filters_masked: bool = False  # which rows there are hangs on a masked column
    ddl: tuple[DdlPattern, ...] = ()  # of which kinds a definition is, in capitals
    statements_above: int = 0
    commands: tuple[CommandPattern, ...] = ()  # of shells; such a rule is about nothing else
    paths: tuple[PathPattern, ...] = ()
    transfers: frozenset[str] = frozenset()  # of command.ACTIONS; with these three it is about
    larger_than: int = 0  # files that SFTP, scp and rsync carry, and about nothing else
    containing: frozenset[str] = frozenset()  # kinds of sensitive text in a sample of it
    approvers: frozenset[str] = frozenset()  # groups; of a hold.  Empty: those of the grant
    votes: int = 1  # of so many people
    wait: int = HOLD_WAIT  # seconds until nobody's answer is a no

    def concerns(self, principal: Principal, target: Target) -> bool:
        """Whether the rule may be about this person on this target, at some time, from somewhere.

        For showing somebody the rules there are.
        """
        known = Known(
            target=target.name,
            labels=target.labels,
            groups=principal.groups,
            kind=principal.kind,
        )
        return self.about.meets(known) is not False and not (
            self.unless is not None and self.unless.meets(known)
        )

    def applies(self, known: Known) -> bool:
        """Whether it is about this session now: of a doubt, whichever lets less pass."""
        if self.verdict == "allow":
            return self.surely_applies(known)
        excepted = False if self.unless is None else self.unless.meets(known)
        return self.about.meets(known) is not False and excepted is not True

    def surely_applies(self, known: Known) -> bool:
        """Whether it is about this session now without any doubt."""
        excepted = False if self.unless is None else self.unless.meets(known)
        return self.about.meets(known) is True and excepted is False

    # --- what may match -------------------------------------------------------------------------

    def may_match(self, statement: Statement, statements: int = 1) -> bool:
        """Whether the statement may do what the rule speaks of: how a refusal matches.

        ``statements``: how many there are in its message.
        """
        if statement.shell is not None or self.is_of_shells or self.is_of_files:
            return self._may_run(statement)
        effects = statement.unbounded if self.missing_where else statement.effects
        if self.effects:
            effects = effects & self.effects
        if not effects or statements <= self.statements_above:
            return False
        if self.ddl:
            effects = effects & _DEFINING
            if not effects or not self._may_define(statement):
                return False
        if self.missing_limit and not _reads_without_end(statement):
            return False
        if self.filters_masked and not _may_filter(statement):
            return False
        if self.functions and not self._may_call(statement):
            return False
        if self.columns and not self._may_name(statement):
            return False
        if not self.relations:
            return True
        if statement.opaque and self.effects and not self.missing_where:
            return True  # it does this to relations that the text does not name
        return any(self._may_reach(statement, effect) for effect in effects)

    @property
    def is_of_shells(self) -> bool:
        """Whether it speaks of what commands of a shell run and name."""
        return bool(self.commands or self.paths)

    @property
    def is_of_files(self) -> bool:
        """Whether it speaks of files that are carried by a protocol that is read."""
        return bool(self.transfers or self.larger_than or self.containing)

    @property
    def _is_of_sql(self) -> bool:
        asked = self.relations or self.columns or self.functions or self.ddl
        missing = self.missing_where or self.missing_limit or self.filters_masked
        return bool(asked or missing or self.statements_above)

    def _may_run(self, statement: Statement) -> bool:
        """The same of a command of a shell; what cannot be read may be any."""
        shell = statement.shell
        if shell is None or self._is_of_sql:
            return False
        if self.effects and not self.effects & statement.effects:
            return False
        if self.is_of_files:
            return self._may_carry(shell)
        if Effect.UNKNOWN in statement.effects:
            return True
        return (
            not self.commands
            or any(p.may_match(one) for one in shell.commands for p in self.commands)
        ) and (not self.paths or any(p.may_match(one) for one in shell.files for p in self.paths))

    def _may_carry(self, shell: Shell) -> bool:
        """The same of files.  What carries files that nobody asks for may carry any."""
        if not shell.transfers:
            return not shell.carried and any(one.family in _CARRIERS for one in shell.commands)
        return (
            not self.commands
            or any(p.may_match(one) for one in shell.commands for p in self.commands)
        ) and any(map(self._may_transfer, shell.transfers))

    def _may_transfer(self, one: Transfer) -> bool:
        if self.transfers and one.action not in self.transfers:
            return False
        if self.larger_than and (one.size is None or one.size <= self.larger_than):
            return False
        if self.containing and not self.containing & one.found:
            return False
        return not self.paths or any(p.may_match(file) for file in one.files for p in self.paths)

    def _may_reach(self, statement: Statement, effect: Effect) -> bool:
        """An effect that is on no relation of its own is on all of the statement's."""
        own = [touch.relation for touch in statement.touches if touch.effect is effect]
        return any(
            pattern.may_match(relation)
            for relation in own or statement.relations
            for pattern in self.relations
        )

    def _may_define(self, statement: Statement) -> bool:
        return "*" in statement.ddl or any(
            pattern.matches(kind) for kind in statement.ddl for pattern in self.ddl
        )

    def _may_call(self, statement: Statement) -> bool:
        """Code that the text does not name at all may be any function."""
        if Effect.UNKNOWN in statement.effects:
            return True
        if statement.opaque and not statement.functions:
            return True
        called = [_named(function) for function in statement.functions]
        if Effect.CALL in statement.effects:  # ``x.f`` is f(x) where x has no column f
            called += [Relation("", column) for column in statement.columns]
        return any(pattern.may_match(name) for name in called for pattern in self.functions)

    def _may_name(self, statement: Statement) -> bool:
        """Columns that the text does not name may be any of the relations it names."""
        relations = statement.relations
        if statement.opaque and self.effects:
            return True
        columns = statement.columns
        if statement.guises or not statement.effects.isdisjoint(_BEYOND_COLUMNS):
            columns = columns | {"*"}
        return any(
            pattern.may_match(column, relations) for column in columns for pattern in self.columns
        )

    # --- what surely matches ---------------------------------------------------------------------

    def surely_allows(self, statement: Statement, effect: Effect, statements: int = 1) -> bool:
        """Whether an allowance names this effect, and covers all that the statement touches."""
        if effect not in self.effects or statements <= self.statements_above:
            return False
        if self.is_of_shells or self.is_of_files:
            return False
        if statement.shell is not None and self._is_of_sql:
            return False
        if self.missing_where and not statement.unbounded:
            return False
        if self.missing_limit and not statement.unlimited:
            return False
        if self.filters_masked and not statement.filters_masked:
            return False
        if self.ddl and not self._surely_defines(statement):
            return False
        if self.functions and not self._surely_calls(statement):
            return False
        if (self.relations or self.columns) and (statement.opaque or not statement.touches):
            return False
        relations = statement.relations
        return (
            not self.relations
            or all(
                any(p.surely_matches(relation) for p in self.relations) for relation in relations
            )
        ) and (not self.columns or self._surely_names(statement))

    def _surely_defines(self, statement: Statement) -> bool:
        return bool(statement.ddl) and all(
            any(pattern.matches(kind) for pattern in self.ddl) for kind in statement.ddl
        )

    def _surely_calls(self, statement: Statement) -> bool:
        called = [_named(function) for function in statement.functions]
        return bool(called) and all(
            any(pattern.surely_matches(name) for pattern in self.functions) for name in called
        )

    def _surely_names(self, statement: Statement) -> bool:
        beyond = statement.guises or not statement.effects.isdisjoint(_BEYOND_COLUMNS)
        return (
            not beyond
            and bool(statement.columns)
            and all(
                any(p.surely_matches(column, statement.relations) for p in self.columns)
                for column in statement.columns
            )
        )


def _reads_without_end(statement: Statement) -> bool:
    """Whether it gives rows without a LIMIT, and not only of what describes the schema."""
    return statement.unlimited and not all(map(describes_schema, statement.relations))


def _may_filter(statement: Statement) -> bool:
    """Whether it may ask masked columns which rows to give; any, where masks are not known."""
    if Effect.UNKNOWN in statement.effects:
        return True
    known = statement.filters_masked
    return bool(statement.filters) if known is None else known


def _named(function: str) -> Relation:
    """``schema.name`` as a text calls it.  An operator may hold dots of its own."""
    schema, _, name = function.rpartition(".")
    return Relation(schema if name else "", name or function)
