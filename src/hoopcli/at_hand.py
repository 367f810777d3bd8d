"""The agent token at hand, in the kernel's keyring: so that not each command opens the vault.

To open the encrypted file costs what makes a stolen one worthless.  So who has opened it leaves
the *agent token*, and nothing else, with the kernel: it is on no disk, only our uid may read it,
whoever possesses the keyring, and it goes after a quarter of an hour without use and with the
token's own end, an hour at most (decision 0022).  The refresh token and the SSH key stay in the
file.  What is in the system's keyring stays there: it has a lock of its own, and people lock it.

What is kept says what it was kept for, and counts no more when one of these files has been written
since: the profile, the agent's ``agent.json``, the encrypted file.  ``HOOP_AT_HAND=off`` keeps
nothing.  Where there is no such keyring (macOS, most containers) nothing is kept either.

This module is on the way of ``quick``, and imports next to nothing.
"""

from __future__ import annotations

import os
import sys
import time

TYPE_CHECKING = False  # typing itself takes longer to import than all that follows
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IDLE = 15 * 60  # seconds without use, as sudo has it
_LARGEST = 8 << 10
_FIRST = "hoop 1"

# Numbers of linux/keyctl.h, and what they are called by on the machines Python has wheels for.
_CALLS = {"x86_64": (248, 250), "aarch64": (217, 219), "riscv64": (217, 219)}
_USER_KEYRING = -4
_UPDATE, _SETPERM, _UNLINK, _SEARCH, _READ, _SET_TIMEOUT = 2, 5, 9, 10, 11, 15

# View, read, write, search and set attributes, by our uid and by nobody else.  The possessor has
# no right of his own: a session keyring goes along with su.
_OURS = 0x2F << 16


class Kept:
    """A token, whose it is, and where it is good."""

    __slots__ = ("api", "name", "owner", "token", "until")

    def __init__(self, name: str, api: str, owner: int, token: str, until: float) -> None:
        self.name = name  # of the agent
        self.api = api  # the path of its control API; empty for an agent elsewhere
        self.owner = owner  # uid of its run folder; -1 for an agent elsewhere
        self.token = token
        self.until = until  # seconds since 1970


def home() -> str:
    """What ``profile.home`` says on Linux, without what it imports."""
    told = os.environ.get("HOOP_HOME")
    if told:
        return os.path.abspath(told)
    return os.path.join(
        os.environ.get("XDG_CONFIG_HOME", "").strip() or os.path.expanduser("~/.config"), "hoop"
    )


def find(label: str) -> Kept | None:
    """What is kept under the label and still counts; it is kept on for having been used."""
    found = _key(label)
    if found is None:
        return None
    kept = _read(_payload(found))
    if kept is not None:
        _call(_SET_TIMEOUT, found, _seconds(kept))
    return kept


def keep(label: str, kept: Kept, files: Iterable[str]) -> None:
    """Keeps it as long as the files stay as they are.  Nothing is said where that fails."""
    try:
        lines = [_FIRST, kept.name, kept.api, str(kept.owner), kept.token, repr(kept.until)]
        lines += [f"{path}\t{_mark(path)}" for path in files]
    except OSError:
        return
    text = "\n".join(lines).encode()
    whole = text.count(b"\n") == len(lines) - 1 and len(text) <= _LARGEST
    if not whole or _seconds(kept) <= 0:
        return
    found = _key(label)
    if found is None:
        # First what it may be done to, then what is in it.
        found = _call_add(_described(label), b"-")
        if found is not None and _call(_SETPERM, found, _OURS) is None:
            _call(_UNLINK, found, _USER_KEYRING)
            return
    if found is not None:
        _call(_UPDATE, found, text, len(text))  # which takes away a time it had
        if _call(_SET_TIMEOUT, found, _seconds(kept)) is None:
            drop([label])


def drop(labels: Iterable[str]) -> None:
    """Keeps it no more."""
    for label in labels:
        found = _key(label)
        if found is not None:
            _call(_UPDATE, found, b"-", 1)  # others may hold the key itself
            _call(_UNLINK, found, _USER_KEYRING)


# --- what is kept ---------------------------------------------------------------------------------


def _read(text: str | None) -> Kept | None:
    lines = (text or "").split("\n")
    if len(lines) < 6 or lines[0] != _FIRST:
        return None
    try:
        kept = Kept(lines[1], lines[2], int(lines[3]), lines[4], float(lines[5]))
        marks = [line.split("\t") for line in lines[6:]]
        same = all(_mark(path) == mark for path, mark in marks)
    except (OSError, ValueError):
        return None
    return kept if same and _seconds(kept) > 0 else None


def _mark(path: str) -> str:
    """What is another one when the file has been written since, or another is in its place."""
    seen = os.stat(path)
    parts = (seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    return f"{parts} {seen.st_uid} {seen.st_mode:o}"


def _seconds(kept: Kept) -> int:
    """How long it is kept on."""
    return int(min(IDLE, kept.until - time.time()))


def _described(label: str) -> bytes:
    return f"hoop:{home()}:{label}".encode("utf-8", "surrogateescape")


# --- the kernel -----------------------------------------------------------------------------------


def _off() -> bool:
    told = os.environ.get("HOOP_AT_HAND", "").lower()
    return told in ("off", "0", "no") or sys.platform != "linux"


def _key(label: str) -> int | None:
    described = _described(label)
    if _off() or len(described) > 4000 or b"\0" in described:
        return None
    return _call(_SEARCH, _USER_KEYRING, b"user", described, 0)


def _payload(key: int) -> str | None:
    import ctypes

    room = ctypes.create_string_buffer(_LARGEST)
    size = _call(_READ, key, room, _LARGEST)
    if size is None or size > _LARGEST:
        return None
    return room.raw[:size].decode("utf-8", "surrogateescape")


def _call_add(described: bytes, payload: bytes) -> int | None:
    return _raw(0, (b"user", described, payload, len(payload), _USER_KEYRING))


def _call(operation: int, *arguments: object) -> int | None:
    """keyctl(2); None where the kernel says no, or has none of it."""
    return _raw(1, (operation, *arguments))


def _raw(which: int, arguments: Sequence[object]) -> int | None:
    numbers = _CALLS.get(os.uname().machine)
    if numbers is None or sys.maxsize < 1 << 32:
        return None
    try:
        import ctypes

        call = ctypes.CDLL(None).syscall
    except (ImportError, OSError, AttributeError):
        return None  # a Python without libffi, a C library without syscall
    call.restype = ctypes.c_long
    padded = [*arguments, *[0] * (5 - len(arguments))]
    given = [ctypes.c_long(one) if isinstance(one, int) else one for one in padded]
    told = int(call(ctypes.c_long(numbers[which]), *given))
    return told if told >= 0 else None
