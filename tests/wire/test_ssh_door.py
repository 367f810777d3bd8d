"""The SSH door, by clients of three makes and by some that no honest person would write."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import asyncssh
import paramiko
import pytest

from hoopagent.doors import ssh_connection as door_module
from hoopagent.doors.crowd import Crowd
from hoopcli.demo.oauth import Memory, Person
from hoopcli.demo.provider import DemoProvider, running
from tests.servers import missing
from tests.signing import Gate, now, running_gate

ANA = Person("ana", "ana@shop.example", ("engineering",))
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ID_TOKEN = "urn:ietf:params:oauth:token-type:id_token"


@dataclass
class Visitor:
    """Somebody who has signed in: the key, the certificate for it, and the agent token."""

    gate: Gate
    provider: DemoProvider
    key: asyncssh.SSHKey
    told: dict[str, Any]

    @property
    def id(self) -> str:
        name: str = self.told["principal"]["id"]
        return name

    @property
    def certificate(self) -> asyncssh.SSHCertificate:
        return asyncssh.import_certificate(self.told["ssh_certificate"])

    def connect(
        self, username: str | None = None, *, keys: Any = None
    ) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
        name = self.id if username is None else username
        return connect(self.gate, name, keys or certificate_only(self.key, self.certificate))


def connect(
    gate: Gate, username: str, keys: Any, **options: Any
) -> AbstractAsyncContextManager[asyncssh.SSHClientConnection]:
    host, port = gate.door.address
    connection: AbstractAsyncContextManager[asyncssh.SSHClientConnection] = asyncssh.connect(
        host,
        port,
        username=username,
        client_keys=keys,
        known_hosts=([gate.keys.host.convert_to_public()], [], []),
        config=None,
        agent_path=None,
        **options,
    )
    return connection


def certificate_only(key: asyncssh.SSHKey, certificate: Any) -> Any:
    """asyncssh would also try the plain key behind a certificate."""
    return list(asyncssh.load_keypairs([(key, certificate)]))[:1]


def fresh() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


async def http(
    connection: asyncssh.SSHClientConnection, request: bytes
) -> tuple[int, dict[str, Any]]:
    stdin, stdout, _ = await connection.open_session(subsystem="hoop-login", encoding=None)
    stdin.write(request)
    answer = await stdout.read()
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def post(path: str, **form: str) -> bytes:
    body = urlencode(form).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: agent\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def exchange(provider: DemoProvider, person: Person = ANA) -> bytes:
    token = provider.oauth.id_token(person, {})
    return post("/token", grant_type=EXCHANGE, subject_token=token, subject_token_type=ID_TOKEN)


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
    key = fresh()
    async with connect(gate, "hoop-login", [key]) as connection:
        status, told = await http(connection, exchange(provider))
    assert status == 200, told
    return Visitor(gate, provider, key, told)


async def refused(connecting: AbstractAsyncContextManager[Any]) -> None:
    with pytest.raises((asyncssh.Error, ConnectionError)):
        async with connecting:
            pass


# --- signing in -----------------------------------------------------------------------------------


async def test_anybody_may_ask_which_provider_to_sign_in_with(gate: Gate) -> None:
    async with connect(gate, "hoop-login", [fresh()]) as connection:
        status, told = await http(
            connection, b"GET /.well-known/hoop HTTP/1.1\r\nHost: agent\r\n\r\n"
        )
    assert status == 200
    assert told["client_id"] == "hoop"
    assert told["issuer"].startswith("http://127.0.0.1:")


async def test_the_certificate_is_for_the_key_that_opened_the_connection(ana: Visitor) -> None:
    assert ana.certificate.key.public_data == ana.key.public_data
    async with ana.connect():
        pass
    host, port = ana.gate.door.address

    def with_another_key() -> None:
        key = paramiko.Ed25519Key(file_obj=StringIO(fresh().export_private_key().decode()))
        key.load_certificate(ana.told["ssh_certificate"])
        transport = paramiko.Transport((host, port))
        try:
            transport.connect(username=ana.id, pkey=key)
        finally:
            transport.close()

    with pytest.raises(paramiko.SSHException):
        await asyncio.to_thread(with_another_key)


class OnlyOffers(asyncssh.public_key.SSHLocalKeyPair):
    """Offers a public key, is told that it would do, and then cannot sign with it."""

    def sign(self, data: bytes) -> bytes:
        return super().sign(data + b"?")


async def test_a_key_that_was_only_offered_is_not_certified(
    gate: Gate, provider: DemoProvider
) -> None:
    offered, proven = fresh(), fresh()
    async with connect(
        gate, "hoop-login", [OnlyOffers(offered, None, None, None), proven]
    ) as connection:
        status, told = await http(connection, exchange(provider))
    assert status == 200
    certificate = asyncssh.import_certificate(told["ssh_certificate"])
    assert certificate.key.public_data == proven.public_data
    await refused(connect(gate, "hoop-login", [OnlyOffers(offered, None, None, None)]))


async def test_a_signature_by_another_key_than_the_offered_one_is_refused(
    gate: Gate,
) -> None:
    stolen, own = fresh(), fresh()
    host, port = gate.door.address

    class Liar(paramiko.Ed25519Key):  # type: ignore[misc]  # paramiko ships no types
        def __init__(self) -> None:

            super().__init__(file_obj=StringIO(own.export_private_key().decode()))

        def asbytes(self) -> bytes:
            return bytes(stolen.public_data)

    def attempt() -> None:
        transport = paramiko.Transport((host, port))
        try:
            transport.start_client(timeout=10)
            transport.auth_publickey("hoop-login", Liar())
        finally:
            transport.close()

    with pytest.raises(paramiko.AuthenticationException):
        await asyncio.to_thread(attempt)


async def test_only_ed25519_keys_may_sign_in(gate: Gate) -> None:
    for kind in ("ssh-rsa", "ecdsa-sha2-nistp256"):
        await refused(connect(gate, "hoop-login", [asyncssh.generate_private_key(kind)]))


async def test_an_id_token_is_exchanged_once_whatever_the_key(
    gate: Gate, provider: DemoProvider
) -> None:
    request = exchange(provider)
    async with connect(gate, "hoop-login", [fresh()]) as connection:
        assert (await http(connection, request))[0] == 200
        status, told = await http(connection, request)
    assert (status, told["error"]) == (400, "invalid_grant")
    async with connect(gate, "hoop-login", [fresh()]) as connection:
        assert (await http(connection, request))[0] == 400


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post("/token"), 400),
        (post("/token", grant_type="password"), 400),
        (post("/token", grant_type=EXCHANGE, subject_token="x", subject_token_type="y"), 400),
        (post("/token", grant_type=EXCHANGE, subject_token="x", subject_token_type=ID_TOKEN), 400),
        (post("/other"), 404),
        (b"GET /token HTTP/1.1\r\nHost: a\r\n\r\n", 404),
        (b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"a" * 70000, 413),
        (b"POST /token HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\xff=1", 400),
        (b"POST /revoke HTTP/1.1\r\nHost: a\r\nContent-Length: 15\r\n\r\ntoken=a&token=b", 400),
    ],
)
async def test_a_malformed_request_gets_a_no(gate: Gate, request_bytes: bytes, status: int) -> None:
    async with connect(gate, "hoop-login", [fresh()]) as connection:
        assert (await http(connection, request_bytes))[0] == status


@pytest.mark.parametrize(
    "garbage",
    [b"\x00\x01\x02\r\n\r\n", b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000, b"SSH-2.0-x\r\n\r\n"],
)
async def test_what_is_not_http_gets_no_answer_and_harms_nobody(gate: Gate, garbage: bytes) -> None:
    async with connect(gate, "hoop-login", [fresh()]) as connection:
        stdin, stdout, _ = await connection.open_session(subsystem="hoop-login", encoding=None)
        stdin.write(garbage)
        async with asyncio.timeout(10):
            assert await stdout.read() == b""
        request = b"GET /.well-known/hoop HTTP/1.1\r\nHost: a\r\n\r\n"
        assert (await http(connection, request))[0] == 200


async def test_hoop_login_may_do_nothing_but_sign_in(gate: Gate) -> None:
    async with connect(gate, "hoop-login", [fresh()]) as connection:
        await everything_else_is_refused(connection)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("prod-db", 5432)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_session(subsystem="hoop-api", encoding=None)


# --- certificates ---------------------------------------------------------------------------------


async def test_a_lane_carries_bytes_both_ways(ana: Visitor) -> None:
    async with ana.connect() as connection:
        reader, writer = await connection.open_connection("prod-db", 5432)
        assert await reader.readline() == b"ana@shop.example on prod-db from 127.0.0.1\n"
        sent = bytes(range(256)) * 4096 * 4
        writer.write(sent)
        assert await reader.readexactly(len(sent)) == sent
        writer.close()
        await ana.gate.lanes[0].lost.wait()


async def test_the_api_is_a_subsystem(ana: Visitor) -> None:
    async with ana.connect() as connection:
        stdin, stdout, _ = await connection.open_session(subsystem="hoop-api", encoding=None)
        stdin.write(b"ping\n")
        assert await stdout.readline() == b"api for ana@shop.example from 127.0.0.1\n"
        assert await stdout.readline() == b"ping\n"


async def test_an_unknown_target_is_refused_with_words(ana: Visitor) -> None:
    async with ana.connect() as connection:
        with pytest.raises(asyncssh.ChannelOpenError, match="there is no target"):
            await connection.open_connection("other-db", 5432)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", 22)


async def test_a_principal_may_open_lanes_and_nothing_else(ana: Visitor) -> None:
    async with ana.connect() as connection:
        await everything_else_is_refused(connection)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_session(subsystem="hoop-login", encoding=None)


async def everything_else_is_refused(connection: asyncssh.SSHClientConnection) -> None:
    ways: list[Callable[[], Awaitable[Any]]] = [
        lambda: connection.run("true", check=True),
        lambda: connection.run(check=True, input=""),
        lambda: connection.run("true", term_type="xterm", check=True),
        lambda: connection.start_sftp_client(),
        lambda: connection.run("scp -t /", check=True),
        lambda: connection.open_session(subsystem="sftp"),
        lambda: connection.open_unix_connection("/run/hoop/api.sock"),
        lambda: connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 1),
        lambda: connection.forward_remote_path("/tmp/hoop-test", "/tmp/other"),
        lambda: connection.create_tun(lambda: asyncssh.SSHTunTapSession()),
    ]
    for way in ways:
        with pytest.raises((asyncssh.Error, asyncssh.ChannelListenError, OSError)):
            async with asyncio.timeout(10):
                await way()


async def test_a_plain_key_opens_nothing_but_sign_in(ana: Visitor) -> None:
    await refused(ana.connect(keys=[ana.key]))
    await refused(ana.connect(keys=[fresh()]))
    await refused(ana.connect(keys=[ana.gate.keys.user_ca]))
    await refused(ana.connect(keys=[ana.gate.keys.host]))


async def test_a_certificate_is_good_for_its_own_name_only(ana: Visitor) -> None:
    for name in ("root", "p-0000000000000000", "", "hoop-login2", ana.id + " ", f"{ana.id},root"):
        await refused(ana.connect(name))


async def test_a_certificate_signs_nobody_in(ana: Visitor) -> None:
    await refused(ana.connect("hoop-login"))


def certified(ana: Visitor, ca: asyncssh.SSHKey | None = None, **changes: Any) -> Any:
    options = {"key_id": "x", "principals": [ana.id], "valid_before": "+1h"} | changes
    return (ana.gate.keys.user_ca if ca is None else ca).generate_user_certificate(
        ana.key, **options
    )


async def test_a_certificate_that_is_not_exactly_ours_is_refused(ana: Visitor) -> None:
    seconds = now() // 1_000_000
    ours = ana.gate.keys.user_ca
    wrong = {
        "of another authority": certified(ana, fresh()),
        "signed by the host key": certified(ana, ana.gate.keys.host),
        "signed by its own key": certified(ana, ana.key),
        "that names nobody": certified(ana, principals=[]),
        "that names two": certified(ana, principals=[ana.id, "root"]),
        "that names one twice": certified(ana, principals=[ana.id, ana.id]),
        "that names a list in one name": certified(ana, principals=[f"{ana.id},root"]),
        "that names a pattern": certified(ana, principals=["p-*"]),
        "over since a second": certified(ana, valid_after=0, valid_before=seconds - 1),
        "not yet good": certified(ana, valid_after="+1h", valid_before="+2h"),
        "for elsewhere": certified(ana, source_address=["192.0.2.0/24"]),
        "of a host": ours.generate_host_certificate(ana.key, "x", principals=[ana.id]),
    }
    for words, certificate in wrong.items():
        with pytest.raises((asyncssh.Error, ConnectionError)):
            async with ana.connect(keys=certificate_only(ana.key, certificate)):
                pytest.fail(f"a certificate {words} was taken")


async def test_a_certificate_signed_by_a_certificate_is_refused(
    ana: Visitor, tmp_path: Path
) -> None:
    """ssh-keygen will not make one, so the signing key's place is filled by hand."""
    from asyncssh.packet import SSHPacket, String

    data = certified(ana, ana.key).public_data
    packet = SSHPacket(data)
    for _ in range(3):
        packet.get_string()  # algorithm, nonce, key
    packet.get_uint64()
    packet.get_uint32()
    for _ in range(2):
        packet.get_string()
    packet.get_uint64()
    packet.get_uint64()
    for _ in range(3):
        packet.get_string()
    head = packet.get_consumed_payload()
    nested = head + String(ana.certificate.public_data)
    nested += String(ana.key.sign(nested, b"ssh-ed25519"))
    with pytest.raises(asyncssh.KeyImportError):
        asyncssh.public_key.decode_ssh_certificate(nested)

    path = tmp_path / "nested-cert.pub"
    import base64

    line = b"ssh-ed25519-cert-v01@openssh.com " + base64.b64encode(nested)
    path.write_bytes(line + b"\n")
    done = await openssh(ana, tmp_path, certificate=path)
    assert done.returncode != 0


async def test_each_new_channel_asks_whether_the_principal_is_signed_in(ana: Visitor) -> None:
    async with ana.connect() as connection:
        await connection.open_connection("prod-db", 5432)
        ana.gate.identity.revoked.clear()  # nobody tells the door
        await ana.gate.identity.logout(ana.told["access_token"])
        with pytest.raises((asyncssh.Error, ConnectionError)):
            await connection.open_connection("prod-db", 5432)
    await refused_lane(ana)


async def refused_lane(ana: Visitor) -> None:
    with pytest.raises((asyncssh.Error, ConnectionError)):
        async with ana.connect() as connection:
            await connection.open_connection("prod-db", 5432)


async def test_signing_out_closes_the_connections_and_their_lanes(ana: Visitor) -> None:
    async with ana.connect() as connection:
        reader, _ = await connection.open_connection("prod-db", 5432)
        await reader.readline()
        async with connect(ana.gate, "hoop-login", [fresh()]) as other:
            status, _ = await http(other, post("/revoke", token=ana.told["access_token"]))
            assert status == 200
            async with asyncio.timeout(5):
                await ana.gate.lanes[0].lost.wait()
                await connection.wait_closed()
            # Whoever is only signing in is not disturbed.
            request = b"GET /.well-known/hoop HTTP/1.1\r\nHost: a\r\n\r\n"
            assert (await http(other, request))[0] == 200


async def test_closing_the_door_leaves_no_connection_and_no_lane(ana: Visitor) -> None:
    address = ana.gate.door.address
    async with ana.connect() as connection:
        await connection.open_connection("prod-db", 5432)
        async with asyncio.timeout(10):
            await ana.gate.door.close()
            await ana.gate.lanes[0].lost.wait()
            await connection.wait_closed()
        assert not ana.gate.door.connections
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(*address)


# --- bounds ---------------------------------------------------------------------------------------


async def test_a_client_may_show_a_few_keys_only(gate: Gate) -> None:
    keys = [asyncssh.generate_private_key("ecdsa-sha2-nistp256") for _ in range(12)]
    with pytest.raises(asyncssh.Error, match="too many keys"):
        async with connect(gate, "p-0000000000000000", [*keys, fresh()]):
            pass


async def test_silent_connections_do_not_keep_others_out(gate: Gate) -> None:
    """Of too many of one address the oldest goes; their places are free when they are gone."""
    crowd: Crowd[Any] = Crowd(6, 3, lambda one: one.drop())
    gate.door.crowd = crowd
    host, port = gate.door.address
    silent = [await asyncio.open_connection(host, port) for _ in range(5)]
    for reader, _ in silent[:2]:
        async with asyncio.timeout(5):
            await reader.read()
    assert len(crowd) == 3
    async with connect(gate, "hoop-login", [fresh()]):
        pass
    for _, writer in silent:
        writer.close()
        await writer.wait_closed()
    async with asyncio.timeout(5):
        while len(crowd):  # noqa: ASYNC110 - nobody is told when one leaves
            await asyncio.sleep(0.01)


async def test_one_connection_may_have_so_many_lanes(
    ana: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "MAX_LANES", 2)
    async with ana.connect() as connection:
        first = await connection.open_connection("prod-db", 5432)
        await connection.open_connection("prod-db", 5432)
        with pytest.raises(asyncssh.ChannelOpenError, match="too many"):
            await connection.open_connection("prod-db", 5432)
        first[1].close()
        await ana.gate.lanes[0].lost.wait()
        await connection.open_connection("prod-db", 5432)


async def test_weak_algorithms_are_not_offered(gate: Gate) -> None:
    weak = [
        {"encryption_algs": ["aes128-cbc", "aes256-ctr"]},
        {"encryption_algs": ["chacha20-poly1305@openssh.com"]},
        {"kex_algs": ["diffie-hellman-group14-sha1", "ecdh-sha2-nistp256"]},
        {"server_host_key_algs": ["ssh-rsa", "rsa-sha2-256", "ecdsa-sha2-nistp256"]},
    ]
    for options in weak:
        await refused(connect(gate, "hoop-login", [fresh()], **options))


async def test_a_client_without_gcm_gets_chacha20(gate: Gate) -> None:
    async with connect(
        gate,
        "hoop-login",
        [fresh()],
        encryption_algs=["chacha20-poly1305@openssh.com", "aes128-ctr"],
        client_version="dropbear_2022.83",
    ) as connection:
        assert connection.get_extra_info("send_cipher") == "chacha20-poly1305@openssh.com"


async def test_who_does_not_sign_in_is_gone_after_a_while(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door_module, "LOGIN_GRACE", 0.1)
    reader, writer = await asyncio.open_connection(*gate.door.address)
    async with asyncio.timeout(10):
        await reader.read()
    writer.close()


# --- clients we did not write ---------------------------------------------------------------------


async def openssh(
    ana: Visitor,
    folder: Path,
    *arguments: str,
    certificate: Path | None = None,
    believes: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh")
    if program is None:
        missing("ssh", "apt-get install openssh-client")
    identity = folder / "id"
    identity.touch(mode=0o600)
    identity.write_bytes(ana.key.export_private_key())
    if certificate is None:
        certificate = folder / "id-cert.pub"
        certificate.write_text(ana.told["ssh_certificate"] + "\n")
    host, port = ana.gate.door.address
    known = folder / "known_hosts"
    pinned = f"[{host}]:{port} ".encode() + ana.gate.keys.host.export_public_key()
    known.write_bytes(believes or pinned)
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known),
        "IdentityFile": str(identity),
        "CertificateFile": str(certificate),
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "BatchMode": "yes",
    }
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    where = arguments or ("-W", "prod-db:5432")
    return await asyncio.to_thread(
        subprocess.run,
        [str(program), "-v", "-F", "none", *words, "-p", str(port), *where, f"{ana.id}@{host}"],
        input=b"ping\n",
        capture_output=True,
        timeout=20,
        check=False,
    )


async def test_stock_ssh_opens_a_lane_over_gcm(ana: Visitor, tmp_path: Path) -> None:
    done = await openssh(ana, tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"ana@shop.example on prod-db from 127.0.0.1\nping\n"
    assert b"cipher: aes128-gcm@openssh.com" in done.stderr


async def test_stock_ssh_believes_a_host_key_by_its_authority_alone(
    ana: Visitor, tmp_path: Path
) -> None:
    """Under the names that the agent has, and under no other."""
    gate = ana.gate
    gate.door.names = ["127.0.0.1"]
    gate.door.stop_accepting()
    await gate.door.start("127.0.0.1:0")
    authority = b"@cert-authority * " + gate.keys.host_ca.export_public_key()
    assert (await openssh(ana, tmp_path, believes=authority)).returncode == 0
    assert (await openssh(ana, tmp_path)).returncode == 0  # the key itself, as before
    elsewhere = ("-o", "HostKeyAlias=elsewhere")
    refused = await openssh(ana, tmp_path, *elsewhere, believes=authority)
    assert b"Host key verification failed" in refused.stderr


async def test_stock_ssh_gets_no_shell(ana: Visitor, tmp_path: Path) -> None:
    for arguments in (("-T",), ("-tt",), ("-s", "-T")):
        done = await openssh(ana, tmp_path, *arguments)
        assert done.returncode != 0
        assert done.stdout == b""


async def test_paramiko_opens_a_lane(ana: Visitor) -> None:

    host, port = ana.gate.door.address

    def converse() -> bytes:
        key = paramiko.Ed25519Key(file_obj=StringIO(ana.key.export_private_key().decode()))
        key.load_certificate(ana.told["ssh_certificate"])
        transport = paramiko.Transport((host, port))
        try:
            transport.connect(username=ana.id, pkey=key)
            channel = transport.open_channel("direct-tcpip", ("prod-db", 5432), ("", 0), timeout=10)
            heard = b""
            while not heard.endswith(b"\n"):
                heard += channel.recv(1024)
            return heard
        finally:
            transport.close()

    assert await asyncio.to_thread(converse) == b"ana@shop.example on prod-db from 127.0.0.1\n"
