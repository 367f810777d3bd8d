"""A person and a real sftp-server, with the passage between them or without it.

``Through`` drives a passage as the agent does: what is asked is judged at once by a policy.
"""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hoopcore.model import EVERYTHING, Kind, Principal, Scope, Target
from hoopcore.passage import Ask, Became, Done, Given, Stop, ToPerson, ToTarget, Wait
from hoopcore.policy import Facts, FileRules, Policy
from hoopcore.protocols.sftp import Sftp
from hoopcore.protocols.sftp.wire import Type, packet, string, u32, u64
from hoopcore.recording import File
from hoopcore.statement import Reading
from tests.servers import missing

SERVER = Path("/usr/lib/openssh/sftp-server")


def facts(scope: Scope = EVERYTHING) -> Facts:
    principal = Principal("p1", Kind.HUMAN, "issuer", "ana", groups=frozenset({"dev"}))
    return Facts(principal, Target("host", "ssh", ()), scope, "s")


def rules(text: str = "", scope: Scope = EVERYTHING) -> FileRules:
    bound = Policy.load(text).bind(facts(scope))
    return FileRules(lambda: bound)


def frames(data: bytes) -> list[bytes]:
    """Whole packets, without their lengths."""
    found = []
    while data:
        length = int.from_bytes(data[:4])
        assert len(data) >= 4 + length
        found.append(data[4 : 4 + length])
        data = data[4 + length :]
    return found


_OPEN: list[Server] = []


def close_servers() -> None:
    """Those that a test that failed has left."""
    while _OPEN:
        _OPEN[-1].close()


class Server:
    """A real sftp-server on pipes, in a folder."""

    def __init__(self, folder: Path) -> None:
        if not SERVER.exists():
            missing("sftp-server", "apt-get install openssh-sftp-server")
        self.process: subprocess.Popen[bytes] = subprocess.Popen(
            [str(SERVER), "-d", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )
        self._pending = b""
        _OPEN.append(self)

    def say(self, data: bytes) -> bytes:
        """Its answers, one to each packet that is whole now."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(data)
        self._pending += data
        answers = b""
        while len(self._pending) >= 4:
            length = int.from_bytes(self._pending[:4])
            if len(self._pending) < 4 + length:
                break
            self._pending = self._pending[4 + length :]
            head = _exactly(stdout, 4)
            answers += head + _exactly(stdout, int.from_bytes(head))
        return answers

    def close(self) -> None:
        _OPEN.remove(self)
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(10)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    found = b""
    while len(found) < count:
        more = pipe.read(count - len(found))
        assert more, "the server has left"
        found += more
    return found


@dataclass
class Through:
    """A server behind a passage."""

    server: Server
    rules: FileRules
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    files: list[File] = field(default_factory=list)
    aside: bytes = b""
    stopped: str = ""
    cut: int = 1 << 20  # bytes in which everything comes
    most: int = 0  # the longest the passage has kept of the person

    def __post_init__(self) -> None:
        self.passage = Sftp(self.rules)

    def say(self, data: bytes) -> bytes:
        answers = b""
        for piece in _pieces(data, self.cut):
            if not self.stopped:
                answers += self._do(self.passage.from_person(piece))
        return answers

    def _do(self, given: list[Given]) -> bytes:
        answers = b""
        for one in given:
            match one:
                case ToTarget():
                    for piece in _pieces(self.server.say(one.data), self.cut):
                        answers += self._do(self.passage.from_target(piece, stderr=False))
                case ToPerson(stderr=False):
                    answers += one.data
                case ToPerson():
                    self.aside += one.data
                case Ask():
                    answers += self._do(self._judge(one))
                case Done():
                    self.files.append(one.event)
                case Stop():
                    self.stopped = one.words
                case Wait() | Became():
                    pass
        return answers

    def _judge(self, ask: Ask) -> list[Given]:
        self.asked.append(ask.text)
        verdict = self.rules._bound().decide(Reading((ask.statement,)))
        refusal = ""
        if not verdict.allowed:
            refusal = f'refused by rule "{verdict.rule}": {verdict.reason}'
            self.refused.append(ask.text)
        return self.passage.decided(len(self.asked), refusal)

    def close(self) -> None:
        if self.server not in _OPEN:
            return
        if not self.stopped:
            self.files += [one.event for one in self.passage.closed() if isinstance(one, Done)]
        self.server.close()


def _pieces(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


# --- a person -------------------------------------------------------------------------------------

INIT = struct.pack(">IBI", 5, Type.INIT, 3)


class Person:
    """Says one request after the other; ``ends`` is a Server or a Through."""

    def __init__(self, ends: Any) -> None:
        self.ends = ends
        self.id = 0
        (self.version,) = frames(ends.say(INIT))

    def ask(self, kind: int, *parts: bytes) -> bytes:
        """The answer, without its length."""
        self.id += 1
        (answer,) = frames(self.ends.say(packet(kind, self.id, *parts)))
        assert int.from_bytes(answer[1:5]) == self.id
        return answer[:1] + answer[5:]

    def code(self, kind: int, *parts: bytes) -> int:
        answer = self.ask(kind, *parts)
        assert answer[0] == Type.STATUS
        return int.from_bytes(answer[1:5])

    def open(self, path: str, flags: int, mode: int | None = None) -> bytes:
        """The handle; what else came, raised."""
        attributes = u32(0) if mode is None else u32(4) + u32(mode)
        answer = self.ask(Type.OPEN, string(path.encode()), u32(flags), attributes)
        if answer[0] != Type.HANDLE:
            raise Refused(int.from_bytes(answer[1:5]), answer[9:-6].decode())
        return answer[5:]

    def read(self, handle: bytes, at: int, count: int) -> bytes | int:
        answer = self.ask(Type.READ, string(handle), u64(at), u32(count))
        return answer[5:] if answer[0] == Type.DATA else int.from_bytes(answer[1:5])

    def write(self, handle: bytes, at: int, data: bytes) -> int:
        return self.code(Type.WRITE, string(handle), u64(at), string(data))

    def close(self, handle: bytes) -> int:
        return self.code(Type.CLOSE, string(handle))

    def get(self, path: str, step: int = 32768) -> bytes:
        handle = self.open(path, 1)
        data = b""
        while isinstance(more := self.read(handle, len(data), step), bytes):
            data += more
        if more != 1:
            self.close(handle)
            raise Refused(more, "")
        self.close(handle)
        return data

    def put(self, path: str, data: bytes, step: int = 32768) -> None:
        handle = self.open(path, 2 | 8 | 16, 0o640)
        for at in range(0, len(data), step):
            code = self.write(handle, at, data[at : at + step])
            if code:
                self.close(handle)
                raise Refused(code, "")
        self.close(handle)


class Refused(Exception):
    """A STATUS: its number and words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{code} {words}")
        self.code, self.words = code, words
