"""A provider of the tests' own: signs whatever it is told to, also what no provider would.

In the order of the file: ID tokens good and bad; ``running_gate``, an agent's identity and SSH door
on a real store; ``Desk``, the same for ``hoop`` in a process of its own.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from hoopagent.config import Identity as Settings
from hoopagent.doors.ssh import SshDoor, Welcome
from hoopagent.errors import Refused
from hoopagent.identity import Identity
from hoopagent.keys import Keys
from hoopagent.store import Store
from hoopagent.store.sql import open_store
from hoopcli.credentials import Credentials, FileVault
from hoopcore.model import SECOND, Principal, Time, rfc3339
from tests import hoop_process

ISSUER = "https://id.example"
CLIENT = "hoop"
NOW: Time = 1_790_000_000 * SECOND

_KEYS: dict[str, RSAKey | ECKey | OKPKey] = {
    "RS256": RSAKey.generate_key(2048, {"kid": "rsa"}),
    "ES256": ECKey.generate_key("P-256", {"kid": "ec"}),
    "EdDSA": OKPKey.generate_key("Ed25519", {"kid": "ed"}),
}
_KEYS["PS256"] = _KEYS["RS256"]


def segment(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def good_claims(**changed: Any) -> dict[str, Any]:
    """What an honest provider says of ana, now; a claim changed to None is left out."""
    now = NOW // SECOND
    claims = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "ana",
        "iat": now,
        "exp": now + 300,
        "email": "ana@shop.example",
        "email_verified": True,
        "groups": ["engineering"],
    }
    claims |= changed
    return {name: value for name, value in claims.items() if value is not None}


def sign(
    claims: dict[str, Any],
    algorithm: str = "ES256",
    *,
    header: dict[str, Any] | None = None,
    key: Any = None,
) -> str:
    """A token as the provider would sign it."""
    signing = key or _KEYS[algorithm]
    full = {"alg": algorithm, "kid": signing.kid, **(header or {})}
    full = {name: value for name, value in full.items() if value is not None}
    signed = f"{segment(json.dumps(full).encode())}.{segment(json.dumps(claims).encode())}"
    made = jws.JWSRegistry.algorithms[algorithm].sign(signed.encode(), signing)
    return f"{signed}.{segment(made)}"


def public_keys() -> list[dict[str, Any]]:
    return [dict(_KEYS[name].as_dict(private=False)) for name in ("RS256", "ES256", "EdDSA")]


@dataclass
class KnownKeys:
    """A key source that has them already, and counts how often it is asked."""

    published: list[dict[str, Any]] = field(default_factory=public_keys)
    asked: list[str | None] = field(default_factory=list)

    async def keys(self, kid: str | None) -> list[dict[str, Any]]:
        self.asked.append(kid)
        return self.published


def now() -> Time:
    return time.time_ns() // 1000


@dataclass
class Clock:
    """A clock that goes only where it is told to."""

    at: Time = NOW

    def __call__(self) -> Time:
        return self.at


class Echo(asyncio.Protocol):
    """Says back what it hears, after the name of who asked for what."""

    def __init__(self, greeting: str) -> None:
        self._greeting = greeting.encode()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(self._greeting)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


Opener = Callable[[Principal, str, str], Awaitable[asyncio.Protocol]]


@dataclass
class Gate:
    """The agent's identity and SSH door, running."""

    folder: Path
    keys: Keys
    store: Store
    identity: Identity
    door: SshDoor
    lanes: list[Echo]

    @property
    def address(self) -> str:
        host, port = self.door.address
        return f"{host}:{port}"


@asynccontextmanager
async def running_gate(
    folder: Path,
    issuer: str,
    *,
    clock: Callable[[], Time] = now,
    open_lane: Opener | None = None,
    token_life: str = "1h",
    max_age: str = "12h",
) -> AsyncIterator[Gate]:
    """An identity and an SSH door on a free port; lanes to ``prod-db`` echo."""
    keys = Keys.load_or_create(folder / "keys")
    store = await open_store(f"sqlite:///{folder / 'hoop.db'}", clock())
    settings = Settings(issuer=issuer, client_id=CLIENT, token_life=token_life, max_age=max_age)
    identity = Identity(settings, store, keys, clock=clock, random=os.urandom)
    lanes: list[Echo] = []

    async def lane(principal: Principal, target: str, peer: str) -> asyncio.Protocol:
        if target != "prod-db":
            raise Refused(404, "no_target", f'there is no target "{target}"')
        lanes.append(Echo(f"{principal.name} on {target} from {peer}\n"))
        return lanes[-1]

    async def api(principal: Principal, peer: str) -> asyncio.Protocol:
        lanes.append(Echo(f"api for {principal.name} from {peer}\n"))
        return lanes[-1]

    welcome = Welcome(issuer, CLIENT, settings.scopes, "0.1.0")
    door = SshDoor(keys, identity, welcome=welcome, open_lane=open_lane or lane, open_api=api)
    await door.start("127.0.0.1:0")
    try:
        yield Gate(folder, keys, store, identity, door, lanes)
    finally:
        await door.close()
        await identity.close()
        await store.close()


# --- for hoop in a process of its own ------------------------------------------------------------


@dataclass
class Desk:
    """A gate on a thread with its run folder, and one person's ``hoop`` beside it."""

    folder: Path
    gate: Gate
    loop: asyncio.AbstractEventLoop
    environ: dict[str, str]

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def hoop(self, *arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return hoop_process.hoop(self.environ | changes, *arguments)

    def login(
        self, approve: Callable[[str, str], None], *arguments: str, **changes: str
    ) -> tuple[int, str]:
        """``hoop login``; ``approve(code, complete uri)`` is the person at the page."""

        def visit(said: str) -> None:
            code = re.search(r"Code: (\S+)", said)
            page = re.search(r"code in it: +(\S+)", said)
            assert code
            approve(code[1], page[1] if page else "")

        return self.visited(visit, *arguments, **changes)

    def visited(
        self, visit: Callable[[str], None], *arguments: str, **changes: str
    ) -> tuple[int, str]:
        """``hoop login``; ``visit`` is given all that was said when it begins to wait."""
        return hoop_process.login(self.environ | changes, lambda said, _: visit(said), *arguments)

    def kept(self) -> Credentials:
        """What ``hoop`` has kept of the sign-in."""
        return Credentials.from_text(self._vault.load(self.gate.keys.fingerprint) or "")

    def age(self, seconds: float) -> None:
        """Makes ``hoop`` believe that its token of an hour ends in so many seconds."""
        end = time.time() + seconds
        aged = replace(self.kept(), issued=end - 3600, expires=end)
        self._vault.save(self.gate.keys.fingerprint, aged.to_text())

    @property
    def _vault(self) -> FileVault:
        return hoop_process.vault(self.environ)

    def ask(self, answer: Callable[[Gate], Awaitable[Any]]) -> Any:
        """Something of the gate, asked on its own thread."""

        async def asked() -> Any:
            return await answer(self.gate)

        return asyncio.run_coroutine_threadsafe(asked(), self.loop).result(30)


@contextmanager
def running_desk(folder: Path, issuer: str, **options: Any) -> Iterator[Desk]:
    """A gate that announces itself in ``folder/run``, and an empty HOOP_HOME."""
    ready: list[tuple[Gate, asyncio.AbstractEventLoop, asyncio.Event]] = []
    up = threading.Event()

    async def serve() -> None:
        stop = asyncio.Event()
        async with running_gate(folder, issuer, **options) as gate:
            server = await _announced(gate, folder / "run")
            ready.append((gate, asyncio.get_running_loop(), stop))
            up.set()
            await stop.wait()
            server.close()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert up.wait(30)
    gate, loop, stop = ready[0]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("HOOP", "DBUS", "DISPLAY"))}
    ours = {"HOOP_HOME": str(folder / "home"), "HOOP_AGENT": str(folder / "run")}
    secret = {"HOOP_KEYRING": "off", "HOOP_PASSPHRASE": "correct horse"}
    try:
        yield Desk(folder, gate, loop, kept | ours | secret)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)


async def _announced(gate: Gate, run: Path) -> asyncio.AbstractServer:
    run.mkdir(mode=0o755)
    server = await asyncio.start_unix_server(
        lambda reader, writer: _status(gate, reader, writer), run / "api.sock"
    )
    told = {"api": str(run / "api.sock"), "ssh": gate.address, "host_key": gate.keys.fingerprint}
    (run / "agent.json").write_text(json.dumps(told | {"version": "0.1.0"}))
    return server


async def _status(gate: Gate, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """``GET /v1/status``, and empty lists for what else of the control API ``status`` asks."""
    asked = (await reader.readuntil(b"\r\n\r\n")).decode()
    token = re.search(r"(?i)authorization: bearer (\S+)", asked)
    told: Any
    try:
        who = await gate.identity.authenticate(token[1] if token else "", os.geteuid())
        principal = {"id": who.id, "name": who.name, "groups": sorted(who.groups), "roles": []}
        until = await gate.identity.identity_until(who.id)
        status, told = (
            "200 OK",
            {
                "principal": principal,
                "version": "0.1.0",
                "identity_until": rfc3339(until),
            },
        )
    except Refused as refused:
        status, told = (
            "401 Unauthorized",
            {
                "error": refused.error,
                "message": refused.message,
                "hint": refused.hint,
            },
        )
    if status == "200 OK" and not asked.startswith("GET /v1/status "):
        told = []  # nothing is open to anybody here
    body = json.dumps(told).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    writer.write(head.encode() + body)
    await writer.drain()
    writer.close()
