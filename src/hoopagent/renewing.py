"""Open sessions under other rules, masks and targets than they began with.

From its next statement on it is judged by what is in force now: what was prepared before is judged
again when it is bound.  What is already running goes on as it was begun.  What cannot be brought
into force in a session that is open ends it: settings that are imposed now and that it did not
begin with, and a target that is no longer there.

Order of the file: all sessions, one of them.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace

from hoopagent.bounds import Bounds, bind
from hoopagent.circumstances import roles_of
from hoopagent.config import Config
from hoopagent.ledger import Ledger
from hoopagent.live import Live
from hoopagent.means import target_of
from hoopagent.recorder import RecorderFailed
from hoopcore.masking import Masking
from hoopcore.policy import Policy
from hoopcore.recording import EndCause
from hoopcore.recording import Policy as PolicyEvent
from hoopcore.sql.catalog import Catalog
from hoopcore.sql.imposed import for_transaction

_TO_READ_CATALOGS = 5.0  # seconds; a session without one has everything masked


class Renewal:
    """Of the sessions of this agent."""

    def __init__(
        self,
        config_now: Callable[[], Config],
        open_sessions: dict[str, Live],
        bounds: Bounds,
        ledger: Ledger,
    ) -> None:
        self._config_now = config_now
        self._open = open_sessions
        self._bounds = bounds
        self._ledger = ledger
        self.beside: Callable[[], None] = lambda: None  # renews sessions of other protocols

    async def renew_all(self, config: Config, take: Callable[[], None]) -> None:
        """Brings another configuration into force; ``take`` makes it the one that is asked for.

        What has to be known first is found out while the old one is in force; then all sessions
        change at once, and none in the middle of a statement.
        """
        # Many rules with their examples take a while to read, which no session should notice.
        policy, masking = await asyncio.to_thread(_read, config, self._bounds.key)
        if masking.declared:
            places = {live.place for live in self._open.values()}
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TO_READ_CATALOGS):
                    catalogs = self._bounds.catalogs
                    await asyncio.gather(*(catalogs.get(*place) for place in places))
        if policy.budgets:
            grants = {grant for live in self._open.values() for grant in live.access.grants}
            await self._ledger.open(grants)
        take()
        self._bounds.keep(config.version, policy, masking)
        for live in list(self._open.values()):
            self.renew(live)
        self.beside()

    def renew(self, live: Live) -> None:
        """Brings the configuration that is asked for now into force in this session."""
        policy, masking = self._bounds.rules()
        catalog = self._bounds.catalogs.known(*live.place) or live.judge.bound.catalog
        _renew(live, self._config_now(), policy, masking, catalog)
        self._bounds.tell(live)


def _read(config: Config, key: bytes) -> tuple[Policy, Masking]:
    return Policy.load(config.rules), Masking.load(config.masks, key)


def _renew(
    live: Live, config: Config, policy: Policy, masking: Masking, catalog: Catalog | None
) -> None:
    """Brings this configuration into force; ``catalog`` is of the session's database, if known."""
    live.policy_version = config.version
    try:
        live.recorder.append_later(PolicyEvent(version=config.version))
    except RecorderFailed:
        words = "this session can no longer be recorded"
        live.end("58030", words, EndCause.RECORDING_FAILED)
        return
    name = live.prepared.target.name
    section = config.targets.get(name)
    if section is None:
        words = f'target "{name}" is no longer there'
        live.end("57P01", words, EndCause.POLICY_CHANGED, why=words)
        return
    # Its connection is the one it has, whatever stands between it and the target.
    section = section.model_copy(update={"pooler": live.prepared.section.pooler})
    prepared = live.prepared
    told = prepared.told._replace(roles=roles_of(config, prepared.principal))
    target = target_of(name, section)
    live.prepared = replace(prepared, section=section, target=target, told=told)
    facts = replace(live.judge.facts, target=target, roles=told.roles)
    imposed = policy.imposed(facts)
    if prepared.pooled:
        live.stream.begin_with(tuple(text.encode() for text in for_transaction(imposed)))
    elif not imposed.is_within(prepared.imposed):
        words = "settings are imposed now that this session did not begin with; connect again"
        live.end("57P01", words, EndCause.POLICY_CHANGED, why=words)
        return
    live.judge.facts = replace(facts, imposed=imposed)
    live.judge.policy = policy
    bound = bind(masking, catalog, prepared, live.access)
    live.judge.bound = bound
    live.stream.rebind(bound)
    # What was prepared while nobody knew the catalog was read without it.
    live.stream.reconsider(live.meant)
