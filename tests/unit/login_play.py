"""Plays a login without a network: bytes in, bytes out."""

from __future__ import annotations

from dataclasses import dataclass, field

from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.login import RANDOM, Admission, login
from hoopcore.protocols.postgres.scram import Verifier
from hoopcore.stream import (
    Admit,
    Aside,
    Cancel,
    Closed,
    Connect,
    Identify,
    LoginRefused,
    Opened,
    ProtocolError,
    Read,
    Send,
    Side,
    StartTLS,
    Step,
)

ADMISSION = Admission(
    target="appdb",
    databases=("shop", "crm"),
    user="app_rw",
    password="s3cret",
    tls=False,
    label="hoop:ann:s-1 ",
    client_secret=b"OURS",
)


class Starved(Exception):
    """The login waits for bytes that never come."""


@dataclass
class Play:
    """One login against bytes that are known beforehand, in pieces as they arrive."""

    client: list[bytes]
    target: list[bytes] = field(default_factory=list)
    verifier: Verifier | None = None
    admission: Admission = ADMISSION
    client_tls: bool = False
    certificate: bytes = b""
    refusal: LoginRefused | None = None  # raised at Admit
    to_client: bytes = b""
    to_target: bytes = b""
    steps: list[str] = field(default_factory=list)
    admit: Admit | None = None

    def run(self) -> Opened | Cancel | Closed:
        steps = login(bytes(range(RANDOM)), client_tls=self.client_tls)
        answer: object = None
        problem: Exception | None = None
        self._read = {Side.CLIENT: b"", Side.TARGET: b""}
        while True:
            try:
                step = steps.throw(problem) if problem is not None else steps.send(answer)
            except StopIteration as done:
                result: Opened | Cancel | Closed = done.value
                return result
            answer, problem = None, None
            try:
                answer = self._take(step)
            except (LoginRefused, ProtocolError) as error:
                problem = error

    def run_and_keep(self, other: Play) -> None:
        """Runs, and leaves what was sent to the target with the other one."""
        try:
            self.run()
        finally:
            other.to_target = self.to_target

    def _take(self, step: Step) -> object:
        self.steps.append(type(step).__name__)
        match step:
            case Read(side, size):
                return self._bytes(side, size)
            case Send(Side.CLIENT, data):
                self.to_client += data
            case Send(Side.TARGET, data):
                self.to_target += data
            case StartTLS(side):
                if self._read[side]:
                    raise ProtocolError("bytes in clear behind a request for TLS")
                return self.certificate
            case Identify():
                return self.verifier
            case Admit():
                self.admit = step
                if self.refusal is not None:
                    raise self.refusal
                return self.admission
            case Aside(work):
                return work()
            case Connect():
                pass
        return None

    def _bytes(self, side: Side, size: int) -> bytes:
        pieces = self.client if side is Side.CLIENT else self.target
        while len(self._read[side]) < size:
            if not pieces:
                raise Starved
            self._read[side] += pieces.pop(0)
        data, self._read[side] = self._read[side][:size], self._read[side][size:]
        return data


def startup(version: int = wire.PROTOCOL_3_0, /, **parameters: str) -> bytes:
    return wire.startup_message({"user": "e-1", **parameters}, version)


def ready(*, encoding: str = "UTF8", secret: bytes = b"THEM") -> bytes:
    """What a target says that trusts us."""
    return (
        wire.authentication(0)
        + wire.parameter_status("server_version", "18.0")
        + wire.parameter_status("client_encoding", encoding)
        + wire.backend_key_data(4711, secret)
        + wire.ready_for_query()
    )


def fields(data: bytes) -> dict[str, bytes]:
    """Of the last message, which is an error."""
    at, last = 0, b""
    while at < len(data):
        kind, length = wire.HEADER.unpack_from(data, at)
        last = data[at + 5 : at + 1 + length] if kind == wire.ERROR else b""
        at += 1 + length
    assert last, "the last word was no error"
    return wire.error_fields(last)
