"""HTTP on a socket of this machine: one question, one answer, within bounds.

The protocol is h11's and the socket Python's own, since a library for the web takes longer to load
than an agent takes to answer.  Who listens is asked of the kernel before anything is said
(``answering``), an answer has a largest size, and an agent that is stopped is told from one that is
busy: whoever waits for long asks for a sign of life on a second connection.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hoopcli import answering

if TYPE_CHECKING:
    import h11

# Seconds without an answer until a sign of life is wanted, and how long one may take.  An agent
# answers in thousandths; one that swaps, or starts, in a second or two.
LOOK = 3.0

_READ = 64 << 10


class Answer(NamedTuple):
    """What came back, whole."""

    status: int
    headers: Mapping[str, str]  # names in small letters; the last of each
    body: bytes


class Frozen(TimeoutError):
    """A process has the socket and does nothing: it is stopped, or hangs."""


class Broken(Exception):
    """The connection ended early, or what came is no HTTP."""


class TooLarge(Exception):
    """There is more than what was asked for."""


class Conversation:
    """Questions to whoever listens at ``path``, who must be ``owner``.

    Each is sent once; a GET twice, where the connection of the question before had been closed.
    OSError where nobody answers, TimeoutError after ``timeout`` seconds of silence, and where
    ``looks``, Frozen after a few; Failure where somebody else listens there.
    """

    def __init__(self, path: Path, owner: int | None, timeout: float, *, looks: bool) -> None:
        self._path = path
        self._owner = owner
        self._timeout = timeout
        self._looks = looks
        self._socket: socket.socket | None = None
        self._http: h11.Connection | None = None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = self._http = None

    def ask(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        largest: int,
    ) -> Answer:
        """The answer; TooLarge where its body has more bytes than ``largest``."""
        again = self._socket is not None and method == "GET"
        try:
            return self._asked(method, target, headers, body, largest)
        except (ConnectionError, Broken):
            if not again:
                raise
            return self._asked(method, target, headers, body, largest)

    def follow(self, target: str, headers: Mapping[str, str]) -> Iterator[bytes]:
        """The body of an answer that comes piece by piece, on a connection of its own.

        Nothing, once a second, while nothing comes.  Broken where the answer is no 200, and where
        the other side says nothing at all for too long.
        """
        import h11

        connection, http = self._connected(self._timeout), h11.Connection(h11.CLIENT)
        with connection:
            lines = [("Host", "agent"), ("Accept", "text/event-stream"), *headers.items()]
            asked = http.send(h11.Request(method="GET", target=target, headers=lines)) or b""
            connection.sendall(asked + (http.send(h11.EndOfMessage()) or b""))
            connection.settimeout(1.0)
            try:
                yield from _pieces(connection, http)
            except h11.RemoteProtocolError as problem:
                raise Broken(str(problem) or "it closed the connection") from problem

    def _asked(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        largest: int,
    ) -> Answer:
        import h11

        connection, http = self._opened()
        lines = [("Host", "agent"), ("Accept", "*/*"), *headers.items()]
        if body is not None:
            lines += [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        done = False
        try:
            sent = http.send(h11.Request(method=method, target=target, headers=lines)) or b""
            sent += (http.send(h11.Data(data=body)) or b"") if body else b""
            connection.sendall(sent + (http.send(h11.EndOfMessage()) or b""))
            answer = self._answer(connection, http, largest)
            done = http.states == {h11.CLIENT: h11.DONE, h11.SERVER: h11.DONE}
        except h11.RemoteProtocolError as problem:
            raise Broken(str(problem) or "it closed the connection") from problem
        finally:
            if done:
                http.start_next_cycle()
            else:
                self.close()
        return answer

    def _answer(self, connection: socket.socket, http: h11.Connection, largest: int) -> Answer:
        import h11

        status, headers, body = 0, dict[str, str](), bytearray()
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(self._read(connection))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > largest:
                    raise TooLarge
            elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
                raise Broken("it closed the connection")
        return Answer(status, headers, bytes(body))

    def _read(self, connection: socket.socket) -> bytes:
        """What comes next; empty at the end."""
        end = time.monotonic() + self._timeout
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(min(left, LOOK) if self._looks else left)
            try:
                return connection.recv(_READ)
            except TimeoutError:
                if self._looks and left > LOOK and not self._lives():
                    raise Frozen from None
        raise TimeoutError

    def _opened(self) -> tuple[socket.socket, h11.Connection]:
        """The connection of the last question, where the other side has not closed it since."""
        import h11

        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:
            self.close()
        if self._socket is None or self._http is None:
            self._socket = self._connected(self._timeout)
            self._http = h11.Connection(h11.CLIENT)
        self._socket.settimeout(self._timeout)
        return self._socket, self._http

    def _connected(self, timeout: float) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(min(timeout, LOOK) if self._looks else timeout)
            connection.connect(str(self._path))
            answering.check(connection, self._owner, self._path)
        except BlockingIOError:  # so many wait already that the kernel takes no more
            connection.close()
            raise Frozen from None
        except BaseException:
            connection.close()
            raise
        return connection

    def _lives(self) -> bool:
        """Whether it says anything at all to somebody who says nothing of themselves."""
        try:
            with self._connected(LOOK) as probe:
                probe.settimeout(LOOK)
                probe.sendall(b"GET / HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")
                return probe.recv(1) != b""
        except OSError:
            return False


# Seconds.  Who streams says something every quarter of a minute.
_SILENCE = 45


def _pieces(connection: socket.socket, http: h11.Connection) -> Iterator[bytes]:
    import h11

    silent = 0
    while not isinstance(event := http.next_event(), h11.EndOfMessage):
        if event is h11.NEED_DATA:
            try:
                http.receive_data(connection.recv(_READ))
                silent = 0
            except TimeoutError:
                silent += 1
                if silent >= _SILENCE:
                    raise Broken("it says nothing") from None
                yield b""
        elif isinstance(event, h11.Response) and event.status_code != 200:
            raise Broken(f"it answered {event.status_code}")
        elif isinstance(event, h11.Data):
            yield bytes(event.data)
        elif event is h11.PAUSED or isinstance(event, h11.ConnectionClosed):
            raise Broken("it closed the connection")
