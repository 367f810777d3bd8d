"""Asking the agent: HTTP over a unix socket, JSON both ways, one error for every no.

The socket is the agent's own, or the near end of a channel to one elsewhere (``tunnels``).

What speaks HTTP is imported with the first request, so that ``--help`` does not pay for it.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode

from hoopcli.errors import AgentUnreachable, ApiError, Failure
from hoopcore import versions

if TYPE_CHECKING:
    from hoopcli.speaking import Answer, Conversation

# Bytes of an answer.  The longest list that an agent gives has some thousands of entries, of a
# kilobyte each; a recording may have a gigabyte, and is held in memory as a whole.
LARGEST = 64 << 20
LARGEST_RAW = 4 << 30


class Session(Protocol):
    """What a client must know of who is signed in, and where.

    Of one at an agent elsewhere more is asked: see ``signin.Session``.
    """

    @property
    def socket(self) -> Path: ...

    def token(self) -> str:
        """A bearer token that holds now.  Raises NotSignedIn when there is none to be had."""


def connected(timeout: float = 30.0) -> Client:
    """A client for whoever is signed in; one for all agents where there are several."""
    from hoopcli import profile, signin

    names = profile.agents()
    if len(names) > 1:
        from hoopcli import agents

        return agents.connected(names, timeout)
    return Client(signin.session(), timeout)


class Client:
    """``get``, ``post``, ``delete``: a path of the control API → what it answers.

    Raises ApiError for an answer that is no, AgentUnreachable where nobody answers, and
    NotSignedIn.  A request is sent once: what is not safe to repeat is never repeated.
    """

    def __init__(self, session: Session, timeout: float = 30.0) -> None:
        self.session: Any = session
        self._session = session
        self._timeout = timeout  # seconds for connecting, and between two reads
        self._http: Conversation | None = None

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._http is not None:
            self._http.close()
            self._http = None

    def sign(self) -> None:
        """Has a token, or raises: what may ask a person something is best done first."""
        self._session.token()

    def at(self, target: str) -> Client:
        """The client of the agent that has the target; where there is one agent, that is it."""
        return self

    def targets(self) -> list[tuple[Client, dict[str, Any]]]:
        """All targets somebody may see, each with the client of its agent."""
        return [(self, one) for one in self.get("/v1/targets")]

    @property
    def is_remote(self) -> bool:
        """Whether the agent is on another machine."""
        place = getattr(self.session, "place", None)
        return place is not None and place.api is None

    def get(self, path: str, **params: object) -> Any:
        """Parameters that are None, False or empty are left out; True is sent as 1."""
        return _value(self._send("GET", path, params=params), path)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return _value(self._send("POST", path, body=body or {}), path)

    def delete(self, path: str) -> Any:
        return _value(self._send("DELETE", path), path)

    def raw(self, path: str, **params: object) -> bytes:
        """The bytes of an answer that is not JSON."""
        return self._send("GET", path, params=params, largest=LARGEST_RAW).body

    def events(self, path: str) -> Iterator[Any]:
        """What the agent tells as it happens: JSON values, and None about once a second.

        It ends when the agent has no more to tell; AgentUnreachable where it was cut off, or the
        agent has no such stream.
        """
        from hoopcli import speaking

        said = f"the agent at {self._where()} has stopped telling"
        waiting = b""
        try:
            for piece in self._open().follow(path, self._headers()):
                waiting += piece
                if len(waiting) > LARGEST:
                    raise AgentUnreachable(said)
                *whole, waiting = waiting.split(b"\n\n")
                yield from filter(None, map(_told, whole))
                if not piece:
                    yield None
        except (OSError, speaking.Broken) as error:
            raise AgentUnreachable(said) from error

    def _send(
        self,
        method: str,
        path: str,
        params: dict[str, object] | None = None,
        body: dict[str, Any] | None = None,
        largest: int = 0,
    ) -> Answer:
        query = {k: "1" if v is True else str(v) for k, v in (params or {}).items() if v}
        target = f"{path}?{urlencode(query)}" if query else path
        content = None if body is None else json.dumps(body).encode()
        asked = (method, target, content, largest or LARGEST)
        answer = self._answered(path, self._headers(), *asked)
        if answer.status == 401 and self._forgotten():
            answer = self._answered(path, self._headers(), *asked)
        _check_version(answer)
        if not 200 <= answer.status < 300:
            raise _refusal(answer, path)
        return answer

    def _answered(
        self,
        path: str,
        headers: dict[str, str],
        method: str,
        target: str,
        content: bytes | None,
        largest: int,
    ) -> Answer:
        """Whatever it answers; a Failure where it does not."""
        from hoopcli import speaking

        try:
            return self._open().ask(method, target, headers, content, largest)
        except speaking.Frozen as error:
            said = f"the agent at {self._where()} is there, but it does not answer at all"
            hint = "It is stopped or hangs. Whoever runs it ends it and starts it:  hoop-agent run"
            raise AgentUnreachable(said, hint) from error
        except TimeoutError as error:
            raise AgentUnreachable(
                f"the agent at {self._where()} did not answer in {self._timeout:g} seconds"
            ) from error
        except speaking.TooLarge as error:
            raise Failure(f"the agent's answer to {path} has no end") from error
        except (OSError, speaking.Broken) as error:
            if self.is_remote:
                said = f"the agent at {self._where()} does not answer"
                raise AgentUnreachable(said, "") from error
            raise AgentUnreachable(_unreachable(self._session.socket, error)) from error

    def _headers(self) -> dict[str, str]:
        token = self._session.token()
        return {"Authorization": f"Bearer {token}", versions.HEADER: str(versions.ours())}

    def _forgotten(self) -> bool:
        """Whether the token was one at hand, and there may be another; then nothing was done."""
        forget = getattr(self._session, "forget", None)
        return forget is not None and bool(forget())

    def owner(self) -> int | None:
        """Whose process must be at the other end: the agent's, or a tunnel of our own."""
        place = getattr(self._session, "place", None)
        return place.owner if place is not None and place.api is not None else os.geteuid()

    def _where(self) -> object:
        return self.session.place.name if self.is_remote else self._session.socket

    def _open(self) -> Conversation:
        if self._http is None:
            from hoopcli.speaking import Conversation

            self._http = Conversation(
                self._session.socket, self.owner(), self._timeout, looks=not self.is_remote
            )
        return self._http


def path(*parts: str) -> str:
    """A path of the API out of parts, each quoted: what a person typed stays one part."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _told(event: bytes) -> Any:
    """The value of a server-sent event; None where it has none."""
    lines = [line[5:] for line in event.split(b"\n") if line.startswith(b"data:")]
    try:
        return json.loads(b"\n".join(lines)) if lines else None
    except (ValueError, RecursionError):
        return None


def _check_version(answer: Answer) -> None:
    """Failure where the agent's API and ours have no version in common."""
    said = answer.headers.get(versions.HEADER.lower())
    if said is None and not 200 <= answer.status < 300:
        return  # an error on the way: it says nothing of who speaks what
    spoken = versions.Speaks.read(said)
    problem = versions.apart(versions.ours(), spoken)
    if problem is not None:
        raise Failure(*problem)


def _unreachable(socket: Path, error: Exception) -> str:
    """Why nobody answers, in the words of the operating system."""
    if not socket.exists():
        return f"there is no agent at {socket}"
    said = error.strerror if isinstance(error, OSError) else None
    return f"could not reach the agent at {socket}: {said or 'it closed the connection'}"


def _value(answer: Answer, path: str) -> Any:
    if not answer.body:
        return {}
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        raise Failure(f"the agent's answer to {path} is not JSON") from error


def _refusal(answer: Answer, path: str) -> ApiError:
    """The agent's error; a body of another form (a proxy's, a framework's) is told as it is."""
    body: Any = None
    with contextlib.suppress(ValueError, RecursionError):
        body = json.loads(answer.body)
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        error, hint = str(body.get("error") or ""), str(body.get("hint") or "")
        return ApiError(answer.status, error, body["message"], hint)
    if isinstance(body, dict) and "detail" in body:
        detail = body["detail"] if isinstance(body["detail"], str) else json.dumps(body["detail"])
        return ApiError(answer.status, "", f"the agent refused this: {detail}")
    said = f"the agent answered {answer.status} {_phrase(answer.status)} to {path}"
    return ApiError(answer.status, "", said)


def _phrase(status: int) -> str:
    from http import HTTPStatus

    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "(no status of HTTP)"
