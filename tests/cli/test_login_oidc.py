"""The device flow's every answer, with a provider that says what the test tells it to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import httpx
import pytest

from hoopcli import oidc
from hoopcli.errors import Failure

ISSUER = "https://id.example"
DISCOVERY: dict[str, Any] = {
    "issuer": ISSUER,
    "token_endpoint": f"{ISSUER}/token",
    "device_authorization_endpoint": f"{ISSUER}/device_authorization",
    "revocation_endpoint": f"{ISSUER}/revoke",
    "scopes_supported": ["openid", "email", "offline_access"],
}
DEVICE: dict[str, Any] = {
    "device_code": "dc",
    "user_code": "WXYZ-1234",
    "verification_uri": f"{ISSUER}/device",
    "verification_uri_complete": f"{ISSUER}/device?user_code=WXYZ-1234",
    "expires_in": 600,
}
ENDPOINTS = oidc.Endpoints(ISSUER, f"{ISSUER}/token", f"{ISSUER}/device_authorization", "", ())
DONE = {"id_token": "id", "refresh_token": "rt", "access_token": "at"}


class Away(Exception):
    """The network is away for one request."""


def says(*answers: Any) -> tuple[httpx.Client, list[httpx.Request]]:
    """A provider that gives these answers, in order: JSON, (status, JSON), or Away."""
    left, asked = iter(answers), []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        told = next(left)
        if told is Away:
            raise httpx.ConnectError("no route", request=request)
        status, body = told if isinstance(told, tuple) else (200, told)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=content)

    return httpx.Client(transport=httpx.MockTransport(answer)), asked


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


def error(word: str, status: int = 400) -> tuple[int, dict[str, str]]:
    return status, {"error": word}


def waited(answers: Iterable[Any], *, interval: float = 5, lasts: float = 600) -> Time:
    http, _ = says(*answers)
    time = Time()
    device = oidc.Device("dc", "WXYZ-1234", "", "", interval, lasts)
    tokens = oidc.wait(http, ENDPOINTS, "hoop", device, sleep=time.sleep, clock=lambda: time.at)
    assert (tokens.id_token, tokens.refresh_token) == ("id", "rt")
    return time


def test_polling_keeps_the_interval() -> None:
    pending = error("authorization_pending")
    assert waited([pending, pending, DONE]).slept == [5, 5, 5]


def test_slow_down_adds_five_seconds_for_good() -> None:
    slow, pending = error("slow_down"), error("authorization_pending")
    assert waited([slow, pending, slow, DONE], interval=1).slept == [1, 6, 6, 11]


def test_a_network_that_is_away_is_waited_for_with_longer_pauses() -> None:
    pending = error("authorization_pending")
    answers = [Away, Away, Away, pending, (503, b"busy"), (200, b"<html>"), DONE]
    assert waited(answers).slept == [5, 10, 20, 40, 5, 5, 10]


@pytest.mark.parametrize("word", ["access_denied", "expired_token", "invalid_grant", "nonsense"])
def test_the_providers_no_is_final(word: str) -> None:
    with pytest.raises(oidc.ProviderRefused) as refused:
        waited([error("authorization_pending"), error(word)])
    assert refused.value.error == word


def test_waiting_ends_when_the_code_does_whatever_the_network_does() -> None:
    with pytest.raises(oidc.ProviderRefused) as refused:
        waited([Away] * 50, lasts=100)
    assert refused.value.error == "expired_token"


def test_discovery_must_be_of_the_issuer_itself_and_protected() -> None:
    wrong: list[dict[str, Any]] = [
        {"issuer": "https://evil.example"},
        {"issuer": ISSUER + "/"},
        {"token_endpoint": "http://id.example/token"},
        {"device_authorization_endpoint": "ftp://id.example"},
        {"token_endpoint": None},
    ]
    for change in wrong:
        http, _ = says(DISCOVERY | change)
        with pytest.raises(Failure):
            oidc.discover(http, ISSUER)
    http, _ = says(DISCOVERY)
    assert oidc.discover(http, ISSUER).revocation == f"{ISSUER}/revoke"


def test_nothing_is_sent_to_an_issuer_that_is_not_protected() -> None:
    http, asked = says(DISCOVERY)
    with pytest.raises(Failure, match="https only"):
        oidc.discover(http, "http://id.example")
    assert asked == []


def test_only_scopes_that_the_provider_has_are_asked_for() -> None:
    http, asked = says(DISCOVERY, DEVICE)
    endpoints = oidc.discover(http, ISSUER)
    device = oidc.begin(http, endpoints, "hoop", ("openid", "email", "groups", "offline_access"))
    assert b"scope=openid+email+offline_access" in asked[1].content
    assert device.interval == 5  # RFC 8628: where the provider does not say


@pytest.mark.parametrize(
    "change",
    [
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri_complete": "file:///etc/passwd"},
        {"verification_uri": "https://id.example/\x1b[31m"},
        {"expires_in": "soon"},
        {"device_code": None, "user_code": None, "verification_uri": None},
    ],
)
def test_a_device_answer_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    http, _ = says(DEVICE | change)
    with pytest.raises(oidc.ProviderAway):
        oidc.begin(http, ENDPOINTS, "hoop", ("openid",))


def test_a_huge_answer_is_not_read_to_its_end() -> None:
    http, _ = says((200, b" " * (oidc.LARGEST + 1)))
    with pytest.raises(oidc.ProviderAway, match="more than"):
        oidc.discover(http, ISSUER)


def test_an_answer_without_id_token_is_no_sign_in() -> None:
    http, _ = says({"access_token": "at"})
    with pytest.raises(Failure, match="no ID token"):
        oidc.refresh(http, ENDPOINTS, "hoop", "rt")


def test_a_refresh_token_stays_where_no_new_one_is_given() -> None:
    http, _ = says({"id_token": "id"}, DONE)
    assert oidc.refresh(http, ENDPOINTS, "hoop", "old").refresh_token == "old"
    assert oidc.refresh(http, ENDPOINTS, "hoop", "old").refresh_token == "rt"


def test_a_provider_that_is_busy_has_not_refused() -> None:
    for status in (429, 500, 503):
        http, _ = says((status, b"busy"))
        with pytest.raises(oidc.ProviderAway):
            oidc.refresh(http, ENDPOINTS, "hoop", "rt")
