"""``hoop mask try`` and ``scan``, ``hoop sessions show``: a real agent, a real PostgreSQL."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hoopcli.demo.postgres import Postgres
from hoopcli.demo.world import World
from hoopcore.masks_file import read_masks
from tests.e2e.world import Person

PATIENCE = 30.0


@pytest.fixture(scope="module")
def shop(world: World) -> Postgres:
    assert world.postgres is not None
    return world.postgres


@pytest.fixture(scope="module")
def held(ana: Person, ben: Person) -> str:
    """A grant of ana's for all tests of this file."""
    return ana.granted(ben)


def audited(person: Person, action: str) -> set[str]:
    """What this was done to."""
    return {row["subject"] for row in person.json("audit", "--action", action)}


# --- try ------------------------------------------------------------------------------------------

STATEMENTS = [
    "select id, name, email, ssn, city from customers where id = 2",
    "select c.email as contact, upper(c.ssn), count(*) over () from customers c where id = 2",
    "with x as (select id, ssn as s from customers) select id + 1, s, s || '' from x where id = 2",
    "select c from customers c where id = 2",
    "select o.id, o.status, k.number, k.expires from orders o join cards k on k.id = o.id"
    " where o.id = 2",
    "select * from (select email, city from customers where id = 2) t",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_trial_says_what_a_session_then_shows(
    ana: Person, held: str, shop: Postgres, statement: str
) -> None:
    told = ana.json("mask", "try", statement, "--on", "prod-db")
    assert (told["verdict"], told["way"]) == ("allow", "grant")
    shown = ana.psql("-c", statement).stdout.rstrip("\n").split("|")
    itself = shop.psql(statement, "shop").rstrip("\n").split("|")
    assert len(shown) == len(told["columns"])
    whole = len(shown) == len(itself)
    for place, (column, value) in enumerate(zip(told["columns"], shown, strict=True)):
        if column["mask"] == "null":
            assert value == "", column
        elif column["mask"]:
            assert "*" in value, column
        elif whole:
            assert value == itself[place] or (column["watched"] and "*" in value), column


def test_a_trial_runs_nothing(ana: Person, held: str, shop: Postgres) -> None:
    told = ana.json(
        "mask", "try", "update customers set city = 'X' where id = 1", "--on", "prod-db"
    )
    assert told["verdict"] == "allow"
    assert shop.psql("select city from customers where id = 1", "shop") == "Lund\n"


def test_what_would_be_refused_is_told_with_rule_and_hint(ana: Person) -> None:
    on = ("--on", "prod-db")
    done = ana.hoop("mask", "try", "delete from orders", *on, status=4)
    assert 'refused by rule "no-unbounded-delete"' in done.stdout
    assert "Nothing was run" in done.stderr
    copied = ana.hoop("mask", "try", "create table mine as select * from cards", *on, status=4)
    assert "verdict" in copied.stdout


def test_a_text_that_is_no_sql_is_told_with_the_place(ana: Person) -> None:
    done = ana.hoop("mask", "try", "-", "--on", "prod-db", status=2, stdin="select 1\nfrm x\n")
    assert 'syntax error at or near "x", at line 2, character 5' in done.stderr
    assert done.stderr.splitlines()[1:] == ["      frm x", "          ^"]


def test_a_name_that_is_spelled_wrong_is_told_with_the_nearest(ana: Person) -> None:
    done = ana.hoop("mask", "try", "select id from custmers", "--on", "prod-db")
    assert 'has no relation custmers; did you mean "customers"?' in done.stderr


def test_who_looks_after_the_target_may_try_for_others_and_nobody_else(
    ana: Person, ben: Person
) -> None:
    statement = ("mask", "try", "select ssn from customers", "--on", "prod-db")
    told = ben.json(*statement, "--as", "ana")
    assert told["who"]["name"].startswith("ana@")
    assert told["columns"][0]["mask"] == "keep-last-4"
    assert "try for yourself alone" in ana.hoop(*statement, "--as", "ben", status=1).stderr
    assert 'nobody called "zoe"' in ben.hoop(*statement, "--as", "zoe", status=1).stderr
    assert ana.json(*statement, "--as", told["who"]["id"])["columns"] == told["columns"]
    assert audited(ben, "mask.tried") == {"prod-db"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--on", "no-db"), 'no target "no-db"'),
        (("--on", "prod-db", "-d", "nope"), 'no database "nope"'),
        (("--on", "PROD DB"), "cannot be the name of a target"),
    ],
)
def test_what_is_not_there_is_told(ana: Person, words: tuple[str, ...], said: str) -> None:
    done = ana.hoop("mask", "try", "select 1", *words, status=None)
    assert done.returncode in (1, 2)
    assert said in done.stderr


# --- scan -----------------------------------------------------------------------------------------

CANARY = "canary-7431@example.com"
SCHEMA = f"""
create schema told;
create table told.people (
  id int, contact text, phone text, "api.key" text, birth_date date, pan bigint, note text,
  doc jsonb, email text, login_at timestamptz, address inet, "who""is" text);
insert into told.people select g, 'p' || g || '@example.com', '+46 70 123 45 ' || 10 + g % 90,
  'k', date '1980-01-01' + g, 4111111111111111, 'met {CANARY} twice, order ' || g,
  jsonb_build_object('mail', '{CANARY}'), 'none ' || g, now(), '203.0.113.7',
  'q' || g || '@example.net' from generate_series(1, 100) g;
create table told.parted (id int, iban text) partition by range (id);
create table told.parted_1 partition of told.parted for values from (0) to (1000);
insert into told.parted select g, 'DE89370400440532013000' from generate_series(1, 50) g;
create table told.large (id int, mail text);
insert into told.large select g, 'l' || g || '@example.com' from generate_series(1, 200000) g;
analyze told.large;
create table told.empty (password text);
create table told.closed (ssn text); insert into told.closed values ('219-09-9999');
create view told.seen as select contact from told.people;
grant usage on schema told to shop_app;
grant select on told.people, told.parted, told.large, told.empty, told.seen to shop_app;
"""


@contextmanager
def more(shop: Postgres, text: str) -> Iterator[None]:
    shop.psql(text, "shop")
    try:
        yield
    finally:
        shop.psql("drop schema told cascade", "shop")


def test_a_scan_proposes_what_masks_toml_takes_and_shows_no_value(
    ben: Person, world: World, shop: Postgres
) -> None:
    with more(shop, SCHEMA):
        done = ben.hoop("mask", "scan", "prod-db")
        told = ben.json("mask", "scan", "prod-db")
    masks, *_ = read_masks(done.stdout)
    proposed = {mask.column: str(mask.style) for mask in masks}
    ours = {name: style for name, style in proposed.items() if name.startswith("told.")}
    assert ours == {
        "told.people.contact": "keep-domain",
        "told.people.phone": "keep-last-4",
        'told.people."api.key"': "null",
        "told.people.birth_date": "year-only",
        "told.people.pan": "null",
        'told.people."who""is"': "keep-domain",
        "told.people.address": "null",
        "told.parted.iban": "keep-last-4",
        "told.large.mail": "keep-domain",
        "told.empty.password": "null",
        "told.closed.ssn": "keep-last-4",
    }
    assert "100 of 100 values (text) look like email" in done.stdout
    assert '# column = "told.people.email"' in done.stdout, "by its name alone: a comment"
    assert "told.closed: the agent's credential may not read it" in done.stderr
    assert told["inside"]["email"] == ["public.orders.note", "told.people.doc", "told.people.note"]
    declared = {"public.customers.email", "public.customers.ssn", "public.cards.number"}
    assert declared.isdisjoint(one["column"] for one in told["columns"])
    assert told["declared"] == len(declared)
    assert told["rows"] < 1_000, "of 200,000 rows a sample is read"
    assert audited(ben, "mask.scanned") == {"prod-db"}
    log = (world.folder / "agent.log").read_text()
    for text in (done.stdout, done.stderr, str(told), log):
        assert "canary" not in text
        assert "@example" not in text.replace("ana@shop.example", "")


def test_only_who_looks_after_a_target_may_scan_it(ana: Person, ben: Person) -> None:
    assert 'no target "prod-db" that you look after' in (
        ana.hoop("mask", "scan", "prod-db", status=1).stderr
    )
    ben.hoop("mask", "scan", "no-db", status=1)
    ben.hoop("mask", "scan", "prod-db", "--rows", "0", status=2)


SLOW = """
create schema told; grant usage on schema told to shop_app;
create table told.slow (email text); insert into told.slow values ('a'), ('b'), ('c');
alter table told.slow enable row level security; grant select on told.slow to shop_app;
create policy slowly on told.slow for select to shop_app using (pg_sleep(4) is not null);
"""
RUNS = (
    "select count(*) from pg_stat_activity where application_name = 'hoop-agent'"
    " and state = 'active' and query like '%told%slow%'"
)


def test_ctrl_c_ends_a_scan_on_the_target_too(ben: Person, world: World, shop: Postgres) -> None:
    with more(shop, SLOW):
        process = subprocess.Popen(
            [sys.executable, "-m", "hoopcli", "mask", "scan", "prod-db"],
            env=world.environment("ben"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        _await(shop, "1\n")
        process.send_signal(signal.SIGINT)
        out, said = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out) == (130, "")
        assert "Stopped, on the target too." in said
        assert shop.psql(RUNS, "shop") == "0\n"


def _await(shop: Postgres, count: str) -> None:
    end = time.monotonic() + PATIENCE
    while shop.psql(RUNS, "shop") != count:
        assert time.monotonic() < end, "the scan does not ask"
        time.sleep(0.05)


# --- sessions show --------------------------------------------------------------------------------


def test_masked_values_are_told_by_column_and_kind(ana: Person, ben: Person, held: str) -> None:
    both = "select email, ssn from customers; select note as remark from orders"
    ana.psql("-c", both, "-c", "select id from orders")
    session = ana.json("sessions", "--mine", "--limit", "1")[0]
    told = ana.json("sessions", "show", session["id"])
    found = {(one["column"], one["kind"]): one["count"] for one in told["masked_columns"]}
    assert found == {
        ("public.customers.email", "keep-domain"): 4,
        ("public.customers.ssn", "keep-last-4"): 3,
        ("remark", "card"): 1,
        ("remark", "email"): 1,
    }
    assert told["masked"] == sum(found.values())
    assert (told["statements"], told["rows"]) == (2, 14)
    assert told["recording"] == "complete and unchanged"
    shown = ben.hoop("sessions", "show", session["id"]).stdout
    assert "public.customers.email  keep-domain  4" in shown


def test_a_session_is_shown_to_who_may_read_its_recording(ana: Person, ben: Person) -> None:
    missing = ana.hoop("sessions", "show", "s-0000000000", status=1)
    assert "there is no session" in missing.stderr
    session = ben.json("sessions", "--limit", "1")[0]["id"]
    assert ben.hoop("sessions", "show", session, "-o", "names").stdout == f"{session}\n"
