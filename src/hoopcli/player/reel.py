"""Any row of a recording, without reading what stands before it.

A row is a line that is news to a person; what became of a statement belongs to its row.  Of each
frame (about 1 MiB of lines) a few numbers are kept, and the frames on the screen are decoded again:
so a recording of any size takes little memory, and opens as fast as its first frame.

What a line is, is told by how it begins, not by decoding it, so that counting rows (fast, for every
frame) and showing them (for one) agree on every file, hostile ones too.

Order of the file: a row, a frame, the reel.
"""

from __future__ import annotations

import io
import re
import threading
from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass, field

import zstandard

from hoopcli.player.tape import Tape
from hoopcore.recording import Copied, Finished, Header, Known, Said, event_of_line
from hoopcore.recording.frames import Unpacker

# What belongs to another row, or is no news.
_SILENT = tuple(
    b'{"type":"%b"' % kind for kind in (b"header", b"head", b"finished", b"copied", b"terminal")
)
_STATEMENT = b'{"type":"statement"'
# What a frame may hold of rows that one jumps to; more than there is does no harm.
HINTS = {
    "refused": b'"verdict":"refuse"',
    "held": b'"verdict":"hold"',
    "masked": b'"masked":{',
    "error": b'"error":"',
}
_FATAL = b'{"type":"fatal"'

_MAGIC = b"\x28\xb5\x2f\xfd\x00"
_FRAME_HEADER = 6
# A frame of ours has 1 MiB of lines, and one line more.  Of a larger one, which hoop did not write,
# the rest is not shown.
_LARGEST_FRAME = 64 << 20
_LARGEST_BLOCK = 128 << 10
_OUTCOME = re.compile(rb'(?m)^\{"type":"(?:finished|copied)","seq":(\d+)[,}][^\n]*\n')
_WALK = 1 << 20
_KEPT = 6  # decoded frames
_ORIGINS = 10_000  # texts of prepared statements
# What became of a statement stands in its frame or in the next; further on only where somebody
# pipelines thousands.
_FURTHER = 8


@dataclass(slots=True)
class Row:
    """One line, and what became of it."""

    n: int  # number of the line, as lines are counted
    event: Known | None  # None: the line cannot be read
    finished: Finished | None = None
    copied: list[Copied] = field(default_factory=list)
    looked: int = 0  # up to which frame it was looked for what became of it

    @property
    def t(self) -> int:
        return self.event.t if self.event is not None else 0


@dataclass(slots=True)
class Frame:
    """Where a frame is, and what is in it."""

    offset: int
    stop: int
    closed: bool = False  # no more will be in it
    line: int = 1  # number of its first line
    lines: int = 0
    row: int = 0  # number of its first row
    rows: int = 0
    t: int = 0  # of its first line
    seq: int = 0  # of its first statement; 0 where there is none
    hints: frozenset[str] = frozenset()


class Reel:
    """The rows of a tape.  ``grow`` is for one thread, all else for another."""

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.header: Header | None = None
        self.rows = 0
        self.read = 0  # bytes that have been walked over
        self.length = 0  # microseconds, as far as is known
        self.stuck = ""  # why nothing behind ``read`` can be told
        self._frames: list[Frame] = []
        self._row_starts: list[int] = []
        self._decoded: OrderedDict[tuple[int, int], list[Row]] = OrderedDict()
        self._texts: dict[int, Said] = {}
        self.sealed = False  # its seal was met: nothing may stand behind it
        self._lock = threading.Lock()  # of what is decoded: a search has a thread of its own

    @property
    def share(self) -> float:
        """Which part of what is there has been walked over, 0 to 1."""
        return self.read / self.tape.size if self.tape.size and not self.stuck else 1.0

    # --- growing ----------------------------------------------------------------------------------

    def grow(self) -> bool:
        """Takes in the next frame, or what has come of the last; False where nothing has."""
        if self.stuck or self.sealed:
            return False
        last = self._frames[-1] if self._frames else None
        again = last is not None and not last.closed
        offset = last.offset if last is not None and again else self.read
        if self.read >= self.tape.size:
            return False
        frame = self._walked(offset, self.read if again else 0)
        if frame is None:
            return False
        self._fill(frame)
        self._keep(frame, again)
        return True

    def _walked(self, offset: int, behind: int) -> Frame | None:
        """The frame there, as far as its blocks are whole; from ``behind`` they are not known."""
        start = self.tape.read(offset, _FRAME_HEADER)
        if start[:4] == b"\x53\x2a\x4d\x18":
            self.sealed = True
            self.read = self.tape.size
            return None
        if len(start) < _FRAME_HEADER:
            return None
        if start[:5] != _MAGIC:
            self.stuck = "no frame begins where one must"
            return None
        at = max(behind, offset + _FRAME_HEADER)
        stop, closed = self._blocks(at)
        if stop == behind:
            return None
        return Frame(offset, stop, closed)

    def _blocks(self, at: int) -> tuple[int, bool]:
        """Behind the last whole block from there on, and whether it is the frame's last."""
        base, buffer = at, self.tape.read(at, _WALK)
        while True:
            here = at - base
            if here + 3 > len(buffer):
                base, buffer = at, self.tape.read(at, _WALK)
                if len(buffer) < 3:
                    return at, False
                here = 0
            header = buffer[here] | buffer[here + 1] << 8 | buffer[here + 2] << 16
            content = 1 if header & 6 == 2 else header >> 3
            if header & 6 == 6 or content > _LARGEST_BLOCK:
                self.stuck = "a block has no sense"
                return at, False
            if at + 3 + content > self.tape.size:
                return at, False
            at += 3 + content
            if header & 1:
                return at, True

    def _fill(self, frame: Frame) -> None:
        """Counts what is in it."""
        data = self._data(frame)
        first = data[: data.find(b"\n") + 1]
        event = _event(first)
        if event is not None:
            frame.t = event.t
            if isinstance(event, Header) and self.header is None:
                self.header = event
        frame.lines = data.count(b"\n")
        whole = b"\n" + data
        silent = sum(whole.count(b"\n" + prefix) for prefix in _SILENT)
        # A last line that is not whole yet may begin like one of these.
        tail = data[data.rfind(b"\n") + 1 :]
        silent -= tail.startswith(_SILENT)
        frame.rows = frame.lines - silent
        at = whole.find(b"\n" + _STATEMENT)
        if at >= 0:
            said = _event(whole[at + 1 : whole.find(b"\n", at + 1) + 1])
            frame.seq = said.seq if isinstance(said, Said) else 0
        hints = {name for name, sign in HINTS.items() if sign in data}
        if _FATAL in data:
            hints.add("error")
        frame.hints = frozenset(hints)
        last = _event(data[data.rfind(b"\n", 0, len(data) - len(tail) - 1) + 1 : len(data)])
        if last is not None:
            self.length = max(self.length, last.t)

    def _keep(self, frame: Frame, again: bool) -> None:
        if self._frames:
            last = self._frames[-1]
            frame.row = last.row if again else last.row + last.rows
            frame.line = last.line if again else last.line + last.lines
        if again:
            self._frames[-1] = frame
        else:
            self._frames.append(frame)
            self._row_starts.append(frame.row)
        self.read = frame.stop
        self.rows = frame.row + frame.rows

    # --- decoding ---------------------------------------------------------------------------------

    def _data(self, frame: Frame) -> bytes:
        """The lines of a frame, up to where it ends or is damaged."""
        packed = self.tape.read(frame.offset, frame.stop - frame.offset)
        reader = zstandard.ZstdDecompressor(max_window_size=_LARGEST_BLOCK).stream_reader(
            io.BytesIO(packed)
        )
        try:
            return reader.read(_LARGEST_FRAME) if len(packed) > _FRAME_HEADER else b""
        except zstandard.ZstdError:
            return b"".join(Unpacker().feed(packed))

    def _rows(self, frame: Frame) -> list[Row]:
        """Its rows, with what became of them as far as it stands in the frame."""
        key = (frame.offset, frame.stop)
        with self._lock:
            found = self._decoded.pop(key, None)
        if found is None:
            found = _rows_of(self._data(frame), frame.line)
        with self._lock:
            self._decoded[key] = found
            while len(self._decoded) > _KEPT:
                self._decoded.popitem(last=False)
        return found

    def __getitem__(self, number: int) -> Row:
        """The row of that number, from 0; IndexError where there is none (yet)."""
        if not 0 <= number < self.rows:
            raise IndexError(number)
        at = bisect_right(self._row_starts, number) - 1
        frame = self._frames[at]
        rows = self._rows(frame)
        if number - frame.row >= len(rows):
            return Row(0, None)
        row = rows[number - frame.row]
        said = row.event
        awaits = isinstance(said, Said) and said.verdict == "allow" and not said.prepared
        if isinstance(said, Said) and said.kind == "file":
            awaits = False  # what became of it has a row of its own
        if awaits and row.finished is None and frame.closed:
            self._further(row, max(at + 1, row.looked), at + 1 + _FURTHER)
        return row

    def _further(self, row: Row, at: int, stop: int) -> None:
        """What became of a statement, where it stands in one of these frames."""
        assert isinstance(row.event, Said)
        for frame in self._frames[at:stop]:
            if frame.closed:
                row.looked = at = at + 1
            for found in _OUTCOME.finditer(self._data(frame)):
                if int(found[1]) > row.event.seq:
                    row.looked = stop
                    return
                event = _event(found[0]) if int(found[1]) == row.event.seq else None
                if isinstance(event, Copied) and event not in row.copied:
                    row.copied.append(event)
                elif isinstance(event, Finished):
                    row.finished = event
                    return

    # --- finding ----------------------------------------------------------------------------------

    def said(self, seq: int) -> Said | None:
        """The statement of that number; the first telling where it was told twice."""
        if seq in self._texts:
            return self._texts[seq]
        number = self.row_of_seq(seq)
        event = self[number].event if number is not None else None
        if not isinstance(event, Said) or event.seq != seq:
            return None
        if len(self._texts) < _ORIGINS:
            self._texts[seq] = event
        return event

    def row_of_seq(self, seq: int) -> int | None:
        """The first row of a statement of that number, or of a later one; None: there is none."""
        # Frames in which a statement begins, in order; one without any has the one before it.
        starts = [frame for frame in self._frames if frame.seq]
        at = max(bisect_right([frame.seq for frame in starts], seq) - 1, 0)
        # What was told twice may begin in the frame before.
        for frame in starts[max(at - 1, 0) :]:
            for i, row in enumerate(self._rows(frame)):
                if isinstance(row.event, Said) and row.event.seq >= seq:
                    return frame.row + i
        return None

    def row_at(self, t: int) -> int:
        """The last row that was true at that time (microseconds since the start), or the first."""
        at = max(bisect_right([frame.t for frame in self._frames], t) - 1, 0)
        if not self._frames:
            return 0
        frame = self._frames[at]
        times = [row.t for row in self._rows(frame)]
        return max(frame.row + bisect_right(times, t) - 1, 0)

    def row_of_line(self, n: int) -> int:
        """How many rows stand before the line of that number."""
        at = bisect_right([frame.line for frame in self._frames], n) - 1
        if at < 0:
            return 0
        frame = self._frames[at]
        return frame.row + sum(row.n < n for row in self._rows(frame))

    def __len__(self) -> int:
        return len(self._frames)

    def frame(self, at: int) -> tuple[int, frozenset[str], list[Row]]:
        """(number of its first row, what may be in it, its rows) of a frame."""
        frame = self._frames[at]
        return frame.row, frame.hints, self._rows(frame)

    def hints(self, at: int) -> frozenset[str]:
        return self._frames[at].hints

    def frame_of(self, number: int) -> int:
        """In which frame a row is."""
        return max(bisect_right(self._row_starts, number) - 1, 0)

    def stop(self, at: int) -> int:
        """The number behind its last row."""
        return self._frames[at].row + self._frames[at].rows

    def is_closed(self, at: int) -> bool:
        """Whether no more will be in it."""
        return self._frames[at].closed

    def lines(self, at: int) -> bytes:
        """The lines of a frame as they are."""
        return self._data(self._frames[at])


def _event(line: bytes) -> Known | None:
    try:
        return event_of_line(line)
    except ValueError:
        return None


def _rows_of(data: bytes, first: int) -> list[Row]:
    """The rows of lines in hand; a last line that is not whole is none."""
    rows: list[Row] = []
    waiting: dict[int, Row] = {}
    for n, line in enumerate(data.split(b"\n")[:-1], first):
        event = _event(line)
        if not line.startswith(_SILENT):
            row = Row(n, event)
            rows.append(row)
            if isinstance(event, Said):
                waiting[event.seq] = row
        elif isinstance(event, Finished) and event.seq in waiting:
            waiting.pop(event.seq).finished = event
        elif isinstance(event, Copied) and event.seq in waiting:
            waiting[event.seq].copied.append(event)
    return rows
