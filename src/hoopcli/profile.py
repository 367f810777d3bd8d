"""Which agent is meant, and what is known of it: where it is, its pinned key, its provider.

An agent is named by the run folder it keeps on this machine, or by HOST:PORT of its SSH door.  It
is *found* each time (its port may have changed) and *pinned* once: after that, another host key or
another owner of the folder is an error, since somebody may have taken the place of an agent that
is down.

Everything is in one folder, ``HOOP_HOME`` or the system's place for settings, and only its owner
can read it.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoopcli import whole_files
from hoopcli.errors import AgentUnreachable, Exit, Failure, NotSignedIn

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(?P<port>\d{1,5})")

LARGEST = 64 << 10  # bytes of agent.json


@dataclass(frozen=True, slots=True)
class Pin:
    """What is remembered of an agent since the first sign-in there."""

    host_key: str  # SHA256:… of its SSH host key
    owner: int | None  # uid of its run folder; None for a remote one
    issuer: str = ""
    client_id: str = ""
    vault: str = ""  # where the credentials were put: credentials.Vault.kind
    ca_file: str = ""  # certificate authorities to believe the provider by; empty: the system's
    workload: Mapping[str, str] = field(default_factory=dict)  # workload.Means, for no person


@dataclass(frozen=True, slots=True)
class Place:
    """Where an agent is now."""

    name: str  # as the person calls it: the run folder's path, or HOST:PORT
    host: str
    port: int
    host_key: str  # what its agent.json says; empty for a remote one, which nobody vouches for
    owner: int | None  # uid of the run folder, if nobody else can write there
    api: Path | None  # its control API; None for a remote one


def home() -> Path:
    """The folder of this module; made, and only ours, once something is written."""
    told = os.environ.get("HOOP_HOME")
    if told:
        return Path(told).absolute()  # the tunnels' process and ssh start elsewhere
    import platformdirs

    return platformdirs.user_config_path("hoop", appauthor=False)


def wanted(agent: str | None) -> str:
    """The name of the agent that is meant; NotSignedIn where nothing says which.

    What was typed, else $HOOP_AGENT, else the one signed in to last, else the run folder where a
    system's agent has it.
    """
    if agent or os.environ.get("HOOP_AGENT"):
        return named(agent or os.environ["HOOP_AGENT"])
    current = _read().get("agent")
    if isinstance(current, str):
        return current
    for folder in _well_known():
        if (folder / "agent.json").exists():
            return str(folder)
    raise NotSignedIn(hint="Sign in:  hoop login --agent RUN_FOLDER_OR_HOST:PORT")


def agents() -> list[str]:
    """The names of all agents with a sign-in, in the order of the first; $HOOP_AGENT is alone."""
    if os.environ.get("HOOP_AGENT"):
        return [wanted(None)]
    known = _read().get("agents", {})
    return [name for name, entry in known.items() if not entry.get("signed_out")]


def named(agent: str) -> str:
    """One name for one agent, wherever it is typed: a folder's full path, else as it is.

    What an agent is called in a list is a name too, where it is no folder and no HOST:PORT.
    """
    path = Path(agent).expanduser()
    if not path.is_dir() and not _ADDRESS.fullmatch(agent):
        known = {nick: name for name, nick in nicks(list(_read().get("agents", {}))).items()}
        if agent in known:
            return known[agent]
    if path.is_dir() or not _ADDRESS.fullmatch(agent):
        return str(path.resolve())
    return agent


def nicks(names: Sequence[str]) -> dict[str, str]:
    """What each agent is called in a list: as short as it can be told from the others."""
    shorts = {name: _short(name) for name in names}
    taken = list(shorts.values())
    return {name: short if taken.count(short) == 1 else name for name, short in shorts.items()}


def locate(name: str) -> Place:
    """Where the agent of that name is now; AgentUnreachable says what is missing there."""
    address = _ADDRESS.fullmatch(name)
    if address and not Path(name).is_dir():
        host, port = address["host"].strip("[]"), int(address["port"])
        if not 0 < port < 1 << 16:
            raise Failure(f"{name}: a port is from 1 to 65535", code=Exit.USAGE)
        return Place(name, host, port, "", None, None)
    return _local(Path(name))


def pin_of(name: str) -> Pin | None:
    """What is remembered of the agent; None where there was no sign-in."""
    entry = _read().get("agents", {}).get(name)
    if not isinstance(entry, dict) or "host_key" not in entry:
        return None
    return Pin(
        host_key=str(entry["host_key"]),
        owner=entry.get("owner"),
        issuer=str(entry.get("issuer", "")),
        client_id=str(entry.get("client_id", "")),
        vault=str(entry.get("vault", "")),
        ca_file=str(entry.get("ca_file", "")),
        workload={str(name): str(value) for name, value in entry.get("workload", {}).items()},
    )


def check(place: Place, pin: Pin) -> None:
    """Failure where the agent that is there now is not the one that was pinned."""
    if place.api is not None and (place.owner is None or place.owner != pin.owner):
        raise Failure(
            f"{place.name} is not as it was: another account can write there now, or owns it",
            "If the agent was moved on purpose:  hoop login --force",
        )
    if place.host_key and place.host_key != pin.host_key:
        raise changed_key(place.name, pin.host_key, place.host_key)


def changed_key(name: str, pinned: str, seen: str) -> Failure:
    """The words for a host key that is another one."""
    return Failure(
        f"the agent at {name} shows another host key than before\n"
        f"pinned  {pinned}\n"
        f"shown   {seen}\n"
        "Somebody may have taken its place.",
        "If whoever runs it says that the new key is right:\n"
        f"hoop login --agent {name} --fingerprint {seen}",
    )


def remember(name: str, pin: Pin) -> None:
    """Keeps the pin, and makes this agent the one that is meant when nothing is said."""
    import tomlkit

    path = home() / "profile.toml"
    document = tomlkit.parse(path.read_text("utf-8")) if path.exists() else tomlkit.document()
    document["agent"] = name
    agents = document.setdefault("agents", tomlkit.table(is_super_table=True))
    entry = tomlkit.table()
    entry["host_key"] = pin.host_key
    if pin.owner is not None:
        entry["owner"] = pin.owner
    entry["issuer"] = pin.issuer
    entry["client_id"] = pin.client_id
    entry["vault"] = pin.vault
    if pin.ca_file:
        entry["ca_file"] = pin.ca_file
    if pin.workload:
        entry["workload"] = dict(pin.workload)
    agents[name] = entry
    write_private(path, tomlkit.dumps(document).encode())


def sign_out_of(name: str) -> None:
    """Keeps the pin and counts the agent no more; another one is meant from now on, if any."""
    import tomlkit

    path = home() / "profile.toml"
    if not path.exists():
        return
    document = tomlkit.parse(path.read_text("utf-8"))
    known = document.get("agents", {})
    if name in known:
        known[name]["signed_out"] = True
    left = [other for other, entry in known.items() if not entry.get("signed_out")]
    if left and document.get("agent") == name:
        document["agent"] = left[-1]
    write_private(path, tomlkit.dumps(document).encode())


def write_private(path: Path, content: bytes) -> None:
    """The whole file or none of it, 0600 in a folder that is ours alone."""
    own_folder(path.parent)
    whole_files.replace(path, content)


def own_folder(folder: Path) -> None:
    """Makes it 0700; Failure where it is somebody else's, or others can write there."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    seen = folder.stat()
    if seen.st_uid != os.geteuid() or seen.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Failure(f"{folder} is not yours alone, so nothing secret is put there")


# --- inside ---------------------------------------------------------------------------------------


def _read() -> dict[str, Any]:
    import tomllib

    path = home() / "profile.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise Failure(f"{path} could not be read: {problem}") from problem


def _well_known() -> list[Path]:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return [*([Path(runtime) / "hoop"] if runtime else []), Path("/run/hoop")]


def _short(name: str) -> str:
    if not _ADDRESS.fullmatch(name):
        return "local"
    host = name.rpartition(":")[0]
    return host if re.fullmatch(r"[\d.]+|\[.*\]", host) else host.partition(".")[0]


def _local(folder: Path) -> Place:
    path = folder / "agent.json"
    try:
        with path.open("rb") as file:
            told = json.loads(file.read(LARGEST))
        address = _ADDRESS.fullmatch(told["ssh"])
        if address is None:
            raise ValueError("its ssh is no HOST:PORT")
        return Place(
            name=str(folder),
            host=address["host"].strip("[]"),
            port=int(address["port"]),
            host_key=str(told["host_key"]),
            owner=_owner(folder, path),
            api=Path(told["api"]),
        )
    except FileNotFoundError:
        raise AgentUnreachable(f"there is no agent at {folder}") from None
    except OSError as problem:
        raise AgentUnreachable(f"{path} could not be read: {problem.strerror}") from problem
    except (ValueError, KeyError, TypeError) as problem:
        raise AgentUnreachable(f"{path} is not what an agent writes: {problem}") from problem


def _owner(folder: Path, file: Path) -> int | None:
    """The one account that can write there; None where there may be several."""
    seen, inside = folder.stat(), file.stat()
    others = stat.S_IWGRP | stat.S_IWOTH
    if (seen.st_mode | inside.st_mode) & others or inside.st_uid != seen.st_uid:
        return None
    return seen.st_uid
