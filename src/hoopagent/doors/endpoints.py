"""Endpoints: what one ``hoop connect`` has opened, each the right to connect as one principal.

An endpoint is bound to a principal, a target and a uid.  Its id is the user name a client gives;
over TCP a random password proves it, over the unix socket the kernel's word for the peer's uid.
An endpoint that nobody uses or keeps for ``linger`` seconds ends; that stops new connections only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

import msgspec

from hoopagent.doors.login import Caller, Identified
from hoopcore.model import SECOND, Principal, Time, new_id
from hoopcore.protocols.postgres.login import not_let_in
from hoopcore.protocols.postgres.scram import Verifier, make_verifier, mock_verifier

Via: TypeAlias = Literal["unix", "tcp"]

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

# 22 of 62 letters are 130 bits.
_LENGTH = 22

# Seconds in which the client of a new endpoint, or one that connects again, may take its time.
_NEW = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    id: str  # "e-…": the user name of its DSN
    principal: Principal
    target: str
    database: str  # the default one; empty: the target's
    uid: int
    via: Via
    linger: int  # seconds


@dataclass(frozen=True, slots=True)
class Issued:
    """A new endpoint and its password, which is kept nowhere else; empty over the unix socket."""

    endpoint: Endpoint
    password: str = field(repr=False)


@dataclass(slots=True)
class _Lease:
    endpoint: Endpoint
    verifier: Verifier | None
    touched: Time
    connections: int = 0


class _Written(msgspec.Struct):
    leases: dict[str, _Lease]
    mock_key: bytes


def make_password(random: Callable[[int], bytes]) -> str:
    """Letters and digits, 130 bits: safe in a DSN, a URL and a shell without quoting."""
    letters: list[str] = []
    while len(letters) < _LENGTH:
        # 248 is the largest multiple of 62 in a byte; what is above would favour some letters.
        letters += (_LETTERS[byte % 62] for byte in random(_LENGTH) if byte < 248)
    return "".join(letters[:_LENGTH])


class Endpoints:
    """All endpoints of one door, in memory: they do not outlive the agent."""

    def __init__(self, clock: Callable[[], Time], random: Callable[[int], bytes]) -> None:
        self._clock = clock
        self._random = random
        self._leases: dict[str, _Lease] = {}
        self._mock_key = random(32)

    def add(
        self, principal: Principal, target: str, *, uid: int, via: Via, database: str, linger: int
    ) -> Issued:
        id = new_id("e", self._random(16))
        while id in self._leases:
            id = new_id("e", self._random(16))
        endpoint = Endpoint(id, principal, target, database, uid, via, linger)
        password = make_password(self._random) if via == "tcp" else ""
        verifier = make_verifier(password, self._random(16)) if via == "tcp" else None
        self._leases[id] = _Lease(endpoint, verifier, self._clock())
        return Issued(endpoint, password)

    def find(self, id: str) -> Endpoint | None:
        lease = self._leases.get(id)
        return lease.endpoint if lease is not None else None

    def all(self) -> list[Endpoint]:
        return [lease.endpoint for lease in self._leases.values()]

    def keep(self, id: str) -> bool:
        """A sign of life of whoever opened it; False where it has ended."""
        lease = self._leases.get(id)
        if lease is None:
            return False
        lease.touched = self._clock()
        return True

    def remove(self, id: str) -> Endpoint | None:
        """Ends it; running connections go on.  None where it had ended already."""
        lease = self._leases.pop(id, None)
        return lease.endpoint if lease is not None else None

    def sweep(self, now: Time) -> list[Endpoint]:
        """Ends those that nobody has used or kept for their time; which ones."""
        ended = [
            lease.endpoint
            for lease in self._leases.values()
            if not lease.connections and now - lease.touched >= lease.endpoint.linger * SECOND
        ]
        for endpoint in ended:
            del self._leases[endpoint.id]
        return ended

    def make_room(self, principal: str, most: int) -> bool:
        """Whether this principal may have one more endpoint, of at most so many.

        A script of many short connections leaves each endpoint behind for its linger; of those the
        oldest goes first.  One that is in use, new, or kept by a client of TCP is never taken away.
        """
        theirs = [
            lease for lease in self._leases.values() if lease.endpoint.principal.id == principal
        ]
        if len(theirs) < most:
            return True
        before = self._clock() - _NEW * SECOND
        over = [
            lease
            for lease in theirs
            if not lease.connections and lease.endpoint.via == "unix" and lease.touched < before
        ]
        if not over:
            return False
        del self._leases[min(over, key=lambda lease: lease.touched).endpoint.id]
        return True

    def used(self, id: str, change: Literal[1, -1]) -> None:
        """A connection through it was opened, or closed."""
        lease = self._leases.get(id)
        if lease is not None:
            lease.connections += change
            lease.touched = self._clock()

    # --- from one agent to the next -----------------------------------------------------------

    def written(self) -> bytes:
        """All of it, for the next agent alone: it holds what passwords are checked with."""
        return msgspec.json.encode({"leases": self._leases, "mock_key": self._mock_key})

    def adopt(self, written: bytes) -> dict[str, int]:
        """Takes over what another agent has ``written``; how many connections each has there.

        Whoever guesses names is answered as before, or the change would tell which there are.
        """
        found = msgspec.json.decode(written, type=_Written)
        now = self._clock()
        for id, lease in found.leases.items():
            lease.touched = now
            self._leases[id] = lease
        self._mock_key = found.mock_key
        return {id: lease.connections for id, lease in found.leases.items() if lease.connections}

    # --- who may come in ----------------------------------------------------------------------

    def by_uid(self, id: str, uid: int, origin: str) -> Identified:
        """On the unix socket: the endpoint must be this uid's own."""
        lease = self._leases.get(id)
        if lease is None or lease.endpoint.via != "unix" or lease.endpoint.uid != uid:
            raise not_let_in()
        return Identified(_caller(lease.endpoint, origin), None)

    def by_password(self, id: str, origin: str) -> Identified:
        """Over TCP: the endpoint's verifier, or one that nothing satisfies."""
        lease = self._leases.get(id)
        if lease is None or lease.verifier is None:
            return Identified(None, mock_verifier(id, self._mock_key))
        return Identified(_caller(lease.endpoint, origin), lease.verifier)


def _caller(endpoint: Endpoint, origin: str) -> Caller:
    return Caller(
        principal=endpoint.principal,
        target=endpoint.target,
        door="local",
        origin=origin,
        uid=endpoint.uid,
        database=endpoint.database,
        endpoint=endpoint.id,
    )
