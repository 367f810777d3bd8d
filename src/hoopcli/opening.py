"""Where a client connects: an endpoint of an agent here, or the near end of a tunnel.

An agent on this machine makes endpoints itself, and nothing of ours stands in between.  The way to
one elsewhere, and an address that stays from day to day, are held by the tunnels' process; what is
opened there for one ``hoop connect`` lives as long as whoever holds the ``Opened``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote

from hoopcli import about_grants
from hoopcli.client import Client, path
from hoopcli.errors import AgentUnreachable, ApiError, Exit, Failure, fail, say
from hoopcli.view import clean, moment, span

if TYPE_CHECKING:
    from hoopcli.tunnels.calls import Held


MARKS = (120, 600)
"""Seconds before the end of an access at which somebody is told; the agent tells psql then too."""


@dataclass(slots=True)
class Opened:
    """An address for a client, until ``close``, or until whoever holds it has ended."""

    client: Client
    endpoint: dict[str, Any]  # host, port, user, password, database, target, not_after …
    held: Held | None = None  # by the tunnels' process
    warned: tuple[str, int] = ("", 0)  # of which end, and how many seconds before it

    def keep(self) -> None:
        """A sign of life.  Failure with code 4 once the access has ended."""
        target = str(self.endpoint["target"])
        try:
            if self.held is None:
                self._warn(self.client.post(f"{self._path()}/keep"))
                return
            if self.held.lost():
                raise AgentUnreachable("the tunnels' process has ended", "See:  hoop tunnels")
            self._warn(self.client.post("/v1/endpoints", {"target": target, "via": "ssh"}))
        except ApiError as error:
            if error.status not in (403, 404):
                raise
            fail(
                f"your access to {clean(target)} has ended.",
                f'Ask again:  hoop request {clean(target)} --reason "…"',
                Exit.REFUSED,
            )
        except AgentUnreachable:
            if self.held is None or self.held.lost():
                raise
            # The way is being made again; a client that comes meanwhile waits for it.

    def _warn(self, told: Any) -> None:
        """Says on stderr, ten and two minutes before the access ends, what to type."""
        ends = told.get("not_after") if isinstance(told, dict) else None
        if not ends:
            return
        left = (moment(ends) - datetime.now(UTC)).total_seconds()
        mark = next((mark for mark in MARKS if left <= mark), None)
        if mark is None or self.warned == (ends, mark):
            return
        self.warned = (ends, mark)
        target, grant = clean(self.endpoint["target"]), told.get("grant")
        say(f"Your access to {target} ends in {span(max(left, 0))}.")
        if grant:
            say(f'  Extend it:  hoop extend {clean(grant)} --for 1h --reason "…"')
        else:
            say("  Your sign-in runs out:  hoop login")

    def close(self) -> None:
        """Where that fails nothing is lost: nobody keeps it any more."""
        if self.held is not None:
            self.held.connection.close()
            return
        try:
            self.client.delete(self._path())
        except Failure:
            return

    def _path(self) -> str:
        return path("endpoints", str(self.endpoint["id"]))


def opened(
    client: Client, target: str, database: str | None, via: Literal["unix", "tcp"]
) -> Opened:
    """For one ``hoop connect``.  Who has no grant and sits at a terminal may ask for one first."""
    if not client.is_remote:
        return Opened(client, about_grants.endpoint(client, target, database, via))
    from hoopcli.tunnels import calls

    told = about_grants.endpoint(client, target, database, "ssh")
    what = _what(client, told)
    held = client.session.through(lambda word: calls.hold("open", **what, via=via, passphrase=word))
    return Opened(client, {**told, **held.answer}, held)


def kept(client: Client, target: str, database: str | None, *, new_port: bool) -> dict[str, Any]:
    """An address that stays, at an agent here or elsewhere; opened now if it is not open."""

    told = about_grants.endpoint(client, target, database, "ssh")
    what = _what(client, told)
    if database is None:
        what["database"] = ""  # what it was before, or else the target's first
    what["first"] = told["database"]
    before = _port_of(client, target) if new_port else None
    made = {**told, **_kept(client, what, new_port=new_port)}
    if before is not None:
        from hoopcli import pg_service

        for changed in pg_service.moved(before, made):
            say(f"{changed} leads to the new port.")
    return made


def _port_of(client: Client, target: str) -> int | None:
    """The port that the target's address has had."""
    from hoopcli.tunnels import records

    agent = client.session.place.name
    found = [one.port for one in records.remembered() if (one.agent, one.target) == (agent, target)]
    return found[0] if found else None


def address(client: Client, target: Mapping[str, Any]) -> dict[str, Any]:
    """The address that stays of a target as the agent lists it; there may be no grant yet."""

    what = _what(client, {"target": target["name"], "database": ""})
    return _kept(client, what, first=target["databases"][0])


def _kept(client: Client, what: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    from hoopcli.tunnels import calls

    asked = client.session.through(lambda word: calls.call("keep", **what, **more, passphrase=word))
    return _named(asked)


def _named(address: Mapping[str, Any]) -> dict[str, Any]:
    """With what the agent is called, and where it is."""
    from hoopcli import profile

    where = str(address["agent"])
    agents = profile.agents()
    nick = profile.nicks(agents).get(where, where)
    return {**address, "agent": nick, "where": where}


def _what(client: Client, told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "agent": client.session.place.name,
        "target": told["target"],
        "database": told["database"],
    }


def dsn(endpoint: dict[str, Any]) -> str:
    """A libpq URI.  It holds the password."""
    parts = {name: quote(str(endpoint[name]), safe="") for name in ("user", "password", "database")}
    where = f"{endpoint['host']}:{endpoint['port']}"
    return f"postgresql://{parts['user']}:{parts['password']}@{where}/{parts['database']}"
