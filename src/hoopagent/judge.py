"""What one session may do, judged from values in memory.

Everything a verdict hangs on is here: the policy, the facts about who and where, and the masks
that are in force.  A judge that fails refuses: unknown means no.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from hoopcore.masking import Bound
from hoopcore.policy import Facts, Policy, Verdict, decide
from hoopcore.statement import Effect, Reading
from hoopcore.stream import Ask, AskKind

log = structlog.get_logger()


@dataclass(slots=True)
class Judge:
    """One session's.  Its parts are replaced, never changed, when policy or catalog do."""

    policy: Policy
    facts: Facts
    bound: Bound

    def judge(self, ask: Ask, reading: Reading) -> Verdict:
        """Never raises: what cannot be judged is refused."""
        try:
            return self._judge(ask, reading)
        except Exception as problem:  # noqa: BLE001 - the border: a policy that fails says no
            log.error("policy.failed", session=self.facts.session, problem=type(problem).__name__)
            return Verdict(False, "policy-error", "the policy could not be applied", "")

    def _judge(self, ask: Ask, reading: Reading) -> Verdict:
        if ask.kind is AskKind.CALL:
            reason = "a call of a function by its number cannot be read"
            return Verdict(False, "function-call", reason, "use SELECT function(…) instead")
        verdict = decide(self.policy, self.facts, reading)
        if not verdict.allowed:
            return verdict
        found = self.bound.refusal(reading)
        if found is not None:
            rule, reason = found
            return Verdict(False, rule, reason, "")
        return verdict

    def masked(self, reading: Reading) -> frozenset[str]:
        """Names of columns whose values this statement may hold: what the record leaves out."""
        if not self.bound.covers(reading):
            return frozenset()
        if any(statement.opaque for statement in reading.statements):
            return frozenset({"*"})
        return self.bound.names


def changes_catalog(reading: Reading) -> bool:
    """Whether what is a table, a view or a column may be another thing behind this statement."""
    return bool(reading.effects & {Effect.DDL, Effect.CALL, Effect.UNKNOWN})
