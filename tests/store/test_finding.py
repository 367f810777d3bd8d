"""The index of sessions on both stores: what is found, in which order, and how fast among many."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hoopagent.index import Indexing, facets_so_far, rebuild
from hoopagent.readers import capacity
from hoopagent.recordings import day
from hoopagent.store.sql import SqlStore
from hoopcore.model import SECOND, Session, new_id
from hoopcore.recording import Event, Said
from hoopcore.recording.facets import Condition, Count, Facet, Facets, conditions, facets
from tests.cli.recorded import file_of
from tests.store.test_store import ANA, BEN
from tests.store.world import START, World


def a_session(number: int, **changes: object) -> Session:
    started = START + number * SECOND
    made = Session(
        f"s-{number:010}", ANA.id, "prod-db", "shop", "local", "psql", (), started,
        ended=started + SECOND, end_cause="client left",
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type] # fields by name


def reads(table: str, *columns: str) -> Facets:
    return facets([Said(seq=1, touches=(f"public.{table}:read",), columns=columns)])


def touching(text: str, **wish: object) -> tuple[Condition, ...]:
    return conditions(touching=text, **wish)  # type: ignore[arg-type] # words to values


async def filled(store: SqlStore, found: Iterable[tuple[Session, Facets]]) -> None:
    await store.put_principal(ANA, START)
    await store.put_principal(BEN, START)
    for session, told in found:
        await store.add_session(session)
        await store.put_facets(session, told)


async def test_sessions_are_found_by_what_they_touched_the_newest_first(store: SqlStore) -> None:
    await filled(
        store,
        [
            (a_session(1), reads("customers", "email")),
            (a_session(2), reads("orders")),
            (a_session(3, principal=BEN.id), reads("customers", "*")),
            (a_session(4, target="other"), reads("customers", "id")),
        ],
    )
    ids = [f"s-{n:010}" for n in range(5)]
    assert await store.found(touching("customers")) == [ids[4], ids[3], ids[1]]
    assert await store.found(touching("customers.email")) == [ids[3], ids[1]]
    assert await store.found(touching("customers"), limit=2) == [ids[4], ids[3]]
    assert await store.found(touching("customers"), principal=ANA.id) == [ids[4], ids[1]]
    assert await store.found(touching("customers"), target="other") == [ids[4]]
    assert await store.found(touching("customers"), until=START + 3 * SECOND) == [ids[1]]
    assert await store.found(touching("customers"), since=START + 4 * SECOND) == [ids[4], ids[3]]
    assert await store.found(touching("audit.customers")) == []
    assert await store.found(touching("customers", effect="delete")) == []


async def test_every_condition_is_met_by_one_session(store: SqlStore) -> None:
    masked: Facets = {Facet("masked", "card"): Count(3)}
    refused = facets([Said(seq=1, touches=("public.orders:delete",), verdict="refuse")])
    await filled(
        store,
        [
            (a_session(1), reads("orders") | masked),
            (a_session(2), reads("orders")),
            (a_session(3), refused),
        ],
    )
    assert await store.found(touching("orders", masked="card")) == ["s-0000000001"]
    assert await store.found(touching("orders", refused=True)) == ["s-0000000003"]
    assert await store.found(conditions(refused=True)) == ["s-0000000003"]
    assert await store.found(conditions(masked="ssn")) == []


async def test_a_session_indexed_again_is_what_it_is_now(store: SqlStore) -> None:
    await filled(store, [(a_session(1), reads("orders"))])
    await store.put_facets(a_session(1), reads("customers"))
    assert await store.found(touching("orders")) == []
    assert await store.found(touching("customers")) == ["s-0000000001"]
    assert await store.unindexed(10) == []
    await store.forget_index()
    assert await store.unindexed(10) == ["s-0000000001"]
    assert await store.found(touching("customers")) == []


def kept(folder: Path, session: Session, events: list[Event]) -> None:
    place = day(folder, session.started)
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{session.id}.jsonl.zst").write_bytes(file_of(events))


async def test_the_index_comes_from_recordings_and_comes_back(
    store: SqlStore, tmp_path: Path
) -> None:
    await store.put_principal(ANA, START)
    sessions = [a_session(n, id=new_id("s", bytes([n]) * 16)) for n in range(1, 6)]
    for n, session in enumerate(sessions):
        await store.add_session(session)
        if n != 2:  # whose recording another agent has
            kept(tmp_path, session, [Said(seq=1, touches=(f"public.t{n}:read",))])
    damaged = day(tmp_path, sessions[3].started) / f"{sessions[3].id}.jsonl.zst"
    damaged.write_bytes(os.urandom(500))
    live = a_session(9, id=new_id("s", b"L" * 16), ended=None, end_cause="")
    await store.add_session(live)
    kept(tmp_path, live, [Said(seq=1, touches=("public.now:read",))])
    indexing = Indexing(store, tmp_path, lambda: START, pause=0.0)
    assert await indexing.fill() == 4
    assert indexing.absent == 1
    assert await indexing.fill() == 0
    assert await store.found(touching("t1")) == [sessions[1].id]
    assert await store.found(touching("now")) == []
    assert Facet("relation", "now", "public.now") in facets_so_far(tmp_path, live)
    assert await rebuild(store, tmp_path, lambda: START) == (4, 1)
    assert await store.found(touching("t1")) == [sessions[1].id]


async def test_who_answered_a_request_behind_a_session_may_read_it(world: World) -> None:
    ana, ben, cat = world.ana, world.ben, world.cat
    grant = await world.granted(ana)
    session = await world.connect(ana)
    assert session is not None
    kept_session = await world.store.session(session)
    assert kept_session is not None
    assert kept_session.grants == (grant,)
    assert await capacity(world.means, ana, kept_session) == "self"
    nobodys = replace(kept_session, target="a target that nobody owns")
    assert await capacity(world.means, replace(ben, groups=frozenset()), nobodys) == "approver"
    assert await capacity(world.means, replace(cat, groups=frozenset()), nobodys) == ""


MANY = 1_000_000 if os.environ.get("HOOP_LONG") else 20_000


async def test_touching_is_found_among_many_statements(tmp_path: Path) -> None:
    """HOOP_LONG=1: 1 M statements in 100,000 sessions; prints how long each question took."""
    from tests.store.conftest import opened

    store = await opened(f"sqlite:///{tmp_path / 'hoop.sqlite'}")
    try:
        await _fill(store, MANY // 10)
        for words, wish in (
            ("in every session", touching("common.id")),
            ("in one of a thousand", touching("rare.email", effect="read")),
            ("in one", touching("needle")),
            ("in none", touching("nothing")),
            ("in every one, and masked in few", touching("common", masked="card")),
        ):
            began = time.perf_counter()
            found = await store.found(wish)
            print(f"{words}: {len(found)} in {time.perf_counter() - began:.3f} s")  # noqa: T201 - what it is for
            assert len(found) <= 200
        assert len(await store.found(touching("common.id"))) == 200
        assert await store.found(touching("needle")) == ["s-0000000777"]
    finally:
        await store.close()


async def _fill(store: SqlStore, count: int) -> None:
    """So many sessions, of ten statements each."""
    from sqlalchemy import insert
    from sqlalchemy.ext.asyncio import AsyncConnection

    from hoopagent.store import rows
    from hoopagent.store.tables import session_facets, sessions

    await store.put_principal(ANA, START)
    for begin in range(0, count, 5_000):
        made: list[dict[str, Any]] = []
        index: list[dict[str, Any]] = []
        for n in range(begin, min(begin + 5_000, count)):
            session = a_session(n)
            said = [
                Said(seq=i, touches=("public.common:read",), columns=("id", "name"))
                for i in range(8)
            ]
            said.append(Said(seq=8, touches=(f"public.t{n % 500}:read",), columns=("a", "b")))
            odd = "needle" if n == 777 else "rare" if n % 1000 == 0 else f"u{n % 300}"
            said.append(Said(seq=9, touches=(f"public.{odd}:read",), columns=("email",)))
            told = facets(said)
            if n % 5000 == 1:
                told[Facet("masked", "card")] = Count(1)
            made.append(rows.session_values(session))
            index += [
                {
                    "session": session.id, "started": session.started, "kind": facet.kind,
                    "name": facet.name, "full_name": facet.full, "done": counted.done,
                    "refused": counted.refused,
                }
                for facet, counted in told.items()
            ]  # fmt: skip

        async def work(
            connection: AsyncConnection,
            made: list[dict[str, Any]] = made,
            index: list[dict[str, Any]] = index,
        ) -> None:
            await connection.execute(insert(sessions), made)
            await connection.execute(insert(session_facets), index)

        await store._database.write(work, counts=False)
        await asyncio.sleep(0)
