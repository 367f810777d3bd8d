"""A small company around a store: people, targets, a clock that tests turn, and live sessions.

The sessions are rows of the store; what closes them is ``access.bereft``, as in the agent.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hoopagent.beginning import begin_waiting
from hoopagent.config import (
    Agent,
    Config,
    Credential,
    Eligibility,
    Identity,
    Role,
    TargetSection,
)
from hoopagent.grants import Grants
from hoopagent.means import Means, View, target_of, targets_of
from hoopagent.requests import Requests
from hoopagent.store import Store, Token
from hoopcore.access import Access, Wish, access, bereft
from hoopcore.model import (
    SECOND,
    Answer,
    AuditEvent,
    Kind,
    Principal,
    Priority,
    Scope,
    Session,
    Time,
)

START: Time = 1_800_000_000 * SECOND
HOUR = 3600
DAY = 24 * HOUR


def principal(name: str, *groups: str, kind: Kind = Kind.HUMAN) -> Principal:
    return Principal(f"p-{name}", kind, "https://id.test", name, f"{name}@test", frozenset(groups))


def section(max_duration: str = "4h", owners: Iterable[str] = ()) -> TargetSection:
    return TargetSection(
        address="db:5432",
        databases=("shop",),
        credential=Credential(user="hoop"),
        max_duration=max_duration,
        owners=frozenset(owners),
    )


def offer(
    targets: str,
    approvers: Iterable[str],
    votes: int = 1,
    scope: str = "*.*:*",
    max: str = "2h",
    **more: Any,
) -> Eligibility:
    plain = {"targets": (targets,), "votes": votes, "scope": scope, "max": max}
    return Eligibility.model_validate({**plain, "approvers": frozenset(approvers), **more})


CONFIG = Config(
    folder=Path("/nowhere"),
    agent=Agent.model_validate({}),
    identity=Identity(issuer="https://id.test", client_id="hoop"),
    targets={
        "prod-db": section(owners=["owners"]),
        "prod-vault": section("30m"),
        "dev-db": section("8h"),
        "lonely-db": section(),
    },
    roles={
        "engineer": Role(
            groups=frozenset({"engineering", "dba"}),
            may_request=(
                offer("prod-db", ["dba", "oncall"]),
                offer("prod-vault", ["dba", "security"], votes=2),
                offer("dev-*", [], votes=0, scope="*.*:read", max="8h"),
            ),
        ),
        "hermit": Role(
            groups=frozenset({"hermits"}), may_request=(offer("lonely-db", ["hermits"]),)
        ),
        "admin": Role(groups=frozenset({"admin"}), administer=True),
    },
    rules="",
    masks="",
    version="policy-1",
)


@dataclass(slots=True)
class World:
    """``time`` is what the wall clock says; nothing else moves it."""

    store: Store
    config: Config = CONFIG
    time: Time = START
    dice: random.Random = field(default_factory=lambda: random.Random(7))
    ana: Principal = field(default_factory=lambda: principal("ana", "engineering"))
    ben: Principal = field(default_factory=lambda: principal("ben", "dba", "oncall", "security"))
    cat: Principal = field(default_factory=lambda: principal("cat", "dba"))
    ada: Principal = field(default_factory=lambda: principal("ada", "dba", "admin"))
    bot: Principal = field(default_factory=lambda: principal("bot", "dba", kind=Kind.SERVICE))
    sue: Principal = field(default_factory=lambda: principal("sue", "sales"))

    @classmethod
    async def begin(cls, store: Store, _folder: Path) -> World:
        world = cls(store)
        for person in world.people:
            await world.sign_in(person)
        return world

    @property
    def people(self) -> tuple[Principal, ...]:
        return (self.ana, self.ben, self.cat, self.ada, self.bot, self.sue)

    @property
    def means(self) -> Means:
        return Means(self.store, lambda: self.config, lambda: self.time, self.dice.randbytes)

    @property
    def requests(self) -> Requests:
        return Requests(self.means)

    @property
    def grants(self) -> Grants:
        return Grants(self.means, self.close_sessions)

    def wait(self, seconds: float) -> None:
        self.time += int(seconds * SECOND)

    def set_target(self, name: str, changed: TargetSection | None) -> None:
        """Reloads the config with one target changed, or gone."""
        targets = {**self.config.targets}
        targets.pop(name)
        if changed is not None:
            targets[name] = changed
        self.config = self.config.model_copy(update={"targets": targets})

    async def sign_in(self, person: Principal, hours: int = 12) -> None:
        now = await self.store.highest_time(self.time)
        await self.store.put_principal(person, now)
        until = now + hours * HOUR * SECOND
        hash = self.dice.randbytes(32).hex()
        await self.store.add_token(
            Token(hash, person.id, now, now + HOUR * SECOND, until, "SHA256:key")
        )

    # --- access

    async def ask(
        self,
        who: Principal,
        target: str = "prod-db",
        seconds: int = HOUR,
        reason: str = "order 4711 is stuck",
        scope: str | None = None,
        key: str = "",
        starts: Time | None = None,
    ) -> View:
        parsed = None if scope is None else Scope.parse(scope)
        wish = Wish(target, reason, seconds, parsed, "", "", Priority.NORMAL, key, starts)
        return await self.requests.ask(who, wish)

    async def approve(self, who: Principal, request: str, seconds: int | None = None) -> View:
        return await self.requests.vote(who, request, Answer.APPROVE, "known incident", seconds)

    async def deny(self, who: Principal, request: str) -> View:
        return await self.requests.vote(who, request, Answer.DENY, "not now")

    async def granted(self, who: Principal, target: str = "prod-db", seconds: int = HOUR) -> str:
        """The id of a grant, asked for and approved by whoever it takes."""
        asked = await self.ask(who, target, seconds)
        for voter in (self.ben, self.cat):
            if asked["state"] == "pending":
                asked = await self.approve(voter, asked["id"])
        return str(asked["grant"])

    async def access(self, who: Principal, target: str = "prod-db") -> Access | None:
        """As sessions.py asks, when a session opens and every second after."""
        now = await self.store.highest_time(self.time)
        section = self.config.targets.get(target)
        if section is None:
            return None
        standing = await self.store.standing(who.id, target, now)
        return access(standing.grants, who.id, target_of(target, section), now, standing.until)

    # --- sessions

    async def disconnect(self, session: str) -> None:
        found = await self.store.session(session)
        assert found is not None
        await self.store.update_session(replace(found, ended=self.time, end_cause="client left"))

    async def connect(self, who: Principal, target: str = "prod-db") -> str | None:
        """Opens a session, or says None."""
        await self.begin_waiting(who.id, target)
        found = await self.access(who, target)
        if found is None:
            return None
        id = self.means.id("s")
        await self.store.add_session(
            Session(id, who.id, target, "shop", "local", "psql", found.grants, self.time)
        )
        return id

    async def begin_waiting(self, who: str, target: str) -> None:
        """What waits for a connection has found one."""
        now = await self.store.highest_time(self.time)
        there = self.means.target(target)
        if there is not None:
            standing = await self.store.standing(who, target, now)
            await begin_waiting(self.means, standing.grants, there, now)

    async def close_sessions(self, grant: str) -> list[str]:
        """Closes what rests only on this grant."""
        resting = await self.store.sessions(grant=grant, live=True)
        return await self._close_bereft(resting)

    async def look(self) -> list[str]:
        """The watch that goes round each second."""
        await self.grants.sweep(self.time)
        live = await self.store.sessions(live=True, limit=10_000)
        for who, target in {(session.principal, session.target) for session in live}:
            await self.begin_waiting(who, target)
        return await self._close_bereft(live)

    async def live_sessions(self) -> set[str]:
        return {session.id for session in await self.store.sessions(live=True, limit=10_000)}

    async def audited(self) -> list[AuditEvent]:
        return await self.store.audit_events(100_000)

    async def _close_bereft(self, sessions: list[Session]) -> list[str]:
        now = await self.store.highest_time(self.time)
        grants = await self.store.grants(live_at=now, limit=None)
        until = {s.principal: await self.store.identity_until(s.principal) for s in sessions}
        closing = bereft(sessions, grants, targets_of(self.config), now, until)
        for session in sessions:
            if session.id in closing:
                await self.store.update_session(replace(session, ended=now, end_cause="ended"))
        return closing
