"""Signing in with an identity provider: discovery, the device flow, renewal, revocation.

The device flow (RFC 8628) is the whole of it: the person goes to a page on any device and enters a
code, and we ask the provider every few seconds whether they are done.  A network that goes away
meanwhile is waited for; only the provider's word, or the code's end, is final.

Nothing here keeps anything: who calls decides what is kept.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from hoopcli.errors import Failure

if TYPE_CHECKING:
    import httpx

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"

LARGEST = 1 << 20  # bytes of any answer
TIMEOUT = 20.0  # seconds
INTERVAL = 5.0  # RFC 8628 3.2: where the provider does not say
LONGEST_INTERVAL = 60.0
LONGEST_CODE = 3600.0  # seconds; nobody waits longer, whatever the provider says


class ProviderAway(Failure):
    """No answer, or none that can be understood.  Trying again may help."""


class ProviderRefused(Failure):
    """The provider's no; ``error`` is its word for why (RFC 6749 5.2, RFC 8628 3.5)."""

    def __init__(self, error: str, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.error = error


@dataclass(frozen=True, slots=True)
class Endpoints:
    """What discovery says of a provider."""

    issuer: str
    token: str
    device: str
    revocation: str  # empty where there is none
    scopes: tuple[str, ...]  # empty where it does not say


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


def connect(issuer: str) -> httpx.Client:
    """An HTTP client for one provider: proxies and CA files of the environment count."""
    import ssl

    import certifi
    import httpx

    trust = ssl.create_default_context()  # the system's, or SSL_CERT_FILE
    trust.load_verify_locations(certifi.where())
    return httpx.Client(
        verify=trust,
        timeout=TIMEOUT,
        follow_redirects=False,
        # A proxy has no part in talking to this machine.
        trust_env=not _is_loopback(issuer),
        headers={"Accept": "application/json"},
    )


def discover(http: httpx.Client, issuer: str) -> Endpoints:
    """OpenID Connect Discovery 4; Failure where the provider cannot do what we need."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    status, told = _json(http, "GET", url)
    if status != 200:
        raise ProviderAway(f"{url} answered {status}")
    if told.get("issuer") != issuer:
        raise Failure(f"{issuer} calls itself by another name: it may not be who it should be")
    device = told.get("device_authorization_endpoint")
    if not device:
        raise Failure(
            f"{issuer} has no device flow (RFC 8628)", "Ask who runs it to switch it on for hoop."
        )
    return Endpoints(
        issuer=issuer,
        token=_protected(told.get("token_endpoint")),
        device=_protected(device),
        revocation=_protected(told["revocation_endpoint"])
        if told.get("revocation_endpoint")
        else "",
        scopes=tuple(str(scope) for scope in told.get("scopes_supported") or ()),
    )


def begin(
    http: httpx.Client, endpoints: Endpoints, client_id: str, scopes: Sequence[str]
) -> Device:
    """Starts a device flow, for those of the scopes that the provider has."""
    chosen = [s for s in scopes if not endpoints.scopes or s in endpoints.scopes or s == "openid"]
    form = {"client_id": client_id, "scope": " ".join(chosen)}
    if "offline_access" in chosen:
        form["prompt"] = "consent"  # OpenID Connect Core 11: else some give no refresh token
    status, told = _json(http, "POST", endpoints.device, form)
    if status != 200:
        raise _refusal(endpoints.issuer, status, told)
    try:
        return Device(
            code=str(told["device_code"]),
            user_code=str(told["user_code"]),
            uri=_page(told["verification_uri"]),
            complete_uri=_page(told["verification_uri_complete"])
            if told.get("verification_uri_complete")
            else "",
            interval=min(max(float(told.get("interval") or INTERVAL), 1.0), LONGEST_INTERVAL),
            lasts=min(float(told["expires_in"]), LONGEST_CODE),
        )
    except (KeyError, ValueError, TypeError) as problem:
        raise ProviderAway(f"{endpoints.device} did not start a device flow") from problem


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
            status, told = _json(http, "POST", endpoints.token, form)
        except ProviderAway:
            pause = min(pause * 2, LONGEST_INTERVAL)
            continue
        if status == 200:
            return _tokens(endpoints.issuer, told)
        if told.get("error") == "slow_down":
            interval += 5
        elif told.get("error") != "authorization_pending" and status < 500 and status != 429:
            raise _refusal(endpoints.issuer, status, told)
        pause = interval
    raise ProviderRefused("expired_token", "nobody entered the code in time", "hoop login")


def refresh(http: httpx.Client, endpoints: Endpoints, client_id: str, refresh_token: str) -> Tokens:
    """New tokens for an old one; the old refresh token stays where no new one is given."""
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
    status, told = _json(http, "POST", endpoints.token, form)
    if status >= 500 or status == 429:
        raise ProviderAway(f"{endpoints.token} answered {status}")
    if status != 200:
        raise _refusal(endpoints.issuer, status, told)
    tokens = _tokens(endpoints.issuer, told)
    return Tokens(tokens.id_token, tokens.refresh_token or refresh_token)


def revoke(http: httpx.Client, endpoints: Endpoints, client_id: str, refresh_token: str) -> bool:
    """Whether the provider took the refresh token back (RFC 7009)."""
    if not endpoints.revocation:
        return False
    form = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": client_id}
    status, _ = _json(http, "POST", endpoints.revocation, form, any_body=True)
    return status == 200


# --- inside ---------------------------------------------------------------------------------------


def _json(
    http: httpx.Client,
    method: str,
    url: str,
    form: Mapping[str, str] | None = None,
    *,
    any_body: bool = False,
) -> tuple[int, dict[str, Any]]:
    """Status and JSON object of an answer; ProviderAway where there is neither."""
    import httpx

    body = bytearray()
    try:
        with http.stream(method, _protected(url), data=form) as answer:
            for piece in answer.iter_bytes():
                body += piece
                if len(body) > LARGEST:
                    raise ProviderAway(f"{url} answered with more than {LARGEST} bytes")
    except httpx.HTTPError as problem:
        why = str(problem) or type(problem).__name__
        raise ProviderAway(f"could not reach {url}: {why}") from problem
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as problem:
        if any_body or answer.status_code >= 400:
            return answer.status_code, {}
        raise ProviderAway(f"{url} did not answer with JSON") from problem
    return answer.status_code, told if isinstance(told, dict) else {}


def _tokens(issuer: str, told: dict[str, Any]) -> Tokens:
    id_token = told.get("id_token")
    if not isinstance(id_token, str):
        raise Failure(f"{issuer} gave no ID token", "Its client for hoop needs the scope openid.")
    renewal = told.get("refresh_token")
    return Tokens(id_token, renewal if isinstance(renewal, str) else "")


_WORDS = {
    "access_denied": "the sign-in was denied",
    "expired_token": "nobody entered the code in time",
    "invalid_client": "the provider does not know hoop's client id",
    "unauthorized_client": "the provider does not let hoop's client id sign in this way",
    "invalid_grant": "the provider does not take this sign-in any more",
}


def _refusal(issuer: str, status: int, told: dict[str, Any]) -> ProviderRefused:
    error = str(told.get("error") or status)
    more = told.get("error_description")
    said = _WORDS.get(error, f"{issuer} refused: {error}")
    if isinstance(more, str) and error not in ("access_denied", "expired_token"):
        said += f" ({more[:200]})"
    return ProviderRefused(error, said, "hoop login" if error in _WORDS else "")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _protected(url: Any) -> str:
    """The URL, if nobody on the way can read along."""
    if isinstance(url, str):
        scheme = urlsplit(url).scheme
        if scheme == "https" or (scheme == "http" and _is_loopback(url)):
            return url
    raise Failure(f"the provider is to be reached by https only, not at {str(url)[:200]}")


def _page(url: Any) -> str:
    """A page for a person's browser, and nothing else that a browser might open."""
    if not isinstance(url, str) or urlsplit(url).scheme not in ("https", "http"):
        raise ValueError("not a page")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("not a page")
    return url
