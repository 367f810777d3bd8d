"""``GET /v1/who-can``: who may reach a table or a column, and by which way, for who runs the agent.

Who holds a grant is told by name; who might ask for one by group, with the people of it that have
signed in before.  Somebody whose other groups change the answer stands alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fastapi import APIRouter

from hoopagent.api.context import Agent, Who
from hoopagent.circumstances import roles_of
from hoopagent.config import Config, seconds
from hoopagent.errors import Refused
from hoopagent.grants import soft_view
from hoopagent.means import View, offers_of, targets_of
from hoopcore.access import Eligibility, end_of, holds, offers_for, soft_scope
from hoopcore.masking import Masking
from hoopcore.model import NOTHING, Principal, Scope, Target, Time, rfc3339
from hoopcore.policy import Policy
from hoopcore.reach import Place, facts_in, member_of, reach


def router(agent: Agent) -> APIRouter:
    """``/v1/who-can``."""
    routes = APIRouter(prefix="/v1/who-can")

    @routes.get("")
    async def who_can(who: Who, place: str, target: str | None = None) -> View:
        try:
            meant = Place.parse(place)
        except ValueError as problem:
            raise Refused(422, "malformed", str(problem), "") from problem
        targets = _looked_after(agent, who)
        if target is not None and target not in targets:
            words = f'there is no target "{target}" that you look after'
            raise Refused(404, "no_target", words, "hoop targets")
        if not targets:
            words = "who may reach what is told to those who administer the agent"
            raise Refused(403, "not_allowed", words, "ask one of them, or the target's owners")
        config = agent.config
        masking = Masking.load(config.masks)
        asked = _Asked(agent, meant, agent.clock(), config, Policy.load(config.rules), masking)
        ways = []
        for name, one in targets.items():
            if target in (None, name):
                ways += [*await asked.by_grants(one), *await asked.by_offers(one)]
        return {"place": str(meant), "ways": ways, "detectors": list(masking.detectors)}

    return routes


def _looked_after(agent: Agent, who: Principal) -> dict[str, Target]:
    """Targets that this person may be told all about."""
    every = agent.administers(who)
    return {
        name: target
        for name, target in sorted(targets_of(agent.config).items())
        if every or who.id in target.owners or who.groups & target.owners
    }


@dataclass(frozen=True, slots=True)
class _Asked:
    agent: Agent
    place: Place
    now: Time
    config: Config
    policy: Policy
    masking: Masking

    def _answer(
        self, target: Target, scope: Scope, who: Principal, soft: Scope = NOTHING
    ) -> View | None:
        facts = facts_in(target, scope, who, roles_of(self.config, who))
        return reach(self.place, replace(facts, soft=soft), self.policy, self.masking)

    def softly(self, target: Target) -> bool:
        return bool(seconds(self.config.targets[target.name].narrow_softly))

    async def by_grants(self, target: Target) -> list[View]:
        """Who holds a grant now."""
        store = self.agent.store
        grants = await store.grants(target=target.name, live_at=self.now, limit=None)
        live = [grant for grant in grants if holds(grant, target, self.now)]
        known = await store.principals(sorted({grant.principal for grant in live}))
        found = []
        for grant in live:
            person = known.get(grant.principal)
            soft = soft_scope(grant, self.now) if self.softly(target) else NOTHING
            answer = None if person is None else self._answer(target, grant.scope, person, soft)
            if person is None or answer is None:
                continue
            request = await store.request(grant.request)
            found.append(
                {
                    "target": target.name,
                    "way": "grant",
                    "who": {"id": person.id, "name": person.name},
                    "grant": grant.id,
                    "until": rfc3339(end_of(grant, target)),
                    "soft": soft_view(grant, self.now),
                    "role": request.rule.name if request else "",
                    "database_role": request.rule.database_role if request else "",
                    **answer,
                }
            )
        return found

    async def by_offers(self, target: Target) -> list[View]:
        """Who might ask for a grant."""
        found = []
        for offer in offers_of(self.config):
            for group in sorted(offer.groups):
                if offers_for(member_of(group), target.name, (offer,)):
                    found += await self._of_group(target, offer, group)
        return found

    async def _of_group(self, target: Target, offer: Eligibility, group: str) -> list[View]:
        common = {
            "target": target.name,
            "way": "offer",
            "role": offer.name,
            "database_role": offer.database_role,
            "votes": offer.rule(target).total,
            "approvers": sorted(offer.rule(target).voters().groups),
            "group": group,
        }
        usual = self._answer(target, offer.scope, member_of(group))
        alike, others = [], []
        for person in await self.agent.store.principals_in([group]):
            shown = {"id": person.id, "name": person.name}
            answer = self._answer(target, offer.scope, person)
            if answer == usual:
                alike.append(shown)
            elif answer is not None:
                others.append({**common, "people": [shown], "alone": True, **answer})
        if usual is not None:
            others.insert(0, {**common, "people": alike, "alone": False, **usual})
        return others
