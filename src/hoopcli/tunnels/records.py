"""What is the same from day to day: the port of a tunnel, and the password of its TCP end.

Which port a target has stands in ``tunnels.json``, which holds no secret.  Passwords are not kept
at all: each is made anew from one secret of this machine, in the keyring or the encrypted file,
and from whom, where and what the tunnel is for (decision 0013).
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import tempfile
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hoopcli.errors import Failure
from hoopcli.profile import home, own_folder, write_private

if TYPE_CHECKING:
    from hoopcli.credentials import Vault

# sun_path holds 104 bytes on macOS, and the longest name in the folder has 24.
_LONGEST_FOLDER = 78

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

SECRET = "hoop tunnels"  # noqa: S105 - its name in the vault

HOST = "127.0.0.1"
USER = "hoop"  # of every tunnel: who it is stands in the sign-in, not in what a client says


@dataclass(frozen=True, slots=True)
class Record:
    """A tunnel that keeps its address, open or not."""

    agent: str  # as the profile names it
    target: str
    database: str  # that its addresses name; the target's first where nothing else was asked for
    port: int  # of the loopback, and the number in the name of its unix socket
    turn: int = 0  # how often its password was changed on purpose
    stays: bool = True  # open whenever tunnels are held; not once it was stopped

    @property
    def name(self) -> str:
        """What tells it from others of the same target."""
        return f"{self.agent}/{self.target}"


def folder() -> Path:
    """Where the sockets are: ours alone, and the same one each day.

    Beside the settings; where that path is too long for a socket, in the system's folder for
    temporary things, under a name that follows from it.
    """
    beside = home() / "tunnels"
    if len(os.fsencode(beside)) > _LONGEST_FOLDER:
        mark = hashlib.sha256(os.fsencode(home().resolve())).hexdigest()[:12]
        beside = Path(tempfile.gettempdir()) / f"hoop-{os.geteuid()}-{mark}"
    return beside


def made_folder() -> Path:
    """The same, made; Failure where somebody else could write there."""
    found = folder()
    if found.is_symlink():
        raise Failure(f"{found} is a link, and not hoop's own folder; remove it")
    own_folder(found)
    if found.is_symlink() or found.lstat().st_uid != os.geteuid():  # it may have come meanwhile
        raise Failure(f"{found} is a link, and not hoop's own folder; remove it")
    if found.stat().st_mode & 0o077:
        found.chmod(0o700)
    return found


def remembered() -> list[Record]:
    """All records; none where the file cannot be read as ours."""
    try:
        told = json.loads((home() / "tunnels.json").read_bytes())
        return [Record(**one) for one in told["tunnels"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as problem:
        raise Failure(
            f"{home() / 'tunnels.json'} could not be read: {problem}",
            "Without it every tunnel gets a new port:  remove it, and open them again",
        ) from problem


def changed(edit: Callable[[list[Record]], list[Record]]) -> None:
    """What ``edit`` makes of all records is kept from now on; one process at a time does this.

    The process that holds the tunnels and any ``hoop`` may want to at the same moment.  The lock is
    on a file of its own, since the records' file is another one each time.
    """
    import fcntl

    own_folder(home())
    handle = os.open(home() / "tunnels.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        known = remembered()
        after = edit(known)
        if after != known:
            told: dict[str, Any] = {"version": 1, "tunnels": [asdict(one) for one in after]}
            write_private(home() / "tunnels.json", json.dumps(told, indent=1).encode())


def stopped(chosen: Collection[tuple[str, str]]) -> None:
    """Those of these agents and targets open no more by themselves."""
    if remembered():
        changed(
            lambda known: [
                replace(one, stays=False) if (one.agent, one.target) in chosen else one
                for one in known
            ]
        )


def forgotten(chosen: Collection[tuple[str, str]]) -> None:
    """Those of these agents and targets have no port and no password any more."""
    changed(lambda known: [one for one in known if (one.agent, one.target) not in chosen])


def with_record(records: Sequence[Record], new: Record) -> list[Record]:
    """The new one in the place of what was kept for its target."""
    others = [one for one in records if (one.agent, one.target) != (new.agent, new.target)]
    return [*others, new]


def view(
    record: Record, folder: Path, state: str, problem: str = "", connections: int = 0
) -> dict[str, Any]:
    """A tunnel as it is shown.  It holds no password."""
    return {
        "agent": record.agent,
        "target": record.target,
        "database": record.database,
        "state": state,
        "problem": problem,
        "connections": connections,
        "host": HOST,
        "port": record.port,
        "socket_dir": str(folder),
        "user": USER,
    }


def turned(record: Record, port: int) -> Record:
    """Another port and another password, on purpose."""
    return replace(record, port=port, turn=record.turn + 1)


def secret(vault: Vault) -> str:
    """This machine's secret for passwords; made when it is first wanted."""
    from hoopcli.credentials import PLAIN

    if vault.kind == PLAIN:  # a workload's, which keeps nothing else that lasts
        return _secret_in(home() / "credentials" / "tunnels")
    found = vault.load(SECRET)
    if found is None:
        found = os.urandom(32).hex()
        vault.save(SECRET, found)
    return found


def _secret_in(path: Path) -> str:
    if not path.exists():
        write_private(path, os.urandom(32).hex().encode())
    return path.read_text("ascii")


def password(secret: str, host_key: str, principal: str, record: Record) -> str:
    """22 letters and digits, 130 bits, the same as long as its parts are."""
    parts = (host_key, principal, record.target, str(record.turn))
    return _letters(hmac.digest(secret.encode(), "\0".join(parts).encode(), "sha256"))


def random_password() -> str:
    """One for a tunnel that ends with its `hoop connect`."""
    return _letters(os.urandom(32))


def _letters(made: bytes) -> str:
    number = int.from_bytes(made, "big")
    letters = []
    for _ in range(22):
        number, place = divmod(number, 62)
        letters.append(_LETTERS[place])
    return "".join(letters)
