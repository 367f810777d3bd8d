"""Held statements in psql, on a real server: they wait where they stand, and go on there."""

from __future__ import annotations

from typing import Any

from tests.e2e.holds import Holding, Psql, events, psql, until, waiting
from tests.e2e.world import Person


def count(holding: Holding, table: str, id: int) -> int:
    return int(holding.direct(f"select count(*) from {table} where id = {id}")[0][0])


def held_once(one: Psql, decider: Person, text: str) -> Any:
    """Types it, hears that it is held, and gives what ben can decide about."""
    one.type(text)
    id = one.hears(r"(?s)held by rule.*?(hold-\w+)")[1]
    (found,) = [hold for hold in waiting(decider) if hold["id"] == id]
    one.heard = ""
    return found


def test_an_approved_statement_runs_in_its_transaction(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        one.type("begin; update drafts set id = id where id = 1;")
        hold = held_once(one, decider, "delete from notes where id = 1 returning note;")
        assert hold["held"]["text"] == "delete from notes where id = 1 returning note;"
        assert hold["held"]["effects"] == ["delete", "read"]
        assert hold["held"]["note"] == "in a transaction"
        assert hold["reason"] == "a test of the whole"
        assert count(holding, "notes", 1) == 1
        decider.hoop("approve", hold["id"], "--reason", "agreed")
        one.hears(r"note 1\nDELETE 1")
        assert count(holding, "notes", 1) == 1  # nobody has committed
        one.type("commit;")
        one.hears("COMMIT")
        assert count(holding, "notes", 1) == 0
    assert decider.json("requests", hold["id"])["state"] == "fulfilled"


def test_a_denied_statement_fails_with_the_reason_and_the_next_one_works(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        one.type(r"\set VERBOSITY verbose")
        hold = held_once(one, decider, "delete from notes where id = 2;")
        decider.hoop("deny", hold["id"], "--reason", "ask the owner first")
        one.hears(
            r'ERROR:  42501: refused by rule "four-eyes": ben.* said no to hold-.*owner first'
        )
        one.hears("HINT: ")
        one.type("select 6 * 7;")
        one.hears("\n42\n")
    assert count(holding, "notes", 2) == 1
    assert asker.json("requests", hold["id"])["state"] == "denied"


def test_nobody_s_answer_is_a_no(holding: Holding, asker: Person, decider: Person) -> None:
    with psql(asker) as one:
        one.type("delete from drafts where id = 2;")
        id = one.hears(r"(hold-\w+) waits for 1 of dba, 2 s at most")[1]
        one.hears(f"nobody has decided on {id} within 2 s")
    assert count(holding, "drafts", 2) == 1
    until(lambda: asker.json("requests", id)["state"] == "expired")
    decider.hoop("approve", id, "--reason", "too late", status=1)


def test_ctrl_c_withdraws_it_and_does_not_reach_the_target(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        one.type(r"\set VERBOSITY verbose")
        one.type("begin; update drafts set id = id where id = 3;")
        hold = held_once(one, decider, "delete from notes where id = 3;")
        one.press_ctrl_c()
        one.hears("ERROR:  57014: canceling statement due to user request")
        one.type("rollback; select 'still' || ' here';")
        one.hears("still here")
    assert decider.json("requests", hold["id"])["state"] == "cancelled"
    decider.hoop("approve", hold["id"], "--reason", "too late", status=1)
    assert count(holding, "notes", 3) == 1


def test_its_owner_sees_it_and_may_take_it_back(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        hold = held_once(one, decider, "delete from notes where id = 4;")
        assert "held: delete from notes where id = 4" in asker.hoop("requests", "--mine").stdout
        asker.hoop("approve", hold["id"], "--reason", "me", status=4)
        asker.hoop("cancel", hold["id"])
        one.hears("was cancelled")
    assert count(holding, "notes", 4) == 1


def test_a_client_that_leaves_is_not_waited_for(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        hold = held_once(one, decider, "delete from notes where id = 5;")
        one.die()
        until(lambda: decider.json("requests", hold["id"])["state"] == "cancelled")
    decider.hoop("approve", hold["id"], "--reason", "too late", status=1)
    assert count(holding, "notes", 5) == 1
    session = until(lambda: [s for s in asker.json("sessions", "--mine") if s["ended"]])[0]
    told = [e for e in events(asker, hold["held"]["session"]) if e["type"] == "statement"]
    assert [e["verdict"] for e in told] == ["hold", "refuse"]
    assert session["refused"] == 1
    asker.hoop("verify", hold["held"]["session"])


def test_revoking_the_grant_ends_the_hold_and_the_session(
    holding: Holding, decider: Person
) -> None:
    cat = Person(holding, "cat")
    cat.sign_in("ana")
    grant = cat.granted(decider)
    for other in [g["id"] for g in cat.json("grants", "--mine") if g["id"] != grant]:
        cat.hoop("relinquish", other, status=None)
    try:
        with psql(cat) as one:
            hold = held_once(one, decider, "delete from notes where id = 6;")
            decider.hoop("revoke", grant, "--reason", "enough")
            one.hears("enough")
        until(lambda: decider.json("requests", hold["id"])["state"] == "cancelled")
        assert count(holding, "notes", 6) == 1
    finally:
        cat.granted(decider, span="2h")


def test_two_people_are_two_people(holding: Holding, asker: Person, decider: Person) -> None:
    with psql(asker) as one:
        hold = held_once(one, decider, "update notes set note = 'x' where id = 7;")
        assert hold["votes_needed"] == 2
        decider.hoop("approve", hold["id"], "--reason", "one")
        one.hears(f"{hold['id']}: approved by ben.*; waits for 1 more of dba or oncall")
        decider.hoop("approve", hold["id"], "--reason", "and once more")
        assert decider.json("requests", hold["id"])["state"] == "pending"
        decider.hoop("approve", hold["id"], "--reason", "for long", "--for", "1h", status=1)
    assert holding.direct("select note from notes where id = 7") == [("note 7",)]


def test_another_session_does_not_notice(holding: Holding, asker: Person, decider: Person) -> None:
    with psql(asker) as one:
        hold = held_once(one, decider, "delete from notes where id = 8;")
        assert asker.psql("-c", "select count(*) from notes where id = 8").stdout == "1\n"
        decider.hoop("deny", hold["id"], "--reason", "a test")


def test_each_run_is_asked_for_again(holding: Holding, asker: Person, decider: Person) -> None:
    with psql(asker) as one:
        first = held_once(one, decider, "delete from notes where id = 9;")
        decider.hoop("approve", first["id"], "--reason", "once")
        one.hears("DELETE 1")
        one.heard = ""
        second = held_once(one, decider, "delete from notes where id = 9;")
        assert second["id"] != first["id"]
        decider.hoop("approve", first["id"], "--reason", "once")  # what was said, once more
        decider.hoop("deny", second["id"], "--reason", "once is enough")
        one.hears("once is enough")


def test_what_sql_prepares_is_not_held_but_refused(asker: Person) -> None:
    with psql(asker) as one:
        one.type("prepare d as delete from notes where id = 10;")
        one.hears("run the statement itself")


def test_the_target_s_patience_with_an_idle_transaction_is_told_and_kept(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        one.type("set idle_in_transaction_session_timeout = '35s';")
        one.type("begin; update drafts set id = id where id = 4;")
        one.type("delete from notes where id = 11;")
        one.hears(r"\d s at most \(idle_in_transaction_session_timeout of the target is 35 s\)")
        one.hears("nobody has decided on hold-")
        one.type("rollback; select 'still' || ' here';")
        one.hears("still here")
        one.type("set idle_in_transaction_session_timeout = '20s';")
        one.type("begin; delete from notes where id = 11;")
        one.hears("there is no time for an approval")
    assert count(holding, "notes", 11) == 1


FROZEN = """
[[rule]]
name = "frozen"
verdict = "refuse"
effects = ["delete", "update"]
relations = ["notes", "drafts"]
reason = "the quarter is closed"
"""


def test_an_approval_does_not_help_once_the_rules_on_the_disk_refuse(
    holding: Holding, asker: Person, decider: Person
) -> None:
    rules = holding.folder / "agent" / "rules.toml"
    before = rules.read_text()
    with psql(asker) as one:
        hold = held_once(one, decider, "delete from notes where id = 9;")
        try:
            rules.write_text(before + FROZEN)
            probe = ("-c", "update drafts set id = id where id = 5")
            until(lambda: "frozen" in asker.psql(*probe, status=None).stderr, "the new rule")
            decider.hoop("approve", hold["id"], "--reason", "agreed")
            one.hears('was approved, but it is refused by rule "frozen" now')
        finally:
            rules.write_text(before)
            until(lambda: "frozen" not in asker.psql(*probe, status=None).stderr, "the old rules")
    assert decider.json("requests", hold["id"])["state"] == "withdrawn"


def test_a_hold_outlives_the_hand_over_to_another_agent(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        hold = held_once(one, decider, "delete from notes where id = 10 returning id;")
        holding.replace_agent()
        decider.hoop("approve", hold["id"], "--reason", "through the new one")
        one.hears(r"10\nDELETE 1")
        hold = held_once(one, decider, "delete from notes where id = 12;")
        one.press_ctrl_c()
        one.hears("canceling statement due to user request")


def test_an_agent_that_dies_leaves_no_hold_open(
    holding: Holding, asker: Person, decider: Person
) -> None:
    with psql(asker) as one:
        hold = held_once(one, decider, "delete from notes where id = 12;")
        agent = holding.processes[-1]
        agent.kill()
        agent.wait()
        (holding.run / "agent.json").unlink()
        holding.start_agent()
        until(lambda: decider.json("requests", hold["id"])["state"] == "cancelled")
        decider.hoop("approve", hold["id"], "--reason", "too late", status=1)
    assert count(holding, "notes", 12) == 1
