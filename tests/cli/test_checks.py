"""The looks of ``hoop doctor``: each alone, each with an end, none hiding another."""

from __future__ import annotations

import threading

import pytest

from hoopcli import checks
from hoopcli.checks import FAIL, OK, WARN, Line, Looks, run
from hoopcli.errors import AgentUnreachable, Failure, NotSignedIn


def fine() -> Line:
    return Line("fine", OK, "it is well")


def test_a_look_that_hangs_is_a_line_and_hides_no_other() -> None:
    forever = threading.Event()

    def stuck() -> Line:
        forever.wait()
        return fine()

    lines = list(run([("stuck", stuck), ("fine", fine)], limit=0.2))
    forever.set()
    assert [(line.check, line.state) for line in lines] == [("stuck", FAIL), ("fine", OK)]


@pytest.mark.parametrize(
    ("problem", "state"),
    [
        (Failure("no", "mend it so"), FAIL),
        (AgentUnreachable("nobody there"), WARN),  # the look at the agent says it once
        (NotSignedIn(), WARN),
        (ZeroDivisionError("our bug"), FAIL),
    ],
)
def test_a_look_that_raises_is_a_line_and_hides_no_other(problem: Exception, state: str) -> None:
    def raises() -> Line:
        raise problem

    lines = list(run([("broken", raises), ("fine", fine)]))
    assert [(line.check, line.state) for line in lines] == [("broken", state), ("fine", OK)]


def test_an_agent_that_is_away_is_said_once() -> None:
    def away() -> Line:
        raise AgentUnreachable("nobody there")

    first, second = run([(checks.AGENT, away), ("clock", away)])
    assert (first.state, first.said) == (FAIL, "nobody there")
    assert (second.state, second.mend) == (WARN, "")


@pytest.mark.parametrize(("ahead", "state"), [(0.9, OK), (-4.0, OK), (20.0, WARN), (-61.0, FAIL)])
def test_clocks_may_differ_by_seconds_and_no_more(ahead: float, state: str) -> None:
    line = checks._skew("clock", ahead, "the agent's")
    assert line.state == state
    if state != OK:
        assert ("behind" in line.said) == (ahead > 0)


def test_another_hoop_earlier_on_the_path_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("bin")
    other = folder / "hoop"
    other.write_text("#!/bin/sh\n")
    other.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))
    line = Looks(None).hoop()
    assert line.state == WARN
    assert str(other) in line.said


def test_a_psql_that_does_not_start_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    psql = tmp_path_factory.mktemp("bin") / "psql"
    psql.write_text("#!/bin/sh\nexit 3\n")
    psql.chmod(0o755)
    monkeypatch.setenv("HOOP_PSQL", str(psql))
    assert Looks(None).psql().state == FAIL
    monkeypatch.delenv("HOOP_PSQL")
    monkeypatch.setenv("PATH", "/nowhere")
    assert Looks(None).psql().state == WARN


def test_settings_that_others_can_write_are_a_failure(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOOP_HOME", str(home))
    home.chmod(0o700)
    assert Looks(None).settings().state == OK
    home.chmod(0o777)
    assert Looks(None).settings().state == FAIL
