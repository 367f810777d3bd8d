"""What would become of a statement: the verdict on it, and each column of what it gives.

Nothing of it goes to the target.  The text is read, judged and held against masks and catalog by
the code that a session runs, under what the person holds there now, or else may ask for.

One may try what one holds or may ask for; for others, who looks after the target.

Order of the file: what is asked, for whom, the answer.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from hoopagent.admission import facts_of
from hoopagent.bounds import Bounds
from hoopagent.circumstances import circumstances
from hoopagent.config import TargetSection
from hoopagent.errors import Refused
from hoopagent.judge import Judge
from hoopagent.live import Prepared
from hoopagent.means import Means, View, database_of, offers_of, target_of
from hoopagent.reader import Reader
from hoopcore.access import Access, access, holds, offers_for
from hoopcore.masking import Bound
from hoopcore.masks_told import explain
from hoopcore.model import EVERYTHING, NOTHING, Principal, Priority, Scope, Target
from hoopcore.places import did_you_mean
from hoopcore.policy import Verdict, outside
from hoopcore.sql.catalog import Table
from hoopcore.sql.grammar import fault_in
from hoopcore.sql.postgres import IN_PROCESS
from hoopcore.sql.spelling import spelled
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch
from hoopcore.stream import Ask, AskKind

# Each is compared with the names of all tables.
_MOST_MISSING = 3

# A session begins with these, whatever its client changes later.
_SETTINGS = {"client_encoding": "UTF8", "standard_conforming_strings": "on"}


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be tried.  ``person`` is an id or a name; empty: whoever asks."""

    target: str
    database: str
    text: str
    person: str = ""
    origin: str = ""  # of whoever asks, as a door says it


@dataclass(frozen=True, slots=True)
class Trial:
    """The use case."""

    means: Means
    reader: Reader
    bounds: Bounds

    async def tried(self, asker: Principal, asked: Asked) -> View:
        """Refused where the target is not there for them, or nobody is called so."""
        section = self.means.config_now().targets.get(asked.target)
        target = None if section is None else target_of(asked.target, section)
        own = not asked.person or asked.person in (asker.id, asker.name)
        if section is None or target is None or not await self._sees(asker, target, own=own):
            raise Refused(404, "no_target", _unseen(asked.target, own=own), "hoop targets")
        database = database_of(section, asked.target, asked.database)
        who = asker if own else await self._person(asked.person)
        prepared, way = await self._prepared(who, target, section, asked.origin if own else "")
        if not own:
            now = await self.means.now()
            event = self.means.event(now, asker.id, "mask.tried", target.name, owner=who.id)
            await self.means.store.audit(event)
        told = await self._answer(prepared, database, asked.text)
        if not self.means.looks_after(asker, target):
            told["unmatched"] = []  # what is wrong with masks.toml is for who keeps it
            if told["verdict"] == "refuse":  # nobody reads here which names are out of their reach
                told |= {"not_there": [], "columns": [], "instead": "it is refused"}
        return {"who": {"id": who.id, "name": who.name}, "way": way, **told}

    # --- for whom ---------------------------------------------------------------------------------

    async def _sees(self, asker: Principal, target: Target, *, own: bool) -> bool:
        if self.means.looks_after(asker, target):
            return True
        if not own:
            return False
        offers = offers_for(asker, target.name, offers_of(self.means.config_now()))
        return bool(offers) or await self._held(asker, target) is not None

    async def _person(self, called: str) -> Principal:
        """Somebody who has signed in before, by id or name."""
        found = await self.means.store.principal(called)
        if found is not None:
            return found
        roles = self.means.config_now().roles.values()
        groups = sorted(set().union(*(role.groups for role in roles)))
        known = await self.means.store.principals_in(groups)
        mine = [one for one in known if called in (one.name, one.name.partition("@")[0])]
        if len(mine) != 1:
            near = did_you_mean(called, [one.name for one in known])
            words = f'nobody called "{called}" with a role here has signed in{near}'
            if mine:
                words = f'several are called "{called}": {", ".join(one.id for one in mine)}'
            raise Refused(404, "no_principal", words, "")
        return mine[0]

    async def _prepared(
        self, who: Principal, target: Target, section: TargetSection, origin: str
    ) -> tuple[Prepared, str]:
        """What a session of theirs would be, and by what: a grant, an offer, or nothing."""
        config = self.means.config_now()
        held = await self._held(who, target)
        if held is not None:
            found, role, priorities = held
            told = circumstances(config, who, priorities, origin)
            return Prepared("", who, target, section, found, role, told=told), "grant"
        now = await self.means.now()
        told = circumstances(config, who, frozenset(), origin)._replace(priorities=None)
        offers = offers_for(who, target.name, offers_of(config))
        scope = NOTHING
        for offer in offers:
            scope = scope.join(offer.scope)
        under = Access(now, now, (), scope if offers else EVERYTHING)
        role = offers[0].database_role if len(offers) == 1 else ""
        made = Prepared("", who, target, section, under, role, told=told)
        return made, "offer" if offers else "none"

    async def _held(
        self, who: Principal, target: Target
    ) -> tuple[Access, str, frozenset[Priority]] | None:
        """What their grants allow now, as which role; as ``Watch.opening``, but nothing begins."""
        store, now = self.means.store, await self.means.now()
        standing = await store.standing(who.id, target.name, now)
        live = [grant for grant in standing.grants if holds(grant, target, now)]
        if not live:
            return None
        terms = await store.terms([grant.id for grant in live])
        role = terms[max(live, key=lambda grant: (grant.not_before, grant.id)).id].role
        mine = [grant for grant in live if terms[grant.id].role == role]
        found = access(mine, who.id, target, now, standing.until)
        if found is None:
            return None
        return found, role, frozenset(terms[id].priority for id in found.grants)

    # --- the answer -------------------------------------------------------------------------------

    async def _answer(self, prepared: Prepared, database: str, text: str) -> View:
        bound = await self.bounds.bound(prepared, database)
        reading = await self._read(prepared, bound, text.encode())
        policy, _ = self.bounds.rules()
        imposed = policy.imposed(facts_of(prepared), self.means.clock())
        facts = facts_of(replace(prepared, imposed=imposed))
        judge = Judge(policy, facts, bound, self.means.clock)
        verdict = judge.judge(Ask(AskKind.TEXT, 1, text.encode()), reading)
        return {
            "target": prepared.target.name,
            "database": database,
            **_verdict(verdict),
            "fault": _fault(reading, text),
            "unread": reading.why,
            "catalog": bound.catalog is not None,
            "active": bound.active,
            "statements": [one.tag for one in reading.statements],
            "not_there": _not_there(bound, reading, facts.scope),
            **_columns(bound, reading),
            "detectors": list(bound.sweep.kinds) if bound.sweep is not None else [],
            "in_clear": list(bound.shown),
            "unmatched": list(bound.unmatched),
            "pooled": prepared.pooled,
        }

    async def _read(self, prepared: Prepared, bound: Bound, text: bytes) -> Reading:
        functions = prepared.section.functions
        found = self.reader.read(text, settings=_SETTINGS, trusted=True, functions=functions)
        reading = await found if isinstance(found, asyncio.Future) else found
        return reading if bound.catalog is None else bound.catalog.meant(reading, functions)


def _unseen(target: str, *, own: bool) -> str:
    if own:
        return f'there is no target "{target}" that you hold or may ask for'
    return f'there is no target "{target}" that you look after, so you may try for yourself alone'


def _verdict(verdict: Verdict) -> View:
    return {
        "verdict": verdict.word,
        "rule": verdict.rule,
        "reason": verdict.reason,
        "hint": verdict.hint,
    }


def _fault(reading: Reading, text: str) -> View | None:
    """What PostgreSQL's grammar says of a text that is not SQL, and at which character."""
    if not reading.why or len(text.encode()) > IN_PROCESS:
        return None
    found = fault_in(text)
    return None if found is None else {"message": found[0], "at": found[1]}


def _not_there(bound: Bound, reading: Reading, scope: Scope) -> list[str]:
    """Relations of the text that the catalog has not: perhaps they are spelled wrong."""
    catalog = bound.catalog
    if catalog is None:
        return []
    named = {one for statement in reading.statements for one in statement.relations}
    missing = sorted(one for one in named if not catalog.named(one))[:_MOST_MISSING]
    known = {one.name for one in catalog.tables if not one.system and _is_within(scope, one)}
    return [
        spelled(*filter(None, (one.schema, one.name))) + did_you_mean(one.name, known)
        for one in missing
    ]


def _is_within(scope: Scope, table: Table) -> bool:
    touch = Touch(Relation(table.schema, table.name), Effect.READ)
    return outside(scope, Statement(frozenset({Effect.READ}), frozenset({touch}))) is None


def _columns(bound: Bound, reading: Reading) -> View:
    """Each column of the last statement's result, or in words why there is no telling."""
    told = explain(bound, reading)
    if isinstance(told, str):
        return {"columns": [], "instead": told}
    return {"columns": [one._asdict() for one in told], "instead": ""}
