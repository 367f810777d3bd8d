"""The demo's world with rules that hold, and people who wait and decide, for the tests of holds."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from hoopcli.demo.world import World
from tests.e2e.world import Person

PATIENCE = 30.0

RULES = """
[[rule]]
name = "four-eyes"
verdict = "hold"
effects = ["delete"]
relations = ["notes"]
reason = "what is deleted is gone"
approvers = ["dba"]
example = "delete from notes where id = 1"

[[rule]]
name = "quick-answer"
verdict = "hold"
effects = ["delete"]
relations = ["drafts"]
reason = "drafts are somebody's"
wait = "2s"

[[rule]]
name = "both-of-them"
verdict = "hold"
effects = ["update"]
relations = ["notes"]
reason = "two look at it"
approvers = ["dba", "oncall"]
votes = 2
"""
SCHEMA = """
create table notes (id int primary key, note text);
insert into notes select n, 'note ' || n from generate_series(1, 24) n;
create table drafts (id int primary key);
insert into drafts select generate_series(1, 5);
grant all on notes, drafts to shop_app;
"""


class Holding(World):
    """``prod-db`` with tables of which what is deleted is held."""

    def start_agent(self) -> None:
        rules = self.folder / "agent" / "rules.toml"
        if "four-eyes" not in rules.read_text():
            rules.write_text(rules.read_text() + RULES)
            settings = self.folder / "agent" / "agent.toml"
            settings.write_text(settings.read_text().replace('drain = "1s"', 'drain = "30s"'))
            assert self.postgres is not None
            self.postgres.psql(SCHEMA, "shop")
        super().start_agent()

    def replace_agent(self) -> None:
        """Another one takes the sockets over; what is open stays with the one before."""
        before = (self.run / "agent.json").stat().st_mtime_ns
        config = str(self.folder / "agent")
        self._spawn("agent", "hoopagent", "run", "--take-over", "--config", config)
        until(lambda: (self.run / "agent.json").stat().st_mtime_ns != before)

    def direct(self, text: str) -> list[tuple[Any, ...]]:
        """What the database itself says, past every gate."""
        assert self.postgres is not None
        with psycopg.connect(self.postgres.dsn("shop"), autocommit=True) as connection:
            return connection.execute(text.encode()).fetchall()


def until(found: Callable[[], Any], what: str = "it") -> Any:
    """What it finds, as soon as that is something."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = found()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come about")


def waiting(approver: Person, count: int = 1) -> list[Any]:
    """The held statements that wait for this person, newest first, once there are so many."""

    def look() -> list[Any]:
        found = [one for one in approver.json("requests", "--to-decide") if one["held"]]
        return found if len(found) >= count else []

    found: list[Any] = until(look, "a held statement")
    return found


class Psql:
    """psql through hoop on a terminal of its own, in a test's hands."""

    def __init__(self, person: Person) -> None:
        self.terminal, theirs = os.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "hoopcli", "connect", "prod-db", "--", "-XAtn"],
            env=person.world.environment(person.name) | {"TERM": "dumb"},
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            preexec_fn=lambda: os.login_tty(theirs),  # so that Ctrl-C is one
        )
        os.close(theirs)
        self.heard = ""
        self._reader = threading.Thread(target=self._listen, daemon=True)
        self._reader.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):  # a terminal that nobody has any more
            while data := os.read(self.terminal, 4096):
                self.heard += data.decode("utf-8", "replace").replace("\r", "")

    def type(self, line: str) -> None:
        os.write(self.terminal, f"{line}\n".encode())

    def press_ctrl_c(self) -> None:
        os.write(self.terminal, b"\x03")

    def hears(self, pattern: str) -> re.Match[str]:
        found: re.Match[str] = until(
            lambda: re.search(pattern, self.heard), f"{pattern!r} in {self.heard!r}"
        )
        return found

    def die(self) -> None:
        self.process.kill()

    def leave(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        os.close(self.terminal)


@contextmanager
def psql(person: Person) -> Iterator[Psql]:
    one = Psql(person)
    try:
        yield one
    finally:
        one.leave()


def events(person: Person, session: str) -> list[dict[str, Any]]:
    """What the recording of this session holds."""
    told = person.hoop("replay", session, "--no-wait", "-o", "json").stdout
    found: list[dict[str, Any]] = json.loads(told)
    return found
