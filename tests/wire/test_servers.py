"""The servers of the tests are what they say they are."""

from __future__ import annotations

from hoopcli.demo.postgres import Postgres


def test_wheel_postgres_answers(postgres: Postgres) -> None:
    assert postgres.psql("select 6 * 7").strip() == "42"


def test_debian_postgres_answers(postgres15: Postgres) -> None:
    assert postgres15.psql("show server_version_num").startswith("15")
