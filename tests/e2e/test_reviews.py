"""Do you still need this?  Narrowed and given back on a real PostgreSQL, and proved."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.test_clients import listening
from tests.e2e.test_life import eventually_gone
from tests.e2e.world import Person

# Of every kind that a scope may ask something else for; each may run any number of times.
STATEMENTS = (
    ("select 1", None),
    ("select now()", None),
    ("select count(*) from orders", None),
    ("select id from public.orders where id = %s", (4,)),
    ("select id, name from customers limit 1", None),
    ("select o.id from orders o join public.customers c on c.id = o.customer", None),
    ("update orders set status = status where id = 4", None),
    ("with gone as (delete from orders where id = -1 returning id) select * from gone", None),
    ("insert into orders (id, status) select id, status from orders where id < 0", None),
    ("select relname from pg_catalog.pg_class limit 1", None),
    ("select 1; select count(*) from customers", None),
    ("create temp table if not exists scratch (n int)", None),
    ("set search_path to public", None),
    ("select count(*) from orders", None),
    ("explain select * from orders", None),
    ("lock table orders in access share mode", None),
    ("analyze orders", None),
    ("copy (select id from orders) to stdout", None),
)

# Each within the one before it.
SCOPES = ("public.*:read+update+delete+copy_out *.*:ddl", "public.*:read", "public.orders:read")


def outcome(connection: psycopg.Connection[Any], text: str, values: Any) -> bool | None:
    """Whether it passed the gate's scope; None: it was refused, or failed, for another reason."""
    try:
        with connection.cursor() as cursor:
            if text.startswith("copy"):
                with cursor.copy(text.encode()) as copy:
                    list(copy)
            else:
                cursor.execute(text.encode(), values)
    except psycopg.errors.InsufficientPrivilege as refused:
        return False if 'rule "scope"' in str(refused) else None
    except psycopg.Error:
        return True  # the target's own word: it had passed
    return True


def run_all(connection: psycopg.Connection[Any]) -> list[bool | None]:
    return [outcome(connection, text, values) for text, values in STATEMENTS]


def trial(ana: Person, grant: str, scope: str) -> Any:
    return ana.json("review", "mine", "--narrow", grant, "--scope", scope, "--dry-run")


LONG = os.environ.get("HOOP_LONG") == "1"
NAMED = "public.*:* *.*:ddl+maintenance+call"


@pytest.mark.parametrize("granted", [NAMED, "*.*:*"] if LONG else [NAMED])
def test_the_replay_counts_what_the_narrowed_grant_lets_pass(
    ana: Person, ben: Person, granted: str
) -> None:
    """Each scope is tried on the recording, and then for real.

    A grant that names a schema has sessions that know what a name without one means.
    """
    asked = ana.json("request", "prod-db", "--reason", "all of it", "--scope", granted)
    grant = ben.json("approve", asked["id"], "--reason", "a test")["grant"]
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        was = [trial(ana, grant, scope) for scope in SCOPES]
        before = run_all(connection)
        assert False not in before
        now = [trial(ana, grant, scope) for scope in SCOPES]
        for scope, old, new in zip(SCOPES, was, now, strict=True):
            narrowed = ana.json("review", "mine", "--narrow", grant, "--scope", scope, "--hard")
            after = run_all(connection)
            passed = [passes for ran, passes in zip(before, after, strict=True) if ran]
            assert new["of"] - old["of"] == len(passed)
            assert new["passed"] - old["passed"] == passed.count(True), scope
            assert narrowed["closed"] == []
            proof = narrowed["review"]["proof"]
            assert (narrowed["review"]["state"], proof["refused"]) == ("verified", True)
            grant = narrowed["narrowed"]["id"]
    ben.hoop("revoke", grant, "--reason", "the test is over")


def test_given_back_it_is_gone_and_for_ten_minutes_it_may_be_taken_again(
    ana: Person, ben: Person
) -> None:
    grant = ana.granted(ben)
    with listening(ana) as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select count(*) from public.orders")
        (item,) = [one for one in ana.json("review", "mine") if one["grant"] == grant]
        assert (item["statements"], item["used"]) == (1, ["public.orders:read"])
        assert item["suggestion"] is None  # of the high tier, until one has answered
        back = ana.json("review", "mine", "--give-back", grant)
        eventually_gone(connection, within=5)
    assert len(back["closed"]) == 1
    session = ana.json("sessions", "--mine")[0]
    assert session["end_cause"] == "grant suspended"
    assert "statements" in ana.hoop("insights", "me").stdout
    ana.hoop("connect", "prod-db", "--", "-c", "select 1", status=4)
    ana.hoop("review", "undo", back["review"]["id"])
    assert ana.psql("-c", "select 1").stdout == "1\n"
    ana.hoop("review", "undo", back["review"]["id"], status=1)
    ben.hoop("revoke", grant, "--reason", "the test is over")


def test_a_keep_on_a_high_tier_waits_for_somebody_else_who_may_take_it_away(
    ana: Person, ben: Person
) -> None:
    grant = ana.granted(ben)
    ana.hoop("review", "mine", "--keep", grant, status=1)
    kept = ana.json("review", "mine", "--keep", grant, "--reason", "still at it")
    id = kept["review"]["id"]
    assert kept["review"]["state"] == "awaiting confirmation"
    assert id in ben.hoop("review", "confirm").stdout
    card = ben.hoop("review", "confirm", id).stdout
    assert "still at it" in card
    assert "\nsuggestion " in card
    ana.hoop("review", "confirm", id, "--keep", "--reason", "I say so", status=1)
    taken = ben.json("review", "confirm", id, "--take-away", "--reason", "it is over")
    assert (taken["review"]["state"], taken["review"]["proof"]["refused"]) == ("verified", True)
    ana.hoop("connect", "prod-db", "--", "-c", "select 1", status=4)
    assert "refused" in ana.hoop("review", "done").stdout


def test_a_file_of_answers_decides_nothing_on_a_high_tier(
    ana: Person, grant: str, tmp_path: Path
) -> None:
    file = tmp_path / "answers.jsonl"
    file.write_text(json.dumps({"grant": grant, "answer": "give back", "reason": "all of them"}))
    done = ana.hoop("review", "mine", "--apply", str(file), "-o", "json", status=1)
    assert json.loads(done.stdout)[0]["error"] == "group"
    assert [one["state"] for one in ana.json("review", "mine")] == ["pending"]
