"""Who may open what until when, as functions of values."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.access import (
    ENDABLE,
    GRANT_MOVES,
    LONGEST_REASON,
    REQUEST_MOVES,
    Access,
    Eligibility,
    Refusal,
    WhyNot,
    Wish,
    access,
    ask,
    bereft,
    capacity,
    deadline,
    decidable,
    end_of,
    fault_in,
    grant_for,
    holds,
    may_vote,
    offers_for,
    repeats,
    settle,
)
from hoopcore.model import (
    EVERYTHING,
    NOTHING,
    SECOND,
    Answer,
    ApprovalRule,
    Grant,
    GrantState,
    Kind,
    Principal,
    Request,
    RequestState,
    Scope,
    Session,
    Target,
    Time,
    Vote,
)

T0: Time = 1_800_000_000 * SECOND
FAR: Time = T0 + 10**9 * SECOND
HOUR = 3600
DB = Target("prod-db", "postgres", ("shop",), max_duration=4 * HOUR)


def at(seconds: float) -> Time:
    return T0 + int(seconds * SECOND)


def person(name: str, *groups: str, kind: Kind = Kind.HUMAN) -> Principal:
    return Principal(f"p-{name}", kind, "iss", name, "", frozenset(groups))


ANA = person("ana", "engineering")
BEN = person("ben", "dba", "oncall", "security")
CAT = person("cat", "dba")
ADA = person("ada", "dba", "admin")
BOT = person("bot", "dba", kind=Kind.SERVICE)


def grant(
    id: str = "grt-1",
    start: float = 0,
    stop: float = HOUR,
    state: GrantState = GrantState.ACTIVE,
    scope: Scope = EVERYTHING,
    principal: str = ANA.id,
    target: str = "prod-db",
) -> Grant:
    return Grant(id, "req-1", principal, target, scope, at(start), at(stop), state)


def request(votes: int = 1, seconds: int = HOUR, **changes: object) -> Request:
    rule = ApprovalRule("engineer", frozenset({"dba", "oncall"}), votes, 2 * HOUR)
    made = Request(
        "req-1", ANA.id, "prod-db", EVERYTHING, "why", seconds, T0, at(HOUR), rule, "policy"
    )
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def vote(
    voter: Principal,
    answer: Answer = Answer.APPROVE,
    seconds: float = 1,
    duration: int | None = None,
) -> Vote:
    return Vote(f"vote-{voter.id}", "req-1", voter.id, answer, "", at(seconds), duration)


def offer(votes: int = 1, **changes: object) -> Eligibility:
    made = Eligibility(
        "engineer",
        frozenset({"engineering"}),
        ("prod-*",),
        EVERYTHING,
        2 * HOUR,
        frozenset({"dba"}),
        votes,
        24 * HOUR,
    )
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def asked(
    wish: Wish, *offers: Eligibility, asker: Principal = ANA, target: Target = DB
) -> Request | Refusal:
    return ask(
        wish, asker, target, offers, [ANA, BEN, CAT], now=T0, id="req-1", policy_version="policy"
    )


def wish(seconds: int = HOUR, scope: str | None = None, reason: str = "order 4711") -> Wish:
    return Wish("prod-db", reason, seconds, None if scope is None else Scope.parse(scope))


# --- what holds now -------------------------------------------------------------------------------


def test_a_grant_holds_from_its_first_microsecond_to_before_its_last() -> None:
    one = grant()
    assert not holds(one, DB, T0 - 1)
    assert holds(one, DB, T0)
    assert holds(one, DB, at(HOUR) - 1)
    assert not holds(one, DB, at(HOUR))


@pytest.mark.parametrize("state", list(GrantState))
def test_only_active_and_scheduled_grants_hold(state: GrantState) -> None:
    expected = state in (GrantState.ACTIVE, GrantState.SCHEDULED)
    assert holds(grant(state=state), DB, at(1)) is expected


def test_the_deadline_counts_to_the_grants_end_not_from_the_connect() -> None:
    # Another gateway started a timer with the full duration at connect, so a grant ran twice.
    for late in (0, HOUR / 2, HOUR - 1):
        assert deadline([grant()], ANA.id, DB, at(late), FAR) == at(HOUR)
    assert deadline([grant()], ANA.id, DB, at(HOUR), FAR) is None


def test_the_targets_ceiling_counts_from_the_grants_beginning() -> None:
    short = replace(DB, max_duration=600)
    assert end_of(grant(), short) == at(600)
    assert deadline([grant()], ANA.id, short, at(599), FAR) == at(600)
    assert deadline([grant()], ANA.id, short, at(600), FAR) is None


def test_a_session_ends_with_the_sign_in() -> None:
    assert deadline([grant()], ANA.id, DB, at(1), at(60)) == at(60)
    assert deadline([grant()], ANA.id, DB, at(60), at(60)) is None
    assert deadline([grant()], ANA.id, DB, at(1), 0) is None


def test_a_newer_shorter_grant_hides_no_older_one() -> None:
    older, newer = grant("grt-1", 0, HOUR), grant("grt-2", 60, 120)
    for order in ([older, newer], [newer, older]):
        assert deadline(order, ANA.id, DB, at(90), FAR) == at(HOUR)


def test_the_scope_is_the_union_of_what_holds_and_says_when_it_changes() -> None:
    reads, writes = Scope.parse("public.a:read"), Scope.parse("public.b:update")
    grants = [
        grant("grt-1", 0, 100, scope=reads),
        grant("grt-2", 0, 300, scope=writes),
        grant("grt-3", 200, 250, scope=EVERYTHING, state=GrantState.SCHEDULED),
    ]
    first = access(grants, ANA.id, DB, at(1), FAR)
    assert first == Access(at(300), at(100), ("grt-1", "grt-2"), reads.join(writes))
    assert access(grants, ANA.id, DB, at(100), FAR) == Access(at(300), at(200), ("grt-2",), writes)
    assert access(grants, ANA.id, DB, at(200), FAR) == Access(
        at(300), at(250), ("grt-2", "grt-3"), EVERYTHING
    )


def test_a_grant_of_somebody_else_or_elsewhere_opens_nothing() -> None:
    assert access([grant(principal=BEN.id)], ANA.id, DB, at(1), FAR) is None
    assert access([grant(target="dev-db")], ANA.id, DB, at(1), FAR) is None
    assert access([], ANA.id, DB, at(1), FAR) is None


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(1, 50), st.sampled_from(list(GrantState))),
        max_size=6,
    ),
    st.integers(0, 120),
    st.integers(0, 120),
    st.integers(1, 60),
)
def test_nothing_holds_beyond_every_bound_and_nothing_ends_before_it_must(
    spans: list[tuple[int, int, GrantState]], now: int, identity: int, ceiling: int
) -> None:
    target = replace(DB, max_duration=ceiling)
    grants = [
        grant(f"grt-{n}", start, start + length, state)
        for n, (start, length, state) in enumerate(spans)
    ]
    found = access(grants, ANA.id, target, at(now), at(identity))

    def carried(second: int) -> bool:
        return any(
            start <= second < start + min(length, ceiling)
            for start, length, state in spans
            if state in (GrantState.ACTIVE, GrantState.SCHEDULED)
        )

    if not carried(now) or identity <= now:
        assert found is None
        return
    assert found is not None
    # Grants that begin where others end go on from them.
    end = next(second for second in range(now, 500) if not carried(second))
    assert found.until == at(min(end, identity))
    assert at(now) < found.again <= found.until
    # Until `again` the answer stays what it is.
    before = access(grants, ANA.id, target, found.again - 1, at(identity))
    assert before == found


# --- which sessions must close ------------------------------------------------------------------


def session(id: str, ended: Time | None = None, target: str = "prod-db") -> Session:
    return Session(id, ANA.id, target, "shop", "local", "", ("grt-1",), T0, ended)


def test_a_session_stays_while_any_grant_carries_it() -> None:
    sessions = [session("s-1"), session("s-2", ended=at(1)), session("s-3", target="gone")]
    until = {ANA.id: FAR}
    over = grant(state=GrantState.REVOKED)
    assert bereft(sessions, [grant()], {"prod-db": DB}, at(2), until) == ["s-3"]
    assert bereft(sessions, [over], {"prod-db": DB}, at(2), until) == ["s-1", "s-3"]
    both = [over, grant("grt-2")]
    assert bereft(sessions, both, {"prod-db": DB}, at(2), until) == ["s-3"]
    assert bereft(sessions, both, {"prod-db": DB}, at(2), {}) == ["s-1", "s-3"]


# --- asking ---------------------------------------------------------------------------------------


def test_an_offer_is_for_who_has_the_role_and_for_the_targets_it_names() -> None:
    here, other = offer(), offer(targets=("dev-?", "stage"))
    assert offers_for(ANA, "prod-db", [here, other]) == (here,)
    assert offers_for(ANA, "dev-1", [here, other]) == (other,)
    assert offers_for(ANA, "PROD-db", [here]) == ()
    assert offers_for(BEN, "prod-db", [here]) == ()


def test_ceilings_cut_the_wish_and_are_kept_with_the_request() -> None:
    made = asked(wish(seconds=9 * HOUR), offer())
    assert isinstance(made, Request)
    assert made.duration == 2 * HOUR
    assert made.rule == ApprovalRule("engineer", frozenset({"dba"}), 1, 2 * HOUR)
    assert (made.created, made.expires) == (T0, at(24 * HOUR))
    low = asked(wish(seconds=9 * HOUR), offer(), target=replace(DB, max_duration=600))
    assert isinstance(low, Request)
    assert (low.duration, low.rule.max_duration) == (600, 600)


def test_without_a_scope_one_asks_for_what_the_rule_offers() -> None:
    narrow = Scope.parse("public.*:read")
    made = asked(wish(), offer(scope=narrow))
    assert isinstance(made, Request)
    assert made.scope == narrow


def test_a_scope_must_lie_within_one_offer() -> None:
    narrow = offer(scope=Scope.parse("public.*:read"))
    made = asked(wish(scope="public.orders:read"), narrow)
    assert isinstance(made, Request)
    assert made.scope == Scope.parse("public.orders:read")
    refused = asked(wish(scope="public.orders:read+update"), narrow)
    assert isinstance(refused, Refusal)
    assert refused.error == "scope_too_wide"
    assert "public.*:read" in refused.message


def test_the_offer_that_allows_most_of_the_wish_is_taken_then_the_one_with_fewest_votes() -> None:
    short, long, easy = offer(0, max_duration=600, name="a"), offer(2, name="b"), offer(1, name="c")
    for seconds, name in ((HOUR, "c"), (600, "a")):
        made = asked(wish(seconds), short, long, easy)
        assert isinstance(made, Request)
        assert made.rule.name == name


@pytest.mark.parametrize(
    ("odd", "error"),
    [
        (wish(reason=""), "reason"),
        (wish(reason=" \t "), "reason"),
        (wish(reason="x" * (LONGEST_REASON + 1)), "reason"),
        (wish(reason="two\nlines"), "reason"),
        (replace(wish(), task="x\x1b[2J"), "task"),
        (replace(wish(), ticket="OPS-1\u202e"), "ticket"),
        (wish(seconds=0), "duration"),
        (wish(seconds=-5), "duration"),
        (wish(scope="public.orders:reed"), "scope"),
        (replace(wish(), scope=NOTHING), "scope"),
    ],
)
def test_a_wish_that_makes_no_sense_is_refused_by_its_part(odd: Wish, error: str) -> None:
    refused = asked(odd, offer())
    assert isinstance(refused, Refusal)
    assert refused.error == error


@pytest.mark.parametrize("text", ["заказ 4711", "日本 語", "می\u200cخواهم", "👩\u200d💻", "a b"])
def test_people_may_write_in_their_own_language(text: str) -> None:
    assert fault_in(text, 100) is None


def test_who_has_no_role_for_it_cannot_ask() -> None:
    refused = asked(wish(), offer(), asker=person("sue", "sales"))
    assert isinstance(refused, Refusal)
    assert refused.error == "not_eligible"


def test_a_request_that_nobody_but_the_asker_could_approve_is_refused_at_once() -> None:
    mine = offer(groups=frozenset({"dba"}))
    alone = ask(wish(), CAT, DB, [mine], [CAT, ANA, BOT], now=T0, id="r", policy_version="p")
    assert isinstance(alone, Refusal)
    assert alone.error == "no_approver"
    assert "dba" in alone.message
    together = ask(wish(), CAT, DB, [mine], [CAT, BEN], now=T0, id="r", policy_version="p")
    assert isinstance(together, Request)
    nobody = asked(wish(), offer(approvers=frozenset()))
    assert isinstance(nobody, Refusal)
    assert nobody.error == "no_approver"


def test_approvers_who_have_not_signed_in_yet_may_still_come() -> None:
    assert decidable(offer(), ANA, [])
    assert not decidable(offer(), CAT, [])
    assert decidable(offer(0, approvers=frozenset()), CAT, [])


def test_a_repeat_is_the_same_wish_before_ceilings() -> None:
    made = asked(wish(seconds=9 * HOUR, scope="public.*:read"), offer())
    assert isinstance(made, Request)
    assert repeats(made, wish(seconds=9 * HOUR, scope="public.*:read"))
    assert repeats(made, wish(seconds=9 * HOUR))
    assert not repeats(made, wish(seconds=60))
    assert not repeats(made, wish(seconds=9 * HOUR, scope="public.*:update"))
    assert not repeats(made, wish(seconds=9 * HOUR, reason="another"))
    assert not repeats(made, replace(wish(seconds=9 * HOUR), ticket="OPS-1"))


# --- voting ---------------------------------------------------------------------------------------


def test_asker_cannot_approve_their_own_request() -> None:
    for groups in (("dba",), ("dba", "admin"), ("engineering", "oncall", "dba", "admin")):
        asker = person("ana", *groups)
        assert may_vote(request(), asker, [], at(1)) is WhyNot.ASKER
    assert settle(request(), [vote(ANA)], at(1)) is RequestState.PENDING


def test_no_role_is_exempt_from_the_asker_rule() -> None:
    mine = request(requester=ADA.id)
    assert may_vote(mine, ADA, [], at(1)) is WhyNot.ASKER


def test_only_people_of_the_approvers_vote_and_only_once() -> None:
    assert may_vote(request(), BEN, [], at(1)) is None
    assert may_vote(request(), BOT, [], at(1)) is WhyNot.NOT_HUMAN
    assert may_vote(request(), person("sue", "sales"), [], at(1)) is WhyNot.NOT_APPROVER
    assert may_vote(request(2), BEN, [vote(BEN)], at(2)) is WhyNot.VOTED


@pytest.mark.parametrize("state", [s for s in RequestState if s is not RequestState.PENDING])
def test_nobody_votes_on_what_is_not_pending(state: RequestState) -> None:
    assert may_vote(request(state=state), BEN, [], at(1)) is WhyNot.NOT_PENDING
    assert settle(request(state=state), [vote(BEN), vote(CAT)], at(1)) is state


def test_a_request_expires_at_its_deadline_not_after_it() -> None:
    assert may_vote(request(), BEN, [], at(HOUR) - 1) is None
    assert may_vote(request(), BEN, [], at(HOUR)) is WhyNot.NOT_PENDING
    assert settle(request(), [], at(HOUR) - 1) is RequestState.PENDING
    assert settle(request(), [], at(HOUR)) is RequestState.EXPIRED
    late = vote(BEN, seconds=HOUR)
    assert settle(request(), [late], at(HOUR)) is RequestState.EXPIRED


def test_one_person_in_two_groups_is_one_approval() -> None:
    # Ben is in both groups that may approve; so would be two rows of his, had a store kept them.
    twice = [vote(BEN), replace(vote(BEN, seconds=2), id="vote-2")]
    assert settle(request(2), twice, at(3)) is RequestState.PENDING
    assert settle(request(2), [vote(BEN), vote(CAT)], at(3)) is RequestState.APPROVED


def test_a_count_that_jumps_past_the_threshold_still_approves() -> None:
    assert settle(request(2), [vote(BEN), vote(CAT), vote(ADA)], at(3)) is RequestState.APPROVED
    assert settle(request(0), [vote(BEN)], at(3)) is RequestState.APPROVED
    assert settle(request(0), [], at(3)) is RequestState.APPROVED


def test_one_denial_beats_any_number_of_approvals() -> None:
    votes = [vote(BEN), vote(CAT, Answer.DENY), vote(ADA)]
    assert settle(request(2), votes, at(3)) is RequestState.DENIED
    assert settle(request(2), votes[::-1], at(3)) is RequestState.DENIED


def test_a_vote_on_another_request_does_not_count() -> None:
    other = replace(vote(BEN), request="req-2")
    assert settle(request(), [other], at(3)) is RequestState.PENDING


# --- granting -------------------------------------------------------------------------------------


def test_the_grant_is_what_was_asked_for_from_now_on() -> None:
    made = grant_for(request(), [vote(BEN)], DB, now=at(30), id="grt-1")
    assert made == Grant(
        "grt-1", "req-1", ANA.id, "prod-db", EVERYTHING, at(30), at(30 + HOUR), GrantState.ACTIVE
    )


@given(
    st.integers(1, 9 * HOUR),
    st.integers(1, 9 * HOUR),
    st.lists(st.none() | st.integers(1, 9 * HOUR), max_size=3),
)
def test_a_grant_is_never_longer_than_anything_said(
    asked_for: int, ceiling: int, conditions: list[int | None]
) -> None:
    votes = [vote(voter, duration=c) for voter, c in zip((BEN, CAT, ADA), conditions, strict=False)]
    target = replace(DB, max_duration=ceiling)
    made = grant_for(request(seconds=asked_for), votes, target, now=T0, id="grt-1")
    bounds = [asked_for, 2 * HOUR, ceiling, *(c for c in conditions if c is not None)]
    assert made.not_after - made.not_before == min(bounds) * SECOND


def test_a_grant_ends_by_its_owner_its_approvers_or_an_administrator() -> None:
    rule = request().rule
    owned = replace(DB, owners=frozenset({"owners", "p-sue"}))
    assert capacity(BEN, DB, rule, False) == "approver"
    assert capacity(ANA, DB, rule, False) is None
    assert capacity(ANA, None, rule, False) is None
    assert capacity(ANA, DB, rule, True) == "administrator"
    assert capacity(person("sue"), owned, rule, False) == "owner"
    assert capacity(person("olga", "owners"), owned, rule, False) == "owner"


# --- which state may follow which -----------------------------------------------------------------


def test_every_state_has_its_moves_and_what_has_ended_has_none() -> None:
    assert set(REQUEST_MOVES) == set(RequestState)
    assert set(GRANT_MOVES) == set(GrantState)
    assert {GrantState.SCHEDULED, GrantState.ACTIVE, GrantState.SUSPENDED} == ENDABLE
    assert RequestState.FULFILLED not in REQUEST_MOVES[RequestState.PENDING]
    for moves in (REQUEST_MOVES, GRANT_MOVES):
        for state, following in moves.items():
            assert state not in following
