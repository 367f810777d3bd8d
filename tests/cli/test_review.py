"""``hoop review mine``: the evidence, one key an answer, and silence that keeps nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest

from hoopcli import review_view, view
from tests.cli.agent import FakeAgent, answered, review_item
from tests.cli.conftest import Hoop, Terminal, ended

SECOND = "grt-9w4tb2nx6c"
QUESTION = r"evidence \(e\), skip \(s\), quit \(q\)\? "


@pytest.fixture
def terminal(terminal: Terminal) -> Terminal:
    """A terminal without Textual: cards and keys."""

    def start(*arguments: str, **changes: str) -> pexpect.spawn:
        return terminal(*arguments, TEST_WITHOUT="textual", **changes)

    return start


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
    child.expect("2 grants to look at, about 10 s")
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
    assert [(one["grant"], one["answer"], one.get("reason")) for one in answers(agent)] == [
        ("grt-7h2vd9xk4p", "keep", "order 4711 is open"),
        (SECOND, "give back", None),
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
        ("--narrow", SECOND),
        ("--delegate", SECOND),
        ("--keep", SECOND, "--scope", "orders:read"),
        ("--narrow", SECOND, "--until", "in 1h", "--dry-run"),
        ("--keep", SECOND, "--apply", "/dev/null"),
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
    agent.reviews = [review_item(unseen=1, unread=2, suggestion=None, narrower=None)]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    assert "1 recording(s) not readable, 2 statement(s) not understood" in child.before
    assert "not seen" not in child.before
    child.send("q")
    assert ended(child) == 0


def test_nothing_to_review_is_said(hoop: Hoop) -> None:
    assert hoop("review", "mine").stderr == "You have no grants to review.\n"


# --- several at once ------------------------------------------------------------------------------


def alike(count: int, **changes: Any) -> list[dict[str, Any]]:
    return [review_item(grant=f"grt-0000000{number:03}", **changes) for number in range(count)]


def test_the_first_page_says_how_many_and_how_long_hardest_first(
    agent: FakeAgent, terminal: Terminal
) -> None:
    hard = review_item(grant=SECOND, group="privileged", tier="high", alone=True, seconds=30)
    agent.reviews = [hard, *alike(5), review_item(state="decided")]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    page = child.before.split("1 of 6")[0].splitlines()
    assert page[0] == "6 grants to look at, about 50 s."
    assert page[1].split() == ["1", "privileged", "one", "by", "one"]
    assert page[2].split()[:2] == ["5", "used,"]
    assert page[3].strip() == "1  answered already"
    child.send("q")
    assert ended(child) == 0


def test_alike_grants_are_answered_together_and_the_pulled_one_by_itself(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [*alike(4), review_item(grant=SECOND, alone=True)]
    child = terminal("review", "mine")
    child.expect(r"Keep all \(k\)")
    child.send("k")
    child.expect("Why do you still need them")
    child.sendline("the migration")
    child.expect(SECOND)
    child.expect(QUESTION)
    child.send("s")
    child.expect("4 kept, 1 skipped")
    assert ended(child) == 0
    assert {(one["group"], one["reason"]) for one in answers(agent)} == {(4, "the migration")}


def test_a_run_that_ends_much_is_asked_about_once_more(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews, agent.most = [review_item()], 0
    child = terminal("review", "mine")
    child.expect(QUESTION)
    child.send("g")
    child.expect("that would end 4 of your 5 grants at once")
    child.expect("Is that meant")
    child.send("n")
    child.expect(QUESTION)
    child.send("g")
    child.expect("Is that meant")
    child.send("y")
    child.expect("1 given back")
    assert ended(child) == 0
    assert [one.get("sure", False) for one in answers(agent)] == [False, False, True]


def test_narrowing_says_what_would_still_pass_before_it_counts(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item()]
    child = terminal("review", "mine")
    child.expect(QUESTION)
    child.send("n")
    child.expect(r"What is enough\?.*\[public.orders:read\] ")
    child.sendline("orders:read")
    child.expect("14 of your 16 statements would still pass")
    child.expect("outside: a.b:update")
    child.expect("Narrow it")
    child.send("y")
    child.expect("1 narrowed")
    assert ended(child) == 0
    (one,) = answers(agent)
    assert (one["answer"], one["scope"]) == ("narrow", "*.orders:read")


# --- in words -------------------------------------------------------------------------------------


def leaves(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield name.replace("_", " ")
            yield from leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from leaves(inner)
    elif isinstance(value, bool):
        yield "yes" if value else "no"
    elif value not in (None, ""):
        yield view.clean(value)


def test_linear_holds_every_fact_of_the_json(agent: FakeAgent, hoop: Hoop) -> None:
    agent.reviews = [review_item(), review_item(grant=SECOND, asked={"name": "Bob"})]
    text = hoop("review", "mine", "--linear").stdout
    for item in json.loads(hoop("review", "mine", "-o", "json").stdout):
        facts = list(review_view.linear(item))
        assert all(line in text for line in facts)
        for fact in leaves(item):
            assert any(fact in line for line in facts), fact
    assert "\x1b" not in text


def test_in_words_too_one_answers_and_nothing_hangs_on_a_key(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.reviews = [review_item()]
    child = terminal("review", "mine", "--linear")
    child.expect("why reason: look into order 4711")
    child.expect("Answer \\(")
    child.sendline("")
    child.expect("Answer \\(")
    child.sendline("Give back")
    child.expect("1 given back")
    assert ended(child) == 0


# --- from a file ----------------------------------------------------------------------------------


def test_answers_from_a_file_are_read_whole_before_any_is_sent(
    agent: FakeAgent, hoop: Hoop, tmp_path: Path
) -> None:
    file = tmp_path / "answers.jsonl"
    good = {"grant": SECOND, "answer": "keep", "reason": "still open"}
    for bad in ("{", '["a"]', '{"grant": "x", "answer": "keep"}', json.dumps({"grant": SECOND})):
        file.write_text(json.dumps(good) + "\n" + bad + "\n")
        done = hoop("review", "mine", "--apply", str(file))
        assert (done.returncode, f"{file}:2" in done.stderr) == (2, True)
    assert answers(agent) == []
    file.write_text(json.dumps(good) + "\n\n" + json.dumps(good | {"answer": "give back"}))
    done = hoop("review", "mine", "--apply", str(file), "-o", "json")
    assert done.returncode == 0
    assert [one["state"] for one in json.loads(done.stdout)] == ["verified", "verified"]
    assert {(one["attended"], one["group"]) for one in answers(agent)} == {(False, 2)}


def test_a_file_that_would_end_too_much_stops_where_it_is(
    agent: FakeAgent, hoop: Hoop, tmp_path: Path
) -> None:
    file, agent.most = tmp_path / "answers.jsonl", 2
    lines = [{"grant": f"grt-0000000{n:03}", "answer": "give back"} for n in range(5)]
    file.write_text("\n".join(map(json.dumps, lines)))
    done = hoop("review", "mine", "--apply", str(file), "-o", "json")
    assert done.returncode == 1
    assert [one.get("error") for one in json.loads(done.stdout)] == [None, None, "too_many"]
    assert "Stopped at line 3 of 5" in done.stderr
    assert hoop("review", "mine", "--apply", str(file), "--sure").returncode == 0


# --- what comes after -----------------------------------------------------------------------------


def test_what_the_gate_said_afterwards_is_told(agent: FakeAgent, hoop: Hoop) -> None:
    agent.answered = [answered(), answered(id="rev-9w4tb2nx6c", undo_until=at_ten(), proof=None)]
    text = hoop("review", "done").stdout
    assert "refused" in text
    assert "can be undone until in 10 min" in " ".join(text.split())
    assert json.loads(hoop("review", "done", "-o", "json").stdout) == agent.answered


def at_ten() -> str:
    from tests.cli.agent import at

    return at(10)


def test_somebody_s_answer_is_shown_with_the_suggestion_they_were_not(
    agent: FakeAgent, hoop: Hoop
) -> None:
    shown = {"reason": "still at it", "suggestion": "give back: no session", "opened": ["evidence"]}
    agent.answered = [answered(state="awaiting confirmation", answer="keep", proof=None)
                      | shown | {"evidence": review_item(suggestion=None), "took": 4}]  # fmt: skip
    text = hoop("review", "confirm", "rev-5m2nq8zt4w").stdout
    assert "give back: no session" in text
    assert "public.orders:read" in text
    done = hoop(
        "review", "confirm", "rev-5m2nq8zt4w", "--take-away", "--reason", "it is over", "-o", "json"
    )
    assert done.returncode == 0
    sent = agent.asked("POST", "/v1/reviews/rev-5m2nq8zt4w/confirm")
    assert [one.body for one in sent] == [{"answer": "override", "reason": "it is over"}]


def test_what_was_given_back_is_taken_again_by_its_id(agent: FakeAgent, hoop: Hoop) -> None:
    assert hoop("review", "undo", "rev-5m2nq8zt4w").returncode == 0
    assert agent.asked("POST", "/v1/reviews/rev-5m2nq8zt4w/undo")
    assert hoop("review", "undo", "prod-db").returncode == 2
