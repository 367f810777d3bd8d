"""JDBC: PostgreSQL's own driver, in a Java program (``Jdbc.java``) on a port of ``hoop connect``.

The program runs once; each test looks at a line of what it told.  Its steps say what happened, a
failure as SQLSTATE and hint.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.e2e.holds import Holding, waiting
from tests.e2e.test_clients import listening
from tests.e2e.world import Person
from tests.servers import missing

PROGRAM = Path(__file__).with_name("Jdbc.java")
DRIVER = Path("/usr/share/java/postgresql.jar")
REFUSED = (
    "42501 hint: The rule holds whatever your grant on prod-db says. "
    " Whoever keeps the agent's rules.toml can allow it."
)
MASKED = (
    "1,*******9999,*******9999,***@example.com,null;"
    "2,*******1120,*******1120,*********@example.com,null;"
    "3,*******5462,*******5462,*****@mail.example.com,null;"
    "4,null,null,***@example.com,null"
)

Told = dict[str, list[str]]


def run_jdbc(dsn: str, *names: str) -> Told:
    """What the program told of each check; of all of them where none is named."""
    java = shutil.which("java")
    if java is None or not DRIVER.exists():
        missing("JDBC", "apt-get install openjdk-17-jre-headless libpostgresql-jdbc-java")
    where = urlsplit(dsn)
    done = subprocess.run(
        # The second compiler is for programs that run longer than this one.
        [str(java), "-XX:TieredStopAtLevel=1", "-cp", str(DRIVER), str(PROGRAM), *names],
        env=os.environ
        | {
            "JDBC_URL": f"jdbc:postgresql://{where.hostname}:{where.port}{where.path}",
            "JDBC_USER": unquote(where.username or ""),
            "JDBC_PASSWORD": unquote(where.password or ""),
            "LC_ALL": "C.UTF-8",
        },
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return {name: steps.split(" | ") for name, steps in lines}


@pytest.fixture(scope="module")
def told(ana: Person, ben: Person) -> Iterator[Told]:
    id = ana.granted(ben)
    with listening(ana) as dsn:
        yield run_jdbc(dsn)
    ana.hoop("relinquish", id)


@pytest.mark.parametrize(
    "mode", ["simple", "extended", "extendedForPrepared", "extendedCacheEverything"]
)
def test_a_refused_statement_has_its_sqlstate_and_hint_and_the_next_one_works(
    told: Told, mode: str
) -> None:
    assert told[f"refused {mode}"] == [REFUSED, "5"]


@pytest.mark.parametrize(
    ("mode", "next_one"),
    [
        ("autosave never", "25P02"),
        # The driver itself goes back to a savepoint, which it sets before each statement.
        ("autosave always", "lost"),
        ("autosave conservative", "25P02"),
        ("simple", "25P02"),
    ],
)
def test_a_refusal_in_a_transaction_fails_it_and_nothing_of_it_is_kept(
    told: Told, mode: str, next_one: str
) -> None:
    assert told[f"transaction {mode}"] == ["1", REFUSED, next_one, "paid"]


def test_a_savepoint_keeps_what_was_before_a_refusal(told: Told) -> None:
    assert told["savepoint"] == [REFUSED, "kept"]


def test_a_server_prepared_statement_is_masked_on_every_run(told: Told) -> None:
    assert told["server-prepared"] == [
        "Ada Lindgren,*******9999",
        "Bo Okafor,*******1120",
        "Carla Méndez,*******5462",
        "Dai Tanaka,null",
        "true",
    ]


def test_a_server_prepared_statement_is_refused_on_every_run(told: Told) -> None:
    assert told["server-prepared refused"] == [REFUSED, REFUSED, REFUSED, "5"]


@pytest.mark.parametrize("binary", ["false", "true"])
def test_masks_hold_in_text_and_in_binary(told: Told, binary: str) -> None:
    assert told[f"masked binary={binary}"] == [MASKED] * 3


@pytest.mark.parametrize("rewritten", ["false", "true"])
def test_batches_of_inserts_work(told: Told, rewritten: str) -> None:
    assert told[f"batch rewritten={rewritten}"] == ["300", "300,note 399", "5"]


def test_a_refused_statement_in_a_batch_is_told_as_the_batch_s(told: Told) -> None:
    refused = f"batch [-3, -3, -3] {REFUSED}"
    assert told["batch with a refused statement"] == [refused, "paid;refunded"]


@pytest.mark.parametrize("kind", ["cursor", "cursor, server-prepared"])
def test_rows_by_the_page_are_masked_and_a_cursor_may_be_left(told: Told, kind: str) -> None:
    rows = "1,*******9999;2,*******1120;3,*******5462;4,null"
    assert told[kind] == [rows, "12502500", "1", "1"]


def test_copy_works_both_ways_and_is_masked(told: Told) -> None:
    masked = "1,*******9999 2,*******1120 3,*******5462 4,"
    assert told["copy"] == ["2", "2", "95 96", masked, "22P02", "5"]


@pytest.mark.parametrize("how", ["cancel", "time-out"])
def test_a_statement_is_cancelled_and_the_next_one_works(told: Told, how: str) -> None:
    assert told[how] == ["57014", "1"]


def test_one_refused_statement_refuses_its_whole_text(told: Told) -> None:
    assert told["several statements in one text"] == [REFUSED, "true", "1", "2"]


def test_settings_of_a_connection_hold(told: Told) -> None:
    assert told["settings"] == ["25006", "1", "public", "true", "1"]


def test_a_notification_comes_without_what_is_in_it(told: Told) -> None:
    assert told["listen"] == ["listens", "notified", "1 hoop_tests ", "1"]


def test_a_call_by_number_is_refused_and_the_next_statement_works(told: Told) -> None:
    assert told["large objects"] == ["42501 hint: use SELECT function(…) instead", "1"]


def test_keys_and_types_come_as_they_are(told: Told) -> None:
    assert told["generated keys"] == ["1", "91,1,2026-11-21,1.00,new,null"]
    row = "1 2 3.50 2026-11-21T00:00:00Z 2 00000000-0000-0000-0000-000000000001 [1, 2] {}"
    assert told["types"] == [row] * 3


def test_connections_of_a_pool_do_not_meet(told: Told) -> None:
    assert told["many statements at once"] == ["0,1,2,3,4"]


def test_everything_that_a_tool_asks_of_the_driver_about_tables_is_answered(told: Told) -> None:
    answers = dict(step.rsplit(" ", 1) for step in told["metadata"])
    assert len(answers) == 22
    assert answers["tables"] == "3"
    assert answers["columns"] == "5"
    assert (answers["keys"], answers["imported"], answers["exported"]) == ("1", "1", "2")
    for name in ("schemas", "indexes", "types", "functions", "privileges", "catalogs"):
        assert int(answers[name]) > 0, name


# --- held statements ------------------------------------------------------------------------------

HELD = tuple(
    f"held {how}" for how in ("simple", "extended", "server-prepared", "transaction", "time-out")
)


@pytest.fixture(scope="module")
def held(holding: Holding, asker: Person, decider: Person) -> Iterator[Told]:
    """What it told while somebody approved one held statement and denied the next, four times."""
    ids = "insert into notes select n, 'by jdbc' from generate_series(1001, 1009) n returning id"
    assert len(holding.direct(ids)) == 9
    answers = iter(("approve", "deny") * 4)

    def decide() -> None:
        for answer in answers:
            decider.hoop(answer, waiting(decider)[0]["id"], "--reason", "a test")

    with listening(asker) as dsn, ThreadPoolExecutor(1) as beside:
        deciding = beside.submit(decide)
        told = run_jdbc(dsn, *HELD)
        deciding.result()
        yield told


@pytest.mark.parametrize("how", ["simple", "extended", "server-prepared"])
def test_a_held_statement_waits_and_runs_or_is_refused_as_somebody_decides(
    held: Told, how: str
) -> None:
    approved, said, denied, said_again, left = held[f"held {how}"]
    assert (approved, left) == ("1", "1")
    assert denied.startswith("42501 hint: ")
    assert said.startswith('held by rule "four-eyes"')
    assert said_again.startswith('held by rule "four-eyes"')


def test_a_held_statement_in_a_transaction_leaves_its_state_as_it_is(held: Told) -> None:
    before, approved, left, denied, behind, after = held["held transaction"]
    assert (before, approved, left) == ("1", "1", "0")
    assert denied.startswith("42501 hint: ")
    assert behind == "25P02"
    assert after == "2"


def test_a_held_statement_that_the_driver_cancels_is_not_run(held: Told) -> None:
    cancelled, left = held["held time-out"]
    assert cancelled.partition(" ")[0] in ("42501", "57014")
    assert left == "1"
