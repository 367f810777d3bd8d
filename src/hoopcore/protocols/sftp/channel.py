"""What both sides of an SFTP channel know: what is open, what waits for an answer, what goes out.

Order of the file: what is kept, the channel, what judging does, the way out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from hoopcore.passage import Ask, Done, Given
from hoopcore.policy import FileRules
from hoopcore.protocols.sftp.frames import Frames, Outlet
from hoopcore.protocols.sftp.judging import Decision, Own, Reply, Work
from hoopcore.protocols.sftp.opened import Opened
from hoopcore.protocols.sftp.requests import Kind, Request
from hoopcore.protocols.sftp.wire import Code, Type, Unreadable, packet, status, string

_LINES = 200  # that are said on stderr on one channel


class Due(NamedTuple):
    """What is to be answered."""

    kind: Kind
    opened: Opened | None = None
    at: int = 0
    most: int = 0  # bytes that go with it
    own: Callable[[Reply], None] | None = None
    seq: int = 0  # of the statement that let it, where what became of it is recorded


class Body(NamedTuple):
    """The rest of a packet with a file's bytes in it; ``reply`` is what takes its place."""

    left: int
    opened: Opened
    at: int
    reply: bytes


class Channel:
    """One SFTP channel."""

    def __init__(self, rules: FileRules) -> None:
        self.rules = rules
        self.home = b""
        self._person, self._target = Frames(), Frames()
        self._to_person, self._to_target = Outlet(), Outlet()
        self._later_person: list[bytes] = []  # once the packet that is on its way is through
        self._later_target: list[bytes] = []
        self._uploading: Body | None = None
        self._downloading: Body | None = None
        self._greeted = self._ready = False
        self._due: dict[int, Due] = {}
        self._open: dict[bytes, Opened] = {}
        self._opening = 0
        self._own = 0xF0000000
        self._work: Work | None = None
        self._replies: list[Reply | None] = []  # to what the work has sent
        self._asked: Ask | None = None
        self._waits = False  # for the verdict on that
        self._slow = False
        self._said = 0
        self._done: list[Given] = []
        self._errors: list[bytes] = []

    # --- what judging does ------------------------------------------------------------------------

    def _step(self, answer: Decision | list[Reply] | None) -> None:
        """The work goes on with what it wanted, until it wants something else."""
        work = self._work
        assert work is not None, "somebody waits for an answer"
        try:
            wanted = work.send(answer)
        except StopIteration:
            self._work = None
            return
        if isinstance(wanted, Ask):
            self._asked = wanted
            self._waits = True
            return
        self._replies = [None] * len(wanted)
        for place, own in enumerate(wanted):
            self._send_own(own, self._collector(place))

    def _collector(self, place: int) -> Callable[[Reply], None]:
        def collect(reply: Reply) -> None:
            self._replies[place] = reply
            replies = [one for one in self._replies if one is not None]
            if len(replies) == len(self._replies):
                self._step(replies)

        return collect

    def _send_own(
        self, own: Own, then: Callable[[Reply], None], opened: Opened | None = None
    ) -> None:
        while self._own in self._due:
            self._own = 0xF0000000 + (self._own + 1) % 0x0F000000
        id, self._own = self._own, 0xF0000000 + (self._own + 1) % 0x0F000000
        count = int.from_bytes(own.parts[-1]) if own.kind == Type.READ else 0
        self._due[id] = Due(own.kind, None, 0, count, then)
        data = packet(own.kind, id, *own.parts)
        if self._uploading is not None:
            self._later_target.append(data)
        else:
            self._to_target.add(data)

    def forward(
        self, request: Request, paths: tuple[bytes, ...], opened: Opened | None, seq: int = 0
    ) -> None:
        if opened is not None:
            self._opening += 1
        due = self._open.get(request.handles[0]) if request.handles else opened
        self._due[request.id] = Due(request.kind, due, seq=seq)
        same = not paths or paths == request.paths
        new = request.whole if same else packet(request.number, request.id, *request.body(paths))
        self._to_target.add(new)

    def answer(self, request: Request, code: int, text: str) -> None:
        self._say_status(request.id, code, text)

    def refuse(self, request: Request, what: str, refusal: str) -> None:
        self._say_status(request.id, Code.PERMISSION_DENIED, hoop(refusal))
        self._say_aside(what, refusal)

    def relay(self, request: Request, reply: Reply) -> None:
        self._tell_person(packet(reply.kind, request.id, reply.body))

    def open(self, request: Request, opened: Opened, handle: bytes) -> None:
        self._opened(opened, handle)
        self._tell_person(packet(Type.HANDLE, request.id, string(handle)))

    def ended(self, opened: Opened) -> None:
        self._done += [Done(file) for file in opened.end(closed=True)]

    def _opened(self, opened: Opened, handle: bytes) -> None:
        if handle in self._open:
            raise Unreadable("the target gives a handle twice")
        opened.name = handle
        self._open[handle] = opened

    # --- the way out ------------------------------------------------------------------------------

    def _say_status(self, id: int, code: int, text: str) -> None:
        self._tell_person(status(id, code, text))

    def _tell_person(self, data: bytes) -> None:
        """Behind the packet that is on its way to them."""
        if self._downloading is not None:
            self._later_person.append(data)
        else:
            self._to_person.add(data)

    def _say_aside(self, what: str, why: str) -> None:
        self._said += 1
        if self._said <= _LINES:
            line = "".join(c if c.isprintable() else "?" for c in f"hoop: {what}: {why}")
            self._errors.append(f"{line}\n".encode())


NOBODYS = Opened("")


def hoop(text: str) -> str:
    return f"hoop: {text}" if text else "hoop: refused"
