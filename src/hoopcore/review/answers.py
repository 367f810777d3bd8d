"""What an answer to "do you still need this grant?" becomes.

An answer only ever reduces: the end of a grant never moves back, and nothing is added to a scope.
What keeps a grant of a high tier, or cannot say, is looked at by somebody independent.

Order of the file: the values, the outcome, narrowing, confirming.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hoopcore.access import ENDABLE, LONGEST_REASON, answers_for, capacity, fault_in, softened
from hoopcore.model import (
    SECOND,
    ApprovalRule,
    Grant,
    GrantState,
    Kind,
    Principal,
    ReviewAnswer,
    Scope,
    Target,
    Tier,
    Time,
)
from hoopcore.review.items import DEPTH, Item, ItemState

# --- the values ---------------------------------------------------------------------------------

UNDO: Time = 600 * SECOND
"""So long what was given back may be taken again."""

ANSWERS = frozenset(
    {
        ReviewAnswer.KEEP,
        ReviewAnswer.NARROW,
        ReviewAnswer.GIVE_BACK,
        ReviewAnswer.DELEGATE,
        ReviewAnswer.CANNOT_SAY,
    }
)
"""What a reviewer may say."""


@dataclass(frozen=True, slots=True)
class Said:
    """An answer, with what belongs to it."""

    answer: ReviewAnswer
    reason: str = ""
    scope: Scope | None = None  # narrow: what is left
    until: Time | None = None  # narrow: an earlier end
    to: Principal | None = None  # delegate: who is asked
    group: int = 1  # how many grants were answered together
    attended: bool = True  # False: by a file, with nobody in front of it
    hard: bool = False  # narrow: what is outside is refused at once


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an answer is none: a word for programs, a sentence for people."""

    error: str
    message: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What follows: the item as it is then, and what becomes of the grant."""

    item: Item
    grant: GrantState | None = None  # None: it stays as it is
    narrowed: Grant | None = None  # that supersedes it


# --- the outcome --------------------------------------------------------------------------------


def wants_reason(answer: ReviewAnswer, tier: Tier) -> bool:
    """Whether the answer is none without one."""
    if answer is ReviewAnswer.KEEP:
        return tier is not Tier.LOW
    return answer in (ReviewAnswer.DELEGATE, ReviewAnswer.CANNOT_SAY)


def outcome(
    said: Said,
    item: Item,
    grant: Grant,
    tier: Tier,
    actor: Principal,
    now: Time,
    new: str,
    soft: int = 0,
) -> Outcome | Fault:
    """What this answer makes of the item and its grant; ``new`` is the id of a grant to be made.

    For ``soft`` seconds what its holder narrows away may be had again by a step-up.  A grant that
    has ended is nothing to decide about.
    """
    fault = _fault(said, item, grant, tier, actor, now)
    if fault is not None:
        return fault
    match said.answer:
        case ReviewAnswer.KEEP:
            kept = ItemState.AWAITING if tier is Tier.HIGH else ItemState.DECIDED
            return Outcome(_moved(item, said, kept, now))
        case ReviewAnswer.CANNOT_SAY:
            return Outcome(_moved(item, said, ItemState.AWAITING, now))
        case ReviewAnswer.DELEGATE:
            assert said.to is not None, "looked at before"
            asked = replace(item, path=(*item.path, said.to.id))
            return Outcome(_moved(asked, said, ItemState.DELEGATED, now))
        case ReviewAnswer.NARROW:
            less = narrowed(grant, said.scope or grant.scope, said.until, new)
            # What somebody else takes away is not for its holder to have again by a word.
            period = soft if actor.id == grant.principal and not said.hard else 0
            less = replace(less, soft=softened(less, grant, period, now))
            changed = replace(item, after=less.id, scope=str(grant.scope))
            taken = _moved(changed, said, ItemState.REMEDIATING, now)
            return Outcome(taken, GrantState.SUPERSEDED, less)
        case _:
            return given_back(replace(item, answer=said.answer.value), grant, now)


def given_back(item: Item, grant: Grant, now: Time) -> Outcome:
    """Its sessions end now.  For a while it is only suspended, so that it may be taken again.

    What has not begun, or is suspended anyway, goes back for good.
    """
    back = replace(item, state=ItemState.REMEDIATING, scope=str(grant.scope))
    if grant.state is GrantState.ACTIVE:
        return Outcome(replace(back, until=now + UNDO), GrantState.SUSPENDED)
    return Outcome(back, GrantState.RELINQUISHED)


def _moved(item: Item, said: Said, state: ItemState, now: Time) -> Item:
    ended = now if state is ItemState.DECIDED else None
    return replace(item, state=state, answer=said.answer.value, ended=ended)


def _fault(
    said: Said, item: Item, grant: Grant, tier: Tier, actor: Principal, now: Time
) -> Fault | None:
    if item.reviewer != actor.id:
        return Fault("not_yours", f"{grant.id} is not yours to answer for now")
    if item.state not in (ItemState.PENDING, ItemState.DELEGATED):
        return Fault("decided", f"{grant.id} was answered already: it is {item.state.value}")
    if grant.state not in ENDABLE or grant.ends <= now:
        return Fault("moot", f"{grant.id} has ended already, so there is nothing to decide")
    wrong = fault_in(said.reason, LONGEST_REASON)
    if wrong is not None:
        return Fault("reason", f"the reason {wrong}")
    if not said.reason and wants_reason(said.answer, tier):
        what = "keeping a grant" if said.answer is ReviewAnswer.KEEP else f'"{said.answer.value}"'
        return Fault("reason", f"{what} needs a reason")
    if tier is Tier.HIGH and (said.group > 1 or not said.attended):
        return Fault("group", "grants of a high tier are answered one by one, by a person")
    if said.answer is ReviewAnswer.NARROW:
        return _fault_in_less(said, grant, now)
    if said.answer is ReviewAnswer.DELEGATE:
        return _fault_in_delegate(said.to, item)
    return None if said.answer in ANSWERS else Fault("answer", "this is no answer of a reviewer")


def _fault_in_less(said: Said, grant: Grant, now: Time) -> Fault | None:
    scope = grant.scope if said.scope is None else said.scope
    if not scope.atoms:
        return Fault("scope", "nothing would be left: give it back instead")
    if not grant.scope.covers(scope):
        return Fault("scope", f'"{scope}" is not within what {grant.id} has: "{grant.scope}"')
    if said.until is not None and grant.waits:
        return Fault("until", f"{grant.id} has not begun, so its end cannot be an earlier one yet")
    if said.until is not None and not now < said.until <= grant.ends:
        return Fault("until", "the end has to be earlier than it is, and not past")
    if scope.covers(grant.scope) and said.until in (None, grant.ends):
        return Fault("scope", "that is not narrower")
    return None


def _fault_in_delegate(to: Principal | None, item: Item) -> Fault | None:
    if to is None:
        return Fault("to", "say who is to be asked")
    if to.kind is not Kind.HUMAN:
        return Fault("to", f"{to.name} is no person")
    if to.id == item.subject:
        return Fault("to", "it does not go back to whoever has the grant")
    if to.id in item.path:
        return Fault("to", f"{to.name} was asked already")
    if len(item.path) > DEPTH:
        return Fault("to", f"it was handed on {DEPTH} times already")
    return None


# --- narrowing ----------------------------------------------------------------------------------


def narrowed(grant: Grant, scope: Scope, until: Time | None, id: str) -> Grant:
    """The grant that takes its place: no wider, no later, and no younger.

    Its beginning stays, since the target's ceiling is counted from it.
    """
    less = replace(grant, id=id, scope=scope, soft=None, supersedes=grant.id)
    if grant.waits:
        return less
    end = grant.ends if until is None else min(grant.ends, until)
    return replace(less, not_after=end, lasts=None)


# --- confirming ---------------------------------------------------------------------------------


def confirms_as(
    actor: Principal,
    subject: Principal | None,
    item: Item,
    target: Target | None,
    rule: ApprovalRule | None,
    administers: bool,
) -> str | None:
    """As what the actor may confirm or override an answer; None: not at all.

    Whoever has the grant, or was asked about it, is not independent; nor is who answers for them.
    """
    if actor.kind is not Kind.HUMAN or subject is None:
        return None
    if actor.id == item.subject or actor.id in item.path or answers_for(actor, subject):
        return None
    if rule is None:
        return "administrator" if administers else None
    return capacity(actor, target, rule, administers)
