"""``hoop review mine``: the evidence, one key an answer, and silence that keeps nothing."""

from __future__ import annotations

import json

import pytest

from tests.cli.agent import FakeAgent, review_item
from tests.cli.conftest import Hoop, Terminal, ended

SECOND = "grt-9w4tb2nx6c"
QUESTION = r"Keep \(k\), give back \(g\), skip \(s\), quit \(q\)\? "


def answers(agent: FakeAgent) -> list[dict[str, object]]:
    return [one.body for one in agent.asked("POST", "/v1/reviews")]


def test_a_card_shows_why_until_when_and_what_was_done_with_it(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item()]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    shown = dict(line.split(maxsplit=1) for line in child.before.splitlines() if "  " in line)
    assert shown["why"] == "look into order 4711"
    assert shown["ends"] == "in 42 min"
    assert shown["statements"] == "17 (1 refused, 230 rows, 12 values masked)"
    assert shown["used"] == "public.orders:read"
    assert "not seen     public.customers:read" in child.before
    assert "bob@example.com" in shown["approved"]
    assert all(len(line) <= 80 for line in child.before.splitlines())
    child.send("q")
    assert ended(child) == 0
    assert answers(agent) == []


def test_enter_never_keeps(agent: FakeAgent, terminal: Terminal) -> None:
    agent.reviews = [review_item()]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    child.send("\r\n\r\n y")
    child.send("\x1b[A\x1bk\x1b[1;5kq")  # an arrow, Alt-K and Ctrl-something are no k either
    child.expect("Nothing changed; 1 not looked at")
    assert ended(child) == 0
    assert answers(agent) == []


def test_a_keep_without_a_reason_is_none(agent: FakeAgent, terminal: Terminal) -> None:
    agent.reviews = [review_item()]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    child.send("k")
    child.expect("Why do you still need it")
    child.sendline("")
    child.expect("Without a reason it is not kept")
    child.expect(QUESTION)
    child.send("s")
    assert ended(child) == 0
    assert answers(agent) == []


def test_keep_with_a_reason_and_give_back_with_one_key(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item(), review_item(grant=SECOND)]
    child = terminal("review", "mine")
    child.expect("1 of 2")
    child.expect(QUESTION)
    child.send("K")
    child.expect("Why do you still need it")
    child.sendline("order 4711 is open")
    child.expect("2 of 2")
    child.expect(QUESTION)
    child.send("g")
    child.expect("Sessions that ended with it: s-1c9fz4m2qk")
    child.expect("1 kept, 1 given back")
    assert ended(child) == 0
    assert answers(agent) == [
        {"grant": "grt-7h2vd9xk4p", "answer": "keep", "reason": "order 4711 is open"},
        {"grant": SECOND, "answer": "give back", "reason": ""},
    ]


def test_a_key_pressed_before_the_question_answers_nothing(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item(), review_item(grant=SECOND)]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    child.send("ggg")  # the second and the third were not meant for the next card
    child.expect("2 of 2")
    child.expect(QUESTION)
    child.send("q")
    child.expect("1 given back; 1 not looked at")
    assert ended(child) == 0
    assert [answer["grant"] for answer in answers(agent)] == ["grt-7h2vd9xk4p"]


def test_ctrl_c_leaves_the_terminal_as_it_was_and_changes_nothing(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item()]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in child.before
    assert answers(agent) == []


def test_without_a_terminal_the_grants_are_listed_and_nothing_is_asked(
    agent: FakeAgent, hoop: Hoop
) -> None:
    agent.reviews = [review_item()]
    done = hoop("review", "mine", stdin="k\nk\n")
    assert done.returncode == 0
    assert "grt-7h2vd9xk4p" in done.stdout
    assert json.loads(hoop("review", "mine", "-o", "json").stdout) == agent.reviews
    assert hoop("review", "mine", "-o", "names").stdout == "grt-7h2vd9xk4p\n"
    assert answers(agent) == []


def test_json_at_a_terminal_is_listed_too(agent: FakeAgent, terminal: Terminal) -> None:
    agent.reviews = [review_item()]
    child = terminal("review", "mine", "-o", "json")
    assert ended(child) == 0


def test_a_script_keeps_with_a_reason_and_gives_back_without(agent: FakeAgent, hoop: Hoop) -> None:
    kept = hoop("review", "mine", "--keep", SECOND, "--reason", "still open")
    back = hoop("review", "mine", "--give-back", SECOND, "-o", "json")
    assert (kept.returncode, back.returncode) == (0, 0)
    assert json.loads(back.stdout)["closed"] == ["s-1c9fz4m2qk"]
    assert [one["answer"] for one in answers(agent)] == ["keep", "give back"]


@pytest.mark.parametrize(
    "options",
    [
        ("--keep", SECOND),
        ("--keep", SECOND, "--give-back", SECOND, "--reason", "x"),
        ("--reason", "x"),
        ("--keep", "prod-db", "--reason", "x"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    agent: FakeAgent, hoop: Hoop, options: tuple[str, ...]
) -> None:
    assert hoop("review", "mine", *options).returncode == 2
    assert agent.seen == []


def test_a_use_that_was_not_read_is_said_and_nothing_is_called_unused(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item(unseen=1, unread=2, suggestion=None)]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    assert "1 recording(s) not readable, 2 statement(s) not understood" in child.before
    assert "not seen" not in child.before
    child.send("q")
    assert ended(child) == 0


def test_nothing_to_review_is_said(hoop: Hoop) -> None:
    assert hoop("review", "mine").stderr == "You have no grants to review.\n"
