"""SSH targets that are weak, or not what they say: what the agent does when it comes to them.

Before anybody has signed in.  What a target does behind that is in ``test_ssh_targets``.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from hoopagent.config import HostKeys
from hoopagent.shells.target import NotReached, Reaching, Way
from tests.sshd import Sshd, running_sshd
from tests.wire.test_ssh_target import leave, public, reach, reaching, target, way

__all__ = ["reaching"]

# --- a real sshd that is configured badly ---------------------------------------------------------


def way_to(sshd: Sshd) -> Way:
    one = way(sshd.port, HostKeys(keys=(sshd.host_key,)), key_file=sshd.key_file)
    return Way(one.target, one.section, sshd.account, one.label)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("KexAlgorithms diffie-hellman-group1-sha1", "curve25519-sha256.*KexAlgorithms"),
        ("KexAlgorithms diffie-hellman-group14-sha1", "curve25519-sha256.*KexAlgorithms"),
        ("KexAlgorithms diffie-hellman-group14-sha256", "curve25519-sha256.*KexAlgorithms"),
        ("Ciphers aes128-cbc,3des-cbc", "aes256-gcm.*Ciphers"),
        ("Ciphers aes256-ctr\nMACs hmac-md5,hmac-sha1", "aes256-gcm.*Ciphers"),
        ("Ciphers chacha20-poly1305@openssh.com", "aes256-gcm.*Ciphers"),
    ],
)
async def test_a_target_that_offers_only_weak_algorithms_is_told_what_to_change(
    reaching: Reaching, tmp_path: Path, settings: str, words: str
) -> None:
    with (
        running_sshd(tmp_path / "sshd", settings) as sshd,
        pytest.raises(NotReached, match=f"none of the algorithms.*{words}"),
    ):
        await reach(reaching, way_to(sshd))


async def test_a_target_whose_host_key_signs_with_sha1_only_is_told_what_to_change(
    reaching: Reaching, tmp_path: Path
) -> None:
    key = asyncssh.generate_private_key("ssh-rsa")
    with (
        running_sshd(tmp_path / "sshd", "HostKeyAlgorithms ssh-rsa", host_key=key) as sshd,
        pytest.raises(NotReached, match=r"host key of Ed25519.*ssh-keygen -A"),
    ):
        await reach(reaching, way_to(sshd))


async def test_a_host_key_of_rsa_signs_with_sha2(reaching: Reaching, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-rsa")
    with running_sshd(tmp_path / "sshd", host_key=key) as sshd:
        await leave(await reach(reaching, way_to(sshd)))


async def test_a_host_key_of_rsa_that_signs_with_sha1_all_the_same_is_not_believed(
    reaching: Reaching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """asyncssh offers SHA-2 and takes whatever comes; here it does not."""
    key = asyncssh.generate_private_key("ssh-rsa")
    sign = type(key).sign
    monkeypatch.setattr(type(key), "sign", lambda self, data, _: sign(self, data, b"ssh-rsa"))
    async with target(key=key) as (port, _, seen):
        with pytest.raises(NotReached):
            await reach(reaching, way(port, HostKeys(keys=(public(key),)), password="file:word"))
        assert "password" not in seen


async def test_a_host_key_that_has_changed_is_refused_with_what_to_compare(
    reaching: Reaching, tmp_path: Path
) -> None:
    with running_sshd(tmp_path / "one") as before, running_sshd(tmp_path / "two") as after:
        one = way(after.port, HostKeys(keys=(before.host_key,)), key_file=after.key_file)
        with pytest.raises(NotReached, match=r"its key has changed: compare.*\[targets.web.host\]"):
            await reach(reaching, one)
        assert "Accepted" not in after.log.read_text()


# --- what comes out of turn -----------------------------------------------------------------------

IGNORE, DEBUG, SERVICE_ACCEPT, KEXINIT, NEWKEYS = 2, 4, 6, 20, 21
GLOBAL_REQUEST, CHANNEL_OPEN, CHANNEL_DATA = 80, 90, 94


def clear(kind: int, payload: bytes = b"") -> bytes:
    """A packet as it is before there are keys."""
    body = bytes([kind]) + payload
    padding = 8 - (5 + len(body)) % 8
    padding += 8 if padding < 4 else 0
    return struct.pack("!IB", 1 + len(body) + padding, padding) + body + bytes(padding)


def word(text: bytes) -> bytes:
    return struct.pack("!I", len(text)) + text


@pytest.mark.parametrize(
    "early",
    [
        clear(IGNORE, word(b"x")),
        clear(DEBUG, b"\1" + word(b"\x1b[31mhi") + word(b"")),
        clear(SERVICE_ACCEPT, word(b"ssh-userauth")),
        clear(NEWKEYS),
        clear(52),  # USERAUTH_SUCCESS
        clear(53, word(b"\x1b]0;banner\a") + word(b"")),
        clear(GLOBAL_REQUEST, word(b"hostkeys-00@openssh.com") + b"\0"),
        clear(CHANNEL_OPEN, word(b"session") + struct.pack("!III", 0, 1 << 20, 1 << 15)),
        clear(CHANNEL_DATA, struct.pack("!I", 0) + word(b"data")),
        clear(99),  # CHANNEL_SUCCESS
        clear(255),
        b"\xff\xff\xff\xff" * 4,
    ],
    ids=lambda data: str(data[5]),
)
async def test_what_comes_before_there_are_keys_ends_the_connection(
    reaching: Reaching, monkeypatch: pytest.MonkeyPatch, early: bytes
) -> None:
    version = asyncssh.SSHServerConnection._send_version

    def and_more(self: Any) -> None:
        version(self)
        self._send(early)

    monkeypatch.setattr(asyncssh.SSHServerConnection, "_send_version", and_more)
    async with target() as (port, key, seen):
        with pytest.raises(NotReached):
            await reach(reaching, way(port, HostKeys(keys=(public(key),)), password="file:word"))
        assert "password" not in seen


async def test_a_target_that_never_ends_its_greeting_is_left(reaching: Reaching) -> None:
    async def talk(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for _number in range(100_000):
            writer.write(b"welcome \x1b[31m" * 500 + b"\r\n")
            await writer.drain()

    async with listening(talk) as port:
        key = asyncssh.generate_private_key("ssh-ed25519")
        with pytest.raises(NotReached, match="does not speak SSH as it should") as refused:
            await reach(reaching, way(port, HostKeys(keys=(public(key),)), password="file:word"))
        assert "\x1b" not in str(refused.value)


# --- Terrapin -------------------------------------------------------------------------------------

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(talk: Talk) -> AsyncIterator[int]:
    done: list[asyncio.Task[None]] = []

    async def come(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        done.append(task)
        try:
            await talk(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()

    server = await asyncio.start_server(come, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in done:
            task.cancel()
        await asyncio.gather(*done, return_exceptions=True)


@asynccontextmanager
async def terrapin(port: int, *, drop: bool) -> AsyncIterator[int]:
    """One in the middle who puts an IGNORE in front of the target's NEWKEYS, and takes out the
    first packet behind that, which is where EXT_INFO stands."""

    async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far, to_far = await asyncio.open_connection("127.0.0.1", port)

        async def there() -> None:
            while data := await reader.read(1 << 16):
                to_far.write(data)

        async def back() -> None:
            writer.write(await far.readline())
            while True:
                head = await far.readexactly(6)
                rest = await far.readexactly(struct.unpack_from("!I", head)[0] - 2)
                if head[5] == NEWKEYS:
                    break
                writer.write(head + rest)
            writer.write(clear(IGNORE, word(b"")) + head + rest)
            if drop:
                size = await far.readexactly(4)  # which GCM leaves readable
                await far.readexactly(struct.unpack("!I", size)[0] + 16)
            while data := await far.read(1 << 16):
                writer.write(data)

        try:
            await asyncio.gather(there(), back())
        finally:
            to_far.transport.abort()

    async with listening(between) as near:
        yield near


@pytest.mark.parametrize("drop", [False, True])
async def test_with_a_target_of_today_what_is_put_in_is_noticed(
    reaching: Reaching, tmp_path: Path, drop: bool
) -> None:
    """Debian's OpenSSH has strict key exchange, and so has the agent."""
    with running_sshd(tmp_path / "sshd") as sshd:
        async with terrapin(sshd.port, drop=drop) as port:
            one = way(port, HostKeys(keys=(sshd.host_key,)), key_file=sshd.key_file)
            with pytest.raises(NotReached):
                await reach(reaching, one)
        assert "Accepted" not in sshd.log.read_text()


async def test_with_a_target_of_before_terrapin_nothing_can_be_taken_out(
    reaching: Reaching, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no strict key exchange.  GCM counts its packets itself, so one that is missing shows;
    ChaCha20-Poly1305 and CBC, of which this is not true, are never spoken to a target."""
    monkeypatch.setattr(
        asyncssh.SSHServerConnection, "_get_extra_kex_algs", lambda _: [b"ext-info-s"]
    )
    async with target() as (port, key, seen):
        one = HostKeys(keys=(public(key),))
        connection = await reach(reaching, way(port, one, password="file:word"))
        assert connection.get_extra_info("recv_cipher").endswith("gcm@openssh.com")
        await leave(connection)
        del seen["password"]
        async with terrapin(port, drop=True) as near:
            with pytest.raises(NotReached):
                await reach(reaching, way(near, one, password="file:word"))
        assert "password" not in seen
