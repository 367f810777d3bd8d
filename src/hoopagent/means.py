"""What every use case around access works with, and the config in the words of the core.

The config is asked anew each time, so a reload holds from the next use on.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

from hoopagent.config import Config, TargetSection
from hoopagent.config_files import seconds
from hoopagent.errors import Refused
from hoopagent.offers import offers_of as offers_of  # many ask for it here
from hoopagent.store import Store
from hoopcore.model import AuditEvent, Kind, Principal, Target, Time, new_id, rfc3339

View: TypeAlias = dict[str, Any]
"""A value as the API gives it (JSON)."""


def target_of(name: str, section: TargetSection) -> Target:
    """The target as the core sees it: without how to reach it and its credential."""
    return Target(
        name=name,
        protocol=section.protocol,
        databases=section.databases,
        labels=tuple(sorted(section.labels.items())),
        owners=section.owners,
        tier=section.tier,
        max_duration=seconds(section.max_duration),
        durability=section.durability,
    )


def database_of(section: TargetSection, target: str, database: str) -> str:
    """The database that is meant, the first where none is named; Refused where there is none."""
    if section.protocol != "postgres":
        words = f'"{target}" is no database: its protocol is {section.protocol}'
        raise Refused(409, "no_database", words, f"ssh NAME+{target}@AGENT")
    if database and database not in section.databases:
        words = f'"{target}" has no database "{database}"'
        raise Refused(404, "no_database", words, f"it has: {', '.join(section.databases)}")
    return database or section.databases[0]


def targets_of(config: Config) -> dict[str, Target]:
    return {name: target_of(name, section) for name, section in config.targets.items()}


@dataclass(frozen=True, slots=True)
class Means:
    """Memory, policy, time and dice.  ``clock`` is the latest that it could be, not the wall."""

    store: Store
    config_now: Callable[[], Config]
    clock: Callable[[], Time]
    random: Callable[[int], bytes]

    async def now(self) -> Time:
        """Never earlier than any time the store has seen: a clock turned back extends nothing."""
        return await self.store.highest_time(self.clock())

    def id(self, prefix: str) -> str:
        return new_id(prefix, self.random(16))

    def target(self, name: str) -> Target | None:
        """The target as it is now; None where the config has it no more."""
        section = self.config_now().targets.get(name)
        return None if section is None else target_of(name, section)

    def soft_for(self, target: str) -> int:
        """For how many seconds what is narrowed away there may be had again; 0: not at all."""
        section = self.config_now().targets.get(target)
        return 0 if section is None else seconds(section.narrow_softly)

    def administers(self, principal: Principal) -> bool:
        """Whether a role lets them see and end what is not theirs."""
        roles = self.config_now().roles.values()
        return any(role.administer and role.groups & principal.groups for role in roles)

    def looks_after(self, principal: Principal, target: Target) -> bool:
        """Whether they may be told all about the target: its owners, and who administers."""
        owns = principal.id in target.owners or bool(principal.groups & target.owners)
        return owns or self.administers(principal)

    def event(
        self, at: Time, actor: str, action: str, subject: str, **detail: object
    ) -> AuditEvent:
        """What somebody did, under the policy in force; empty details are left out."""
        told = {"policy": self.config_now().version, **detail}
        return AuditEvent(
            at, actor, action, subject, {key: str(value) for key, value in told.items() if value}
        )

    async def refuse(
        self, at: Time, actor: Principal, action: str, subject: str, refused: Refused
    ) -> Refused:
        """Writes down that it was refused, and gives the refusal back to be raised."""
        event = self.event(
            at, actor.id, f"{action}.refused", subject, error=refused.error, why=refused.message
        )
        await self.store.audit(event)
        refused.on_record = True
        return refused

    @asynccontextmanager
    async def trying(self, actor: Principal, action: str, subject: str) -> AsyncIterator[None]:
        """Writes down what is refused in here, once; what makes no sense (422) was no try.

        Nor is it one where ``subject`` is no grant and no review.
        """
        try:
            yield
        except Refused as refused:
            tried = refused.status in (403, 409)
            if refused.status == 404:
                tried = await self._is_there(subject)
            if tried and not refused.on_record:
                await self.refuse(await self.now(), actor, action, subject, refused)
            raise

    async def _is_there(self, id: str) -> bool:
        grant = await self.store.grant(id)
        return grant is not None or bool(await self.store.grant_reviews(ids=[id]))


def person(id: str, known: dict[str, Principal]) -> View:
    """``{id, name}``, and ``kind`` and ``owner`` of what is no person.

    Somebody nobody knows is called by the id.
    """
    found = known.get(id)
    shown = {"id": id, "name": found.name if found else id}
    if found is not None and found.kind is not Kind.HUMAN:
        shown |= {"kind": found.kind.value, "owner": found.owner}
    return shown


def time_or_none(time: Time | None) -> str | None:
    return None if time is None else rfc3339(time)
