"""The demo's world with a vault in it: canaries in masked columns, and an agent on the whole of it.

The agent is the real one, on a store in a PostgreSQL of its own, so that the store can be away.
The vault's credential is a superuser's, which is the worst an agent can be given; the rules allow
everything but what policy refuses by itself, so that what stops a value is a mask and no rule.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hoopcli.demo.postgres import Postgres
from hoopcli.demo.world import World
from tests.bypass.canaries import MASKS, SCHEMA
from tests.bypass.raw import Raw
from tests.e2e.world import Person

RULES = """
[[rule]]
name = "no-unbounded-delete"
verdict = "refuse"
effects = ["delete", "update"]
missing_where = true
targets = ["prod-db", "prod-vault", "prod-disk"]
reason = "a DELETE or UPDATE needs a WHERE here"

[[rule]]
name = "no-calls"
verdict = "refuse"
effects = ["call"]
targets = ["prod-strict"]
reason = "code that is not known is not run here"
"""
_TARGET = """
[targets.{name}]
address = "127.0.0.1:{port}"
databases = ["vault"]
credential = {{ user = "vault_admin", password = "file:vault.password" }}
tls = {{ mode = "off" }}
owners = ["dba"]
durability = "{durability}"
"""


class Vault(World):
    """``prod-db`` as in the demo; ``prod-vault``; ``prod-disk``, the same recorded to the disk
    first; ``prod-strict``, the same where calls of unknown code are refused."""

    store: Postgres

    def _fill(self, postgres: Postgres) -> None:
        super()._fill(postgres)
        folder = self.folder / "store"
        folder.mkdir()
        self.store = Postgres(folder, password=secrets.token_urlsafe(18)).start()
        password = secrets.token_urlsafe(18)
        postgres.psql(
            f"create role vault_admin superuser login password '{password}';"
            "create database vault owner vault_admin"
        )
        postgres.psql(f"set role vault_admin; {SCHEMA}", "vault")
        secret = self.folder / "agent" / "vault.password"
        secret.touch(mode=0o600)
        secret.write_text(password)

    def _spawn(self, name: str, module: str, *arguments: str, stdout: int | None = None) -> Any:
        if name == "agent":
            self._configure(self.folder / "agent")
        return super()._spawn(name, module, *arguments, stdout=stdout)

    def _configure(self, agent: Path) -> None:
        assert self.postgres is not None
        with (agent / "targets.toml").open("a") as targets:
            for name in ("prod-vault", "prod-strict", "prod-disk"):
                durability = "disk" if name == "prod-disk" else "kernel"
                targets.write(
                    _TARGET.format(name=name, port=self.postgres.port, durability=durability)
                )
        (agent / "rules.toml").write_text(RULES)
        with (agent / "masks.toml").open("a") as masks:
            masks.write(MASKS)
        toml = agent / "agent.toml"
        url = agent / "store.url"
        url.touch(mode=0o600)
        url.write_text(self.store.dsn())
        store = '[agent]\nstore = "file:store.url"\n'
        toml.write_text(toml.read_text().replace("[agent]\n", store))

    def stop(self) -> None:
        """As World's, and the store's server."""
        folder = self.folder
        super().stop()
        if hasattr(self, "store"):
            self.store.stop()
        shutil.rmtree(folder, ignore_errors=True)

    @property
    def agent(self) -> Any:
        """The agent's process."""
        return self.processes[-1]

    def recordings(self) -> list[Path]:
        """Every recording there is, oldest first."""
        found = (self.folder / "agent" / "data" / "recordings").rglob("*.zst")
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def as_they_were(vault: Vault) -> None:
    """Rows that tests may change, as they are allowed to, are what the next file expects."""
    assert vault.postgres is not None
    vault.postgres.psql(
        "delete from app.people where id > 3; update app.people set name = 'name ' || id;"
        "delete from app.pub where id > 5",
        "vault",
    )


class Doorway:
    """An endpoint of somebody's on a target's unix socket, open as long as this object lives.

    ``hoop connect`` itself makes it; in psql's place stands a program that tells what it was given.
    """

    def __init__(self, person: Person, target: str) -> None:
        told = subprocess.run(
            [sys.executable, "-m", "hoopcli", "connect", target, "--", "-0"],
            env=person.world.environment(person.name) | {"HOOP_PSQL": shutil.which("env") or ""},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout
        given = dict(line.partition("=")[::2] for line in told.split("\0"))
        self.host, self.user = given["PGHOST"], given["PGUSER"]
        self.database = given["PGDATABASE"]
        self._anchor = self.connect()

    def connect(self, **startup: str) -> Raw:
        """Raw, logged in."""
        names = {"user": self.user, "database": self.database, **startup}
        return Raw(f"{self.host}/.s.PGSQL.5432", names)

    @property
    def dsn(self) -> str:
        """For libpq."""
        return f"host={self.host} port=5432 user={self.user} dbname={self.database}"

    def close(self) -> None:
        self._anchor.close()


def eventually(claim: Callable[[], object], seconds: float = 20) -> None:
    """Asks again and again, within a bound."""
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def children(pid: int) -> list[int]:
    """Processes that this one has started."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = (entry / "stat").read_text().rpartition(")")[2].split()[1]
        except OSError:
            continue  # it has ended meanwhile
        if int(parent) == pid:
            found.append(int(entry.name))
    return found


def command_of(pid: int) -> str:
    """How it was started, in words; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
