"""Asking for access: a wish becomes a request, or is refused, or is only looked at.

The rules are ``hoopcore.access``; here they meet the store, the config and the rosters.

Order of the file: asking, looking ahead, what a wish needs to be read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from hoopagent.errors import Refused
from hoopagent.means import Means, View, offers_of
from hoopagent.offers import rosters_for
from hoopagent.request_views import view
from hoopagent.settling import settling
from hoopagent.store import HasLeft
from hoopagent.suspended import decided_by_people, refusal, suspended
from hoopagent.waits import usual_wait
from hoopcore.access import (
    ENDABLE,
    Choice,
    Eligibility,
    Refusal,
    Wish,
    ask,
    choose,
    offers_for,
    repeats,
    smaller,
)
from hoopcore.model import GrantState, Principal, Request, Target, Time
from hoopcore.voters import NO_VOTERS, Voters

_NONSENSE = frozenset({"reason", "task", "ticket", "duration", "scope", "starts"})


class _Around(NamedTuple):
    """What a wish is looked at with."""

    target: Target
    offers: tuple[Eligibility, ...]
    people: list[Principal]
    rosters: dict[str, frozenset[str]]


@dataclass(frozen=True, slots=True)
class Asking:
    """The use cases of a wish.  What is refused is raised as Refused and written down."""

    means: Means

    async def ask(self, asker: Principal, wish: Wish) -> View:
        """The request this wish becomes; granted at once where the policy wants no vote.

        A repeat with the same idempotency key gives the request that is there already.
        """
        wish = replace(wish, reason=wish.reason.strip())
        store, now = self.means.store, await self.means.now()
        if wish.key:
            earlier = await store.request_with_key(asker.id, wish.key)
            if earlier is not None:
                return await self._repeated(asker, wish, earlier, now)
        try:
            wish, around = await self._around(asker, wish, now)
        except Refused as held_back:
            if held_back.error == "suspended":
                about = wish.extends or wish.target
                await self.means.refuse(now, asker, "request.made", about, held_back)
            raise
        made = ask(
            wish,
            asker,
            around.target,
            around.offers,
            around.people,
            now=now,
            id=self.means.id("req"),
            policy_version=self.means.config_now().version,
            rosters=around.rosters,
        )
        if isinstance(made, Refusal):
            refused = _refused(made)
            if refused.status == 403:
                await self.means.refuse(now, asker, "request.made", wish.target, refused)
            raise refused
        stored = await self._stored(made, around.target, now)
        if stored.id != made.id:
            return await self._repeated(asker, wish, stored, now)
        return await view(self.means, stored, now)

    async def _stored(self, request: Request, target: Target, now: Time) -> Request:
        event = self.means.event(
            now,
            request.requester,
            "request.made",
            request.id,
            target=request.target,
            scope=request.scope,
            duration=request.duration,
            rule=request.rule.name,
            auto=request.rule.auto,
            extends=request.extends,
            reason=request.reason,
        )
        settle = await settling(self.means, request, target, now)
        try:
            return await self.means.store.add_request(request, event, settle)
        except HasLeft:
            raise await refuse_who_left(
                self.means, request.requester, "request.made", now
            ) from None

    async def _repeated(self, asker: Principal, wish: Wish, earlier: Request, now: Time) -> View:
        if repeats(earlier, wish):
            return await view(self.means, earlier, now)
        words = f'the key "{wish.key}" belongs to another request of yours, {earlier.id}'
        refused = Refused(409, "key_used", words, f"Look at it:  hoop requests {earlier.id}")
        raise await self.means.refuse(now, asker, "request.made", earlier.id, refused)

    # --- looking ahead ----------------------------------------------------------------------------

    async def outlook(self, asker: Principal, wish: Wish) -> View:
        """What would become of this wish: nothing is asked, and nothing is written down.

        The reason is not looked at where it is empty: somebody may not have thought of one yet.
        """
        now = await self.means.now()
        wish = replace(wish, reason=wish.reason.strip())
        unsaid = not wish.reason
        wish, around = await self._around(asker, wish, now)
        tried = replace(wish, reason="-" * 500) if unsaid else wish
        chosen = choose(
            tried,
            asker,
            around.target,
            around.offers,
            around.people,
            now=now,
            rosters=around.rosters,
        )
        if isinstance(chosen, Refusal):
            raise _refused(chosen)
        less = None
        if chosen.auto is None and chosen.offer.votes:
            less = smaller(wish, chosen, asker, around.target, now, around.rosters)
        rule = chosen.offer.rule(around.target, chosen.auto)
        voters = rule.voters(0)
        return {
            "target": around.target.name,
            "rule": rule.name,
            "scope": str(chosen.scope),
            "duration": chosen.duration,
            "cut_by": _cut_by(wish, chosen, around.target),
            "at_once": not rule.total,
            "because": rule.because,
            "limits": str(rule.limits),
            "approvers": sorted(voters.groups),
            "people": sorted(voters.people - voters.groups),
            "votes_needed": rule.total,
            "usual_wait": await usual_wait(self.means, rule.name, now) if rule.total else None,
            "starts_at_connect": rule.start_within is not None and not wish.extends,
            "ticket": chosen.offer.lint.ticket,
            "min_length": chosen.offer.lint.min_length,
            "smaller": None
            if less is None
            else {
                "scope": str(less.scope),
                "duration": less.duration,
                "limits": str(less.auto.limits),
                "auto": less.auto.name,
            },
        }

    # --- what a wish needs to be read -------------------------------------------------------------

    async def _around(self, asker: Principal, wish: Wish, now: Time) -> tuple[Wish, _Around]:
        config = self.means.config_now()
        offers = offers_of(config)
        if wish.extends:
            wish, role = await self._extending(asker, wish, now)
            # A session has one role, so what is to carry it on has the same.
            offers = tuple(offer for offer in offers if offer.database_role == role)
        target = self.means.target(wish.target)
        if target is None:
            raise Refused(404, "no_target", f'there is no target "{wish.target}"', "hoop targets")
        offers = offers_for(asker, target.name, offers)
        held_back = await suspended(self.means, asker, target.name, now)
        if held_back is not None and offers:
            offers = decided_by_people(offers)
            if not offers:
                raise refusal(held_back)
        everybody = _voters(offers, target)
        people = await self.means.store.principals_in(sorted(everybody.groups))
        return wish, _Around(target, offers, people, await rosters_for(config, offers))

    async def _extending(self, asker: Principal, wish: Wish, now: Time) -> tuple[Wish, str]:
        """The wish with what it takes over of the grant, and the grant's database role."""
        grant = await self.means.store.grant(wish.extends)
        if grant is None or grant.principal != asker.id:
            words = f"there is no grant {wish.extends} of yours"
            refused = Refused(404, "no_grant", words, "hoop grants")
            if grant is not None:
                await self.means.refuse(now, asker, "request.made", grant.id, refused)
            raise refused
        if grant.state not in ENDABLE or grant.ends <= now:
            hint = f'Ask again:  hoop request {grant.target} --reason "…"'
            refused = Refused(409, "ended", f"{grant.id} has ended already", hint)
            raise await self.means.refuse(now, asker, "request.made", grant.id, refused)
        if grant.state is GrantState.SUSPENDED:  # also where they are giving it back
            raise refusal(grant)
        behind = await self.means.store.request(grant.request)
        if wish.scope is not None and not grant.scope.covers(wish.scope):
            words = f'an extension goes on with what {grant.id} has, which is "{grant.scope}"'
            hint = f'Ask for more:  hoop request {grant.target} --scope "{wish.scope}" --reason "…"'
            raise Refused(422, "scope", words, hint)
        scope = wish.scope or grant.scope
        wish = replace(wish, target=grant.target, scope=scope, starts=None)
        return wish, behind.rule.database_role if behind is not None else ""


async def refuse_who_left(means: Means, asker: str, action: str, now: Time) -> Refused:
    """On the record, to be raised: they left while this was asked for."""
    refused = Refused(403, "left", "you have left here", "Somebody who administers lets you back.")
    event = means.event(now, asker, f"{action}.refused", asker, error="left", why=refused.message)
    await means.store.audit(event)
    return refused


# --- values ---------------------------------------------------------------------------------------


def _voters(offers: tuple[Eligibility, ...], target: Target) -> Voters:
    found = NO_VOTERS
    for offer in offers:
        found |= offer.rule(target).voters()
    return found


def _cut_by(wish: Wish, chosen: Choice, target: Target) -> str:
    """Which ceiling made the wish shorter; empty: none did."""
    if chosen.duration >= wish.duration:
        return ""
    if chosen.offer.max_duration <= target.max_duration:
        return f'role "{chosen.offer.name}"'
    return f'target "{target.name}"'


def _refused(refusal: Refusal) -> Refused:
    status = 422 if refusal.error in _NONSENSE else 403
    hint = "" if status == 422 else "What you may ask for:  hoop targets"
    return Refused(status, refusal.error, refusal.message, hint)
