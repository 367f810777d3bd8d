"""The identity provider as the agent sees it: two documents, and what it is asked, within bounds.

Discovery says where the keys are, and the keys say who may sign.  Both are kept for ten minutes;
a token with a key id nobody knows makes us look again, but at most once a minute, so that a storm
of made-up ids is no storm for the provider.  Whoever shows a key id that is known waits for nobody.

HTTPS_PROXY and NO_PROXY count, but this machine is never asked through a proxy.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from hoopcore.model import SECOND, Time

LARGEST_DOCUMENT = 1 << 20
TIMEOUT = 10.0  # seconds for a whole document
KEPT = 10 * 60 * SECOND
PAUSE = 60 * SECOND  # between two looks for an unknown key
RETRY = 5 * SECOND  # after a provider that did not answer

# Asked for plain, since a small compressed answer may be a very large one.
HEADERS = {"Accept": "application/json", "Accept-Encoding": "identity"}
LOOPBACK = ("all://127.0.0.1", "all://[::1]", "all://localhost")


class ProviderAway(Exception):
    """The provider did not give its documents; the text says which and why."""


def is_loopback(url: str) -> bool:
    """Whether the URL's host is this machine, by address or as ``localhost``."""
    host = _split(url)[1]
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _split(url: str) -> tuple[str, str]:
    """Scheme and host; nothing of what is no URL."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname or ""
    except ValueError:
        return "", ""


def is_protected(url: str) -> bool:
    """https, or plain http that never leaves this machine."""
    scheme = _split(url)[0]
    return scheme == "https" or (scheme == "http" and is_loopback(url))


class Provider:
    """``keys(kid)`` is the question; everything else is how the answer is kept fresh."""

    def __init__(self, issuer: str, ca_file: Path | None, clock: Callable[[], Time]) -> None:
        self._issuer = issuer
        self._ca_file = ca_file
        self._clock = clock
        self._keys: list[dict[str, Any]] = []
        self._discovery: dict[str, Any] = {}
        self._fetched: Time | None = None
        self._tried: Time | None = None
        self._lock = asyncio.Lock()
        self._http: httpx.AsyncClient | None = None

    async def keys(self, kid: str | None) -> list[dict[str, Any]]:
        """The provider's public JWKs, not older than ten minutes; raises ProviderAway."""
        if self._current() and self._knows(kid):
            return self._keys
        async with self._lock:
            if not self._current():
                if not self._within(self._tried, RETRY):
                    await self._refresh()
            elif not self._knows(kid) and not self._within(self._tried, PAUSE):
                await self._refresh()
            if not self._current():
                raise ProviderAway(f"{self._issuer} could not be asked for its keys just now")
            return self._keys

    async def discovery(self) -> dict[str, Any]:
        """What the provider says of itself, not older than ten minutes; raises ProviderAway."""
        await self.keys(None)
        return self._discovery

    async def post(self, url: str, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and answer, whatever it is; empty where that is no JSON.  Raises ProviderAway."""
        status, body = await self._asked("POST", url, form)
        try:
            told = json.loads(body)
        except (ValueError, RecursionError):
            told = {}
        return status, told if isinstance(told, dict) else {}

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
            self._http = None

    def _current(self) -> bool:
        return self._within(self._fetched, KEPT)

    def _knows(self, kid: str | None) -> bool:
        return kid is None or any(key.get("kid") == kid for key in self._keys)

    def _within(self, since: Time | None, span: Time) -> bool:
        """A clock that was turned back makes nothing fresh for ever."""
        return since is not None and 0 <= self._clock() - since < span

    async def _refresh(self) -> None:
        self._tried = self._clock()
        discovery = await self._document(
            f"{self._issuer.rstrip('/')}/.well-known/openid-configuration"
        )
        # OpenID Connect Discovery 4.3: else one provider could speak for another.
        if discovery.get("issuer") != self._issuer:
            raise ProviderAway(f"{self._issuer} calls itself by another name in its discovery")
        where = discovery.get("jwks_uri")
        if not isinstance(where, str):
            raise ProviderAway(f"{self._issuer} does not say where its keys are")
        keys = (await self._document(where)).get("keys")
        if not isinstance(keys, list):
            raise ProviderAway(f"{where} is not a set of keys")
        self._keys = [key for key in keys if isinstance(key, dict)]
        self._discovery = discovery
        self._fetched = self._clock()

    async def _document(self, url: str) -> dict[str, Any]:
        status, body = await self._asked("GET", url)
        if status != 200:
            raise ProviderAway(f"{url} answered {status}")
        try:
            document = json.loads(body)
        except (ValueError, RecursionError) as problem:
            raise ProviderAway(f"{url} is not JSON") from problem
        if not isinstance(document, dict):
            raise ProviderAway(f"{url} is not a JSON object")
        return document

    async def _asked(
        self, method: str, url: str, form: dict[str, str] | None = None
    ) -> tuple[int, bytes]:
        """Status and body; whatever the status, of no more than the largest document."""
        if not is_protected(url):
            raise ProviderAway(f"{url} is not https")
        try:
            async with (
                asyncio.timeout(TIMEOUT),
                self._client().stream(method, url, data=form) as answer,
            ):
                if answer.headers.get("Content-Encoding", "identity") != "identity":
                    raise ProviderAway(f"{url} is compressed, and nobody asked for that")
                body = bytearray()
                async for piece in answer.aiter_bytes():
                    body += piece
                    if len(body) > LARGEST_DOCUMENT:
                        raise ProviderAway(f"{url} is larger than {LARGEST_DOCUMENT} bytes")
                return answer.status_code, bytes(body)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError, ValueError) as problem:
            why = str(problem) or type(problem).__name__
            raise ProviderAway(f"{url} could not be read: {why}") from problem

    def _client(self) -> httpx.AsyncClient:
        if self._http is None:
            try:
                trust = ssl.create_default_context(cafile=self._ca_file)
            except OSError as problem:
                raise ProviderAway(f"{self._ca_file} could not be read: {problem}") from problem
            try:
                self._http = httpx.AsyncClient(
                    verify=trust,
                    timeout=TIMEOUT,
                    headers=HEADERS,
                    follow_redirects=False,
                    trust_env=not is_loopback(self._issuer),
                    mounts=dict.fromkeys(LOOPBACK),
                )
            except (ImportError, ValueError, httpx.InvalidURL) as problem:  # of the environment
                raise ProviderAway(f"the proxy cannot be used: {problem}") from problem
        return self._http
