"""Counts what goes through one session and charges it to its grants, and what a budget then does.

Before a statement is judged for good, a budget that is used up ends the session or holds the
statement; before rows or bytes go to the client, they are charged, and what would pass a budget
that ends does not go.  A budget that warns is told once, when it is reached.  All of it is recorded
and on the audit trail.

Order of the file: statements, what goes to the client, what is said, rows of databases.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias

import structlog

from hoopagent.ledger import Ledger
from hoopagent.recorder import RecorderFailed
from hoopcore.model import SYSTEM, AuditEvent, Time
from hoopcore.policy import (
    Amount,
    Budget,
    Reached,
    Verdict,
    ending,
    holding,
    newly_reached,
    passing,
)
from hoopcore.recording import EndCause, Notice
from hoopcore.statement import Effect, Reading
from hoopcore.stream import Ask, AskKind, Out

if TYPE_CHECKING:
    from hoopagent.judge import Judge
    from hoopagent.live import Live
    from hoopagent.recorder import Recorder
    from hoopcore.access import Access
    from hoopcore.model import Session

log = structlog.get_logger()

CODE = "53400"  # configuration_limit_exceeded

Judging: TypeAlias = Callable[[Ask, Reading], Verdict]

# What ends a transaction must not wait for anybody.
_NEVER_HELD = frozenset({Effect.TRANSACTION})


class Metered(Protocol):
    """An open session, on whatever it is."""

    record: Session
    judge: Judge
    recorder: Recorder
    access: Access

    def end(self, code: str, text: str, cause: EndCause, by: str = ..., why: str = ...) -> None: ...

    def say_soon(self, text: str, hint: str = "") -> None: ...


class Meter:
    """One session's.  ``audit`` never raises and does not wait."""

    def __init__(
        self,
        live: Metered,
        ledger: Ledger,
        judge: Judging,
        audit: Callable[[AuditEvent], None],
        clock: Callable[[], Time],
    ) -> None:
        self._live = live
        self._ledger = ledger
        self._judge = judge
        self._audit = audit
        self._clock = clock
        self._counted = 0  # the newest ask that was charged

    # --- statements -----------------------------------------------------------------------------

    def judge(self, ask: Ask, reading: Reading) -> Verdict:
        """The session's verdict, or that of a budget that is used up; the statement is charged."""
        verdict = self._judge(ask, reading)
        budgets = self._live.judge.budgets
        if not budgets:
            return verdict
        totals = {grant: self._ledger.total(grant) for grant in self._live.access.grants}
        for total in totals.values():
            over = ending(budgets, total)
            if over is not None:
                self._end(over, f"{over.words}: {over.budget.reason}")
                return Verdict(False, over.budget.name, f"{over.words}: {over.budget.reason}")
        if verdict.allowed and not reading.effects <= _NEVER_HELD:
            held = (holding(budgets, total) for total in totals.values())
            verdict = next((one for one in held if one is not None), verdict)
        self._charge(ask, reading, verdict, budgets)
        return verdict

    def _charge(
        self, ask: Ask, reading: Reading, verdict: Verdict, budgets: tuple[Budget, ...]
    ) -> None:
        """Once for each ask; what is only prepared now counts when it runs, unless refused."""
        only_prepared = ask.prepared and (verdict.allowed or verdict.held)
        if ask.seq <= self._counted or only_prepared:
            return
        self._counted = ask.seq
        count = 1 if ask.kind is AskKind.CALL else len(reading.statements)
        for grant in self._live.access.grants:
            before, after = self._ledger.add(grant, Amount(statements=count))
            self._tell(grant, newly_reached(budgets, before, after))

    # --- what goes to the client ------------------------------------------------------------------

    def charge(self, amount: Amount) -> bool:
        """Charges what is about to go to the client; whether it may, else the session has ended."""
        budgets = self._live.judge.budgets
        if not budgets:
            return True
        for grant in self._live.access.grants:
            over = passing(budgets, self._ledger.total(grant).plus(amount))
            if over is not None:
                said = f"more than {over.limit:,} {over.noun} in an hour: {over.budget.reason}"
                self._end(over, said)
                return False
        for grant in self._live.access.grants:
            self._tell(grant, newly_reached(budgets, *self._ledger.add(grant, amount)))
        return True

    # --- what is said -----------------------------------------------------------------------------

    def _end(self, over: Reached, said: str) -> None:
        name = over.budget.name
        self._note(f'budget "{name}": {said}', CODE)
        self._put_on_audit("budget.ended", over)
        text = f'this session was ended by budget "{name}": {said}'
        self._live.end(CODE, text, EndCause.BUDGET_USED_UP, SYSTEM, f"{name}: {over.words}")

    def _tell(self, grant: str, found: tuple[Reached, ...]) -> None:
        """What was reached by this step, to whoever is at the client, and for the record."""
        for one in found:
            text = f'budget "{one.budget.name}": {one.words}: {one.budget.reason}'
            text += _NEXT[one.budget.action]
            self._note(text)
            self._put_on_audit("budget.reached", one, grant)
            self._live.say_soon(text)

    def _note(self, text: str, code: str = "") -> None:
        try:
            self._live.recorder.append_later(Notice(text=text, code=code))
        except RecorderFailed:
            log.warning("budget.not_recorded", session=self._live.record.id)

    def _put_on_audit(self, action: str, one: Reached, grant: str = "") -> None:
        detail = {
            "budget": one.budget.name,
            "on_reaching": one.budget.action,
            "measure": one.measure,
            "limit": str(one.limit),
            "session": self._live.record.id,
        }
        subject = grant or ",".join(self._live.access.grants)
        self._audit(AuditEvent(self._clock(), self._live.record.principal, action, subject, detail))


_NEXT = {
    "warn": "",
    "hold": " (what you type next waits for approval)",
    "end": " (the next statement ends this session)",
}


class RowMeter(Meter):
    """That of a session on a database."""

    def __init__(
        self,
        live: Live,
        ledger: Ledger,
        judge: Judging,
        audit: Callable[[AuditEvent], None],
        clock: Callable[[], Time],
    ) -> None:
        super().__init__(live, ledger, judge, audit, clock)
        self._stream = live.stream
        self._flowed = live.stream.flowed

    def flowed(self, out: Out) -> None:
        """Charges the rows that are about to go to the client; those that may not go, do not."""
        now = self._stream.flowed
        before, self._flowed = self._flowed, now
        if now == before:
            return
        amount = Amount(now[0] - before[0], now[1] - before[1], now[2] - before[2])
        if not self.charge(amount):
            self._stream.cut(out)
