"""A file or folder that is open at the target, and what has gone through it.

Order of the file: what is open, downloads, uploads, the end.
"""

from __future__ import annotations

from hoopcore.command import Text
from hoopcore.policy import NOTHING_WATCHED, Watch
from hoopcore.protocols.files import Account
from hoopcore.protocols.sftp.wire import Attributes, Code
from hoopcore.recording import File

Buffer = bytes | bytearray | memoryview


class Opened:
    """What a handle stands for; a folder has no account."""

    __slots__ = (
        *("appends", "down", "failed", "files", "fresh", "mixed", "name", "path", "refused"),
        *("under_way", "up", "watch", "_confirmed", "_end"),
    )

    def __init__(self, path: str, files: tuple[Text, ...] = ()) -> None:
        self.name = b""  # as the target calls it, once it has answered
        self.path = path
        self.files = files  # as rules see them
        self.down: Account | None = None
        self.up: Account | None = None
        self.watch: Watch = NOTHING_WATCHED
        self.appends = False
        self.fresh = True  # it is empty when it is opened
        self.mixed = False  # something else has changed what is in it
        self.refused = False  # nothing more goes through
        self.failed = ""
        self.under_way = 0  # reads and writes that are not answered
        self._end: int | None = None  # where a read has met the end of the file
        self._confirmed = 0  # bytes of which the target has said that it has them

    def looked_at(self, attributes: Attributes) -> None:
        """What the target says of it right after it was opened."""
        if self.down is not None:
            self.down.size = attributes.size
            self.down.mode = self.down.mode or attributes.permissions
        if self.up is not None:
            self.up.mode = self.up.mode or attributes.permissions
            if not self.fresh and attributes.size:
                self.up.size = attributes.size
                self.mixed = self.mixed or self.appends

    def beyond(self, end: int) -> bool:
        """Whether that many bytes of it are more than may go through."""
        largest = self.watch.largest
        return largest is not None and end > largest

    # --- downloads --------------------------------------------------------------------------------

    def came(self, data: Buffer, at: int) -> None:
        """Some of it, on its way to the person."""
        if self.down is not None:
            self.down.add(data, at)

    def read_ended(self, at: int, code: int) -> None:
        """A read gave nothing."""
        if code == Code.EOF:
            self._end = at if self._end is None else min(self._end, at)
        else:
            self.failed = self.failed or words(code)

    # --- uploads ----------------------------------------------------------------------------------

    def goes(self, data: Buffer, at: int) -> None:
        """Some of it, on its way to the target."""
        if self.up is not None:
            self.up.add(data, None if self.appends else at)

    def answered(self, count: int, code: int) -> None:
        """So many bytes are there now, or are not."""
        if code == Code.OK:
            self._confirmed += count
        else:
            self.failed = self.failed or words(code)

    def mix(self) -> None:
        """Something beside what was counted goes into it."""
        self.mixed = True

    def cut(self, size: int | None) -> None:
        """It is made that long, where that is what is changed."""
        if size is None:
            return
        if self.up is not None and size < self.up.through:
            self.mixed = True
        elif self.up is not None:
            self.up.size = max(size, self.up.size or 0)

    # --- the end ----------------------------------------------------------------------------------

    def end(self, *, closed: bool) -> list[File]:
        """What became of it: the person has closed it, or all is over."""
        found = []
        if self.down is not None and (self.up is None or self.down.through):
            found.append(self.down.end(self._outcome(self._came_whole())))
        if self.up is not None and (self.down is None or self.up.through):
            outcome = self._outcome(closed and not self.mixed and not self.under_way)
            if outcome != "whole":
                self.up.through = self._confirmed
            found.append(self.up.end(outcome))
        if self.down is not None and self.up is not None and not found:
            found.append(self.up.end(self._outcome(whole=False)))
        return found

    def _came_whole(self) -> bool:
        down = self.down
        assert down is not None, "only of a download"
        return self._end == down.through or (down.size is not None and down.through >= down.size)

    def _outcome(self, whole: bool) -> str:
        if self.refused:
            return "refused"
        if self.failed:
            return f"failed: {self.failed}"
        return "whole" if whole else "part"


_WORDS = {
    Code.EOF: "end of file",
    Code.NO_SUCH_FILE: "no such file",
    Code.PERMISSION_DENIED: "permission denied",
    Code.FAILURE: "failure",
    Code.BAD_MESSAGE: "bad message",
    Code.NO_CONNECTION: "no connection",
    Code.CONNECTION_LOST: "connection lost",
    Code.OP_UNSUPPORTED: "not supported",
}


def words(code: int) -> str:
    """What a STATUS says, whatever else the target writes."""
    return _WORDS.get(Code(code), "failure") if code in _WORDS else f"status {code}"
