"""Looking back at one's own grants: what each was for, what was done with it, keep or give back.

A review only ever reduces.  Keeping changes nothing about the grant's end; giving back ends it,
and its sessions, at once.  Nobody's silence is an answer.

"Not used" is never said here: only "not seen", since nobody watched every way to the target.  A
statement that could not be read counts as a use of the whole scope.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from hoopagent.errors import Refused
from hoopagent.grants import Grants
from hoopagent.means import Means, View, time_or_none
from hoopcore.access import ENDABLE, LONGEST_REASON, fault_in
from hoopcore.model import (
    Answer,
    Decision,
    Grant,
    Principal,
    Request,
    ReviewAnswer,
    Session,
    Time,
    Vote,
    rfc3339,
)

log = structlog.get_logger()

# A grant lasts hours; who opens more sessions than this in them sees the first so many counted.
_MOST_SESSIONS = 10_000


class Usage(Protocol):
    """What one recording tells of use (``recordings.usage``)."""

    @property
    def statements(self) -> int: ...
    @property
    def refused(self) -> int: ...
    @property
    def rows(self) -> int: ...
    @property
    def masked(self) -> int: ...
    @property
    def touched(self) -> frozenset[str]: ...
    @property
    def unread(self) -> int: ...
    @property
    def last(self) -> Time | None: ...


@dataclass(frozen=True, slots=True)
class Reviews:
    """``usage`` reads a session's recording; whatever it raises means that it cannot be read."""

    means: Means
    grants: Grants
    usage: Callable[[Session], Usage]

    async def mine(self, principal: Principal) -> list[View]:
        """Each live grant with why it is held and what was done with it, latest end first."""
        now = self.means.clock()
        live = await self.means.store.grants(principal=principal.id, live_at=now)
        return [await self.evidence(grant) for grant in live]

    async def decide(
        self, principal: Principal, id: str, answer: ReviewAnswer, reason: str
    ) -> View:
        """Keeps the answer with what was shown; a grant given back ends with its sessions."""
        reason = reason.strip()
        fault = fault_in(reason, LONGEST_REASON)
        if fault is not None:
            raise Refused(422, "reason", f"the reason {fault}")
        if answer is ReviewAnswer.KEEP and not reason:
            raise Refused(
                422,
                "reason",
                "keeping a grant needs a reason",
                f'Say why:  hoop review mine --keep {id} --reason "…"',
            )
        grant = await self._own(principal, id)
        now = await self.means.now()
        decision = Decision(
            self.means.id("dec"),
            grant.id,
            principal.id,
            answer,
            reason,
            now,
            json.dumps(await self.evidence(grant), sort_keys=True, ensure_ascii=False),
        )
        closed: list[str] = []
        if answer is ReviewAnswer.GIVE_BACK:
            why = reason or "given back in a review"
            closed = (await self.grants.relinquish(principal, id, why, decision))["closed"]
        else:
            event = self.means.event(
                now, principal.id, "review.kept", id, decision=decision.id, reason=reason
            )
            await self.means.store.add_decision(decision, event)
        return {"decision": decision_view(decision), "closed": closed}

    async def _own(self, principal: Principal, id: str) -> Grant:
        grant = await self.means.store.grant(id)
        if grant is None or grant.principal != principal.id:
            words = f"there is no grant {id} of yours"
            raise Refused(404, "no_grant", words, "hoop review mine")
        if grant.state not in ENDABLE or grant.not_after <= await self.means.now():
            words = f"{id} has ended already, so there is nothing to decide"
            raise Refused(409, "moot", words, "hoop grants")
        return grant

    # --- the evidence -----------------------------------------------------------------------------

    async def evidence(self, grant: Grant) -> View:
        store = self.means.store
        request = await store.request(grant.request)
        votes = await store.votes(grant.request)
        people = await store.principals([vote.voter for vote in votes])
        sessions = await store.sessions(grant=grant.id, limit=_MOST_SESSIONS)
        return {
            "grant": grant.id,
            "target": grant.target,
            "why": _why(grant, request, votes, people),
            "not_before": rfc3339(grant.not_before),
            "not_after": rfc3339(grant.not_after),
            "granted": str(grant.scope),
            **await self._use(grant, sessions),
        }

    async def _use(self, grant: Grant, sessions: Sequence[Session]) -> View:
        used: set[str] = set()
        totals = dict.fromkeys(("statements", "refused", "rows", "masked", "unread"), 0)
        last: Time | None = None
        unseen = 0
        for session in sessions:
            usage = await self._read(session)
            if usage is None:
                unseen += 1
                continue
            for name in totals:
                totals[name] += getattr(usage, name)
            used |= usage.touched
            last = max((t for t in (last, usage.last) if t is not None), default=None)
            # The end of a damaged recording is missing, and with it what was done last.
            unseen += usage.statements < session.statements
        if totals["unread"]:
            used |= {str(atom) for atom in grant.scope.atoms}
        return {
            "sessions": len(sessions),
            **totals,
            "unseen": unseen,
            "used": sorted(used),
            "last_use": time_or_none(last),
            "use": "seen" if used or unseen or totals["statements"] else "not seen",
            "suggestion": _suggestion(sessions, totals["statements"], unseen),
        }

    async def _read(self, session: Session) -> Usage | None:
        try:
            return await asyncio.to_thread(self.usage, session)
        except Exception as problem:  # noqa: BLE001 - one damaged recording must not hide the others
            log.warning("review.unseen", session=session.id, problem=type(problem).__name__)
            return None


# --- values ---------------------------------------------------------------------------------------


def decision_view(decision: Decision) -> View:
    return {
        "id": decision.id,
        "grant": decision.grant,
        "actor": decision.actor,
        "answer": decision.answer.value,
        "reason": decision.reason,
        "at": rfc3339(decision.at),
    }


def _why(
    grant: Grant, request: Request | None, votes: Sequence[Vote], people: dict[str, Principal]
) -> View:
    yes = [vote.voter for vote in votes if vote.answer is Answer.APPROVE]
    names = [people[id].name if id in people else id for id in yes]
    rule = f'the rule "{request.rule.name}"' if request else ""
    return {
        "reason": request.reason if request else "",
        "ticket": request.ticket if request else "",
        "approvers": names or [rule],
        "at": rfc3339(grant.not_before),
    }


def _suggestion(sessions: Sequence[Session], statements: int, unseen: int) -> str | None:
    if unseen:
        return None
    if not sessions:
        return "give back: no session of yours was seen"
    if not statements:
        return "give back: no statement of yours was seen"
    return None
