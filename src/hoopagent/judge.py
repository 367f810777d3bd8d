"""What one session may do, judged from values in memory.

Everything a verdict hangs on is here: the policy, the facts about who and where, and the masks
that are in force.  A judge that fails refuses: unknown means no.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from hoopcore.masking import HINTS, Bound
from hoopcore.model import Atom, Time
from hoopcore.policy import BoundPolicy, Budget, Facts, Policy, Rule, Verdict
from hoopcore.sql.session import NAMED
from hoopcore.statement import Effect, Reading, Statement
from hoopcore.stream import Ask, AskKind

log = structlog.get_logger()

_MOST_JUDGED = 1024
_CHANGING = frozenset({Effect.DDL, Effect.CALL, Effect.UNKNOWN})


@dataclass
class Judge:
    """One session's.  Its parts are replaced, never changed, when policy or catalog do."""

    policy: Policy
    facts: Facts
    bound: Bound
    clock: Callable[[], Time] | None = None  # for rules with hours; None: nobody knows the time
    # Statements that were judged, by identity, and by what: the same come again and again.
    told: Callable[[BoundPolicy], None] | None = None  # that the rules are sorted anew
    _judged: dict[int, tuple[tuple[Statement, ...], Verdict]] = field(default_factory=dict)
    _standing: BoundPolicy | None = None
    _under: Bound | None = None

    def judge(self, ask: Ask, reading: Reading) -> Verdict:
        """Never raises: what cannot be judged is refused."""
        if ask.prepared and ask.name and self.facts.pooled:
            return Verdict(False, *NAMED)
        try:
            standing = self.in_force
            found = self._judged.get(id(reading.statements))
            if (
                found is not None
                and found[0] is reading.statements
                and ask.kind is not AskKind.CALL
            ):
                return found[1]
            verdict = self._judge(standing, ask, reading)
        except Exception as problem:  # noqa: BLE001 - the border: a policy that fails says no
            log.error("policy.failed", session=self.facts.session, problem=type(problem).__name__)
            return Verdict(False, "policy-error", "the policy could not be applied", "")
        if not reading.why and ask.kind is not AskKind.CALL:  # ``why`` is in a verdict's words
            if len(self._judged) >= _MOST_JUDGED:
                self._judged.clear()
            self._judged[id(reading.statements)] = (reading.statements, verdict)
        return verdict

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Those that are about this session, as of its last statement."""
        return () if self._standing is None else self._standing.budgets

    def _now(self) -> Time | None:
        return None if self.clock is None else self.clock()

    def _stand(self) -> BoundPolicy:
        """The rules, sorted anew for what is true now."""
        self._judged.clear()
        self._under = self.bound
        self._standing = self.policy.bind(self.facts, self._now(), self.bound.filters_masked)
        if self.told is not None:
            self.told(self._standing)
        return self._standing

    @property
    def in_force(self) -> BoundPolicy:
        """The rules, as they are sorted for what is true now."""
        standing = self._standing
        if (
            standing is None
            or standing.policy is not self.policy
            or standing.facts is not self.facts
            or self._under is not self.bound
            or (standing.until is not None and not standing.holds(self._now()))
        ):
            standing = self._stand()
        return standing

    @property
    def standing(self) -> BoundPolicy | None:
        """The rules as they were sorted for the last verdict."""
        return self._standing

    def holding(self, reading: Reading) -> tuple[Rule, ...]:
        """All rules that hold what was judged last; a budget that does is not among them."""
        return () if self._standing is None else self._standing.holding(reading)

    def stepping(self, reading: Reading) -> frozenset[Atom]:
        """What the message judged last wants back of a grant that was narrowed."""
        return frozenset() if self._standing is None else self._standing.stepping(reading)

    def _judge(self, standing: BoundPolicy, ask: Ask, reading: Reading) -> Verdict:
        if ask.kind is AskKind.CALL:
            reason = "a call of a function by its number cannot be read"
            return Verdict(False, "function-call", reason, "use SELECT function(…) instead")
        verdict = standing.decide(reading)
        if not verdict.allowed and not verdict.held:
            return verdict
        found = self.bound.refusal(reading)  # whoever approves: no mask is off for that
        if found is not None:
            rule, reason = found
            return Verdict(False, rule, reason, HINTS[rule])
        return verdict

    def masked(self, reading: Reading) -> frozenset[str]:
        """Names of columns whose values this statement may hold: what the record leaves out."""
        if not self.bound.covers(reading):
            return self.bound.clear_names
        if reading.opaque:
            return frozenset({"*"})
        return self.bound.names


def changes_catalog(reading: Reading) -> bool:
    """Whether what is a table, a view or a column may be another thing behind this statement."""
    return not reading.effects.isdisjoint(_CHANGING)
