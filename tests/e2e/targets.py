"""The demo's world with more targets: behind a pooler, under a role, with users of their own.

``pool-db`` is the shop through pgbouncer in transaction mode, on two server connections.
``role-18``, ``role-15``: sessions are ``reader``.  ``own-18``, ``own-15``: a user for each session.
``far-db`` is the shop on a server of its own, over a line that a test can make a bad one.
``name-18``, ``name-15``: schemas that rules and scopes name.  ``kept-18``, ``kept-15``,
``kept-pool``, ``kept-pool-15``: settings are imposed.  ``few-…``, ``held-few``: there is a budget.
Every grant is given at once, but for ``held-few``.
"""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from importlib import resources
from typing import Any

from hoopcli.demo.postgres import Postgres
from hoopcli.demo.world import World
from tests.e2e.world import Person
from tests.faults import bad_line
from tests.pool import running_pgbouncer
from tests.servers import DEBIAN_POSTGRES, running_postgres

SCHEMA = """
create role reader; create role writer;
create role gate login password '{gate}' in role reader, writer;
create role maker createrole login password '{maker}';
{admin};
create table public.notes (id int primary key, note text);
insert into public.notes values (1, 'one'), (2, 'two');
create table public.secrets (id int, word text);
insert into public.secrets values (1, 'sesame');
grant select on public.notes to reader;
grant create, usage on schema public to reader;
grant all on public.secrets to writer;
create function public.turns() returns text language plpgsql as
  $$ begin perform set_config('role', 'writer', false); return current_user; end $$;
create function public.adds(a int, b int) returns int language sql immutable as 'select a + b';
create schema payroll; create schema app; create schema hidden;
create table payroll.salaries (id int, amount int);
insert into payroll.salaries values (1, 100);
create table app.orders (id int, item text); insert into app.orders values (1, 'tea');
create table public.orders (id int, item text); insert into public.orders values (2, 'milk');
create table payroll.bonus (word text); insert into payroll.bonus values ('payroll');
create table app.bonus (word text); insert into app.bonus values ('app');
create table public.bonus (word text); insert into public.bonus values ('public');
alter table app.bonus owner to gate; grant select on public.bonus to gate;
create table hidden.salaries (id int, amount int);
grant usage on schema payroll, app to gate;
grant select on all tables in schema payroll, app to gate;
grant select on public.notes, public.orders to gate; grant create on schema app to gate;
alter table app.orders owner to gate;
"""
# Who may create roles may give them to others: by itself up to 15, as their administrator since 16.
ADMIN = "grant reader to maker with admin option"

_TARGET = """
[targets.{name}]
address = "127.0.0.1:{port}"
databases = ["{database}"]
credential = {{ user = "{user}", password = "file:{user}.{version}.password"{more} }}
tls = {{ mode = "off" }}
"""
ROLES = """
[[roles.engineer.may_request]]
targets = ["pool-*", "own-*", "name-*", "far-*", "kept-*", "few-*"]
votes = 0

[[roles.engineer.may_request]]
targets = ["role-*"]
votes = 0
database_role = "reader"

[[roles.engineer.may_request]]
targets = ["held-*"]
approvers = ["dba"]

[[roles.engineer.may_request]]
targets = ["own-*"]
votes = 0
max = "1h"
database_role = "reader"
"""
RULES = """
[[rule]]
name = "no-payroll"
verdict = "refuse"
relations = ["payroll.*"]
targets = ["name-*"]
reason = "salaries are nobody's business"

[[rule]]
name = "pooled-four-eyes"
verdict = "hold"
effects = ["delete"]
targets = ["pool-db"]
relations = ["orders"]
reason = "somebody looks first"
approvers = ["dba"]

[[impose]]
name = "short-and-reading"
targets = ["kept-*"]
reason = "nobody waits for long here, and nobody writes"
statement_timeout = "30s"
idle_in_transaction_session_timeout = "60s"
read_only = true
"""
BUDGETS = {
    "few-rows": 'rows = 100\non_reaching = "end"',
    "few-bytes": 'bytes = "64 KiB"\non_reaching = "end"',
    "few-secrets": 'sensitive = 3\non_reaching = "end"',
    "few-statements": 'statements = 5\non_reaching = "end"',
    "few-told": 'rows = 10\non_reaching = "warn"',
    "held-few": 'rows = 10\non_reaching = "hold"',
}


class Targets(World):
    older: Postgres

    def _fill(self, postgres: Postgres) -> None:
        super()._fill(postgres)
        self.stack = ExitStack()
        self.older = self.stack.enter_context(running_postgres(install=DEBIAN_POSTGRES))
        for version, server in (("18", postgres), ("15", self.older)):
            words = {name: secrets.token_urlsafe(18) for name in ("gate", "maker")}
            server.psql("create database rooms")
            server.psql(SCHEMA.format(admin=ADMIN, **words), "rooms")
            for name, word in words.items():
                self._keep(f"{name}.{version}.password", word)
        shop = (self.folder / "agent" / "prod-db.password").read_text()
        self._keep("shop_app.18.password", shop)
        self.pool = self.stack.enter_context(
            running_pgbouncer(postgres.port, {"shop_app": shop}, size=2, database="dbname=shop")
        )

        word = (self.folder / "agent" / "gate.15.password").read_text()
        self.pool15 = self.stack.enter_context(
            running_pgbouncer(self.older.port, {"gate": word}, size=2, database="dbname=rooms")
        )
        self.far = self.stack.enter_context(running_postgres(settings={"max_connections": "620"}))
        sql = resources.files("hoopcli").joinpath("demo", "shop.sql").read_text(encoding="utf-8")
        self.far.psql(f"\\set password '{shop}'\n{sql}")
        self.line = self.stack.enter_context(bad_line(self.far.port))

    def _keep(self, name: str, word: str) -> None:
        path = self.folder / "agent" / name
        path.touch(mode=0o600)
        path.write_text(word)

    def _spawn(self, name: str, module: str, *arguments: str, stdout: int | None = None) -> Any:
        if name == "agent" and not (self.folder / "agent" / "done").exists():
            self._configure()
        return super()._spawn(name, module, *arguments, stdout=stdout)

    def _configure(self) -> None:
        agent = self.folder / "agent"
        (agent / "done").touch()
        (agent / "roles.toml").write_text((agent / "roles.toml").read_text() + ROLES)
        (agent / "rules.toml").write_text(RULES + "".join(map(_budget, BUDGETS)))
        toml = (agent / "agent.toml").read_text()
        many = "[agent]\nsessions_per_principal = 600\n"
        (agent / "agent.toml").write_text(toml.replace("[agent]\n", many, 1))
        with (agent / "targets.toml").open("a") as file:
            file.write(self._target("pool-db", self.pool, "shop", "shop_app", "18"))
            file.write('pooler = "transaction"\n')
            for name in BUDGETS:
                file.write(self._target(name, self._port, "shop", "shop_app", "18"))
            file.write(self._target("kept-pool", self.pool, "shop", "shop_app", "18"))
            file.write('pooler = "transaction"\n')
            file.write(self._target("kept-pool-15", self.pool15, "rooms", "gate", "15"))
            file.write('pooler = "transaction"\n')
            file.write(self._target("far-db", self.line.port, "shop", "shop_app", "18"))
            file.write("max_sessions = 600\n")
            for version, port in (("18", self._port), ("15", self.older.port)):
                own = ', ephemeral = true, in_roles = ["reader"]'
                for kind, user, more in (
                    ("role", "gate", ""), ("own", "maker", own), ("name", "gate", ""),
                    ("kept", "gate", ""),
                ):  # fmt: skip
                    name = f"{kind}-{version}"
                    file.write(self._target(name, port, "rooms", user, version, more))

    @property
    def _port(self) -> int:
        assert self.postgres is not None
        return self.postgres.port

    def _target(
        self, name: str, port: int, database: str, user: str, version: str, more: str = ""
    ) -> str:
        return _TARGET.format(
            name=name, port=port, database=database, user=user, version=version, more=more
        )

    def server(self, target: str) -> Postgres:
        """The server behind a target."""
        assert self.postgres is not None
        return self.older if target.endswith("15") else self.postgres

    def stop(self) -> None:
        super().stop()
        if hasattr(self, "stack"):
            self.stack.close()


def _budget(target: str) -> str:
    head = f'\n[[budget]]\nname = "{target}"\ntargets = ["{target}"]\nreason = "a test"\n'
    return head + BUDGETS[target]


def granted(person: Person, target: str, scope: str = "") -> str:
    """A grant that the policy gives at once; its id."""
    wish = ("--scope", scope) if scope else ()
    asked = person.json("request", target, "--reason", "a test", "--for", "30m", *wish)
    grants = person.json("grants", "--mine")
    found: str = next(g["id"] for g in grants if g["request"] == asked["id"])
    return found
