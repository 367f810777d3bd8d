"""The files of the agent's own keys: made once, and readable by nobody else.

A folder or file that others can read stops the start: a key that may have leaked is no key.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

# Far more than any key of ours.
_LARGEST = 16384


class KeyUnsafe(Exception):
    """A key others may have read, or that is none; the text says which, and what to do."""


def own_folder(folder: Path) -> None:
    """Made where it is not there; KeyUnsafe where others can look into it."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    _only_ours(folder, folder.stat(), "700")


def load_or_create(path: Path, fresh: Callable[[], bytes]) -> bytes:
    """What is in the file; one that is not there is made.  Two starts at once get the same.

    KeyUnsafe where others can reach it, OSError where it is a link or cannot be read.
    """
    if not path.exists():
        _create(path, fresh())
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        _only_ours(path, os.fstat(file.fileno()), "600")
        return file.read(_LARGEST)


def _create(path: Path, content: bytes) -> None:
    """Whole or not at all, and never over one that is there: others may have pinned it."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another start was quicker; its key is the one
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()


def _only_ours(path: Path, seen: os.stat_result, mode: str) -> None:
    if seen.st_uid != os.geteuid():
        raise KeyUnsafe(f"{path} belongs to uid {seen.st_uid}, not to the agent's account")
    if seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise KeyUnsafe(f"{path} can be reached by others: chmod {mode} it, if nobody has read it")
