"""Statement: one unit of client intent, and what reading it found out.

A reading says what a text *does*, not which words are in it.  What could not be read has the
effect ``unknown``, which is refused unless a rule names it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from hoopcore.command import Shell


class Effect(StrEnum):
    READ = "read"
    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"
    TRUNCATE = "truncate"
    DDL = "ddl"
    GRANT = "grant"
    ROLE = "role"
    COPY_IN = "copy_in"
    COPY_OUT = "copy_out"
    SERVER_FILE = "server_file"
    PROGRAM = "program"
    CALL = "call"  # runs code that is not on the allow-list
    LISTEN = "listen"
    LOCK = "lock"
    SET = "set"
    TRANSACTION = "transaction"
    PREPARE = "prepare"  # PREPARE, EXECUTE, DEALLOCATE, DECLARE, FETCH, MOVE, CLOSE, DISCARD
    MAINTENANCE = "maintenance"
    RUN = "run"  # runs a command on a host
    DOWNLOAD = "download"  # of a host's file
    UPLOAD = "upload"  # into a host's file, or what else changes files there by their protocol
    LIST = "list"  # names, sizes and dates of a host's files
    UNKNOWN = "unknown"


# Behind a statement with one of these, what the next text means is not known until the target
# is ready again.
FENCING = frozenset(
    {
        Effect.SET,
        Effect.ROLE,
        Effect.DDL,
        Effect.CALL,
        Effect.PREPARE,
        Effect.TRANSACTION,
        Effect.UNKNOWN,
    }
)


@dataclass(frozen=True, slots=True, order=True)
class Relation:
    """A relation as the text names it; ``schema`` is empty where search_path decides."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Touch:
    """One relation and one thing done to it."""

    relation: Relation
    effect: Effect


@dataclass(frozen=True, slots=True)
class Literal:
    """A constant of the text: its place (byte offsets into the UTF-8 text) and its neighbours."""

    start: int
    stop: int
    columns: frozenset[str]  # names of the columns it is compared with or written into; "*": any


@dataclass(frozen=True, slots=True)
class Beneath:
    """What views, rules, defaults and operators do that a statement uses and does not name."""

    effects: frozenset[Effect] = frozenset()
    touches: frozenset[Touch] = frozenset()
    columns: frozenset[str] = frozenset()
    unbounded: frozenset[Effect] = frozenset()


ANY_DDL = frozenset({"*"})


@dataclass(frozen=True, slots=True)
class CopyForm:
    """How a COPY writes its rows: PostgreSQL's text format, or CSV.  Each sign is one byte."""

    csv: bool = False
    delimiter: bytes = b"\t"
    null: bytes = b"\\N"
    quote: bytes = b""  # CSV only
    escape: bytes = b""
    header: bool = False
    encoding: str = ""  # empty: the client's


@dataclass(frozen=True, slots=True)
class CopyOut:
    """What a COPY TO STDOUT gives: columns of a relation, or (None) the rows of a query."""

    relation: Relation | None
    columns: tuple[str, ...] = ()  # as the text names them; empty: all
    form: CopyForm | None = CopyForm()  # None: binary, or not known here


@dataclass(frozen=True, slots=True)
class Statement:
    """What one statement does.  All names are folded as PostgreSQL folds them."""

    effects: frozenset[Effect]
    touches: frozenset[Touch] = frozenset()
    functions: frozenset[str] = frozenset()  # as written, schema-qualified where the text is
    columns: frozenset[str] = frozenset()  # names of columns mentioned, "*" included
    unbounded: frozenset[Effect] = frozenset()  # update and delete that have no WHERE
    settings: tuple[tuple[str, str], ...] = ()  # SET name value, where both are constants
    copies: bool = False  # writes values it has read: INSERT … SELECT, CTAS, UPDATE … SET a = b
    opaque: bool = False  # may reach relations that the text does not name
    tag: str = ""  # the kind of statement in words, such as "DELETE"; for people
    # What it leaves in the session beyond its transaction: setting, prepared, listen, temporary,
    # lock, cursor.
    keeps: frozenset[str] = frozenset()
    unlimited: bool = False  # gives rows of relations, and no LIMIT bounds how many
    guises: bool = False  # may hold columns under other names: whole rows, aliases of columns
    modes: tuple[tuple[str, str], ...] = ()  # of a transaction: read_only on/off, chain on
    resets: frozenset[str] = frozenset()  # settings that go back to their default; "*": all
    operators: frozenset[str] = frozenset()  # PostgreSQL's own; types of casts as "::type"
    # Of what kind its DDL is: DROP TABLE, ALTER TABLE, DROP COLUMN; "*": one that is not known.
    ddl: frozenset[str] = frozenset()
    beneath: Beneath | None = None  # what only the catalog tells; None: nothing, or not known
    # Its tree, for lineage; None where that is not traced.  It holds the text's constants.
    flow: bytes | None = field(default=None, repr=False, compare=False)
    copy_out: CopyOut | None = None  # of a COPY TO STDOUT
    # Names of columns, "*" included, on whose values it hangs which rows there are, how many and
    # in which order: of conditions, joins, groups, sorts, and of what an aggregate chooses by.
    filters: frozenset[str] = frozenset()
    filters_masked: bool | None = None  # whether a masked column is among them; None: not known
    shell: Shell | None = None  # of a shell command: what it runs and names

    @property
    def in_full(self) -> Statement:
        """The same with what is beneath it, as rules are to see it."""
        beneath = self.beneath
        if beneath is None:
            return self
        return replace(
            self,
            effects=self.effects | beneath.effects,
            touches=self.touches | beneath.touches,
            columns=self.columns | beneath.columns,
            unbounded=self.unbounded | beneath.unbounded,
            ddl=self.ddl | (ANY_DDL if Effect.DDL in beneath.effects else frozenset()),
            beneath=None,
        )

    @property
    def relations(self) -> frozenset[Relation]:
        return frozenset(touch.relation for touch in self.touches)


@dataclass(frozen=True, slots=True)
class Reading:
    """What reading one text (one message) found: its statements in order, and its constants.

    An empty text has no statements.  A text that cannot be read has one, of effect ``unknown``,
    and ``why`` says in a few words what stood in the way (never the text itself).
    """

    statements: tuple[Statement, ...]
    literals: tuple[Literal, ...] = ()
    why: str = ""
    # Of all statements together; found out once, since they are asked for at every run.
    effects: frozenset[Effect] = field(init=False, repr=False, compare=False)
    opaque: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        effects = frozenset(effect for one in self.statements for effect in one.effects)
        object.__setattr__(self, "effects", effects)
        object.__setattr__(self, "opaque", any(one.opaque for one in self.statements))


def unreadable(why: str) -> Reading:
    """The reading of a text that cannot be read."""
    statement = Statement(frozenset({Effect.UNKNOWN}), opaque=True, tag="unreadable")
    return Reading((statement,), (), why)
