"""Signing in by a page that comes back to this machine: authorization code with PKCE (RFC 8252).

For providers where the device flow is switched off.  The browser is sent to the provider and comes
back to a port of 127.0.0.1 with a code, which only we can redeem (RFC 7636, S256).  The nonce in
the ID token is made of the SSH key that the agent will see (decision 0012).

The port takes one answer and is closed.  An answer is ours if it has our state, and the provider's
if it says so (``iss``, RFC 9207); any other ends the sign-in, since somebody is trying something.

Order of the file: the flow, the port, the page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode, urlsplit

from hoopcli.errors import Failure
from hoopcli.oidc import Endpoints, Tokens, redeem, tokens_of, wished
from hoopcli.provider import ProviderRefused, page_of, refusal

if TYPE_CHECKING:
    import httpx

PATH = "/callback"
PATIENCE = 600.0  # seconds a person has at the provider's page
SILENCE = 10.0  # seconds: a connection that says nothing by then is closed
LARGEST = 16 << 10  # bytes of an answer's address


def sign_in(
    http: httpx.Client,
    endpoints: Endpoints,
    client_id: str,
    scopes: Sequence[str],
    nonce: str,
    *,
    show: Callable[[str], None],
    patience: float = PATIENCE,
) -> Tokens:
    """The tokens for whoever signs in at the page that ``show`` is given."""
    state, verifier = secrets.token_urlsafe(32), secrets.token_urlsafe(64)
    with _port() as (redirect, answers):
        asked = {
            "response_type": "code",
            "client_id": client_id,
            "redirect_uri": redirect,
            **wished(endpoints, scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _s256(verifier),
            "code_challenge_method": "S256",
        }
        show(_address(endpoints, asked))
        try:
            answer = answers.get(timeout=patience)
        except queue.Empty:
            raise ProviderRefused("expired_token", "nobody signed in in time", "") from None
    form = {
        "grant_type": "authorization_code",
        "code": _code(endpoints, answer, state),
        "redirect_uri": redirect,
        "client_id": client_id,
        "code_verifier": verifier,
    }
    tokens = tokens_of(endpoints.issuer, redeem(http, endpoints, form))
    if nonce_of(tokens.id_token) != nonce:
        raise Failure("the ID token was not made for this sign-in")
    return tokens


def _address(endpoints: Endpoints, asked: Mapping[str, str]) -> str:
    """The page with the question in it."""
    if not endpoints.authorization:
        raise Failure(f"{endpoints.issuer} has no page to sign in at", "Try:  hoop login")
    try:
        page = page_of(endpoints.authorization)
    except ValueError:
        raise Failure(f"{endpoints.issuer} names a page that is not to be opened") from None
    return f"{page}{'&' if urlsplit(page).query else '?'}{urlencode(asked)}"


def nonce_of(id_token: str) -> str | None:
    """The nonce a token says it has; whether the token is good is the agent's to find out."""
    try:
        payload = id_token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        nonce = claims.get("nonce")
    except (ValueError, IndexError, AttributeError, RecursionError):
        return None
    return nonce if isinstance(nonce, str) else None


def _code(endpoints: Endpoints, answer: Mapping[str, list[str]], state: str) -> str:
    """The code in an answer; Failure where the answer is not the provider's to our question."""

    def only(name: str) -> str:
        values = answer.get(name, [""])
        return values[0] if len(values) == 1 else ""

    if not hmac.compare_digest(only("state").encode(), state.encode()):
        raise Failure("the answer was to another sign-in than this one: nobody was signed in")
    if ("iss" in answer or endpoints.names_itself) and only("iss") != endpoints.issuer:
        raise Failure(f"the answer was not {endpoints.issuer}'s: nobody was signed in")
    if "error" in answer:
        told = {"error": only("error"), "error_description": only("error_description")}
        raise refusal(endpoints.issuer, 400, told)
    if not only("code"):
        raise Failure(f"{endpoints.issuer} answered without a code")
    return only("code")


def _s256(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


# --- the port -------------------------------------------------------------------------------------

Answers = queue.SimpleQueue[Mapping[str, list[str]]]


@contextmanager
def _port() -> Iterator[tuple[str, Answers]]:
    """A free port of this machine: where answers go, and where they come out."""
    server = _Server()
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server.redirect, server.answers
    finally:
        server.shutdown()
        server.server_close()


class _Server(ThreadingHTTPServer):
    """A thread for each connection: a browser opens some that it never uses."""

    daemon_threads = True  # the page is with the kernel before its answer is with us

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.host = f"127.0.0.1:{self.server_address[1]}"
        self.redirect = f"http://{self.host}{PATH}"
        self.answers: Answers = queue.SimpleQueue()
        self.answered = threading.Lock()

    def server_bind(self) -> None:
        TCPServer.server_bind(self)  # the one above asks the network for our name

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that leaves is nobody's trouble."""


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = SILENCE
    protocol_version = "HTTP/1.0"  # one request a connection

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        # Another name for this machine is another site's page that borrows the browser.
        if url.path != PATH or self.headers.get("Host") != self.server.host:
            self._send(404, "<h1>There is nothing here</h1>")
        elif len(self.path) > LARGEST or not self.server.answered.acquire(blocking=False):
            self._send(400, "<h1>This sign-in has had its answer</h1>")
        else:
            answer = parse_qs(url.query, keep_blank_values=True, max_num_fields=None)
            self._send(200, REFUSED if "error" in answer else RECEIVED)
            self.server.answers.put(answer)

    def _send(self, status: int, body: str) -> None:
        page = PAGE.format(body=body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(page)))
        for name, value in HEADERS:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(page)

    def version_string(self) -> str:
        return "hoop"

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: the code is in the address."""


# --- the page -------------------------------------------------------------------------------------

# Nothing of the answer is in it: whatever was sent to the port, the page says only this.
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hoop sign-in</title>
<style>body {{ font: 16px/1.5 sans-serif; max-width: 32rem; margin: 4rem auto; padding: 0 1rem }}
</style>
{body}
</html>
"""
RECEIVED = """<h1>Go back to your terminal</h1>
<p>hoop has the answer of your identity provider and is finishing the sign-in there.
You can close this page.</p>"""
REFUSED = """<h1>You were not signed in</h1>
<p>Your identity provider said no. Your terminal says why. You can close this page.</p>"""
HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)
