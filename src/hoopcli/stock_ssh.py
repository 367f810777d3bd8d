"""What stock ssh must know to reach an agent: where, which host key, and who signs for us.

The block asks hoop before each connection (``Match exec``), so that the sign-in is renewed in time
and whoever keeps the key has it: the person's own ssh-agent, for no longer than the certificate
holds, or one of hoop's that can do nothing but sign.  Where hoop says no, the settings hold all the
same: a name that leads to an agent never leads anywhere else.

Order of the file: the block, getting ready, the person's own ssh-agent.
"""

from __future__ import annotations

import asyncio
import binascii
import hashlib
import os
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hoopcli import marked, profile
from hoopcli.errors import Failure
from hoopcli.profile import home, write_private
from hoopcli.view import clean
from hoopcore.model import is_id

if TYPE_CHECKING:
    from hoopcli.credentials import Credentials
    from hoopcli.signin import Session

_SETTINGS = ("HOOP_HOME", "HOOP_KEYRING")

_SILENT = 5.0  # seconds; an ssh-agent forwarded from a machine that sleeps never answers


@dataclass(frozen=True, slots=True)
class Host:
    """One agent, as stock ssh knows it."""

    nick: str
    alias: str  # what is typed behind ssh
    address: str
    port: int
    user: str
    host_key: str  # kind and base64
    own_agent: str  # socket of hoop's own ssh-agent; empty: the person's
    targets: tuple[tuple[str, str], ...] = ()  # SSH targets: what is typed behind ssh, and the name

    @property
    def names(self) -> list[str]:
        """All that is typed behind ssh for it."""
        return [self.alias, *(typed for typed, _ in self.targets)]


def folder() -> Path:
    return home() / "ssh"


def hosts(names: Sequence[str], *, own_agent: bool) -> list[Host]:
    """Each agent, asked for its whole host key: what was pinned is a fingerprint."""
    from hoopcli.signin import session

    found = []
    for name, nick in profile.nicks(names).items():
        found.append(host(session(name), nick, own_agent=own_agent))
    return found


def host(here: Session, nick: str, *, own_agent: bool) -> Host:
    """One agent.  Its key is known where it was asked for before."""
    kept, place = here.credentials(), here.place
    if not is_id(kept.principal):  # the agent's word, and about to be a line of ssh's settings
        raise Failure(f"the agent at {place.name} gives you an id that is none: {kept.principal}")
    socket = _own_agent(here) if own_agent else ""
    alias = _alias(nick)
    key = _host_key(here, alias)
    return Host(nick, alias, place.host, place.port, kept.principal, key, socket)


def _alias(nick: str) -> str:
    return "hoop-" + "".join(c if c.isalnum() or c in ".-" else "-" for c in nick).strip("-")


def _host_key(here: Session, alias: str) -> str:
    """Kind and base64 of the key whose fingerprint is pinned."""
    from hoopcli import door

    path = known_hosts_of(alias)
    words = path.read_text("utf-8", "replace").split() if path.is_file() else []
    if words[:2] == [alias, "ssh-ed25519"] and _fingerprint(words[2:]) == here.pin.host_key:
        return " ".join(words[1:3])
    key = door.public_key(here.place, here.pin.host_key)
    write_private(path, f"{alias} {key}\n".encode())
    return key


def _fingerprint(words: Sequence[str]) -> str:
    try:
        blob = binascii.a2b_base64(words[0], strict_mode=True)
    except (ValueError, IndexError):
        return ""
    digest = binascii.b2a_base64(hashlib.sha256(blob).digest(), newline=False)
    return f"SHA256:{digest.decode().rstrip('=')}"


def known_hosts_of(alias: str) -> Path:
    """The file with the key of this agent alone."""
    return folder() / f"{alias}.known"


def block(hosts: Sequence[Host]) -> str:
    """What goes into a file that ssh reads."""
    return "\n".join(_one(host) for host in hosts)


def known_hosts(hosts: Sequence[Host]) -> str:
    return "".join(f"{host.alias} {host.host_key}\n" for host in hosts)


def settings(host: Host, known: Path) -> list[str]:
    """All that ssh is told of an agent, but for who somebody is there."""
    return [
        f"HostName {host.address}",
        f"Port {host.port}",
        f"HostKeyAlias {host.alias}",
        f'UserKnownHostsFile "{_quoted(str(known))}"',
        "GlobalKnownHostsFile /dev/null",
        "StrictHostKeyChecking yes",
        *_identity(host),
        "PreferredAuthentications publickey",
        # What is set for every host must not lead a connection to the agent elsewhere.
        "ProxyCommand none",
        "ForwardAgent no",
        "ForwardX11 no",
        "ServerAliveInterval 15",
    ]


def _one(host: Host) -> str:
    ready = [
        *_hoop(),
        "config",
        "ssh-ready",
        host.nick,
        *(["--own-agent"] if host.own_agent else []),
    ]
    environ = os.environ | {"HOOP_HOME": str(home())}  # ssh may start anywhere
    told = [f"{name}={environ[name]}" for name in _SETTINGS if os.environ.get(name)]
    command = shlex.join([*(["env", *told] if told else []), *ready])
    sections = [
        *([f"Host {typed}", f"User {host.user}+{target}"] for typed, target in host.targets),
        [
            f"Host {' '.join(host.names)}",
            f"User {host.user}",
            *settings(host, folder() / "known_hosts"),
        ],
        [f'Match originalhost {",".join(host.names)} exec "{_quoted(command)}"'],
    ]
    return "".join("\n    ".join(lines) + "\n" for lines in sections)


def _identity(host: Host) -> list[str]:
    """Who signs.  In the person's own ssh-agent are other keys too, and one is pointed at."""
    if host.own_agent:
        return [f'IdentityAgent "{_quoted(host.own_agent)}"', "IdentityFile none"]
    public = folder() / f"{host.alias}.pub"
    return [
        f'IdentityFile "{_quoted(str(public))}"',
        f'CertificateFile "{_quoted(str(_certificate(public)))}"',
        "IdentitiesOnly yes",
    ]


def _quoted(text: str) -> str:
    """For ssh_config: a % is one of its own words there, and a quote would end the text."""
    if '"' in text or clean(text) != text:
        raise Failure(f"ssh cannot be told of {text}: it holds a quote, or what no line may hold")
    return text.replace("%", "%%")


def _hoop() -> list[str]:
    """How to start this hoop again."""
    program = shutil.which(sys.argv[0]) or ""
    if Path(program).name == "hoop" and os.path.isabs(program):
        return [program]
    return [sys.executable, "-m", "hoopcli"]


def _certificate(public: Path) -> Path:
    return public.with_name(f"{public.stem}-cert.pub")


def write(hosts: Sequence[Host]) -> tuple[Path, Path]:
    """The block in a file of ours, and a line in ~/.ssh/config that includes it; both files."""
    ours, theirs = folder() / "config", Path("~/.ssh/config").expanduser()
    write_private(folder() / "known_hosts", known_hosts(hosts).encode())
    write_private(ours, block(hosts).encode())
    # On top: behind a Host or Match line it would count for that one alone.
    marked.write(theirs, f'Include "{_quoted(str(ours))}"\n'.encode(), on_top=True)
    return ours, theirs


def remove() -> bool:
    """Takes all of it away again; whether there was any."""
    changed = marked.write(Path("~/.ssh/config").expanduser(), None)
    found = list(folder().glob("*")) if folder().is_dir() else []
    for path in found:
        path.unlink()
    return changed or bool(found)


# --- before each connection -----------------------------------------------------------------------


def ready(name: str, *, own_agent: bool) -> None:
    """Renews the sign-in if that is due, and sees that an ssh-agent has its key."""
    from hoopcli.signin import session

    if own_agent:
        from hoopcli.tunnels import calls

        try:  # whoever holds the tunnels may know the passphrase already
            if calls.call_if_running("ready", agent=name) is not None:
                return
        except Failure:
            pass
        _own_agent(session(name))
        return
    here = session(name)
    here.token()
    kept = here.credentials()
    nick = profile.nicks(profile.agents())[name]
    _publish(kept, nick)
    asyncio.run(_lend(kept))


def _own_agent(here: Session) -> str:
    from hoopcli.tunnels import calls

    told = calls.call("ready", agent=here.place.name, passphrase=here.passphrase)
    return str(told["socket"])


def _publish(kept: Credentials, nick: str) -> None:
    """The public key and the certificate, by which ssh finds the key in the ssh-agent."""
    import asyncssh

    public = folder() / f"{_alias(nick)}.pub"
    key = asyncssh.import_private_key(kept.key).export_public_key()
    write_private(public, key)
    write_private(_certificate(public), kept.certificate.strip().encode() + b"\n")


# --- the person's own ssh-agent -------------------------------------------------------------------


def has_agent() -> bool:
    """Whether there is one that answers."""
    import asyncssh

    async def answers() -> bool:
        async with (
            asyncio.timeout(_SILENT),
            asyncssh.connect_agent(os.environ["SSH_AUTH_SOCK"]) as agent,
        ):
            await agent.get_keys()
        return True

    try:
        return bool(os.environ.get("SSH_AUTH_SOCK")) and asyncio.run(answers())
    except (OSError, ValueError, asyncssh.Error):
        return False


async def _lend(kept: Credentials) -> None:
    """Gives it the key and the certificate, until the certificate ends."""
    import asyncssh

    left = int(kept.expires - time.time())
    key = asyncssh.import_private_key(kept.key)
    try:
        async with asyncssh.connect_agent(os.environ.get("SSH_AUTH_SOCK", "")) as agent:
            pair = (key, asyncssh.import_certificate(kept.certificate))
            await agent.add_keys([pair], lifetime=max(left, 1))
    except (OSError, ValueError, asyncssh.Error) as problem:
        raise Failure(
            f"your ssh-agent does not take the key: {problem}",
            "Use hoop's own:  hoop config ssh --own-agent --write",
        ) from problem


def take_back(kept: Credentials) -> None:
    """Removes what was lent, and what was written of it; nothing where nothing was."""
    for path in [*folder().glob("hoop-*.pub")] if folder().is_dir() else []:
        path.unlink(missing_ok=True)
    if not os.environ.get("SSH_AUTH_SOCK"):
        return
    import asyncssh

    blobs = {
        asyncssh.import_private_key(kept.key).public_data,
        asyncssh.import_certificate(kept.certificate).public_data,
    }

    async def remove() -> None:
        async with (
            asyncio.timeout(_SILENT),
            asyncssh.connect_agent(os.environ["SSH_AUTH_SOCK"]) as agent,
        ):
            ours = [key for key in await agent.get_keys() if key.public_data in blobs]
            await agent.remove_keys(ours)

    try:
        asyncio.run(remove())
    except (OSError, ValueError, asyncssh.Error):
        return  # it ends with the certificate
