"""What somebody answers to a request, before it counts: its words, and its conditions.

A condition may only reduce what was asked for: shorter, narrower, later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hoopagent.errors import Refused
from hoopcore.access import LONGEST_REASON, fault_in, granted_scope
from hoopcore.model import Answer, Principal, Request, Scope, Target, Time, Vote, rfc3339


@dataclass(frozen=True, slots=True)
class Ballot:
    answer: Answer
    reason: str
    duration: int | None = None  # seconds
    scope: Scope | None = None
    starts: Time | None = None

    def is_among(self, votes: Sequence[Vote], voter: Principal) -> bool:
        """Whether this person has answered so already."""
        mine = (voter.id, self.answer, self.duration, self.scope, self.starts)
        return any((v.voter, v.answer, v.duration, v.scope, v.starts) == mine for v in votes)

    def check(
        self, request: Request, votes: Sequence[Vote], target: Target | None, now: Time
    ) -> None:
        """Refused where it cannot count as it is; ``target`` None: there is none any more."""
        _check_reason(self.reason, needed=self.answer is Answer.DENY)
        conditions = {"duration": self.duration, "scope": self.scope, "starts": self.starts}
        given = [name for name, value in conditions.items() if value is not None]
        if request.held is not None and given:
            words = f"{request.id} is one statement: it has no {given[0]}"
            raise Refused(422, given[0], words)
        if self.answer is Answer.DENY and given:
            raise Refused(422, given[0], f"a denial has no {given[0]}")
        if self.answer is Answer.DENY or request.held is not None:
            return
        if target is None:
            words = f'there is no target "{request.target}" any more'
            raise Refused(409, "no_target", words, f"hoop deny {request.id}")
        self._check_conditions(request, votes, now)

    def _check_conditions(self, request: Request, votes: Sequence[Vote], now: Time) -> None:
        if self.duration is not None and not 0 < self.duration <= request.duration:
            words = f"a vote may only shorten: {request.id} asks for {request.duration} s"
            raise Refused(422, "duration", words)
        if self.starts is not None and self.starts < (request.starts or now):
            begins = rfc3339(request.starts or now)
            raise Refused(422, "starts", f"a vote may only delay: it would begin at {begins}")
        if self.scope is None:
            return
        if not self.scope.atoms or not request.scope.covers(self.scope):
            words = f'a vote may only narrow: {request.id} asks for "{request.scope}"'
            raise Refused(422, "scope", words)
        if not granted_scope(request, votes).meet(self.scope).atoms:
            left = granted_scope(request, votes)
            words = f'nothing would be left: another vote has narrowed it to "{left}"'
            raise Refused(422, "scope", words)


def _check_reason(reason: str, *, needed: bool) -> None:
    if needed and not reason:
        raise Refused(422, "reason", "this needs a reason", 'Say why:  --reason "…"')
    fault = fault_in(reason, LONGEST_REASON)
    if fault is not None:
        raise Refused(422, "reason", f"the reason {fault}")
