"""Break-glass, and what follows: owners are told, and somebody else says whether it was right.

Request, grant, review item and their audit rows are one transaction, so with the store away there
is none, and nobody breaks a second one while the first was not looked at.

Order of the file: breaking it, looking back at it, reminding.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hoopagent.asking import refuse_who_left
from hoopagent.errors import Refused
from hoopagent.means import Means, View, offers_of, person, time_or_none
from hoopagent.request_views import view
from hoopagent.reviews import Reviews
from hoopagent.store import HasLeft
from hoopagent.suspended import refusal, suspended
from hoopcore.access import LONGEST_REASON, Refusal, Wish, fault_in, grant_for, repeats
from hoopcore.access.glass import ItemState, ReviewItem, break_glass, item_for, reviews_as
from hoopcore.model import SECOND, SYSTEM, Principal, Request, Time, rfc3339

_LIST = "hoop review break-glass"
_NONSENSE = frozenset({"reason", "incident", "task", "ticket", "duration", "scope"})

# A grant that is shorter than twice this is not announced: it has just begun.
_SOON = 10 * 60 * SECOND


@dataclass(frozen=True, slots=True)
class Glass:
    """The use cases of break-glass."""

    means: Means
    reviews: Reviews

    # --- breaking it ------------------------------------------------------------------------------

    async def break_glass(self, asker: Principal, wish: Wish, incident: str) -> View:
        """Access now.  A repeat with the same idempotency key gives the one that is there."""
        wish = replace(wish, reason=wish.reason.strip())
        store, now = self.means.store, await self.means.now()
        if wish.key:
            earlier = await store.request_with_key(asker.id, wish.key)
            if earlier is not None:
                return await self._repeated(asker, wish, earlier, now)
        request = await self._made(asker, wish, incident.strip(), now)
        target = self.means.target(request.target)
        assert target is not None, "the request was made for it"
        grant = grant_for(request, (), target, now=now, id=self.means.id("grt"))
        item = item_for(grant.id, request, now, self.means.id("rev"))
        told = {"target": request.target, "scope": request.scope, "rule": request.rule.name}
        why = {"reason": request.reason, "incident": request.incident}
        events = [
            self.means.event(
                now, asker.id, "request.made", request.id, break_glass="yes", **told, **why
            ),
            self.means.event(
                now, asker.id, "glass.broken", grant.id, request=request.id,
                until=rfc3339(grant.not_after), review=item.id, due=rfc3339(item.due),
                owners=",".join(sorted(target.owners)), capacity="break-glass", **told, **why,
            ),
            self.means.event(
                now, SYSTEM, "grant.made", grant.id, request=request.id, principal=asker.id,
                until=rfc3339(grant.not_after), **told,
            ),
        ]  # fmt: skip
        try:
            was_first = await store.break_glass(request, grant, item, events)
        except HasLeft:
            raise await refuse_who_left(self.means, asker.id, "glass.broken", now) from None
        if not was_first:
            raise await self._unreviewed(asker, request.target, now)
        stored = await store.request(request.id) or request
        made = await view(self.means, stored, now)
        return {**made, "review": item.id, "due": rfc3339(item.due)}

    async def _repeated(self, asker: Principal, wish: Wish, earlier: Request, now: Time) -> View:
        if earlier.break_glass and repeats(earlier, wish):
            return await view(self.means, earlier, now)
        words = f'the key "{wish.key}" belongs to another request of yours, {earlier.id}'
        refused = Refused(409, "key_used", words, f"Look at it:  hoop requests {earlier.id}")
        raise await self.means.refuse(now, asker, "glass.broken", earlier.id, refused)

    async def _made(self, asker: Principal, wish: Wish, incident: str, now: Time) -> Request:
        target = self.means.target(wish.target)
        if target is None:
            raise Refused(404, "no_target", f'there is no target "{wish.target}"', "hoop targets")
        config = self.means.config_now()
        made = break_glass(
            wish,
            incident,
            asker,
            target,
            offers_of(config),
            now=now,
            id=self.means.id("req"),
            policy_version=config.version,
        )
        if isinstance(made, Refusal):
            refused = _refused(made, wish.target)
        else:
            held_back = await suspended(self.means, asker, target.name, now)
            if held_back is None:
                return made
            refused = refusal(held_back)
        if refused.status == 403:
            await self.means.refuse(now, asker, "glass.broken", target.name, refused)
        raise refused

    async def _unreviewed(self, asker: Principal, target: str, now: Time) -> Refused:
        pending = await self.means.store.review_items(principal=asker.id, state=ItemState.PENDING)
        which = pending[0] if pending else None
        owners = self._owners(which.target if which else target)
        before = (
            f" of {which.target} at {rfc3339(which.made // SECOND * SECOND)}"
            if which
            else " before"
        )
        words = f"you broke the glass{before}, and nobody has looked at that yet"
        id = which.id if which else "REVIEW"
        hint = f'Somebody of {owners} has to:  {_LIST} {id} --justified --reason "…"'
        refused = Refused(403, "unreviewed", words, hint)
        return await self.means.refuse(now, asker, "glass.broken", target, refused)

    def _owners(self, target: str) -> str:
        found = self.means.target(target)
        owners = sorted(found.owners) if found else []
        return " or ".join(owners) or "those who administer the agent"

    # --- looking back at it -----------------------------------------------------------------------

    async def listed(self, who: Principal, *, all: bool = False) -> list[View]:
        """What waits for this person's word, or is about them; with ``all`` decided ones too."""
        store = self.means.store
        state = None if all else ItemState.PENDING
        views = []
        for item in await store.review_items(state=state):
            capacity = await self._capacity(who, item)
            if capacity is not None or item.principal == who.id:
                views.append({**await self._view(item), "yours_to_say": capacity is not None})
        return views

    async def decide(self, who: Principal, id: str, state: ItemState, reason: str) -> View:
        """An owner of the target, or who administers, says whether it was right."""
        now = await self.means.now()
        item = await self._item(who, id)
        reason = reason.strip()
        fault = fault_in(reason, LONGEST_REASON) if reason else "is missing"
        if fault is not None:
            raise Refused(422, "reason", f"the reason {fault}", 'Say why:  --reason "…"')
        capacity = await self._capacity(who, item)
        if capacity is None:
            words = (
                f"{id} is not yours to decide: it takes {self._owners(item.target)}, and not you"
            )
            refused = Refused(403, "not_allowed", words, _LIST)
            raise await self.means.refuse(now, who, "review.decided", id, refused)
        shown = await self._view(item)
        event = self.means.event(
            now, who.id, "review.decided", id, capacity=capacity, reason=reason, grant=item.grant,
            target=item.target, principal=item.principal, to=state.value,
            shown=f"{shown['statements']} statements in {shown['sessions']} sessions",
            **{"from": item.state.value},
        )  # fmt: skip
        if not await self.means.store.decide_item(id, state, who.id, reason, now, event):
            item = await self._item(who, id)
            words = f"{id} was decided already: {item.state.value}"
            refused = Refused(409, "decided", words, _LIST)
            raise await self.means.refuse(now, who, "review.decided", id, refused)
        return await self._view(await self._item(who, id))

    async def _item(self, who: Principal, id: str) -> ReviewItem:
        found = await self.means.store.review_items(ids=[id])
        if found and (found[0].principal == who.id or await self._capacity(who, found[0])):
            return found[0]
        words = f"there is no review {id} that you may see"
        refused = Refused(404, "no_review", words, _LIST)
        if found:
            await self.means.refuse(await self.means.now(), who, "review.decided", id, refused)
        raise refused

    async def _capacity(self, who: Principal, item: ReviewItem) -> str | None:
        subject = await self.means.store.principal(item.principal)
        target = self.means.target(item.target)
        return reviews_as(who, subject, target, self.means.administers(who))

    async def _view(self, item: ReviewItem) -> View:
        """The item with what it was for and what was done with it."""
        store = self.means.store
        known = await store.principals([item.principal, item.decided_by])
        grant = await store.grant(item.grant)
        request = None if grant is None else await store.request(grant.request)
        evidence: View = {} if grant is None else await self.reviews.evidence(grant)
        return {
            "id": item.id,
            "principal": person(item.principal, known),
            "target": item.target,
            "grant": item.grant,
            "incident": request.incident if request else "",
            "reason": request.reason if request else "",
            "made": rfc3339(item.made),
            "due": rfc3339(item.due),
            "state": item.state.value,
            "decided_at": time_or_none(item.decided_at),
            "decided_by": person(item.decided_by, known)["name"] or None,
            "why": item.reason or None,
            "owners": self._owners(item.target),
            "sessions": evidence.get("sessions", 0),
            "statements": evidence.get("statements", 0),
            "rows": evidence.get("rows", 0),
            "used": evidence.get("used", []),
        }


# --- reminding ------------------------------------------------------------------------------------


async def remind(means: Means, now: Time) -> None:
    """Puts on the audit, once, what ends soon and what should have been looked at by now."""
    store = means.store
    for grant in await store.ending(now, now + _SOON):
        if grant.not_after - grant.not_before > 2 * _SOON:
            event = means.event(
                now, SYSTEM, "grant.expiring", grant.id, target=grant.target,
                principal=grant.principal, until=rfc3339(grant.not_after),
            )  # fmt: skip
            await store.remind(grant.id, "grant.expiring", event)
    for item in await store.review_items(state=ItemState.PENDING, due_by=now):
        event = means.event(
            now, SYSTEM, "review.due", item.id, grant=item.grant, target=item.target,
            principal=item.principal, due=rfc3339(item.due),
        )  # fmt: skip
        await store.remind(item.id, "review.due", event)


def _refused(refusal: Refusal, target: str) -> Refused:
    status = 422 if refusal.error in _NONSENSE else 403
    hint = "" if status == 422 else f'Ask for it:  hoop request {target} --reason "…"'
    return Refused(status, refusal.error, refusal.message, hint)
