"""Signing in with an identity provider: discovery, the device flow, renewal, revocation.

The device flow (RFC 8628): the person goes to a page on any device and enters a code, and we ask
the provider every few seconds whether they are done.  A network that goes away meanwhile is waited
for; only the provider's word, or the code's end, is final.  The other ways in are in ``browser``
and ``workload``; they share what is here.

Nothing here keeps anything: who calls decides what is kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hoopcli.errors import Failure
from hoopcli.provider import (
    LARGEST,
    LONGEST_CODE_TEXT,
    ProviderAway,
    ProviderRefused,
    ask,
    connect,
    names_of,
    number_of,
    page_of,
    protected,
    refusal,
    text_of,
)

if TYPE_CHECKING:
    import httpx

__all__ = ["LARGEST", "ProviderAway", "ProviderRefused", "connect"]

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

INTERVAL = 5.0  # RFC 8628 3.2: where the provider does not say
SOONEST = 0.2  # seconds between two polls, whatever a provider says
LONGEST_INTERVAL = 60.0
LONGEST_CODE = 3600.0  # seconds; nobody waits longer, whatever the provider says


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What discovery says of a provider."""

    issuer: str
    token: str
    device: str  # empty where there is none, as are those below
    revocation: str
    scopes: tuple[str, ...]  # empty where it does not say
    authorization: str = ""
    names_itself: bool = False  # whether each answer of a browser says who gave it (RFC 9207)
    client_auth: tuple[str, ...] = ("client_secret_basic",)


@dataclass(frozen=True, slots=True)
class Device:
    """A device flow under way."""

    code: str = field(repr=False)
    user_code: str
    uri: str
    complete_uri: str  # with the code in it; empty where the provider has none
    interval: float
    lasts: float  # seconds


@dataclass(frozen=True, slots=True)
class Tokens:
    id_token: str = field(repr=False)
    refresh_token: str = field(default="", repr=False)


def discover(http: httpx.Client, issuer: str) -> Endpoints:
    """OpenID Connect Discovery 4; Failure where the provider cannot do what we need."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    status, told = ask(http, "GET", url)
    if status != 200:
        raise ProviderAway(f"{url} answered {status}")
    if told.get("issuer") != issuer:
        raise Failure(f"{issuer} calls itself by another name: it may not be who it should be")

    def other(name: str) -> str:
        return protected(told[name]) if told.get(name) else ""

    methods = names_of(told.get("token_endpoint_auth_methods_supported"))
    return Endpoints(
        issuer=issuer,
        token=protected(told.get("token_endpoint")),
        device=other("device_authorization_endpoint"),
        revocation=other("revocation_endpoint"),
        scopes=names_of(told.get("scopes_supported")),
        authorization=other("authorization_endpoint"),
        names_itself=told.get("authorization_response_iss_parameter_supported") is True,
        client_auth=methods or ("client_secret_basic",),  # OpenID Connect Discovery 3
    )


def begin(
    http: httpx.Client, endpoints: Endpoints, client_id: str, scopes: Sequence[str]
) -> Device:
    """Starts a device flow, for those of the scopes that the provider has."""
    if not endpoints.device:
        other = "Try:  hoop login --browser" if endpoints.authorization else ""
        raise Failure(
            f"{endpoints.issuer} has no device flow (RFC 8628)",
            other or "Ask who runs it to switch it on for hoop.",
        )
    form = {"client_id": client_id} | wished(endpoints, scopes)
    status, told = ask(http, "POST", endpoints.device, form)
    if status != 200:
        raise refusal(endpoints.issuer, status, told)
    try:
        return Device(
            code=text_of(told["device_code"], LARGEST),
            user_code=text_of(told["user_code"], LONGEST_CODE_TEXT),
            uri=page_of(told["verification_uri"]),
            complete_uri=page_of(told["verification_uri_complete"])
            if told.get("verification_uri_complete")
            else "",
            interval=min(
                max(number_of(told.get("interval") or INTERVAL), SOONEST), LONGEST_INTERVAL
            ),
            lasts=min(number_of(told["expires_in"]), LONGEST_CODE),
        )
    except (KeyError, ValueError, TypeError) as problem:
        raise ProviderAway(f"{endpoints.device} did not start a device flow") from problem


def wished(endpoints: Endpoints, scopes: Sequence[str]) -> dict[str, str]:
    """What is asked of the provider: those of the scopes that it has."""
    chosen = [s for s in scopes if not endpoints.scopes or s in endpoints.scopes or s == "openid"]
    form = {"scope": " ".join(chosen)}
    if "offline_access" in chosen:
        form["prompt"] = "consent"  # OpenID Connect Core 11: else some give no refresh token
    return form


def wait(
    http: httpx.Client,
    endpoints: Endpoints,
    client_id: str,
    device: Device,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Tokens:
    """Until the person is done (RFC 8628 3.4, 3.5); ProviderRefused where they said no.

    While the network is away the pauses double; the code's end ends the waiting all the same.
    """
    end = clock() + device.lasts
    interval = pause = device.interval
    form = {"grant_type": DEVICE_GRANT, "device_code": device.code, "client_id": client_id}
    while clock() + pause < end:
        sleep(pause)
        try:
            status, told = ask(http, "POST", endpoints.token, form, limit=end - clock())
        except ProviderAway:
            pause = min(pause * 2, LONGEST_INTERVAL)
            continue
        if status == 200:
            return tokens_of(endpoints.issuer, told)
        if told.get("error") == "slow_down":
            interval += 5
        elif told.get("error") != "authorization_pending" and status < 500 and status != 429:
            raise refusal(endpoints.issuer, status, told)
        pause = interval
    raise ProviderRefused("expired_token", "nobody entered the code in time", "hoop login")


def redeem(
    http: httpx.Client,
    endpoints: Endpoints,
    form: Mapping[str, str],
    auth: tuple[str, str] | None = None,
) -> dict[str, Any]:
    """The token endpoint's answer to one grant; ProviderRefused is its no."""
    status, told = ask(http, "POST", endpoints.token, form, auth=auth)
    if status >= 500 or status == 429:
        raise ProviderAway(f"{endpoints.token} answered {status}")
    if status != 200:
        raise refusal(endpoints.issuer, status, told)
    return told


def refresh(http: httpx.Client, endpoints: Endpoints, client_id: str, refresh_token: str) -> Tokens:
    """New tokens for an old one; the old refresh token stays where no new one is given."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
    tokens = tokens_of(endpoints.issuer, redeem(http, endpoints, form))
    return Tokens(tokens.id_token, tokens.refresh_token or refresh_token)


def revoke(http: httpx.Client, endpoints: Endpoints, client_id: str, refresh_token: str) -> bool:
    """Whether the provider took the refresh token back (RFC 7009)."""
    if not endpoints.revocation:
        return False
    form = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": client_id}
    status, _ = ask(http, "POST", endpoints.revocation, form, any_body=True)
    return status == 200


def tokens_of(issuer: str, told: dict[str, Any]) -> Tokens:
    """The tokens in an answer of the token endpoint."""
    id_token = told.get("id_token")
    if not isinstance(id_token, str):
        raise Failure(f"{issuer} gave no ID token", "Its client for hoop needs the scope openid.")
    renewal = told.get("refresh_token")
    return Tokens(id_token, renewal if isinstance(renewal, str) else "")
