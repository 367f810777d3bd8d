"""Ending access: by the one who has it, by those who may take it, and by time.

A grant ends in the store first, by one conditional update; the sessions that rested on it are
closed right after, before anybody is told that it is done.

Order of the file: relinquish and revoke, time, and how grants look from outside.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from hoopagent.beginning import begin
from hoopagent.errors import Refused
from hoopagent.means import Means, View, person, targets_of, time_or_none
from hoopagent.suspended import given_back, with_suspensions
from hoopagent.unused import unused
from hoopcore.access import ENDABLE, LONGEST_REASON, capacity, end_of, fault_in, soft_scope
from hoopcore.model import (
    SYSTEM,
    Decision,
    Grant,
    GrantState,
    Principal,
    Request,
    Time,
    rfc3339,
)


@dataclass(frozen=True, slots=True)
class Grants:
    """The use cases of a grant.

    ``close_sessions`` closes every live session that nothing but this grant carried, and says
    which; asked again it finds nothing more to do.
    """

    means: Means
    close_sessions: Callable[[str], Awaitable[list[str]]]

    # --- by a person ------------------------------------------------------------------------------

    async def relinquish(
        self, owner: Principal, id: str, why: str = "given back", decision: Decision | None = None
    ) -> View:
        """Its own principal gives it back.  Once more changes nothing."""
        now = await self.means.now()
        grant, request = await self._visible(owner, id, "grant.relinquished")
        if grant.principal != owner.id:
            words = f"{id} is not your grant"
            refused = Refused(
                403, "not_yours", words, f'Take it away:  hoop revoke {id} --reason "…"'
            )
            raise await self.means.refuse(now, owner, "grant.relinquished", id, refused)
        return await self._end(grant, request, GrantState.RELINQUISHED, owner, why, now, decision)

    async def revoke(self, actor: Principal, id: str, reason: str) -> View:
        """An administrator, an owner of the target or an approver takes it away, with a reason."""
        now = await self.means.now()
        grant, request = await self._visible(actor, id, "grant.revoked")
        reason = reason.strip()
        if not reason:
            raise Refused(422, "reason", "this needs a reason", 'Say why:  --reason "…"')
        fault = fault_in(reason, LONGEST_REASON)
        if fault is not None:
            raise Refused(422, "reason", f"the reason {fault}")
        if self._capacity(actor, grant, request) is None:
            words = f"you may not revoke {id}"
            refused = Refused(403, "not_allowed", words, f"Give it back:  hoop relinquish {id}")
            raise await self.means.refuse(now, actor, "grant.revoked", id, refused)
        return await self._end(grant, request, GrantState.REVOKED, actor, reason, now)

    async def _end(
        self,
        grant: Grant,
        request: Request | None,
        state: GrantState,
        actor: Principal,
        why: str,
        now: Time,
        decision: Decision | None = None,
    ) -> View:
        event = self.means.event(
            now,
            actor.id,
            f"grant.{state.value}",
            grant.id,
            reason=why,
            capacity=(
                "holder" if grant.principal == actor.id else self._capacity(actor, grant, request)
            ),
            **{"from": grant.state.value},
        )
        store = self.means.store
        if not await store.end_grant(grant.id, state, actor.id, why, now, event, decision):
            grant = await store.grant(grant.id) or grant
            if grant.state is not state:
                words = f"{grant.id} has ended already: {_how(grant, now)}"
                mine = grant.principal == actor.id
                hint = "hoop grants" if mine else "What is open to whom:  hoop grants --all"
                refused = Refused(409, "ended", words, hint)
                raise await self.means.refuse(now, actor, f"grant.{state.value}", grant.id, refused)
        await self.end_extensions(grant, state, actor, now)
        closed = await self.close_sessions(grant.id)
        ended = await store.grant(grant.id) or grant
        return {**(await self._views([ended], now))[0], "closed": closed}

    async def end_extensions(
        self, grant: Grant, state: GrantState, actor: Principal, now: Time
    ) -> None:
        """What was to go on from it has nothing to go on from; what has begun is left alone."""
        store = self.means.store
        mine = await store.grants(
            principal=grant.principal, target=grant.target, live_at=now, later=True, limit=None
        )
        later = [one for one in mine if one.state is GrantState.SCHEDULED and one.not_before > now]
        requests = await self._requests(later)
        ended, why = {grant.id}, f"{grant.id} was ended, which it was to go on from"
        for one in sorted(later, key=lambda one: one.not_before):
            request = requests.get(one.request)
            if request is not None and request.extends in ended:
                event = self.means.event(
                    now, actor.id, f"grant.{state.value}", one.id, reason=why, capacity="as above"
                )
                if await store.end_grant(one.id, state, actor.id, why, now, event):
                    ended.add(one.id)

    # --- by time --------------------------------------------------------------------------------

    async def sweep(self, now: Time) -> tuple[list[str], list[str]]:
        """Ends what is past its time, with its sessions: (ids of requests, ids of grants).

        A grant is past its time also where the target's ceiling was lowered below its length.
        """
        now = await self.means.store.highest_time(now)
        await self._begin_due(now)
        requests, grants = await self.means.store.expire(now)
        grants += await self._cut(now)
        grants += await self._give_back(now)
        for grant in grants:
            await self.close_sessions(grant)
        return requests, grants

    async def _begin_due(self, now: Time) -> None:
        """Those whose time has come begin, or end where nobody may have them any more."""
        for grant in await self.means.store.scheduled(now):
            if not await begin(self.means, grant, now, SYSTEM):
                continue
            await self.close_sessions(grant.id)

    async def _give_back(self, now: Time) -> list[str]:
        """Grants that nobody uses any more, where the policy says that they go back then."""
        store, given = self.means.store, []
        why = "nobody was connected any more"
        for grant, since in await unused(store, now):
            event = self.means.event(
                now, SYSTEM, "grant.relinquished", grant.id, reason=why, unused_since=rfc3339(since)
            )
            state = GrantState.RELINQUISHED
            if await store.end_grant(grant.id, state, SYSTEM, why, now, event):
                given.append(grant.id)
        return given

    async def _cut(self, now: Time) -> list[str]:
        targets = targets_of(self.means.config_now())
        why = "the target's ceiling was lowered"
        cut = []
        for grant in await self.means.store.grants(live_at=now, limit=None):
            target = targets.get(grant.target)
            if target is not None and end_of(grant, target) <= now:
                event = self.means.event(now, SYSTEM, "grant.expired", grant.id, reason=why)
                state = GrantState.EXPIRED
                if await self.means.store.end_grant(grant.id, state, SYSTEM, why, now, event):
                    cut.append(grant.id)
        return cut

    # --- how grants look ------------------------------------------------------------------------

    async def listed(
        self, viewer: Principal, *, everyone: bool = False, live: bool = False
    ) -> list[View]:
        """Latest end first: the viewer's own, or all they may end; suspended ones too."""
        now = self.means.clock()
        mine = None if everyone else viewer.id
        grants = await self.means.store.grants(principal=mine)
        if live:
            grants = [grant for grant in grants if grant.state in ENDABLE and grant.ends > now]
        if everyone:
            requests = await self._requests(grants)
            grants = [
                grant
                for grant in grants
                if grant.principal == viewer.id
                or self._capacity(viewer, grant, requests.get(grant.request))
            ]
        views = await self._views(grants, now)
        # What its holder has given back is suspended for some minutes, and open to nobody.
        return [one for one in views if not (live and given_back(one))]

    def _capacity(self, actor: Principal, grant: Grant, request: Request | None) -> str | None:
        administers = self.means.administers(actor)
        if request is None:
            return "administrator" if administers else None
        return capacity(actor, self.means.target(grant.target), request.rule, administers)

    async def _visible(
        self, viewer: Principal, id: str, action: str
    ) -> tuple[Grant, Request | None]:
        """``action``: what the viewer is about to do with it; a try at a hidden one is kept."""
        grant = await self.means.store.grant(id)
        if grant is not None:
            request = await self.means.store.request(grant.request)
            if grant.principal == viewer.id or self._capacity(viewer, grant, request):
                return grant, request
        words = f"there is no grant {id} that you may see"
        refused = Refused(404, "no_grant", words, "hoop grants")
        if grant is not None:
            await self.means.refuse(await self.means.now(), viewer, action, id, refused)
        raise refused

    async def _requests(self, grants: Sequence[Grant]) -> dict[str, Request]:
        ids = sorted({grant.request for grant in grants})
        found = await self.means.store.requests(ids=ids, limit=len(ids)) if ids else []
        return {request.id: request for request in found}

    async def _views(self, grants: Sequence[Grant], now: Time) -> list[View]:
        requests = await self._requests(grants)
        ids = {grant.principal for grant in grants} | {grant.ended_by for grant in grants}
        known = await self.means.store.principals(sorted(ids - {"", SYSTEM}))
        views = [grant_view(grant, requests.get(grant.request), known, now) for grant in grants]
        held = [grant.id for grant in grants if grant.state is GrantState.SUSPENDED]
        return await with_suspensions(self.means, views, held)


# --- values ---------------------------------------------------------------------------------------


def grant_view(
    grant: Grant, request: Request | None, known: dict[str, Principal], now: Time
) -> View:
    """The grant as the API gives it; one past its end is expired before anybody swept."""
    over = grant.state in ENDABLE and grant.ends <= now
    return {
        "id": grant.id,
        "principal": person(grant.principal, known),
        "target": grant.target,
        "scope": str(grant.scope),
        "not_before": rfc3339(grant.not_before),
        "not_after": rfc3339(grant.ends),
        # Not begun yet: so long, from the first connection on, which is before ``not_after``.
        "waits_for_connection": grant.waits,
        "lasts": grant.lasts,
        "limits": str(grant.limits),
        "soft": soft_view(grant, now),
        "supersedes": grant.supersedes,
        "extends": request.extends if request else "",
        "state": (GrantState.EXPIRED if over else grant.state).value,
        "request": grant.request,
        "reason": request.reason if request else "",
        "ended_at": time_or_none(grant.ended_at),
        "ended_by": person(grant.ended_by, known)["name"] or None,
        "ended_why": grant.ended_why or None,
    }


def soft_view(grant: Grant, now: Time) -> View | None:
    """What it was narrowed from, while a statement within that is held for a step-up."""
    if grant.soft is None or not soft_scope(grant, now).atoms or grant.state not in ENDABLE:
        return None
    return {"scope": str(grant.soft.scope), "until": rfc3339(grant.soft.until)}


def _how(grant: Grant, now: Time) -> str:
    if grant.state in ENDABLE:
        return f"its time was over at {rfc3339(min(grant.ends, now))}"
    word = "given back" if grant.state is GrantState.RELINQUISHED else grant.state.value
    return f"{word} at {rfc3339(grant.ended_at or grant.ends)}"
