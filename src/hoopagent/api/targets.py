"""What there is, for whoever asks: what they hold, may ask for, or look after.

A target that somebody neither holds, nor may ask for, nor looks after is not there for them: its
name gets the same answer as a name that nobody uses.  What is shown of one is what its people need
to know before they type a statement; where it is, only those who look after it are told, and its
credential is shown to nobody.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path

from hoopagent.api.budgets import budgets_of
from hoopagent.api.context import Agent, Who
from hoopagent.config import Config, TargetSection
from hoopagent.errors import Refused
from hoopagent.means import View, offers_of, targets_of
from hoopcore.access import Eligibility, access, decidable, end_of, holds, offers_for
from hoopcore.masking import Masking
from hoopcore.model import Grant, Principal, Request, Target, Time, rfc3339
from hoopcore.policy import Policy, Rule

Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]


def router(agent: Agent) -> APIRouter:
    """``/v1/targets``."""
    routes = APIRouter(prefix="/v1/targets")

    @routes.get("")
    async def every(who: Who) -> list[View]:
        config, now = agent.config, agent.clock()
        grants = await agent.store.grants(principal=who.id, live_at=now)
        until = await agent.store.identity_until(who.id)
        masked = _masked(config, who)
        return [
            _view(one.target, one.held(now), one.offers, masked)
            for one in _seen(agent, who, grants, now, until)
        ]

    @routes.get("/{name}")
    async def show(who: Who, name: Name) -> View:
        now = agent.clock()
        grants = await agent.store.grants(principal=who.id, target=name, live_at=now)
        until = await agent.store.identity_until(who.id)
        for one in _seen(agent, who, grants, now, until):
            if one.target.name == name:
                return await _whole(agent, who, one, now)
        words = f'there is no target "{name}" that you hold or may ask for'
        raise Refused(404, "no_target", words, "hoop targets")

    return routes


class _Seen:
    """A target that somebody may know of, and why."""

    def __init__(
        self,
        target: Target,
        offers: tuple[Eligibility, ...],
        grants: list[Grant],
        until: Time | None,
        looks_after: bool,
    ) -> None:
        self.target = target
        self.offers = offers
        self.grants = grants  # those that carry a session on it now
        self.until = until  # of the access they are together; None: there is none
        self.looks_after = looks_after

    def held(self, now: Time) -> View | None:
        """The grant that ends last."""
        if self.until is None:
            return None
        last = max(self.grants, key=lambda grant: end_of(grant, self.target))
        return {"id": last.id, "not_after": rfc3339(end_of(last, self.target))}


def _seen(agent: Agent, who: Principal, grants: list[Grant], now: Time, until: Time) -> list[_Seen]:
    config = agent.config
    offers = offers_of(config)
    found = []
    for name, target in sorted(targets_of(config).items()):
        mine = offers_for(who, name, offers)
        open_now = access(grants, who.id, target, now, until)
        looks_after = agent.administers(who) or bool(
            who.id in target.owners or who.groups & target.owners
        )
        if mine or open_now or looks_after:
            live = [grant for grant in grants if holds(grant, target, now)]
            ends = None if open_now is None else open_now.until
            found.append(_Seen(target, mine, live, ends, looks_after))
    return found


def _masked(config: Config, who: Principal) -> list[str]:
    """Columns that are masked for this principal, as the config names them."""
    masks = Masking.load(config.masks).masks
    return sorted({mask.column for mask in masks if not mask.exempt & who.groups})


def _voters(target: Target, offers: tuple[Eligibility, ...]) -> set[str]:
    """Groups, and owners, whose people may ever vote under these offers."""
    return set().union(*(offer.rule(target).voters().groups for offer in offers))


def at_most(target: Target, offers: tuple[Eligibility, ...]) -> int | None:
    """The longest that may be asked for, in seconds; None where nothing may.

    The target's ceiling holds for every grant, so the smaller of the two counts.
    """
    lengths = [min(offer.max_duration, target.max_duration) for offer in offers]
    return max(lengths, default=None)


def _view(
    target: Target, held: View | None, offers: tuple[Eligibility, ...], masked: list[str]
) -> View:
    return {
        "name": target.name,
        "protocol": target.protocol,
        "databases": list(target.databases),
        "tier": target.tier.value,
        "max_duration": target.max_duration,
        "at_most": at_most(target, offers),
        "grant": held,
        "may_request": bool(offers),
        "approvers": sorted(_voters(target, offers)),
        "masked": masked,
    }


# --- all of one -----------------------------------------------------------------------------------


async def _whole(agent: Agent, who: Principal, one: _Seen, now: Time) -> View:
    """What this person may do there, by what, how long, and what stands in between."""
    config, target = agent.config, one.target
    policy = Policy.load(config.rules)
    section = config.targets[target.name]
    groups = sorted(_voters(target, one.offers))
    people = await agent.store.principals_in(groups) if groups else []
    requests = await _requests(agent, one.grants)
    shown = _view(target, one.held(now), one.offers, _masked(config, who))
    return shown | {
        "labels": dict(target.labels),
        "owners": sorted(target.owners),
        "open_until": None if one.until is None else rfc3339(one.until),
        "grants": [_grant(grant, target, requests.get(grant.request)) for grant in one.grants],
        "offers": [
            _offer(offer, target, is_decidable=decidable(offer, who, people, target.owners))
            for offer in one.offers
        ],
        "masks": _masks(config, who),
        "detectors": list(Masking.load(config.masks).detectors),
        "rules": [_rule(rule) for rule in policy.rules if rule.concerns(who, target)],
        "budgets": await budgets_of(
            agent, policy, who, target, [grant.id for grant in one.grants], now
        ),
        "recording": {
            "durability": target.durability.value,
            "text": section.record_text,
        },
        "pooler": section.pooler,
        "address": _address(section) if one.looks_after else None,
    }


async def _requests(agent: Agent, grants: list[Grant]) -> dict[str, Request]:
    ids = sorted({grant.request for grant in grants})
    found = await agent.store.requests(ids=ids, limit=len(ids)) if ids else []
    return {request.id: request for request in found}


def _grant(grant: Grant, target: Target, request: Request | None) -> View:
    return {
        "id": grant.id,
        "scope": str(grant.scope),
        "not_after": rfc3339(end_of(grant, target)),
        "reason": request.reason if request else "",
        "role": request.rule.name if request else "",
        "database_role": request.rule.database_role if request else "",
    }


def _offer(offer: Eligibility, target: Target, *, is_decidable: bool) -> View:
    return {
        "role": offer.name,
        "scope": str(offer.scope),
        "at_most": min(offer.max_duration, target.max_duration),
        "database_role": offer.database_role,
        "votes": offer.rule(target).total,
        "approvers": sorted(_voters(target, (offer,))),
        # Somebody other than who asks has signed in before and may decide.
        "decidable": is_decidable,
    }


def _masks(config: Config, who: Principal) -> list[View]:
    masks = [one for one in Masking.load(config.masks).masks if not one.exempt & who.groups]
    told = {(mask.column, mask.style.value) for mask in masks}
    return [{"column": column, "style": style} for column, style in sorted(told)]


def _rule(rule: Rule) -> View:
    return {
        "name": rule.name,
        "verdict": rule.verdict,
        "reason": rule.reason,
        "effects": sorted(effect.value for effect in rule.effects),
        "relations": [pattern.text for pattern in rule.relations],
        "columns": [pattern.text for pattern in rule.columns],
        "functions": [pattern.text for pattern in rule.functions],
        "missing_where": rule.missing_where,
        "missing_limit": rule.missing_limit,
        "filters_masked": rule.filters_masked,
        "ddl": [pattern.text for pattern in rule.ddl],
        "commands": [pattern.text for pattern in rule.commands],
        "paths": [pattern.text for pattern in rule.paths],
        "statements_above": rule.statements_above,
        "times": [window.text for window in rule.about.times],
    }


def _address(section: TargetSection) -> list[str]:
    address = section.address
    return [address] if isinstance(address, str) else list(address)
