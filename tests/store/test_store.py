"""What every store does, on SQLite and on PostgreSQL."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from hoopagent.store import Settled, Token
from hoopagent.store.people import ID_TOKEN_MARGIN
from hoopagent.store.sql import SqlStore
from hoopcore.model import (
    EVERYTHING,
    NOTHING,
    SECOND,
    Answer,
    ApprovalRule,
    AuditEvent,
    Decision,
    Grant,
    GrantState,
    Priority,
    Request,
    RequestState,
    ReviewAnswer,
    Scope,
    Session,
    Vote,
)
from tests.store.conftest import opened
from tests.store.world import START, principal

ANA, BEN, CAT = principal("ana", "engineering"), principal("ben", "dba", "b"), principal("cat")
RULE = ApprovalRule("engineer", frozenset({"dba", "b"}), 1, 7200)
SAID = AuditEvent(START, "p-ana", "test.said", "x")


def a_request(id: str = "req-00000001", **changes: object) -> Request:
    made = Request(
        id, ANA.id, "prod-db", Scope.parse("public.orders:read"), "because", 3600, START,
        START + 3600 * SECOND, RULE, "policy-1", task="t", ticket="OPS-1", priority=Priority.URGENT,
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def a_grant(id: str = "grt-00000001", **changes: object) -> Grant:
    made = Grant(
        id, "req-00000001", ANA.id, "prod-db", EVERYTHING, START, START + 3600 * SECOND
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def a_vote(id: str = "vote-00000001", voter: str = BEN.id, **changes: object) -> Vote:
    made = Vote(id, "req-00000001", voter, Answer.APPROVE, "yes", START + 1)
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


@pytest.fixture
async def peopled(store: SqlStore) -> SqlStore:
    for person in (ANA, BEN, CAT):
        await store.put_principal(person, START)
    return store


@pytest.fixture
async def granted(peopled: SqlStore) -> SqlStore:
    await peopled.add_request(a_request(), SAID)
    assert await peopled.fulfil("req-00000001", RequestState.PENDING, a_grant(), SAID)
    return peopled


# --- values ---------------------------------------------------------------------------------------


async def test_what_is_stored_comes_back_equal(peopled: SqlStore) -> None:
    store = peopled
    session = Session(
        "s-00000001", ANA.id, "prod-db", "shop", "local", "psql é", ("grt-00000001",), START
    )
    decision = Decision("dec-1", "grt-00000001", ANA.id, ReviewAnswer.KEEP, "need", START, "{}")
    token = Token("h", ANA.id, START, START + 5, START + 9, "SHA256:x")
    await store.add_request(a_request(key="k"), SAID)
    assert await store.add_vote(a_vote(duration=60), SAID)
    assert await store.fulfil("req-00000001", RequestState.PENDING, a_grant(), SAID)
    await store.add_session(session)
    await store.add_decision(decision, SAID)
    await store.add_token(token)

    fulfilled = a_request(key="k", state=RequestState.FULFILLED)
    assert await store.request("req-00000001") == fulfilled
    assert await store.request_with_key(ANA.id, "k") == fulfilled
    assert await store.votes("req-00000001") == [a_vote(duration=60)]
    assert await store.grant("grt-00000001") == a_grant()
    assert await store.session("s-00000001") == session
    assert await store.decisions("grt-00000001") == [decision]
    assert await store.token("h") == token
    assert await store.principals([ANA.id, BEN.id, "p-x"]) == {ANA.id: ANA, BEN.id: BEN}
    assert (await store.audit_events())[0] == SAID


async def test_an_empty_scope_comes_back_empty(granted: SqlStore) -> None:
    await granted.add_request(a_request("req-00000002", scope=NOTHING), SAID)
    found = await granted.request("req-00000002")
    assert found is not None
    assert found.scope == NOTHING


async def test_what_no_database_can_keep_is_kept_as_near_as_can_be(peopled: SqlStore) -> None:
    odd = AuditEvent(START, "a\0b", "test.odd", "\ud800", {"why": "x\0y"})
    await peopled.audit(odd)
    kept = (await peopled.audit_events())[0]
    assert (kept.actor, kept.subject) == ("a�b", "?")
    await peopled.put_principal(replace(BEN, email="b\0en"), START)
    assert (await peopled.principals_in(["b"]))[0].email == "b�en"


async def test_what_is_not_there_is_none(store: SqlStore) -> None:
    assert await store.principal("p-x") is None
    assert await store.request("req-x") is None
    assert await store.request_with_key("p-x", "k") is None
    assert await store.grant("grt-x") is None
    assert await store.session("s-x") is None
    assert await store.token("x") is None
    assert await store.identity_until("p-x") == 0
    assert await store.votes("req-x") == []
    assert await store.principals_in([]) == []
    assert await store.principals([]) == {}
    assert await store.votes_on([]) == {}


# --- people and tokens ----------------------------------------------------------------------------


async def test_a_new_sign_in_replaces_the_groups(peopled: SqlStore) -> None:
    await peopled.put_principal(replace(BEN, groups=frozenset({"sales"})), START + 1)
    assert await peopled.principals_in(["dba", "b"]) == []
    assert [p.id for p in await peopled.principals_in(["sales", "dba"])] == [BEN.id]


async def test_somebody_in_two_of_the_groups_is_found_once(peopled: SqlStore) -> None:
    assert [p.id for p in await peopled.principals_in(["dba", "b"])] == [BEN.id]


async def test_an_id_token_is_used_once_however_many_try(store: SqlStore) -> None:
    tries = [store.use_id_token("t", START + 60 * SECOND, START) for _ in range(8)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 7 + [True]
    # A checker whose clock is behind would still take it a minute after its end.
    late = START + 120 * SECOND
    assert not await store.use_id_token("t", START + 60 * SECOND, late)
    gone = START + 61 * SECOND + ID_TOKEN_MARGIN
    assert await store.use_id_token("other", gone, gone)
    assert await store.use_id_token("t", START + 60 * SECOND, gone)


async def test_a_token_belongs_to_the_first_uid_that_used_it(peopled: SqlStore) -> None:
    await peopled.add_token(Token("h", ANA.id, START, START, START, "k"))
    tries = await asyncio.gather(*(peopled.bind_token("h", uid) for uid in range(6)))
    assert sum(tries) == 1
    assert await peopled.bind_token("h", tries.index(True))
    assert await peopled.revoke_token("h")
    assert not await peopled.revoke_token("h")
    assert not await peopled.bind_token("h", tries.index(True))
    assert not await peopled.bind_token("unknown", 0)


async def test_identity_lasts_as_long_as_the_best_token_that_is_not_revoked(
    peopled: SqlStore,
) -> None:
    for number in (1, 3, 2):
        await peopled.add_token(Token(f"h{number}", ANA.id, START, START, START + number, "k"))
    assert await peopled.identity_until(ANA.id) == START + 3
    await peopled.revoke_token("h3")
    assert await peopled.identity_until(ANA.id) == START + 2
    assert await peopled.revoke_tokens_of(ANA.id) == 2
    assert await peopled.identity_until(ANA.id) == 0


async def test_a_token_of_nobody_is_the_callers_mistake(peopled: SqlStore) -> None:
    with pytest.raises(ValueError, match="principal"):
        await peopled.add_token(Token("h", "p-nobody", START, START, START, "k"))


async def test_two_agents_may_meet_the_same_new_person_at_once(url: str) -> None:
    first, second = await opened(url), await opened(url)
    try:
        await asyncio.gather(*(s.put_principal(BEN, START) for s in (first, second) * 4))
        assert await first.principals_in(["dba"]) == [BEN]
    finally:
        await first.close()
        await second.close()


# --- requests, votes, grants ----------------------------------------------------------------------


async def test_a_repeated_key_gives_the_earlier_request(peopled: SqlStore) -> None:
    first = await peopled.add_request(a_request(key="k"), SAID)
    again = await peopled.add_request(a_request("req-00000002", key="k"), SAID)
    assert again == first
    assert await peopled.request("req-00000002") is None
    assert len(await peopled.audit_events()) == 1
    await peopled.add_request(a_request("req-00000003", key="k", requester=BEN.id), SAID)
    await peopled.add_request(a_request("req-00000004"), SAID)
    await peopled.add_request(a_request("req-00000005"), SAID)
    assert len(await peopled.requests()) == 4


async def test_a_request_of_nobody_is_the_callers_mistake(peopled: SqlStore) -> None:
    with pytest.raises(ValueError, match="req-00000001"):
        await peopled.add_request(a_request(requester="p-nobody"), SAID)


async def test_lists_are_newest_first_and_filtered(peopled: SqlStore) -> None:
    await peopled.add_request(a_request(), SAID)
    later = a_request("req-00000002", created=START + 1, requester=BEN.id, target="dev-db")
    await peopled.add_request(later, SAID)
    assert [r.id for r in await peopled.requests()] == ["req-00000002", "req-00000001"]
    assert [r.id for r in await peopled.requests(requester=ANA.id)] == ["req-00000001"]
    assert [r.id for r in await peopled.requests(target="dev-db")] == ["req-00000002"]
    assert await peopled.requests(state=RequestState.DENIED) == []
    assert [r.id for r in await peopled.requests(ids=["req-00000001"])] == ["req-00000001"]
    assert len(await peopled.requests(limit=1)) == 1


async def test_a_request_leaves_a_state_once(peopled: SqlStore) -> None:
    await peopled.add_request(a_request(), SAID)
    pending = RequestState.PENDING
    moves = [RequestState.CANCELLED, RequestState.DENIED, RequestState.EXPIRED]
    won = await asyncio.gather(
        *(peopled.move_request("req-00000001", pending, new, SAID) for new in moves * 2)
    )
    assert sum(won) == 1
    found = await peopled.request("req-00000001")
    assert found is not None
    assert found.state is moves[won.index(True) % 3]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (RequestState.PENDING, RequestState.PENDING),
        (RequestState.DENIED, RequestState.APPROVED),
        (RequestState.EXPIRED, RequestState.PENDING),
        (RequestState.APPROVED, RequestState.FULFILLED),
    ],
)
async def test_a_state_that_cannot_follow_is_the_callers_mistake(
    peopled: SqlStore, old: RequestState, new: RequestState
) -> None:
    with pytest.raises(ValueError, match="cannot become"):
        await peopled.move_request("req-00000001", old, new, SAID)


async def test_one_person_votes_once_on_a_request(peopled: SqlStore) -> None:
    await peopled.add_request(a_request(), SAID)
    tries = [peopled.add_vote(a_vote(f"vote-{n}"), SAID) for n in range(6)]
    assert sorted(await asyncio.gather(*tries)) == [False] * 5 + [True]
    assert await peopled.add_vote(a_vote("vote-9", CAT.id), SAID)
    assert len(await peopled.votes("req-00000001")) == 2


async def test_a_vote_of_nobody_or_on_nothing_does_not_count(peopled: SqlStore) -> None:
    await peopled.add_request(a_request(), SAID)
    assert not await peopled.add_vote(a_vote(voter="p-nobody"), SAID)
    assert not await peopled.add_vote(a_vote(request="req-none"), SAID)
    assert len(await peopled.audit_events()) == 1


async def test_a_vote_at_the_deadline_is_too_late(peopled: SqlStore) -> None:
    request = a_request()
    await peopled.add_request(request, SAID)
    assert not await peopled.add_vote(a_vote(at=request.expires), SAID)
    assert await peopled.add_vote(a_vote(at=request.expires - 1), SAID)


async def test_a_settlement_that_fails_takes_the_vote_back(peopled: SqlStore) -> None:
    await peopled.add_request(a_request(), SAID)

    def broken(request: Request, votes: object) -> Settled:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError):
        await peopled.add_vote(a_vote(), SAID, broken)
    assert await peopled.votes("req-00000001") == []
    assert len(await peopled.audit_events()) == 1


async def test_a_grant_and_its_request_are_one_write(peopled: SqlStore) -> None:
    await peopled.add_request(a_request(), SAID)
    nobodys = a_grant(principal="p-nobody")
    assert not await peopled.fulfil("req-00000001", RequestState.PENDING, nobodys, SAID)
    found = await peopled.request("req-00000001")
    assert found is not None
    assert found.state is RequestState.PENDING
    tries = [
        peopled.fulfil("req-00000001", RequestState.PENDING, a_grant(f"grt-{n}"), SAID)
        for n in range(6)
    ]
    assert sorted(await asyncio.gather(*tries)) == [False] * 5 + [True]
    assert len(await peopled.grants()) == 1
    with pytest.raises(ValueError, match="cannot be fulfilled"):
        await peopled.fulfil("req-00000001", RequestState.DENIED, a_grant("grt-x"), SAID)
    with pytest.raises(ValueError, match="is not of request"):
        await peopled.fulfil("req-2", RequestState.PENDING, a_grant("grt-x"), SAID)


async def test_live_grants_hold_from_their_beginning_to_their_end(granted: SqlStore) -> None:
    grant = a_grant()
    for now, found in (
        (grant.not_before - 1, 0),
        (grant.not_before, 1),
        (grant.not_after - 1, 1),
        (grant.not_after, 0),
    ):
        assert len(await granted.grants(principal=ANA.id, live_at=now)) == found
    assert len(await granted.grants(requests=["req-00000001"])) == 1
    assert await granted.grants(requests=[]) == []
    assert await granted.grants(principal=BEN.id) == []


async def test_a_suspended_grant_does_not_hold_until_it_is_taken_up_again(
    granted: SqlStore,
) -> None:
    active, suspended = GrantState.ACTIVE, GrantState.SUSPENDED
    assert await granted.move_grant("grt-00000001", active, suspended, SAID)
    assert await granted.grants(live_at=START) == []
    assert not await granted.move_grant("grt-00000001", active, suspended, SAID)
    assert await granted.move_grant("grt-00000001", suspended, active, SAID)
    assert len(await granted.grants(live_at=START)) == 1
    with pytest.raises(ValueError, match="without ending"):
        await granted.move_grant("grt-00000001", active, GrantState.REVOKED, SAID)


async def test_a_grant_ends_once(granted: SqlStore) -> None:
    states = [GrantState.REVOKED, GrantState.RELINQUISHED, GrantState.EXPIRED]
    won = await asyncio.gather(
        *(
            granted.end_grant("grt-00000001", state, BEN.id, "why", START + 5, SAID)
            for state in states * 2
        )
    )
    assert sum(won) == 1
    ended = await granted.grant("grt-00000001")
    assert ended == a_grant(
        state=states[won.index(True) % 3], ended_at=START + 5, ended_by=BEN.id, ended_why="why"
    )
    with pytest.raises(ValueError, match="no end"):
        await granted.end_grant("grt-00000001", GrantState.ACTIVE, "x", "y", START, SAID)


async def test_nobody_ends_a_grant_whose_time_is_over(granted: SqlStore) -> None:
    end = a_grant().not_after
    assert not await granted.end_grant(
        "grt-00000001", GrantState.REVOKED, BEN.id, "late", end, SAID
    )


async def test_what_is_past_its_time_is_ended_once_and_told(granted: SqlStore) -> None:
    await granted.add_request(a_request("req-00000002"), SAID)
    end = a_grant().not_after
    assert await granted.expire(end - 1) == ([], [])
    before = len(await granted.audit_events())
    swept = await asyncio.gather(*(granted.expire(end) for _ in range(5)))
    assert sorted(swept) == [([], [])] * 4 + [(["req-00000002"], ["grt-00000001"])]
    assert len(await granted.audit_events()) == before + 2
    ended = await granted.grant("grt-00000001")
    assert ended is not None
    assert (ended.state, ended.ended_at, ended.ended_by) == (GrantState.EXPIRED, end, "system")


async def test_a_scheduled_grant_becomes_active_when_its_time_comes(peopled: SqlStore) -> None:
    await peopled.add_request(a_request(), SAID)
    grant = a_grant(state=GrantState.SCHEDULED, not_before=START + 10)
    await peopled.fulfil("req-00000001", RequestState.PENDING, grant, SAID)
    await peopled.expire(START + 9)
    assert await peopled.grant(grant.id) == grant
    await peopled.expire(START + 10)
    assert await peopled.grant(grant.id) == replace(grant, state=GrantState.ACTIVE)


# --- time -----------------------------------------------------------------------------------------


async def test_the_highest_time_is_never_lower_again(store: SqlStore, url: str) -> None:
    assert await store.highest_time(START + 50) == START + 50
    assert await store.highest_time(START - 50) == START + 50
    again = await opened(url, START + 20)
    try:
        assert await again.highest_time(0) == START + 50
    finally:
        await again.close()


# --- sessions, decisions, audit -------------------------------------------------------------------


async def test_an_ended_session_keeps_its_end(granted: SqlStore) -> None:
    open_session = Session("s-1", ANA.id, "prod-db", "shop", "ssh", "psql", (), START)
    await granted.add_session(open_session)
    moved = replace(open_session, grants=("grt-00000001",), statements=3, target="ignored")
    await granted.update_session(moved)
    assert await granted.session("s-1") == replace(moved, target="prod-db")
    ended = replace(moved, target="prod-db", ended=START + 9, end_cause="client", head="ab")
    await granted.update_session(ended)
    await granted.update_session(replace(ended, ended=START + 20, end_cause="recovered"))
    await granted.update_session(replace(moved, statements=99))
    assert await granted.session("s-1") == ended
    await granted.update_session(replace(ended, head="cd"))  # the same end, told more fully
    assert await granted.session("s-1") == replace(ended, head="cd")


async def test_sessions_are_found_by_what_they_are(granted: SqlStore) -> None:
    first = Session("s-1", ANA.id, "prod-db", "shop", "ssh", "", ("grt-00000001",), START)
    second = Session("s-2", BEN.id, "dev-db", "shop", "ssh", "", (), START + 5)
    for session in (first, second):
        await granted.add_session(session)
    first = replace(first, ended=START + 3)
    await granted.update_session(first)
    assert await granted.sessions() == [second, first]
    assert await granted.sessions(limit=1) == [second]
    assert await granted.sessions(live=True) == [second]
    assert await granted.sessions(live=False) == [first]
    assert await granted.sessions(principal=ANA.id) == [first]
    assert await granted.sessions(target="dev-db") == [second]
    assert await granted.sessions(grant="grt-00000001") == [first]
    assert await granted.sessions(since=START + 4) == [second]
    with pytest.raises(ValueError, match="s-1"):
        await granted.add_session(first)
    with pytest.raises(ValueError, match="s-2"):
        await granted.update_session(replace(second, grants=("grt-none",)))


@pytest.mark.parametrize("table", ["audit", "decisions"])
@pytest.mark.parametrize("change", ["DELETE FROM {}", "UPDATE {} SET actor = 'x'"])
async def test_the_database_itself_changes_no_audit_and_no_decision(
    granted: SqlStore, table: str, change: str
) -> None:
    decision = Decision("dec-1", "grt-00000001", ANA.id, ReviewAnswer.KEEP, "", START)
    await granted.add_decision(decision, SAID)
    async with granted._database.engine.connect() as connection:
        with pytest.raises(DBAPIError, match="only added to"):
            await connection.execute(text(change.format(table)))
        await connection.rollback()
    assert await granted.decisions("grt-00000001") == [decision]


async def test_the_audit_is_newest_first(store: SqlStore) -> None:
    for number in range(5):
        await store.audit(AuditEvent(START, "a", "n.o", str(number), {"k": "ü"}))
    assert [event.subject for event in await store.audit_events(3)] == ["4", "3", "2"]
