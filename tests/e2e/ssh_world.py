"""The demo's world with SSH targets: a real sshd behind the agent, and people with stock ssh.

``web-1`` is reached with a key, ``web-ca`` with a certificate of the agent's.  ``web-wrong`` pins
another host key, ``web-gone`` is not there, ``web-weak`` offers only what hoop does not speak.
``web-masked`` has masks over what it shows; ``web-exec`` takes commands only and ``held-1`` wants
an approver; ``web-fwd`` lists forwards and ``bash-1`` has bash; on ``role-1`` sessions are
``nobody``, and ``scoped-1`` is granted for two programs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import asyncssh

from hoopcli.demo.postgres import free_port
from hoopcli.demo.world import World
from tests.e2e.test_ssh_lane import kept
from tests.e2e.world import Person
from tests.servers import missing
from tests.sshd import Sshd, running_sshd

ROLES = """
[[roles.engineer.may_request]]
targets = ["web-*", "bash-*"]
votes = 0

[[roles.engineer.may_request]]
targets = ["scoped-1"]
scope = "git:run ls:run"
votes = 0

[[roles.engineer.may_request]]
targets = ["role-1"]
account = "nobody"
votes = 0

[[roles.engineer.may_request]]
targets = ["held-1"]
approvers = ["dba"]
"""
RULES = """
[[rule]]
name = "no-rm"
verdict = "refuse"
reason = "nothing is removed here"
targets = ["web-1", "bash-1"]
commands = ["rm", "git push --force"]
example = ["sudo rm -rf /x", "git push origin --force"]
counter_example = "ls"

[[rule]]
name = "no-secrets"
verdict = "refuse"
reason = "secrets stay where they are"
targets = ["web-1"]
paths = ["/etc/shadow", "/etc/ssl/private/*"]

[[rule]]
name = "no-ninth"
verdict = "refuse"
reason = "not this one"
targets = ["web-fwd"]
commands = ["forward 127.0.0.1:9"]

[[rule]]
name = "ask-first"
verdict = "hold"
reason = "somebody looks at it"
targets = ["web-exec"]
commands = ["touch"]
approvers = ["dba"]
"""
TARGET = """
[targets.{name}]
protocol = "ssh"
address = "127.0.0.1:{port}"
credential = {{ user = "{account}", {proof} }}
host = {{ keys = ["{key}"] }}
{output}
{more}
"""
NAMES = (
    "web-1",
    "web-ca",
    "web-wrong",
    "web-gone",
    "web-weak",
    "web-exec",
    "web-masked",
    "web-fwd",
    "bash-1",
    "scoped-1",
    "role-1",
)


class SshWorld(World):
    """Started like any other; ``sshd`` is the host behind most targets."""

    def __enter__(self) -> SshWorld:
        self.stack = ExitStack()
        super().__enter__()
        return self

    def stop(self) -> None:
        self.stack.close()
        super().stop()

    def start_agent(self) -> None:
        if not hasattr(self, "sshd"):
            self._start_sshd()
        super().start_agent()

    def _start_sshd(self) -> None:
        from hoopagent.keys import Keys

        agent = self.folder / "agent"
        keys = Keys.load_or_create(agent / "data" / "keys")
        ca = keys.target_ca.export_public_key().decode()
        run = self.stack.enter_context
        self.sshd: Sshd = run(running_sshd(self.folder / "sshd", ca=ca))
        weak = "KexAlgorithms diffie-hellman-group14-sha256\nCiphers aes128-ctr"
        self.weak: Sshd = run(running_sshd(self.folder / "weak", weak))
        other = asyncssh.generate_private_key("ssh-ed25519").export_public_key().decode().strip()
        proof = f'key_file = "{self.sshd.key_file}"'
        special: dict[str, dict[str, Any]] = {
            "web-ca": {"proof": "certificate = true"},
            "role-1": {"proof": "certificate = true"},
            "web-wrong": {"key": other},
            "web-gone": {"port": free_port()},
            "web-weak": {"port": self.weak.port, "key": self.weak.host_key},
            "web-masked": {"proof": "certificate = true", "output": ""},
            "web-exec": {"more": 'channels = ["exec"]'},
            "web-fwd": {
                "proof": "certificate = true",
                "more": 'forwards = ["127.0.0.1:*", "*.hoop.test:80"]',
            },
            "bash-1": {"more": 'shell = "bash"'},
        }
        usual = {"port": self.sshd.port, "account": self.sshd.account, "proof": proof}
        usual |= {"key": self.sshd.host_key, "more": "", "output": 'output = "clear"'}
        with (agent / "targets.toml").open("a") as targets:
            for name in (*NAMES, "held-1"):
                targets.write(TARGET.format(**usual | special.get(name, {}), name=name))
        with (agent / "roles.toml").open("a") as roles:
            roles.write(ROLES)
        with (agent / "rules.toml").open("a") as rules:
            rules.write(RULES)


def options(person: Person) -> list[str]:
    """What stock ssh, scp and sftp are told of the agent and of who this is."""
    mine, folder = kept(person), person.world.folder / person.name
    identity = folder / "ssh-key"
    for path, text in ((identity, mine.key), (Path(f"{identity}-cert.pub"), mine.certificate)):
        path.touch(mode=0o600)
        path.write_text(text + "\n")
    _, _, port = told(person)["ssh"].partition(":")
    settings = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={folder / 'known_hosts'}"]
    settings += ["IdentitiesOnly=yes", "BatchMode=yes", "LogLevel=ERROR", f"Port={port}"]
    words = [word for one in settings for word in ("-o", one)]
    return ["-F", "none", *words, "-i", str(identity)]


def told(person: Person) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((person.world.run / "agent.json").read_text())
    return found


def stock(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        missing(name, f"apt-get install the package of {name}")
        raise AssertionError
    return found


def command(person: Person, target: str, *words: str, more: tuple[str, ...] = ()) -> list[str]:
    """Stock ssh on a target, through the agent."""
    user = ("-l", f"{person.name}+{target}")
    return [stock("ssh"), *options(person), *more, *user, "127.0.0.1", "--", *words]


def ssh(
    person: Person,
    target: str,
    *words: str,
    stdin: bytes = b"",
    more: tuple[str, ...] = (),
    environ: dict[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command(person, target, *words, more=more),
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | (environ or {}),
    )
