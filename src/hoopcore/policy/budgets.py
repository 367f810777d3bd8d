"""What may go through a grant in an hour, and what has.

Counting is arithmetic on frozen values: ``Spent.add`` gives the next one.  An hour is counted in
buckets of five minutes, and one that began up to an hour ago counts whole; so no hour ever sees
more than its budget, and a session waits at most five minutes longer than it would have to.

Whoever relays calls ``add`` for each grant that carries the session: once per statement judged, and
once for all rows of a piece of a result, before that piece is let go, so that one endless SELECT is
seen while it runs.  Behind each ``add`` ``newly_reached`` says what to tell, ``passing`` whether to
end; before a statement, ``ending`` and ``holding``.

Order: amounts, counting, budgets and what they say.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from hoopcore.model import SECOND, Time
from hoopcore.policy.about import EVERYBODY, About, Known
from hoopcore.policy.facts import Verdict

HOUR: Final = 3600 * SECOND
BUCKET: Final = 300 * SECOND
_BUCKETS: Final = HOUR // BUCKET

# Strongest first: what happens when a budget is used up.
ACTIONS = ("end", "hold", "warn")
MEASURES = ("rows", "bytes", "sensitive", "statements")


class Amount(NamedTuple):
    """``sensitive``: values that a mask or a detector has met."""

    rows: int = 0
    bytes: int = 0
    sensitive: int = 0
    statements: int = 0

    def plus(self, other: Amount) -> Amount:
        rows, size, sensitive, statements = self
        more_rows, more_size, more_sensitive, more_statements = other
        return Amount(
            rows + more_rows,
            size + more_size,
            sensitive + more_sensitive,
            statements + more_statements,
        )


NONE: Final = Amount()


class Spent(NamedTuple):
    """What went through one grant, as far as it still counts.  ``Spent()``: nothing yet."""

    bucket: int = 0  # the newest, counted from 1970
    newest: Amount = NONE
    older: tuple[tuple[int, Amount], ...] = ()  # oldest first
    before: Amount = NONE  # the sum of ``older``

    def add(self, at: Time, amount: Amount) -> Spent:
        """With this amount.  A time before the newest bucket counts as in it: clocks turn back."""
        bucket = at // BUCKET
        if bucket <= self.bucket:
            return Spent(self.bucket, self.newest.plus(amount), self.older, self.before)
        kept = tuple(
            one for one in (*self.older, (self.bucket, self.newest)) if _counts(one[0], bucket)
        )
        before = NONE
        for _, one in kept:
            before = before.plus(one)
        return Spent(bucket, amount, kept, before)

    @classmethod
    def of(cls, buckets: Mapping[int, Amount]) -> Spent:
        """What these buckets hold together."""
        spent = cls()
        for bucket in sorted(buckets):
            spent = spent.add(bucket * BUCKET, buckets[bucket])
        return spent

    def total(self, at: Time) -> Amount:
        """What counts against an hour that ends at this time."""
        if at // BUCKET > self.bucket:
            return self.add(at, NONE).before
        return self.before.plus(self.newest)


def _counts(bucket: int, now: int) -> bool:
    """Whether any moment of the bucket is less than an hour before some moment of ``now``."""
    return bucket >= now - _BUCKETS


# --- budgets and what they say --------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Budget:
    """One ``[[budget]]`` of rules.toml, for each grant and each hour.  None: no limit."""

    name: str
    reason: str
    action: str  # of ACTIONS
    about: About = EVERYBODY
    unless: About | None = None
    rows: int | None = None
    bytes: int | None = None
    sensitive: int | None = None
    statements: int | None = None
    # Places in an Amount that have a limit; found out once, since they are asked for all the time.
    _limits: tuple[tuple[int, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        found = ((place, getattr(self, name)) for place, name in enumerate(MEASURES))
        limits = tuple((place, limit) for place, limit in found if limit is not None)
        object.__setattr__(self, "_limits", limits)

    def applies(self, known: Known) -> bool:
        """Whether it is about this session; a doubt counts as met."""
        excepted = False if self.unless is None else self.unless.meets(known)
        return self.about.meets(known) is not False and excepted is not True

    def limits(self) -> tuple[tuple[str, int], ...]:
        """The measures that have a limit."""
        return tuple((MEASURES[place], limit) for place, limit in self._limits)

    def used_up(self, total: Amount) -> str:
        """The first measure that has reached its limit; empty where none has."""
        for place, limit in self._limits:
            if total[place] >= limit:
                return MEASURES[place]
        return ""


def approved_rows(rows: int) -> Budget:
    """The budget of a grant that was approved for so many rows an hour."""
    reason = f"it was approved for at most {rows:,} rows an hour"
    return Budget("approved-rows", reason, "end", rows=rows)


class Reached(NamedTuple):
    """A budget that is used up: by which measure, of how many."""

    budget: Budget
    measure: str
    limit: int

    @property
    def noun(self) -> str:
        """What is measured, for the person."""
        return _WORDS[self.measure]

    @property
    def words(self) -> str:
        """For the person, before the budget's own reason."""
        return f"{self.limit:,} {self.noun} in an hour are used up"


_WORDS = {
    "rows": "rows",
    "bytes": "bytes",
    "sensitive": "sensitive values",
    "statements": "statements",
}


def reached(budgets: Iterable[Budget], total: Amount) -> tuple[Reached, ...]:
    """What is used up, strongest action first, then by name: in any order of budgets the same."""
    found = []
    for budget in budgets:
        measure = budget.used_up(total)
        if measure:
            found.append(Reached(budget, measure, getattr(budget, measure)))
    if not found:
        return ()
    return tuple(sorted(found, key=lambda r: (ACTIONS.index(r.budget.action), r.budget.name)))


def newly_reached(budgets: Iterable[Budget], before: Amount, after: Amount) -> tuple[Reached, ...]:
    """What this step used up: each is told, or ends the session, once."""
    return tuple(one for one in reached(budgets, after) if not one.budget.used_up(before))


def holding(budgets: Iterable[Budget], total: Amount) -> Verdict | None:
    """The verdict on the next statement where a budget that holds is used up; None: there is none.

    It says no more than a rule does: what is refused anyway is refused.
    """
    for one in reached(budgets, total):
        if one.budget.action == "hold":
            reason = f"{one.words}: {one.budget.reason}"
            hint = "What was used up comes back an hour after it was used."
            return Verdict(False, one.budget.name, reason, hint, held=True)
    return None


def ending(budgets: Iterable[Budget], total: Amount) -> Reached | None:
    """The budget that ends sessions, where one is used up: nothing more goes through; else None."""
    return next((one for one in reached(budgets, total) if one.budget.action == "end"), None)


def passing(budgets: Iterable[Budget], total: Amount) -> Reached | None:
    """The budget that ends sessions, where more than all of it would have gone through."""
    for one in reached(budgets, total):
        if one.budget.action == "end":
            for name, limit in one.budget.limits():
                if getattr(total, name) > limit:
                    return Reached(one.budget, name, limit)
    return None


def free_at(one: Reached, spent: Spent, now: Time) -> Time:
    """When something of a used-up budget will have come back, if nothing more is used."""
    bucket = now // BUCKET
    for later in range(1, _BUCKETS + 2):
        at = (bucket + later) * BUCKET
        if not one.budget.used_up(spent.total(at)):
            return at
    return now + HOUR + BUCKET
