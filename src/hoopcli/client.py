"""Asking the agent: HTTP over its unix socket, JSON both ways, one error for every no.

httpx is imported with the first request, so that a command's ``--help`` does not pay for it.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

from hoopcli.errors import AgentUnreachable, ApiError, Failure

if TYPE_CHECKING:
    import httpx


class Session(Protocol):
    """What a client must know of who is signed in, and where."""

    @property
    def socket(self) -> Path: ...

    def token(self) -> str:
        """A bearer token that holds now.  Raises NotSignedIn when there is none to be had."""


def connected(timeout: float = 30.0) -> Client:
    """A client for whoever is signed in."""
    from hoopcli import signin

    return Client(signin.session(), timeout)


class Client:
    """``get``, ``post``, ``delete``: a path of the control API → what it answers.

    Raises ApiError for an answer that is no, AgentUnreachable where nobody answers, and
    NotSignedIn.  A request is sent once: what is not safe to repeat is never repeated.
    """

    def __init__(self, session: Session, timeout: float = 30.0) -> None:
        self._session = session
        self._timeout = timeout  # seconds for connecting, and between two reads
        self._http: httpx.Client | None = None

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

    def get(self, path: str, **params: object) -> Any:
        """Parameters that are None, False or empty are left out; True is sent as 1."""
        return _value(self._send("GET", path, params=params))

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:
        return _value(self._send("POST", path, body=body or {}))

    def delete(self, path: str) -> Any:
        return _value(self._send("DELETE", path))

    def raw(self, path: str) -> bytes:
        """The bytes of an answer that is not JSON."""
        return self._send("GET", path).content

    def _send(
        self,
        method: str,
        path: str,
        params: dict[str, object] | None = None,
        body: dict[str, Any] | None = None,
    ) -> httpx.Response:
        import httpx

        query = {k: "1" if v is True else str(v) for k, v in (params or {}).items() if v}
        headers = {"Authorization": f"Bearer {self._session.token()}"}
        try:
            answer = self._open().request(method, path, params=query, json=body, headers=headers)
        except httpx.TimeoutException as error:
            raise AgentUnreachable(
                f"the agent at {self._session.socket} did not answer in {self._timeout:g} seconds"
            ) from error
        except httpx.TransportError as error:
            raise AgentUnreachable(_unreachable(self._session.socket, error)) from error
        if not answer.is_success:
            raise _refusal(answer)
        return answer

    def _open(self) -> httpx.Client:
        if self._http is None:
            import httpx

            # Proxies and certificates of the environment have no say on a unix socket.
            transport = httpx.HTTPTransport(uds=str(self._session.socket), trust_env=False)
            self._http = httpx.Client(
                transport=transport,
                base_url="http://agent",
                timeout=self._timeout,
                trust_env=False,
            )
        return self._http


def path(*parts: str) -> str:
    """A path of the API out of parts, each quoted: what a person typed stays one part."""
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def _unreachable(socket: Path, error: Exception) -> str:
    """Why nobody answers, in the words of the operating system."""
    if not socket.exists():
        return f"there is no agent at {socket}"
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    said = (cause.strerror if isinstance(cause, OSError) else None) or str(error)
    return f"could not reach the agent at {socket}: {said or 'it closed the connection'}"


def _value(answer: httpx.Response) -> Any:
    if not answer.content:
        return {}
    try:
        return answer.json()
    except ValueError as error:
        raise Failure(f"the agent's answer to {answer.url.path} is not JSON") from error


def _refusal(answer: httpx.Response) -> ApiError:
    """The agent's error; a body of another form (a proxy's, a framework's) is told as it is."""
    body: Any = None
    with contextlib.suppress(ValueError):
        body = answer.json()
    if isinstance(body, dict) and isinstance(body.get("message"), str):
        error, hint = str(body.get("error") or ""), str(body.get("hint") or "")
        return ApiError(answer.status_code, error, body["message"], hint)
    if isinstance(body, dict) and "detail" in body:
        detail = body["detail"] if isinstance(body["detail"], str) else json.dumps(body["detail"])
        return ApiError(answer.status_code, "", f"the agent refused this: {detail}")
    said = f"the agent answered {answer.status_code} {answer.reason_phrase} to {answer.url.path}"
    return ApiError(answer.status_code, "", said)
