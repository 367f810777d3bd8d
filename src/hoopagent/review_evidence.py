"""The evidence of a review: why somebody has a grant, what they did with it, what less would do.

All of it is true at one moment, and is kept with the answer.  "Not used" is said only where the
gate was up and the only way for as long as the grant has held; else it is "not seen".  A statement
that could not be read counts as a use of the whole scope.

Order of the file: what is looked up once, the evidence of one grant, its parts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hoopagent.grants import soft_view
from hoopagent.means import Means, View, person, time_or_none
from hoopagent.usage import WINDOW, Uses, reaches, uses_of, window
from hoopcore.model import (
    EVERYTHING,
    NOTHING,
    Answer,
    Decision,
    Grant,
    Kind,
    Principal,
    Request,
    Scope,
    Session,
    Tier,
    Time,
    Vote,
    rfc3339,
)
from hoopcore.review import OPEN, SECONDS, Group, Item, ItemState, Seen, group_of, is_pulled
from hoopcore.usage import Folded, Replay, Span, Use, fold, known_since, narrower, replay
from hoopcore.usage.coverage import BEAT

# An answer that kept a grant holds for so long; then the question comes again.
KEPT_FOR = 30  # days

# --- what is looked up once -----------------------------------------------------------------------


@dataclass(slots=True)
class Looked:
    """All that the evidence of somebody's grants is made of, as of ``now``."""

    subject: Principal
    now: Time
    uses: dict[str, Uses] = field(default_factory=dict)
    spans: dict[str, list[Span]] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    votes: dict[str, list[Vote]] = field(default_factory=dict)
    people: dict[str, Principal] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)  # of the subject, newest first
    answers: dict[str, Decision] = field(default_factory=dict)
    group: frozenset[str] = frozenset()  # ids of the people in the subject's groups
    others: list[Grant] = field(default_factory=list)  # that they hold
    superseded: dict[str, str] = field(default_factory=dict)  # by grant: in whose place it is

    def before(self, grant: str) -> list[str]:
        """The grant, and those that it has superseded, one after the other."""
        chain = [grant]
        older = {item.after: item.grant for item in self.items if item.after} | self.superseded
        while chain[-1] in older and older[chain[-1]] not in chain:
            chain.append(older[chain[-1]])
        return chain

    def item_of(self, grant: str) -> Item | None:
        """The newest; one of which nothing is left to do counts for a while."""
        for item in self.items:
            if item.grant == grant:
                return item
        return None


async def look(
    means: Means,
    read: Callable[[Session], Use],
    subject: Principal,
    grants: Sequence[Grant],
    now: Time,
) -> Looked:
    """What there is to know of the grants of one principal."""
    store = means.store
    ids = sorted({grant.request for grant in grants})
    asked = await store.requests(ids=ids, limit=len(ids)) if ids else []
    votes = await store.votes_on(ids)
    voters = {vote.voter for cast in votes.values() for vote in cast}
    items = await store.grant_reviews(subject=subject.id)
    people = await store.principals(sorted(voters | {one for i in items for one in i.path}))
    targets = sorted({grant.target for grant in grants})
    peers = await store.principals_in(sorted(subject.groups)) if subject.groups else []
    group = frozenset(one.id for one in peers if one.kind is Kind.HUMAN) - {subject.id}
    held = await store.grants(live_at=now, limit=None)
    alike = await store.grants(requests=ids, limit=None) if ids else []
    return Looked(
        subject=subject,
        now=now,
        uses=await uses_of(store, read, subject.id, window(now)[0]),
        spans=await store.coverage(targets),
        requests={one.id: one for one in asked},
        votes=votes,
        people=people,
        items=items,
        answers=await store.last_answers([grant.id for grant in grants]),
        group=group,
        others=[one for one in held if one.principal in group],
        superseded={one.id: one.supersedes for one in alike if one.supersedes},
    )


# --- the evidence of one grant --------------------------------------------------------------------


class Found(NamedTuple):
    """``view`` as it is shown and kept; ``tier`` decides who may answer how."""

    view: View
    tier: Tier
    suggestion: str
    history: Folded  # what the scope covered of all that was done there


def evidence_of(means: Means, looked: Looked, grant: Grant, reviewer: str = "") -> Found:
    """What there is to be shown of this grant, without the suggestion.

    ``reviewer``: the id of whoever looks, where it is not its holder.
    """
    now, (begins, day) = looked.now, window(looked.now)
    target = means.target(grant.target)
    tier = Tier.HIGH if target is None else target.tier
    there = looked.uses.get(grant.target, Uses())
    mine = there.of(looked.before(grant.id))
    used = fold(mine.pairs, grant.scope, day)
    history = fold(there.pairs, grant.scope, day)
    unsure = bool(mine.unseen or there.unseen)
    proposal = None
    if not unsure:
        proposal = narrower(grant.scope, history.done, reaches(means.config_now().masks))
    seen = Seen(tier, grant.scope, grant.not_before, grant.ends, history.last, unsure, proposal)
    group = group_of(seen, now)
    since = max(begins, grant.not_before)
    known = _known(looked.spans.get(grant.target, []), since, now)
    word = _word(history, unsure, known)
    passing = None
    if proposal is not None:
        passing = replay(proposal, history.done, soft_if_narrowed(means, grant, reviewer))
    suggestion = _suggestion(word, unsure, used, history, proposal, passing)
    request = looked.requests.get(grant.request)
    votes = looked.votes.get(grant.request, [])
    view: View = {
        "grant": grant.id,
        "target": grant.target,
        "tier": tier.value,
        "subject": person(looked.subject.id, {looked.subject.id: looked.subject}),
        "why": _why(grant, request, votes, looked.people),
        "not_before": rfc3339(grant.not_before),
        "not_after": rfc3339(grant.ends),
        "granted": str(grant.scope),
        "soft": soft_view(grant, now),
        "group": group.value,
        "seconds": SECONDS[group],
        "alone": group is Group.PRIVILEGED or tier is Tier.HIGH or is_pulled(grant.id),
        **_used(grant, mine, used),
        "open": [one.id for one in mine.sessions if one.ended is None],
        "use": word,
        "days": _days(history, day),
        "history": {"statements": history.statements, "rows": history.rows},
        "window": _window(since, now, known, there),
        "peers": _peers(looked, grant),
        "narrower": None
        if proposal is None or passing is None
        else _narrower(str(proposal), passing, history),
        **_state(looked, grant),
    }
    return Found(view, tier, suggestion, history)


def soft_if_narrowed(means: Means, grant: Grant, reviewer: str = "") -> Scope:
    """What would be held, and not refused, if this reviewer (its holder) narrowed it now."""
    theirs = reviewer in ("", grant.principal)
    return grant.scope.with_masks if theirs and means.soft_for(grant.target) else NOTHING


def _used(grant: Grant, mine: Uses, used: Folded) -> View:
    """What was done with this very grant."""
    atoms = sorted(map(str, used.atoms))
    idle = [
        str(atom)
        for atom in sorted(grant.scope.atoms)
        if not any(atom.covers(one) or atom == one for one in used.atoms)
    ]
    everything = grant.scope.covers(EVERYTHING)
    return {
        "sessions": len(mine.sessions),
        "statements": used.statements,
        "refused": used.refused,
        "held": used.held,
        "rows": used.rows,
        "masked": sum(used.masked.values()),
        "masked_by": dict(sorted(used.masked.items())),
        "unread": used.unread,
        "unseen": mine.unseen,
        "used": atoms,
        "idle": [] if everything or mine.unseen else idle,
        "columns": sorted(used.columns)[:50],
        "hours": [hour for hour in range(24) if used.hours >> hour & 1],
        "last_use": time_or_none(used.last),
        "telling": None if used.telling is None else used.telling._asdict(),
    }


def _known(spans: Sequence[Span], since: Time, now: Time) -> Time | None:
    """Since when all was seen, where that is as far back as it matters."""
    known = known_since(spans, now)
    return known if known is not None and known <= since + 2 * BEAT else None


def _word(history: Folded, unsure: bool, known: Time | None) -> str:
    if unsure or history.statements:
        return "seen"
    return "not seen" if known is None else "not used"


def _suggestion(
    word: str,
    unsure: bool,
    used: Folded,
    history: Folded,
    proposal: Scope | None,
    passing: Replay | None,
) -> str:
    """What the evidence speaks for; empty: it does not speak."""
    if unsure:
        return ""
    if word != "seen":
        what = "session" if not used.sessions else "statement"
        told = "was seen" if word == "not seen" else "there was, and there is no other way"
        return f"give back: no {what} of yours {told}"
    if proposal is not None and passing is not None:
        held = f", {passing.held} would be held for a step-up" if passing.held else ""
        told = f"{passing.passed} of {passing.of} statements would still pass{held}"
        return f"narrow to {proposal}: {told}"
    return "keep: it is used, and nothing narrower would do" if history.done else ""


# --- its parts ------------------------------------------------------------------------------------


def _days(history: Folded, first: int) -> list[int]:
    return [history.days.get(first + number, 0) for number in range(WINDOW)]


def _window(since: Time, now: Time, known: Time | None, there: Uses) -> View:
    until = there.covers_until
    return {
        "since": rfc3339(since),
        "until": rfc3339(now),
        "covers_until": rfc3339(now if until is None else until),
        "known": known is not None and until is None,
    }


def _peers(looked: Looked, grant: Grant) -> View:
    """How many of those in one's groups have a grant there that covers it now."""
    having = {
        one.principal
        for one in looked.others
        if one.target == grant.target and one.scope.covers(grant.scope)
    }
    return {"people": len(looked.group), "having": len(having)}


def _narrower(scope: str, passing: Replay, history: Folded) -> View:
    return {
        "scope": scope,
        "passed": passing.passed,
        "held": passing.held,
        "of": passing.of,
        "exact": not history.inexact and not passing.perhaps,
        "outside": list(passing.outside[:20]),
    }


def _state(looked: Looked, grant: Grant) -> View:
    """Where the question stands: whose turn it is, and what was answered."""
    item, answer = looked.item_of(grant.id), looked.answers.get(grant.id)
    state, told = ItemState.PENDING, None
    if item is not None and (item.state in OPEN or _holds(item, looked.now)):
        state = item.state
    if state is not ItemState.PENDING and answer is not None:
        told = {"answer": answer.answer.value, "reason": answer.reason, "at": rfc3339(answer.at)}
    asked = None
    if item is not None and state is ItemState.DELEGATED:
        asked = person(item.reviewer, looked.people)
    return {
        "review": item.id if item is not None and state is not ItemState.PENDING else None,
        "state": state.value,
        "answered": told,
        "asked": asked,
    }


def _holds(item: Item, now: Time) -> bool:
    kept = item.state in (ItemState.DECIDED, ItemState.CONFIRMED)
    return kept and now - item.made < KEPT_FOR * 86_400_000_000


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
