"""A sign-in's certificates at the SSH door: they end with it, and not before it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from hoopagent.errors import Refused
from hoopagent.identity import hash_of
from hoopagent.store import Token
from hoopcli.demo.oauth import Memory
from hoopcli.demo.provider import DemoProvider, running
from tests.signing import Clock, Gate, running_gate
from tests.wire.test_ssh_door import ANA, certificate_only, connect, fresh

SECOND = 1_000_000


@pytest.fixture
async def provider() -> AsyncIterator[DemoProvider]:
    with running(Memory({"ana": ANA})) as provider:
        yield provider


@pytest.fixture
async def gate(tmp_path: Path, provider: DemoProvider) -> AsyncIterator[Gate]:
    async with running_gate(tmp_path, provider.issuer) as gate:
        yield gate


class SignedIn:
    """One sign-in of ana's on one machine: the key, the token and the certificate of now."""

    def __init__(self, gate: Gate, provider: DemoProvider) -> None:
        self.gate, self.provider = gate, provider
        self.key = fresh()
        self.signed: Any = None  # identity.Signed, once it is

    async def renew(self) -> SignedIn:
        previous = self.signed.token if self.signed else ""
        self.key = fresh()
        token = self.provider.oauth.id_token(ANA, {})
        self.signed = await self.gate.identity.exchange(token, self.key, previous=previous)
        return self

    def connect(self) -> Any:
        certificate = asyncssh.import_certificate(self.signed.certificate)
        keys = certificate_only(self.key, certificate)
        return connect(self.gate, self.signed.principal.id, keys)


async def opens_a_lane(connection: asyncssh.SSHClientConnection) -> bool:
    try:
        reader, writer = await connection.open_connection("prod-db", 5432, encoding=None)
    except asyncssh.Error:
        return False
    assert (await reader.readline()).startswith(b"ana@")
    writer.close()
    return True


async def test_a_certificate_does_not_outlive_its_sign_in_when_another_follows(
    gate: Gate, provider: DemoProvider
) -> None:
    first = await SignedIn(gate, provider).renew()
    await gate.identity.logout(first.signed.token)
    second = await SignedIn(gate, provider).renew()
    async with second.connect() as connection:
        assert await opens_a_lane(connection)
    async with first.connect() as connection:  # it is our certificate still, and opens nothing
        assert not await opens_a_lane(connection)


async def test_a_renewal_ends_neither_the_connection_nor_the_token_before_it(
    gate: Gate, provider: DemoProvider
) -> None:
    ana = await SignedIn(gate, provider).renew()
    async with ana.connect() as connection:
        tokens = [ana.signed.token]
        for _ in range(3):
            await ana.renew()
            tokens.append(ana.signed.token)
            assert await opens_a_lane(connection)
        live = [await status(gate, token) for token in tokens]
        assert live == ["token_revoked", "token_revoked", "", ""]  # this one and the last
        await gate.identity.logout(tokens[-1])
        assert [await status(gate, token) for token in tokens] == ["token_revoked"] * 4
        async with asyncio.timeout(10):
            await connection.wait_closed()


async def status(gate: Gate, token: str) -> str:
    """Empty where the token holds, else the agent's word for why not."""
    try:
        await gate.identity.status(token)
    except Refused as refused:
        return refused.error
    return ""


async def test_signing_out_on_one_machine_leaves_the_other_alone(
    gate: Gate, provider: DemoProvider
) -> None:
    laptop, desktop = [await SignedIn(gate, provider).renew() for _ in range(2)]
    async with laptop.connect() as here, desktop.connect() as there:
        assert await opens_a_lane(here)
        await gate.identity.logout(laptop.signed.token)
        async with asyncio.timeout(10):
            await here.wait_closed()
        assert await opens_a_lane(there)


async def test_nobody_renews_a_sign_in_of_somebody_else_or_one_that_is_over(
    tmp_path: Path, provider: DemoProvider
) -> None:
    clock = Clock(time.time_ns() // 1000)
    async with running_gate(tmp_path, provider.issuer, clock=clock, max_age="1h") as gate:
        ana = await SignedIn(gate, provider).renew()
        sign_in = ana.signed.sign_in
        other = await gate.identity.exchange(
            provider.oauth.id_token(BEN, {}), fresh(), previous=ana.signed.token
        )
        assert other.sign_in != sign_in
        assert await status(gate, ana.signed.token) == ""
        made_up = await gate.identity.exchange(
            provider.oauth.id_token(ANA, {}), fresh(), previous="hoop_" + "x" * 200
        )
        assert made_up.sign_in != sign_in


BEN = type(ANA)("ben", "ben@shop.example", ("dba",))


async def test_keys_that_are_not_good_are_in_the_audit_with_where_they_came_from(
    gate: Gate, provider: DemoProvider
) -> None:
    ana = await SignedIn(gate, provider).renew()
    for _ in range(3):
        with pytest.raises((asyncssh.Error, ConnectionError)):
            async with connect(gate, ana.signed.principal.id, [fresh()]):
                pass
    await asyncio.sleep(0)
    await gate.identity.refusals.write()
    await gate.identity.refusals.write()
    events = [e for e in await gate.store.audit_events() if e.action == "sign-in.refused"]
    assert len(events) == 1
    assert events[0].subject == ana.signed.principal.id
    assert (events[0].detail["door"], events[0].detail["peer"]) == ("ssh", "127.0.0.1")


async def test_a_sign_in_of_before_they_had_ids_goes_on_after_its_renewal(
    gate: Gate, provider: DemoProvider
) -> None:
    """As migration 0002 leaves them: named by the hash of their token."""
    ana = await SignedIn(gate, provider).renew()
    old = "hoop_" + "x" * 43
    known = await gate.identity.status(ana.signed.token)
    await gate.store.add_token(replace(known, hash=hash_of(old), sign_in=hash_of(old)))
    ana.signed = replace(ana.signed, token=old)
    await ana.renew()
    assert ana.signed.sign_in == hash_of(old)
    async with ana.connect() as connection:
        assert await opens_a_lane(connection)
        await gate.identity.logout(ana.signed.token)
        assert not await opens_a_lane(connection)


async def test_a_sign_out_in_the_middle_of_a_renewal_holds(
    gate: Gate, provider: DemoProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    ana = await SignedIn(gate, provider).renew()
    add = gate.store.add_token

    async def add_after_sign_out(token: Token) -> None:
        await gate.identity.logout(ana.signed.token)
        await add(token)

    monkeypatch.setattr(gate.store, "add_token", add_after_sign_out)
    with pytest.raises(Refused, match="signed out"):
        await ana.renew()
    assert await gate.identity.identity_until(ana.signed.principal.id) == 0
