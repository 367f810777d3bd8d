"""Who approves what: thresholds, escalation, and what the policy grants by itself."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.access import (
    Auto,
    Eligibility,
    Lint,
    Refusal,
    Wish,
    access,
    answers_for,
    ask,
    choose,
    grant_for,
    may_vote,
    settle,
    smaller,
    still_missing,
    votes_as,
)
from hoopcore.access.asking import Choice
from hoopcore.model import (
    EVERYTHING,
    READS,
    SECOND,
    Answer,
    Grant,
    GrantState,
    Kind,
    Principal,
    Priority,
    Request,
    RequestState,
    Scope,
    Target,
    Time,
    Vote,
)
from hoopcore.policy import Amount, Facts, Policy, passing
from hoopcore.policy.windows import Window
from hoopcore.voters import Escalation, Limits, Need, Voters, missing

NOW = 1_800_000_000 * SECOND
HOUR = 3600


def person(name: str, *groups: str) -> Principal:
    email = f"{name}@corp.example"
    return Principal(f"p-{name}", Kind.HUMAN, "https://id", name, email, frozenset(groups))


ANA = person("ana", "eng")
BEN = person("ben", "dba", "security")
CAT = person("cat", "dba")
DAN = person("dan", "security")
EVE = person("eve", "managers")
PEOPLE = (ANA, BEN, CAT, DAN, EVE)

TARGET = Target("prod-db", "postgres", ("shop",), owners=frozenset({"owners"}))


def voters(*groups: str, people: tuple[str, ...] = ()) -> Voters:
    return Voters(frozenset(groups), frozenset(people))


def offer(**changed: Any) -> Eligibility:
    plain = Eligibility(
        name="engineer",
        groups=frozenset({"eng"}),
        targets=("prod-*",),
        scope=EVERYTHING,
        max_duration=4 * HOUR,
        approvers=frozenset({"dba"}),
        votes=1,
        expires=24 * HOUR,
    )
    return replace(plain, **changed)


FOUR_EYES = offer(
    approvers=frozenset(),
    votes=1,
    needs=(Need(voters("dba")), Need(voters("security"))),
)


def asked(*offers: Eligibility, asker: Principal = ANA, **wished: Any) -> Request:
    made = made_of(*offers, asker=asker, **wished)
    assert isinstance(made, Request), made
    return made


def made_of(
    *offers: Eligibility,
    asker: Principal = ANA,
    now: Time = NOW,
    rosters: dict[str, frozenset[str]] | None = None,
    **wished: Any,
) -> Request | Refusal:
    plain = Wish("prod-db", "order 4711 is stuck", HOUR)
    wish = replace(plain, **wished)
    return ask(
        wish,
        asker,
        TARGET,
        offers,
        PEOPLE,
        now=now,
        id="req-1",
        policy_version="1",
        rosters=rosters or {},
    )


def vote(
    request: Request, voter: Principal, answer: Answer = Answer.APPROVE, at: int = 1, **less: Any
) -> Vote:
    when = request.created + at * SECOND
    made = Vote(f"v-{voter.id}", request.id, voter.id, answer, "so it is", when)
    return replace(made, voter_is=votes_as(request, voter, when), **less)


def state(request: Request, *votes: Vote, at: int = 60) -> RequestState:
    return settle(request, votes, request.created + at * SECOND)


# --- thresholds with filters ----------------------------------------------------------------------


def test_one_of_each_group_is_wanted_and_two_of_one_are_not_enough() -> None:
    request = asked(FOUR_EYES)
    assert state(request, vote(request, CAT)) is RequestState.PENDING
    assert state(request, vote(request, CAT), vote(request, BEN)) is RequestState.APPROVED
    assert state(request, vote(request, CAT), vote(request, DAN)) is RequestState.APPROVED


def test_one_person_in_two_groups_is_one_approval() -> None:
    request = asked(FOUR_EYES)
    assert state(request, vote(request, BEN)) is RequestState.PENDING
    assert still_missing(request, [vote(request, BEN)]) == 1


def test_who_could_fill_both_places_leaves_the_one_that_only_they_can_fill() -> None:
    request = asked(FOUR_EYES)
    for order in permutations((BEN, DAN)):
        assert state(request, *(vote(request, one) for one in order)) is RequestState.APPROVED


def test_a_denial_beats_every_threshold() -> None:
    request = asked(FOUR_EYES)
    votes = [vote(request, CAT), vote(request, DAN, Answer.DENY)]
    assert state(request, *votes) is RequestState.DENIED


def test_a_count_that_jumps_past_the_threshold_approves() -> None:
    request = asked(FOUR_EYES)
    assert state(request, *(vote(request, one) for one in (BEN, CAT, DAN))) is RequestState.APPROVED


def test_two_hundred_approver_groups_are_decided_at_once() -> None:
    groups = [f"g{number}" for number in range(200)]
    many = offer(
        approvers=frozenset(groups), votes=200, needs=tuple(Need(voters(one)) for one in groups)
    )
    request = asked(many)
    each = [person(f"p{number}", *groups[number:]) for number in range(200)]
    votes = [vote(request, one) for one in each]
    assert state(request, *votes) is RequestState.APPROVED
    assert state(request, *votes[1:]) is RequestState.PENDING


@given(st.data())
def test_places_are_filled_as_well_as_they_can_be(data: st.DataObject) -> None:
    names = "abc"
    kinds = st.frozensets(st.sampled_from(names), max_size=3).map(lambda one: Voters(one))
    needs = data.draw(st.lists(st.builds(Need, kinds, st.integers(1, 2)), max_size=3))
    cast = data.draw(st.lists(kinds, max_size=5))
    others = data.draw(kinds)
    places = [need for need in needs for _ in range(need.votes)]
    best = 0
    for order in permutations(range(len(cast))):
        pairs = zip(places, order, strict=False)
        best = max(best, _fitting(list(pairs), cast, others, places))
        if best == len(places):
            break
    assert missing(needs, others, cast) == len(places) - best


def _fitting(
    pairs: list[tuple[Need, int]], cast: list[Voters], others: Voters, places: list[Need]
) -> int:
    """How many places a first-come order fills, with places left empty where nobody fits."""
    taken = [False] * len(places)
    count = 0
    for index in [vote for _, vote in pairs] + [
        vote for vote in range(len(cast)) if vote not in {v for _, v in pairs}
    ]:
        for place, need in enumerate(places):
            fits = cast[index].meets(need.voters) or cast[index].meets(others)
            if not taken[place] and fits:
                taken[place] = True
                count += 1
                break
    return count


def test_people_are_named_by_address_in_any_case() -> None:
    named = offer(approvers=frozenset(), people=frozenset({"EVE@corp.example"}))
    request = asked(named)
    assert may_vote(request, CAT, [], NOW) is not None
    assert may_vote(request, EVE, [], NOW) is None
    assert state(request, vote(request, EVE)) is RequestState.APPROVED


def test_owners_of_the_target_vote_where_the_policy_says_so() -> None:
    owner = person("olga", "owners")
    assert may_vote(asked(offer(owners=True)), owner, [], NOW) is None
    assert may_vote(asked(offer()), owner, [], NOW) is not None


def test_nobody_but_the_asker_named_is_refused_at_once() -> None:
    alone = offer(approvers=frozenset(), people=frozenset({"ana@corp.example"}))
    refusal = made_of(alone)
    assert isinstance(refusal, Refusal)
    assert refusal.error == "no_approver"
    assert isinstance(made_of(replace(alone, auto=(Auto("any"),))), Request)
    # A need that only the asker could fill is no better.
    hers = offer(needs=(Need(voters(people=("ana@corp.example",))),))
    assert isinstance(made_of(hers), Refusal)


# --- escalation -----------------------------------------------------------------------------------

LATER = replace(FOUR_EYES, later=(Escalation(1800, voters("managers")),))


def test_escalation_adds_voters_and_only_then() -> None:
    request = asked(LATER)
    assert may_vote(request, EVE, [], NOW + 1799 * SECOND) is not None
    assert may_vote(request, EVE, [], NOW + 1800 * SECOND) is None


def test_escalation_never_lowers_the_threshold() -> None:
    request = asked(LATER)
    eve = vote(request, EVE, at=1900)
    assert state(request, eve, at=2000) is RequestState.PENDING
    assert still_missing(request, [eve]) == 1
    assert state(request, eve, vote(request, CAT), at=2000) is RequestState.APPROVED
    assert request.rule.total == 2


# --- what the policy grants by itself -------------------------------------------------------------

HOURS = Window.parse("mon-fri 22:00-06:00 Europe/Berlin")

READING = Auto(
    "reads",
    groups=frozenset({"eng"}),
    targets=("prod-*",),
    scope=Scope.parse("public.*:read"),
    max_duration=HOUR,
    ticket=r"OPS-\d+",
    priorities=frozenset({Priority.NORMAL}),
    limits=Limits(read_only=True, masked=True, rows=1000),
)
FITTING: dict[str, Any] = {"scope": Scope.parse("public.orders:read"), "ticket": "OPS-12"}


def test_where_all_conditions_hold_it_is_granted_at_once_and_imposed() -> None:
    request = asked(offer(auto=(READING,)), **FITTING)
    assert state(request) is RequestState.APPROVED
    grant = grant_for(request, [], TARGET, now=NOW, id="grt-1")
    assert grant.limits == READING.limits
    assert READS.covers(grant.scope)
    # The matched rule is kept as it was.
    assert request.rule.auto == "reads"
    assert "OPS-" in request.rule.because


@pytest.mark.parametrize(
    "changed",
    [
        {"scope": Scope.parse("public.orders:update")},
        {"scope": None},
        {"scope": Scope.parse("hr.people:read")},
        {"duration": HOUR + 1},
        {"ticket": ""},
        {"ticket": "OPS-12x"},
        {"priority": Priority.INCIDENT},
        {"extends": "grt-0"},
    ],
)
def test_where_one_condition_fails_a_person_decides(changed: dict[str, Any]) -> None:
    request = asked(offer(auto=(READING,)), **{**FITTING, **changed})
    assert request.rule.auto == ""
    assert state(request) is RequestState.PENDING


def test_a_roster_that_cannot_be_had_goes_to_a_person() -> None:
    on_call = offer(auto=(Auto("on-call", on_call="plan.txt"),))
    there = {"plan.txt": frozenset({"Ana@corp.example"})}
    assert state(asked(on_call, rosters=there)) is RequestState.APPROVED
    assert state(asked(on_call, rosters={"plan.txt": frozenset()})) is RequestState.PENDING
    assert state(asked(on_call)) is RequestState.PENDING


def test_an_overnight_window_holds_after_midnight_and_in_both_hours_of_a_changed_clock() -> None:
    night = offer(auto=(Auto("night", hours=(HOURS,)),))

    def at(text: str) -> bool:
        from datetime import datetime

        moment = int(datetime.fromisoformat(text).timestamp()) * SECOND
        return state(asked(night, now=moment)) is RequestState.APPROVED

    assert at("2027-03-01T22:30:00+01:00")
    assert at("2027-03-02T05:59:00+01:00")  # after midnight, of the window that Monday began
    assert not at("2027-03-02T06:00:00+01:00")
    assert at("2027-10-31T00:30:00+02:00") is False  # Saturday night began no window
    assert at("2028-02-29T23:00:00+01:00")  # a leap day, a Tuesday
    assert at("2028-03-01T03:00:00+01:00")


def test_a_night_goes_on_through_the_hour_that_comes_twice_and_the_one_that_never_comes() -> None:
    night = offer(auto=(Auto("night", hours=(Window.parse("sat 22:00-06:00 Europe/Berlin"),)),))

    def granted_at(text: str) -> bool:
        from datetime import datetime

        moment = int(datetime.fromisoformat(text).timestamp()) * SECOND
        return state(asked(night, now=moment)) is RequestState.APPROVED

    def hours(first: str, steps: int) -> list[bool]:
        from datetime import datetime, timedelta

        begins = datetime.fromisoformat(first)
        return [granted_at((begins + timedelta(minutes=30 * n)).isoformat()) for n in range(steps)]

    # Of Saturday's window: nine hours when the clocks go back, seven when they go forward.
    assert hours("2027-10-30T21:30:00+02:00", 20) == [False, *[True] * 18, False]
    assert hours("2027-03-27T21:30:00+01:00", 16) == [False, *[True] * 14, False]
    assert granted_at("2027-10-31T02:30:00+02:00")
    assert granted_at("2027-10-31T02:30:00+01:00")  # the same on the wall, an hour later


def test_what_smaller_wish_would_be_granted_is_told() -> None:
    wish = Wish("prod-db", "order 4711 is stuck", 3 * HOUR, ticket="OPS-1")
    chosen = choose(wish, ANA, TARGET, [offer(auto=(READING,))], PEOPLE, now=NOW)
    assert isinstance(chosen, Choice)
    less = smaller(wish, chosen, ANA, TARGET, NOW)
    assert less is not None
    assert (str(less.scope), less.duration) == ("public.*:read", HOUR)
    granted = asked(offer(auto=(READING,)), ticket="OPS-1", scope=less.scope, duration=HOUR)
    assert state(granted) is RequestState.APPROVED
    assert smaller(replace(wish, ticket=""), chosen, ANA, TARGET, NOW) is None


# --- reasons --------------------------------------------------------------------------------------

LINTED = offer(lint=Lint(10, frozenset({"test", "asdf"}), r"OPS-\d+"))


@pytest.mark.parametrize(
    ("wished", "error"),
    [
        ({"reason": "Test.", "ticket": "OPS-1"}, "reason"),
        ({"reason": "short", "ticket": "OPS-1"}, "reason"),
        ({"reason": "a  b      c", "ticket": "OPS-1"}, "reason"),
        ({"reason": "long enough"}, "ticket"),
        ({"reason": "long enough", "ticket": "JIRA-1"}, "ticket"),
        (
            {"reason": "long enough", "ticket": "OPS-1", "starts": NOW + 8 * 86_400 * SECOND},
            "starts",
        ),
    ],
)
def test_a_reason_that_says_nothing_is_refused(wished: dict[str, Any], error: str) -> None:
    refusal = made_of(LINTED, **wished)
    assert isinstance(refusal, Refusal)
    assert refusal.error == error


# --- conditions of a vote, and the clock ----------------------------------------------------------


def test_the_shortest_narrowest_and_latest_condition_wins() -> None:
    request = asked(offer(votes=2), scope=Scope.parse("public.*:read"))
    votes = [
        vote(request, CAT, duration=600, scope=Scope.parse("public.orders:read")),
        vote(request, BEN, starts=NOW + 300 * SECOND, duration=1200),
    ]
    grant = grant_for(request, votes, TARGET, now=NOW + SECOND, id="grt-1")
    assert str(grant.scope) == "public.orders:read"
    assert (grant.not_before, grant.not_after) == (NOW + 300 * SECOND, NOW + 900 * SECOND)
    assert grant.state is GrantState.SCHEDULED


def test_a_clock_that_begins_with_the_first_connection_never_moves_the_end() -> None:
    request = asked(offer(start_within=12 * HOUR))
    grant = grant_for(request, [], TARGET, now=NOW, id="grt-1")
    assert grant.waits
    assert grant.ends == NOW + 12 * HOUR * SECOND  # the latest start
    begun = replace(grant, started=NOW + 5 * SECOND, state=GrantState.ACTIVE)
    assert begun.ends == NOW + (5 + HOUR) * SECOND
    assert begun.ends <= begun.not_after == grant.not_after
    late = replace(grant, started=grant.ends, state=GrantState.ACTIVE)
    assert late.ends == grant.not_after


@given(st.integers(0, 13 * HOUR), st.integers(1, 4 * HOUR))
def test_no_first_connection_gives_more_than_was_approved(at: int, seconds: int) -> None:
    request = asked(offer(start_within=12 * HOUR), duration=seconds)
    grant = grant_for(request, [], TARGET, now=NOW, id="grt-1")
    begun = replace(grant, started=NOW + at * SECOND)
    assert begun.ends - (NOW + at * SECOND) <= seconds * SECOND
    assert begun.ends <= grant.not_after


def test_an_extension_begins_where_the_other_one_ends() -> None:
    request = asked(offer(start_within=HOUR), extends="grt-0", scope=EVERYTHING)
    end = NOW + 900 * SECOND
    grant = grant_for(request, [], TARGET, now=NOW, id="grt-1", goes_on=end)
    assert (grant.not_before, grant.not_after, grant.waits) == (end, end + HOUR * SECOND, False)


# --- the rest of it -------------------------------------------------------------------------------


def test_no_condition_takes_a_mask_off() -> None:
    unmask = Scope.parse("*.*:read app.customers.email:unmask")
    wide = offer(scope=EVERYTHING.join(unmask), auto=(Auto("any"),))
    assert state(asked(wide)) is RequestState.APPROVED
    assert state(asked(wide, scope=unmask)) is RequestState.PENDING


def test_what_a_condition_says_is_told_in_words() -> None:
    assert str(Auto("any")) == "always"
    assert str(READING) == (
        "asked by eng; on prod-*; within public.*:read; for at most 3600 s; with a ticket like"
        r" OPS-\d+; priority normal; imposing: read-only, masked, at most 1,000 rows an hour"
    )
    assert str(Limits()) == ""
    assert not Limits()
    assert str(voters("b", "a", people=("p",))) == "a or b or p"


def test_a_smaller_time_may_be_all_that_is_wanted() -> None:
    wish = Wish("prod-db", "order 4711 is stuck", 3 * HOUR)
    short = offer(auto=(Auto("short", max_duration=HOUR),))
    chosen = choose(wish, ANA, TARGET, [short], PEOPLE, now=NOW)
    assert isinstance(chosen, Choice)
    less = smaller(wish, chosen, ANA, TARGET, NOW)
    assert less is not None
    assert (less.scope, less.duration) == (EVERYTHING, HOUR)


def test_who_answers_for_a_service_is_known_by_any_name() -> None:
    service = replace(person("bot"), kind=Kind.SERVICE, owner="BEN@corp.example")
    assert answers_for(BEN, service)
    assert not answers_for(CAT, service)
    assert not answers_for(BEN, replace(service, owner=""))


def test_a_grant_that_waits_carries_whoever_connects_and_for_its_own_length() -> None:
    request = asked(offer(start_within=12 * HOUR))
    grant = grant_for(request, [], TARGET, now=NOW, id="grt-1")
    found = access([grant], ANA.id, TARGET, NOW, NOW + 100 * HOUR * SECOND)
    assert found is not None
    assert (found.until, found.again) == (NOW + HOUR * SECOND, grant.ends)
    assert access([grant], ANA.id, TARGET, grant.ends, NOW + 100 * HOUR * SECOND) is None


def test_the_widest_bound_on_rows_counts_and_a_grant_without_lifts_it() -> None:
    request = asked(offer())
    plain = grant_for(request, [], TARGET, now=NOW, id="grt-1")
    few = replace(plain, id="grt-2", limits=Limits(rows=10))
    more = replace(plain, id="grt-3", limits=Limits(rows=20))

    def rows(*grants: Grant) -> int | None:
        found = access(grants, ANA.id, TARGET, NOW, NOW + HOUR * SECOND)
        assert found is not None
        return found.rows

    assert rows(few) == 10
    assert rows(few, more) == 20
    assert rows(few, plain) is None


def test_the_gate_enforces_the_rows_a_grant_was_approved_for() -> None:
    facts = Facts(ANA, TARGET, READS, "s-1", rows=10)
    (budget,) = Policy().budgets_for(facts)
    assert (budget.action, budget.rows) == ("end", 10)
    assert passing((budget,), Amount(rows=11)) is not None
    assert passing((budget,), Amount(rows=10)) is None
    assert Policy().budgets_for(replace(facts, rows=None)) == ()
