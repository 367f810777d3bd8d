"""Requests, votes and grants as people meet them; each named after what went wrong elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from hoopagent.config import Role
from hoopagent.errors import Refused
from hoopagent.store.sql import SqlStore
from hoopcore.model import SECOND, Answer, GrantState, Kind, RequestState, rfc3339
from tests.store.world import DAY, HOUR, START, World, offer, principal, section


async def refusal(use: object, status: int, error: str) -> Refused:
    with pytest.raises(Refused) as refused:
        await use  # type: ignore[misc] # any use case
    assert (refused.value.status, refused.value.error) == (status, error), refused.value.message
    return refused.value


# --- asking ---------------------------------------------------------------------------------------


async def test_a_request_says_who_decides_and_what_was_asked(world: World) -> None:
    asked = await world.ask(world.ana, scope="public.orders:read")
    assert asked["requester"] == {"id": "p-ana", "name": "ana@test"}
    assert asked["scope"] == "public.orders:read"
    assert asked["state"] == "pending"
    assert (asked["approvers"], asked["votes_needed"]) == (["dba", "oncall"], 1)
    assert (asked["created"], asked["expires"]) == (
        rfc3339(START),
        rfc3339(START + DAY * SECOND),
    )
    assert asked["grant"] is None
    assert await world.requests.show(world.ana, asked["id"]) == asked


async def test_what_the_policy_grants_without_a_vote_is_there_at_once(world: World) -> None:
    asked = await world.ask(world.ana, "dev-db")
    assert asked["state"] == "fulfilled"
    made = [event for event in await world.audited() if event.subject == asked["grant"]]
    assert [(event.actor, event.action) for event in made] == [("system", "grant.made")]
    assert made[0].detail["rule"] == "engineer#3"
    assert await world.connect(world.ana, "dev-db")


async def test_a_repeat_with_the_same_key_is_the_same_request(world: World) -> None:
    first = await world.ask(world.ana, key="k1")
    world.wait(60)
    again = await world.ask(world.ana, key="k1")
    assert again == first
    await world.approve(world.ben, first["id"])
    assert (await world.ask(world.ana, key="k1"))["state"] == "fulfilled"
    assert len(await world.requests.listed(world.ana, mine=True)) == 1
    other = world.ask(world.ana, key="k1", reason="something else")
    await refusal(other, 409, "key_used")
    assert (await world.ask(world.ben, key="k1", target="prod-db"))["id"] != first["id"]


async def test_the_same_key_sent_many_times_at_once_asks_once(world: World) -> None:
    asked = await asyncio.gather(*(world.ask(world.ana, "dev-db", key="k") for _ in range(6)))
    assert len({one["id"] for one in asked}) == 1
    assert len(await world.store.grants(principal=world.ana.id)) == 1


async def test_a_refused_wish_says_what_to_do_and_is_written_down(world: World) -> None:
    await refusal(world.ask(world.ana, "no-such"), 404, "no_target")
    refused = await refusal(world.ask(world.sue), 403, "not_eligible")
    assert "hoop targets" in refused.hint
    event = (await world.audited())[0]
    assert (event.actor, event.action) == (world.sue.id, "request.made.refused")
    await refusal(world.ask(world.ana, reason="   "), 422, "reason")
    await refusal(world.ask(world.ana, "dev-db", scope="*.*:update"), 403, "scope_too_wide")


async def test_nobody_but_the_asker_could_approve_so_it_is_refused_at_once(world: World) -> None:
    hermit, bot = principal("hal", "hermits"), replace(world.bot, groups=frozenset({"hermits"}))
    await world.sign_in(hermit)
    await world.sign_in(bot)
    refused = await refusal(world.ask(hermit, "lonely-db"), 403, "no_approver")
    assert "hermits" in refused.message
    await world.sign_in(principal("hob", "hermits"))
    assert (await world.ask(hermit, "lonely-db"))["state"] == "pending"


async def test_a_request_keeps_the_policy_it_was_made_under(world: World) -> None:
    asked = await world.ask(world.ana)
    tighter = Role(groups=frozenset({"engineering"}), may_request=(offer("prod-db", ["owners"]),))
    roles = {**world.config.roles, "engineer": tighter}
    world.config = world.config.model_copy(update={"roles": roles, "version": "policy-2"})
    shown = await world.approve(world.ben, asked["id"])
    assert (shown["approvers"], shown["state"]) == (["dba", "oncall"], "fulfilled")
    stored = await world.store.request(asked["id"])
    assert stored is not None
    assert stored.policy_version == "policy-1"


# --- voting ---------------------------------------------------------------------------------------


async def test_asker_cannot_approve_their_own_request(world: World) -> None:
    asked = await world.ask(world.cat)
    refused = await refusal(world.approve(world.cat, asked["id"]), 403, "asker")
    assert "Somebody else of dba or oncall" in refused.hint
    assert (await world.requests.show(world.cat, asked["id"]))["state"] == "pending"


async def test_an_admin_cannot_approve_their_own_request(world: World) -> None:
    asked = await world.ask(world.ada)
    await refusal(world.approve(world.ada, asked["id"]), 403, "asker")
    event = (await world.audited())[0]
    assert (event.actor, event.action, event.detail["error"]) == (
        world.ada.id,
        "vote.cast.refused",
        "asker",
    )


async def test_an_admin_who_is_no_approver_sees_a_request_and_cannot_vote(world: World) -> None:
    admin = principal("root", "admin")
    await world.sign_in(admin)
    asked = await world.ask(world.ana)
    assert await world.requests.show(admin, asked["id"])
    await refusal(world.approve(admin, asked["id"]), 403, "not_approver")


async def test_services_never_vote(world: World) -> None:
    asked = await world.ask(world.ana)
    await refusal(world.approve(world.bot, asked["id"]), 403, "not_human")


async def test_the_owner_of_an_agent_does_not_approve_what_it_asks_for(world: World) -> None:
    owner = world.ben.email.upper()
    helper = replace(world.ana, id="p-helper", kind=Kind.AGENT, email="", owner=owner)
    await world.sign_in(helper)
    asked = await world.ask(helper)
    waiting = await world.requests.listed(world.ben, to_decide=True)
    assert asked["id"] not in [one["id"] for one in waiting]
    refused = await refusal(world.approve(world.ben, asked["id"]), 403, "owner")
    assert "Somebody else of dba or oncall" in refused.hint
    assert (await world.approve(world.cat, asked["id"]))["state"] == "fulfilled"


async def test_one_person_in_two_groups_is_one_approval(world: World) -> None:
    asked = await world.ask(world.ana, "prod-vault")
    assert world.ben.groups >= {"dba", "security"}
    assert (await world.approve(world.ben, asked["id"]))["state"] == "pending"
    assert (await world.approve(world.ben, asked["id"]))["state"] == "pending"
    assert len((await world.approve(world.cat, asked["id"]))["votes"]) == 2
    assert (await world.requests.show(world.ana, asked["id"]))["state"] == "fulfilled"


async def test_more_approvals_than_needed_at_once_still_fulfil_once(world: World) -> None:
    asked = await world.ask(world.ana, "prod-vault")
    voters = (world.ben, world.cat, world.ada)
    votes = await asyncio.gather(
        *(world.approve(voter, asked["id"]) for voter in voters), return_exceptions=True
    )
    late = [vote for vote in votes if isinstance(vote, Refused)]
    assert all(refused.error == "not_pending" for refused in late)
    assert (await world.requests.show(world.ana, asked["id"]))["state"] == "fulfilled"
    assert len(await world.store.grants(principal=world.ana.id)) == 1


async def test_the_reason_of_an_approval_is_kept_too(world: World) -> None:
    asked = await world.ask(world.ana)
    shown = await world.approve(world.ben, asked["id"])
    assert [vote["reason"] for vote in shown["votes"]] == ["known incident"]
    cast = [event for event in await world.audited() if event.action == "vote.cast"]
    assert [event.detail["reason"] for event in cast] == ["known incident"]


async def test_a_denial_needs_a_reason_and_settles_it(world: World) -> None:
    asked = await world.ask(world.ana, "prod-vault")
    await world.approve(world.ben, asked["id"])
    use = world.requests.vote(world.cat, asked["id"], Answer.DENY, "  ")
    await refusal(use, 422, "reason")
    assert (await world.deny(world.cat, asked["id"]))["state"] == "denied"
    await refusal(world.approve(world.ada, asked["id"]), 409, "not_pending")
    assert await world.connect(world.ana, "prod-vault") is None


async def test_the_same_vote_again_changes_nothing_and_another_is_refused(world: World) -> None:
    asked = await world.ask(world.ana)
    first = await world.approve(world.ben, asked["id"], 600)
    assert await world.approve(world.ben, asked["id"], 600) == first
    await refusal(world.deny(world.ben, asked["id"]), 409, "voted")
    await refusal(world.approve(world.ben, asked["id"]), 409, "voted")


async def test_an_approver_only_shortens(world: World) -> None:
    asked = await world.ask(world.ana, seconds=HOUR)
    for seconds in (HOUR + 1, 0, -1):
        await refusal(world.approve(world.ben, asked["id"], seconds), 422, "duration")
    use = world.requests.vote(world.ben, asked["id"], Answer.DENY, "no", 60)
    await refusal(use, 422, "duration")
    await world.approve(world.ben, asked["id"], 600)
    found = await world.access(world.ana)
    assert found is not None
    assert found.until == START + 600 * SECOND


async def test_ceilings_hold_at_approval_too(world: World) -> None:
    asked = await world.ask(world.ana, seconds=HOUR)
    world.set_target("prod-db", section("5m"))
    await world.approve(world.ben, asked["id"])
    found = await world.access(world.ana)
    assert found is not None
    assert found.until == START + 300 * SECOND


async def test_a_target_that_is_gone_is_not_granted(world: World) -> None:
    asked = await world.ask(world.ana)
    world.set_target("prod-db", None)
    await refusal(world.approve(world.ben, asked["id"]), 409, "no_target")
    assert (await world.deny(world.ben, asked["id"]))["state"] == "denied"


async def test_who_could_not_ask_any_more_is_not_granted(world: World) -> None:
    """By what a role says now, and by the groups the asker has now."""
    asked = await world.ask(world.ana)
    roles = {**world.config.roles}
    eligible = roles.pop("engineer")
    world.config = world.config.model_copy(update={"roles": roles})
    await refusal(world.approve(world.ben, asked["id"]), 409, "not_eligible")
    narrower = offer("prod-db", ["dba"], scope="public.*:select")
    for less in (narrower, offer("dev-*", ["dba"])):
        some = eligible.model_copy(update={"may_request": (less,)})
        world.config = world.config.model_copy(update={"roles": {**roles, "engineer": some}})
        await refusal(world.approve(world.ben, asked["id"]), 409, "not_eligible")
    world.config = world.config.model_copy(update={"roles": {**roles, "engineer": eligible}})
    await world.sign_in(replace(world.ana, groups=frozenset({"sales"})))
    await refusal(world.approve(world.ben, asked["id"]), 409, "not_eligible")
    assert await world.access(world.ana) is None
    await world.sign_in(world.ana)
    assert (await world.approve(world.ben, asked["id"]))["state"] == "fulfilled"


async def test_the_ceiling_of_the_role_holds_at_approval_too(world: World) -> None:
    asked = await world.ask(world.ana, seconds=HOUR)
    engineer = Role(
        groups=frozenset({"engineering"}), may_request=(offer("prod-db", ["dba"], max="5m"),)
    )
    world.config = world.config.model_copy(
        update={"roles": {**world.config.roles, "engineer": engineer}}
    )
    await world.approve(world.ben, asked["id"])
    found = await world.access(world.ana)
    assert found is not None
    assert found.until == START + 300 * SECOND


async def test_requests_expire_and_take_no_votes_from_then_on(world: World) -> None:
    asked = await world.ask(world.ana)
    world.wait(DAY - 1)
    assert (await world.requests.show(world.ana, asked["id"]))["state"] == "pending"
    world.wait(1)
    # Before anybody swept, and after.
    assert (await world.requests.show(world.ana, asked["id"]))["state"] == "expired"
    await refusal(world.approve(world.ben, asked["id"]), 409, "not_pending")
    assert await world.grants.sweep(world.time) == ([asked["id"]], [])
    await refusal(world.approve(world.ben, asked["id"]), 409, "not_pending")
    assert await world.connect(world.ana) is None


# --- cancelling -----------------------------------------------------------------------------------


async def test_only_the_asker_cancels_and_once_more_changes_nothing(world: World) -> None:
    asked = await world.ask(world.ana)
    await refusal(world.requests.cancel(world.ben, asked["id"]), 403, "not_yours")
    assert (await world.requests.cancel(world.ana, asked["id"]))["state"] == "cancelled"
    assert (await world.requests.cancel(world.ana, asked["id"]))["state"] == "cancelled"
    await refusal(world.approve(world.ben, asked["id"]), 409, "not_pending")


async def test_what_is_granted_is_not_cancelled_and_the_try_is_written_down(world: World) -> None:
    asked = await world.ask(world.ana)
    await world.approve(world.ben, asked["id"])
    await refusal(world.requests.cancel(world.ana, asked["id"]), 409, "not_pending")
    assert (await world.audited())[0].action == "request.cancelled.refused"


# --- who sees what --------------------------------------------------------------------------------


async def test_lists_show_ones_own_and_what_one_may_decide(world: World) -> None:
    anas = (await world.ask(world.ana))["id"]
    cats = (await world.ask(world.cat))["id"]

    async def ids(who: object, **which: object) -> set[str]:
        return {r["id"] for r in await world.requests.listed(who, **which)}  # type: ignore[arg-type] # any

    assert await ids(world.ana, mine=True) == {anas}
    assert await ids(world.ana) == {anas}
    assert await ids(world.ben) == {anas, cats}
    assert await ids(world.ben, to_decide=True) == {anas, cats}
    assert await ids(world.cat, to_decide=True) == {anas}
    assert await ids(world.bot, to_decide=True) == set()
    assert await ids(world.sue) == set()
    await world.approve(world.ben, anas)
    assert await ids(world.cat, to_decide=True) == set()
    assert await ids(world.ben, state=RequestState.FULFILLED) == {anas}
    await refusal(world.requests.show(world.sue, anas), 404, "no_request")
    await refusal(world.requests.show(world.ana, "req-00000000"), 404, "no_request")
    await refusal(world.approve(world.sue, cats), 404, "no_request")


# --- grants and their ends ------------------------------------------------------------------------


async def test_the_full_duration_is_not_given_again_at_connect(world: World) -> None:
    await world.granted(world.ana, seconds=HOUR)
    world.wait(HOUR - 10)
    assert await world.connect(world.ana)
    found = await world.access(world.ana)
    assert found is not None
    assert found.until == START + HOUR * SECOND
    world.wait(9)
    assert await world.look() == []
    world.wait(1)
    await world.look()
    assert await world.live_sessions() == set()
    assert await world.connect(world.ana) is None


async def test_a_newer_grant_hides_no_older_one(world: World) -> None:
    await world.granted(world.ana, seconds=HOUR)
    newer = await world.granted(world.ana, seconds=60)
    session = await world.connect(world.ana)
    world.wait(60)
    await world.look()
    assert await world.live_sessions() == {session}
    grant = await world.store.grant(newer)
    assert grant is not None
    assert grant.state is GrantState.EXPIRED


async def test_revoking_ends_the_live_session(world: World) -> None:
    grant = await world.granted(world.ana)
    session = await world.connect(world.ana)
    ended = await world.grants.revoke(world.ben, grant, "she is on leave")
    assert ended["closed"] == [session]
    assert await world.live_sessions() == set()
    assert (ended["state"], ended["ended_by"], ended["ended_why"]) == (
        "revoked",
        "ben@test",
        "she is on leave",
    )
    assert await world.connect(world.ana) is None


async def test_a_session_that_rests_on_another_grant_too_stays(world: World) -> None:
    first = await world.granted(world.ana)
    session = await world.connect(world.ana)
    second = await world.granted(world.ana)  # made after the session was opened
    assert (await world.grants.relinquish(world.ana, first))["closed"] == []
    assert await world.live_sessions() == {session}
    await world.grants.relinquish(world.ana, second)
    await world.look()
    assert await world.live_sessions() == set()


async def test_only_the_holder_relinquishes_and_once_more_changes_nothing(world: World) -> None:
    grant = await world.granted(world.ana)
    await refusal(world.grants.relinquish(world.ben, grant), 403, "not_yours")
    first = await world.grants.relinquish(world.ana, grant)
    assert first["state"] == "relinquished"
    assert await world.grants.relinquish(world.ana, grant) == {**first, "closed": []}
    await refusal(world.grants.revoke(world.ben, grant, "late"), 409, "ended")
    await refusal(world.grants.relinquish(world.sue, grant), 404, "no_grant")


@pytest.mark.parametrize("groups", [("owners",), ("admin",), ("oncall",)])
async def test_owners_administrators_and_approvers_revoke_with_a_reason(
    world: World, groups: tuple[str, ...]
) -> None:
    actor = principal("max", *groups)
    await world.sign_in(actor)
    grant = await world.granted(world.ana)
    await refusal(world.grants.revoke(actor, grant, " "), 422, "reason")
    await refusal(world.grants.revoke(actor, grant, "a\x1b[2Jb"), 422, "reason")
    await refusal(world.grants.revoke(world.ana, grant, "mine"), 403, "not_allowed")
    await refusal(world.grants.revoke(world.sue, grant, "hers"), 404, "no_grant")
    assert (await world.grants.revoke(actor, grant, "enough"))["state"] == "revoked"


async def test_a_lowered_ceiling_ends_grants_that_are_longer(world: World) -> None:
    grant = await world.granted(world.ana, seconds=HOUR)
    session = await world.connect(world.ana)
    world.wait(600)
    world.set_target("prod-db", section("5m"))
    assert await world.connect(world.ana) is None
    assert await world.grants.sweep(world.time) == ([], [grant])
    assert session not in await world.live_sessions()


async def test_the_end_of_the_sign_in_ends_the_session(world: World) -> None:
    await world.sign_in(world.ana, hours=1)
    await world.store.revoke_tokens_of(world.ana.id)
    await world.sign_in(world.ana, hours=1)
    await world.granted(world.ana, seconds=2 * HOUR)
    assert await world.connect(world.ana)
    world.wait(HOUR)
    await world.look()
    assert await world.live_sessions() == set()


async def test_a_clock_turned_back_extends_nothing(world: World) -> None:
    await world.granted(world.ana, seconds=HOUR)
    session = await world.connect(world.ana)
    world.wait(HOUR - 1)
    assert await world.look() == []
    assert await world.live_sessions() == {session}
    world.wait(1)
    await world.look()
    world.wait(-DAY)
    assert await world.connect(world.ana) is None
    assert await world.live_sessions() == set()
    asked = await world.ask(world.ana)
    assert asked["created"] == rfc3339(START + HOUR * SECOND)


async def test_a_clock_turned_back_keeps_no_request_pending(world: World) -> None:
    asked = await world.ask(world.ana)
    world.wait(DAY)
    await world.grants.sweep(world.time)
    world.wait(-DAY)
    await refusal(world.approve(world.ben, asked["id"]), 409, "not_pending")


async def test_lists_of_grants_show_ones_own_or_all_one_may_end(world: World) -> None:
    anas = await world.granted(world.ana)
    old = await world.granted(world.ana, seconds=60)
    world.wait(60)

    async def shown(who: object, **which: object) -> dict[str, str]:
        found = await world.grants.listed(who, **which)  # type: ignore[arg-type] # any
        return {grant["id"]: grant["state"] for grant in found}

    assert await shown(world.ana) == {anas: "active", old: "expired"}
    assert await shown(world.ana, live=True) == {anas: "active"}
    assert await shown(world.ben) == {}
    assert set(await shown(world.ben, everyone=True)) == {anas, old}
    assert await shown(world.sue, everyone=True) == {}


async def test_no_grant_is_without_its_audit_row(world: World, store: SqlStore) -> None:
    for _ in range(3):
        await world.granted(world.ana)
    made = {event.subject for event in await world.audited() if event.action == "grant.made"}
    assert made == {grant.id for grant in await store.grants()}
