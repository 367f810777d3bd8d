"""What was narrowed away and is needed after all; and reviews at the right moment."""

from __future__ import annotations

import json
from typing import Any

from tests.cli.agent import FakeAgent, at, grant, request, review_item
from tests.cli.conftest import Hoop, Terminal, ended

HOLD = "hold-4k7mq2zt9x"


def held(**changes: Any) -> dict[str, Any]:
    what = {
        "session": "s-1c9fz4m2qk",
        "seq": 3,
        "database": "shop",
        "text": "select 1 from customers",
        "why": "your grant was narrowed",
        "learns": ["public.customers:read"],
        "own": True,
        "confirmed": None,
    }
    return request(id=HOLD, rule="narrowed", held=what | changes)


def test_one_s_own_hold_says_what_to_type(agent: FakeAgent, hoop: Hoop) -> None:
    agent.keep(held())
    listed = hoop("requests", "--mine")
    assert f"hoop step-up {HOLD}" in listed.stderr
    shown = hoop("requests", HOLD).stdout
    assert "the own word of ada@example.com, with a reason" in shown
    assert "the grant covers public.customers:read again" in shown
    agent.keep(held(own=False))
    assert "1 vote from dba" in hoop("requests", HOLD).stdout
    assert hoop("requests", "--mine").stderr == ""


def test_a_step_up_wants_a_reason_and_says_what_it_was(
    agent: FakeAgent, hoop: Hoop, terminal: Terminal
) -> None:
    agent.keep(held())
    assert hoop("step-up", HOLD).returncode == 2
    assert hoop("step-up", "nonsense", "--reason", "why").returncode == 2
    child = terminal("step-up", HOLD)
    child.expect("select 1 from customers")
    child.expect("Why do you need it after all")
    child.sendline("order 4711")
    assert ended(child) == 0
    done = json.loads(hoop("requests", HOLD, "-o", "json").stdout)
    assert done["held"]["confirmed"]["reason"] == "order 4711"
    assert "confirmed   ada@example.com, " in hoop("requests", HOLD).stdout


def test_what_is_soft_and_what_is_due_is_told_with_the_grants(agent: FakeAgent, hoop: Hoop) -> None:
    soft = {"scope": "public.*:read", "until": at(42)}
    agent.grants = {"grt-7h2vd9xk4p": grant(soft=soft, review_due=["its ticket is closed"])}
    said = " ".join(hoop("grants").stderr.split())
    assert "was narrowed: public.*:read is held for a step-up (that ends in 42 min)" in said
    assert "grt-7h2vd9xk4p is to be looked at: its ticket is closed hoop review mine" in said


def test_who_extends_at_a_terminal_sees_their_use_and_may_go_on_with_less(
    agent: FakeAgent, terminal: Terminal
) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    agent.reviews = [review_item()]
    for answer, body in (("", None), ("y", "public.orders:read")):
        child = terminal("extend", "grt-7h2vd9xk4p", "--reason", "it takes longer")
        child.expect("You used public.orders:read")
        child.expect("16 of your 16 statements would still pass")
        child.expect("Go on with that only")
        child.sendline(answer)
        assert ended(child) == 0
        sent = agent.asked("POST", "/v1/grants/grt-7h2vd9xk4p/extend")[-1].body
        assert sent.get("scope") == body


def test_a_script_that_extends_is_asked_nothing(agent: FakeAgent, hoop: Hoop) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    hoop("extend", "grt-7h2vd9xk4p", "--reason", "longer", "--scope", "orders:read")
    assert agent.seen[-1].body["scope"] == "*.orders:read"
    assert not [one for one in agent.seen if one.method == "GET"]


def test_a_closed_ticket_names_the_grants_that_are_to_be_looked_at(
    agent: FakeAgent, hoop: Hoop
) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    assert hoop("review", "ticket-closed", "OPS-214", "-o", "names").stdout == "grt-7h2vd9xk4p\n"
    assert agent.seen[-1].body == {"ticket": "OPS-214"}


def test_the_end_of_a_tunnel_says_what_was_used_to_who_sits_there(
    agent: FakeAgent, terminal: Terminal, hoop: Hoop
) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    agent.reviews = [review_item()]
    for off, told in (("", True), ("off", False)):
        child = terminal("connect", "prod-db", "--listen", HOOP_LOOK_BACK=off)
        child.expect("until you press Ctrl-C")
        child.sendintr()
        ended(child)
        said = " ".join((child.before or "").split())
        line = "You used 1 of 2 tables; narrow: hoop review mine --narrow grt-7h2vd9xk4p"
        assert (line in said) is told
    hoop("connect", "prod-db", "--listen", stdin="")
    assert len([one for one in agent.seen if one.path.startswith("/v1/reviews/of")]) == 1


def test_an_agent_that_cannot_say_holds_nobody_up(agent: FakeAgent, terminal: Terminal) -> None:
    agent.grants = {"grt-7h2vd9xk4p": grant()}
    agent.broken["/v1/reviews/of/grt-7h2vd9xk4p"] = (500, "text/plain", b"")
    child = terminal("connect", "prod-db", "--listen")
    child.expect("until you press Ctrl-C")
    child.sendintr()
    assert ended(child) == 0
    assert "hoop:" not in (child.before or "")
