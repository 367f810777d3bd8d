"""Looking back: one's own usage as evidence; keep, narrow, give back; proof that it is gone."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections import Counter
from dataclasses import replace

import pytest

from hoopagent.coverage import Beat
from hoopagent.ends import Ends
from hoopagent.errors import Refused
from hoopagent.insights import mirror
from hoopagent.reviews import Told
from hoopcore.model import SECOND, GrantState, Scope, Tier, rfc3339
from hoopcore.review import UNDO
from tests.store.reviewed import (
    CANNOT_SAY,
    CONFIRM,
    DELEGATE,
    GIVE_BACK,
    KEEP,
    NARROW,
    OVERRIDE,
    Looking,
    statement,
    used,
)
from tests.store.world import DAY, HOUR, START, World

LONG = os.environ.get("HOOP_LONG") == "1"
READ, UPDATE = "public.orders:read", "public.orders:update"


@pytest.fixture
def looking(world: World) -> Looking:
    return Looking(world)


# --- the evidence -----------------------------------------------------------------------------


async def test_a_review_shows_why_one_has_a_grant_and_what_was_done_with_it(
    looking: Looking,
) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    no = statement(START + 4, "public.cards:read", verdict="refuse")
    await looking.session(world.ana, used(statement(START + 5, READ), no, rows=40, masked=7))
    world.wait(60)
    await looking.session(world.ana, used(statement(START + 70, UPDATE)))
    item = await looking.one(world.ana)
    assert (item["grant"], item["state"], item["review"]) == (grant, "pending", None)
    assert item["why"] == {
        "reason": "order 4711 is stuck",
        "ticket": "",
        "approvers": ["ben@test"],
        "at": rfc3339(START),
    }
    assert (item["not_after"], item["granted"]) == (rfc3339(START + HOUR * SECOND), "*.*:*")
    totals = [item[name] for name in ("sessions", "statements", "refused", "rows")]
    assert totals == [2, 3, 1, 41]
    assert item["used"] == [READ, UPDATE]
    assert (item["last_use"], item["use"]) == (rfc3339(START + 70), "seen")
    assert (len(item["days"]), item["days"][-1], sum(item["days"])) == (90, 2, 2)
    assert item["narrower"] == {
        "scope": "public.*:read public.*:update",
        "passed": 2,
        "held": 0,
        "of": 2,
        "exact": True,
        "outside": [],
    }
    assert item["suggestion"].startswith("narrow to public.*:read")
    assert item["telling"]["seq"] == 2


async def test_a_statement_is_a_use_of_the_grant_that_covers_it(looking: Looking) -> None:
    world = looking.world
    for scope in ("public.orders:read", "public.items:read"):
        asked = await world.ask(world.ana, scope=scope)
        await world.approve(world.ben, asked["id"])
    await looking.session(world.ana, used(statement(START, READ)))
    items = {item["granted"]: item for item in await looking.mine(world.ana)}
    assert [items[READ][name] for name in ("statements", "use")] == [1, "seen"]
    other = items["public.items:read"]
    assert [other[name] for name in ("sessions", "statements", "use")] == [1, 0, "not seen"]


async def test_what_was_not_seen_is_called_unused_only_where_the_gate_was_the_only_way(
    looking: Looking,
) -> None:
    world, beat = looking.world, Beat()
    await world.granted(world.ana, seconds=2 * HOUR)
    item = await looking.one(world.ana)
    assert (item["use"], item["used"], item["last_use"]) == ("not seen", [], None)
    assert "not used" not in json.dumps(item)
    looking.tier(Tier.MEDIUM, only_way=True)
    for _ in range(61):  # it was told a moment after the grant began
        await beat.note(world.means, world.time)
        world.wait(60)
    item = await looking.one(world.ana)
    assert (item["use"], item["window"]["known"]) == ("not used", True)
    assert (
        item["suggestion"] == "give back: no session of yours there was, and there is no other way"
    )
    world.wait(600)  # the agent was away
    await beat.note(world.means, world.time)
    item = await looking.one(world.ana)
    assert (item["use"], item["window"]["known"]) == ("not seen", False)
    assert "not used" not in json.dumps(item)


async def test_a_statement_that_could_not_be_read_counts_as_use_of_the_whole_scope(
    looking: Looking,
) -> None:
    world = looking.world
    asked = await world.ask(world.ana, scope="public.orders:read+update")
    await world.approve(world.ben, asked["id"])
    unread = statement(START, unread="too long", beyond=("call", "unknown"))
    await looking.session(world.ana, used(unread))
    item = await looking.one(world.ana)
    assert item["used"] == [READ, UPDATE]
    assert (item["unread"], item["use"], item["narrower"]) == (1, "seen", None)


async def test_one_damaged_recording_hides_no_other_and_suggests_nothing(
    looking: Looking,
) -> None:
    world = looking.world
    await world.granted(world.ana)
    await looking.session(world.ana, OSError("disk"))
    world.wait(1)
    await looking.session(world.ana, used(statement(START, READ)))
    item = await looking.one(world.ana)
    assert (item["sessions"], item["statements"], item["unseen"]) == (2, 1, 1)
    assert (item["used"], item["use"], item["suggestion"]) == ([READ], "seen", None)
    assert item["window"]["covers_until"] == rfc3339(START)


async def test_a_recording_that_ends_early_is_told(looking: Looking) -> None:
    world = looking.world
    await world.granted(world.ana)
    session = await looking.session(world.ana, used(statement(START, READ)))
    stored = await world.store.session(session)
    assert stored is not None
    await world.store.update_session(replace(stored, statements=9))
    assert (await looking.one(world.ana))["unseen"] == 1


async def test_what_was_counted_of_a_session_is_not_read_again(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    session = await looking.session(world.ana, AssertionError("it was counted"))
    await world.disconnect(session)
    stored = await world.store.session(session)
    assert stored is not None
    for _ in range(2):  # counted anew, it counts once
        await world.store.put_use(stored, used(statement(START, READ), rows=3))
    item = await looking.one(world.ana)
    assert (item["grant"], item["rows"], item["unseen"]) == (grant, 3, 0)


async def test_only_live_grants_of_ones_own_are_reviewed(looking: Looking) -> None:
    world = looking.world
    await world.granted(world.ana, seconds=60)
    assert await looking.mine(world.ben) == []
    assert len(await looking.mine(world.ana)) == 1
    world.wait(60)
    assert await looking.mine(world.ana) == []


async def test_the_suggestion_is_hidden_on_a_high_tier_until_one_has_answered(
    looking: Looking,
) -> None:
    world = looking.world
    looking.tier(Tier.HIGH)
    grant = await world.granted(world.ana)
    await looking.session(world.ana, used(statement(START, READ)))
    item = await looking.one(world.ana)
    assert (item["suggestion"], item["group"], item["alone"]) == (None, "privileged", True)
    told = await looking.answer(world.ana, grant, KEEP, "still at it")
    assert told["suggestion"].startswith("narrow to public.*:read")


async def test_how_many_of_ones_group_have_it_too(looking: Looking) -> None:
    world = looking.world
    await world.granted(world.cat)
    await world.granted(world.ada)
    item = await looking.one(world.ada)
    assert item["peers"] == {"people": 2, "having": 1}  # ben and cat; the bot is no person


# --- keeping ----------------------------------------------------------------------------------


async def test_keeping_needs_a_reason_and_moves_no_end(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    before = await world.store.grant(grant)
    assert await looking.refused(world.ana, grant, KEEP, " ") == (422, "reason")
    assert await looking.refused(world.ana, grant, KEEP, "a\nb") == (422, "reason")
    told = Told(opened=("evidence",), took=12)
    kept = await looking.answer(world.ana, grant, KEEP, "still at it", told=told)
    assert (kept["closed"], kept["review"]["state"]) == ([], "decided")
    assert await world.store.grant(grant) == before
    assert (await looking.actions())[-1] == "review.kept"
    (decision,) = await world.store.decisions(grant)
    record = json.loads(decision.told)
    assert (record["opened"], record["took"], record["group"]) == (["evidence"], 12, 1)
    assert record["before"] == record["after"]
    assert json.loads(decision.evidence)["grant"] == grant
    # A change of mind is another decision, not another text in the same one.
    await looking.answer(world.ana, grant, GIVE_BACK, "done")
    assert len(await world.store.decisions(grant)) == 2


async def test_a_low_tier_is_kept_without_a_reason_and_with_others(looking: Looking) -> None:
    world = looking.world
    looking.tier(Tier.LOW)
    grant = await world.granted(world.ana)
    kept = await looking.answer(world.ana, grant, KEEP, group=7)
    assert kept["review"]["state"] == "decided"
    item = await looking.one(world.ana)
    assert (item["state"], item["answered"]["answer"]) == ("decided", "keep")


async def test_a_self_keep_on_a_high_tier_waits_for_somebody_independent(
    looking: Looking,
) -> None:
    world = looking.world
    looking.tier(Tier.HIGH)
    grant = await world.granted(world.ana)
    assert await looking.refused(world.ana, grant, KEEP, "mine", group=2) == (422, "group")
    kept = await looking.answer(world.ana, grant, KEEP, "still at it")
    id = kept["review"]["id"]
    assert kept["review"]["state"] == "awaiting confirmation"
    confirming = looking.confirming
    for nobody in (world.ana, world.sue, world.bot):
        assert await confirming.to_confirm(nobody) == []
        with pytest.raises(Refused) as refused:
            await confirming.confirm(nobody, id, CONFIRM, "fine")
        assert refused.value.status == 404
    (shown,) = await confirming.to_confirm(world.ben)
    assert (shown["reason"], shown["evidence"]["grant"]) == ("still at it", grant)
    assert shown["suggestion"].startswith("give back: no session")
    with pytest.raises(Refused):
        await confirming.confirm(world.ben, id, CONFIRM, "")
    done = await confirming.confirm(world.ben, id, CONFIRM, "the incident is open")
    assert (done["review"]["state"], done["closed"]) == ("confirmed", [])
    with pytest.raises(Refused):
        await confirming.confirm(world.cat, id, OVERRIDE, "no")
    # Three who may not, and one who was late; without a reason nobody has tried anything.
    assert Counter(await looking.actions())["review.confirmed.refused"] == 4


async def test_an_answer_that_is_overridden_takes_the_grant_away(looking: Looking) -> None:
    world = looking.world
    looking.tier(Tier.HIGH)
    grant = await world.granted(world.ana)
    session = await looking.session(world.ana, used(statement(START, READ)))
    kept = await looking.answer(world.ana, grant, CANNOT_SAY, "ask ben")
    done = await looking.confirming.confirm(world.ben, kept["review"]["id"], OVERRIDE, "it is over")
    assert (done["review"]["state"], done["closed"]) == ("verified", [session])
    ended = await world.store.grant(grant)
    assert ended is not None
    assert (ended.state, ended.ended_by) == (GrantState.REVOKED, world.ben.id)
    assert done["review"]["proof"]["refused"]


# --- giving back ------------------------------------------------------------------------------


async def test_giving_back_ends_live_sessions_at_once_and_is_proved(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    session = await looking.session(world.ana, used(statement(START, READ)))
    decided = await looking.answer(world.ana, grant, GIVE_BACK)
    assert decided["closed"] == [session]
    assert decided["decision"]["answer"] == "give back"
    assert decided["review"]["undo_until"] == rfc3339(START + UNDO)
    assert await world.connect(world.ana) is None
    (decision,) = await world.store.decisions(grant)
    assert json.loads(decision.evidence)["used"] == [READ]
    await looking.sweep()
    (item,) = await looking.confirming.done(world.ana)
    assert (item["state"], item["proof"]) == ("remediating", None)
    world.wait(UNDO / SECOND)
    await looking.sweep()
    (item,) = await looking.confirming.done(world.ana)
    assert item["state"] == "verified"
    assert item["proof"]["refused"]
    assert item["proof"]["said"] == f'"{grant}" opens nothing on "prod-db" any more'
    ended = await world.store.grant(grant)
    assert ended is not None
    assert ended.state is GrantState.RELINQUISHED
    assert (await looking.actions())[-2:] == ["grant.relinquished", "review.verified"]


async def test_for_ten_minutes_what_was_given_back_may_be_taken_again(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    before = await world.store.grant(grant)
    id = (await looking.answer(world.ana, grant, GIVE_BACK))["review"]["id"]
    world.wait(UNDO / SECOND - 1)
    with pytest.raises(Refused):
        await looking.confirming.undo(world.ben, id)
    undone = await looking.confirming.undo(world.ana, id)
    assert undone["review"]["state"] == "undone"
    assert await world.store.grant(grant) == before
    assert await world.connect(world.ana) is not None
    world.wait(5)
    await looking.sweep()
    assert (await looking.one(world.ana))["state"] == "pending"
    # Another time it is another question, with ten minutes of its own.
    id = (await looking.answer(world.ana, grant, GIVE_BACK))["review"]["id"]
    world.wait(UNDO / SECOND)
    with pytest.raises(Refused) as late:
        await looking.confirming.undo(world.ana, id)
    assert late.value.error == "too_late"
    assert Counter(await looking.actions())["review.undone.refused"] == 2


async def test_what_somebody_suspends_meanwhile_is_not_taken_again(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    id = (await looking.answer(world.ana, grant, GIVE_BACK))["review"]["id"]
    await Ends(world.means, world.grants).suspend(world.ben, grant, "I want to look at this")
    with pytest.raises(Refused):
        await looking.confirming.undo(world.ana, id)
    await looking.sweep()
    ended = await world.store.grant(grant)
    assert ended is not None
    assert ended.state is GrantState.RELINQUISHED


async def test_the_proof_says_which_other_grant_still_opens_it(looking: Looking) -> None:
    world = looking.world
    first, other = await world.granted(world.ana), await world.granted(world.ana)
    await looking.answer(world.ana, first, GIVE_BACK)
    world.wait(UNDO / SECOND)
    await looking.sweep()
    (item,) = await looking.confirming.done(world.ana)
    assert (item["state"], item["proof"]["also"]) == ("verified", [other])


async def test_nothing_is_called_done_while_the_gate_says_yes(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    kept = await looking.answer(world.ana, grant, GIVE_BACK)
    item = await looking.reviews.steps.item(kept["review"]["id"])
    found = await world.store.grant(grant)
    assert item is not None
    assert found is not None

    async def still_there(_: str) -> object:
        return replace(found, state=GrantState.ACTIVE)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.store, "grant", still_there)
        done = await looking.reviews.steps.finish(replace(item, until=None), world.time)
    assert done.state.value == "failed"
    assert (await looking.actions())[-1] == "review.failed"
    world.wait(UNDO / SECOND)
    await looking.sweep()  # it is looked at again, and again
    (view,) = await looking.confirming.done(world.ana)
    assert view["state"] == "verified"


async def test_a_run_that_would_end_too_much_stops_and_asks(looking: Looking) -> None:
    world = looking.world
    grants = [await world.granted(world.ana) for _ in range(8)]
    for grant in grants[:4]:
        await looking.answer(world.ana, grant, GIVE_BACK)
    assert await looking.refused(world.ana, grants[4], GIVE_BACK) == (409, "too_many")
    await looking.answer(world.ana, grants[5], KEEP, "still at it")
    await looking.answer(world.ana, grants[4], GIVE_BACK, told=Told(sure=True))
    assert await looking.refused(world.ana, grants[6], GIVE_BACK) == (409, "too_many")
    world.wait(601)  # another day, another run
    await looking.answer(world.ana, grants[6], GIVE_BACK)


async def test_runs_side_by_side_end_no_more_than_one_run(looking: Looking) -> None:
    world = looking.world
    grants = [await world.granted(world.ana) for _ in range(8)]
    answers = [looking.answer(world.ana, grant, GIVE_BACK) for grant in grants]
    done = await asyncio.gather(*answers, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 4
    assert all(isinstance(one, dict | Refused) for one in done)


# --- narrowing --------------------------------------------------------------------------------


async def test_narrowing_puts_a_smaller_grant_in_place_and_keeps_the_session(
    looking: Looking,
) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    session = await looking.session(world.ana, used(statement(START, READ), statement(1, UPDATE)))
    world.wait(60)
    until = START + HOUR * SECOND // 2
    done = await looking.answer(world.ana, grant, NARROW, scope=READ, until=until)
    less = await world.store.grant(done["narrowed"]["id"])
    old = await world.store.grant(grant)
    assert less is not None
    assert old is not None
    assert (str(less.scope), less.ends, less.state) == (READ, until, GrantState.ACTIVE)
    assert (less.not_before, less.request) == (old.not_before, old.request)
    assert old.state is GrantState.SUPERSEDED
    assert done["closed"] == []
    assert session in await world.live_sessions()
    access = await world.access(world.ana)
    assert access is not None
    assert (access.grants, access.scope) == ((less.id,), Scope.parse(READ))
    proof = done["review"]["proof"]
    assert (done["review"]["state"], proof["refused"]) == ("verified", True)
    assert {"wanted": UPDATE, "missing": UPDATE, "held": True} in proof["checks"]
    assert proof["soft_until"] == rfc3339(until)  # the grant ends before the period does
    # What was done under the wider one is evidence still.
    item = await looking.one(world.ana)
    assert (item["grant"], item["sessions"], item["used"]) == (less.id, 1, [READ])


async def test_nothing_is_narrowed_to_more_or_to_later(looking: Looking) -> None:
    world = looking.world
    asked = await world.ask(world.ana, scope="public.orders:read+update")
    await world.approve(world.ben, asked["id"])
    (grant,) = await world.store.grants(principal=world.ana.id)
    wider, later = "public.*:read", grant.ends + 1
    assert await looking.refused(world.ana, grant.id, NARROW, scope=wider) == (422, "scope")
    assert await looking.refused(world.ana, grant.id, NARROW, until=later) == (422, "until")
    same = str(grant.scope)
    assert await looking.refused(world.ana, grant.id, NARROW, scope=same) == (422, "scope")
    assert await looking.refused(world.ana, grant.id, NARROW) == (422, "scope")
    done = await looking.answer(world.ana, grant.id, NARROW, until=grant.ends - SECOND)
    assert done["review"]["state"] == "verified"


async def test_what_budgets_have_counted_goes_over_to_the_narrower_grant(world: World) -> None:
    from hoopcore.policy import Amount

    looking = Looking(world)
    grant = await world.granted(world.ana)
    await world.store.spend({(grant, 7): Amount(rows=5)}, 0)
    done = await looking.answer(world.ana, grant, NARROW, scope=READ)
    less = done["narrowed"]["id"]
    assert (await world.store.spent([less], 0))[less][7].rows == 5


async def test_the_replay_counts_what_would_still_pass(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    said = [statement(START, READ), statement(START, READ), statement(START, UPDATE)]
    await looking.session(world.ana, used(*said))
    found = await looking.reviews.replayed(world.ana, grant, Scope.parse(READ))
    assert [found[name] for name in ("passed", "of", "exact", "outside")] == [2, 3, True, [UPDATE]]
    with pytest.raises(Refused):
        await looking.reviews.replayed(world.ben, grant, Scope.parse(READ))


async def test_a_recording_of_before_says_that_its_count_is_not_exact(looking: Looking) -> None:
    world = looking.world
    await world.granted(world.ana)
    await looking.session(world.ana, used(statement(START, READ), scopes=False))
    assert (await looking.one(world.ana))["narrower"]["exact"] is False


# --- handing on -------------------------------------------------------------------------------


async def test_a_question_is_handed_on_twice_and_never_back(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    ana, ben, cat, ada = world.ana, world.ben, world.cat, world.ada
    assert await looking.refused(ana, grant, DELEGATE, "x", to=ana) == (422, "to")
    assert await looking.refused(ana, grant, DELEGATE, "x", to=world.bot) == (422, "to")
    first = await looking.answer(ana, grant, DELEGATE, "ben knows", to=ben)
    assert first["review"]["state"] == "delegated"
    assert await looking.refused(ana, grant, KEEP, "mine after all") == (403, "not_yours")
    assert await looking.refused(ben, grant, DELEGATE, "x", to=ana) == (422, "to")
    await looking.answer(ben, grant, DELEGATE, "cat knows", to=cat)
    assert await looking.refused(cat, grant, DELEGATE, "x", to=ben) == (422, "to")
    assert await looking.refused(cat, grant, DELEGATE, "x", to=ada) == (422, "to")
    (item,) = await looking.mine(cat)
    assert (item["subject"]["name"], item["state"]) == ("ana@test", "delegated")
    done = await looking.answer(cat, grant, KEEP, "she needs it")
    assert done["review"]["state"] == "decided"
    assert (await looking.one(ana))["state"] == "decided"


async def test_what_has_ended_meanwhile_is_asked_nobody_any_more(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana, seconds=60)
    await looking.answer(world.ana, grant, CANNOT_SAY, "no idea")
    world.wait(61)
    await looking.sweep()
    (item,) = await looking.confirming.done(world.ana)
    assert item["state"] == "moot"
    assert await looking.confirming.to_confirm(world.ben) == []


async def test_nobody_decides_for_another_or_on_what_has_ended(looking: Looking) -> None:
    world = looking.world
    grant = await world.granted(world.ana, seconds=60)
    assert await looking.refused(world.ben, grant, KEEP, "x") == (404, "no_grant")
    assert await looking.refused(world.ana, "grt-0", KEEP, "x") == (404, "no_grant")
    world.wait(60)
    assert await looking.refused(world.ana, grant, KEEP, "x") == (409, "moot")
    assert await looking.refused(world.ana, grant, GIVE_BACK) == (409, "moot")
    assert await world.store.decisions(grant) == []


async def test_an_answer_and_all_that_follows_from_it_happen_together_or_not_at_all(
    looking: Looking,
) -> None:
    world = looking.world
    grant = await world.granted(world.ana)
    answers = [looking.answer(world.ana, grant, GIVE_BACK) for _ in range(3)]
    answers += [looking.answer(world.ana, grant, NARROW, scope=READ) for _ in range(3)]
    done = await asyncio.gather(*answers, return_exceptions=True)
    assert sum(not isinstance(one, BaseException) for one in done) == 1
    assert len(await world.store.decisions(grant)) == 1
    assert len(await world.store.grant_reviews(grant=grant)) == 1
    reviewed = [one for one in await looking.actions() if one.startswith("review.")]
    done_then = [one for one in reviewed if not one.endswith(".refused")]
    assert len([one for one in done_then if one != "review.verified"]) == 1
    assert len(reviewed) - len(done_then) == 5  # the others tried


async def test_a_grant_that_needed_no_vote_names_its_rule(looking: Looking) -> None:
    world = looking.world
    await world.ask(world.ana, "dev-db")
    item = await looking.one(world.ana)
    assert item["why"]["approvers"] == ['the rule "engineer#3"']


async def test_a_grant_without_use_for_long_is_idle(looking: Looking) -> None:
    world = looking.world
    await world.granted(world.ana)
    assert (await looking.one(world.ana))["group"] == "privileged"  # everything, and just begun
    world.wait(HOUR / 2)
    assert (await looking.one(world.ana))["group"] == "no use seen for long"


# --- the mirror -------------------------------------------------------------------------------


async def test_the_mirror_tells_of_refusals_wide_scans_and_what_less_would_do(
    looking: Looking,
) -> None:
    world = looking.world
    await world.granted(world.ana)
    no = [statement(START, "public.cards:read", verdict="refuse") for _ in range(3)]
    await looking.session(world.ana, used(statement(START, READ), *no, rows=5_000, masked=2))
    (one,) = await mirror(world.means, looking.reviews.read, world.ana, world.time)
    assert (one["target"], one["statements"], one["refused"], one["masked"]) == (
        "prod-db",
        4,
        3,
        {"email": 8},
    )
    assert one["refused_most"] == [{"what": "public.cards:read", "times": 3}]
    assert one["wide_scans"] == [{"what": READ, "times": 1, "rows": 5_000}]
    assert one["narrower"]["scope"] == "public.*:read"
    assert await mirror(world.means, looking.reviews.read, world.ben, world.time) == []


async def test_the_mirror_tells_for_how_many_statements_a_mask_was_off_in_vain(
    looking: Looking,
) -> None:
    world = looking.world
    engineer = world.config.roles["engineer"]
    more = {"scope": "*.*:* *.*.*:unmask"}
    offers = tuple(one.model_copy(update=more) for one in engineer.may_request)
    roles = {**world.config.roles, "engineer": engineer.model_copy(update={"may_request": offers})}
    world.config = world.config.model_copy(update={"roles": roles})
    clear = "*.*:* public.people.ssn:unmask public.people.email:unmask"
    await world.approve(world.ben, (await world.ask(world.ana, scope=clear))["id"])
    said = [
        statement(START, "public.people:read", columns=("id",)),
        statement(START, "public.people:read", columns=("email", "id")),
        statement(START, "public.orders:read", columns=("ssn",)),  # another table's
    ]
    await looking.session(world.ana, used(*said))
    (one,) = await mirror(world.means, looking.reviews.read, world.ana, world.time)
    assert one["in_clear"] == [
        {"column": "public.people.email", "named": 1, "of": 3},
        {"column": "public.people.ssn", "named": 0, "of": 3},
    ]


# --- a year of it -----------------------------------------------------------------------------


async def test_the_first_page_of_a_year_is_there_at_once(world: World) -> None:
    """With HOOP_LONG=1 a year of 25,000 statements and fifty grants, and the time is printed."""
    days, count = (250, 50) if LONG else (5, 3)
    looking = Looking(world)
    grants = [await world.granted(world.ana) for _ in range(count)]
    session = await world.connect(world.ana)
    stored = await world.store.session(str(session))
    assert stored is not None
    use = used(*(statement(START, f"public.t{n % 20}:read") for n in range(100)))
    for day in range(days):
        began = START - day * DAY * SECOND
        for tally in use.tallies:
            tally.day, tally.last = began // (DAY * SECOND), began
        one = replace(stored, id=f"s-0000000{day:03}", started=began, ended=began + SECOND)
        await world.store.add_session(one)
        await world.store.put_use(one, use)
    began_at = time.process_time()
    items = await looking.mine(world.ana)
    took = time.process_time() - began_at
    assert {item["grant"] for item in items} == set(grants)
    assert items[0]["statements"] == 100 * min(days, 90)
    if LONG:
        print(f"\n{count} grants, {days * 100:,} statements: {took:.2f} s")  # noqa: T201
        assert took < 1
