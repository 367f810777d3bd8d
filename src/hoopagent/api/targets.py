"""What there is, for whoever asks: what they hold, may ask for, or look after."""

from __future__ import annotations

from fastapi import APIRouter

from hoopagent.api.context import Agent, Who
from hoopagent.config import Config
from hoopagent.means import View, offers_of, targets_of
from hoopcore.access import Eligibility, access, end_of, holds, offers_for
from hoopcore.masking import Masking
from hoopcore.model import Grant, Principal, Target, Time, rfc3339


def router(agent: Agent) -> APIRouter:
    """``/v1/targets``."""
    routes = APIRouter(prefix="/v1/targets")

    @routes.get("")
    async def every(who: Who) -> list[View]:
        config, now = agent.config, agent.clock()
        grants = await agent.store.grants(principal=who.id, live_at=now)
        until = await agent.store.identity_until(who.id)
        offers = offers_of(config)
        masked = _masked(config, who)
        shown = []
        for name, target in sorted(targets_of(config).items()):
            mine = offers_for(who, name, offers)
            found = access(grants, who.id, target, now, until)
            looks_after = agent.administers(who) or bool(
                who.id in target.owners or who.groups & target.owners
            )
            if mine or found or looks_after:
                held = _held(grants, target, now) if found else None
                shown.append(_view(target, held, mine, masked))
        return shown

    return routes


def _held(grants: list[Grant], target: Target, now: Time) -> View:
    """The grant that ends last."""
    live = [grant for grant in grants if holds(grant, target, now)]
    last = max(live, key=lambda grant: end_of(grant, target))
    return {"id": last.id, "not_after": rfc3339(end_of(last, target))}


def _masked(config: Config, who: Principal) -> list[str]:
    """Columns that are masked for this principal, as the config names them."""
    masks = Masking.load(config.masks).masks
    return sorted({mask.column for mask in masks if not mask.exempt & who.groups})


def _view(
    target: Target, held: View | None, offers: tuple[Eligibility, ...], masked: list[str]
) -> View:
    return {
        "name": target.name,
        "protocol": target.protocol,
        "databases": list(target.databases),
        "tier": target.tier.value,
        "max_duration": target.max_duration,
        "grant": held,
        "may_request": bool(offers),
        "approvers": sorted(set().union(*(offer.approvers for offer in offers))),
        "masked": masked,
    }
