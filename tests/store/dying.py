"""A request's whole life, led again and again by processes that are killed in one of its writes.

``python -m tests.store.dying URL FOLDER 1`` leads it once whole, and then once for each step,
killing (SIGKILL) just before that step.  A step is one statement that writes, or a COMMIT.  The
same life gives the same rows, so what a killed one leaves is what stood on one side of that write.

Each life is a fork of this process, which has imported everything: there are about a hundred, or
with N in place of 1 one in N of them.  Each has a store of its own: a copy of one file, or of one
database.
Order of the file: steps, the life, what it leaves, stores of one's own, all of them.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
from sqlalchemy import event, text
from sqlalchemy.engine import make_url

from hoopagent.store.database import Database
from hoopagent.store.sql import SqlStore
from hoopcore.access import Wish
from hoopcore.model import SECOND, Answer, Priority, Scope
from tests.store.conftest import joined, opened
from tests.store.world import HOUR, START, World

_WRITES = ("INSERT", "UPDATE", "DELETE")
# Of each table what does not hang on when the process ran.
_TABLES = ("requests", "votes", "grants", "sessions", "session_grants", "decisions")


class Steps:
    """Counts the steps of a store's writes, and dies before one of them."""

    def __init__(self, store: SqlStore, last: int | None) -> None:
        self.count = 0
        self._last = last
        engine = store._database.engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._statement)
        event.listen(engine, "commit", self._commit)
        self._wrote = False

    def _statement(self, _connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if statement.lstrip().upper().startswith(_WRITES):
            self._wrote = True
            self._step()

    def _commit(self, _connection: Any) -> None:
        if self._wrote:
            self._wrote = False
            self._step()

    def _step(self) -> None:
        self.count += 1
        if self.count == self._last:
            os.kill(os.getpid(), signal.SIGKILL)


async def life(world: World) -> None:
    """Asked, narrowed, extended, used, revoked; for tonight; denied; cancelled; lapsed."""
    vault = await world.ask(world.ana, "prod-vault", 600, scope="public.orders:read")
    await world.approve(world.ben, vault["id"])
    narrow = Scope.parse("public.orders:read")
    made = await world.requests.vote(
        world.cat, vault["id"], Answer.APPROVE, "yes", 300, scope=narrow
    )
    await world.connect(world.ana, "prod-vault")
    wish = Wish("", "longer", 300, None, "", "", Priority.NORMAL, "", None, made["grant"])
    more = await world.requests.ask(world.ana, wish)
    for voter in (world.ben, world.cat):
        await world.approve(voter, more["id"])
    later = Wish("prod-db", "tonight", HOUR, starts=START + 2 * HOUR * SECOND)
    tonight = await world.requests.ask(world.ana, later)
    await world.approve(world.ben, tonight["id"])
    await world.grants.revoke(world.ben, made["grant"], "enough")
    await world.deny(world.ben, (await world.ask(world.ana))["id"])
    await world.requests.cancel(world.ana, (await world.ask(world.ana))["id"])
    await world.ask(world.ana)
    world.wait(2 * HOUR + 900)
    await world.grants.sweep(world.time)
    mine = [one["id"] for one in await world.grants.listed(world.ana, live=True)]
    await world.grants.relinquish(world.ana, mine[0])


async def rows(store: SqlStore) -> dict[str, list[list[Any]]]:
    """What the tables hold, and the audit without what hangs on the clock of the machine."""

    async def work(connection: Any) -> dict[str, list[list[Any]]]:
        found = {}
        for table in _TABLES:
            got = await connection.execute(text(f"SELECT * FROM {table}"))
            found[table] = sorted([list(row) for row in got], key=repr)
        got = await connection.execute(
            text("SELECT at, actor, action, subject, detail FROM audit ORDER BY seq")
        )
        found["audit"] = [list(row) for row in got]
        return found

    return await store._database.read(work)


def digest(found: dict[str, list[list[Any]]]) -> str:
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def faults(found: dict[str, list[list[Any]]]) -> list[str]:
    """What must never be: a grant or a vote without its audit row, or such a row alone."""
    wrong = []
    told = {(action, subject) for _, _, action, subject, _ in found["audit"]}
    votes = {json.loads(detail).get("vote") for *_, detail in found["audit"]}
    for grant in found["grants"]:
        wrong += [] if ("grant.made", grant[0]) in told else [f"{grant[0]} was made unseen"]
    for vote in found["votes"]:
        wrong += [] if vote[0] in votes else [f"{vote[0]} was cast unseen"]
    grants = {grant[0] for grant in found["grants"]}
    wrong += [
        f"{id} is told of" for action, id in told if action == "grant.made" and id not in grants
    ]
    return wrong


# --- stores of one's own ----------------------------------------------------------------------


@dataclass(slots=True)
class Stores:
    """``url`` is of the store that all are copied from."""

    url: str
    folder: Path

    def copy(self, name: str) -> str:
        """The URL of a copy; a database of that name, or a file."""
        if self.url.startswith("sqlite"):
            path = self.folder / f"{name}.sqlite"
            shutil.copyfile(make_url(self.url).database or "", path)
            path.chmod(0o600)
            return f"sqlite:///{path}"
        url = make_url(self.url)
        name = f"{url.database}_{name}"
        self._admin(f'CREATE DATABASE "{name}" TEMPLATE "{url.database}"')
        return url.set(database=name).render_as_string(hide_password=False)

    def remove(self, url: str) -> None:
        if not url.startswith("sqlite"):
            self._admin(f'DROP DATABASE "{make_url(url).database}" WITH (FORCE)')

    def _admin(self, statement: str) -> None:
        async def run() -> None:
            url = make_url(self.url).set(database="postgres")
            owner = await asyncpg.connect(url.render_as_string(hide_password=False))
            try:
                await owner.execute(statement)
            finally:
                await owner.close()

        asyncio.run(run())


async def prepare(url: str) -> None:
    store = await opened(url)
    world = World(store, dice=random.Random(7))
    for person in world.people:
        await world.sign_in(person)
    await store.close()


# --- all of them ------------------------------------------------------------------------------


async def lead(url: str, last: int | None) -> tuple[int, list[str], list[int]]:
    """The life; how many steps it took, and what stood behind which of them."""
    store = joined(url)
    steps = Steps(store, last)
    sides, ends = [digest(await rows(store))], [0]
    once = Database._once

    async def watched(self: Database, work: Any) -> Any:
        done = await once(self, work)
        sides.append(digest(await rows(store)))
        ends.append(steps.count)
        return done

    if last is None:
        Database._once = watched  # type: ignore[method-assign] # to look behind each transaction
    try:
        await life(World(store, dice=random.Random(8)))
    finally:
        Database._once = once  # type: ignore[method-assign]
        await store.close()
    return steps.count, sides, ends


async def left(url: str) -> tuple[str, list[str]]:
    """What a store finds there that knows nothing of the dead one."""
    store = joined(url)
    found = await rows(store)
    await store.close()
    return digest(found), faults(found)


def killed(url: str, step: int) -> bool:
    """Leads the life in a fork up to a step; whether it died there."""
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(lead(url, step))
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def main(url: str, folder: Path, stride: int) -> None:
    stores = Stores(url, folder)
    asyncio.run(prepare(url))
    whole = stores.copy("whole")
    count, sides, ends = asyncio.run(lead(whole, None))
    told = []
    for step in range(1, count + 1, stride):
        copy = stores.copy(str(step))
        died = killed(copy, step)
        now, wrong = asyncio.run(left(copy))
        stores.remove(copy)
        before = max(number for number, end in enumerate(ends) if end < step)
        told.append({"step": step, "died": died, "wrong": wrong, "at": sides[before] == now})
    stores.remove(whole)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
