"""The agent's own way to an SSH target: who it must be, and what is told to nobody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from hoopagent.config import Credential, HostKeys, TargetSection
from hoopagent.keys import Keys
from hoopagent.secrets import Secrets
from hoopagent.shells.target import NotReached, Reaching, Way
from hoopcore.model import SECOND
from tests.signing import now


class _Server(asyncssh.SSHServer):
    def __init__(self, seen: dict[str, Any]) -> None:
        self.seen = seen

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self.seen["connections"] = self.seen.get("connections", 0) + 1
        self.seen.setdefault("open", []).append(conn)

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        self.seen["password"] = (username, password)
        return password == "sesame"


@asynccontextmanager
async def target(**options: Any) -> AsyncIterator[tuple[int, asyncssh.SSHKey, dict[str, Any]]]:
    """A host that notes who comes."""
    key = options.pop("key", None) or asyncssh.generate_private_key("ssh-ed25519")
    seen: dict[str, Any] = {}
    server = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=lambda: _Server(seen), server_host_keys=[key], **options
    )
    try:
        yield server.get_port(), key, seen
    finally:
        server.close()
        await server.wait_closed()
        for connection in seen.get("open", ()):
            connection.abort()
            await connection.wait_closed()


async def leave(connection: asyncssh.SSHClientConnection) -> None:
    connection.abort()
    await connection.wait_closed()


def way(port: int, host: HostKeys, **credential: Any) -> Way:
    section = TargetSection(
        protocol="ssh",
        address=f"127.0.0.1:{port}",
        credential=Credential(user="deploy", **credential),
        host=host,
    )
    return Way("web", section, "deploy", "hoop:ana:s-1")


def public(key: asyncssh.SSHKey) -> str:
    return key.export_public_key().decode().strip()


@pytest.fixture
def reaching(tmp_path: Path) -> Reaching:
    folder = tmp_path / "config"
    folder.mkdir()
    (folder / "word").write_text("sesame\n")

    class Config:
        pass

    config: Any = Config()
    config.folder = folder
    return Reaching(Keys.load_or_create(tmp_path / "keys"), Secrets(lambda: config, now))


async def reach(reaching: Reaching, one: Way) -> Any:
    return await reaching.connect(one, asyncssh.SSHClient(), now())


async def test_a_password_is_told_to_a_pinned_host_and_to_no_other(reaching: Reaching) -> None:
    async with target() as (port, key, seen):
        connection = await reach(
            reaching, way(port, HostKeys(keys=(public(key),)), password="file:word")
        )
        await leave(connection)
        assert seen.pop("password") == ("deploy", "sesame")
        other = asyncssh.generate_private_key("ssh-ed25519")
        with pytest.raises(NotReached, match="does not show a host key that is pinned"):
            await reach(reaching, way(port, HostKeys(keys=(public(other),)), password="file:word"))
        assert "password" not in seen


async def test_a_host_key_may_be_signed_by_an_authority(reaching: Reaching) -> None:
    authority = asyncssh.generate_private_key("ssh-ed25519")
    for name, good in (("127.0.0.1", True), ("elsewhere", False)):
        key = asyncssh.generate_private_key("ssh-ed25519")
        certificate = authority.generate_host_certificate(key, "host", principals=[name])
        pair = asyncssh.load_keypairs([(key, certificate)])[0]
        async with target(key=pair) as (port, _, seen):
            one = way(port, HostKeys(ca=(public(authority),)), password="file:word")
            if good:
                await leave(await reach(reaching, one))
            else:
                with pytest.raises(NotReached, match="host key"):
                    await reach(reaching, one)
                assert "password" not in seen


async def test_known_hosts_are_read_as_openssh_writes_them(
    reaching: Reaching, tmp_path: Path
) -> None:
    known = tmp_path / "known_hosts"
    async with target() as (port, key, _):
        known.write_text(f"[127.0.0.1]:{port} {public(key)}\n")
        one = way(port, HostKeys(known_hosts=known), password="file:word")
        await leave(await reach(reaching, one))
        known.write_text(f"[127.0.0.2]:{port} {public(key)}\n")
        with pytest.raises(NotReached, match="host key"):
            await reach(reaching, one)


@pytest.mark.parametrize(
    "options",
    [
        {"encryption_algs": ["aes128-ctr"]},
        {"encryption_algs": ["chacha20-poly1305@openssh.com"]},  # which Terrapin needs
        {"kex_algs": ["diffie-hellman-group14-sha256"]},
        {"kex_algs": ["ecdh-sha2-nistp256"]},
    ],
)
async def test_a_target_that_offers_only_other_algorithms_is_refused(
    reaching: Reaching, options: dict[str, Any]
) -> None:
    async with target(**options) as (port, key, seen):
        with pytest.raises(NotReached, match="none of the algorithms"):
            await reach(reaching, way(port, HostKeys(keys=(public(key),)), password="file:word"))
        assert "password" not in seen


async def test_what_is_no_ssh_is_told_within_its_time(reaching: Reaching) -> None:
    ended = asyncio.Event()

    async def hello(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail ESMTP\r\n" * 2000)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
        ended.set()

    server = await asyncio.start_server(hello, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    key = asyncssh.generate_private_key("ssh-ed25519")
    async with server:
        with pytest.raises(NotReached, match="could not reach"):
            await reach(reaching, way(port, HostKeys(keys=(public(key),)), password="file:word"))
        await ended.wait()


def test_a_certificate_is_for_one_account_and_two_minutes(tmp_path: Path) -> None:
    keys = Keys.load_or_create(tmp_path / "keys")
    at = now()
    found: Any = keys.for_account("deploy", "hoop:ana:s-1", at)
    certificate = found[1]
    assert certificate.principals == ["deploy"]
    assert "hoop:ana:s-1" in str(certificate.get_comment())
    assert keys.target_ca.public_data != keys.user_ca.public_data
    assert set(certificate.options) == {"permit-pty"}
    assert at // SECOND + 120 == certificate._valid_before
