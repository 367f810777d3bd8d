"""An identity provider whose every answer a test chooses.

Left alone it is honest: discovery, keys, a device flow that needs nobody, and ID tokens for ana.
``say(path, …)`` changes one answer: a JSON value, bytes, ``(status, value, headers)``, or a
function of the form that gives one of those, or writes to the connection itself and gives None.
"""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.signing import CLIENT, public_keys, sign

DISCOVERY = "/.well-known/openid-configuration"


class HostileProvider(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, tls: tuple[Path, Path] | None = None, name: str = "127.0.0.1") -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.port = self.server_address[1]
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        self.issuer = f"{'https' if tls else 'http'}://{name}:{self.port}"
        self.over = threading.Event()
        self.asked: list[tuple[str, dict[str, str]]] = []
        self._number = 0
        self._answers: dict[str, Any] = {}
        self.honest()

    def honest(self) -> None:
        """Every answer as a good provider gives it; what was asked is forgotten."""
        self.asked.clear()
        self._answers = {
            DISCOVERY: self.discovery(),
            "/jwks": {"keys": public_keys()},
            "/device_authorization": self.device(),
            "/token": lambda _: self.tokens(),
            "/revoke": {},
        }

    def say(self, path: str, answer: Any) -> None:
        self._answers[path] = answer

    def count(self, path: str) -> int:
        return sum(1 for asked, _ in self.asked if asked == path)

    def discovery(self, **changed: Any) -> dict[str, Any]:
        told = {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint": f"{self.issuer}/token",
            "device_authorization_endpoint": f"{self.issuer}/device_authorization",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "revocation_endpoint": f"{self.issuer}/revoke",
        } | changed
        return {name: value for name, value in told.items() if value is not None}

    def device(self, **changed: Any) -> dict[str, Any]:
        return {
            "device_code": "dc",
            "user_code": "WXYZ-1234",
            "verification_uri": f"{self.issuer}/device",
            "expires_in": 600,
            "interval": 1,
        } | changed

    def claims(self, **changed: Any) -> dict[str, Any]:
        """What is true of ana now; a claim changed to None is left out."""
        now = int(time.time())
        self._number += 1
        told = {
            "iss": self.issuer,
            "aud": CLIENT,
            "sub": "ana",
            "iat": now,
            "exp": now + 300,
            "jti": str(self._number),
            "email": "ana@shop.example",
            "groups": ["engineering"],
        } | changed
        return {name: value for name, value in told.items() if value is not None}

    def id_token(self, algorithm: str = "ES256", **changed: Any) -> str:
        return sign(self.claims(**changed), algorithm)

    def tokens(self, **changed: Any) -> dict[str, Any]:
        return {"id_token": self.id_token(**changed), "refresh_token": "rt", "access_token": "at"}

    def answer_to(self, path: str, form: dict[str, str]) -> Any:
        self.asked.append((path, form))
        return self._answers.get(path, (404, {"error": "not_found"}, {}))

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has had enough is what most of the tests want."""


class _Answer(BaseHTTPRequestHandler):
    server: HostileProvider
    timeout = 30

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self._give(url.path, {name: v[-1] for name, v in parse_qs(url.query).items()})

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        form = {name: values[-1] for name, values in parse_qs(body).items()}
        form |= {"authorization": self.headers.get("Authorization", "")}
        self._give(self.path, form)

    def _give(self, path: str, form: dict[str, str]) -> None:
        told = self.server.answer_to(path, form)
        if isinstance(told, InTurn):
            told = told.next()
        if callable(told):
            told = told(self) if getattr(told, "raw", False) else told(form)
        if told is None:
            self.close_connection = True
            return
        status, value, headers = told if isinstance(told, tuple) else (200, told, {})
        content = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        for name, text in headers.items():
            self.send_header(name, text)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


class InTurn:
    """One answer after the other, each of any kind; the last one again and again."""

    def __init__(self, answers: tuple[Any, ...]) -> None:
        self._answers = list(answers)

    def next(self) -> Any:
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]


def in_turn(*answers: Any) -> InTurn:
    return InTurn(answers)


def _raw(work: Callable[[_Answer], None]) -> Callable[[_Answer], None]:
    def answer(connection: _Answer) -> None:
        with suppress(OSError):
            work(connection)

    answer.raw = True  # type: ignore[attr-defined]  # how _give tells the two kinds apart
    return answer


@_raw
def dropped(connection: _Answer) -> None:
    """The network goes away before a word is said."""
    connection.connection.close()


@_raw
def endless(connection: _Answer) -> None:
    """A body that never ends, as fast as it goes."""
    connection.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{")
    while not connection.server.over.is_set():
        connection.wfile.write(b" " * 65536)


@_raw
def dripping(connection: _Answer) -> None:
    """A body that never ends, a byte at a time."""
    connection.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{")
    while not connection.server.over.wait(0.2):
        connection.wfile.write(b" ")


@_raw
def silent(connection: _Answer) -> None:
    """Takes the question and says nothing."""
    connection.server.over.wait(60)


@contextmanager
def running_provider(
    tls: tuple[Path, Path] | None = None, name: str = "127.0.0.1"
) -> Iterator[HostileProvider]:
    provider = HostileProvider(tls, name)
    thread = threading.Thread(target=provider.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.over.set()
        provider.shutdown()
        provider.server_close()
        thread.join()
