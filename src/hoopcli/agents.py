"""Several agents as if they were one: each question goes to whom it concerns.

A list is asked of all and put together, each thing with the agent's name.  An id is looked for at
all and then belongs to one; a target likewise, and where two have one of that name the person is
asked to say which.  An agent that does not answer is named on stderr and hides no other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NoReturn

from hoopcli.client import Client, Session, path
from hoopcli.errors import AgentUnreachable, ApiError, Exit, Failure, fail, say

# Lists are lists of these; what else a path may name is one agent's own.
_LISTS = frozenset({"targets", "requests", "grants", "sessions", "reviews", "insights"})


@dataclass(frozen=True, slots=True)
class _Answer:
    at: str  # which agent
    value: Any = None
    problem: Failure | None = None


class Agents(Client):
    """A client of all agents somebody is signed in to."""

    def __init__(self, sessions: dict[str, Session | Failure], timeout: float) -> None:
        self._clients = {
            nick: Client(session, timeout)
            for nick, session in sessions.items()
            if not isinstance(session, Failure)
        }
        self._absent = {nick: one for nick, one in sessions.items() if isinstance(one, Failure)}
        self._homes: dict[str, str] = {}  # id → agent
        self._last = next(iter(self._clients), "")
        self._told: set[str] = set()

    def __enter__(self) -> Agents:
        return self

    def close(self) -> None:
        for client in self._clients.values():
            client.close()

    def get(self, path: str, **params: object) -> Any:
        noun, *rest = _parts(path)
        if noun in _LISTS and rest in ([], ["mine"], ["done"], ["confirm"], ["me"]):
            return self._all(path, params)
        return self._home(noun, rest).get(path, **params)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        noun, *rest = _parts(path)
        wish = body or {}
        if rest and rest != ["replay"]:
            return self._home(noun, rest).post(path, body)
        if "grant" in wish:
            return self._home("grants", [wish["grant"]]).post(path, body)
        at = self.at_target(str(wish.get("target", "")))
        made = self._clients[at].post(path, body)
        if isinstance(made, dict) and "id" in made:
            self._homes[made["id"]] = at
        return made

    def events(self, path: str) -> Iterator[Any]:
        noun, *rest = _parts(path)
        return self._home(noun, rest).events(path)

    def delete(self, path: str) -> Any:
        noun, *rest = _parts(path)
        return self._home(noun, rest).delete(path)

    def raw(self, path: str, **params: object) -> bytes:
        noun, *rest = _parts(path)
        return self._home(noun, rest).raw(path, **params)

    def at_target(self, target: str) -> str:
        """The agent that has the target; Failure where none has it, or more than one."""
        found = [one["agent"] for one in self.get("/v1/targets") if one["name"] == target]
        if not found:
            self._missing(f'there is no target "{target}"', "They are listed by:  hoop targets")
        if len(found) > 1:
            said = f'several agents have a target "{target}": {", ".join(found)}'
            hint = f"Say which:  {found[0]}/{target}  or  --agent {found[0]}"
            fail(said, hint, Exit.USAGE)
        return str(found[0])

    def at(self, target: str) -> Client:
        """A client of the agent that has the target."""
        return self._clients[self.at_target(target)]

    def targets(self) -> list[tuple[Client, dict[str, Any]]]:
        return [(self._clients[one["agent"]], one) for one in self.get("/v1/targets")]

    # --- inside -----------------------------------------------------------------------------------

    def _home(self, noun: str, rest: Sequence[str]) -> Client:
        """The client of the agent that has the thing of this id."""
        if not rest:
            return self._clients[self._last]
        id = rest[0]
        if id not in self._homes:
            self._homes[id] = self._found(noun, id)
        self._last = self._homes[id]
        return self._clients[self._last]

    def _found(self, noun: str, id: str) -> str:
        """Which agent has it.  Where several do, they share a store, and any will do.

        Unless they tell of different things: then one of them is not to be believed.
        """
        if noun == "grants":
            told = self._ask(lambda client: _list(_grants(client)))
            has = [(at, one) for at, value in told for one in value if one.get("id") == id]
        else:
            has = self._ask(lambda client: client.get(path(noun, id)))
        if not has:
            self._missing(f"no agent of yours has {id}", "")
        if not all(_is_same(has[0][1], one) for _, one in has):
            names = ", ".join(at for at, _ in has)
            said = f"{names}: each tells of something else as {id}"
            fail(said, f"Say which you mean:  --agent {has[0][0]}", Exit.USAGE)
        return has[0][0]

    def _missing(self, said: str, hint: str) -> NoReturn:
        """Failure; with another code where an agent that did not answer may have it."""
        if self._told:
            words = f"{said} where anybody answers; {', '.join(sorted(self._told))} did not"
            raise AgentUnreachable(words, hint)
        fail(said, hint)

    def _all(self, path: str, params: dict[str, object]) -> list[Any]:
        """All agents' lists, one behind the other; what agents share a store for comes once."""
        values: list[Any] = []
        seen: dict[str, Any] = {}
        for at, told in self._ask(lambda client: _list(client.get(path, **params))):
            for one in told:
                id = one.get("id") or one.get("grant")
                if isinstance(id, str):
                    if id in seen and _is_same(seen[id], one):
                        continue
                    if seen.setdefault(id, one) is one:
                        self._homes[id] = at
                    else:
                        self._homes.pop(id, None)  # whose it is must be said
                values.append({**one, "agent": at})
        return values

    def _ask(self, question: Callable[[Client], Any]) -> list[tuple[str, Any]]:
        """The answers there are.  Who does not answer is named; a no is no answer to an id."""
        answers = [_Answer(nick, None, problem) for nick, problem in self._absent.items()]
        ready = {}
        for nick, client in self._clients.items():
            try:
                client.sign()  # one after the other: it may have to ask for a passphrase
                ready[nick] = client
            except Failure as problem:
                answers.append(_Answer(nick, None, problem))

        def ask(nick: str) -> _Answer:
            try:
                return _Answer(nick, question(ready[nick]))
            except Failure as problem:
                return _Answer(nick, None, problem)

        if ready:
            with ThreadPoolExecutor(len(ready)) as pool:
                answers += pool.map(ask, ready)
        self._tell(answers)
        return [(one.at, one.value) for one in answers if one.problem is None]

    def _tell(self, answers: Sequence[_Answer]) -> None:
        """Names who did not answer, once; their Failure where nobody did."""
        silent = [
            (one.at, one.problem)
            for one in answers
            if one.problem is not None and not isinstance(one.problem, ApiError)
        ]
        if len(silent) == len(answers):
            raise next((p for _, p in silent if p.code == Exit.UNREACHABLE), silent[0][1])
        for at, problem in silent:
            if at not in self._told:
                say(f"hoop: {at}: {problem.message}")
                self._told.add(at)
        noes = [one.problem for one in answers if isinstance(one.problem, ApiError)]
        if len(noes) + len(silent) == len(answers) and any(no.status != 404 for no in noes):
            raise next(no for no in noes if no.status != 404)


def connected(names: Sequence[str], timeout: float) -> Agents:
    """A client of the agents of these names; one that cannot be found is told of when asked."""
    from hoopcli import profile, signin

    sessions: dict[str, Session | Failure] = {}
    for name, nick in profile.nicks(names).items():
        try:
            sessions[nick] = signin.session(name)
        except Failure as problem:
            sessions[nick] = problem
    return Agents(sessions, timeout)


# What is the same of a thing at all agents that share a store, at any moment.
_LASTS = ("target", "requester", "principal", "asked", "started", "not_after", "reason")


def _is_same(one: Any, other: Any) -> bool:
    """Whether two agents tell of one thing: who was not told of it cannot make it up."""
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    return all(one.get(name) == other.get(name) for name in _LASTS)


def _list(told: Any) -> list[dict[str, Any]]:
    """The same, if it is a list of things; else a Failure that is this agent's alone."""
    if not isinstance(told, list) or not all(isinstance(one, dict) for one in told):
        raise Failure("its answer cannot be read")
    return told


def _grants(client: Client) -> Any:
    try:
        return client.get("/v1/grants", all=True)
    except ApiError:
        return client.get("/v1/grants", mine=True)


def _parts(path: str) -> list[str]:
    return path.removeprefix("/v1").strip("/").split("/")
