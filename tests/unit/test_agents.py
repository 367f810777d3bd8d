"""Several agents as one: whom a question goes to, and what one that is silent hides."""

from __future__ import annotations

from typing import Any

import pytest

from hoopcli.agents import Agents
from hoopcli.client import Client
from hoopcli.errors import AgentUnreachable, ApiError, Exit, Failure, NotSignedIn


class Fake(Client):
    """An agent of which a test says what it has."""

    def __init__(self, has: dict[str, Any], problem: Failure | None = None) -> None:
        self.has = has
        self.problem = problem
        self.asked: list[str] = []

    def sign(self) -> None:
        """Signed in already."""

    def close(self) -> None:
        """Nothing is open."""

    def get(self, path: str, **params: object) -> Any:
        self.asked.append(f"GET {path}")
        if self.problem is not None:
            raise self.problem
        if path not in self.has:
            raise ApiError(404, "no_such", f"there is no {path}")
        return self.has[path]

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        self.asked.append(f"POST {path}")
        return {"id": "req-new0000000", **(body or {})}


def together(**fakes: Fake | Failure) -> Agents:
    agents = Agents({name: one for name, one in fakes.items() if isinstance(one, Failure)}, 1)
    agents._clients = {name: one for name, one in fakes.items() if isinstance(one, Fake)}
    return agents


def target(name: str) -> dict[str, Any]:
    return {"/v1/targets": [{"name": name, "databases": ["shop"]}]}


AWAY = AgentUnreachable("could not reach the agent")


def test_a_list_is_that_of_all_and_each_thing_says_whose_it_is() -> None:
    agents = together(eu=Fake(target("a")), us=Fake(target("b")))
    assert [(one["agent"], one["name"]) for one in agents.get("/v1/targets")] == [
        ("eu", "a"),
        ("us", "b"),
    ]


def test_what_two_agents_share_a_store_for_comes_once() -> None:
    shared = {"/v1/requests": [{"id": "req-1"}]}
    assert len(together(eu=Fake(shared), us=Fake(shared)).get("/v1/requests")) == 1


def test_an_id_is_looked_for_at_all_and_then_belongs_to_one() -> None:
    eu, us = Fake({}), Fake({"/v1/requests/req-1": {"id": "req-1"}})
    agents = together(eu=eu, us=us)
    agents.post("/v1/requests/req-1/votes", {})
    agents.post("/v1/requests/req-1/cancel", {})
    assert eu.asked == ["GET /v1/requests/req-1"]
    assert us.asked[1:] == ["POST /v1/requests/req-1/votes", "POST /v1/requests/req-1/cancel"]


def test_a_new_request_goes_to_the_agent_that_has_the_target() -> None:
    eu, us = Fake(target("a")), Fake(target("b"))
    together(eu=eu, us=us).post("/v1/requests", {"target": "b"})
    assert us.asked[-1] == "POST /v1/requests"
    assert "POST /v1/requests" not in eu.asked


def test_a_target_of_two_agents_is_nobodys_until_it_is_said_whose() -> None:
    agents = together(eu=Fake(target("a")), us=Fake(target("a")))
    with pytest.raises(Failure, match="eu, us") as refused:
        agents.at("a")
    assert refused.value.code == Exit.USAGE
    assert "eu/a" in refused.value.hint


def test_one_that_is_silent_is_named_once_and_hides_no_other(
    capsys: pytest.CaptureFixture[str],
) -> None:
    agents = together(eu=Fake(target("a")), us=Fake({}, AWAY), old=NotSignedIn())
    for _ in range(2):
        assert [one["name"] for one in agents.get("/v1/targets")] == ["a"]
    said = capsys.readouterr().err
    assert said.count("hoop: us: could not reach the agent") == 1
    assert said.count("hoop: old: you are not signed in") == 1


def test_what_a_silent_one_may_have_is_not_said_to_be_nowhere() -> None:
    agents = together(eu=Fake({}), us=Fake({}, AWAY))
    with pytest.raises(AgentUnreachable, match="us did not"):
        agents.post("/v1/requests/req-1/votes", {})


def test_what_nobody_has_is_no_question_of_reaching_anybody() -> None:
    with pytest.raises(Failure) as refused:
        together(eu=Fake({}), us=Fake({})).get("/v1/requests/req-1")
    assert refused.value.code == Exit.FAILED


def test_where_nobody_answers_the_agents_cannot_be_reached() -> None:
    with pytest.raises(AgentUnreachable):
        together(eu=Fake({}, AWAY), old=NotSignedIn()).get("/v1/targets")


def test_a_no_to_all_is_told_as_the_agents_said_it() -> None:
    no = ApiError(403, "not_yours", "you administer nothing")
    with pytest.raises(ApiError, match="you administer nothing"):
        together(eu=Fake({}, no), us=Fake({}, no)).get("/v1/sessions")
