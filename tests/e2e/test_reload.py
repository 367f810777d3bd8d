"""Rules, masks and targets changed on the disk while sessions are open."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.bypass.world import Doorway, eventually
from tests.e2e.targets import Targets, granted
from tests.e2e.world import Person

NO_TEA = """
[[rule]]
name = "no-counting"
verdict = "refuse"
targets = ["far-db"]
functions = ["count"]
reason = "a test counts nothing"
"""
NO_NAMES = """
[[mask]]
column = "public.customers.name"
style = "full"
"""


class Files:
    """The agent's folder; what was there comes back."""

    def __init__(self, folder: Path, person: Person, agent: Any) -> None:
        self.folder = folder
        self.person = person
        self.agent = agent
        self.log = folder.parent / "agent.log"
        names = ("rules.toml", "masks.toml", "targets.toml", "agent.toml")
        self.before = {name: (folder / name).read_text() for name in names}

    def write(self, name: str, text: str, *, at_once: bool = True) -> None:
        """As an editor does: beside it, and then in its place."""
        self.mark = self.log.stat().st_size
        beside = self.folder / f".{name}.new"
        beside.write_text(text)
        beside.replace(self.folder / name)
        if at_once:
            self.agent.send_signal(signal.SIGHUP)

    def told(self, event: str) -> list[dict[str, Any]]:
        """What the agent has logged of this kind since the last change."""
        lines = self.log.read_bytes()[self.mark :].splitlines()
        found = [json.loads(line) for line in lines if line.startswith(b"{")]
        return [one for one in found if one["event"] == event]

    def add(self, name: str, text: str) -> str:
        """More in a file; the version that is in force then."""
        self.write(name, self.before[name] + text)
        return self.taken()

    def taken(self) -> str:
        eventually(lambda: self.told("config.taken"))
        version: str = self.told("config.taken")[-1]["version"]
        return version

    def version(self) -> str:
        found: str = self.person.json("status")["policy_version"]
        return found[:12]

    def restore(self) -> None:
        changed = [name for name, text in self.before.items() if self._now(name) != text]
        for name in changed:
            self.write(name, self.before[name])
        if changed:
            eventually(lambda: self.policy()["state"] == "ok")

    def _now(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def policy(self) -> dict[str, Any]:
        """What ``hoop doctor`` says of it."""
        done = self.person.hoop("doctor", "-o", "json", status=None)
        found: dict[str, Any] = next(
            one for one in json.loads(done.stdout) if one["check"].endswith("policy")
        )
        return found


@pytest.fixture
def files(targets: Targets, guest: Person) -> Iterator[Files]:
    found = Files(targets.folder / "agent", guest, targets.processes[-1])
    yield found
    found.restore()


@pytest.fixture(scope="module")
def door(guest: Person) -> Iterator[Doorway]:
    granted(guest, "far-db")
    doorway = Doorway(guest, "far-db")
    yield doorway
    doorway.close()


COUNT = "select count(*) from public.orders"


def is_refused(act: Callable[[], object]) -> bool:
    try:
        act()
    except psycopg.errors.InsufficientPrivilege as problem:
        return "no-counting" in str(problem)
    return False


def test_a_new_rule_holds_for_the_next_statement_of_a_live_session(
    door: Doorway, files: Files
) -> None:
    with psycopg.connect(door.dsn, autocommit=True, prepare_threshold=0) as client:
        for _ in range(3):  # prepared, and run by its name
            assert client.execute(COUNT + " where id > %s", (0,)).fetchone() == (5,)
        client.execute("begin")
        client.execute("select 1")
        version = files.add("rules.toml", NO_TEA)
        assert is_refused(lambda: client.execute(COUNT + " where id > %s", (0,)))
        client.execute("rollback")
        assert is_refused(lambda: client.execute(COUNT))
        assert client.execute("select 1").fetchone() == (1,)
        files.restore()
        assert client.execute(COUNT + " where id > %s", (0,)).fetchone() == (5,)
    session = files.person.json("sessions", "--mine", "--target", "far-db")[0]["id"]
    told = files.person.hoop("replay", session, "--no-wait").stdout
    assert f"policy version {version} is in force" in told


def test_a_cached_statement_of_asyncpg_is_judged_and_masked_anew(
    door: Doorway, files: Files
) -> None:
    async def run() -> None:
        client = await asyncpg.connect(
            host=door.host, port=5432, user=door.user, database=door.database
        )
        try:
            name = await client.prepare("select name from public.customers where id = $1")
            count = await client.prepare(COUNT)
            clear = await name.fetchval(1)
            assert clear
            assert "*" not in clear
            async with client.transaction():
                assert await count.fetchval() == 5
                await asyncio.to_thread(files.add, "masks.toml", NO_NAMES)
                assert await name.fetchval(1) == "*" * len(clear)
            await asyncio.to_thread(files.add, "rules.toml", NO_TEA)
            with pytest.raises(asyncpg.InsufficientPrivilegeError, match="no-counting"):
                await count.fetchval()
            assert await name.fetchval(1) == "*" * len(clear)
        finally:
            await client.close(timeout=5)

    asyncio.run(run())


WRONG = (
    ("rules.toml", '[[rule]]\nname = "half', 2, "string"),
    ("rules.toml", '[[rule]]\nname = "x"\nverdict = "refuze"\nreason = "y"', 3, "verdict"),
    ("rules.toml", "", 1, "empty now"),
    ("masks.toml", " \n", 1, "empty now"),
    ("masks.toml", '[[mask]]\ncolum = "a.b.c"\nstyle = "full"', 2, "colum"),
    ("targets.toml", '[targets.x]\naddress = "h"\n', 1, "credential"),
    ("targets.toml", '[targets.x]\naddress = "h:1"\ncredential = { user = "a" }', 1, "databases"),
)


def test_what_is_wrong_leaves_the_old_in_force_and_is_told(door: Doorway, files: Files) -> None:
    version = files.version()
    with psycopg.connect(door.dsn, autocommit=True) as client:
        for name, text, line, said in WRONG:
            files.write(name, text)
            eventually(lambda: files.told("config.refused"))
            told = files.told("config.refused")
            assert any(
                (one["file"], one["line"]) == (name, line) and said in one["problem"].lower()
                for one in told
            ), told
            assert client.execute(COUNT).fetchone() == (5,)
            [(ssn,)] = client.execute("select ssn from public.customers where id = 1").fetchall()
            assert ssn.startswith("***")
            if not text:
                assert files.policy()["state"] == "fail"
            (files.folder / name).write_text(files.before[name])
    assert files.version() == version


def test_a_file_that_is_gone_leaves_the_old_in_force(door: Doorway, files: Files) -> None:
    version = files.add("rules.toml", NO_TEA)
    (files.folder / "rules.toml").unlink()
    eventually(lambda: files.told("config.refused"))
    assert files.policy()["state"] == "fail"
    assert files.version() == version
    with psycopg.connect(door.dsn, autocommit=True) as client:
        assert is_refused(lambda: client.execute(COUNT))


def test_a_change_is_found_without_a_signal(door: Doorway, files: Files) -> None:
    files.write("rules.toml", files.before["rules.toml"] + NO_TEA, at_once=False)
    files.taken()
    with psycopg.connect(door.dsn, autocommit=True) as client:
        assert is_refused(lambda: client.execute(COUNT))


def test_labels_of_a_target_count_at_once(door: Doorway, files: Files) -> None:
    rule = NO_TEA.replace('targets = ["far-db"]', 'labels = { calm = "no" }')
    with psycopg.connect(door.dsn, autocommit=True) as client:
        files.add("rules.toml", rule)
        assert client.execute(COUNT).fetchone() == (5,)
        text = files.before["targets.toml"]
        head = "[targets.far-db]\n"
        files.write("targets.toml", text.replace(head, head + 'labels = { calm = "no" }\n'))
        files.taken()
        assert is_refused(lambda: client.execute(COUNT))


def test_settings_that_are_imposed_now_end_sessions_that_lack_them(
    door: Doorway, files: Files
) -> None:
    impose = (
        '\n[[impose]]\nname = "calm"\ntargets = ["far-db"]\nreason = "a test"\nread_only = true\n'
    )
    with psycopg.connect(door.dsn, autocommit=True) as client:
        client.execute("select 1")
        files.add("rules.toml", impose)
        with pytest.raises(psycopg.OperationalError, match="connect again"):
            client.execute("select 1")
    with (
        psycopg.connect(door.dsn, autocommit=True) as client,
        pytest.raises(psycopg.errors.ReadOnlySqlTransaction),
    ):
        client.execute("update public.orders set id = id where id = 1")


def test_a_budget_that_is_new_counts_from_then_on(door: Doorway, files: Files) -> None:
    budget = (
        '\n[[budget]]\nname = "tiny"\ntargets = ["far-db"]\nreason = "a test"\nrows = 7\n'
        'on_reaching = "end"\n'
    )
    with psycopg.connect(door.dsn, autocommit=True) as client:
        assert len(client.execute("select id from public.orders").fetchall()) == 5
        files.add("rules.toml", budget)
        assert len(client.execute("select id from public.orders").fetchall()) == 5
        with pytest.raises(psycopg.OperationalError, match="tiny"):
            client.execute("select id from public.orders")


def test_agent_toml_takes_a_restart_and_doctor_says_so(files: Files) -> None:
    files.write("agent.toml", files.before["agent.toml"].replace("600", "599"))
    eventually(lambda: "restart" in files.policy()["said"])
