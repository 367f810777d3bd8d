"""Ends of access that are nobody's own wish: suspended for a while, and people who leave.

Suspending is one conditional update, like every other move of a grant; the sessions that nothing
else carries are closed right after.  Who leaves loses all at once, in one transaction, and is not
signed in again until somebody says that they are back.

Order of the file: suspending, groups that were lost, leaving.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from hoopagent.errors import Refused
from hoopagent.grants import Grants, grant_view
from hoopagent.means import Means, View, offers_of, person
from hoopcore.access import LONGEST_REASON, capacity, fault_in, still_offered
from hoopcore.model import SYSTEM, Grant, GrantState, Kind, Principal, Request, Time

Close = Callable[[str], Awaitable[list[str]]]


@dataclass(frozen=True, slots=True)
class Ends:
    """``close_sessions`` closes what nothing but that grant carried; ``signed_out`` tells all doors
    that this principal is signed in nowhere any more."""

    means: Means
    grants: Grants
    signed_out: Callable[[str], None] = lambda _: None

    # --- suspending -------------------------------------------------------------------------------

    async def suspend(self, actor: Principal, id: str, reason: str) -> View:
        """Whoever may revoke it may suspend it, with a reason.  Once more changes nothing."""
        grant, request, as_what = await self._theirs(actor, id, "grant.suspended")
        reason = _reason(reason)
        await self._move(actor, grant, GrantState.ACTIVE, GrantState.SUSPENDED, as_what, reason)
        closed = await self.grants.close_sessions(id)
        return {**await self._view(id, request), "closed": closed}

    async def resume(self, actor: Principal, id: str, reason: str = "") -> View:
        """Takes it up again; its end is where it was."""
        grant, request, as_what = await self._theirs(actor, id, "grant.resumed")
        reason = _reason(reason) if reason.strip() else ""
        await self._move(actor, grant, GrantState.SUSPENDED, GrantState.ACTIVE, as_what, reason)
        return await self._view(id, request)

    async def _move(
        self,
        actor: Principal,
        grant: Grant,
        old: GrantState,
        new: GrantState,
        as_what: str,
        reason: str,
    ) -> None:
        now = await self.means.now()
        action = "grant.suspended" if new is GrantState.SUSPENDED else "grant.resumed"
        event = self.means.event(
            now, actor.id, action, grant.id, reason=reason, capacity=as_what, target=grant.target,
            principal=grant.principal, to=new.value, **{"from": old.value},
        )  # fmt: skip
        store = self.means.store
        if grant.not_after > now and await store.move_grant(grant.id, old, new, event):
            return
        found = await store.grant(grant.id) or grant
        if found.state is new and found.not_after > now:
            if new is GrantState.SUSPENDED:  # given back in a review: it is not undone any more
                await store.seal_review(grant.id, event)
            return
        state = "expired" if found.not_after <= now else found.state.value
        words = f"{grant.id} is {state}: only one that is {old.value} can be {action[6:]}"
        refused = Refused(409, "not_" + old.value, words, "hoop grants --all")
        raise await self.means.refuse(now, actor, action, grant.id, refused)

    async def _theirs(
        self, actor: Principal, id: str, action: str
    ) -> tuple[Grant, Request | None, str]:
        """A grant of somebody else's that the actor may end, and as what."""
        store = self.means.store
        grant = await store.grant(id)
        request = None if grant is None else await store.request(grant.request)
        as_what = None
        if grant is not None and request is not None:
            administers = self.means.administers(actor)
            target = self.means.target(grant.target)
            as_what = capacity(actor, target, request.rule, administers)
        if grant is None or (as_what is None and grant.principal != actor.id):
            words = f"there is no grant {id} that you may see"
            refused = Refused(404, "no_grant", words, "hoop grants")
            if grant is not None:
                await self.means.refuse(await self.means.now(), actor, action, id, refused)
            raise refused
        if as_what is None or grant.principal == actor.id:
            words = f"{id} is your own grant: somebody else suspends and resumes it"
            refused = Refused(403, "not_allowed", words, f"Give it back:  hoop relinquish {id}")
            raise await self.means.refuse(await self.means.now(), actor, action, id, refused)
        return grant, request, as_what

    async def _view(self, id: str, request: Request | None) -> View:
        grant = await self.means.store.grant(id)
        assert grant is not None, "grants are never removed"
        known = await self.means.store.principals([grant.principal, grant.ended_by])
        return grant_view(grant, request, known, self.means.clock())

    # --- groups that were lost --------------------------------------------------------------------

    async def regrouped(self, old: Principal, new: Principal, now: Time) -> list[str]:
        """Ends each grant of theirs that a group carried which they have lost; their ids.

        A grant is lost where a role of theirs offered it with the old groups, and none does now.
        """
        if not old.groups - new.groups:
            return []
        store, offers = self.means.store, offers_of(self.means.config_now())
        lost = []
        for grant in await store.grants(principal=new.id, live_at=None, limit=None):
            if grant.not_after <= now or grant.state not in _LIVE:
                continue
            request = await store.request(grant.request)
            if request is None or not still_offered(request, old, offers):
                continue
            if not still_offered(request, new, offers) and await self._lose(grant, now):
                lost.append(grant.id)
        return lost

    async def _lose(self, grant: Grant, now: Time) -> bool:
        why = "its principal is in no group any more that may have it"
        event = self.means.event(
            now, SYSTEM, "grant.revoked", grant.id, reason=why, capacity="leaver",
            target=grant.target, principal=grant.principal, **{"from": grant.state.value},
        )  # fmt: skip
        state = GrantState.REVOKED
        ended = await self.means.store.end_grant(grant.id, state, SYSTEM, why, now, event)
        await self.grants.close_sessions(grant.id)
        return ended

    # --- leaving ----------------------------------------------------------------------------------

    async def leave(self, actor: str, name: str, reason: str, as_what: str) -> list[View]:
        """Ends all that everybody of this name has, here and now; what that was, for each."""
        reason = _reason(reason)
        now = await self.means.now()
        return [
            await self._left(actor, one, reason, as_what, now) for one in await self._named(name)
        ]

    async def _left(self, actor: str, who: Principal, reason: str, as_what: str, now: Time) -> View:
        event = self.means.event(
            now, actor, "principal.left", who.id, reason=reason, capacity=as_what, name=who.name
        )
        grants, requests = await self.means.store.leave(who.id, actor, reason, now, event)
        self.signed_out(who.id)
        closed: list[str] = []
        for grant in grants:
            closed += await self.grants.close_sessions(grant)
        return {
            "principal": person(who.id, {who.id: who}),
            "grants": grants,
            "requests": requests,
            "closed": closed,
        }

    async def come_back(self, actor: str, name: str, reason: str, as_what: str) -> list[View]:
        """Lets everybody of this name sign in again; what they had does not come back."""
        reason = _reason(reason)
        now = await self.means.now()
        back = []
        for who in await self._named(name):
            event = self.means.event(
                now, actor, "principal.came-back", who.id, reason=reason, capacity=as_what,
                name=who.name,
            )  # fmt: skip
            if await self.means.store.come_back(who.id, event):
                back.append({"principal": person(who.id, {who.id: who})})
        return back

    async def _named(self, name: str) -> Sequence[Principal]:
        """Those of this name, and the agents that act for a person of it."""
        store = self.means.store
        found = {one.id: one for one in await store.principals_named(name)}
        if not found:
            words = f'nobody called "{name}" has signed in here'
            raise Refused(404, "no_principal", words, "Give the e-mail address, or the id.")
        for one in await store.principals_owned(sorted({p.email for p in found.values()} - {""})):
            if one.kind is Kind.AGENT:
                found[one.id] = one
        return list(found.values())


_LIVE = frozenset({GrantState.ACTIVE, GrantState.SUSPENDED, GrantState.SCHEDULED})


def _reason(reason: str) -> str:
    reason = reason.strip()
    if not reason:
        raise Refused(422, "reason", "this needs a reason", 'Say why:  --reason "…"')
    fault = fault_in(reason, LONGEST_REASON)
    if fault is not None:
        raise Refused(422, "reason", f"the reason {fault}")
    return reason
