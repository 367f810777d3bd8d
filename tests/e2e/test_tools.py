"""What graphical clients ask before anybody has typed anything (``tools.sql``), through hoop."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.e2e.test_clients import listening
from tests.e2e.world import Person

TEXT = Path(__file__).with_name("tools.sql").read_text()
QUESTIONS = dict(part.split("\n", 1) for part in TEXT.split("\n---- ")[1:])


def statements(name: str) -> list[str]:
    return [line for line in QUESTIONS[name].splitlines() if line]


@pytest.fixture(scope="module")
def dsn(ana: Person, ben: Person) -> Iterator[str]:
    id = ana.granted(ben)
    with listening(ana) as dsn:
        yield dsn
    ana.hoop("relinquish", id)


@pytest.fixture(scope="module")
def direct(ana: Person) -> str:
    """The same server and role, without hoop."""
    world = ana.world
    assert world.postgres is not None
    password = (world.folder / "agent" / "prod-db.password").read_text()
    return f"postgresql://shop_app:{password}@127.0.0.1:{world.postgres.port}/shop"


def answers(dsn: str, name: str) -> list[Any]:
    """All rows of all its statements, on one connection."""
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for text in statements(name):
            cursor = connection.execute(text)
            found.append(cursor.fetchall() if cursor.description else [])
    return found


@pytest.mark.parametrize("name", QUESTIONS)
def test_what_a_graphical_client_asks_is_answered_as_without_hoop(
    dsn: str, direct: str, name: str
) -> None:
    told, expected = answers(dsn, name), answers(direct, name)
    if name.endswith((" moves", " hidden")):
        told, expected = filled(told), filled(expected)
    if name.endswith(" hidden"):
        expected = [[False] * len(part) for part in expected]
        expected[2][0] = True  # a constant of the text
    if name.endswith("rows of a table"):
        expected = [[masked(row) for row in part] for part in expected]
    assert told == expected


def filled(found: list[Any]) -> list[Any]:
    """Which cells of each first row have a value; of most of them it is another one each time."""
    return [[cell is not None for cell in part[0]] if part else [] for part in found]


def masked(row: Any) -> Any:
    """What the detectors leave of the notes of the demo's orders."""
    found = {"bo.okafor@example.com": "*" * 9 + "@example.com", "4012 8888 8888 ": "*" * 15}
    cells = list(row)
    for place, cell in enumerate(cells):
        for clear, hidden in found.items():
            cells[place] = cells[place].replace(clear, hidden) if isinstance(cell, str) else cell
    return tuple(cells)


def test_each_statement_of_the_file_is_one_line() -> None:
    for name in QUESTIONS:
        assert all(line.endswith(";") for line in statements(name)), name
