"""Becoming ssh on an SSH target: stock ssh, with nothing of its owner's settings.

ssh takes the place of this process, as psql does.  All that it is told are options: the agent's
address and pinned key, who somebody is there, and a socket where hoop signs for them.
"""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from typing import NoReturn

from hoopcli import psql, stock_ssh
from hoopcli.client import Client
from hoopcli.errors import fail
from hoopcli.view import clean


def program() -> str:
    """The ssh to start."""
    found = shutil.which("ssh")
    if found is None:
        fail("there is no ssh on PATH.", "It is in the package openssh-client of most systems.")
    return os.path.abspath(found)


def become(
    client: Client, target: str, arguments: Sequence[str], *, terminal: bool = False
) -> NoReturn:
    """A shell on the target; with arguments, the command of exactly these words."""
    ssh = program()
    told = options(client, target)
    client.close()
    words = ["--", clean(target), *([shlex.join(arguments)] if arguments else [])]
    psql.become(ssh, [*told, *(["-t"] if terminal else []), *words], os.environ, "ssh")


def options(client: Client, target: str) -> list[str]:
    """For any program that takes options of ssh's."""
    from hoopcli import profile

    here = client.session
    name = here.place.name
    nick = profile.nicks(profile.agents()).get(name, name)
    host = stock_ssh.host(here, nick, own_agent=True)
    lines = [
        f"User {host.user}+{target}",
        *stock_ssh.settings(host, stock_ssh.known_hosts_of(host.alias)),
        "SendEnv LANG LC_*",
    ]
    return ["-F", "none", *(word for line in lines for word in ("-o", line))]
