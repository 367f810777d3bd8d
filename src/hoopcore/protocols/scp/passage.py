"""One ``scp -O`` through the gate: its two ends speak in turn, and so they are read.

The source tells of a file and waits; before that goes on, the file is judged.  A refused one is
told to the source as something that the sink could not do, and to a person who is the sink as
something that the source could not do: both go on with the next file.

What the sink says goes on only when it is due, so that both ends and hoop are always at the same
place of the conversation.

Order of the file: the two ends, turns of the source, judging, turns of the sink, ends.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

from hoopcore.calls import ScpCall
from hoopcore.command import Transfer
from hoopcore.passage import Ask, Done, Given, Stop, ToPerson, ToTarget
from hoopcore.policy import FileRules
from hoopcore.protocols.files import LONGEST_PATH, Account
from hoopcore.protocols.scp.records import Garbled, Held, Record, record
from hoopcore.recording import File
from hoopcore.transfers import doing

_DEEPEST: Final = 256


class Turn(Enum):
    """Whose turn it is, and for what."""

    READY = auto()  # the sink says that it is there
    LINE = auto()  # the source goes on
    JUDGED = auto()
    PASSED = auto()  # the sink answers to a folder, its end, or times
    BEGINS = auto()  # the sink answers to a file
    BYTES = auto()
    STATUS = auto()  # the source says whether it could read all of it
    ENDS = auto()  # the sink says whether it has all of it
    OVER = auto()


_ANSWERS: Final = frozenset({Turn.READY, Turn.PASSED, Turn.BEGINS, Turn.ENDS})


class ScpPassage:
    """A channel whose whole command is ``scp -t`` or ``scp -f``."""

    patience: float | None = None

    def __init__(self, call: ScpCall, rules: FileRules | None = None) -> None:
        self._call = call
        self._rules = rules
        self._upload = call.upload
        self._direction = "upload" if call.upload else "download"
        self._source, self._sink = Held(), Held()
        self._turn = Turn.READY  # the sink says first that it is there
        self._record: Record | None = None  # that is judged, answered, or under way
        self._folders: list[str] = []
        self._account: Account | None = None
        self._left = 0
        self._trouble = False  # the source could not read the file to its end
        self._asked: tuple[Ask, str] | None = None
        self._given: list[Given] = []
        self._stopped = False

    # --- the two ends ---------------------------------------------------------------------------

    def from_person(self, data: bytes) -> list[Given]:
        return self._from(self._source if self._upload else self._sink, data)

    def from_target(self, data: bytes, *, stderr: bool) -> list[Given]:
        if stderr:
            return [ToPerson(data, stderr=True)]
        return self._from(self._sink if self._upload else self._source, data)

    def _from(self, end: Held, data: bytes) -> list[Given]:
        try:
            end.add(data)
            return self._go_on()
        except Garbled as problem:
            return self._stop(str(problem))

    def _to_source(self, data: bytes) -> None:
        self._given.append(ToPerson(data) if self._upload else ToTarget(data))

    def _to_sink(self, data: bytes) -> None:
        self._given.append(ToTarget(data) if self._upload else ToPerson(data))

    def _go_on(self) -> list[Given]:
        while self._step():
            pass
        given, self._given = self._given, []
        return given

    def _step(self) -> bool:
        """One turn; whether another one may follow."""
        turn = self._turn
        if turn in _ANSWERS:
            return self._answer()
        if turn is Turn.LINE:
            return self._line()
        if self._upload and len(self._sink) and turn is not Turn.JUDGED:
            raise Garbled("the target answers where nothing was asked")
        if turn is Turn.BYTES:
            return self._bytes()
        if turn is Turn.STATUS:
            return self._status()
        if turn is Turn.OVER and len(self._source):
            raise Garbled("something comes behind its end")
        return False

    # --- turns of the source --------------------------------------------------------------------

    def _line(self) -> bool:
        if self._upload and self._sink.answer() is not None:
            # Old ones say twice what went wrong with a file: once is enough for the source.
            return True
        line = self._source.line()
        if line is None:
            return False
        told = self._record = record(line)
        match told.kind:
            case "C":
                return self._judge(told)
            case "D":
                if not self._call.recursive or len(self._folders) >= _DEEPEST:
                    raise Garbled("a folder comes that was not asked for")
                if self._upload:
                    return self._judge(told)
                self._enter(told)
            case "E":
                if not self._folders:
                    raise Garbled("a folder ends where none is")
                self._folders.pop()
        self._to_sink(line)
        self._turn = {"!": Turn.LINE, "!!": Turn.OVER}.get(told.kind, Turn.PASSED)
        return True

    def _enter(self, told: Record) -> None:
        self._folders.append(_spoken(told.name))

    def _bytes(self) -> bool:
        data = self._source.some(self._left)
        account = self._account
        assert account is not None, "a file is under way"
        if data:
            account.add(data)
            self._left -= len(data)
            self._to_sink(data)
        if self._left:
            return False
        self._turn = Turn.STATUS
        return True

    def _status(self) -> bool:
        """Behind a file its source says whether it could read all of it."""
        status = self._source.answer()
        if status is None:
            return False
        self._trouble = status != b"\0"
        self._to_sink(status)
        self._turn = Turn.ENDS
        return True

    # --- judging --------------------------------------------------------------------------------

    def _judge(self, told: Record) -> bool:
        name = "/".join((*self._folders, _spoken(told.name)))
        # Where what is uploaded to is no folder, every file is written to it, the second one too.
        files = self._call.roots.files(name, alone=True)
        first = files[0]
        path = first.said if first.whole else f"{first.said}…/{name}"
        if told.kind == "D":
            action, transfer = "make", Transfer("make", files)
        else:
            action = self._direction
            transfer = Transfer(action, files, told.size)
        ask = Ask(f"{action} {path}"[:4096], doing("scp", transfer))
        self._asked = (ask, path)
        self._given.append(ask)
        self._turn = Turn.JUDGED
        return False

    def decided(self, seq: int, refusal: str) -> list[Given]:
        told = self._record
        assert told is not None, "nothing was asked"
        assert self._asked is not None, "nothing was asked"
        ask, path = self._asked
        self._asked = None
        rules = None if self._upload else self._rules
        if not refusal and rules is not None and rules.watch(ask.statement).kinds:
            refusal = "what is in it would have to be looked at first: use sftp for it"
        if refusal:
            self._refuse(seq, path, refusal)
        elif told.kind == "D":
            self._enter(told)
            self._to_sink(told.line)
            self._turn = Turn.PASSED
        else:
            self._account = Account(self._direction, path, seq, mode=told.mode, size=told.size)
            self._left = told.size
            self._to_sink(told.line)
            self._turn = Turn.BEGINS
        try:
            return self._go_on()
        except Garbled as problem:
            return self._stop(str(problem))

    def _refuse(self, seq: int, path: str, refusal: str) -> None:
        if self._record is not None and self._record.kind == "C":
            path_ = path[:LONGEST_PATH]
            event = File(seq=seq, direction=self._direction, path=path_, outcome="refused")
            self._given.append(Done(event))
        words = f"\x01hoop: {refusal} ({path})\n".encode()
        self._to_source(words)
        if not self._upload:
            self._to_sink(words)
        self._turn = Turn.LINE

    # --- turns of the sink ----------------------------------------------------------------------

    def _answer(self) -> bool:
        answer = self._sink.answer()
        if answer is None:
            return False
        self._to_source(answer)
        turn, self._turn = self._turn, Turn.LINE
        fine = answer == b"\0"
        if not fine:
            self._end(_failed(answer))
        if answer.startswith(b"\x02"):
            self._turn = Turn.OVER
        elif turn is Turn.PASSED and not fine and self._record and self._record.kind == "D":
            self._folders.pop()  # its source goes on behind it
        elif turn is Turn.BEGINS and fine:
            self._turn = Turn.BYTES
        elif turn is Turn.ENDS:
            self._end("failed: its source could not read all of it" if self._trouble else "whole")
        return True

    def _end(self, outcome: str) -> None:
        if self._account is not None:
            self._given.append(Done(self._account.end(outcome)))
            self._account = None

    # --- ends -----------------------------------------------------------------------------------

    def person_done(self) -> list[Given]:
        return []

    def target_done(self) -> list[Given]:
        return []

    def quiet(self) -> list[Given]:
        return []

    def closed(self) -> list[Given]:
        """What was under way is a part."""
        if self._stopped:
            return []
        self._stopped = True
        self._given = []
        self._end("part")
        return self._given

    def _stop(self, why: str) -> list[Given]:
        """What was read so far has gone on; the rest does not."""
        self._stopped = True
        self._end("part")
        given = [one for one in self._given if not isinstance(one, Ask)]
        return [*given, Stop(f"this scp cannot go on: {why}")]


def _failed(answer: bytes) -> str:
    return f"failed: {_spoken(answer[1:-1])}"[:300]


def _spoken(name: bytes) -> str:
    """A name as people may read it on a terminal."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
