"""Users of a target that live as long as one session.

Where the credential may create roles, each session gets a user of its own, a member of the roles
that its grant (or the target) names.  The database itself then says what the session may do, and
there is nothing above it that the client could go back to.  The password is random, and the target
is told its SCRAM verifier only, so neither its log nor its statistics hold it.

A user is dropped when its session ends.  An agent that died leaves its users behind; whoever comes
next drops those that are old enough and have no connection.  The name says when it was made, by
the target's own clock: agents whose clocks disagree drop each other nothing.

Order of the file: names and statements, one session's user, and the sweep.
"""

from __future__ import annotations

import asyncio
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import structlog

from hoopagent.config import Config, TargetSection
from hoopagent.connect import place_of
from hoopagent.logs import places
from hoopagent.own import AskedInVain, Own, credential_of, opened
from hoopagent.secrets import Secrets, SecretUnread
from hoopcore.model import Time, new_id, rfc3339
from hoopcore.protocols.postgres import scram

log = structlog.get_logger()

LIMIT = 10.0  # seconds for making or dropping one

_EVERY = 60.0  # seconds between two sweeps
# A login takes 30 s at the most: behind that a user without a connection has lost its session.
_OLD_ENOUGH = 120  # seconds

_SECONDS = re.compile(r"[0-9]{10,12}")
_NAME = re.compile(r"hoop_([0-9]{10,12})_[0-9a-z]{10}")
_NOW = "extract(epoch FROM pg_catalog.clock_timestamp())::bigint"
_LEFT = """
SELECT r.rolname FROM pg_catalog.pg_roles r
WHERE r.rolname ~ '^hoop_[0-9]+_[0-9a-z]+$' AND NOT r.rolsuper AND NOT EXISTS (
  SELECT FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid)
ORDER BY pg_catalog.random() LIMIT 100
"""  # the rest is for the next look, as others are where some will not go
_OWNS = "2BP01"  # objects depend on it
_ROLES_OF = """
SELECT r.rolname FROM pg_catalog.pg_auth_members m
JOIN pg_catalog.pg_roles r ON r.oid = m.roleid JOIN pg_catalog.pg_roles u ON u.oid = m.member
WHERE u.rolname = '{name}' AND r.rolname <> current_user ORDER BY 1
"""
# Said in front of each text: else operators of the target's own, of whoever may make some in the
# credential's search_path, would run with all that the credential may do.
_OURS_ALONE = "SET search_path = pg_catalog"


# --- names and statements -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class User:
    """A user that was made for one session."""

    target: str
    name: str
    password: str = field(repr=False)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_lost(name: str, now: int) -> bool:
    """Whether a user of this name was made so long ago that its session would be there by now.

    Never where hoop makes no such names.
    """
    found = _NAME.fullmatch(name)
    return found is not None and now - int(found[1]) > _OLD_ENOUGH


async def _clock(own: Own) -> int:
    """The target's time, in seconds."""
    answer = await own.rows(f"SELECT {_NOW}")
    if len(answer) != 1 or len(answer[0]) != 1 or not _SECONDS.fullmatch(answer[0][0] or ""):
        raise AskedInVain("it does not say what time it is")
    return int(answer[0][0] or "")


def creation(name: str, verifier: str, until: Time, roles: tuple[str, ...]) -> str:
    """The statement that makes the user."""
    may = "LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION CONNECTION LIMIT 1"
    within = f" IN ROLE {', '.join(map(_quoted, roles))}" if roles else ""
    ends = f"PASSWORD '{verifier}' VALID UNTIL '{rfc3339(until)}'"
    return f"CREATE ROLE {_quoted(name)} {may} {ends}{within}"


async def _reassign(own: Own, user: str, heirs: list[str]) -> None:
    """To the first of them that may have it: whose it is, must be allowed to make it there."""
    for heir in heirs:
        try:
            await own.rows(f"REASSIGN OWNED BY {user} TO {_quoted(heir)}")
        except AskedInVain:
            if heir == heirs[-1]:
                raise
        else:
            return


# --- one session's user ---------------------------------------------------------------------------


class Users:
    """The users that this agent has made, on all targets."""

    def __init__(
        self,
        config_now: Callable[[], Config],
        secrets: Secrets,
        random: Callable[[int], bytes],
    ) -> None:
        self._config_now = config_now
        self._secrets = secrets
        self._random = random
        self._live: set[tuple[str, str]] = set()
        self._stuck: set[tuple[str, str]] = set()  # those that were complained of already

    async def make(
        self, target: str, section: TargetSection, roles: tuple[str, ...], until: Time
    ) -> User:
        """A new user of that target; AskedInVain or SecretUnread where there will be none."""
        password = urlsafe_b64encode(self._random(24)).decode()
        verifier = scram.make_verifier(password, self._random(16)).text
        async with self._opened(target, section, section.databases[0]) as own:
            made = await _clock(own)
            name = f"hoop_{made}_{new_id('u', self._random(16)).removeprefix('u-')}"
            self._live.add((target, name))
            try:
                await own.rows(creation(name, verifier, until, roles))
            except BaseException:
                self._live.discard((target, name))
                raise
        log.info("user.made", target=target, user=name)
        return User(target, name, password)

    async def drop(self, user: User) -> None:
        """Drops it now, or leaves it to the sweep where the target is away."""
        self._live.discard((user.target, user.name))
        section = self._config_now().targets.get(user.target)
        if section is not None:
            await self._drop(user.target, section, user.name)

    async def _drop(self, target: str, section: TargetSection, name: str) -> None:
        gone = f"DROP ROLE IF EXISTS {_quoted(name)}"
        try:
            try:
                await self._run(target, section, gone)
            except AskedInVain as why:
                if why.code != _OWNS:
                    raise
                await self._disown(target, section, name)
                await self._run(target, section, gone)
        except (AskedInVain, SecretUnread) as why:
            self._complain(target, name, str(why))
            return
        self._stuck.discard((target, name))
        log.info("user.dropped", target=target, user=name)

    async def _disown(self, target: str, section: TargetSection, name: str) -> None:
        """What it has made goes to a role it was in, in each database; its privileges go away.

        Never to the credential: a view or a SECURITY DEFINER function that a client has made would
        then do whatever the credential may.  Without such a role the user stays.
        """
        user, mine = _quoted(name), _quoted(section.credential.user)
        heirs = await self._run(target, section, _ROLES_OF.format(name=name))
        if not heirs:
            raise AskedInVain("it owns objects, and is in no role that could have them")
        for database in section.databases:
            async with self._opened(target, section, database) as own:
                # Who creates a role may administer it, but since PostgreSQL 16 is no member of it.
                await own.rows(f"GRANT {user} TO {mine}")
                await _reassign(own, user, heirs)
                await own.rows(f"DROP OWNED BY {user}")

    def _complain(self, target: str, name: str, why: str) -> None:
        if (target, name) not in self._stuck:
            self._stuck.add((target, name))
            log.warning("user.left", target=target, user=name, why=why)

    async def _run(self, target: str, section: TargetSection, text: str) -> list[str]:
        """What the text gives, the last column of each row; AskedInVain where it cannot be had."""
        async with self._opened(target, section, section.databases[0]) as own:
            return [str(row[-1]) for row in await own.rows(text) if row]

    @asynccontextmanager
    async def _opened(
        self, target: str, section: TargetSection, database: str
    ) -> AsyncIterator[Own]:
        """A connection of the credential's to one database of the target."""
        place = place_of(target, section)
        password = await self._secrets.password(target, section.credential)
        async with opened(place, credential_of(place, section, password), database, LIMIT) as own:
            await own.rows(_OURS_ALONE)
            yield own

    # --- the sweep --------------------------------------------------------------------------------

    async def watch(self) -> None:
        """Drops, now and every minute, what agents that died have left.  Until it is cancelled."""
        while True:
            try:
                await self.sweep()
            except Exception as problem:  # noqa: BLE001 - the border: a target may answer anything
                log.error("sweep.failed", problem=type(problem).__name__, where=places(problem))
            await asyncio.sleep(_EVERY)

    async def sweep(self) -> None:
        """One look at every target where sessions have users of their own."""
        for target, section in self._config_now().targets.items():
            if not section.credential.ephemeral:
                continue
            try:
                left = await self._lost(target, section)
            except (AskedInVain, SecretUnread) as why:
                self._complain(target, "", str(why))
                continue
            self._stuck.discard((target, ""))
            for name in left:
                await self._drop(target, section, name)

    async def _lost(self, target: str, section: TargetSection) -> list[str]:
        """The users there that have lost their session, as far as the target says."""
        async with self._opened(target, section, section.databases[0]) as own:
            now = await _clock(own)
            names = [str(row[-1]) for row in await own.rows(_LEFT) if row]
        return [name for name in names if _is_lost(name, now) and (target, name) not in self._live]
