"""Signing somebody in who has only ssh: the device flow (RFC 8628), run by the agent.

The person is shown a page and a code, and the provider is asked every few seconds whether they are
done.  What comes out is an ID token, which is good here as any other one.  No refresh token is
asked for: when the sign-in ends, so does everything.

Order of the file: the values, beginning, waiting.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hoopagent.provider import Provider, ProviderAway, is_protected

GRANT = "urn:ietf:params:oauth:grant-type:device_code"

INTERVAL = 5.0  # seconds; RFC 8628 3.2: where the provider does not say
LONGEST_INTERVAL = 60.0
LONGEST = 300.0  # seconds that anybody waits, whatever the provider says
LONGEST_TEXT = 2048  # characters of what is shown


class FlowRefused(Exception):
    """Nobody is signed in; why, in words for the person."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A flow under way, and what the person needs for it."""

    code: str = field(repr=False)
    user_code: str
    page: str
    interval: float
    lasts: float  # seconds


class DeviceFlow:
    """With one provider, as one public client."""

    def __init__(self, provider: Provider, client_id: str, scopes: tuple[str, ...]) -> None:
        self._provider = provider
        self._client_id = client_id
        self._scopes = scopes

    async def begin(self) -> Shown:
        """FlowRefused where the provider has no such flow; ProviderAway."""
        said = await self._provider.discovery()
        where, offered = said.get("device_authorization_endpoint"), said.get("scopes_supported")
        if not isinstance(where, str):
            raise FlowRefused("your identity provider signs nobody in by a code")
        wanted = [one for one in self._scopes if one != "offline_access"]
        if isinstance(offered, list):
            wanted = [one for one in wanted if one in offered or one == "openid"]
        form = {"client_id": self._client_id, "scope": " ".join(wanted)}
        status, told = await self._provider.post(where, form)
        if status != 200:
            raise FlowRefused("your identity provider did not begin to sign you in")
        return _shown(told)

    async def wait(self, shown: Shown) -> str:
        """The ID token, once the person is done (RFC 8628 3.4, 3.5); FlowRefused."""
        where = (await self._provider.discovery()).get("token_endpoint")
        if not isinstance(where, str):
            raise FlowRefused("your identity provider does not say where it gives tokens")
        form = {"grant_type": GRANT, "device_code": shown.code, "client_id": self._client_id}
        interval = pause = shown.interval
        try:
            async with asyncio.timeout(shown.lasts):
                while True:
                    await asyncio.sleep(pause)
                    pause = interval
                    try:
                        status, told = await self._provider.post(where, form)
                    except ProviderAway:
                        pause = min(pause * 2, LONGEST_INTERVAL)
                        continue
                    if status == 200:
                        return _id_token(told)
                    if told.get("error") == "slow_down":
                        pause = interval = min(interval + 5, LONGEST_INTERVAL)
                    elif told.get("error") != "authorization_pending" and status < 500:
                        raise FlowRefused("your identity provider did not sign you in")
        except TimeoutError:
            raise FlowRefused("nobody entered the code in time") from None


def _shown(told: dict[str, Any]) -> Shown:
    try:
        page = _text(told["verification_uri"])
        if not is_protected(page):
            raise ValueError(page)
        return Shown(
            code=_text(told["device_code"]),
            user_code=_text(told["user_code"]),
            page=page,
            interval=min(max(float(told.get("interval") or INTERVAL), 1.0), LONGEST_INTERVAL),
            lasts=min(float(told["expires_in"]), LONGEST),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise FlowRefused("your identity provider did not begin to sign you in") from problem


def _text(value: object) -> str:
    """Something to show, or to send back; nothing that a terminal would obey."""
    if not isinstance(value, str) or not value.isprintable() or not 0 < len(value) <= LONGEST_TEXT:
        raise ValueError("no text")
    return value


def _id_token(told: dict[str, Any]) -> str:
    token = told.get("id_token")
    if not isinstance(token, str):
        raise FlowRefused("your identity provider gave no ID token")
    return token
