"""``hoop mask scan``: which columns of a database look sensitive, and have no mask.

A scan belongs to who began it, and lives for as long as they look at it: when nobody does any more
it ends, and so does what it asks of the target.  It is on the audit trail before it begins.

Order of the file: the scan, beginning and ending, how it looks from outside.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic

import structlog

from hoopagent.background import Background
from hoopagent.bounds import Bounds
from hoopagent.config import TargetSection
from hoopagent.connect import TargetUnreachable, place_of
from hoopagent.errors import Refused
from hoopagent.logs import places
from hoopagent.means import Means, View, database_of, target_of
from hoopagent.own import AskedInVain, credential_of, opened
from hoopagent.sampling import Found, Sampling
from hoopagent.secrets import Secrets, SecretUnread
from hoopcore.detectors import KINDS, Sweep
from hoopcore.model import Principal
from hoopcore.sightings import Sighting
from hoopcore.sql.spelling import spelled

log = structlog.get_logger()

_LIMIT = 600.0  # seconds for all of one database
_MOST = 4  # scans at once
_UNSEEN = 15.0  # seconds after which a scan that nobody looks at ends
_KEPT = 120.0  # … and after which what it found is forgotten
_LOOK = 1.0  # seconds that a look waits for news


@dataclass(eq=False)
class Scan:
    """One that runs, or has run."""

    id: str
    principal: str
    target: str
    database: str
    rows: int
    found: Found = field(default_factory=Found)
    state: str = "running"  # then done, or failed
    why: str = ""
    seen: float = field(default_factory=monotonic)  # when somebody looked last
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Scans:
    """Those of this agent."""

    means: Means
    bounds: Bounds
    secrets: Secrets
    clock: Callable[[], float] = monotonic
    _scans: dict[str, Scan] = field(default_factory=dict)
    _background: Background = field(default_factory=Background)

    async def run(self) -> None:
        """Ends what nobody looks at, until it is cancelled; all scans end with it."""
        async with asyncio.TaskGroup() as group:
            self._background.begin(group)
            while True:
                await asyncio.sleep(_LOOK)
                self._tidy()

    def _tidy(self) -> None:
        for scan in list(self._scans.values()):
            unseen = self.clock() - scan.seen
            if scan.state == "running" and unseen > _UNSEEN:
                _cancel(scan, "nobody looked at it any more")
            elif scan.state != "running" and unseen > _KEPT:
                del self._scans[scan.id]

    # --- beginning and ending ---------------------------------------------------------------------

    async def begin(self, who: Principal, target: str, database: str, rows: int) -> View:
        """A scan that runs; Refused for who does not look after the target."""
        config = self.means.config_now()
        section = config.targets.get(target)
        if section is None or not self.means.looks_after(who, target_of(target, section)):
            words = f'there is no target "{target}" that you look after'
            raise Refused(404, "no_target", words, "ask its owners, or who runs the agent")
        database = database_of(section, target, database)
        running = [one for one in self._scans.values() if one.state == "running"]
        if any((one.target, one.database) == (target, database) for one in running):
            words = f'"{target}" ({database}) is being scanned already'
            raise Refused(409, "scanned_already", words, "try again in a moment")
        if len(running) >= _MOST:
            words = f"{_MOST} scans run already"
            raise Refused(409, "too_many", words, "try again in a moment")
        scan = Scan(self.means.id("scn"), who.id, target, database, rows)
        self._scans[scan.id] = scan  # before anything waits, so that two at once are one
        try:
            now = await self.means.now()
            event = self.means.event(
                now, who.id, "mask.scanned", target, database=database, rows=rows
            )
            await self.means.store.audit(event)
        except BaseException:
            del self._scans[scan.id]
            raise
        scan.task = self._background.apart(self._run(scan, section))
        if scan.task is None:
            _settle(scan, "the agent does not serve yet")
        else:
            scan.task.add_done_callback(lambda _: _settle(scan, "the agent was stopped"))
        return _view(scan, self._detectors())

    async def look(self, who: Principal, id: str) -> View:
        """How far it is; waits a moment for its end."""
        scan = self._mine(who, id)
        scan.seen = self.clock()
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK):
                await scan.ended.wait()
        return _view(scan, self._detectors())

    async def stop(self, who: Principal, id: str) -> View:
        """Ends it, here and on the target."""
        scan = self._mine(who, id)
        _cancel(scan, "it was stopped")
        await scan.ended.wait()
        return _view(scan, self._detectors())

    def _mine(self, who: Principal, id: str) -> Scan:
        scan = self._scans.get(id)
        if scan is None or scan.principal != who.id:
            raise Refused(404, "no_scan", f"there is no scan {id} of yours", "begin it again")
        return scan

    def _detectors(self) -> list[str]:
        """The kinds that masks.toml has switched on."""
        _, masking = self.bounds.rules()
        return list(masking.detectors)

    async def _run(self, scan: Scan, section: TargetSection) -> None:
        try:
            await self._sample(scan, section)
            scan.state = "done"
        except (AskedInVain, SecretUnread, TargetUnreachable) as problem:
            scan.state, scan.why = "failed", str(problem)
        except Exception as problem:  # noqa: BLE001 - the border: a target may answer anything
            kind, where = type(problem).__name__, places(problem)
            log.warning("scan.failed", target=scan.target, problem=kind, where=where)
            scan.state, scan.why = "failed", "the target's answers could not be read"

    async def _sample(self, scan: Scan, section: TargetSection) -> None:
        catalog = await self.bounds.catalogs.renew(scan.target, scan.database)
        if catalog is None:
            raise AskedInVain("the catalog could not be read; the agent's log says why")
        _, masking = self.bounds.rules()
        sweep = Sweep(KINDS) if masking.sweep is None else masking.sweep.with_all
        place = place_of(scan.target, section)
        password = await self.secrets.password(scan.target, section.credential)
        credential = credential_of(place, section, password)
        async with opened(place, credential, scan.database, _LIMIT) as connection:
            declared = masking.bind(catalog).declared
            sampling = Sampling(connection, catalog, declared, sweep, scan.rows)
            try:
                await sampling.run(scan.found)
            except asyncio.CancelledError:
                # What it asks goes on otherwise until the target has something to send.
                with suppress(TargetUnreachable, OSError):
                    await connection.cancel()
                raise


def _settle(scan: Scan, why: str) -> None:
    """It is over; one that has not come to its end has failed."""
    if scan.state == "running":
        scan.state, scan.why = "failed", scan.why or why
    scan.ended.set()


def _cancel(scan: Scan, why: str) -> None:
    if scan.task is not None and not scan.task.done():
        scan.why = scan.why or why
        scan.task.cancel()


# --- how it looks from outside --------------------------------------------------------------------


def _view(scan: Scan, detectors: list[str]) -> View:
    found = scan.found
    shown: View = {
        "id": scan.id,
        "target": scan.target,
        "database": scan.database,
        "state": scan.state,
        "why": scan.why,
        "tables": found.tables,
        "done": found.done,
        "at": found.at,
        "rows": found.rows,
    }
    if scan.state == "running":
        return shown
    return shown | {
        "declared": found.declared,
        "columns": [_column(one, found) for one in found.sightings],
        "inside": {kind: sorted(found.inside[kind]) for kind in sorted(found.inside)},
        "skipped": [{"table": table, "why": why} for table, why in found.skipped],
        "detectors": detectors,
    }


def _column(one: Sighting, found: Found) -> View:
    return {
        "column": spelled(one.schema, one.table, one.column),
        "pattern": found.patterns.get((one.schema, one.column), ""),
        "type": one.type,
        "style": one.style,
        "kind": one.kind,
        "values": one.values,
        "whole": one.whole,
        "named": one.named,
        "sure": one.sure,
    }
