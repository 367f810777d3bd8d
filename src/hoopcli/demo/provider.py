"""``python -m hoopcli.demo.provider``: an identity provider for trying hoop, on the loopback.

It is a real OpenID provider to whoever talks to it, with one thing left out: nobody has to prove
who they are.  The device page lists the people and one picks.  So it binds 127.0.0.1 only, answers
only to that name (a web page elsewhere cannot borrow it), and says loudly that it is a demo.

When it is ready it prints one line of JSON with its issuer.  SIGTERM ends it.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from authlib.oauth2.base import OAuth2Error

from hoopcli.demo.oauth import CLIENT_ID, Memory, Person, Server

LARGEST_FORM = 64 << 10

PEOPLE = (
    Person("ana", "ana@shop.example", ("engineering",)),
    Person("ben", "ben@shop.example", ("engineering", "dba")),
    Person("cleo", "cleo@shop.example", ("support",)),
)

WISH = """<h1>Sign in to hoop</h1>
<p>A terminal of this machine asks who you are.</p>
<form method="post" action="/authorize">
{hidden}
<p><label>I am<br><select name="person">{people}</select></label></p>
<p><button name="answer" value="approve">Sign in</button>
<button name="answer" value="deny">Deny</button></p>
</form>
"""

PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>hoop demo sign-in</title>
<style>
body {{ font: 16px/1.5 sans-serif; max-width: 32rem; margin: 3rem auto; padding: 0 1rem }}
.demo {{ background: #fde68a; color: #111; padding: .75rem 1rem; border: 2px solid #111 }}
input, select, button {{ font: inherit; padding: .4rem .6rem; margin: .25rem 0 }}
input {{ text-transform: uppercase }}
</style>
<p class="demo"><strong>This is a demo.</strong> It has no passwords: whoever opens this page
signs in as anybody. Never point a real agent at it.</p>
{body}
</html>
"""

FORM = """<h1>Sign in to hoop</h1>
<p>Check that this code is the one your terminal shows.</p>
<form method="post" action="/device">
<p><label>Code<br><input name="user_code" value="{code}" autocomplete="off" required></label></p>
<p><label>I am<br><select name="person">{people}</select></label></p>
<p><button name="answer" value="approve">Sign in</button>
<button name="answer" value="deny">Deny</button></p>
</form>
"""

_HEADERS = (
    ("Cache-Control", "no-store"),
    (
        "Content-Security-Policy",
        # A browser asks this about where a form is sent on to as well.
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self' http://127.0.0.1:*",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
)


class DemoProvider(ThreadingHTTPServer):
    """Listens once made; ``serve_forever`` answers."""

    daemon_threads = True

    def __init__(self, port: int, memory: Memory) -> None:
        super().__init__(("127.0.0.1", port), _Answer)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.oauth = Server(self.issuer, memory)
        self.lock = threading.Lock()


class _Answer(BaseHTTPRequestHandler):
    server: DemoProvider
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        if not self._meant_for_us():
            return
        url = urlsplit(self.path)
        if url.path == "/.well-known/openid-configuration":
            self._json(200, self.server.oauth.discovery())
        elif url.path == "/jwks":
            self._json(200, self.server.oauth.jwks())
        elif url.path == "/device":
            self._page(200, self._form(parse_qs(url.query).get("user_code", [""])[0]))
        elif url.path == "/authorize":
            self._ask({name: values[-1] for name, values in parse_qs(url.query).items()})
        else:
            self._json(404, {"error": "not_found"})

    def do_POST(self) -> None:
        form = self._read_form() if self._meant_for_us() else None
        if form is None:
            return
        oauth = self.server.oauth
        with self.server.lock:
            if self.path == "/device":
                self._answer_device(form)
            elif self.path == "/authorize":
                self._come_back(form)
            elif self.path == "/token":
                self._json(*oauth.create_token_response((self.path, form)))
            elif self.path == "/device_authorization":
                request = (self.path, form)
                self._json(*oauth.create_endpoint_response("device_authorization", request))
            elif self.path == "/revoke":
                self._json(*oauth.create_endpoint_response("revocation", (self.path, form)))
            else:
                self._json(404, {"error": "not_found"})

    def _answer_device(self, form: dict[str, str]) -> None:
        approved = form.get("answer") == "approve"
        done = self.server.oauth.memory.answer(
            form.get("user_code", ""), form.get("person", ""), approved=approved
        )
        if not done:
            words = "<h1>No</h1><p>That code is unknown, used or too old.</p>"
            self._page(400, words)
        elif approved:
            self._page(200, "<h1>Signed in</h1><p>Go back to your terminal.</p>")
        else:
            self._page(200, "<h1>Denied</h1><p>Nobody was signed in.</p>")

    def _ask(self, asked: dict[str, str]) -> None:
        """The page of a wish that is in order; no other is sent anywhere."""
        try:
            self.server.oauth.get_consent_grant(("/authorize", asked))
        except OAuth2Error as problem:
            said = html.escape(problem.description or problem.error or "")
            self._page(400, f"<h1>No</h1><p>That is no wish to sign in: {said}</p>")
            return
        hidden = "".join(
            f'<input type="hidden" name="{html.escape(name)}" value="{html.escape(value)}">'
            for name, value in asked.items()
        )
        self._page(200, WISH.format(hidden=hidden, people=self._people()))

    def _come_back(self, form: dict[str, str]) -> None:
        """Sends the browser back to where the wish came from, with a code or a no."""
        oauth = self.server.oauth
        person = oauth.memory.people.get(form.pop("person", ""))
        approved = form.pop("answer", "") == "approve"
        request = oauth.create_oauth2_request(("/authorize", form))
        try:
            grant = oauth.get_consent_grant(request)
        except OAuth2Error:
            self._page(400, "<h1>No</h1><p>That is no wish to sign in.</p>")
            return
        status, body, headers = oauth.create_authorization_response(
            request, grant_user=person if approved else None, grant=grant
        )
        to = dict(headers).get("Location")
        if to is None:
            self._json(status, body)
            return
        named = f"{to}&{urlencode({'iss': oauth.issuer})}"  # RFC 9207
        self._send(302, "text/plain", b"", [("Location", named)])

    def _form(self, code: str) -> str:
        return FORM.format(code=html.escape(code), people=self._people())

    def _people(self) -> str:
        return "".join(
            f'<option value="{html.escape(person.name)}">{html.escape(person.name)}'
            f" ({html.escape(', '.join(person.groups))})</option>"
            for person in self.server.oauth.memory.people.values()
        )

    def _meant_for_us(self) -> bool:
        """Refuses what another site's page makes a browser send (rebinding, forged forms)."""
        port = self.server.server_address[1]
        origin = self.headers.get("Origin")
        hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        ours = self.headers.get("Host") in hosts
        if not ours or (origin is not None and origin.removeprefix("http://") not in hosts):
            self._json(403, {"error": "forbidden"})
            return False
        return True

    def _read_form(self) -> dict[str, str] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LARGEST_FORM:
            self.close_connection = True
            self._json(413, {"error": "invalid_request"})
            return None
        fields = parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))
        return {name: values[-1] for name, values in fields.items()}

    def _json(self, status: int, body: Any, headers: Sequence[tuple[str, str]] = ()) -> None:
        extra = [pair for pair in headers if pair[0].lower() == "www-authenticate"]
        self._send(status, "application/json", json.dumps(body).encode(), extra)

    def _page(self, status: int, body: str) -> None:
        self._send(status, "text/html; charset=utf-8", PAGE.format(body=body).encode())

    def _send(
        self, status: int, kind: str, body: bytes, extra: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in (*_HEADERS, *extra):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing: codes and tokens are in the requests."""


def people_of(folder: Path) -> dict[str, Person]:
    """The people of ``users.json``; where there is none it is written first."""
    path = folder / "users.json"
    if not path.exists():
        people = {person.name: asdict(person) for person in PEOPLE}
        path.write_text(json.dumps(people, indent=2) + "\n")
    return {
        name: Person(name, entry.get("email", ""), tuple(entry.get("groups", ())))
        for name, entry in json.loads(path.read_text()).items()
    }


@contextmanager
def running(memory: Memory, port: int = 0) -> Iterator[DemoProvider]:
    """The provider on a thread of this process, for as long as the block runs."""
    provider = DemoProvider(port, memory)
    thread = threading.Thread(target=provider.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        provider.server_close()
        thread.join()


def approve(issuer: str, user_code: str, person: str, *, answer: str = "approve") -> None:
    """What a browser sends when somebody picks a person and presses the button."""
    import httpx

    form = {"user_code": user_code, "person": person, "answer": answer}
    # The provider is on this machine: a proxy has no part in it.
    with httpx.Client(trust_env=False, timeout=10) as browser:
        browser.post(f"{issuer}/device", data=form).raise_for_status()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="hoopcli.demo.provider", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--interval", type=float, default=0.2, help="seconds between polls")
    parser.add_argument("--parent-pid", type=int, help="end when this process is gone")
    chosen = parser.parse_args(arguments)
    memory = Memory(people_of(chosen.folder), interval=chosen.interval)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
    if chosen.parent_pid:
        threading.Thread(target=_end_with, args=(chosen.parent_pid,), daemon=True).start()
    with DemoProvider(chosen.port, memory) as provider:
        ready = {"issuer": provider.issuer, "client_id": CLIENT_ID}
        print(json.dumps({**ready, "device_page": f"{provider.issuer}/device"}), flush=True)
        provider.serve_forever(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main())
