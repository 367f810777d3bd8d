"""Looking back: one's own usage as evidence, keep or give back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from hoopagent.errors import Refused
from hoopagent.reviews import Reviews
from hoopcore.model import SECOND, ReviewAnswer, Session, Time, rfc3339
from tests.store.world import HOUR, START, World

KEEP, GIVE_BACK = ReviewAnswer.KEEP, ReviewAnswer.GIVE_BACK


@dataclass(frozen=True)
class Used:
    """What a recording tells."""

    statements: int = 0
    refused: int = 0
    rows: int = 0
    masked: int = 0
    touched: frozenset[str] = frozenset()
    unread: int = 0
    last: Time | None = None


def reviews(world: World, *told: Used | Exception) -> Reviews:
    """The recordings of the sessions, oldest first."""
    by_session: dict[str, Used | Exception] = {}

    def usage(session: Session) -> Used:
        found = by_session.setdefault(session.id, told[len(told) - 1 - len(by_session)])
        if isinstance(found, Exception):
            raise found
        return found

    return Reviews(world.means, world.grants, usage)


def unread(_: Session) -> Used:
    raise AssertionError("no session, no recording")


async def test_a_review_shows_why_one_has_a_grant_and_what_was_done_with_it(world: World) -> None:
    grant = await world.granted(world.ana)
    for _ in range(2):
        await world.connect(world.ana)
        world.wait(60)
    first = Used(3, 1, 40, 7, frozenset({"public.orders:read"}), 0, START + 5)
    second = Used(2, 0, 1, 0, frozenset({"public.orders:update"}), 0, START + 70)
    (item,) = await reviews(world, first, second).mine(world.ana)
    assert item["grant"] == grant
    assert item["why"] == {
        "reason": "order 4711 is stuck",
        "ticket": "",
        "approvers": ["ben@test"],
        "at": rfc3339(START),
    }
    assert (item["not_after"], item["granted"]) == (rfc3339(START + HOUR * SECOND), "*.*:*")
    totals = [item[name] for name in ("sessions", "statements", "refused", "rows", "masked")]
    assert totals == [2, 5, 1, 41, 7]
    assert item["used"] == ["public.orders:read", "public.orders:update"]
    assert (item["last_use"], item["use"], item["suggestion"]) == (
        rfc3339(START + 70),
        "seen",
        None,
    )


async def test_what_was_not_seen_is_never_called_unused(world: World) -> None:
    await world.granted(world.ana)
    quiet = Reviews(world.means, world.grants, unread)
    (item,) = await quiet.mine(world.ana)
    assert (item["use"], item["used"], item["last_use"]) == ("not seen", [], None)
    assert item["suggestion"].startswith("give back: no session")
    assert "not used" not in json.dumps(item)
    await world.connect(world.ana)
    (item,) = await reviews(world, Used()).mine(world.ana)
    assert item["use"] == "not seen"
    assert item["suggestion"].startswith("give back: no statement")


async def test_a_statement_that_could_not_be_read_counts_as_use_of_the_whole_scope(
    world: World,
) -> None:
    asked = await world.ask(world.ana, scope="public.orders:read+update")
    await world.approve(world.ben, asked["id"])
    await world.connect(world.ana)
    (item,) = await reviews(world, Used(1, unread=1, last=START)).mine(world.ana)
    assert item["used"] == ["public.orders:read", "public.orders:update"]
    assert (item["unread"], item["use"], item["suggestion"]) == (1, "seen", None)


async def test_one_damaged_recording_hides_no_other_and_suggests_nothing(world: World) -> None:
    await world.granted(world.ana)
    await world.connect(world.ana)
    world.wait(1)
    await world.connect(world.ana)
    read = Used(4, touched=frozenset({"public.orders:read"}), last=START)
    (item,) = await reviews(world, OSError("disk"), read).mine(world.ana)
    assert (item["sessions"], item["statements"], item["unseen"]) == (2, 4, 1)
    assert item["used"] == ["public.orders:read"]
    (item,) = await reviews(world, OSError("disk"), ValueError("bad")).mine(world.ana)
    assert (item["unseen"], item["use"], item["suggestion"]) == (2, "seen", None)


async def test_a_recording_that_ends_early_is_told(world: World) -> None:
    await world.granted(world.ana)
    session = await world.connect(world.ana)
    stored = await world.store.session(str(session))
    assert stored is not None
    await world.store.update_session(replace(stored, statements=9))
    (item,) = await reviews(world, Used(4)).mine(world.ana)
    assert item["unseen"] == 1


async def test_only_live_grants_of_ones_own_are_reviewed(world: World) -> None:
    await world.granted(world.ana, seconds=60)
    quiet = Reviews(world.means, world.grants, unread)
    assert await quiet.mine(world.ben) == []
    assert len(await quiet.mine(world.ana)) == 1
    world.wait(60)
    assert await quiet.mine(world.ana) == []


async def test_giving_back_ends_live_sessions_at_once_and_keeps_the_evidence(world: World) -> None:
    grant = await world.granted(world.ana)
    session = await world.connect(world.ana)
    use = reviews(world, Used(2, touched=frozenset({"public.orders:read"}), last=START))
    decided = await use.decide(world.ana, grant, GIVE_BACK, "")
    assert decided["closed"] == [session]
    assert decided["decision"]["answer"] == "give back"
    assert await world.connect(world.ana) is None
    (decision,) = await world.store.decisions(grant)
    assert json.loads(decision.evidence)["used"] == ["public.orders:read"]
    ended = await world.store.grant(grant)
    assert ended is not None
    assert (ended.state.value, ended.ended_why) == ("relinquished", "given back in a review")


async def test_keeping_needs_a_reason_and_moves_no_end(world: World) -> None:
    grant = await world.granted(world.ana)
    before = await world.store.grant(grant)
    quiet = Reviews(world.means, world.grants, unread)
    assert await refused(lambda: quiet.decide(world.ana, grant, KEEP, " ")) == (422, "reason")
    assert await refused(lambda: quiet.decide(world.ana, grant, KEEP, "a\nb")) == (422, "reason")
    kept = await quiet.decide(world.ana, grant, KEEP, "still at it")
    assert kept["closed"] == []
    assert await world.store.grant(grant) == before
    assert (await world.audited())[0].action == "review.kept"
    # A change of mind is another decision, not another text in the same one.
    await quiet.decide(world.ana, grant, GIVE_BACK, "done")
    answers = [decision.answer for decision in await world.store.decisions(grant)]
    assert sorted(answers) == [GIVE_BACK, KEEP]


async def test_nobody_decides_for_another_or_on_what_has_ended(world: World) -> None:
    grant = await world.granted(world.ana, seconds=60)
    quiet = Reviews(world.means, world.grants, unread)
    assert await refused(lambda: quiet.decide(world.ben, grant, KEEP, "x")) == (404, "no_grant")
    assert await refused(lambda: quiet.decide(world.ana, "grt-0", KEEP, "x")) == (404, "no_grant")
    world.wait(60)
    assert await refused(lambda: quiet.decide(world.ana, grant, KEEP, "x")) == (409, "moot")
    assert await refused(lambda: quiet.decide(world.ana, grant, GIVE_BACK, "")) == (409, "moot")
    assert await world.store.decisions(grant) == []


async def test_a_grant_that_needed_no_vote_names_its_rule(world: World) -> None:
    await world.ask(world.ana, "dev-db")
    (item,) = await Reviews(world.means, world.grants, unread).mine(world.ana)
    assert item["why"]["approvers"] == ['the rule "engineer#3"']


async def refused(use: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(Refused) as refusal:
        await use()  # type: ignore[misc] # any use case
    return refusal.value.status, refusal.value.error
