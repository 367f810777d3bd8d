"""Where lives are led: a company, its policy, and stores that begin afresh and break on demand.

A life begins with the same rows at the same time, so that the same acts give the same rows, and
Hypothesis can make a long story short.  SQLite gets a copy of a file, PostgreSQL its rows back.

Order of the file: the company, faults, the ground.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import event
from sqlalchemy.engine import make_url

from hoopagent.config import Config, Eligibility, Role
from hoopagent.store import Token
from hoopagent.store.database import Database, postgres_engine, sqlite_engine
from hoopagent.store.sql import SqlStore
from hoopagent.store.tables import metadata
from hoopcore.model import SECOND, Kind, Principal
from tests.store.conftest import opened
from tests.store.world import CONFIG, DAY, HOUR, START, offer, section

# --- the company ----------------------------------------------------------------------------------

MINUTE = 60
ESCALATES = 10 * MINUTE
GLASS = HOUR // 2
START_WITHIN = {"wait-db": 3 * HOUR}
AUTO_MAX = 15 * MINUTE

CEILINGS = {
    "prod-db": 4 * HOUR,
    "prod-vault": HOUR // 2,
    "dev-db": 8 * HOUR,
    "wait-db": HOUR,
    "auto-db": 2 * HOUR,
}
TARGETS = tuple(CEILINGS)
RULES = {**dict.fromkeys(TARGETS, 2 * HOUR), "dev-db": 8 * HOUR}
VOTES = {"prod-db": 1, "prod-vault": 2, "dev-db": 0, "wait-db": 1, "auto-db": 1}
NEEDS = {"prod-vault": ("dba", "security")}
APPROVERS = {
    "prod-db": {"dba", "oncall"},
    "prod-vault": {"dba", "security"},
    "dev-db": set[str](),
    "wait-db": {"dba"},
    "auto-db": {"dba"},
}
LATER = {"prod-db": {"leads"}, "prod-vault": {"leads"}}
BREAKABLE = {"prod-db", "prod-vault"}
ENGINEERS = frozenset({"engineering", "dba"})


def _offers() -> tuple[Eligibility, ...]:
    later = [{"after": f"{ESCALATES}s", "approvers": ["leads"]}]
    needs = [{"approvers": [group], "votes": 1} for group in NEEDS["prod-vault"]]
    reasons = {"min_length": 4, "refuse": ["test"]}
    quick = {
        "name": "quick", "max": f"{AUTO_MAX}s", "scope": "*.*:read", "ticket": r"OPS-\d+",
        "read_only": True, "masked": True, "max_rows": 100,
    }  # fmt: skip
    return (
        offer("prod-db", ["dba", "oncall"], later=later, break_glass=True, reasons=reasons),
        offer("prod-vault", ["dba", "security"], 2, needs=needs, later=later, break_glass=True),
        offer("dev-*", [], votes=0, scope="*.*:read", max="8h"),
        offer("wait-*", ["dba"], starts="connect", start_within="3h"),
        offer("auto-*", ["dba"], auto=[quick]),
    )


def company() -> Config:
    """With escalation, two groups that both must agree, what is granted at once, and a target
    where a grant's time begins with the first connection."""
    targets = {name: section(f"{most}s", ["owners"]) for name, most in CEILINGS.items()}
    roles = {
        "engineer": Role(groups=ENGINEERS, may_request=_offers()),
        "admin": CONFIG.roles["admin"],
    }
    return CONFIG.model_copy(update={"targets": targets, "roles": roles})


def _somebody(name: str, *groups: str, kind: Kind = Kind.HUMAN) -> Principal:
    issuer = "https://id.test"
    return Principal(f"p-{name}", kind, issuer, name, f"{name}@test", frozenset(groups))


PEOPLE = (
    _somebody("ana", "engineering", "security"),
    _somebody("eli", "engineering", "oncall"),
    _somebody("ben", "dba", "oncall", "security"),
    _somebody("cat", "dba"),
    _somebody("ada", "dba", "admin"),
    _somebody("sec", "security"),
    _somebody("lea", "leads"),
    _somebody("oda", "owners"),
    replace(_somebody("bot", "dba", kind=Kind.SERVICE), owner="Cat@test"),
    _somebody("sue", "sales"),
)
SIGNED_IN = 30 * DAY

# --- faults ---------------------------------------------------------------------------------------

_WRITES = ("INSERT", "UPDATE", "DELETE")
_AUDIT = ("INSERT INTO audit ", "UPDATE audit_tail ")


class Broken(OSError):
    """As the operating system says that the store is gone."""


@dataclass(slots=True)
class Faults:
    """What goes wrong in the next act: at one of its writes, behind a commit, or on the audit."""

    how: str = ""
    left: int = 0
    struck: bool = False

    def arm(self, how: str, at: int) -> None:
        self.how, self.left, self.struck = how, at, False

    def disarm(self) -> None:
        self.how = ""

    def _strike(self) -> None:
        self.struck = True
        raise Broken("the store is gone")

    def before(self, statement: str) -> None:
        statement = statement.lstrip()
        if self.how == "audit" and statement.startswith(_AUDIT):
            self._strike()
        if self.how == "write" and statement.upper().startswith(_WRITES):
            self._count()

    def behind_commit(self) -> None:
        """All is done, and nobody is told."""
        if self.how == "answer":
            self._count()

    def _count(self) -> None:
        self.left -= 1
        if self.left == 0:
            self._strike()


@dataclass(slots=True)
class Frail(Database):
    """A database that fails as ``faults`` says."""

    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        event.listen(self.engine.sync_engine, "before_cursor_execute", self._before)

    def _before(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        self.faults.before(statement)

    async def _once(self, work: Any) -> Any:
        done = await Database._once(self, work)
        self.faults.behind_commit()
        return done


# --- the ground -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Ground:
    """The store of one test: made once, as it was made before each life."""

    url: str
    folder: Path
    number: int = 0
    path: Path = Path()
    stores: list[SqlStore] = field(default_factory=list)

    @property
    def is_file(self) -> bool:
        return self.url.startswith("sqlite")

    async def prepare(self) -> None:
        store = await opened(self.url)
        for person in PEOPLE:
            await store.put_principal(person, START)
            until = START + SIGNED_IN * SECOND
            await store.add_token(
                Token(f"{person.id}-first", person.id, START, START, until, "SHA256:key")
            )
        await store.close()
        if not self.is_file:
            tables = "".join(f"CREATE TABLE keep.{t} AS TABLE public.{t};" for t in _tables())
            name = make_url(self.url).database
            await self._run(
                f'CREATE SCHEMA keep; {tables} ALTER DATABASE "{name}" SET synchronous_commit = off'
            )

    async def fresh(self, faults: Faults) -> None:
        """Two stores, as two agents have them, with the rows that a life begins with."""
        await self.leave()
        self.number += 1
        if self.is_file:
            self.path = self.folder / f"life-{self.number}.sqlite"
            shutil.copyfile(Path(make_url(self.url).database or ""), self.path)
        else:
            gone = "".join(f"DELETE FROM {name};" for name in _tables())
            back = "".join(f"INSERT INTO {name} TABLE keep.{name};" for name in _tables())
            await self._run(f"SET session_replication_role = replica; {gone} {back}")
        self.stores = [self.open(faults) for _ in range(2)]

    def open(self, faults: Faults) -> SqlStore:
        if not self.is_file:
            return SqlStore(Frail(postgres_engine(self.url), faults=faults))
        engine = sqlite_engine(self.path)

        @event.listens_for(engine.sync_engine, "connect")
        def hasty(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA synchronous = off").close()  # no power cuts here

        return SqlStore(Frail(engine, faults=faults))

    async def drop_connections(self) -> None:
        """As when the server was restarted; a file has no connections that others could end."""
        if not self.is_file:
            await self._run(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )

    async def leave(self) -> None:
        for store in self.stores:
            await store.close()
        self.stores = []
        if self.is_file and self.number:
            for file in self.folder.glob(f"{self.path.name}*"):
                file.unlink()

    async def _run(self, script: str) -> None:
        owner = await asyncpg.connect(self.url)
        try:
            await owner.execute(script)
        finally:
            await owner.close()


def _tables() -> list[str]:
    return [table.name for table in metadata.sorted_tables]
