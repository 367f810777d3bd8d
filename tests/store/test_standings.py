"""What carries a session, in one look; and when no second look is wanted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hoopagent.store import Terms, Token
from hoopagent.store.sql import SqlStore, open_store
from hoopcore.model import SECOND, GrantState, Priority, RequestState, Session
from tests.store.test_store import ANA, BEN, RULE, SAID, a_grant, a_request
from tests.store.world import START

LATER = START + 1800 * SECOND
SESSION = Session(
    "s-0000000001", ANA.id, "prod-db", "shop", "local", "psql", ("grt-00000001",), START
)


async def furnished(store: SqlStore) -> SqlStore:
    for person in (ANA, BEN):
        await store.put_principal(person, START)
    await store.add_request(a_request(rule=replace(RULE, database_role="reader")), SAID)
    assert await store.fulfil("req-00000001", RequestState.PENDING, a_grant(), SAID)
    await store.add_token(Token("hash", ANA.id, START, START + 9, LATER, "in", 1000))
    return store


async def test_one_look_says_what_three_questions_say(store: SqlStore) -> None:
    await furnished(store)
    standing = await store.standing(ANA.id, "prod-db", LATER, who=True)
    grants = await store.grants(principal=ANA.id, target="prod-db", live_at=LATER)
    assert standing == (grants, await store.identity_until(ANA.id), await store.principal(ANA.id))
    assert standing.grants == [a_grant()]
    assert standing.principal is not None
    assert standing.principal.groups == ANA.groups
    assert (await store.standing(ANA.id, "prod-db", LATER)).principal is None  # nobody asked


@pytest.mark.parametrize(
    ("who", "where", "when"),
    [
        (BEN.id, "prod-db", LATER),
        (ANA.id, "dev-db", LATER),
        (ANA.id, "prod-db", START + 3600 * SECOND),
        ("p-nobody", "prod-db", LATER),
    ],
)
async def test_it_holds_for_that_principal_there_and_then_only(
    store: SqlStore, who: str, where: str, when: int
) -> None:
    await furnished(store)
    assert (await store.standing(who, where, when, who=True)).grants == []


async def test_one_that_begins_later_is_in_it_already(store: SqlStore) -> None:
    await furnished(store)
    assert (await store.standing(ANA.id, "prod-db", START - 1)).grants == [a_grant()]


async def test_the_terms_of_a_grant_are_those_of_its_request(store: SqlStore) -> None:
    await furnished(store)
    told = await store.terms(["grt-00000001", "grt-nobodys"])
    assert told == {"grt-00000001": Terms("reader", Priority.URGENT)}
    assert await store.terms([]) == {}


async def revoke(store: SqlStore) -> None:
    await store.end_grant("grt-00000001", GrantState.REVOKED, BEN.id, "over", LATER, SAID)


async def leave(store: SqlStore) -> None:
    await store.revoke_tokens_of(ANA.id)


async def move(store: SqlStore) -> None:
    await store.put_principal(replace(ANA, groups=frozenset()), LATER)


@pytest.mark.parametrize("change", [revoke, leave, move])
async def test_whatever_may_end_a_session_is_counted(
    tmp_path: Path, change: Callable[[SqlStore], Awaitable[None]]
) -> None:
    store = await open_store(f"sqlite:///{tmp_path / 'hoop.db'}", START, alone=True)
    assert isinstance(store, SqlStore)
    await furnished(store)
    before = store.changes
    await store.add_session(SESSION)
    await store.update_session(replace(SESSION, ended=LATER))
    assert store.changes == before  # sessions themselves carry nothing
    await change(store)
    assert store.changes != before
    await store.close()


async def test_a_store_that_others_write_to_never_says_that_nothing_changed(
    store: SqlStore,
) -> None:
    assert store.changes is None
