"""Held statements: asked for, voted on, and ended; each is a request in the store.

A hold lives in two places.  The session's relay waits for ``Hold.ended``; the store has a request
with ``held``, on which people vote like on any other, perhaps through another agent that has taken
over the sockets.  So what the people say is looked up in the store, twice a second and for all
holds together, while there are any.

A hold is bound to one ask of one session, in memory, and ends once: the approval of one statement
can let no other through.  When its agent is gone, so is the statement: what is left open in the
store is cancelled.

Order of the file: asking, looking, ending, and what an agent left behind.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog

from hoopagent.background import Background
from hoopagent.hold import HINT, Case, Ending, Hold, asked, expired, failed, needs, span
from hoopagent.logs import places
from hoopagent.means import Means
from hoopagent.stepping import GONE, StepUps
from hoopagent.store import Store, StoreAway
from hoopcore.model import (
    NOTHING,
    SECOND,
    SYSTEM,
    Answer,
    ApprovalRule,
    AuditEvent,
    Principal,
    Request,
    RequestState,
    Time,
    Vote,
)

log = structlog.get_logger()

LOOKED = 0.5  # seconds between two looks at the store
_MINUTE = 60 * SECOND

MOST_OF_ONE = 20
"""Statements of one principal that may wait at once, in all their sessions here."""


class Holds:
    """All that wait in this agent."""

    def __init__(
        self,
        means: Means,
        background: Background,
        save: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """``save`` brings to the store what was counted, before one grant takes another's place."""
        self._means = means
        self._save = save
        self._background = background
        self._steps = StepUps(means)
        self._open: dict[str, Hold] = {}
        self._watching = False

    def full(self, principal: str) -> bool:
        """Whether so many of this principal's statements wait that no more may."""
        waiting = sum(hold.case.principal.id == principal for hold in self._open.values())
        return waiting >= MOST_OF_ONE

    def new_id(self) -> str:
        return self._means.id("hold")

    def now(self) -> Time:
        return self._means.clock()

    # --- asking -----------------------------------------------------------------------------------

    def begin(self, hold: Hold) -> None:
        """From now on it waits; ``hold.ended`` is done when it does not any more."""
        self._open[hold.id] = hold
        hold.over = partial(self._over, hold)
        if self._background.apart(self._ask(hold)) is None:
            hold.end(failed("the agent is stopping"))

    async def _ask(self, hold: Hold) -> None:
        try:
            await self._store(hold)
        except StoreAway:
            hold.end(failed("the agent cannot reach its store, so nobody can be asked"))
        except Exception as problem:  # noqa: BLE001 - the border: what cannot be asked is refused
            log.error("hold.failed", problem=type(problem).__name__, where=places(problem))
            hold.end(failed("the agent failed to ask anybody"))
        if not self._watching and self._open:
            self._watching = True
            self._background.apart(self._watch())

    async def _store(self, hold: Hold) -> None:
        """Makes the request that people vote on, and tells the user."""
        case = hold.case = await hold.complete(hold.case)
        terms = case.terms
        now = await self._means.now()
        if terms.learns:
            case = hold.case = await self._steps.told(case, now)
        own = case.held.own
        approvers = terms.approvers or ([] if own else await self._usual_approvers(case))
        expires = now + terms.wait * SECOND
        if case.until is not None:
            expires = min(expires, case.until)
        if terms.learns and not await self._steps.is_open(case, now):
            hold.end(Ending(False, GONE, HINT))
        elif not approvers and not own:
            hold.end(failed("its rule names no approvers, and nobody decided about your grant"))
        elif expires <= now:
            hint = "Run it outside of the transaction, or have it approved within a shorter time."
            hold.end(Ending(False, f"there is no time for an approval: {case.why_until}", hint))
        if hold.ended.done():
            return
        request = self._request(hold, frozenset(approvers), await self._reason(case), now, expires)
        event = self._means.event(
            now,
            case.principal.id,
            "request.made",
            hold.id,
            target=request.target,
            session=case.held.session,
            statement=case.held.seq,
            rule=terms.rule,
            votes=terms.votes,
            approvers=" ".join(sorted(approvers)),
            learns=" ".join(case.held.learns),
            own="yes" if own else "",
        )
        await self._means.store.add_request(request, event)
        hold.request, hold.reminded = request, now
        if hold.ended.done():  # meanwhile
            self._close(hold)
            return
        hold.say(*asked(hold, request, now))
        log.info("hold.asked", hold=hold.id, session=case.held.session, rule=terms.rule)

    def _request(
        self, hold: Hold, approvers: frozenset[str], reason: str, now: Time, expires: Time
    ) -> Request:
        case = hold.case
        return Request(
            id=hold.id,
            requester=case.principal.id,
            target=case.target.name,
            scope=NOTHING,
            reason=reason,
            duration=0,
            created=now,
            expires=expires,
            rule=ApprovalRule(case.terms.rule, approvers, case.terms.votes, 0),
            policy_version=self._means.config_now().version,
            held=case.held,
        )

    async def _asks_behind(self, case: Case) -> list[Request]:
        """The requests that the session's grants came from."""
        store = self._means.store
        grants = [await store.grant(id) for id in case.grants]
        found = [await store.request(grant.request) for grant in grants if grant is not None]
        return [request for request in found if request is not None]

    async def _usual_approvers(self, case: Case) -> frozenset[str]:
        """Who decided about the grants; else the groups that own the target."""
        behind = await self._asks_behind(case)
        groups = frozenset[str]().union(*(one.rule.voters().groups for one in behind))
        return groups or case.target.owners

    async def _reason(self, case: Case) -> str:
        """Why the grants were asked for, in the words of whoever did."""
        behind = await self._asks_behind(case)
        return "; ".join(dict.fromkeys(request.reason for request in behind))

    # --- looking ----------------------------------------------------------------------------------

    async def _watch(self) -> None:
        """Until nothing waits any more."""
        try:
            while self._open:
                await asyncio.sleep(LOOKED)
                try:
                    await self._look()
                except StoreAway:
                    self._look_at_the_clock()
                except Exception as problem:  # noqa: BLE001 - the border: the next look may work
                    log.error("hold.failed", problem=type(problem).__name__, where=places(problem))
                    self._look_at_the_clock()
        finally:
            self._watching = False

    async def _look(self) -> None:
        self._look_at_the_clock()
        waiting = [hold for hold in self._open.values() if hold.request is not None]
        if not waiting:
            return
        store = self._means.store
        ids = [hold.id for hold in waiting]
        found = {one.id: one for one in await store.requests(ids=ids, limit=len(ids))}
        votes = await store.votes_on(ids)
        voters = {vote.voter for cast in votes.values() for vote in cast}
        known = await store.principals(sorted(voters)) if voters else {}
        for hold in waiting:
            request = found.get(hold.id)
            if request is not None and not hold.ended.done():
                hold.request = request
                await self._decide(hold, request, votes.get(hold.id, []), known)

    def _look_at_the_clock(self) -> None:
        now = self._means.clock()
        for hold in list(self._open.values()):
            request = hold.request
            if hold.gone():
                hold.end(Ending(False, "its client has left"))
            elif request is not None and now >= request.expires:
                hold.end(expired(hold, request))
            elif request is not None and now - hold.reminded >= _MINUTE:
                hold.reminded = now
                left = span(request.expires - now)
                hold.say(f"{hold.id} still waits for {needs(request, [])}, {left} at most", "")

    async def _decide(
        self, hold: Hold, request: Request, votes: Sequence[Vote], known: dict[str, Principal]
    ) -> None:
        state = request.state
        if state is RequestState.APPROVED:
            await self._use(hold, votes)
        elif state is RequestState.DENIED:
            no = next(vote for vote in votes if vote.answer is Answer.DENY)
            who = known[no.voter].name if no.voter in known else no.voter
            hold.end(Ending(False, f"{who} said no to {hold.id}: {no.reason}", HINT))
        elif state is RequestState.EXPIRED:
            hold.end(expired(hold, request))
        elif state is not RequestState.PENDING:
            hold.end(Ending(False, f"{hold.id} was {state.value}", HINT))
        elif len(votes) > hold.told:
            hold.told = len(votes)
            names = ", ".join(known[v.voter].name for v in votes if v.voter in known)
            hold.say(f"{hold.id}: approved by {names}; waits for {needs(request, votes)}", "")

    async def _use(self, hold: Hold, votes: Sequence[Vote]) -> None:
        """It is approved: it may run now, once, if it still may run at all."""
        why_not = hold.still()
        now = await self._means.now()
        if why_not:
            await self._move(hold, RequestState.APPROVED, RequestState.WITHDRAWN, SYSTEM, why_not)
            hold.end(Ending(False, f"{hold.id} was approved, but {why_not}", HINT))
            return
        by = tuple(vote.voter for vote in votes if vote.answer is Answer.APPROVE)
        used = self._means.event(now, SYSTEM, "request.fulfilled", hold.id, approved=" ".join(by))
        why_not = await self._used(hold, used, by, now)
        if why_not:
            hold.end(failed(why_not))
        elif not hold.end(Ending(True, by=by)):
            why = "its session ended at the same moment"
            event = self._means.event(now, SYSTEM, "request.not_run", hold.id, reason=why)
            await self._means.store.audit(event)

    async def _used(self, hold: Hold, used: AuditEvent, by: tuple[str, ...], now: Time) -> str:
        """Uses the approval, once, and learns by it; why that is not to be, else empty."""
        if not hold.case.terms.learns:
            taken = await self._means.store.use_hold(hold.id, used)
            return "" if taken else f"{hold.id} was used already"
        if self._save is not None:
            await self._save()
        why_not, grant = await self._steps.learn(hold.case, hold.id, used, by, now)
        if grant is not None:
            if hold.learned is not None:
                with contextlib.suppress(StoreAway):  # the watch looks again in a second
                    await hold.learned()
            hold.say(f"{grant.id} covers {' '.join(hold.case.held.learns)} from now on", "")
        return why_not

    # --- ending -----------------------------------------------------------------------------------

    def _over(self, hold: Hold) -> None:
        self._open.pop(hold.id, None)
        ending = hold.ended.result()
        log.info("hold.ended", hold=hold.id, approved=ending.approved)
        if not ending.approved:
            self._close(hold)

    def _close(self, hold: Hold) -> None:
        """Sees to it that nobody is asked any more."""
        if hold.request is not None and hold.closing is None:
            hold.closing = self._background.apart(self._closed(hold))

    async def _closed(self, hold: Hold) -> None:
        request, ending = hold.request, hold.ended.result()
        assert request is not None
        now = await self._means.now()
        if now >= request.expires:
            await self._means.store.expire(now)
        mine = hold.case.principal.id
        moves = (
            (RequestState.PENDING, RequestState.CANCELLED, mine if ending.code else SYSTEM),
            (RequestState.APPROVED, RequestState.WITHDRAWN, SYSTEM),
        )
        for old, new, who in moves:
            if await self._move(hold, old, new, who, ending.reason):
                return

    async def _move(
        self, hold: Hold, old: RequestState, new: RequestState, who: str, why: str
    ) -> bool:
        now = await self._means.now()
        event = self._means.event(now, who, f"request.{new.value}", hold.id, reason=why)
        return await self._means.store.move_request(hold.id, old, new, event)


async def close_left(store: Store, now: Time) -> None:
    """Cancels what waits for sessions that have ended: their agent died.  StoreAway."""
    for request in await store.open_holds():
        assert request.held is not None
        session = await store.session(request.held.session)
        if session is not None and session.ended is None:
            continue
        pending = request.state is RequestState.PENDING
        new = RequestState.CANCELLED if pending else RequestState.WITHDRAWN
        why = {"reason": "its session has ended"}
        event = AuditEvent(now, SYSTEM, f"request.{new.value}", request.id, why)
        await store.move_request(request.id, request.state, new, event)
