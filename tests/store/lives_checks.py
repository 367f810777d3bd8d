"""The invariants of the domain that concern access, each a check of its own after every step.

They compare what the store tells with what it told before, and with what the model remembers.  Of
the seventeen, 10, 12 and 14 speak of reviews, which have tests of their own; 2 and 13 are looked at
in the act itself (``Lives._ended``), before anything else runs.

Order of the file: looking, the invariants, all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import permutations
from typing import Any

from hoopagent.store import AuditQuery
from hoopcore.access import GRANT_MOVES, REQUEST_MOVES
from hoopcore.access.glass import REVIEW_WITHIN, ItemState
from hoopcore.audit import Chain, Row
from hoopcore.model import (
    READS,
    SECOND,
    SYSTEM,
    Answer,
    Grant,
    GrantState,
    Kind,
    Request,
    RequestState,
    Scope,
    Vote,
)
from tests.store.lives import Lives
from tests.store.lives_ground import (
    APPROVERS,
    AUTO_MAX,
    BREAKABLE,
    ESCALATES,
    GLASS,
    LATER,
    NEEDS,
    RULES,
    START_WITHIN,
    VOTES,
)
from tests.store.lives_model import Seen

# --- looking --------------------------------------------------------------------------------------


async def seen(lives: Lives) -> Seen:
    """All rows, the oldest first, in an order that hangs on nothing but what was done."""
    store = lives.worlds[0].store
    requests = sorted(await store.requests(limit=10_000), key=lambda one: (one.created, one.id))
    items = await store.review_items(limit=10_000)
    grants = sorted(await store.grants(limit=None), key=lambda one: (one.not_before, one.id))
    votes = await store.votes_on([request.id for request in requests])
    return Seen(
        {request.id: request for request in requests},
        {request.id: votes.get(request.id, []) for request in requests},
        {grant.id: grant for grant in grants},
        {item.id: item for item in items},
    )


@dataclass(slots=True)
class Record:
    """The audit as it was read so far; what was read is never read again."""

    chain: Chain = field(default_factory=Chain)
    rows: list[Row] = field(default_factory=list)
    done: Counter[tuple[str, str]] = field(default_factory=Counter)  # action, subject
    votes: set[str] = field(default_factory=set)

    async def read(self, lives: Lives) -> list[Row]:
        store = lives.worlds[0].store
        new = await store.audit_rows(AuditQuery(after=self.chain.seq), 10_000)
        for row in new:
            self.chain.take(row)
            self.done[row.event.action, row.event.subject] += 1
            self.votes.add(row.event.detail.get("vote", ""))
        self.rows += new
        return new


# --- the invariants -------------------------------------------------------------------------------


def inv_3_votes_are_of_distinct_people_who_may(lives: Lives, _old: Seen, new: Seen) -> None:
    """Never the asker, never whoever it is asked for, never a program."""
    for id, votes in new.votes.items():
        request = new.requests[id]
        requester = lives.people[request.requester]
        assert len(votes) == len({vote.voter for vote in votes})
        for vote in votes:
            voter = lives.people[vote.voter]
            groups = lives.voted_as.setdefault((id, voter.id), voter.groups)
            assert voter.id != requester.id
            assert voter.kind is Kind.HUMAN
            assert voter.email.casefold() != requester.owner.casefold()
            assert groups & allowed(request, vote)
            assert request.created <= vote.at < request.expires


def allowed(request: Request, vote: Vote) -> set[str]:
    late = vote.at >= request.created + ESCALATES * SECOND
    return APPROVERS[request.target] | (LATER.get(request.target, set()) if late else set())


def inv_4_a_broken_glass_is_short_masked_told_and_looked_at(
    lives: Lives, _old: Seen, new: Seen
) -> None:
    for request in new.requests.values():
        if not request.break_glass:
            assert not request.incident
            continue
        (grant,) = [one for one in new.grants.values() if one.request == request.id]
        (item,) = [one for one in new.items.values() if one.grant == grant.id]
        assert request.target in BREAKABLE
        assert grant.not_after - grant.not_before <= GLASS * SECOND
        assert grant.not_before == request.created == item.made
        assert grant.limits.masked
        assert not grant.scope.unmasks
        assert item.due == item.made + REVIEW_WITHIN
    pending = Counter(i.principal for i in new.items.values() if i.state is ItemState.PENDING)
    assert all(count == 1 for count in pending.values())
    for item in new.items.values():
        assert (item.state is ItemState.PENDING) is (not item.decided_by)
        assert item.decided_by != item.principal


def inv_5_a_grant_is_within_the_request_and_every_ceiling(
    lives: Lives, old: Seen, new: Seen
) -> None:
    for request in new.requests.values():
        wish = lives.asked[request.id]
        assert request.duration <= min(wish.duration, RULES[request.target])
        offered = READS if request.target == "dev-db" else Scope.parse("*.*:*")
        assert offered.covers(request.scope)
        assert wish.scope is None or request.scope == wish.scope
    for id, grant in new.grants.items():
        if id not in old.grants:
            _check_new_grant(lives, grant, new.requests[grant.request], new.votes[grant.request])


def _check_new_grant(lives: Lives, grant: Grant, request: Request, votes: list[Vote]) -> None:
    """Never more than asked for, than any vote allowed, than any ceiling of now."""
    shorter = [vote.duration for vote in votes if vote.duration is not None]
    bound = min([request.duration, lives.ceilings[grant.target], *shorter])
    slack = 0 if request.extends or request.break_glass else START_WITHIN.get(grant.target, 0)
    # An extension of what holds no more is a request as any other.
    assert grant.not_after - grant.not_before in {
        (bound + more) * SECOND for more in (slack, START_WITHIN.get(grant.target, 0))
    }
    later = [vote.starts for vote in votes if vote.starts is not None]
    assert grant.not_before >= max([request.created, request.starts or 0, *later])
    if not request.extends and request.starts is None and not later:
        assert grant.not_before < request.expires
    assert (grant.principal, grant.target) == (request.requester, request.target)
    for scope in [request.scope, *(vote.scope for vote in votes if vote.scope is not None)]:
        assert scope.covers(grant.scope)
    if request.rule.limits.read_only:
        assert READS.covers(grant.scope)
    assert grant.limits == request.rule.limits


def inv_7_what_was_decided_stays_as_it_was(_lives: Lives, old: Seen, new: Seen) -> None:
    for id, request in old.requests.items():
        assert replace(new.requests[id], state=request.state) == request
        assert moved(request.state, new.requests[id].state)
        assert all(vote in new.votes[id] for vote in old.votes[id])
    for id, item in old.items.items():
        if item.state is not ItemState.PENDING:
            assert new.items[id] == item
    for id, grant in old.grants.items():
        assert moved(grant.state, new.grants[id].state)
        if not GRANT_MOVES[grant.state]:
            assert new.grants[id] == grant


def inv_8_deny_beats_approve_and_a_threshold_is_a_threshold(
    lives: Lives, old: Seen, new: Seen
) -> None:
    for id, request in new.requests.items():
        votes = new.votes[id]
        denied = any(vote.answer is Answer.DENY for vote in votes)
        assert (request.state is RequestState.DENIED) is denied
        if denied:
            continue
        at_once = request.break_glass or request.rule.total == 0
        assert (request.state is RequestState.FULFILLED) is (
            at_once or enough(lives, request, votes)
        )
        if at_once and id not in old.requests:
            assert request.break_glass or granted_by_policy(lives, request)
            assert not suspended(old, new, request)


def enough(lives: Lives, request: Request, votes: list[Vote]) -> bool:
    """Whether distinct people fill every place, found by trying all ways."""
    yes = [vote for vote in votes if vote.answer is Answer.APPROVE]
    needs = NEEDS.get(request.target, ())
    added = LATER.get(request.target, set())

    def fills(vote: Vote, need: str) -> bool:
        groups = lives.voted_as[request.id, vote.voter] & allowed(request, vote)
        return need in groups or bool(groups & added)

    placed = any(
        all(fills(vote, need) for vote, need in zip(chosen, needs, strict=True))
        for chosen in permutations(yes, len(needs))
    )
    return len(yes) >= max(VOTES[request.target], 1) and placed


def granted_by_policy(lives: Lives, request: Request) -> bool:
    """Whether the policy, as it is written, grants this itself."""
    if request.target == "dev-db":
        return True
    wish = lives.asked[request.id]
    ticket = wish.ticket.startswith("OPS-") and wish.ticket[4:].isdecimal()
    return (
        request.target == "auto-db"
        and request.duration <= AUTO_MAX
        and READS.covers(request.scope)
        and ticket
        and not wish.extends
    )


def suspended(old: Seen, new: Seen, request: Request) -> bool:
    """Whether the asker has a grant there that was suspended before, and still is."""
    return any(
        grant.state is new.grants[id].state is GrantState.SUSPENDED
        and (grant.principal, grant.target) == (request.requester, request.target)
        and grant.ends > request.created
        for id, grant in old.grants.items()
    )


def inv_9_nothing_makes_a_grant_longer(lives: Lives, old: Seen, new: Seen) -> None:
    for id, before in old.grants.items():
        grant = new.grants[id]
        ended = ("state", "ended_at", "ended_by", "ended_why", "lasts", "started")
        assert replace(grant, **{name: getattr(before, name) for name in ended}) == before
        if (grant.started, grant.lasts) != (before.started, before.lasts):
            whole = (before.not_after - before.not_before) // SECOND
            assert before.started is None
            assert grant.started is not None
            assert grant.lasts == min(before.lasts or whole, lives.ceilings[grant.target])
            assert before.not_before <= grant.started <= lives.now
        assert grant.ends <= grant.not_after
    for request in new.requests.values():
        if request.state is RequestState.PENDING:
            assert lives.now < request.expires


def inv_15_a_key_is_of_one_request(lives: Lives, _old: Seen, new: Seen) -> None:
    keys = Counter((r.requester, r.key) for r in new.requests.values() if r.key)
    assert all(count == 1 for count in keys.values())


def inv_16_one_grant_for_each_request_that_was_fulfilled(
    _lives: Lives, _old: Seen, new: Seen
) -> None:
    fulfilled = [r.id for r in new.requests.values() if r.state is RequestState.FULFILLED]
    assert sorted(grant.request for grant in new.grants.values()) == sorted(fulfilled)


def inv_leavers_have_nothing_left(lives: Lives, _old: Seen, new: Seen) -> None:
    for grant in new.grants.values():
        assert grant.principal not in lives.left or not GRANT_MOVES[grant.state]
    for request in new.requests.values():
        assert request.requester not in lives.left or not REQUEST_MOVES[request.state]


INVARIANTS = tuple(check for name, check in sorted(globals().items()) if name.startswith("inv_"))


def moved(old: RequestState | GrantState, new: RequestState | GrantState) -> bool:
    """Whether the one state can follow from the other, over any number of steps."""
    moves: Mapping[Any, frozenset[Any]] = (
        REQUEST_MOVES if isinstance(old, RequestState) else GRANT_MOVES
    )
    reached: set[Any] = {old}
    edge: set[Any] = {old}
    while edge:
        edge = {after for state in edge for after in moves[state]} - reached
        reached |= edge
    return new in reached


# --- those that ask the store, or the audit -------------------------------------------------------


async def inv_1_2_11_sessions_and_access_are_what_the_grants_carry(lives: Lives) -> None:
    """After the watch, which the agent runs each second."""
    world = lives.worlds[0]
    live = await world.live_sessions()
    for session, (person, target) in lives.sessions.items():
        assert (session in live) is (await lives.until(person, target) is not None)
    for person, target in lives.pairs():
        found = await world.access(lives.people[person], target)
        assert (found.until if found else None) == await lives.until(person, target)


def inv_6_every_decision_says_who_why_and_under_what(rows: list[Row]) -> None:
    for event in (row.event for row in rows):
        detail = event.detail
        assert event.actor
        by_time = event.actor == SYSTEM and event.action.endswith((".expired", ".started"))
        assert by_time or detail["policy"] == "policy-1"
        if event.action == "vote.cast":
            assert detail["capacity"] == "approver"
            assert detail["reason"]
            assert detail["voter_is"]
        if event.action in ("grant.revoked", "grant.suspended"):
            assert detail["reason"]
            assert detail.get("capacity") or event.actor == SYSTEM
        if event.actor == SYSTEM and event.action in ("request.approved", "request.denied"):
            assert detail["rule"]


def inv_17_nothing_is_done_without_its_row_nor_told_twice(record: Record, new: Seen) -> None:
    done = record.done
    for id, request in new.requests.items():
        assert done["request.made", id] == 1
        ends = {RequestState.FULFILLED: "approved"}.get(request.state, request.state.value)
        moves = 0 if request.state is RequestState.PENDING or request.break_glass else 1
        assert done[f"request.{ends}", id] == moves
        told = {vote.id for vote in new.votes[id]}
        assert done["vote.cast", id] == len(told)
        assert told <= record.votes
    for id, grant in new.grants.items():
        assert done["grant.made", id] == 1
        ended = [state.value for state in GrantState if not GRANT_MOVES[state]]
        assert sum(done[f"grant.{word}", id] for word in ended) == (not GRANT_MOVES[grant.state])
        up = done["grant.suspended", id] - done["grant.resumed", id]
        assert up in ((1,) if grant.state is GrantState.SUSPENDED else (0, 1))
    for id, item in new.items.items():
        assert done["review.decided", id] == (item.state is not ItemState.PENDING)
    made = {id for action, id in done if action == "grant.made"}
    assert made == new.grants.keys()


def inv_every_illegal_try_is_on_the_record(lives: Lives, rows: list[Row], broke: bool) -> None:
    refused = Counter(
        (row.event.actor, row.event.detail["error"])
        for row in rows
        if row.event.action.endswith(".refused")
    )
    assert lives.refused <= refused
    assert broke or refused == lives.refused


# --- all of them ----------------------------------------------------------------------------------


async def check(lives: Lives, record: Record, *, broke: str = "") -> None:
    """Everything, after a step; ``broke``: how the store broke in it."""
    old, world = lives.seen, lives.worlds[0]
    if broke == "audit" and lives.faults.struck:
        # 17: what cannot be written down is not done.
        assert await seen(lives) == old
    live = await world.store.sessions(live=True, limit=10_000)
    lives.sessions = {one.id: (one.principal, one.target) for one in live}
    await world.look()
    await lives.see_time(world)
    new = await seen(lives)
    learn(lives, old, new, broke)
    for invariant in INVARIANTS:
        invariant(lives, old, new)
    rows = await record.read(lives)
    inv_6_every_decision_says_who_why_and_under_what(rows)
    inv_17_nothing_is_done_without_its_row_nor_told_twice(record, new)
    inv_every_illegal_try_is_on_the_record(lives, rows, bool(broke))
    assert record.chain.end(await world.store.audit_tail()) is None  # 7: a chain of rows
    lives.seen = new
    await inv_1_2_11_sessions_and_access_are_what_the_grants_carry(lives)
    lives.wishes, lives.alone = [], True
    lives.refused.clear()


def learn(lives: Lives, old: Seen, new: Seen, broke: str) -> None:
    """15 and 16: each new request is of one wish of this step, and no wish became two."""
    wishes = list(lives.wishes)
    for id in new.requests.keys() - old.requests.keys():
        request = new.requests[id]
        of = next(
            (who, wish)
            for who, wish in wishes
            if who == request.requester
            and (wish.extends, wish.key) == (request.extends, request.key)
            and wish.target in ("", request.target)
            and wish.reason == request.reason
        )
        wishes.remove(of)
        lives.asked[id] = of[1]
