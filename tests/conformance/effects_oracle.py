"""PostgreSQL as oracle: what texts were read to do against what a server says they did.

    python -m tests.conformance.effects_oracle [--server 18|15] [--show N] [SCRIPT or FOLDER…]

Without a path the corpus of this folder is run; a path is a psql script, or a folder of them, such
as ``src/test/regress/sql`` of PostgreSQL's sources.  The end is a table of all disagreements by
kind; the status is 1 where any reading said less than the server did.

Order: the account, our own corpus, scripts, the program.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

import psycopg

from hoopcli.demo.postgres import Postgres
from hoopcore.sql.postgres import read
from hoopcore.statement import Effect, Reading
from tests.conformance.effects_corpus import OWN, Line, own, script
from tests.conformance.effects_server import Seen, Watched
from tests.conformance.effects_verdict import STRICT, UNSAFE, Finding, findings
from tests.servers import DEBIAN_POSTGRES, running_postgres


@dataclass(slots=True)
class Account:
    """What came of all texts."""

    texts: int = 0
    rejected: int = 0  # by the server, before they meant anything
    agreed: int = 0
    found: Counter[tuple[str, str]] = field(default_factory=Counter)
    details: dict[tuple[str, str], Counter[str]] = field(default_factory=dict)
    examples: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, text: str, seen: Seen, finds: Sequence[Finding]) -> None:
        self.texts += 1
        if seen.asked is None and seen.failed:
            self.rejected += 1
        elif not finds:
            self.agreed += 1
        for key in {(one.kind, one.what) for one in finds}:
            self.found[key] += 1
            self.examples.setdefault(key, []).append(text)
        for one in finds:
            self.details.setdefault((one.kind, one.what), Counter())[one.detail] += 1

    def count(self, kind: str) -> int:
        return sum(number for (of, _), number in self.found.items() if of == kind)

    def table(self) -> str:
        """Markdown: every kind of disagreement with how many texts had it."""
        rows = [f"| {k} | {what} | {n} |" for (k, what), n in sorted(self.found.items())]
        head = ["| kind | what | texts |", "|---|---|---|"]
        return "\n".join([*head, *rows])


def meant(watched: Watched, text: str) -> Reading:
    """The reading as a session has it: the text's, and what the catalog tells."""
    return watched.catalog.meant(read(text.encode()))


# --- our own corpus -------------------------------------------------------------------------------


@contextmanager
def filled(server: Postgres, setup: str, name: str = "effects") -> Iterator[Watched]:
    """A session in a database of its own with these definitions in it."""
    server.psql(f"create database {name}")
    server.psql(setup, name)
    watched = Watched(server.dsn(name))
    try:
        yield watched
    finally:
        watched.close()
        server.psql(f"drop database {name} with (force)")
        server.psql("drop role if exists reporter")


@dataclass(frozen=True, slots=True)
class Ran:
    """A statement of our own corpus, what was read, what was seen, and where they differ."""

    line: Line
    reading: Reading
    seen: Seen
    findings: list[Finding]


def run_line(watched: Watched, line: Line) -> Ran:
    """One statement of our own corpus; whatever it did is rolled back."""
    reading = meant(watched, line.text)
    connection = watched.connection
    connection.execute("begin")
    for text in line.before:
        if text != "begin":
            watched.run(text, wrap=False)
    seen = watched.run(line.text, wrap=False)
    connection.execute("rollback")
    if seen.failed == "25001":  # not in a transaction
        seen = watched.run(line.text, wrap=False)
    connection.execute("discard all")
    return Ran(line, reading, seen, findings(reading, seen))


# --- scripts --------------------------------------------------------------------------------------

# Rows for the tables of PostgreSQL's own test_setup.sql, which fills them from files.
_ROWS = """
insert into {table} select i, (i * 7919) % 1000, i % 2, i % 4, i % 10, i % 20, i % 100, i % 1000,
 i % 2000, i % 5000, i, i % 10 * 2 + 1, i % 10 * 2, 'A' || i, 'B' || i, 'AAAAxx'
from generate_series(0, 999) i
"""


def run_script(watched: Watched, text: str, account: Account) -> None:
    """Statement by statement, in order; each is committed where the script says no other."""
    for statement, data in script(text):
        with suppress(UnicodeEncodeError):
            _run_one(watched, statement, data, account)


def _run_one(watched: Watched, statement: str, data: str, account: Account) -> None:
    try:
        reading = meant(watched, statement)
    except psycopg.Error:  # within a failed transaction the catalog cannot be read
        reading = read(statement.encode())
    seen = watched.run(statement, data)
    if seen.failed in ("25001", "2D000"):
        seen = watched.run(statement, data, wrap=False)
    account.add(statement, seen, findings(reading, seen))
    watched.stale = watched.stale or not reading.effects.isdisjoint(_CHANGING)


_CHANGING = frozenset({Effect.DDL, Effect.CALL, Effect.UNKNOWN, Effect.TRANSACTION, Effect.PREPARE})


def run_scripts(server: Postgres, paths: Sequence[Path], account: Account) -> None:
    """Each script in a database of its own."""
    setup = next((path for path in paths if path.name == "test_setup.sql"), None)
    server.psql("create database oracle_base")
    if setup is not None:
        watched = Watched(server.dsn("oracle_base"))
        run_script(watched, setup.read_text(errors="replace"), account)
        for table in ("onek", "tenk1"):
            with suppress(psycopg.Error):
                watched.connection.execute(_ROWS.format(table=table).encode())
        watched.close()
    for path in paths:
        if path == setup:
            continue
        server.psql("create database oracle template oracle_base")
        watched = Watched(server.dsn("oracle"))
        before = account.count(UNSAFE)
        try:
            run_script(watched, path.read_text(errors="replace"), account)
        except psycopg.Error as problem:
            _say(f"{path.name}: left off: {problem}", sys.stderr)
        finally:
            with suppress(psycopg.Error):
                watched.close()
            server.psql("drop database oracle with (force)")
        new = account.count(UNSAFE) - before
        _say(f"{path.name}: {account.texts} texts so far, {new} unsafe", sys.stderr)


# --- the program ----------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--server", choices=("18", "15"), default="18")
    parser.add_argument("--show", type=int, default=3, help="examples of each kind")
    parser.add_argument("paths", nargs="*", type=Path)
    chosen = parser.parse_args()
    install = DEBIAN_POSTGRES if chosen.server == "15" else None
    account = Account()
    with running_postgres(install=install) as server:
        if chosen.paths:
            files = [
                f for p in chosen.paths for f in (sorted(p.glob("*.sql")) if p.is_dir() else [p])
            ]
            run_scripts(server, files, account)
        else:
            setup, lines = own(OWN)
            with filled(server, setup) as watched:
                for line in lines:
                    ran = run_line(watched, line)
                    account.add(line.text, ran.seen, ran.findings)
    _report(account, chosen.show)
    return 1 if account.count(UNSAFE) else 0


def _say(text: str, where: TextIO | None = None) -> None:
    (where or sys.stdout).write(text + "\n")


def _files(paths: Sequence[Path]) -> list[Path]:
    return [f for path in paths for f in (sorted(path.glob("*.sql")) if path.is_dir() else [path])]


def _report(account: Account, show: int) -> None:
    _say(
        f"{account.texts} texts, {account.rejected} rejected by the server, "
        f"{account.agreed} agree, {account.count(UNSAFE)} unsafe, "
        f"{account.count(STRICT)} too strict\n"
    )
    _say(account.table())
    for key, examples in sorted(account.examples.items()):
        details = ", ".join(f"{w} ({n})" for w, n in account.details[key].most_common(12) if w)
        _say(f"\n{key[0]}: {key[1]}: {details[:600]}")
        step = max(1, len(examples) // max(1, show))
        for text in examples[::step][:show]:
            _say("    " + " ".join(text.split())[:240])


if __name__ == "__main__":
    sys.exit(main())
