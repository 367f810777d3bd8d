"""``hoop login --browser``: honest browsers, and everything else that can knock at the port."""

from __future__ import annotations

import base64
import hashlib
import re
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from hoopcli import browser as browser_side
from hoopcli import door, oidc
from hoopcli.errors import Failure
from tests import hoop_process
from tests.agents import RealAgent, page_in, running_agent
from tests.hostile_provider import DISCOVERY, HostileProvider, running_provider


@pytest.fixture(scope="module")
def liar() -> Iterator[HostileProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def agent(liar: HostileProvider) -> Iterator[RealAgent]:
    with running_agent(liar.issuer) as agent:
        yield agent


@pytest.fixture
def provider(liar: HostileProvider) -> Iterator[HostileProvider]:
    liar.honest()
    yield liar
    liar.honest()


class Browser:
    """What a person's browser does between the page and the port, or what somebody else does."""

    def __init__(self, provider: HostileProvider, **answer: Any) -> None:
        self.provider = provider
        self.answer = answer
        self.asked: dict[str, str] = {}
        self.page: httpx.Response | None = None

    def __call__(self, said: str) -> None:
        self.asked = {k: v[0] for k, v in parse_qs(urlsplit(page_in(said)).query).items()}
        nonce = self.asked["nonce"]
        if not callable(self.provider._answers["/token"]) or self.answer.pop("honest", True):
            self.provider.say("/token", lambda _: self.provider.tokens(nonce=nonce))
        told = {"code": "the-code", "state": self.asked["state"]} | self.answer
        if told["state"] == "twice":
            told["state"] = [self.asked["state"]] * 2
        self.page = get(self.asked["redirect_uri"], told)


def get(url: str, told: dict[str, Any], **headers: str) -> httpx.Response:
    sent = {name: value for name, value in told.items() if value is not None}
    with httpx.Client(trust_env=False, timeout=20) as http:
        return http.get(url, params=sent, headers=headers)


# An address of this machine that is not 127.0.0.1: loopback has many.
OTHER = "127.0.0.2"


def nobody_in(agent: RealAgent) -> bool:
    return not list((agent.folder / "home").rglob("*.sealed"))


def test_a_person_signs_in_by_a_page_that_comes_back(
    agent: RealAgent, provider: HostileProvider
) -> None:
    browser = Browser(provider)
    status, said = agent.login(browser, "--browser")
    assert status == 0, said
    assert "Signed in as ana@shop.example" in said
    asked = browser.asked
    assert asked["response_type"] == "code"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/callback", asked["redirect_uri"])
    (form,) = [form for path, form in provider.asked if path == "/token"]
    digest = hashlib.sha256(form["code_verifier"].encode()).digest()
    assert asked["code_challenge"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert (asked["code_challenge_method"], form["code"]) == ("S256", "the-code")
    assert 43 <= len(form["code_verifier"]) <= 128
    assert form["redirect_uri"] == asked["redirect_uri"]
    assert len(asked["state"]) >= 43

    page = browser.page
    assert page is not None
    assert page.status_code == 200
    assert "Go back to your terminal" in page.text
    assert "the-code" not in page.text
    assert page.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    with pytest.raises(httpx.ConnectError):  # the port is gone
        get(asked["redirect_uri"], {"code": "again", "state": asked["state"]})

    # A provider that repeats the nonce in new ID tokens, and one that leaves it out.
    key = agent.kept().key
    for nonce in (asked["nonce"], None):
        provider.say("/token", lambda _, nonce=nonce: provider.tokens(nonce=nonce))
        agent.keep(replace(agent.kept(), issued=time.time() - 3600, expires=time.time() + 10))
        done = agent.hoop("status", "-o", "names")
        assert (done.returncode, done.stderr) == (0, "")
        assert (agent.kept().key == key) == (nonce is not None)
    assert agent.hoop("logout").returncode == 0


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"state": "another"}, "another sign-in"),
        ({"state": None}, "another sign-in"),
        ({"state": "\u00e9"}, "another sign-in"),
        ({"state": "twice"}, "another sign-in"),
        ({"iss": "https://evil.example"}, "was not"),
        ({"iss": ""}, "was not"),
        ({"code": None}, "without a code"),
        ({"code": ["one", "two"]}, "without a code"),
        ({"error": "access_denied", "code": None}, "denied"),
    ],
    ids=str,
)
def test_an_answer_that_is_not_the_providers_to_us_signs_nobody_in(
    agent: RealAgent, provider: HostileProvider, answer: dict[str, Any], words: str
) -> None:
    browser = Browser(provider, **answer)
    if "iss" in answer:  # the whole command for two of them
        status, said = agent.login(browser, "--browser")
        assert (status, words in said) == (1, True), said
        assert nobody_in(agent)
    else:
        with oidc.connect(provider.issuer) as http, pytest.raises(Failure, match=words):
            browser_side.sign_in(
                http,
                oidc.discover(http, provider.issuer),
                "hoop",
                ("openid",),
                "a-nonce",
                show=browser,
            )
    assert provider.count("/token") == 0  # the code of whoever it was is not even redeemed


def test_a_provider_that_says_it_names_itself_must(
    agent: RealAgent, provider: HostileProvider
) -> None:
    promise = {"authorization_response_iss_parameter_supported": True}
    provider.say(DISCOVERY, provider.discovery(**promise))
    status, said = agent.login(Browser(provider), "--browser")
    assert (status, provider.count("/token")) == (1, 0), said
    status, said = agent.login(Browser(provider, iss=provider.issuer), "--browser")
    assert status == 0, said
    assert agent.hoop("logout").returncode == 0


def test_an_id_token_made_for_another_sign_in_is_refused(
    agent: RealAgent, provider: HostileProvider
) -> None:
    """A code injected with everything right but what PKCE would have caught."""
    for nonce in ("of-another-sign-in", None):
        provider.say("/token", lambda _, nonce=nonce: provider.tokens(nonce=nonce))
        status, said = agent.login(Browser(provider, honest=False), "--browser")
        assert status == 1
        assert "not made for this sign-in" in said
    assert nobody_in(agent)


def test_the_providers_words_in_the_answer_reach_neither_page_nor_terminal_raw(
    agent: RealAgent, provider: HostileProvider
) -> None:
    evil = "<script>alert(1)</script>\x1b[2J\nhoop: signed in as root"
    browser = Browser(provider, error="server_error", error_description=evil, code=None)
    status, said = agent.login(browser, "--browser")
    assert status == 1
    assert "\x1b" not in said
    assert not any(line.startswith("hoop: signed in") for line in said.splitlines())
    assert browser.page is not None
    assert "script" not in browser.page.text
    assert "not signed in" in browser.page.text


def test_only_the_callback_by_its_own_name_is_the_answer(
    agent: RealAgent, provider: HostileProvider
) -> None:
    """Other pages, other names, other methods and silent connections change nothing."""
    import socket

    honest = Browser(provider)
    silent: list[socket.socket] = []

    def knock(said: str) -> None:
        asked = {k: v[0] for k, v in parse_qs(urlsplit(page_in(said)).query).items()}
        redirect, told = asked["redirect_uri"], {"code": "evil", "state": asked["state"]}
        port = urlsplit(redirect).port
        assert port is not None
        silent.append(socket.create_connection(("127.0.0.1", port)))
        assert get(redirect, told, Host=f"evil.example:{port}").status_code == 404
        assert get(redirect.replace("/callback", "/favicon.ico"), told).status_code == 404
        with httpx.Client(trust_env=False) as http:
            assert http.post(redirect, data=told).status_code == 501
        with socket.socket() as other:  # not on any other address of this machine
            assert other.connect_ex((OTHER, port))
        honest(said)

    try:
        status, said = agent.login(knock, "--browser")
    finally:
        for connection in silent:
            connection.close()
    assert status == 0, said
    assert [form["code"] for path, form in provider.asked if path == "/token"] == ["the-code"]
    assert agent.hoop("logout").returncode == 0


def test_ctrl_c_leaves_no_port_and_nothing_kept(
    agent: RealAgent, provider: HostileProvider
) -> None:
    status, said = hoop_process.login(
        agent.environ, lambda _, process: process.send_signal(signal.SIGINT), "--browser"
    )
    assert status == 130
    asked = parse_qs(urlsplit(page_in(said)).query)
    with pytest.raises(httpx.ConnectError):
        get(asked["redirect_uri"][0], {"code": "late", "state": asked["state"][0]})
    assert provider.count("/token") == 0
    assert nobody_in(agent)
    assert not (agent.folder / "home" / "profile.toml").exists() or agent.hoop("status").returncode


def test_without_a_page_or_a_device_flow_the_other_way_is_named(
    agent: RealAgent, provider: HostileProvider
) -> None:
    provider.say(DISCOVERY, provider.discovery(device_authorization_endpoint=None))
    done = agent.hoop("login", "--no-browser")
    assert done.returncode == 1
    assert "hoop login --browser" in done.stderr
    disguised = f"https://login.example.com@127.0.0.1:{provider.port}/authorize"
    provider.say(DISCOVERY, provider.discovery(authorization_endpoint=disguised))
    done = agent.hoop("login", "--browser")
    assert (done.returncode, "not to be opened" in done.stderr) == (1, True)
    provider.say(DISCOVERY, provider.discovery(authorization_endpoint=None))
    done = agent.hoop("login", "--browser")
    assert done.returncode == 1
    assert "Try:  hoop login" in done.stderr


def test_the_id_token_of_a_page_is_worth_nothing_to_who_reads_it(
    agent: RealAgent, provider: HostileProvider
) -> None:
    stolen: list[str] = []

    def steal(honest: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def answer(form: Any) -> Any:
            told = honest(form)
            stolen.append(told["id_token"])
            with pytest.raises(Failure, match="another key"):  # the thief is quicker
                agent.exchange(told["id_token"], door.fresh_key())
            return told

        return answer

    class Overheard(Browser):
        def __call__(self, said: str) -> None:
            asked = parse_qs(urlsplit(page_in(said)).query)
            nonce = asked["nonce"][0]
            provider.say("/token", steal(lambda _: provider.tokens(nonce=nonce)))
            told = {"code": "the-code", "state": asked["state"][0]}
            self.page = get(asked["redirect_uri"][0], told)

    status, said = agent.login(Overheard(provider), "--browser")
    assert status == 0, said
    assert len(stolen) == 1
    assert agent.hoop("logout").returncode == 0
