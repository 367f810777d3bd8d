"""``hoop login --browser`` at the demo's provider, by a scripted browser; and its refusals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from hoopcli.demo.oauth import Memory, Person
from hoopcli.demo.provider import DemoProvider, running
from tests.agents import page_in
from tests.servers import private_folder
from tests.signing import Desk, running_desk

PEOPLE = {"ana": Person("ana", "ana@shop.example", ("engineering",))}


@pytest.fixture
def provider() -> Iterator[DemoProvider]:
    with running(Memory(dict(PEOPLE), interval=0.2)) as provider:
        yield provider


@pytest.fixture
def desk(provider: DemoProvider) -> Iterator[Desk]:
    with private_folder() as folder, running_desk(folder, provider.issuer) as desk:
        yield desk


def pressed(page: httpx.Response, answer: str) -> dict[str, str]:
    """What the page's form sends when ana presses that button."""
    hidden = re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', page.text)
    return {unescape(n): unescape(v) for n, v in hidden} | {"person": "ana", "answer": answer}


@pytest.mark.parametrize("answer", ["approve", "deny"])
def test_a_person_picks_a_name_and_comes_back(
    desk: Desk, provider: DemoProvider, answer: str
) -> None:
    shown: list[str] = []

    def visit(said: str) -> None:
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=20) as browser:
            page = browser.get(page_in(said))
            assert page.status_code == 200, page.text
            back = browser.post(f"{provider.issuer}/authorize", data=pressed(page, answer))
            shown.append(back.text)

    status, said = desk.visited(visit, "--browser")
    if answer == "deny":
        assert (status, "denied" in said) == (1, True)
        assert "not signed in" in shown[0]
        return
    assert status == 0, said
    assert "Go back to your terminal" in shown[0]
    first = desk.kept()
    desk.age(10)
    assert desk.hoop("status", "-o", "names").stdout == "ana@shop.example\n"
    assert desk.kept().token != first.token
    assert desk.hoop("logout").returncode == 0
    assert not provider.oauth.memory.refresh_tokens


WISH = {
    "response_type": "code",
    "client_id": "hoop",
    "redirect_uri": "http://127.0.0.1:9/callback",
    "scope": "openid offline_access",
    "state": "s",
    "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    "code_challenge_method": "S256",
}
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"  # RFC 7636, appendix B


@pytest.mark.parametrize(
    "change",
    [
        {"redirect_uri": "http://evil.example/callback"},
        {"redirect_uri": "http://127.0.0.1.evil.example:9/"},
        {"redirect_uri": "https://127.0.0.1:9/"},
        {"client_id": "another"},
        {"response_type": "token"},
        {"code_challenge_method": "plain"},
        {"code_challenge": "", "code_challenge_method": ""},
    ],
    ids=str,
)
def test_a_wish_that_is_not_in_order_is_sent_nowhere(
    provider: DemoProvider, change: dict[str, str]
) -> None:
    asked = WISH | change
    with httpx.Client(trust_env=False) as browser:
        page = browser.get(f"{provider.issuer}/authorize", params=asked)
        assert page.status_code == 400
        form = asked | {"person": "ana", "answer": "approve"}
        sent = browser.post(f"{provider.issuer}/authorize", data=form)
        assert sent.status_code == 400
        assert "location" not in sent.headers


def test_a_code_is_good_once_for_its_own_verifier_and_address(provider: DemoProvider) -> None:
    with httpx.Client(trust_env=False, base_url=provider.issuer) as browser:

        def redeemed(**changed: str) -> list[int]:
            sent = browser.post("/authorize", data=WISH | {"person": "ana", "answer": "approve"})
            told = parse_qs(urlsplit(sent.headers["location"]).query)
            assert told["iss"] == [provider.issuer]
            form = {
                "grant_type": "authorization_code",
                "client_id": "hoop",
                "code": told["code"][0],
                "redirect_uri": WISH["redirect_uri"],
                "code_verifier": VERIFIER,
            }
            return [browser.post("/token", data=form | changed).status_code for _ in range(2)]

        assert redeemed() == [200, 400]
        assert redeemed(code_verifier="x" * 43) == [400, 400]
        assert redeemed(redirect_uri="http://127.0.0.1:10/callback") == [400, 400]
