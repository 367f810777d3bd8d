"""An agent for tests of the CLI: a real HTTP server on a real unix socket.

It speaks the control API, keeps requests, grants and endpoints in memory, and decides nothing by
itself: a test says who asks, and changes what it wants changed.  ``seen`` is every request that
came, in order.
"""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

TOKEN = "token-of-ada"
ADA = {"id": "p-ada0000000", "name": "ada@example.com"}
BOB = {"id": "p-bob0000000", "name": "bob@example.com"}


def at(minutes: float) -> str:
    """RFC 3339, so many minutes from now."""
    when = datetime.now(UTC) + timedelta(minutes=minutes, seconds=5)
    return when.isoformat().replace("+00:00", "Z")


class No(Exception):
    """What the agent answers instead."""

    def __init__(self, status: int, error: str, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": error, "message": message, "hint": hint}


def request(**changes: Any) -> dict[str, Any]:
    return {
        "id": "req-4k7mq2zt9x",
        "requester": ADA,
        "target": "prod-db",
        "scope": "*.*:*",
        "reason": "look into order 4711",
        "duration": 3600,
        "created": at(-3),
        "expires": at(57),
        "state": "pending",
        "rule": "engineer",
        "approvers": ["dba"],
        "votes_needed": 1,
        "votes": [],
        "grant": None,
        "task": "",
        "ticket": "",
        "priority": "normal",
    } | changes


def grant(**changes: Any) -> dict[str, Any]:
    return {
        "id": "grt-7h2vd9xk4p",
        "principal": ADA,
        "target": "prod-db",
        "scope": "*.*:*",
        "not_before": at(-10),
        "not_after": at(42),
        "state": "active",
        "request": "req-4k7mq2zt9x",
        "reason": "look into order 4711",
        "ended_at": None,
        "ended_by": "",
        "ended_why": "",
    } | changes


def target(**changes: Any) -> dict[str, Any]:
    return {
        "name": "prod-db",
        "protocol": "postgres",
        "databases": ["shop", "billing"],
        "tier": "high",
        "max_duration": 14400,
        "grant": None,
        "may_request": True,
        "approvers": ["dba"],
        "masked": ["public.customers.email"],
    } | changes


def review_item(**changes: Any) -> dict[str, Any]:
    return {
        "grant": "grt-7h2vd9xk4p",
        "target": "prod-db",
        "why": {
            "reason": "look into order 4711",
            "ticket": "SHOP-12",
            "approvers": ["bob@example.com"],
            "at": at(-10),
        },
        "not_after": at(42),
        "sessions": 2,
        "statements": 17,
        "refused": 1,
        "rows": 230,
        "masked": 12,
        "used": ["public.orders:read"],
        "granted": "public.customers:read public.orders:read",
        "last_use": at(-4),
        "handed": False,
        "tier": "medium",
        "subject": ADA,
        "not_before": at(-10),
        "group": "used, low risk",
        "seconds": 4,
        "alone": False,
        "held": 0,
        "masked_by": {"email": 12},
        "unread": 0,
        "unseen": 0,
        "idle": ["public.customers:read"],
        "columns": ["id", "status"],
        "hours": [9, 10, 11, 14],
        "telling": {"session": "s-1c9fz4m2qk", "seq": 7},
        "open": ["s-1c9fz4m2qk"],
        "use": "seen",
        "days": [0] * 80 + [3, 0, 0, 9, 0, 0, 0, 0, 1, 4],
        "history": {"statements": 17, "rows": 230},
        "window": {"since": at(-10), "until": at(0), "covers_until": at(0), "known": False},
        "peers": {"people": 7, "having": 2},
        "narrower": {
            "scope": "public.orders:read",
            "passed": 16,
            "of": 16,
            "exact": True,
            "outside": [],
        },
        "review": None,
        "state": "pending",
        "answered": None,
        "asked": None,
        "suggestion": "narrow to public.orders:read: 16 of 16 statements would still pass",
    } | changes


def answered(**changes: Any) -> dict[str, Any]:
    return {
        "id": "rev-5m2nq8zt4w",
        "grant": "grt-7h2vd9xk4p",
        "target": "prod-db",
        "subject": ADA,
        "reviewer": ADA,
        "state": "verified",
        "answer": "give back",
        "made": at(-2),
        "after": None,
        "undo_until": None,
        "proof": {
            "at": at(0),
            "refused": True,
            "said": '"grt-7h2vd9xk4p" opens nothing on "prod-db" any more',
            "checks": [],
            "also": [],
        },
        "ended": at(0),
    } | changes


def vote(answer: str, reason: str) -> dict[str, Any]:
    return {"voter": BOB, "answer": answer, "reason": reason, "at": at(-1), "duration": None}


@dataclass(slots=True)
class Seen:
    method: str
    path: str
    query: dict[str, str]
    body: dict[str, Any]
    token: str


@dataclass(slots=True)
class FakeAgent:
    """What it knows, and what it was asked."""

    socket: Path
    targets: list[dict[str, Any]] = field(default_factory=lambda: [target()])
    requests: dict[str, dict[str, Any]] = field(default_factory=dict)
    grants: dict[str, dict[str, Any]] = field(default_factory=dict)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    answered: list[dict[str, Any]] = field(default_factory=list)
    most: int | None = None  # answers before a run is stopped
    sessions: list[dict[str, Any]] = field(default_factory=list)
    endpoints: set[str] = field(default_factory=set)
    granted: bool = True  # whether Ada has a grant for every target
    decides: Callable[[FakeAgent, dict[str, Any]], None] | None = None  # at the next look at one
    broken: dict[str, tuple[int, str, bytes]] = field(default_factory=dict)  # path → raw answer
    seen: list[Seen] = field(default_factory=list)

    def keep(self, *requests: dict[str, Any]) -> None:
        self.requests |= {one["id"]: one for one in requests}

    def asked(self, method: str, path: str) -> list[Seen]:
        return [one for one in self.seen if (one.method, one.path) == (method, path)]

    # --- the control API

    def answer(self, seen: Seen) -> Any:
        if seen.token != TOKEN:
            raise No(401, "not_signed_in", "your sign-in has ended", "hoop login")
        _, noun, *rest = [unquote(part) for part in seen.path.strip("/").split("/")]
        nouns: dict[str, Callable[[Seen, list[str]], Any]] = {
            "targets": self._targets,
            "requests": self._requests,
            "grants": self._grants,
            "endpoints": self._endpoints,
            "reviews": self._reviews,
            "sessions": lambda seen, rest: self.sessions,
        }
        if noun not in nouns:
            raise No(404, "not_found", f"there is no {noun}")
        return nouns[noun](seen, rest)

    def _targets(self, seen: Seen, rest: list[str]) -> Any:
        return self.targets

    def _requests(self, seen: Seen, rest: list[str]) -> Any:
        if not rest and seen.method == "GET":
            state = seen.query.get("state")
            return [one for one in self.requests.values() if state in (None, one["state"])]
        if not rest:
            if seen.body["target"] not in [one["name"] for one in self.targets]:
                named = seen.body["target"]
                raise No(404, "no_target", f'there is no target "{named}"', "hoop targets")
            wished = {name: seen.body[name] for name in ("target", "reason", "duration")}
            made = request(**wished, created=at(0))
            self.keep(made)
            return made
        one = self.requests.get(rest[0])
        if one is None:
            raise No(404, "no_request", f"there is no request {rest[0]}", "hoop requests")
        if rest[1:] == ["cancel"]:
            one["state"] = "cancelled"
        elif rest[1:] == ["step-up"]:
            one["state"] = "approved"
            one["held"]["confirmed"] = {"by": ADA, "reason": seen.body["reason"], "at": at(0)}
        elif rest[1:] == ["votes"]:
            if seen.body["reason"] == "my own":
                raise No(403, "own_request", "nobody decides on their own request")
            one["votes"].append(vote(seen.body["answer"], seen.body["reason"]))
            one["state"] = "fulfilled" if seen.body["answer"] == "approve" else "denied"
        elif self.decides is not None:
            self.decides(self, one)
        return one

    def _grants(self, seen: Seen, rest: list[str]) -> Any:
        if not rest:
            return list(self.grants.values())
        one = self.grants.get(rest[0])
        if one is None:
            raise No(404, "no_grant", f"there is no grant {rest[0]}", "hoop grants")
        if rest[1] == "extend":
            return request(extends=one["id"], state="pending", **seen.body)
        one["state"] = {"relinquish": "relinquished", "revoke": "revoked"}[rest[1]]
        return {**one, "ended_at": at(0), "closed": ["s-1c9fz4m2qk"]}

    def _endpoints(self, seen: Seen, rest: list[str]) -> Any:
        if not rest:
            if not self.granted:
                message = 'you have no grant for "prod-db"'
                hint = "Ask for it:  hoop request prod-db"
                raise No(403, "no_grant", message, hint)
            self.endpoints.add("e-3k8s5w2rtn")
            return self._endpoint(seen.body)
        if rest[0] not in self.endpoints:
            raise No(404, "no_endpoint", f"there is no endpoint {rest[0]} of yours")
        if seen.method == "DELETE":
            self.endpoints.discard(rest[0])
        return {}

    def _endpoint(self, wish: dict[str, Any]) -> dict[str, Any]:
        is_unix = wish["via"] == "unix"
        return {
            "id": "e-3k8s5w2rtn",
            "target": wish["target"],
            "host": str(self.socket.parent / "pg") if is_unix else "127.0.0.1",
            "port": 5432 if is_unix else 54321,
            "user": "e-3k8s5w2rtn",
            "password": "p@ss/word?",
            "database": wish.get("database") or "shop",
            "databases": ["shop", "billing"],
            "not_after": at(42),
            "linger": 60,
        } | ({"grant": next(iter(self.grants))} if self.grants else {})

    def _reviews(self, seen: Seen, rest: list[str]) -> Any:
        if rest == ["ticket-closed"]:
            return [{"grant": one, "target": "prod-db", "ends": at(42)} for one in self.grants]
        if rest[:1] == ["of"]:
            return next(one for one in self.reviews if one["grant"] == rest[1])
        if seen.method == "GET":
            return self.reviews if rest == ["mine"] else self.answered
        if rest == ["replay"]:
            return {**seen.body, "passed": 14, "of": 16, "exact": True, "outside": ["a.b:update"]}
        if rest:
            return {"decision": {"grant": "grt-7h2vd9xk4p", **seen.body}, "review": answered()}
        given = [one for one in self.asked("POST", "/v1/reviews") if not one.body.get("sure")]
        if self.most is not None and len(given) > self.most and not seen.body.get("sure"):
            raise No(409, "too_many", "that would end 4 of your 5 grants at once")
        back = seen.body["answer"] == "give back"
        return {
            "decision": {"id": "dec-1", **seen.body, "at": at(0)},
            "review": answered(undo_until=at(10)) if back else answered(),
            "closed": ["s-1c9fz4m2qk"] if back else [],
            "suggestion": None,
            "narrowed": None,
        }


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True

    def __init__(self, agent: FakeAgent) -> None:
        self.agent = agent
        super().__init__(str(agent.socket), _Handler)


class _Handler(http.server.BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a test that wants to know reads ``seen``."""

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("content-length") or 0)
        body = json.loads(self.rfile.read(length) or b"{}")
        token = self.headers.get("authorization", "").removeprefix("Bearer ")
        seen = Seen(self.command, parts.path, dict(parse_qsl(parts.query)), body, token)
        self.server.agent.seen.append(seen)
        broken = self.server.agent.broken.get(parts.path)
        if broken is not None:
            self._send(*broken)
            return
        try:
            status, value = 200, self.server.agent.answer(seen)
        except No as no:
            status, value = no.status, no.body
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_DELETE = _handle


@contextmanager
def running(folder: Path) -> Iterator[FakeAgent]:
    """An agent that answers on ``folder/api.sock``."""
    agent = FakeAgent(folder / "api.sock")
    with _Server(agent) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield agent
        finally:
            server.shutdown()
            thread.join()
