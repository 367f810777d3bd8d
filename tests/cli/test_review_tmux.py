"""Fifty grants in a terminal that nobody here wrote, by a reviewer that reads what is on it."""

from __future__ import annotations

import os
import re
import time
from collections import Counter

from tests.cli.agent import FakeAgent
from tests.cli.conftest import command
from tests.cli.test_review_form import named
from tests.tmux import PROMPT, Tmux, in_tmux

LONG = os.environ.get("HOOP_LONG") == "1"
_LEFT = r"(\d+) of (\d+) to look at"
_GROUP = r"\d+ of \d+: (privileged|far wider than needed|no use seen for long|used, low risk)"
KEYS = {
    "privileged": ["k", "job", "Enter"],
    "far wider than needed": ["n", "Enter", "Enter", "y"],
    "no use seen for long": ["a", "g"],
    "used, low risk": ["a", "k", "job", "Enter"],
}


def test_a_scripted_reviewer_answers_fifty_grants(
    agent: FakeAgent, environ: dict[str, str]
) -> None:
    """Of each kind what a person would press, by what the screen says; the figure is printed.

    Without HOOP_LONG=1 there are a dozen.
    """
    hard, wide, idle, plain, pulled = (4, 6, 12, 26, 2) if LONG else (1, 2, 4, 4, 1)
    agent.reviews = [
        *named("privileged", hard, tier="high", alone=True, seconds=30, suggestion=None),
        *named("far wider than needed", wide, seconds=12),
        *named("no use seen for long", idle, seconds=5),
        *named("used, low risk", plain, seconds=2),
        *named("used, low risk", pulled, first=plain, alone=True, seconds=4),
    ]
    count, pressed, began = len(agent.reviews), 0, time.monotonic()
    with in_tmux(command("review", "mine"), environ, 120, 40) as tmux:
        tmux.settled(f"{count} of {count} to look at, about", "k keep")
        while (seen := re.search(_LEFT, screen := tmux.screen())) is not None:
            group = re.search(_GROUP, screen)
            assert group is not None, screen
            pressed += answer(tmux, group[1], left=int(seen[1]))
        tmux.until(f"All {count} answered")
        tmux.keys("q")
        tmux.until(PROMPT)
    bodies = [seen.body for seen in agent.asked("POST", "/v1/reviews")]
    answers = Counter(body["answer"] for body in bodies)
    assert answers == {"keep": hard + plain + pulled, "narrow": wide, "give back": idle}
    assert {body["grant"] for body in bodies} == {one["grant"] for one in agent.reviews}
    assert {body["reason"] for body in bodies if body["answer"] == "keep"} == {"job"}
    print(f"\n{count} grants: {pressed} keys, {time.monotonic() - began:.1f} s of a script")  # noqa: T201


def answer(tmux: Tmux, group: str, left: int) -> int:
    """Presses what answers the grant that is shown, all at once; waits until fewer are left."""
    tmux.keys(*KEYS[group])
    tmux.until(rf"All \d+ answered|(?<!\d)(?!{left} of ){_LEFT}|Is that meant")
    if "Is that meant" in tmux.screen():
        tmux.keys("y")
        tmux.until(rf"All \d+ answered|(?<!\d)(?!{left} of ){_LEFT}")
    return len(KEYS[group])
