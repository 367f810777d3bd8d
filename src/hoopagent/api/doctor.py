"""What the agent knows to be wrong with itself: the agent's part of ``hoop doctor``.

Whoever is signed in learns whether it is well; what exactly is wrong, with paths, lines and
numbers, only who administers it.  Each look has a time limit of its own and hides no other.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Generic, TypeAlias, TypeVar

from fastapi import APIRouter

from hoopagent.api.context import Agent, Who
from hoopagent.config import Config
from hoopagent.config_files import check
from hoopagent.means import View
from hoopagent.recorder import RESERVE
from hoopagent.store import StoreAway
from hoopcore.model import SECOND, Time, rfc3339
from hoopcore.places import ConfigError

T = TypeVar("T")
Checked: TypeAlias = tuple[Config | None, list[ConfigError]]

_LIMIT = 5.0  # seconds
_FRESH = 0.1  # seconds that a look at files is good for

# Below this much above the reserve, whoever runs the agent should know.
_SCARCE = 16 * RESERVE


@dataclass(frozen=True, slots=True)
class Found:
    """One look.  ``detail`` is for those who run the agent."""

    check: str
    state: str  # "ok", "warn", "fail"
    said: str
    mend: str = ""
    detail: str = ""

    def view(self, *, whole: bool) -> View:
        said = f"{self.said}: {self.detail}" if whole and self.detail else self.said
        theirs = "Tell who runs the agent." if self.mend and not whole else self.mend
        return {"check": self.check, "state": self.state, "said": said, "mend": theirs}


class Lately(Generic[T]):
    """One look for all who ask at about the same time.

    Whoever is signed in may ask as often as they like, and a look at files takes a thread.
    """

    def __init__(self, look: Callable[[], T]) -> None:
        self._look = look
        self._seen: asyncio.Future[T] | None = None
        self._began = 0.0

    async def seen(self) -> T:
        loop = asyncio.get_running_loop()
        if self._seen is None or (self._seen.done() and loop.time() - self._began > _FRESH):
            self._began = loop.time()
            self._seen = loop.run_in_executor(None, self._look)
        return await asyncio.shield(self._seen)  # whoever leaves takes it from nobody else


def router(agent: Agent) -> APIRouter:
    """``GET /v1/doctor``."""
    routes = APIRouter(prefix="/v1/doctor")
    room = Lately(partial(_space, agent))
    on_disk = Lately(lambda: check(agent.config.folder))

    @routes.get("")
    async def looked(who: Who) -> list[View]:
        looks: tuple[tuple[str, Awaitable[Found]], ...] = (
            ("store", _store(agent)),
            ("recordings", room.seen()),
            ("policy", _policy(agent, on_disk)),
            ("agent's clock", _clock(agent)),
            ("audit", _audit(agent)),
        )
        found = await asyncio.gather(*(_within(name, look) for name, look in looks))
        told = [*_archive(agent), *await _told(agent)]
        return [one.view(whole=agent.administers(who)) for one in (*found, *told)]

    return routes


async def _within(name: str, look: Awaitable[Found]) -> Found:
    try:
        async with asyncio.timeout(_LIMIT):
            return await look
    except TimeoutError:
        return Found(name, "fail", f"no answer within {_LIMIT:g} s", "Look at the agent's log.")


async def _store(agent: Agent) -> Found:
    try:
        await agent.store.highest_time(agent.clock())
    except StoreAway as problem:
        said = "the agent cannot reach its store: nothing new is opened or granted"
        return Found("store", "fail", said, "Look at [agent] store and the disk.", str(problem))
    return Found("store", "ok", "it answers, and can be written")


def _space(agent: Agent) -> Found:
    """Room where recordings are kept; below the reserve no session is opened."""
    place = next(one for one in (agent.recordings, *agent.recordings.parents) if one.exists())
    try:
        seen = os.statvfs(place)
    except OSError as problem:
        why = problem.strerror or ""
        return Found("recordings", "fail", "their disk cannot be asked", f"Look at {place}.", why)
    free = seen.f_bavail * seen.f_frsize
    detail = f"{free >> 20} MiB are free at {place}, the reserve is {RESERVE >> 20} MiB"
    if free < RESERVE or not seen.f_favail:
        said = "their disk is full: no session is opened"
        return Found("recordings", "fail", said, f"Make room at {place}.", detail)
    if free < _SCARCE:
        said = "their disk is nearly full"
        return Found("recordings", "warn", said, f"Make room at {place}.", detail)
    return Found("recordings", "ok", "there is room for them", detail=detail)


async def _policy(agent: Agent, on_disk: Lately[Checked]) -> Found:
    loaded = agent.config
    config, problems = await on_disk.seen()
    short = loaded.version[:12]
    held_back = () if agent.reload is None else agent.reload.problems
    if config is None or held_back:
        problems = problems or list(held_back)
        said = f"version {short} is in force; what is on the disk now does not load"
        first = problems[0] if problems else None
        detail = f"{first.file}:{first.line}: {first.message}" if first else ""
        mend = f"hoop-agent check --config {loaded.folder}"
        return Found("policy", "fail", said, mend, detail)
    if config.version != loaded.version:
        said = f"version {short} is in force; another one, {config.version[:12]}, is on the disk"
        return Found("policy", "warn", said, "Wait a second: it is being taken.")
    if agent.reload is not None and agent.reload.wants_restart:
        said = f"version {short} is in force, but agent.toml has changed, which takes a restart"
        return Found("policy", "warn", said, f"hoop-agent restart --config {loaded.folder}")
    return Found("policy", "ok", f"version {short} is in force, and is what is on the disk")


async def _clock(agent: Agent) -> Found:
    ahead: Time = agent.clock() - agent.wall()
    if ahead > 5 * SECOND:
        said = f"it was turned back by {ahead // SECOND} s: access ends that much earlier"
        return Found("agent's clock", "warn", said, "Set the clock of the agent's machine (NTP).")
    return Found("agent's clock", "ok", "it has not been turned back")


async def _audit(agent: Agent) -> Found:
    """Whether the chain is still the one whose end this agent has signed."""
    heads = agent.parts.get("heads")
    try:
        why = None if heads is None else await heads.fault()
    except StoreAway:
        return Found("audit", "fail", "it cannot be read: the store is away")
    if why is not None:
        said = "it was changed behind the agent's back"
        return Found("audit", "fail", said, "hoop audit verify", why)
    return Found("audit", "ok", "it goes on from what was signed last")


def _archive(agent: Agent) -> list[Found]:
    """Whether recordings get into the archive; nothing where there is none."""
    keeping = agent.parts.get("keeping")
    if keeping is None or (keeping.depot is None and not keeping.trouble.why):
        return []
    trouble = keeping.trouble
    mend = "Look at [agent.archive] and the agent's log."
    if trouble.why:
        since = rfc3339(trouble.since // SECOND * SECOND)
        said = f"no recording gets there since {since}; they stay on the agent's disk"
        return [Found("archive", "warn", said, mend, trouble.why)]
    if trouble.stuck:
        count = len(trouble.stuck)
        said = f"{count} recording{'s do' if count > 1 else ' does'} not get there, all others do"
        one = next(iter(trouble.stuck))
        return [Found("archive", "fail", said, mend, f"{one}: {trouble.stuck[one]}")]
    return [Found("archive", "ok", "recordings get there")]


async def _told(agent: Agent) -> list[Found]:
    """Each sink and notification of this agent's config, and what keeps it back."""
    settings = agent.config.agent
    names = {f"audit:{one.name}" for one in settings.audit}
    names |= {f"notify:{one.name}" for one in settings.notify}
    if not names:
        return []
    try:
        known = {one.name.partition("@")[0]: one for one in await agent.store.followers()}
    except StoreAway:
        return []
    found = []
    for name in sorted(names):
        kind, _, called = name.partition(":")
        check, one = f"{kind} {called}", known.get(name)
        if one is not None and one.problem:
            since = f"since {rfc3339(one.since // SECOND * SECOND)}"
            mend = f'Look at [[agent.{kind}]] "{called}".'
            found.append(Found(check, "warn", f"nothing arrives there {since}", mend, one.problem))
        elif one is not None and one.lost:
            said = f"{one.lost} rows of the audit were given up, all others have arrived"
            found.append(Found(check, "warn", said, f'Look at [[agent.{kind}]] "{called}".'))
        else:
            found.append(Found(check, "ok", "it is told of everything"))
    return found
