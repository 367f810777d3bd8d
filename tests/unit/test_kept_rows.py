"""Which rows get into a recording, and what happens when the disk does not keep up."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from hoopagent.config import TargetSection
from hoopagent.kept_rows import KeptRows, results_for
from hoopcore.protocols.postgres.results import Results
from hoopcore.recording import Rows
from hoopcore.stream import Finished, Out, Side
from tests.unit.test_results import row


class Session:
    """What of a live session is asked, and what was done to it."""

    def __init__(self, behind: asyncio.Future[None] | None = None) -> None:
        self.kept: list[Rows] = []
        self.behind = behind
        self.full: set[Side] = set()
        self.judge = SimpleNamespace(bound=SimpleNamespace(shown=()))
        self.stream = SimpleNamespace(answering=0)
        self.recorder = SimpleNamespace(append=self._append)
        self.relay = SimpleNamespace(pause=self.full.add, resume=self.full.discard)

    def _append(self, *events: Rows) -> asyncio.Future[None] | None:
        self.kept += events
        return self.behind


def keeping(session: Session) -> KeptRows:
    live: Any = session
    return KeptRows(live, None, Results(None))


def rows(text: bytes) -> Out:
    return Out([row(text)], seen=[Finished(1, rows=1)])


def test_what_a_grant_shows_in_clear_is_not_kept_from_then_on() -> None:
    session = Session()
    kept = keeping(session)
    kept.flowed(rows(b"*******9999"))
    session.judge.bound.shown = ("public.customers.ssn",)
    kept.flowed(rows(b"219-09-9999"))
    session.judge.bound.shown = ()
    kept.flowed(rows(b"219-09-8888"))  # of a statement that began before the mask was on again
    assert [event.rows for event in session.kept] == [[["*******9999"]], [], []]
    assert [event.withheld for event in session.kept] == [0, 1, 1]


async def test_a_disk_that_falls_behind_slows_the_target() -> None:
    future = asyncio.get_running_loop().create_future()
    session = Session(future)
    keeping(session).flowed(rows(b"x"))
    assert session.full == {Side.CLIENT}
    future.set_result(None)
    await asyncio.sleep(0)
    assert not session.full


@pytest.mark.parametrize(("said", "most"), [("all", None), (3, 3)])
def test_nothing_is_made_unless_policy_asks(said: object, most: int | None) -> None:
    plain: dict[str, object] = {
        "address": "db:5432",
        "databases": ("shop",),
        "credential": {"user": "hoop"},
    }
    assert results_for(TargetSection.model_validate(plain)) is None
    made = results_for(TargetSection.model_validate({**plain, "record_results": said}))
    assert made is not None
    assert made.most == most
