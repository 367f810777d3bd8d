"""Asking, deciding, giving back: what is sent to the agent, what is shown, and the exit codes."""

from __future__ import annotations

import json

import pytest

from tests.cli.agent import BOB, FakeAgent, at, grant, request, target, vote
from tests.cli.conftest import Hoop, Terminal, ended

# --- targets ------------------------------------------------------------------------------------


def test_targets_say_what_is_open_and_what_may_be_asked_for(agent: FakeAgent, hoop: Hoop) -> None:
    mine = {"id": "grt-7h2vd9xk4p", "not_after": at(42)}
    agent.targets = [
        target(),
        target(name="stage-db", grant=mine),
        target(name="audit-db", may_request=False),
        target(name="dev-db", approvers=[]),
    ]
    done = hoop("targets")
    access = [line.split("  ")[-1].strip() for line in done.stdout.splitlines()]
    assert access == [
        "YOUR ACCESS",
        "on request, dba decides",
        "yes, ends in 42 min",
        "no",
        "on request",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_ls_is_targets(hoop: Hoop) -> None:
    assert hoop("ls").stdout == hoop("targets").stdout


def test_names_are_for_xargs_and_json_is_what_the_agent_said(agent: FakeAgent, hoop: Hoop) -> None:
    assert hoop("targets", "-o", "names").stdout == "prod-db\n"
    assert json.loads(hoop("targets", "-o", "json").stdout) == agent.targets


def test_nothing_to_list_is_said_to_people_and_not_to_programs(
    agent: FakeAgent, hoop: Hoop
) -> None:
    agent.targets = []
    done = hoop("targets")
    assert (done.stdout, done.stderr) == ("", "There is no target you may see.\n")
    assert hoop("targets", "-o", "names").stderr == ""
    assert json.loads(hoop("targets", "-o", "json").stdout) == []


def test_a_name_that_holds_an_escape_sequence_does_not_reach_the_terminal(
    agent: FakeAgent, hoop: Hoop
) -> None:
    agent.targets = [target(name="x\x1b]0;owned\x07")]
    for output in ("table", "json", "names"):
        assert "\x1b" not in hoop("targets", "-o", output).stdout


# --- request ------------------------------------------------------------------------------------


def test_a_request_carries_all_that_was_said(agent: FakeAgent, hoop: Hoop) -> None:
    options = ["--for", "1h30m", "--task", "cleanup", "--priority", "urgent"]
    options += ["--ticket", "SHOP-12", "--key", "k1"]
    done = hoop(
        "request", "prod-db", "--reason", "why", *options, "--scope", "orders,customers:select"
    )
    assert agent.asked("POST", "/v1/requests")[0].body == {
        "target": "prod-db",
        "duration": 5400,
        "reason": "why",
        "task": "cleanup",
        "priority": "urgent",
        "ticket": "SHOP-12",
        "key": "k1",
        "scope": "*.customers:read *.orders:read",
    }
    assert done.returncode == 0
    assert "It waits for 1 vote from dba, who type:  hoop approve req-4k7mq2zt9x" in done.stderr


def test_the_id_of_a_request_can_be_caught(hoop: Hoop) -> None:
    done = hoop("request", "prod-db", "--reason", "why", "-o", "names")
    assert (done.stdout, done.stderr) == ("req-4k7mq2zt9x\n", "")


@pytest.mark.parametrize("reason", [(), ("--reason", ""), ("--reason", "  ")])
def test_without_a_terminal_a_missing_reason_is_a_usage_error(
    agent: FakeAgent, hoop: Hoop, reason: tuple[str, ...]
) -> None:
    done = hoop("request", "prod-db", *reason)
    assert done.returncode == 2
    assert (
        'hoop: a reason is needed\n      Say why:  hoop request prod-db --reason "…"' in done.stderr
    )
    assert agent.seen == []


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--for", "90", "do you mean 90s, 90m or 90h?"),
        ("--timeout", "soon", "--timeout: 'soon' is not a duration"),
        ("--scope", "public.:read", "--scope: "),
        ("--priority", "huge", "'huge' is not one of"),
        ("-o", "yaml", "'yaml' is not one of"),
        ("--foo", "x", "no such option: --foo"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_and_asks_nobody(
    agent: FakeAgent, hoop: Hoop, option: str, value: str, said: str
) -> None:
    done = hoop("request", "prod-db", "--reason", "why", option, value)
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.startswith("hoop: ")
    assert agent.seen == []


def test_an_unknown_target_is_told_with_the_command_that_lists_them(hoop: Hoop) -> None:
    done = hoop("request", "prod-bd", "--reason", "why")
    assert done.returncode == 1
    assert done.stderr == 'hoop: there is no target "prod-bd"\n      Try:  hoop targets\n'


def _approve(agent: FakeAgent, one: dict[str, object]) -> None:
    one |= {"state": "fulfilled", "grant": "grt-7h2vd9xk4p", "votes": [vote("approve", "ok")]}


def test_waiting_ends_with_access(agent: FakeAgent, hoop: Hoop) -> None:
    agent.decides = _approve
    done = hoop("request", "prod-db", "--reason", "why", "--wait")
    assert done.returncode == 0
    assert "req-4k7mq2zt9x waits for 1 vote from dba" in done.stderr
    assert "You have access:  hoop connect prod-db" in done.stderr
    assert "grt-7h2vd9xk4p" in done.stdout


def test_waiting_for_a_no_exits_4_and_tells_who_and_why(agent: FakeAgent, hoop: Hoop) -> None:
    def deny(agent: FakeAgent, one: dict[str, object]) -> None:
        one |= {"state": "denied", "votes": [vote("deny", "use\x1b[2J the replica")]}

    agent.decides = deny
    done = hoop("request", "prod-db", "--reason", "why", "--wait")
    assert done.returncode == 4
    assert r"bob@example.com denied your request for prod-db: use\x1b[2J the replica" in done.stderr


@pytest.mark.parametrize(("state", "code"), [("expired", 5), ("cancelled", 4), ("withdrawn", 4)])
def test_waiting_ends_when_a_request_ends_otherwise(
    agent: FakeAgent, hoop: Hoop, state: str, code: int
) -> None:
    def end(agent: FakeAgent, one: dict[str, object]) -> None:
        one["state"] = state

    agent.decides = end
    assert hoop("request", "prod-db", "--reason", "why", "--wait").returncode == code


def test_waiting_too_long_exits_5_and_leaves_the_request_standing(
    agent: FakeAgent, hoop: Hoop
) -> None:
    done = hoop("request", "prod-db", "--reason", "why", "--wait", "--timeout", "1s")
    assert done.returncode == 5
    assert "It still stands:  hoop requests req-4k7mq2zt9x" in done.stderr
    assert not agent.asked("POST", "/v1/requests/req-4k7mq2zt9x/cancel")


def test_at_a_terminal_a_missing_reason_is_asked_for(agent: FakeAgent, terminal: Terminal) -> None:
    child = terminal("request", "prod-db")
    child.expect("Why do you need prod-db")
    child.sendline("")
    child.expect("Why do you need prod-db")
    child.sendline("order 4711")
    child.expect("For how long")
    child.sendline("20m")
    assert ended(child) == 0
    body = agent.asked("POST", "/v1/requests")[0].body
    assert (body["reason"], body["duration"]) == ("order 4711", 1200)


def test_ctrl_c_while_waiting_exits_130_and_says_that_the_request_stands(
    agent: FakeAgent, terminal: Terminal
) -> None:
    child = terminal("request", "prod-db", "--reason", "why", "--wait")
    child.expect("waits for 1 vote from dba")
    child.sendintr()
    child.expect("The request stands:  hoop requests req-4k7mq2zt9x")
    assert ended(child) == 130
    assert "Traceback" not in (child.before or "")


def test_ctrl_c_at_a_question_exits_130_quietly(agent: FakeAgent, terminal: Terminal) -> None:
    child = terminal("request", "prod-db")
    child.expect("Why do you need prod-db")
    child.sendintr()
    assert ended(child) == 130
    assert "Traceback" not in (child.before or "")
    assert agent.asked("POST", "/v1/requests") == []


# --- requests -----------------------------------------------------------------------------------


def test_requests_fit_80_columns_and_keep_the_whole_reason(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request(reason="the customer of order 4711 was charged twice for the same thing"))
    done = hoop("requests")
    assert all(len(line) <= 80 for line in done.stdout.splitlines())
    assert "req-4k7mq2zt9x" in done.stdout
    for word in ("customer", "order", "4711", "charged", "twice"):
        assert word in done.stdout


def test_the_choice_of_requests_is_the_agents(agent: FakeAgent, hoop: Hoop) -> None:
    hoop("requests", "--mine", "--state", "pending")
    hoop("requests", "--to-decide")
    assert [one.query for one in agent.asked("GET", "/v1/requests")] == [
        {"mine": "1", "state": "pending"},
        {"to_decide": "1"},
    ]


@pytest.mark.parametrize("output", [(), ("-o", "json")])
def test_what_waits_for_a_vote_tells_of_broken_glasses_too(
    agent: FakeAgent, hoop: Hoop, output: tuple[str, ...]
) -> None:
    items = [{"due": at(90), "yours_to_say": True}, {"due": at(1), "yours_to_say": False}]
    agent.broken["/v1/break-glass"] = (200, "application/json", json.dumps(items).encode())
    done = hoop("requests", "--to-decide", *output)
    assert done.returncode == 0
    assert "broken once" in done.stderr
    assert "hoop review break-glass" in done.stderr
    assert "broken" not in done.stdout
    assert "break-glass" not in hoop("requests", "--mine").stderr


def test_one_request_is_shown_with_its_votes(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request(state="fulfilled", votes=[vote("approve", "agreed")], ticket="SHOP-12"))
    done = hoop("requests", "req-4k7mq2zt9x")
    assert "bob@example.com: approve, 55 s ago: agreed" in done.stdout
    assert "SHOP-12" in done.stdout


def test_requests_of_mine_that_i_decide_make_no_sense(agent: FakeAgent, hoop: Hoop) -> None:
    assert hoop("requests", "--mine", "--to-decide").returncode == 2
    assert hoop("requests", "req-1", "--mine").returncode == 2
    assert hoop("requests", "--state", "odd").returncode == 2
    assert agent.seen == []


# --- decisions ----------------------------------------------------------------------------------


def test_an_approval_carries_a_reason_and_a_shorter_time(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request())
    done = hoop("approve", "req-4k7mq2zt9x", "--reason", "agreed", "--for", "30m")
    sent = agent.asked("POST", "/v1/requests/req-4k7mq2zt9x/votes")[0].body
    assert sent == {"answer": "approve", "reason": "agreed", "duration": 1800}
    assert done.returncode == 0
    assert "fulfilled" in done.stdout


def test_a_no_is_sent_with_its_reason(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request())
    done = hoop("deny", "req-4k7mq2zt9x", "--reason", "use the replica", "-o", "json")
    assert json.loads(done.stdout)["state"] == "denied"


def test_a_decision_without_a_reason_is_none(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request())
    for command in ("approve", "deny"):
        assert hoop(command, "req-4k7mq2zt9x").returncode == 2
    assert hoop("revoke", "grt-7h2vd9xk4p").returncode == 2
    assert agent.seen == []


def test_who_approves_at_a_terminal_sees_the_request_before_giving_a_reason(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.keep(request(requester=BOB))
    child = terminal("approve", "req-4k7mq2zt9x")
    child.expect("look into order 4711")
    child.expect("Why do you approve it")
    child.sendline("agreed")
    assert ended(child) == 0
    assert agent.requests["req-4k7mq2zt9x"]["state"] == "fulfilled"


def test_a_refusal_of_the_agent_exits_4_in_its_own_words(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request())
    done = hoop("approve", "req-4k7mq2zt9x", "--reason", "my own")
    assert done.returncode == 4
    assert done.stderr == "hoop: nobody decides on their own request\n"
    assert done.stdout == ""


def test_a_request_that_is_not_there_exits_1(hoop: Hoop) -> None:
    assert hoop("approve", "req-22222222", "--reason", "x").returncode == 1
    assert hoop("cancel", "req-22222222").returncode == 1


@pytest.mark.parametrize("text", ["../grants?all=1#", "prod-db", "req-", "", "\x1b[2J"])
def test_what_has_not_the_form_of_an_id_never_reaches_the_agent(
    agent: FakeAgent, hoop: Hoop, text: str
) -> None:
    for words in (["requests"], ["approve", "--reason", "x"], ["cancel"], ["relinquish"]):
        done = hoop(*words, text)
        assert done.returncode == 2
        assert "is not the id of a" in done.stderr
        assert "\x1b" not in done.stderr
    assert agent.seen == []


def test_what_cannot_be_a_target_never_reaches_the_agent(agent: FakeAgent, hoop: Hoop) -> None:
    assert hoop("request", "Prod DB", "--reason", "x").returncode == 2
    assert hoop("connect", "../etc").returncode == 2
    assert agent.seen == []


def test_cancel_takes_a_request_back(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(request())
    assert hoop("cancel", "req-4k7mq2zt9x").returncode == 0
    assert agent.requests["req-4k7mq2zt9x"]["state"] == "cancelled"


# --- grants -------------------------------------------------------------------------------------


def test_grants_are_mine_and_live_unless_more_is_wished_for(agent: FakeAgent, hoop: Hoop) -> None:
    hoop("grants")
    hoop("grants", "--all", "--ended")
    assert [one.query for one in agent.seen] == [{"mine": "1", "live": "1"}, {"all": "1"}]


def test_a_grant_is_listed_with_its_end(agent: FakeAgent, hoop: Hoop) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    done = hoop("grants")
    assert "in 42 min" in done.stdout
    assert all(len(line) <= 80 for line in done.stdout.splitlines())


def test_a_suspended_grant_says_by_whom_why_and_what_takes_it_up_again(
    agent: FakeAgent, hoop: Hoop
) -> None:
    how = {"by": "bob@corp.example", "why": "is this load yours?", "at": at(-5)}
    held = grant(state="suspended", suspended=how)
    agent.grants = {held["id"]: held, "grt-other2345": grant(id="grt-other2345")}
    done = hoop("grants")
    assert "suspended" in done.stdout
    assert "was suspended by bob@corp.example" in done.stderr
    assert "is this load yours?" in done.stderr
    assert "hoop resume grt-7h2vd9xk4p" in done.stderr
    assert json.loads(hoop("grants", "-o", "json").stdout)[0]["suspended"] == how


def test_giving_back_tells_which_sessions_ended(agent: FakeAgent, hoop: Hoop) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    done = hoop("relinquish", "grt-7h2vd9xk4p")
    assert done.returncode == 0
    assert "relinquished" in done.stdout
    assert "s-1c9fz4m2qk" in done.stdout


def test_revoking_carries_its_reason(agent: FakeAgent, hoop: Hoop) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant(principal=BOB)}
    done = hoop("revoke", "grt-7h2vd9xk4p", "--reason", "over", "-o", "json")
    assert agent.seen[0].body == {"reason": "over"}
    assert json.loads(done.stdout)["closed"] == ["s-1c9fz4m2qk"]
