"""An agent of the next version says more than this hoop knows: it is passed over."""

from __future__ import annotations

import json

import pytest

from tests.cli.agent import FakeAgent, grant, request, review_item, target
from tests.cli.conftest import Hoop

MORE = {"from_the_future": {"deeper": [1, 2]}, "also": None}


@pytest.fixture
def newer(agent: FakeAgent) -> FakeAgent:
    """Every answer has members that nobody here has heard of."""
    agent.targets = [target(**MORE)]
    agent.keep(request(**MORE))
    agent.grants = {"grt-7h2vd9xk4p": grant(**MORE)}
    agent.reviews = [review_item(**MORE)]
    return agent


@pytest.mark.parametrize("command", ["targets", "requests", "grants"])
def test_members_nobody_knows_are_passed_over(newer: FakeAgent, hoop: Hoop, command: str) -> None:
    done = hoop(command)
    assert done.returncode == 0, done.stderr
    assert "prod-db" in done.stdout
    assert "future" not in done.stdout
    assert json.loads(hoop(command, "-o", "json").stdout)[0]["from_the_future"] == {
        "deeper": [1, 2]
    }
