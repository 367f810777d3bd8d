"""The files of the agent's folder, changed while it runs.

Once a second, and at SIGHUP, the folder is looked at.  A change that has rested for a moment is
read; what is valid is in force for the next statement of every session, and what is not leaves
everything as it was, loudly.  Files are taken together or not at all.

agent.toml says where the agent is and whom it believes: that takes a restart.

Order of the file: when to look, what to take, taking it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import structlog

from hoopagent.config import Config
from hoopagent.config_files import FILES, check
from hoopagent.logs import places
from hoopagent.store import Store, StoreAway
from hoopcore.model import SYSTEM, AuditEvent, Time
from hoopcore.places import ConfigError

log = structlog.get_logger()

_EVERY = 1.0
# An editor, or a checkout, writes one file after the other.
_REST = 0.25

Seen: TypeAlias = tuple[tuple[int, int, int] | None, ...]
"""Of each file: which one it is, its time and its size; None: it is not there."""

# Files whose emptiness takes protection away: an emptied one is a mistake until it says otherwise.
_PROTECTING = ("rules.toml", "masks.toml")


class Reload:
    """Of one agent.  ``apply`` brings a configuration into force, in all sessions.

    ``leave`` stops the agent, which is what a hang-up of its terminal means.
    """

    def __init__(
        self,
        config: Config,
        store: Store,
        clock: Callable[[], Time],
        apply: Callable[[Config], Awaitable[None]],
        leave: Callable[[], None],
    ) -> None:
        self.config = config
        self.problems: tuple[ConfigError, ...] = ()  # of what is on the disk and not in force
        self.wants_restart = False  # agent.toml is another one than at the start
        self._store = store
        self._clock = clock
        self._apply = apply
        self._leave = leave
        self._asked = asyncio.Event()
        self._taken: Seen | None = None

    # --- when to look ---------------------------------------------------------------------------

    async def run(self) -> None:
        """Until it is cancelled.  SIGHUP looks at once, also at files that seem unchanged."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._signalled)
        try:
            while True:
                await self._until_asked()
                try:
                    await self.look()
                except StoreAway:
                    self._taken = None  # what cannot be put on the audit trail is not done
                    log.warning("config.waits", why="the store is away")
                except Exception as problem:  # noqa: BLE001 - the border: the old one stays in force
                    log.error(
                        "config.failed", problem=type(problem).__name__, where=places(problem)
                    )
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def _signalled(self) -> None:
        """From somebody who has changed the files, or from a terminal that was closed."""
        if _terminal_is_gone():
            self._leave()
        self._asked.set()

    async def _until_asked(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVERY):
                await self._asked.wait()
        if self._asked.is_set():
            self._asked.clear()
            self._taken = None

    # --- what to take ---------------------------------------------------------------------------

    async def look(self) -> None:
        """Takes what has changed and rests; StoreAway where that cannot be put on the audit."""
        folder = self.config.folder
        seen = _seen(folder)
        if seen == self._taken:
            return
        await asyncio.sleep(_REST)
        if _seen(folder) != seen:
            return  # somebody is writing; the next look finds it
        found, problems = await asyncio.to_thread(check, folder)
        if _seen(folder) != seen:
            return
        if found is not None:
            problems = [*problems, *_emptied(self.config, found)]
        if found is None or problems:
            self._refused(tuple(problems))
        else:
            await self._take(found)
        self._taken = seen

    def _refused(self, problems: tuple[ConfigError, ...]) -> None:
        self.problems = problems
        for one in problems:
            log.error(
                "config.refused",
                file=one.file,
                line=one.line,
                problem=one.message,
                in_force=self.config.version[:12],
            )

    # --- taking it ------------------------------------------------------------------------------

    async def _take(self, found: Config) -> None:
        old = self.config
        self.problems = ()
        self.wants_restart = (found.agent, found.identity) != (old.agent, old.identity)
        if self.wants_restart:
            log.warning("config.wants_restart", file="agent.toml")
        if found.version == old.version:
            return
        new = found.model_copy(update={"agent": old.agent, "identity": old.identity})
        detail = {"from": old.version, "to": new.version, "changed": ",".join(_changed(old, new))}
        event = AuditEvent(self._clock(), SYSTEM, "policy.changed", new.version[:12], detail)
        await self._store.audit(event)
        await self._apply(new)
        self.config = new
        log.info("config.taken", version=new.version[:12], before=old.version[:12])


def _terminal_is_gone() -> bool:
    """Whether this agent was started at a terminal that is no longer there."""
    try:
        os.tcgetpgrp(2)
    except OSError as problem:
        return problem.errno == errno.EIO
    return False


def _seen(folder: Path) -> Seen:
    found: list[tuple[int, int, int] | None] = []
    for name in FILES:
        try:
            told = (folder / name).stat()
        except OSError:
            found.append(None)
        else:
            found.append((told.st_ino, told.st_mtime_ns, told.st_size))
    return tuple(found)


def _emptied(old: Config, new: Config) -> list[ConfigError]:
    words = "it is empty now, and was not; to mean that, leave a comment in it"
    texts = zip(_PROTECTING, (old.rules, old.masks), (new.rules, new.masks), strict=True)
    return [
        ConfigError(words, file=name, line=1)
        for name, before, now in texts
        if before.strip() and not now.strip()
    ]


def _changed(old: Config, new: Config) -> list[str]:
    """What is another one, in words of the files; empty where only a comment is."""
    parts = ("rules", "masks", "targets", "roles")
    return [part for part in parts if getattr(old, part) != getattr(new, part)]
