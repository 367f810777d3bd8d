"""A real ``hoop-agent run`` without any target to reach, for tests of who may sign in."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hoopcli import door
from hoopcli.credentials import Credentials, FileVault
from hoopcli.profile import Place, locate
from tests import hoop_process
from tests.servers import private_folder

PATIENCE = 60.0

TARGETS = """
[targets.prod-db]
address = "127.0.0.1:1"
databases = ["shop"]
credential = { user = "app" }
"""
ROLES = """
[roles.engineer]
groups = ["engineering", "ci"]
[[roles.engineer.may_request]]
targets = ["prod-*"]
approvers = ["dba"]

[roles.dba]
groups = ["dba"]
administer = true
"""


@dataclass
class RealAgent:
    """The agent's process, and one person's ``hoop`` beside it."""

    folder: Path
    process: subprocess.Popen[bytes]
    environ: dict[str, str]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    @property
    def place(self) -> Place:
        return locate(str(self.run))

    def log(self) -> str:
        return (self.folder / "log").read_text()

    def audit(self) -> list[dict[str, Any]]:
        """What the audit holds, oldest first, from the store's own file."""
        import sqlite3

        with sqlite3.connect(self.folder / "data" / "hoop.sqlite") as store:
            rows = store.execute("select actor, action, subject, detail from audit order by seq")
            names = ("actor", "action", "subject", "detail")
            return [dict(zip(names, row, strict=True)) for row in rows]

    def exchange(self, token: str, key: str = "", **options: str) -> door.Exchanged:
        """Straight to the SSH door, as a client of nobody's making; door.Refusal is the no."""
        place = self.place
        return door.exchange(place, place.host_key, key or door.fresh_key(), token, **options)

    def hoop(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return hoop_process.hoop(self.environ | changes, *arguments)

    def login(
        self, visit: Callable[[str], None], *arguments: str, **changes: str
    ) -> tuple[int, str]:
        """``hoop login``; ``visit`` is given all that was said when it begins to wait."""
        return hoop_process.login(self.environ | changes, lambda said, _: visit(said), *arguments)

    def kept(self) -> Credentials:
        return Credentials.from_text(self._vault.load(self.place.host_key) or "")

    def keep(self, kept: Credentials) -> None:
        self._vault.save(self.place.host_key, kept.to_text())

    @property
    def _vault(self) -> FileVault:
        return hoop_process.vault(self.environ)


def page_in(said: str) -> str:
    """The address on a line of its own in what ``hoop login --browser`` said."""
    found = re.search(r"^(https?://\S+)$", said, re.MULTILINE)
    assert found, said
    return found[1]


@contextmanager
def running_agent(
    issuer: str, identity: str = "", *, environ: Mapping[str, str] | None = None
) -> Iterator[RealAgent]:
    """``identity`` is more of the ``[identity]`` table; ``environ`` is the agent's own."""
    with private_folder() as folder:
        (folder / "agent.toml").write_text(
            '[agent]\nssh = "127.0.0.1:0"\ndrain = "1s"\nsign_ins_per_minute = 100000\n'
            f'[identity]\nissuer = {json.dumps(issuer)}\nclient_id = "hoop"\n{identity}\n'
        )
        (folder / "targets.toml").write_text(TARGETS)
        (folder / "roles.toml").write_text(ROLES)
        for name in ("rules.toml", "masks.toml"):
            (folder / name).touch()
        dropped = ("HOOP", "DBUS", "DISPLAY", "HTTP", "http", "NO_PROXY", "no_proxy", "SSL", "SSH")
        kept = {k: v for k, v in os.environ.items() if not k.startswith(dropped)}
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "hoopagent", "run", "--config", str(folder)],
                env=kept | dict(environ or {}),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        ours = {"HOOP_HOME": str(folder / "home"), "HOOP_AGENT": str(folder / "run")}
        secret = {"HOOP_KEYRING": "off", "HOOP_PASSPHRASE": "correct horse"}
        agent = RealAgent(folder, process, kept | ours | secret)
        try:
            _await(agent)
            yield agent
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(agent: RealAgent) -> None:
    end = time.monotonic() + PATIENCE
    while not (agent.run / "agent.json").exists():
        assert agent.process.poll() is None, agent.log()
        assert time.monotonic() < end, agent.log()
        time.sleep(0.02)
