"""What is measured, on free loopback ports: a PostgreSQL and the ways to it.

A way is where a client connects: straight to the server, through the empty relay, through
pgbouncer, or through hoop by one of its doors.  The agent has rules, records, and has masks
declared; ``World.settings`` starts it anew with others.  Everything ends with ``stop``.

Order: ways, the world, the parts of it.
"""

from __future__ import annotations

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from bench.accounting import family
from hoopcli.credentials import Credentials, FileVault
from hoopcli.demo.postgres import free_port
from hoopcli.demo.world import World as Demo
from tests.e2e.world import Person

DATABASE = "shop"
ROLE = "bench"
TARGET = "prod-db"
SECONDS = 30.0  # for a process to start, on a busy machine

ROLES = """\
[roles.engineer]
groups = ["engineering", "support"]

[[roles.engineer.may_request]]
targets = ["prod-*"]
max = "8h"
votes = 0
"""

# The usual case: masks are declared, and most statements touch other relations.
MASKS = """\
[[mask]]
column = "public.masked.mail"
style = "keep-last-4"

[[mask]]
column = "public.nulled.mail"
style = "null"
"""
DETECTORS = 'detectors = ["card", "ssn", "email"]\n' + MASKS

_RULE = """
[[rule]]
name = "rule-{number}"
verdict = "{verdict}"
reason = "one of many"
{matches}
"""
_MATCHES = (
    'relations = ["tenant_{number}.*"]\neffects = ["insert", "update", "delete"]',
    'columns = ["public.t_{number}.secret"]',
    'functions = ["app.f_{number}"]',
    'labels = {{ team = "t-{number}" }}\neffects = ["delete"]',
)


def many_rules(count: int) -> str:
    """So many rules of all kinds, of which only the last matches: it holds a DELETE."""
    rules = [
        _RULE.format(number=n, verdict="refuse", matches=_MATCHES[n % 4].format(number=n))
        for n in range(count - 1)
    ]
    held = 'relations = ["public.plain"]\neffects = ["delete"]\napprovers = ["dba"]'
    return "".join(rules) + _RULE.format(number="held", verdict="hold", matches=held)


@dataclass(frozen=True, slots=True)
class Way:
    """Where a client connects, and whose resources that uses."""

    name: str  # direct, relay, pgbouncer, local, ssh
    port: int
    user: str
    password: str = field(default="", repr=False)
    pids: tuple[int, ...] = ()  # what stands between client and server

    def environment(self) -> dict[str, str]:
        """For libpq; the password is in no argv."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
        return kept | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSWORD": self.password,
            "PGDATABASE": DATABASE,
            "PGSSLMODE": "disable",
            "PGGSSENCMODE": "disable",
        }


class World:
    """``with World(rows) as world``; ``ways`` are what can be measured."""

    def __init__(self, rows: int, scale: int) -> None:
        self.rows, self.scale = rows, scale
        self.demo = Demo()
        self.ways: dict[str, Way] = {}
        self._processes: list[subprocess.Popen[Any]] = []  # ours, beside the demo's
        self._doors: list[subprocess.Popen[Any]] = []  # those that end with the agent
        self._settings = ("", "")  # masks and rules
        self._demo_rules = ""
        self._others: list[Way] = []  # other people's ways, once they are asked for

    def __enter__(self) -> World:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        for process in (*reversed(self._doors), *reversed(self._processes)):
            _end(process)
        self.demo.stop()

    def _start(self) -> None:
        self.demo.__enter__()
        assert self.demo.postgres is not None
        password = self.demo.postgres.password
        self._fill(password)
        server = self.demo.postgres.port
        self.ways["direct"] = Way("direct", server, ROLE, password)
        self._start_relay(server, password)
        self._start_pgbouncer(server, password)
        agent = self.demo.folder / "agent"
        (agent / "roles.toml").write_text(ROLES)
        (agent / "prod-db.password").write_text(password)
        targets = (agent / "targets.toml").read_text()
        (agent / "targets.toml").write_text(targets.replace('"shop_app"', f'"{ROLE}"'))
        self._demo_rules = (agent / "rules.toml").read_text()
        self.settings(MASKS, "", first=True)

    def program(self, name: str) -> str:
        """psql or pgbench: those of the server where it has them."""
        assert self.demo.postgres is not None
        own = self.demo.postgres.reachable_install() / "bin" / name
        found = str(own) if own.exists() else shutil.which(name)
        if found is None:
            raise SystemExit(f"bench: there is no {name}; apt-get install postgresql-client")
        return found

    # --- the agent --------------------------------------------------------------------------

    def settings(self, masks: str, rules: str, *, first: bool = False) -> None:
        """The agent with these masks, and these rules beside the demo's, and its doors open."""
        if (masks, rules) == self._settings:
            return
        self._settings = (masks, rules)
        self._others.clear()
        for process in self._doors:
            _end(process)
        self._doors.clear()
        _end(self.demo.processes.pop())
        (self.demo.run / "agent.json").unlink(missing_ok=True)
        (self.demo.folder / "agent" / "masks.toml").write_text(masks)
        (self.demo.folder / "agent" / "rules.toml").write_text(self._demo_rules + rules)
        self.demo.start_agent()
        ana = Person(self.demo, "ana")
        if first:
            ana.sign_in()
            ana.hoop("request", TARGET, "--reason", "to be measured", "--for", "8h")
        self.ways["local"] = self._open_local(ana)
        self._open_ssh(ana)

    @property
    def others(self) -> list[Way]:
        """The local ways of more people, who have a grant each."""
        if not self._others:
            for name in ("ben", "cleo"):
                person = Person(self.demo, name)
                person.sign_in()
                person.hoop("request", TARGET, "--reason", "to be measured", "--for", "8h")
                self._others.append(self._open_local(person))
        return self._others

    @property
    def agent(self) -> tuple[int, ...]:
        """The agent and its reader process."""
        return tuple(family(self.demo.processes[-1].pid))

    def _open_local(self, person: Person) -> Way:
        process = subprocess.Popen(
            [sys.executable, "-m", "hoopcli", "connect", TARGET, "--listen", "-o", "json"],
            env=self.demo.environment(person.name),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._doors.append(process)
        assert process.stdout is not None
        text = ""
        while not text.endswith("\n}\n") and (line := process.stdout.readline()):
            text += line
            if _whole(text):
                break
        told = json.loads(text)
        return Way("local", told["port"], told["user"], told["password"], self.agent)

    def _open_ssh(self, person: Person) -> None:
        """The system's own ``ssh -L`` with the certificate of ``hoop login``."""
        program = shutil.which("ssh")
        if program is None:
            return
        folder, port = self.demo.folder / person.name, free_port()
        told = json.loads((self.demo.run / "agent.json").read_text())
        vault = FileVault(folder / "credentials")
        vault._passphrase = self.demo.passphrase
        mine = Credentials.from_text(vault.load(told["host_key"]) or "")
        identity = folder / "ssh-key"
        for path, text in ((identity, mine.key), (Path(f"{identity}-cert.pub"), mine.certificate)):
            path.touch(mode=0o600)
            path.write_text(text + "\n")
        host, _, ssh_port = told["ssh"].partition(":")
        options = [
            *("StrictHostKeyChecking=no", f"UserKnownHostsFile={folder / 'known_hosts'}"),
            *("IdentitiesOnly=yes", "BatchMode=yes", "ExitOnForwardFailure=yes", "LogLevel=ERROR"),
        ]
        words = [word for option in options for word in ("-o", option)]
        process = subprocess.Popen(
            [
                *(program, "-F", "none", *words, "-i", str(identity), "-N"),
                *("-L", f"127.0.0.1:{port}:{TARGET}:5432"),
                *("-p", ssh_port, f"{mine.principal}@{host}"),
            ],
            stdin=subprocess.DEVNULL,
        )
        self._doors.append(process)
        _wait_for_port(port, process)
        self.ways["ssh"] = Way("ssh", port, "anybody", "", self.agent)

    # --- what it is compared with -----------------------------------------------------------

    def _start_relay(self, server: int, password: str) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.relay", "127.0.0.1", str(server)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        assert process.stdout is not None
        port = int(process.stdout.readline())
        self.ways["relay"] = Way("relay", port, ROLE, password, (process.pid,))

    def _start_pgbouncer(self, server: int, password: str) -> None:
        """Session pooling; it refuses to run as root, so then as nobody."""
        program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        if program is None:
            return
        folder, port = self.demo.folder / "pgbouncer", free_port()
        folder.mkdir(mode=0o700)
        users = folder / "users"
        users.write_text(f'"{ROLE}" "{password}"\n')
        config = folder / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n{DATABASE} = host=127.0.0.1 port={server}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
            f"auth_type = scram-sha-256\nauth_file = {users}\npool_mode = session\n"
            "default_pool_size = 60\nmax_client_conn = 500\nserver_idle_timeout = 1\n"
            "log_connections = 0\n"
            "log_disconnections = 0\nignore_startup_parameters = extra_float_digits\n"
        )
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if account is not None:
            for path in (folder, users, config):
                os.chown(path, account.pw_uid, account.pw_gid)
        process = subprocess.Popen(
            [program, "-q", str(config)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
        )
        self._processes.append(process)
        _wait_for_port(port, process)
        self.ways["pgbouncer"] = Way("pgbouncer", port, ROLE, password, (process.pid,))

    def _fill(self, password: str) -> None:
        assert self.demo.postgres is not None
        text = resources.files("bench").joinpath("rows.sql").read_text(encoding="utf-8")
        settings = f"\\set password '{password}'\n"
        settings += f"\\set rows {self.rows}\n\\set scale {self.scale}\n"
        self.demo.postgres.psql(settings + text, DATABASE)


# --- processes ------------------------------------------------------------------------------------


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout):
        if stream is not None:
            stream.close()


def _wait_for_port(port: int, process: subprocess.Popen[Any]) -> None:
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"bench: {_name(process.args)} did not start")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise SystemExit(f"bench: {_name(process.args)} does not listen")


def _name(arguments: Any) -> str:
    first = arguments[0] if isinstance(arguments, Sequence) else arguments
    return Path(str(first)).name


def _whole(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
