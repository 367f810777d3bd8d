"""Telling people: a webhook, a chat, or a program of one's own.

What is told follows the audit (``audit_follow``): nothing is told that did not happen, a restart
loses nothing, and a webhook that is away for an hour gets it all afterwards, in order.  Nobody who
asks, decides or connects ever waits for it.

A webhook is signed as standardwebhooks.com says: ``webhook-id`` is the same at each attempt, so
that a repeat is known as one, and ``webhook-signature`` is over it, the time and the body.

Order of the file: the notifier, the webhook, the program.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import hashlib
import hmac
import json
import os
import re
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from hoopagent.audit_follow import NotNow
from hoopagent.config import Config, Notify, seconds
from hoopagent.means import View
from hoopagent.notify_words import about, event_of, message, slack
from hoopagent.provider import LOOPBACK, is_loopback, is_protected
from hoopagent.secrets import SecretUnread, read_secret
from hoopagent.store import Store
from hoopcore.audit import Row
from hoopcore.model import SECOND, Time

_REFERENCE = re.compile(r"(env|file|keyring):(?!//)")

# What is wrong with this message, and not with the way to whoever reads it.
_NEVER = frozenset({400, 413, 422})


@dataclass(slots=True)
class Notifier:
    """One ``[[agent.notify]]``."""

    section: Notify
    store: Store
    config_now: Callable[[], Config]
    clock: Callable[[], Time]

    @property
    def name(self) -> str:
        return f"notify:{self.section.name}"

    @property
    def lease(self) -> Time:
        """How long nobody else may tell what this one is telling."""
        return (seconds(self.section.limit) + 10) * SECOND

    def oldest(self, now: Time) -> Time:
        """What was done before is told no more."""
        return now - seconds(self.section.give_up) * SECOND

    async def tell(self, rows: Sequence[Row]) -> int:
        """Passes over what it is not told of, and tells one row; how many are done with then."""
        for done, row in enumerate(rows):
            sent = await self._message(row)
            if sent is None:
                continue
            try:
                await self._send(sent)
            except NotNow as problem:
                raise NotNow(str(problem), done=done, never=problem.never) from problem
            return done + 1
        return len(rows)

    async def _message(self, row: Row) -> View | None:
        if event_of(row) not in self.section.events:
            return None
        found = await about(self.store, row)
        targets = self.config_now().targets
        section = None if found.request is None else targets.get(found.request.target)
        return message(self.section, row, found, frozenset() if section is None else section.owners)

    async def _send(self, sent: View) -> None:
        folder, limit = self.config_now().folder, float(seconds(self.section.limit))
        try:
            async with asyncio.timeout(limit):
                if self.section.command:
                    await run(self.section.command, folder, sent)
                else:
                    await self._post(sent, folder, limit)
        except TimeoutError:
            raise NotNow(f"no answer within {limit:g} s") from None

    # --- the webhook ------------------------------------------------------------------------------

    async def _post(self, sent: View, folder: Path, limit: float) -> None:
        url = await self._read(self.section.url, folder)
        if not is_protected(url):
            raise NotNow("its url is not https")
        body = _json(slack(sent) if self.section.format == "slack" else sent)
        headers = {"Content-Type": "application/json", "User-Agent": "hoop-agent"}
        headers |= self._signed(str(sent["id"]), body, folder)
        try:
            async with (
                httpx.AsyncClient(
                    timeout=limit,
                    follow_redirects=False,
                    trust_env=not is_loopback(url),
                    mounts=dict.fromkeys(LOOPBACK),
                ) as client,
                client.stream("POST", url, content=body, headers=headers) as answer,
            ):
                status = answer.status_code
        except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as problem:
            # The URL may be a secret, so nothing of it is told but the host.
            raise NotNow(f"{_host(url)}: {type(problem).__name__}") from None
        if not 200 <= status < 300:
            raise NotNow(f"{_host(url)} answered {status}", never=status in _NEVER)

    def _signed(self, id: str, body: bytes, folder: Path) -> dict[str, str]:
        at = str(self.clock() // SECOND)
        headers = {"webhook-id": id, "webhook-timestamp": at}
        if self.section.secret is not None:
            try:
                secret = read_secret(self.section.secret, folder)
            except SecretUnread as problem:
                raise NotNow(str(problem)) from None
            headers["webhook-signature"] = signature(secret, id, at, body)
        return headers

    async def _read(self, text: str, folder: Path) -> str:
        if not _REFERENCE.match(text):
            return text
        try:
            return await asyncio.to_thread(read_secret, text, folder)
        except SecretUnread as problem:
            raise NotNow(str(problem)) from None


def signature(secret: str, id: str, at: str, body: bytes) -> str:
    """``v1,`` and the HMAC; a secret that begins with ``whsec_`` is base64 behind it."""
    key = secret.encode()
    if secret.startswith("whsec_"):
        with contextlib.suppress(binascii.Error):
            key = base64.b64decode(secret.removeprefix("whsec_"))
    made = hmac.new(key, f"{id}.{at}.".encode() + body, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(made).decode()}"


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "its url"
    except ValueError:
        return "its url"


def _json(value: View) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


# --- a program ------------------------------------------------------------------------------------

# The agent's own environment may hold what its secrets refer to.
_PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ")


async def run(argv: tuple[str, ...], folder: Path, sent: View) -> None:
    """Starts the program without a shell and writes one line of JSON to it; NotNow.

    It leaves with all it has started when the caller's time is over.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            cwd=folder,
            env={name: os.environ[name] for name in _PASSED if name in os.environ},
            start_new_session=True,
        )
    except (OSError, ValueError) as problem:
        raise NotNow(f"{argv[0]} does not start") from problem
    try:
        await process.communicate(_json(sent) + b"\n")
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    if process.returncode:
        raise NotNow(f"{argv[0]} failed (exit status {process.returncode})")
