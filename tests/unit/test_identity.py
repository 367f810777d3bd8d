"""A sign-in's life in the agent: exchange, use, renewal, sign-out, and clocks that are turned."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh
import httpx
import pytest

from hoopagent.config import Identity as Settings
from hoopagent.config import Workload
from hoopagent.errors import Refused
from hoopagent.identity import Identity, principal_id
from hoopagent.key_files import KeyUnsafe
from hoopagent.keys import Keys
from hoopagent.provider import Provider, ProviderAway, is_protected
from hoopagent.store import Store, StoreAway
from hoopagent.store.sql import open_store
from hoopcore.model import SECOND, AuditEvent, Kind, Principal, Time, is_id
from tests.signing import CLIENT, ISSUER, NOW, Clock, good_claims, public_keys, sign

KEY = asyncssh.generate_private_key("ssh-ed25519")


class Web:
    """A provider's two documents, and how often they were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.documents: dict[str, Any] = {
            "/.well-known/openid-configuration": {"issuer": ISSUER, "jwks_uri": f"{ISSUER}/jwks"},
            "/jwks": {"keys": public_keys()},
        }
        self.status = 200

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        document = self.documents[request.url.path]
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        return httpx.Response(self.status, content=content)


@dataclass
class Office:
    identity: Identity
    store: Store
    clock: Clock
    web: Web

    async def sign_in(self, **claims: Any) -> Any:
        now = self.clock.at // SECOND
        token = sign(
            good_claims(**{"iat": now, "exp": now + 300, "jti": os.urandom(8).hex()} | claims)
        )
        return await self.identity.exchange(token, KEY)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock, web = Clock(), Web()
    store = await open_store(f"sqlite:///{tmp_path / 'hoop.db'}", clock.at)
    settings = Settings(issuer=ISSUER, client_id=CLIENT, token_life="1h", max_age="12h")
    keys = Keys.load_or_create(tmp_path / "keys")
    identity = Identity(settings, store, keys, clock=clock, random=os.urandom)
    identity._provider._http = web.client()
    yield Office(identity, store, clock, web)
    await identity.close()
    await store.close()


HOUR = 3600 * SECOND


async def error_of(asked: Callable[[], Any]) -> str:
    with pytest.raises(Refused) as refused:
        await asked()
    assert refused.value.hint or refused.value.status != 401
    return refused.value.error


async def test_an_id_token_is_accepted_once(office: Office) -> None:
    token = sign(good_claims())
    await office.identity.exchange(token, KEY)
    other = asyncssh.generate_private_key("ssh-ed25519")
    for key in (KEY, other):
        assert await error_of(lambda key=key: office.identity.exchange(token, key)) == (  # type: ignore[misc]
            "token_used"
        )


async def test_a_refused_sign_in_is_audited_and_gives_nothing(office: Office) -> None:
    assert await error_of(lambda: office.sign_in(aud="other")) == "invalid_token"
    events = await office.store.audit_events()
    assert [event.action for event in events] == ["sign-in.refused"]


async def test_the_principal_is_issuer_and_subject_and_never_the_address(office: Office) -> None:
    first = (await office.sign_in()).principal
    moved = (await office.sign_in(email="ana@new.example")).principal
    other = (await office.sign_in(sub="ana2")).principal
    assert first.id == moved.id != other.id
    assert is_id(first.id)
    assert moved.email == "ana@new.example"
    assert principal_id(ISSUER, "ana") != principal_id(ISSUER + "a", "na")


async def test_a_token_holds_for_its_life_and_not_longer(office: Office) -> None:
    signed = await office.sign_in()
    office.clock.at = NOW + HOUR - 1
    assert (await office.identity.authenticate(signed.token, 1000)).subject == "ana"
    office.clock.at = NOW + HOUR
    asked = lambda: office.identity.authenticate(signed.token, 1000)  # noqa: E731
    assert await error_of(asked) == "token_expired"


async def test_turning_the_clock_back_extends_nothing(office: Office) -> None:
    signed = await office.sign_in()
    office.clock.at = NOW + HOUR
    asked = lambda: office.identity.authenticate(signed.token, 1000)  # noqa: E731
    assert await error_of(asked) == "token_expired"
    office.clock.at = NOW
    assert await error_of(asked) == "token_expired"


async def test_the_identity_ends_max_age_after_the_last_renewal(office: Office) -> None:
    signed = await office.sign_in()
    who = signed.principal.id
    assert await office.identity.identity_until(who) == NOW + 12 * HOUR
    office.clock.at = NOW + 6 * HOUR
    await office.sign_in()
    assert await office.identity.identity_until(who) == NOW + 18 * HOUR
    office.clock.at = NOW + 18 * HOUR
    assert await office.identity.identity_until(who) == 0
    assert await office.identity.signed_in(who) is None


async def test_a_token_is_good_for_the_first_uid_that_used_it(office: Office) -> None:
    signed = await office.sign_in()
    await office.identity.authenticate(signed.token, 1000)
    await office.identity.authenticate(signed.token, 1000)
    await office.identity.authenticate(signed.token, None)
    asked = lambda: office.identity.authenticate(signed.token, 1001)  # noqa: E731
    assert await error_of(asked) == "other_user"


async def test_a_signed_out_token_is_no_token(office: Office) -> None:
    gone: list[str] = []
    office.identity.revoked.append(gone.append)
    signed, second = await office.sign_in(), await office.sign_in()
    await office.identity.logout(signed.token)
    asked = lambda: office.identity.authenticate(signed.token, 1000)  # noqa: E731
    assert await error_of(asked) == "token_revoked"
    assert gone == []  # signed in elsewhere still
    await office.identity.logout(second.token)
    assert gone == [signed.principal.id]
    await office.identity.logout("hoop_unknown")


async def test_revoking_a_principal_ends_each_of_their_tokens(office: Office) -> None:
    signed, second = await office.sign_in(), await office.sign_in()
    assert await office.identity.revoke(signed.principal.id, "p-00000000", "left") == 2
    for token in (signed.token, second.token):
        asked = lambda token=token: office.identity.authenticate(token, 1)  # noqa: E731
        assert await error_of(asked) == "token_revoked"


async def test_made_up_tokens_are_nobodys(office: Office) -> None:
    for token in ("", "hoop_", "x" * 100_000, "hoop_" + "A" * 43, "\x00"):
        asked = lambda token=token: office.identity.authenticate(token, 1)  # noqa: E731
        assert await error_of(asked) == "not_signed_in"


async def test_only_the_hash_of_a_token_is_stored(office: Office, tmp_path: Path) -> None:
    signed = await office.sign_in()
    await office.store.close()
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("hoop.db*"))
    assert signed.token.encode() not in kept
    assert signed.token.removeprefix("hoop_").encode() not in kept
    assert signed.token not in repr(signed)


async def test_the_certificate_names_one_principal_and_allows_lanes_and_terminals_only(
    office: Office,
) -> None:
    signed = await office.sign_in()
    certificate = asyncssh.import_certificate(signed.certificate)
    assert isinstance(certificate, asyncssh.public_key.SSHOpenSSHCertificate)
    assert list(certificate.principals) == [signed.principal.id, signed.sign_in]
    assert certificate.options == {"permit-port-forwarding": True, "permit-pty": True}
    assert certificate.key.public_data == KEY.public_data
    assert certificate._valid_before * SECOND == signed.expires


async def test_a_storm_of_unknown_key_ids_asks_the_provider_once_a_minute(office: Office) -> None:
    await office.sign_in()
    office.web.asked.clear()
    for number in range(50):
        token = sign(good_claims(), header={"kid": f"unknown-{number}"})
        assert await error_of(lambda token=token: office.identity.exchange(token, KEY)) == (  # type: ignore[misc]
            "invalid_token"
        )
    assert office.web.asked == []  # less than a minute after the last look
    office.clock.at = NOW + 60 * SECOND
    for number in range(50):
        now = office.clock.at // SECOND
        token = sign(good_claims(iat=now, exp=now + 9), header={"kid": f"unknown-{number}"})
        await error_of(lambda token=token: office.identity.exchange(token, KEY))  # type: ignore[misc]
    assert office.web.asked.count("/jwks") == 1


async def test_a_new_key_of_the_provider_is_found_and_an_old_one_forgotten(office: Office) -> None:
    keys = public_keys()
    office.web.documents["/jwks"] = {"keys": [key for key in keys if key["kid"] != "ec"]}
    assert await error_of(office.sign_in) == "invalid_token"
    office.web.documents["/jwks"] = {"keys": keys}
    office.clock.at = NOW + 60 * SECOND
    await office.sign_in()
    office.web.documents["/jwks"] = {"keys": []}
    office.clock.at = NOW + 11 * 60 * SECOND
    assert await error_of(office.sign_in) == "invalid_token"


async def test_a_provider_that_is_away_signs_nobody_in(office: Office) -> None:
    office.web.status = 500
    assert await error_of(office.sign_in) == "provider_away"
    office.web.status = 200
    assert await error_of(office.sign_in) == "provider_away"  # not asked again at once
    office.clock.at = NOW + 5 * SECOND
    await office.sign_in()


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/.well-known/openid-configuration", {"issuer": "https://evil.example", "jwks_uri": "x"}),
        ("/.well-known/openid-configuration", {"issuer": ISSUER}),
        (
            "/.well-known/openid-configuration",
            {"issuer": ISSUER, "jwks_uri": "http://id.example/jwks"},
        ),
        ("/.well-known/openid-configuration", b"<html>"),
        ("/jwks", {"keys": "none"}),
        ("/jwks", b"[]"),
        ("/jwks", b"[" * 100_000),
        ("/jwks", b" " * (1 << 20) + b"{}"),
    ],
)
async def test_documents_that_are_wrong_give_no_keys(path: str, document: Any) -> None:
    web = Web()
    web.documents[path] = document
    provider = Provider(ISSUER, None, Clock())
    provider._http = web.client()
    with pytest.raises(ProviderAway):
        await provider.keys(None)
    await provider.close()


def test_only_https_or_this_machine_is_protected() -> None:
    good = ["https://id.example", "http://127.0.0.1:8080/x", "http://[::1]:1", "http://localhost"]
    bad = ["http://id.example", "ftp://127.0.0.1", "file:///etc/passwd", "http://127.0.0.1.evil.x"]
    assert all(is_protected(url) for url in good)
    assert not any(is_protected(url) for url in bad)


def test_keys_are_made_once_and_private(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    first, second = Keys.load_or_create(folder), Keys.load_or_create(folder)
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint.startswith("SHA256:")
    assert first.host.public_data != first.user_ca.public_data
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    assert "PRIVATE" not in repr(first)


def test_a_key_others_can_read_stops_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    Keys.load_or_create(folder)
    for path, mode in ((folder / "ssh_user_ca_ed25519", 0o640), (folder, 0o755)):
        before = path.stat().st_mode
        path.chmod(mode)
        with pytest.raises(KeyUnsafe):
            Keys.load_or_create(folder)
        path.chmod(before)


def test_a_file_that_is_no_key_stops_the_start(tmp_path: Path) -> None:
    Keys.load_or_create(tmp_path / "keys")
    (tmp_path / "keys" / "ssh_host_ed25519").write_bytes(b"not a key")
    with pytest.raises(KeyUnsafe, match="ssh_host_ed25519 is no private key"):
        Keys.load_or_create(tmp_path / "keys")


# --- principals that are no people ----------------------------------------------------------------

NIGHTLY = Workload(
    name="nightly",
    owner="dba",
    audience="hoop.shop",
    claims={"sub": "ci"},
    groups=frozenset({"ci"}),
)


def employing(office: Office, *workloads: Workload) -> None:
    settings = office.identity._settings
    office.identity._settings = settings.model_copy(update={"workloads": workloads})


def of_workload(office: Office, **claims: Any) -> str:
    now = office.clock.at // SECOND
    made = {"iat": now, "exp": now + 300, "jti": os.urandom(8).hex()}
    return sign(good_claims(**(made | {"aud": "hoop.shop", "sub": "ci"} | claims)))


async def test_a_workload_that_is_written_down_no_more_is_nobody(office: Office) -> None:
    employing(office, NIGHTLY)
    signed = await office.identity.exchange(of_workload(office), KEY, workload=True)
    who = await office.identity.authenticate(signed.token, 1000)
    assert (who.kind, who.name, who.owner) == (Kind.SERVICE, "nightly", "dba")
    assert who.groups == {"ci"}
    employing(office)
    asked = lambda: office.identity.authenticate(signed.token, 1000)  # noqa: E731
    assert await error_of(asked) == "not_signed_in"
    assert await office.identity.signed_in(who.id) is None


async def test_a_workload_is_never_the_person_of_its_name(office: Office) -> None:
    employing(office, NIGHTLY)
    signed = await office.identity.exchange(of_workload(office), KEY, workload=True)
    person = await office.sign_in(sub="nightly")
    assert signed.principal.id != person.principal.id
    assert person.principal.kind is Kind.HUMAN


async def test_a_workloads_sign_in_may_be_shorter_than_a_persons(office: Office) -> None:
    employing(office, NIGHTLY.model_copy(update={"max_age": "10m"}))
    signed = await office.identity.exchange(of_workload(office), KEY, workload=True)
    assert signed.identity_until == NOW + 600 * SECOND
    assert signed.expires == signed.identity_until


async def test_the_first_workload_that_fits_is_the_one(office: Office) -> None:
    wide = NIGHTLY.model_copy(update={"name": "any", "claims": {"iss": ISSUER}})
    employing(office, NIGHTLY, wide)
    names = [
        (await office.identity.exchange(of_workload(office, sub=sub), KEY, workload=True))
        for sub in ("ci", "cd")
    ]
    assert [signed.principal.name for signed in names] == ["nightly", "any"]


async def test_a_clock_that_ran_ahead_is_mended_as_the_docs_say(
    office: Office, tmp_path: Path
) -> None:
    real = time.time_ns() // 1000
    office.clock.at = real + 365 * 24 * HOUR
    await office.sign_in()  # the store has seen that time now
    office.clock.at = real
    assert await error_of(office.sign_in) == "invalid_token"
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "sign-in.md").read_text("utf-8")
    found = re.search(r'hoop\.sqlite "(update clock [^"]+)"', page)
    assert found
    with sqlite3.connect(tmp_path / "hoop.db") as store:
        store.execute(found[1])
    office.identity._highest = -SECOND  # the agent was stopped
    await office.sign_in()


# --- groups that are lost, people who leave -------------------------------------------------------


async def test_what_lost_groups_end_has_ended_before_the_new_ones_are_believed(
    office: Office,
) -> None:
    seen: list[tuple[frozenset[str], frozenset[str], frozenset[str]]] = []

    async def regrouped(old: Principal, new: Principal, _: Time) -> None:
        known = await office.store.principal(new.id)
        assert known is not None
        seen.append((old.groups, new.groups, known.groups))

    office.identity.regrouped.append(regrouped)
    await office.sign_in(groups=["engineering", "dba"])
    assert seen == []  # nobody was known before
    await office.sign_in(groups=["engineering"])
    both, one = frozenset({"engineering", "dba"}), frozenset({"engineering"})
    assert seen == [(both, one, both)]


async def test_a_sign_in_whose_losses_cannot_be_written_is_none(office: Office) -> None:
    async def away(*_: object) -> None:
        raise StoreAway("away")

    id = (await office.sign_in(groups=["dba"])).principal.id
    office.identity.regrouped.append(away)
    with pytest.raises(StoreAway):
        await office.sign_in(groups=[])
    known = await office.store.principal(id)
    assert known is not None
    assert known.groups == {"dba"}  # so that the next sign-in finds the same loss


async def test_who_has_left_is_not_signed_in_again_whatever_the_provider_says(
    office: Office,
) -> None:
    signed = await office.sign_in()
    at, id = office.clock.at, signed.principal.id
    event = AuditEvent(at, "operator", "principal.left", id)
    await office.store.leave(id, "operator", "left", at, event)
    assert await error_of(office.sign_in) == "left"
    assert await error_of(lambda: office.identity.authenticate(signed.token, 1)) == "token_revoked"
    assert (await office.store.audit_events())[0].action == "sign-in.refused"
    await office.store.come_back(id, AuditEvent(at, "operator", "principal.came-back", id))
    assert (await office.sign_in()).principal.id == id
