"""The SSH door by packets that no honest client sends, and by those that some do.

``Wire`` is paramiko up to the first key exchange and nobody's client from there on: each request
of authentication is made by hand, so that what is offered, named and signed can differ.
"""

from __future__ import annotations

import asyncio
import json
import queue
import shutil
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from asyncssh.packet import SSHPacket, String
from paramiko.common import cMSG_SERVICE_REQUEST, cMSG_USERAUTH_REQUEST

from hoopagent.doors.attempts import Attempts
from hoopagent.doors.crowd import Crowd
from hoopcli.demo.oauth import Memory
from hoopcli.demo.provider import DemoProvider, running
from tests.servers import missing
from tests.signing import Gate, now, running_gate
from tests.wire.test_ssh_door import (
    ANA,
    Visitor,
    certificate_only,
    connect,
    exchange,
    fresh,
    http,
    post,
)

SERVICE_ACCEPT, FAILURE, SUCCESS, PK_OK = 6, 51, 52, 60
ED25519, CERTIFICATE = "ssh-ed25519", "ssh-ed25519-cert-v01@openssh.com"


@pytest.fixture
async def provider() -> AsyncIterator[DemoProvider]:
    with running(Memory({"ana": ANA})) as provider:
        yield provider


@pytest.fixture
async def gate(tmp_path: Path, provider: DemoProvider) -> AsyncIterator[Gate]:
    async with running_gate(tmp_path, provider.issuer) as gate:
        yield gate


@pytest.fixture
async def ana(gate: Gate, provider: DemoProvider) -> Visitor:
    return await signed_in(gate, provider)


async def signed_in(gate: Gate, provider: DemoProvider) -> Visitor:
    key = fresh()
    async with connect(gate, "hoop-login", [key]) as connection:
        status, told = await http(connection, exchange(provider))
    assert status == 200, told
    return Visitor(gate, provider, key, told)


# --- a client made of packets ---------------------------------------------------------------------


class Answers:
    """In the place of paramiko's own authentication: keeps what the door says."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[int, bytes]] = queue.Queue()
        kinds = (SERVICE_ACCEPT, FAILURE, SUCCESS, 53, PK_OK)
        self._client_handler_table = self._handler_table = {
            kind: self._keep(kind) for kind in kinds
        }

    def _keep(self, kind: int) -> Callable[..., None]:
        def keep(*arguments: Any) -> None:
            self.heard.put((kind, arguments[-1].get_remainder()))

        return keep

    def is_authenticated(self) -> bool:
        return False

    def abort(self) -> None:
        self.heard.put((0, b"gone"))


class Wire:
    """A connection after its key exchange, with nothing said of who it is."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.transport = paramiko.Transport(socket.create_connection(address, 20))
        self.transport.start_client(timeout=20)
        self.answers = Answers()
        self.transport.auth_handler = self.answers
        self._send(cMSG_SERVICE_REQUEST, b"ssh-userauth")
        assert self.hear()[0] == SERVICE_ACCEPT

    def close(self) -> None:
        self.transport.close()

    def hear(self) -> tuple[int, bytes]:
        return self.answers.heard.get(timeout=20)

    def ask(self, user: str, method: str, rest: bytes = b"") -> tuple[int, bytes]:
        """One request of authentication, and what comes back."""
        self._send(cMSG_USERAUTH_REQUEST, user.encode(), b"ssh-connection", method.encode(), rest)
        return self.hear()

    def offer(self, user: str, algorithm: str, blob: bytes) -> int:
        rest = b"\0" + String(algorithm) + String(blob)
        return self.ask(user, "publickey", rest)[0]

    def sign(
        self,
        user: str,
        algorithm: str,
        blob: bytes,
        key: asyncssh.SSHKey,
        *,
        session: bytes | None = None,
        signed_user: str | None = None,
    ) -> int:
        """A signature of ``key``, over what an honest client would sign or over something else."""
        rest = b"\1" + String(algorithm) + String(blob)
        name = user if signed_user is None else signed_user
        body = bytes(cMSG_USERAUTH_REQUEST) + String(name) + String("ssh-connection")
        over = String(session or self.transport.session_id) + body + String("publickey") + rest
        return self.ask(user, "publickey", rest + String(key.sign(over, b"ssh-ed25519")))[0]

    def _send(self, kind: bytes, *parts: bytes) -> None:
        message = paramiko.Message()
        message.add_byte(kind)
        *strings, last = parts
        for part in strings:
            message.add_string(part)
        if kind == cMSG_SERVICE_REQUEST:
            message.add_string(last)
        else:
            message.packet.write(last)
        self.transport._send_message(message)


@contextmanager
def wired(gate: Gate) -> Iterator[Wire]:
    wire = Wire(gate.door.address)
    try:
        yield wire
    finally:
        wire.close()


async def by_packets(gate: Gate, work: Callable[[Wire], Any]) -> Any:
    """The door is served by this loop, so the packets come from a thread."""

    def run() -> Any:
        with wired(gate) as wire:
            return work(wire)

    return await asyncio.to_thread(run)


def nobody_is_in(gate: Gate) -> bool:
    return not any(one.principal or one.ready for one in gate.door.connections)


# --- methods --------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["hoop-login", "ana", "root"])
@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("none", b""),
        ("password", b"\0" + String("secret")),
        ("password", b"\1" + String("secret") + String("newer")),
        ("keyboard-interactive", String("") + String("")),
        ("hostbased", String(ED25519) + String("x") + String("h") + String("root") + String("x")),
        ("gssapi-with-mic", b"\0\0\0\0"),
        ("made-up", b""),
    ],
    ids=["none", "password", "new-password", "interactive", "hostbased", "gssapi", "made-up"],
)
async def test_no_method_but_a_public_key_is_taken(
    ana: Visitor, user: str, method: str, rest: bytes
) -> None:
    name = ana.id if user == "ana" else user
    kind, told = await by_packets(ana.gate, lambda wire: wire.ask(name, method, rest))
    assert kind == FAILURE
    assert told == String("publickey") + b"\0", "and no other is named"
    assert nobody_is_in(ana.gate)


# --- offers and signatures ------------------------------------------------------------------------


async def test_an_offer_is_no_proof(ana: Visitor) -> None:
    """The certificate would do, and the door says so; nobody is in for that."""

    def work(wire: Wire) -> int:
        assert wire.offer(ana.id, CERTIFICATE, ana.certificate.public_data) == PK_OK
        assert nobody_is_in(ana.gate)
        return wire.ask(ana.id, "none")[0]

    assert await by_packets(ana.gate, work) == FAILURE


async def test_offering_a_certificate_and_signing_with_another_key_is_refused(ana: Visitor) -> None:
    thief = fresh()
    good = ana.certificate.public_data

    def work(wire: Wire) -> list[int]:
        assert wire.offer(ana.id, CERTIFICATE, good) == PK_OK
        return [
            wire.sign(ana.id, CERTIFICATE, good, thief),
            wire.sign(ana.id, ED25519, thief.public_data, thief),
            wire.sign(ana.id, ED25519, ana.key.public_data, ana.key),
            wire.sign(ana.id, ED25519, good, thief),
            wire.sign(ana.id, CERTIFICATE, thief.public_data, thief),
        ]

    assert set(await by_packets(ana.gate, work)) == {FAILURE}
    assert nobody_is_in(ana.gate)


async def test_a_signature_of_another_connection_or_name_is_refused(ana: Visitor) -> None:
    good = ana.certificate.public_data

    def work(wire: Wire) -> list[int]:
        return [
            wire.sign(ana.id, CERTIFICATE, good, ana.key, session=b"\0" * 32),
            wire.sign(ana.id, CERTIFICATE, good, ana.key, signed_user="hoop-login"),
        ]

    assert set(await by_packets(ana.gate, work)) == {FAILURE}


async def test_offering_at_sign_in_and_signing_with_another_certifies_the_one_that_signed(
    gate: Gate, provider: DemoProvider
) -> None:
    """The certificate of the answer is for the key that signed last, whatever was offered."""
    victim, own = fresh(), fresh()

    def work(wire: Wire) -> bytes:
        assert wire.offer("hoop-login", ED25519, victim.public_data) == PK_OK
        assert wire.sign("hoop-login", ED25519, victim.public_data, own) == FAILURE
        assert wire.sign("hoop-login", ED25519, own.public_data, own) == SUCCESS
        wire.transport.auth_handler = paramiko.AuthHandler(wire.transport)
        wire.transport.auth_handler.authenticated = True
        channel = wire.transport.open_session(timeout=20)
        channel.invoke_subsystem("hoop-login")
        channel.sendall(exchange(provider))
        heard = b""
        while piece := channel.recv(1 << 16):
            heard += piece
        return heard

    heard = await by_packets(gate, work)
    told = json.loads(heard.partition(b"\r\n\r\n")[2])
    certificate = asyncssh.import_certificate(told["ssh_certificate"])
    assert certificate.key.public_data == own.public_data


async def test_what_was_shown_for_one_name_counts_for_no_other(ana: Visitor) -> None:
    """A key for hoop-login, then the name of a principal, and the other way round."""
    own, good = fresh(), ana.certificate.public_data

    def work(wire: Wire) -> list[int]:
        assert wire.offer("hoop-login", ED25519, own.public_data) == PK_OK
        refused = [
            wire.sign(ana.id, ED25519, own.public_data, own),
            wire.sign("hoop-login", CERTIFICATE, good, ana.key),
            wire.ask(ana.id, "none")[0],
        ]
        assert wire.sign("hoop-login", ED25519, own.public_data, own) == SUCCESS
        return refused

    assert set(await by_packets(ana.gate, work)) == {FAILURE}


async def test_after_success_no_other_name_is_taken(ana: Visitor) -> None:
    """RFC 4252 5.1: what comes behind the success is ignored."""
    own, good = fresh(), ana.certificate.public_data

    def work(wire: Wire) -> None:
        assert wire.sign("hoop-login", ED25519, own.public_data, own) == SUCCESS
        offered = b"\0" + String(CERTIFICATE) + String(good)
        for method, rest in ((b"none", b""), (b"publickey", offered)):
            wire._send(cMSG_USERAUTH_REQUEST, ana.id.encode(), b"ssh-connection", method, rest)
        # What is answered in order, and only then, shows that nothing was said to those two.
        assert wire.transport.global_request("made-up@hoop.test", ()) is None
        assert wire.answers.heard.empty()
        assert [one.principal for one in ana.gate.door.connections if one.ready] == [""]

    await by_packets(ana.gate, work)


async def test_nothing_can_be_opened_before_the_proof(ana: Visitor) -> None:
    def work(wire: Wire) -> None:
        assert wire.offer(ana.id, CERTIFICATE, ana.certificate.public_data) == PK_OK
        with pytest.raises((paramiko.SSHException, EOFError)):
            wire.transport.open_channel("direct-tcpip", ("prod-db", 5432), ("", 0), timeout=10)

    await by_packets(ana.gate, work)
    assert ana.gate.lanes == []


# --- certificates ---------------------------------------------------------------------------------


def made(ana: Visitor, ca: asyncssh.SSHKey | None = None, **changes: Any) -> Any:
    options = {"key_id": "x", "principals": [ana.id], "valid_before": "+1h"} | changes
    return (ca or ana.gate.keys.user_ca).generate_user_certificate(ana.key, **options)


async def is_taken(ana: Visitor, certificate: Any) -> bool:
    """Whether a lane opens with it."""
    try:
        async with ana.connect(keys=certificate_only(ana.key, certificate)) as connection:
            reader, _ = await connection.open_connection("prod-db", 5432)
            heard: bytes = await reader.readline()
            return heard.startswith(b"ana@")
    except (asyncssh.Error, ConnectionError):
        return False


async def test_a_certificate_of_ours_is_taken(ana: Visitor) -> None:
    """What the tests below change one thing of."""
    assert await is_taken(ana, made(ana))
    assert await is_taken(ana, ana.certificate)


async def test_a_certificate_of_another_authority_is_refused(ana: Visitor) -> None:
    for other in (fresh(), ana.gate.keys.host, ana.key):
        assert not await is_taken(ana, made(ana, other))


async def test_a_certificate_that_is_over_since_a_second_is_refused(ana: Visitor) -> None:
    seconds = now() // 1_000_000
    assert not await is_taken(ana, made(ana, valid_after=0, valid_before=seconds - 1))
    assert not await is_taken(ana, made(ana, valid_after="+1m", valid_before="+1h"))


async def test_empty_principals_are_nobody(ana: Visitor) -> None:
    assert not await is_taken(ana, made(ana, principals=[]))
    assert not await is_taken(ana, made(ana, principals=[""]))


async def test_a_comma_in_a_principal_makes_no_list(ana: Visitor) -> None:
    for names in ([f"{ana.id},root"], [f"root,{ana.id}"], [f",{ana.id}"], [f"{ana.id},"]):
        assert not await is_taken(ana, made(ana, principals=names))
    for names in ([ana.id, "root"], ["root", ana.id], ["*"], ["p-*"], [ana.id.upper()]):
        assert not await is_taken(ana, made(ana, principals=names))


async def test_a_host_certificate_is_no_user_certificate(ana: Visitor) -> None:
    ours = ana.gate.keys.user_ca
    assert not await is_taken(
        ana, ours.generate_host_certificate(ana.key, "x", principals=[ana.id])
    )


async def test_a_forced_command_is_refused(ana: Visitor) -> None:
    assert not await is_taken(ana, made(ana, force_command="/bin/true"))


async def test_a_source_address_is_honoured(ana: Visitor) -> None:
    assert not await is_taken(ana, made(ana, source_address=["192.0.2.0/24"]))
    assert await is_taken(ana, made(ana, source_address=["127.0.0.0/8"]))


async def test_a_certificate_without_forwarding_opens_no_lane(ana: Visitor) -> None:
    assert not await is_taken(ana, made(ana, permit_port_forwarding=False))


def resigned(ana: Visitor, change: Callable[[list[bytes]], list[bytes]]) -> bytes:
    """A certificate of ours with its fields changed before our authority signs it."""
    packet = SSHPacket(ana.certificate.public_data)
    fields = [String(packet.get_string()) for _ in range(3)]
    fields += [packet.get_bytes(8), packet.get_bytes(4)]  # serial, kind
    fields += [String(packet.get_string()) for _ in range(2)]  # key id, principals
    fields += [packet.get_bytes(8), packet.get_bytes(8)]
    # Critical options, extensions, reserved, and the key that signs.
    fields += [String(packet.get_string()) for _ in range(4)]
    head = b"".join(change(fields))
    return head + String(ana.gate.keys.user_ca.sign(head, b"ssh-ed25519"))


async def signs_in(ana: Visitor, blob: bytes) -> bool:
    kind = await by_packets(ana.gate, lambda wire: wire.sign(ana.id, CERTIFICATE, blob, ana.key))
    return bool(kind == SUCCESS)


async def test_a_certificate_put_together_by_hand_is_taken(ana: Visitor) -> None:
    """What the tests below change one field of."""
    assert await signs_in(ana, resigned(ana, lambda fields: fields))


async def test_an_unknown_critical_option_is_refused(ana: Visitor) -> None:
    def change(fields: list[bytes]) -> list[bytes]:
        fields[9] = String(String("verify-required@hoop.test") + String(b""))
        return fields

    assert not await signs_in(ana, resigned(ana, change))


async def test_an_unknown_kind_of_certificate_is_refused(ana: Visitor) -> None:
    for kind in (0, 2, 3, 0xFFFFFFFF):

        def change(fields: list[bytes], kind: int = kind) -> list[bytes]:
            fields[4] = kind.to_bytes(4, "big")
            return fields

        assert not await signs_in(ana, resigned(ana, change))


async def test_a_certificate_signed_by_a_certificate_is_refused(ana: Visitor) -> None:
    """In the place of the authority's key stands a certificate that the authority signed."""

    def change(fields: list[bytes]) -> list[bytes]:
        fields[12] = String(ana.certificate.public_data)
        return fields

    head = resigned(ana, change)
    packet = SSHPacket(head)
    for _ in range(3):
        packet.get_string()
    assert not await signs_in(ana, head)
    nested = head[: head.rindex(String(ana.certificate.public_data))]
    nested += String(ana.certificate.public_data)
    assert not await signs_in(ana, nested + String(ana.key.sign(nested, b"ssh-ed25519")))


async def test_a_certificate_whose_signature_is_cut_or_missing_is_refused(ana: Visitor) -> None:
    good = ana.certificate.public_data
    for blob in (good[:-1], good[:-64], good + b"\0", good[: len(good) // 2], b""):
        assert not await signs_in(ana, blob)
    flipped = bytearray(good)
    flipped[-1] ^= 1
    assert not await signs_in(ana, bytes(flipped))


async def test_the_certificate_of_a_revoked_sign_in_opens_nothing(ana: Visitor) -> None:
    assert await is_taken(ana, ana.certificate)
    async with connect(ana.gate, "hoop-login", [fresh()]) as connection:
        assert (await http(connection, post("/revoke", token=ana.told["access_token"])))[0] == 200
    assert not await is_taken(ana, ana.certificate)


# --- what a connection may open -------------------------------------------------------------------


async def test_shells_commands_and_their_like_are_refused(ana: Visitor) -> None:
    ways: tuple[Callable[[Any], Any], ...] = (
        lambda channel: channel.invoke_shell(),
        lambda channel: channel.exec_command("true"),
        lambda channel: channel.exec_command("scp -t /"),
        lambda channel: channel.invoke_subsystem("sftp"),
        lambda channel: channel.invoke_subsystem("hoop-login"),
        lambda channel: channel.invoke_subsystem("hoop-api\0"),
        lambda channel: channel.get_pty(),
        lambda channel: channel.request_x11(),
    )

    def work() -> None:
        with logged_in(ana) as transport:
            for way in ways:
                channel = transport.open_session(timeout=20)
                with pytest.raises(paramiko.SSHException):
                    way(channel)
                channel.close()

    await asyncio.to_thread(work)


async def test_a_refused_request_leaves_the_channel_as_it_was(ana: Visitor) -> None:
    """env and agent forwarding ask for no answer: the subsystem behind them is what it was."""

    def work() -> bytes:
        with logged_in(ana) as transport:
            channel = transport.open_session(timeout=20)
            channel.set_environment_variable("PATH", "/tmp")
            channel.request_forward_agent(lambda _: None)
            channel.invoke_subsystem("hoop-api")
            heard: bytes = channel.recv(1 << 10)
            return heard

    assert (await asyncio.to_thread(work)).startswith(b"api for ana@")


@pytest.mark.parametrize(
    "kind",
    ["x11", "auth-agent@openssh.com", "forwarded-tcpip", "tun@openssh.com", "made-up", ""],
)
async def test_no_other_kind_of_channel_is_opened(ana: Visitor, kind: str) -> None:
    def work() -> None:
        with logged_in(ana) as transport, pytest.raises(paramiko.SSHException):
            transport.open_channel(kind, ("prod-db", 5432), ("", 0), timeout=10)

    await asyncio.to_thread(work)
    assert ana.gate.lanes == []


async def test_listening_for_a_client_is_refused(ana: Visitor) -> None:
    def work() -> list[Any]:
        with logged_in(ana) as transport:
            return [
                transport.global_request("tcpip-forward", ("", 0)),
                transport.global_request("streamlocal-forward@openssh.com", ("/tmp/x",)),
                transport.global_request("made-up@hoop.test", ()),
            ]

    assert await asyncio.to_thread(work) == [None, None, None]


@contextmanager
def logged_in(ana: Visitor) -> Iterator[paramiko.Transport]:
    key = paramiko.Ed25519Key(file_obj=StringIO(ana.key.export_private_key().decode()))
    key.load_certificate(ana.told["ssh_certificate"])
    transport = paramiko.Transport(socket.create_connection(ana.gate.door.address, 20))
    try:
        transport.connect(username=ana.id, pkey=key)
        yield transport
    finally:
        transport.close()


# --- places and attempts --------------------------------------------------------------------------


async def test_who_fails_too_often_is_told_to_wait_before_any_work(
    tmp_path: Path, provider: DemoProvider
) -> None:
    """And signs in when the minute is over: nothing is locked."""
    minutes = [0]
    async with running_gate(tmp_path, provider.issuer) as gate:
        gate.door.attempts = Attempts(lambda: minutes[0] * 60_000_000, 3)
        for _ in range(3):
            with pytest.raises(asyncssh.Error):
                async with connect(gate, "p-0000000000000000", [fresh()]):
                    pass
        await settled(gate)
        with pytest.raises(asyncssh.DisconnectError, match="wait a minute"):
            async with connect(gate, "hoop-login", [fresh()]):
                pass
        minutes[0] += 1
        await signed_in(gate, provider)


async def test_a_lane_is_no_attempt(ana: Visitor) -> None:
    ana.gate.door.attempts = attempts = Attempts(now, 3)
    for _ in range(5):
        assert await is_taken(ana, ana.certificate)
    assert not attempts._failed


async def test_silent_strangers_lose_their_place_to_those_who_come(
    tmp_path: Path, provider: DemoProvider
) -> None:
    """Hundreds of half-open connections, and then somebody who signs in."""
    async with running_gate(tmp_path, provider.issuer) as gate:
        gate.door.crowd = Crowd(40, 20, lambda one: one.drop())
        async with silent(gate, 200), silent(gate, 100, b"SSH-2.0-slow\r\n\0\0"):
            ana = await signed_in(gate, provider)
            assert await is_taken(ana, ana.certificate)
            assert len(gate.door.crowd) <= 20


async def test_connections_that_are_reset_at_once_leave_nothing(ana: Visitor) -> None:
    def reset() -> None:
        for _ in range(200):
            connection = socket.create_connection(ana.gate.door.address, 20)
            # Closing sends a reset, so that the door may find nobody when it looks.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()

    await asyncio.to_thread(reset)
    assert await is_taken(ana, ana.certificate)
    await settled(ana.gate)
    assert len(ana.gate.door.crowd) == 0


@asynccontextmanager
async def silent(gate: Gate, count: int, word: bytes = b"") -> AsyncIterator[None]:
    made = [await asyncio.open_connection(*gate.door.address) for _ in range(count)]
    for _, writer in made:
        writer.write(word)
    yield
    for _, writer in made:
        writer.close()


async def test_a_principal_has_so_many_connections_and_no_more(
    ana: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoopagent.doors.ssh_connection.MAX_CONNECTIONS", 2)
    async with ana.connect() as first, ana.connect():
        assert not await is_taken(ana, ana.certificate)
        await first.open_connection("prod-db", 5432)


async def test_a_connection_that_only_signs_in_does_not_stay(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoopagent.doors.ssh_connection.LOGIN_LIFE", 0.2)
    async with connect(gate, "hoop-login", [fresh()]) as connection:
        async with asyncio.timeout(20):
            await connection.wait_closed()
    await settled(gate)
    assert len(gate.door.crowd) == 0


async def settled(gate: Gate) -> None:
    """The door has heard that its clients are gone."""
    end = time.monotonic() + 10
    while gate.door.connections and time.monotonic() < end:  # noqa: ASYNC110 - nobody is told
        await asyncio.sleep(0.01)


# --- algorithms -----------------------------------------------------------------------------------


async def test_ssh_audit_finds_no_failure_and_warns_of_curve25519_alone(gate: Gate) -> None:
    program = Path(sys.executable).parent / "ssh-audit"
    if not program.exists() and shutil.which("ssh-audit") is None:
        missing("ssh-audit", "pip install -e '.[test]'")
    host, port = gate.door.address
    process = await asyncio.create_subprocess_exec(
        *(str(program), "--json", "--skip-rate-test", "--port", str(port), host),
        stdout=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    told = json.loads(said)
    failing, warned = [], []
    for kind in ("kex", "key", "enc", "mac"):
        for algorithm in told[kind]:
            notes = algorithm.get("notes", {})
            failing += [algorithm["algorithm"]] * bool(notes.get("fail"))
            warned += [algorithm["algorithm"]] * bool(notes.get("warn"))
    assert failing == []
    assert set(warned) <= {"curve25519-sha256", "curve25519-sha256@libssh.org"}
    assert told["cves"] == []
    assert [one["algorithm"] for one in told["enc"]] == [
        "aes256-gcm@openssh.com",
        "aes128-gcm@openssh.com",
    ]
    assert [one["algorithm"] for one in told["key"]] == ["ssh-ed25519"]
    assert told["compression"] == ["none"]
