"""The battery's oracles on generated statements: ``HOOP_LONG=1`` runs 20,000 of them on each major.

Each is run past hoop, behind masks as people write them, and behind masks of the style ``null``
before two fillings.  Numbers of what the statements were go to the test's output.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hoopcore.protocols.postgres import wire
from tests.bypass.battery_arena import Arena, Player, arena, read_alike
from tests.bypass.battery_grammar import Statement, statements
from tests.bypass.canaries import shown, written

LONG = bool(os.environ.get("HOOP_LONG"))
EACH = 25  # statements in one example
COUNT = 20_000 if LONG else 200
MODES = ("simple", "text", "binary")
_BATCHES = st.tuples(st.sampled_from(MODES), st.lists(statements(), min_size=EACH, max_size=EACH))


@pytest.fixture(scope="module", params=[18, 15] if LONG else [18])
def field(request: pytest.FixtureRequest) -> Iterator[Arena]:
    with arena(request.param) as made:
        yield made


@pytest.mark.timeout(7200 if LONG else 300)
def test_generated_statements_carry_nothing_out(field: Arena) -> None:
    seen: Counter[str] = Counter()
    with (
        Player(field.direct) as past,
        Player(field.styled.connect) as styled,
        Player(field.nulled.connect) as nulled,
        Player(lambda: field.nulled.connect(database="other")) as other,
    ):

        @settings(
            max_examples=COUNT // EACH,
            deadline=None,
            database=None,
            derandomize=not LONG,  # two hundred are few: always the same
            suppress_health_check=list(HealthCheck),
        )
        @given(_BATCHES)
        def check(given_: tuple[str, list[Statement]]) -> None:
            mode, batch = given_
            texts = [one.text for one in batch]
            bare = past.batch(texts, "simple")
            tell(seen, bare)
            for text, answer in zip(texts, styled.batch(texts, mode), strict=True):
                assert shown(answer) == [], text
            pairs = zip(nulled.batch(texts, mode), other.batch(texts, mode), strict=True)
            for one, (ours, theirs) in zip(batch, pairs, strict=True):
                if one.fair:
                    assert read_alike(ours, theirs) == "", one.text

        check()
    assert written(field.recordings()) == []
    assert past.closed == styled.closed == nulled.closed == other.closed == 0
    print(f"PostgreSQL {field.major}: {dict(seen)}")  # noqa: T201 - figures for people
    assert seen["rejected"] < 0.3 * seen["all"]
    assert seen["shows a canary"] > 0.1 * seen["all"]


def tell(seen: Counter[str], answers: list[bytes]) -> None:
    """What the statements are without hoop."""
    for answer in answers:
        seen["all"] += 1
        seen["rejected"] += answer[:1] == bytes((wire.ERROR,))
        seen["shows a canary"] += bool(shown(answer))
