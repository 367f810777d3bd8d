"""Narrowed softly, on a real PostgreSQL: held, answered, learned, and hard after a quiet period."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from hoopcli.demo.world import World
from tests.e2e.holds import until
from tests.e2e.test_clients import listening
from tests.e2e.world import Person

CUSTOMERS = b"select count(*) from public.customers"
CARDS = b"select count(*) from public.cards"
HOLD = """
[[rule]]
name = "cards-twice"
verdict = "hold"
relations = ["cards"]
reason = "cards are looked at by two"
approvers = ["dba"]
"""


@contextmanager
def changed(world: World, ben: Person, name: str, text: str) -> Iterator[None]:
    """A file of the agent's folder reads so, for a while."""
    file = world.folder / "agent" / name
    before = file.read_text()

    def put(text: str) -> None:
        version = ben.json("status")["policy_version"]
        file.write_text(text)
        world.processes[-1].send_signal(signal.SIGHUP)
        until(lambda: ben.json("status")["policy_version"] != version, "the reload")

    put(text)
    try:
        yield
    finally:
        put(before)


@contextmanager
def tier(world: World, ben: Person, tier: str, softly: str = "30d") -> Iterator[None]:
    text = (world.folder / "agent" / "targets.toml").read_text()
    text = text.replace('tier = "high"', f'tier = "{tier}"\nnarrow_softly = "{softly}"')
    with changed(world, ben, "targets.toml", text):
        yield


def narrowed(ana: Person, ben: Person, scope: str = "public.*:read") -> str:
    """A grant with that scope, narrowed to orders."""
    asked = ana.json("request", "prod-db", "--reason", "order 4711", "--scope", scope)
    grant = ben.json("approve", asked["id"], "--reason", "a test")["grant"]
    less = ana.json("review", "mine", "--narrow", grant, "--scope", "public.orders:read")
    found: str = less["narrowed"]["id"]
    return found


@contextmanager
def running(ana: Person) -> Iterator[Any]:
    """Statements in a session; those that are held do not hold up the test."""
    with (
        listening(ana) as dsn,
        psycopg.connect(dsn, autocommit=True) as connection,
        ThreadPoolExecutor(1) as pool,
    ):
        notices: list[str] = []
        connection.add_notice_handler(lambda one: notices.append(str(one.message_primary)))

        def run(text: bytes) -> Future[Any]:
            return pool.submit(lambda: connection.execute(text).fetchall())

        run.notices = notices  # type: ignore[attr-defined] # what its client hears
        try:
            yield run
        finally:
            connection.cancel()  # what a test that fails has left waiting


def held(person: Person) -> Any:
    """The statement of theirs that waits."""

    def look() -> Any:
        mine = person.json("requests", "--mine", "--state", "pending")
        return next((one for one in mine if one["held"]), None)

    return until(look, "a held statement")


def refused(future: Future[Any]) -> str:
    with pytest.raises(psycopg.errors.InsufficientPrivilege) as refusal:
        future.result(20)
    return str(refusal.value)


def test_on_a_low_tier_one_says_why_and_it_is_learned_in_the_same_session(
    world: World, ana: Person, ben: Person
) -> None:
    with tier(world, ben, "low"):
        grant = narrowed(ana, ben)
        assert "held by narrowed" in ben.hoop("who-can", "public.customers").stdout
        assert "was narrowed: public.*:read is held for a step-up" in ana.hoop("grants").stderr
        with running(ana) as run:
            assert run(b"select count(*) from public.orders").result(20)
            waits = run(CUSTOMERS)
            hold = held(ana)
            assert hold["held"]["learns"] == ["public.customers:read"]
            assert 'held by rule "narrowed"' in run.notices[0]
            assert f"hoop step-up {hold['id']}" in ana.hoop("requests", "--mine").stderr
            ben.hoop("approve", hold["id"], "--reason", "not mine to say", status=4)
            ana.hoop("approve", hold["id"], "--reason", "my own", status=4)
            ana.hoop("step-up", hold["id"], status=2)
            ana.hoop("step-up", hold["id"], "--reason", "it is about a customer after all")
            assert waits.result(20) == [(4,)]
            assert run(CUSTOMERS).result(20) == [(4,)]  # at once
            assert ana.json("requests", "--mine", "--state", "pending") == []
            assert 'rule "scope"' in refused(run(b"delete from public.orders where id = 0"))
        (now,) = [one for one in ana.json("grants") if one["supersedes"] == grant]
        assert now["scope"] == "public.customers:read public.orders:read"
        told = ana.json("requests", hold["id"])
        assert told["votes"] == []
        assert told["held"]["confirmed"]["reason"] == "it is about a customer after all"
        ana.hoop("relinquish", now["id"])


def test_on_a_high_tier_an_approver_says_so_and_a_denial_teaches_nothing(
    ana: Person, ben: Person
) -> None:
    grant = narrowed(ana, ben)
    with running(ana) as run:
        for answer in ("deny", "approve"):
            waits = run(CUSTOMERS)
            hold = held(ana)
            ana.hoop("step-up", hold["id"], "--reason", "I say so", status=4)
            assert [one["id"] for one in ana.json("grants")] == [grant]
            ben.hoop(answer, hold["id"], "--reason", "looked at")
            if answer == "deny":
                assert "looked at" in refused(waits)
        assert waits.result(20) == [(4,)]
        assert run(CUSTOMERS).result(20) == [(4,)]
    (now,) = ana.json("grants")
    assert now["scope"] == "public.customers:read public.orders:read"
    ana.hoop("relinquish", now["id"])


def test_after_a_quiet_period_it_is_refused(world: World, ana: Person, ben: Person) -> None:
    with tier(world, ben, "low", softly="4s"):
        grant = narrowed(ana, ben)
        soft = ana.json("grants")[0]["soft"]
        assert soft["scope"] == "public.*:read"
        with running(ana) as run:
            until(lambda: ana.json("grants")[0]["soft"] is None, "the end of the quiet period")
            # A session sees it within a second; until then nobody is asked any more.
            words = refused(run(CUSTOMERS))
            assert 'rule "scope"' in words or "is over" in words
            assert ana.json("requests", "--mine", "--state", "pending") == []
        ana.hoop("relinquish", grant)


def test_where_a_rule_holds_it_too_both_are_answered_by_somebody_else(
    world: World, ana: Person, ben: Person
) -> None:
    rules = (world.folder / "agent" / "rules.toml").read_text() + HOLD
    with tier(world, ben, "low"), changed(world, ben, "rules.toml", rules):
        grant = narrowed(ana, ben)
        with running(ana) as run:
            waits = run(CARDS)
            first = held(ana)
            assert (first["rule"], first["held"]["learns"]) == ("cards-twice", [])
            ben.hoop("approve", first["id"], "--reason", "looked at")
            second = until(lambda: (one := held(ana))["id"] != first["id"] and one)
            assert (second["rule"], second["held"]["own"]) == ("narrowed", False)
            ana.hoop("step-up", second["id"], "--reason", "I say so", status=4)
            assert [one["id"] for one in ana.json("grants")] == [grant]
            ben.hoop("approve", second["id"], "--reason", "looked at")
            assert waits.result(20) == [(3,)]
        ana.hoop("relinquish", ana.json("grants")[0]["id"])
