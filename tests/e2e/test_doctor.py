"""``hoop doctor``, ``hoop status`` and ``hoop targets show`` at a real agent."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from tests.bypass.world import eventually
from tests.e2e.world import Person


def looked(person: Person, **environ: str) -> tuple[int, dict[str, dict[str, str]]]:
    """The exit status and the lines by their name."""
    done = subprocess.run(
        [sys.executable, "-m", "hoopcli", "doctor", "-o", "json"],
        env=person.world.environment(person.name) | environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    lines: list[dict[str, str]] = json.loads(done.stdout)
    return done.returncode, {line["check"]: line for line in lines}


def test_where_all_is_well_every_look_says_so(ana: Person) -> None:
    status, lines = looked(ana)
    wrong = {name: line for name, line in lines.items() if line["state"] != "ok"}
    assert set(wrong) <= {"hoop", "psql"}, wrong  # the tests' own PATH
    assert status == 0
    assert {"agent", "sign-in", "certificate", "clock", "store", "policy", "provider"} <= set(lines)


def test_with_the_agent_down_the_other_looks_go_on(ana: Person) -> None:
    """Its sockets are where they were, and nobody answers."""
    run = ana.world.run
    told = (run / "agent.json").read_text()
    (run / "agent.json").rename(run / "agent.away")
    try:
        status, lines = looked(ana)
    finally:
        (run / "agent.away").rename(run / "agent.json")
    assert (run / "agent.json").read_text() == told
    assert status == 1
    assert lines["agent"]["state"] == "fail"
    assert "hoop-agent run" in lines["agent"]["mend"]
    assert {lines[name]["state"] for name in ("clock", "sign-in")} == {"warn"}
    assert {lines[name]["state"] for name in ("certificate", "provider", "keyring")} == {"ok"}


def test_a_policy_that_is_not_the_one_on_the_disk_is_said(ana: Person, ben: Person) -> None:
    """Who administers the agent is told what to do; others whom to tell."""
    agent = ana.world.folder / "agent"
    path, kept = agent / "rules.toml", (agent / "rules.toml").read_text()
    toml, settings = agent / "agent.toml", (agent / "agent.toml").read_text()
    try:
        toml.write_text(settings.replace("[agent]\n", "[agent]\nheld_bytes = 123456789\n"))
        eventually(lambda: "restart" in looked(ben)[1]["policy"]["mend"])
        (_, changed), (_, theirs) = looked(ben), looked(ana)
        path.write_text(kept + "\n[[rule]]\n")
        status, broken = looked(ben)
    finally:
        path.write_text(kept)
        toml.write_text(settings)
    eventually(lambda: looked(ben)[1]["policy"]["state"] == "ok")
    assert changed["policy"]["state"] == "warn"
    assert "hoop-agent restart" in changed["policy"]["mend"]
    assert theirs["policy"]["mend"] == "Tell who runs the agent."
    assert broken["policy"]["state"] == "fail"
    assert "rules.toml:" in broken["policy"]["said"]
    assert status == 1


def test_a_provider_that_does_not_answer_is_its_own_line_alone(ana: Person) -> None:
    path = ana.world.folder / "ana" / "profile.toml"
    kept = path.read_text()
    try:
        path.write_text(kept.replace(ana.world.provider["issuer"], "http://127.0.0.1:1"))
        status, lines = looked(ana)
    finally:
        path.write_text(kept)
    assert status == 1
    assert lines["provider"]["state"] == "fail"
    assert lines["clock"]["state"] == "ok"


def test_status_is_one_screen_of_who_when_and_what(ana: Person, ben: Person, grant: str) -> None:
    shown = ana.hoop("status").stdout
    assert "ana@shop.example" in shown
    assert grant in shown
    assert "refresh token" in shown
    assert len(shown.splitlines()) <= 24
    known: dict[str, Any] = ana.json("status")
    assert [one["id"] for one in known["grants"]] == [grant]
    assert known["others"] == []


def test_a_target_shows_how_long_what_is_masked_and_what_is_refused(
    ana: Person, grant: str
) -> None:
    shown = ana.hoop("targets", "show", "prod-db").stdout
    assert "for 2h at most" in shown
    assert "public.customers.ssn (keep-last-4)" in shown
    assert "no-unbounded-delete" in shown
    assert "127.0.0.1" not in shown  # where it is
    assert "shop_app" not in shown  # as whom
    assert " 2h " in ana.hoop("targets").stdout
