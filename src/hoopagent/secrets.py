"""The password of a target's credential: from where its reference says, when it is needed.

A reference (``env:``, ``file:``, ``keyring:``) is read anew each time.  A command is run without a
shell, for a bounded time, and what it prints is a secret: it goes into no log and no error text.
Tokens of a cloud's IAM live for minutes, so what a command printed is used again for as long as the
config says, and not a moment after a target has refused it.

Order of the file: references, commands, and what sessions ask.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import keyring
from keyring.errors import KeyringError

from hoopagent.config import Config, Credential, seconds
from hoopcore.model import SECOND, Time

# A command that asks a metadata service takes a second; one that asks a person takes for ever.
LIMIT = 15.0
# A cloud's token is some kilobytes long.
LARGEST = 64 << 10


class SecretUnread(Exception):
    """There is no password now; the text says where it was looked for, and never what was found."""


# --- references -----------------------------------------------------------------------------------


def read_secret(reference: str, folder: Path) -> str:
    """What a reference stands for; SecretUnread where it stands for nothing.

    Nothing is also what is empty: no password is said by leaving the key out.  Blocks while a
    keyring is asked.
    """
    kind, _, name = reference.partition(":")
    try:
        if kind == "env":
            secret = os.environ.get(name)
        elif kind == "file":
            secret = (folder / name).read_text(encoding="utf-8").rstrip("\r\n")
        else:
            service, _, account = name.rpartition("/")
            secret = keyring.get_password(service, account)
    except (OSError, UnicodeDecodeError, KeyringError) as problem:
        raise SecretUnread(f"nothing is found at {reference}") from problem
    if not secret:
        raise SecretUnread(f"nothing is found at {reference}")
    return secret


# --- commands -------------------------------------------------------------------------------------


def run_command(argv: tuple[str, ...], folder: Path, limit: float = LIMIT) -> str:
    """What the program prints, without the line's end; SecretUnread where it fails or is silent.

    It is started in the config's folder, with the agent's environment and no terminal, and leaves
    with all it has started when the time is over.  Blocks meanwhile.
    """
    end = time.monotonic() + limit
    try:
        process = subprocess.Popen(  # noqa: S603 - the config's own words, and no shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=folder,
            start_new_session=True,
        )
    except (OSError, ValueError) as problem:
        raise SecretUnread(f"the credential's command {argv[0]} does not start") from problem
    try:
        printed = _output(process, end)
        status = process.wait(max(0.0, end - time.monotonic()))
    except (TimeoutError, subprocess.TimeoutExpired):
        raise SecretUnread(f"the credential's command took longer than {limit:.0f} s") from None
    finally:
        # Its children too: they hold the pipe, and perhaps the secret.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        assert process.stdout is not None
        process.stdout.close()
        process.wait()
    if status:
        raise SecretUnread(f"the credential's command failed (exit status {status})")
    return _one_line(printed)


def _output(process: subprocess.Popen[bytes], end: float) -> bytes:
    """All it prints; TimeoutError where it goes on for too long."""
    assert process.stdout is not None
    pipe = process.stdout.fileno()
    printed = b""
    while True:
        left = end - time.monotonic()
        if left <= 0 or not _is_readable(pipe, left):
            raise TimeoutError
        piece = os.read(pipe, LARGEST)
        if not piece:
            return printed
        printed += piece
        if len(printed) > LARGEST:
            raise SecretUnread("the credential's command printed more than a password")


def _is_readable(pipe: int, limit: float) -> bool:
    """Waits for it, and no longer.  A file's number may be beyond what select() takes."""
    asked = select.poll()
    asked.register(pipe, select.POLLIN | select.POLLHUP)
    return bool(asked.poll(limit * 1000))


def _one_line(printed: bytes) -> str:
    try:
        secret = printed.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise SecretUnread("the credential's command printed no UTF-8") from None
    if not secret or any(c in secret for c in "\0\r\n"):
        raise SecretUnread("the credential's command did not print one line")
    return secret


# --- what sessions ask ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kept:
    argv: tuple[str, ...]
    secret: str
    until: Time

    def __repr__(self) -> str:
        return "_Kept(…)"


class Secrets:
    """Passwords by target."""

    def __init__(self, config_now: Callable[[], Config], clock: Callable[[], Time]) -> None:
        self._config_now = config_now
        self._clock = clock
        self._kept: dict[str, _Kept] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def password(self, target: str, credential: Credential) -> str | None:
        """The password of this target's credential, None where it has none; SecretUnread."""
        folder = self._config_now().folder
        if credential.command:
            return await self._commanded(target, credential, folder)
        reference = credential.password
        if reference is None:
            return None
        if reference.startswith("keyring:"):
            return await asyncio.to_thread(read_secret, reference, folder)
        return read_secret(reference, folder)

    def forget(self, target: str) -> None:
        """The target did not take it: the next session asks the command again."""
        self._kept.pop(target, None)

    async def _commanded(self, target: str, credential: Credential, folder: Path) -> str:
        # One at a time: a hundred clients that come at once start one program.
        async with self._locks.setdefault(target, asyncio.Lock()):
            kept = self._kept.get(target)
            if kept and kept.argv == credential.command and self._clock() < kept.until:
                return kept.secret
            secret = await asyncio.to_thread(run_command, credential.command, folder)
            until = self._clock() + seconds(credential.command_keep) * SECOND
            self._kept[target] = _Kept(credential.command, secret, until)
            return secret
