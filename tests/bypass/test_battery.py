"""The leak battery: no canary reaches a client or a recording, in any form that we know of.

Each statement of ``battery.py`` in three forms by a raw client, on two majors; once more before two
fillings of the same tables, which must read the same to the byte; and through psql, psycopg and
asyncpg, whose bytes are tapped.  Without hoop each of them shows a canary.

``HOOP_LONG=1`` runs all of it; in CI the second major, the clients and the fillings take turns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import pytest

from tests.bypass.battery import TRIALS
from tests.bypass.battery_arena import MODES, Arena, Player, arena, read_alike
from tests.bypass.battery_clients import Tap, by_asyncpg, by_psql, by_psycopg, tapped
from tests.bypass.canaries import shown, written
from tests.bypass.trial import Trial

LONG = bool(os.environ.get("HOOP_LONG"))

# Of how many statements CI takes one: on 18 each in simple form and in one extended form.
_EACH = {
    (18, "simple"): 1,
    (18, "text"): 2,
    (18, "binary"): 2,
    **{(15, mode): 4 for mode in MODES},
}
# What shows no canary without hoop, and why: see Case.
_NO_LEAK = ("clean", "infers", "silent")


@pytest.fixture(scope="module", params=[18, 15])
def field(request: pytest.FixtureRequest) -> Iterator[Arena]:
    with arena(request.param) as made:
        yield made


def trials(field: Arena, part: int = 0, of: int = 1) -> list[Trial]:
    """Those that this server knows; every so many of them, where CI has not the time for all."""
    mine = [trial for trial in TRIALS if trial.on(field.major)]
    return mine if LONG else mine[part % of :: of]


def play(player: Player, trial: Trial, mode: str) -> bytes:
    return (player.alone if trial.alone else player.play)(trial.texts, mode)


def test_without_hoop_each_statement_shows_a_canary(field: Arena) -> None:
    wrong = []
    with Player(field.direct) as player:
        for trial in trials(field):
            if trial.mark == "no-xml" or (trial.alone and trial.mark == "silent"):
                continue
            found = shown(play(player, trial, "simple"))
            if bool(found) != (trial.mark not in _NO_LEAK):
                wrong.append((trial.name, trial.texts, found[:3]))
    assert wrong == []


@pytest.mark.parametrize("mode", MODES)
def test_no_canary_reaches_the_client(field: Arena, mode: str) -> None:
    leaks = []
    part, of = MODES.index(mode), _EACH[field.major, mode]
    with Player(field.styled.connect) as player:
        for trial in trials(field, part, of):
            found = shown(play(player, trial, mode))
            if found and trial.mark != "open":
                leaks.append((trial.name, trial.texts, found[:3]))
    assert leaks == []


def test_two_fillings_read_alike(field: Arena) -> None:
    """So nothing of a value came through, in whatever form."""
    told = []
    with (
        Player(field.nulled.connect) as player,
        Player(lambda: field.nulled.connect(database="other")) as other,
    ):
        for trial in trials(field, field.major, 4):
            if trial.alone or trial.mark in ("infers", "counts", "open"):
                continue
            one, two = (play(each, trial, "text") for each in (player, other))
            if differs := read_alike(one, two):
                told.append((trial.name, trial.texts, differs))
    assert told == []


CLIENTS: dict[str, Callable[[Tap, str, Sequence[Trial]], int]] = {
    "psql": by_psql,
    "psycopg in text": partial(by_psycopg, binary=False),
    "psycopg in binary": partial(by_psycopg, binary=True),
    "asyncpg": by_asyncpg,
}


def test_what_is_published_as_open_is_open(field: Arena) -> None:
    """One that is mended goes from ``OPEN`` in ``battery.py``, and the docs are made anew."""
    with Player(field.styled.connect) as player:
        mended = [
            trial.name
            for trial in trials(field)
            if trial.mark == "open" and not shown(play(player, trial, "simple"))
        ]
    assert mended == []


@pytest.mark.parametrize("client", CLIENTS)
def test_no_canary_reaches_a_real_client(field: Arena, client: str) -> None:
    """All of it in one session; which statement it was is found with the raw client."""
    part = list(CLIENTS).index(client) + field.major
    chosen = trials(field, part, 8)
    mine = [trial for trial in chosen if not trial.alone and trial.mark != "open"]
    with tapped(field.styled) as (tap, user):
        ran = CLIENTS[client](tap, user, mine)
        assert shown(bytes(tap.heard)) == []
        assert len(tap.heard) > 20_000
    assert ran > len(mine) / 2


def test_nothing_of_it_stands_in_a_recording(field: Arena) -> None:
    """Behind all of the above."""
    assert written(field.recordings()) == []
