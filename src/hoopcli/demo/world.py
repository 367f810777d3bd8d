"""Everything the demo's story happens in: a PostgreSQL, an identity provider and an agent.

All of it lives in one private folder and listens on free loopback ports, so that two demos never
meet.  It ends with the process that made it: ``stop`` ends what was started, in reverse order, and
removes the folder.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

from hoopcli.demo.postgres import Postgres

# Starting takes one to three seconds; a loaded machine gets ten times that.
_PATIENCE = 60.0

ROLES = """\
[roles.engineer]
groups = ["engineering"]

[[roles.engineer.may_request]]
targets = ["prod-*"]
max = "2h"
approvers = ["dba"]
break_glass = true

[roles.dba]
groups = ["dba"]
administer = true
"""


class DemoFailed(Exception):
    """Something of the demo's world did not start; the text has its last words."""


@dataclass(slots=True)
class World:
    """``with World() as world`` starts it all."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="hoop-demo-")))
    postgres: Postgres | None = None
    provider: dict[str, Any] = field(default_factory=dict)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)
    passphrase: str = field(default_factory=lambda: secrets.token_urlsafe(18))

    def __enter__(self) -> World:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def run(self) -> Path:
        return self.folder / "agent" / "run"

    def environment(self, person: str) -> dict[str, str]:
        """What a person's own machine would have in its environment."""
        home = self.folder / person
        home.mkdir(mode=0o700, exist_ok=True)
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("PG", "HOOP"))
        }
        assert self.postgres is not None
        return kept | {
            "HOOP_HOME": str(home),
            "HOOP_AGENT": str(self.run),
            "HOOP_KEYRING": "off",
            "HOOP_PASSPHRASE": self.passphrase,
            "HOOP_PSQL": str(self.postgres.reachable_install() / "bin" / "psql"),
            "PSQLRC": os.devnull,
            "PSQL_HISTORY": os.devnull,
            "PAGER": "cat",
        }

    def stop(self) -> None:
        """Ends what was started, last first; safe to call twice."""
        for process in reversed(self.processes):
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(10)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()
        self.processes.clear()
        if self.postgres is not None:
            self.postgres.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        # PostgreSQL's own user must pass through; the folders within are private.
        self.folder.chmod(0o711)
        database = self.folder / "postgres"
        database.mkdir()
        self.postgres = Postgres(database, password=secrets.token_urlsafe(18)).start()
        self._fill(self.postgres)
        self._start_provider()
        self._set_up_agent()

    def _fill(self, postgres: Postgres) -> None:
        password = secrets.token_urlsafe(18)
        shop = resources.files("hoopcli").joinpath("demo", "shop.sql").read_text(encoding="utf-8")
        postgres.psql(f"\\set password '{password}'\n{shop}")
        agent = self.folder / "agent"
        agent.mkdir(mode=0o700)
        secret = agent / "prod-db.password"
        secret.touch(mode=0o600)
        secret.write_text(password)

    def _start_provider(self) -> None:
        folder = self.folder / "provider"
        folder.mkdir(mode=0o700)
        process = self._spawn(
            "provider",
            "hoopcli.demo.provider",
            *("--port", "0", "--folder", str(folder), "--parent-pid", str(os.getpid())),
            stdout=subprocess.PIPE,
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise DemoFailed(f"the demo identity provider did not start: {self._words('provider')}")
        self.provider = json.loads(line)

    def _set_up_agent(self) -> None:
        agent = self.folder / "agent"
        for name in ("rules.toml", "masks.toml"):
            example = resources.files("hoopcli").joinpath("demo", "agent", name)
            (agent / name).write_text(example.read_text(encoding="utf-8"), encoding="utf-8")
        (agent / "roles.toml").write_text(ROLES, encoding="utf-8")
        (agent / "agent.toml").write_text(
            "[agent]\n"
            'ssh = "127.0.0.1:0"\n'
            'drain = "1s"\n'
            "[identity]\n"
            f"issuer = {json.dumps(self.provider['issuer'])}\n"
            f"client_id = {json.dumps(self.provider['client_id'])}\n"
        )
        assert self.postgres is not None
        (agent / "targets.toml").write_text(
            "[targets.prod-db]\n"
            f'address = "127.0.0.1:{self.postgres.port}"\n'
            'databases = ["shop"]\n'
            'credential = { user = "shop_app", password = "file:prod-db.password" }\n'
            'tls = { mode = "off" }  # this PostgreSQL is on the loopback, and built without TLS\n'
            'owners = ["dba"]\n'
            'tier = "high"\n'
        )
        self.start_agent()

    def start_agent(self) -> None:
        """Runs the agent until it says where it is; once more where it was ended."""
        agent = self.folder / "agent"
        process = self._spawn("agent", "hoopagent", "run", "--config", str(agent))
        self._wait_for(self.run / "agent.json", process)

    def _spawn(self, name: str, module: str, *arguments: str, stdout: int | None = None) -> Any:
        log = self.folder / f"{name}.log"
        with log.open("ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=errors if stdout is None else stdout,
                stderr=errors,
                cwd=self.folder,
                # A Ctrl-C at the terminal is the demo's to act on, not theirs.
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def _wait_for(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        end = time.monotonic() + _PATIENCE
        while not path.exists():
            if process.poll() is not None or time.monotonic() > end:
                raise DemoFailed(f"the agent did not start: {self._words('agent')}")
            time.sleep(0.02)

    def _words(self, name: str) -> str:
        try:
            return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:] or "no words"
        except OSError:
            return "no log"
