"""The form of ``hoop review mine``: keys answer, Enter never, and the agent is told."""

from __future__ import annotations

import os
import time
from typing import Any

from textual.pilot import Pilot

from hoopcli.errors import ApiError
from hoopcli.review_form.app import Form
from tests.cli.agent import FakeAgent, answered, at, review_item
from tests.cli.conftest import Terminal, ended

LONG = os.environ.get("HOOP_LONG") == "1"


class Agent:
    """What the form asks, and answers as the agent gives them."""

    def __init__(self, most: int | None = None) -> None:
        self.sent: list[tuple[str, dict[str, Any]]] = []
        self.most = most

    def get(self, path: str, **params: object) -> Any:
        raise AssertionError(path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        body = body or {}
        if path.endswith("/replay"):
            return {**body, "passed": 14, "of": 16, "exact": True, "outside": ["a.b:update"]}
        self.sent.append((path, body))
        backs = [one for one in self.answers if one["answer"] == "give back"]
        if self.most is not None and len(backs) > self.most and not body.get("sure"):
            raise ApiError(409, "too_many", "that would end 4 of your 5 grants at once")
        back = body.get("answer") == "give back"
        review = answered(undo_until=at(10), proof=None) if back else answered(state="decided")
        return {"decision": body, "review": review, "closed": ["s-1"] if back else []}

    @property
    def answers(self) -> list[dict[str, Any]]:
        return [body for path, body in self.sent if path == "/v1/reviews"]


def some(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [review_item(grant=f"grt-0000000{number:03}", **changes) for number in range(count)]


async def settle(pilot: Pilot[int]) -> None:
    await pilot.app.workers.wait_for_complete()
    await pilot.pause()


def shown(form: Form, name: str) -> str:
    return str(form.query_one(f"#{name}").render())


async def test_enter_answers_nothing() -> None:
    agent, form = Agent(), Form(Agent(), some(2))
    form.client = agent
    async with form.run_test(size=(120, 40)) as pilot:
        await pilot.press("enter", "enter", "space")
        await pilot.press("k")
        await pilot.press("enter")  # an empty reason
        await settle(pilot)
        assert "Without a reason" in shown(form, "said")
        assert agent.sent == []


async def test_the_first_page_and_the_card_say_what_is_asked() -> None:
    hard = review_item(grant="grt-9w4tb2nx6c", group="privileged", tier="high", suggestion=None)
    form = Form(Agent(), [hard, *some(3)])
    async with form.run_test(size=(140, 50)):
        assert "4 of 4 to look at, about" in shown(form, "head")
        assert "1 privileged, 3 used, low risk" in shown(form, "head")
        card = shown(form, "card")
        assert "16 of your 16 statements would still pass" in card
        assert "prod-db (high tier)" in card


async def test_one_key_an_answer_and_on_to_the_next() -> None:
    agent = Agent()
    form = Form(agent, some(3))
    async with form.run_test(size=(120, 40)) as pilot:
        await pilot.press("k", *"order", "enter")
        await settle(pilot)
        await pilot.press("g")
        await settle(pilot)
        assert "sessions ended: s-1" in shown(form, "said")
        assert [(one["grant"], one["answer"]) for one in agent.answers] == [
            ("grt-0000000000", "keep"),
            ("grt-0000000001", "give back"),
        ]
        assert agent.answers[0]["reason"] == "order"
        assert form.item["grant"] == "grt-0000000002"
        await pilot.press("up", "k")  # answered: a second key changes nothing
        await settle(pilot)
        assert len(agent.answers) == 2
        await pilot.press("u")
        await settle(pilot)
        assert agent.sent[-1][0] == "/v1/reviews/rev-5m2nq8zt4w/undo"
        assert set(form.done) == {"grt-0000000000"}


async def test_narrowing_shows_the_replay_while_one_types() -> None:
    agent = Agent()
    form = Form(agent, some(1))
    async with form.run_test(size=(120, 40)) as pilot:
        await pilot.press("n")
        assert form.box.value == "public.orders:read"
        await pilot.press(*"+update")
        await settle(pilot)
        assert "14 of your 16 statements would still pass" in shown(form, "said")
        assert "a.b:update" in shown(form, "said")
        await pilot.press("enter", "enter")
        await pilot.press("enter", "k", "g")  # neither yes nor no
        assert agent.answers == []
        await pilot.press("y")
        await settle(pilot)
        (one,) = agent.answers
        assert one["scope"] == "public.orders:read public.orders:update"


async def test_alike_ones_are_answered_together_and_a_run_that_ends_much_asks() -> None:
    agent = Agent(most=2)
    form = Form(agent, [*some(4), review_item(grant="grt-9w4tb2nx6c", alone=True)])
    async with form.run_test(size=(120, 40)) as pilot:
        await pilot.press("a", "g")
        await settle(pilot)
        assert "Is that meant?" in shown(form, "said")
        assert len(form.done) == 2
        await pilot.press("y")
        await settle(pilot)
        assert len(form.done) == 4
        assert {one["group"] for one in agent.answers} == {4}
        assert form.item["grant"] == "grt-9w4tb2nx6c"
        await pilot.press("a")
        assert "by itself" in shown(form, "said")


async def test_fifty_grants_are_answered_by_a_scripted_reviewer() -> None:
    """Privileged ones by themselves, wide ones narrowed, the rest in groups; the figure is printed.

    A person reads for as long as the form itself says: five minutes for such fifty.  Without
    HOOP_LONG=1 there are a dozen of them.
    """
    agent = Agent(most=2)
    hard, wide, idle, plain, pulled = (4, 6, 12, 26, 2) if LONG else (1, 2, 4, 4, 1)
    items = [
        *named("privileged", hard, tier="high", alone=True, seconds=30, suggestion=None),
        *named("far wider than needed", wide, seconds=12),
        *named("no use seen for long", idle, seconds=5),
        *named("used, low risk", plain, seconds=2),
        *named("used, low risk", pulled, first=plain, alone=True, seconds=4),
    ]
    form, keys, began = Form(agent, items), 0, time.monotonic()
    async with form.run_test(size=(120, 40)) as pilot:
        assert f"{len(items)} of {len(items)} to look at, about" in shown(form, "head")
        assert not LONG or "50 of 50 to look at, about 5 min" in shown(form, "head")
        while len(form.done) < len(items):
            for key in script(form):
                await pilot.press(key)
                keys += 1
            await settle(pilot)
        assert f"All {len(items)} answered" in shown(form, "head")
    answers = [answer for _, answer in {(one["grant"], one["answer"]) for one in agent.answers}]
    assert (answers.count("narrow"), answers.count("keep")) == (wide, hard + plain + pulled)
    assert {one["grant"] for one in agent.answers} == {one["grant"] for one in items}
    print(f"\n{len(items)} grants: {keys} keys, {time.monotonic() - began:.1f} s of a script")  # noqa: T201


def named(group: str, count: int, first: int = 0, **changes: Any) -> list[dict[str, Any]]:
    letter = group[0]
    return [
        review_item(grant=f"grt-{letter}{number:09}", group=group, **changes)
        for number in range(first, first + count)
    ]


def script(form: Form) -> list[str]:
    """The keys for the grant that the form is at."""
    if form._pick and "y" in form._pick:
        return ["y"]
    item = form.item
    if item["group"].startswith("far"):
        return ["n", "enter", "enter", "y"]
    if item["group"].startswith("no use"):
        return ["a", "g"]
    return [*(["a"] if not item["alone"] else []), "k", *"job", "enter"]


async def test_what_was_opened_is_told_with_the_answer() -> None:
    agent = Agent()
    form = Form(agent, some(1, tier="low"))
    async with form.run_test(size=(80, 24)) as pilot:
        await pilot.press("e")
        assert "narrower scope: public.orders:read" in str(
            form.screen.query_one("#page Static").render()
        )
        await pilot.press("escape", "k")
        await settle(pilot)
        assert agent.answers[0]["opened"] == ["evidence"]


def test_at_a_terminal_the_form_opens_and_leaves_the_screen_as_it_was(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item(tier="low")]
    child = terminal("review", "mine")
    child.expect("to look at")
    child.expect("k keep")
    child.send("k")
    child.expect("1 answered|All 1")
    child.send("q")
    child.expect("1 kept.")
    assert ended(child) == 0
