"""What each transaction begins with behind a pooler: settings that the agent imposes.

No startup packet is a session's own there, so the settings are set in each transaction, with SET
LOCAL, by whatever begins it.  A Query that stands outside a transaction gets them in front of its
text: several statements of one Query are one transaction, and a BEGIN among them goes on with it.
In the extended protocol they are statements of our own before the first Parse of a batch, whose
implicit transaction ends with its Sync.  The client sees none of the replies.

Where it is not certain that a transaction is running that has them, they are set once more: that is
harmless.  If they cannot be set, nothing behind them in that message or batch runs.

Order of the file: what is set, where it goes, the replies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.lane import Lane, Sent
from hoopcore.statement import Reading

# The unnamed portal of the unnamed statement: no parameters, no formats; and all of its rows.
_BIND = wire.frame(wire.BIND, b"\0\0" + bytes(6))
_EXECUTE = wire.frame(wire.EXECUTE, b"\0" + bytes(4))


@dataclass(slots=True, eq=False)
class Beginning:
    """Of one connection.  ``statements`` is empty where nothing is imposed."""

    lane: Lane
    statements: tuple[bytes, ...] = ()
    _batch: int = -1  # the last in which they were set

    def _is_inside(self) -> bool:
        """Whether a transaction is running for certain, so that it began with them."""
        return self.lane.status != b"I" and not self.lane.fence.up

    def before_query(self, sent: Sent, data: memoryview, reading: Reading) -> bytes | memoryview:
        """The Query as it goes to the target, with what it must begin with."""
        if not reading.statements or self._is_inside():
            return data
        prefix = b"; ".join(self.statements) + b"; "
        sent.hidden = len(self.statements)
        sent.shift = len(prefix)
        return wire.query(prefix + bytes(data[5:-1]))

    def before_parse(self, send: Callable[[Sent, bytes], object]) -> bool:
        """Sends what has to go before a Parse; whether it was anything.

        The unnamed statement and portal are ours then: those of an earlier batch are nobody's
        behind a pooler, and those of this batch have been run.
        """
        set_already = self._batch == self.lane.batch and not self.lane.fence.up
        if set_already or self._is_inside():
            return False
        self._batch = self.lane.batch
        for text in self.statements:
            send(Sent(wire.PARSE, own=True), wire.parse(b"", text))
            send(Sent(wire.BIND, own=True), _BIND)
            send(Sent(wire.EXECUTE, own=True), _EXECUTE)
        return True


def without_shift(kind: int, fields: Mapping[str, bytes], shift: int) -> bytes | None:
    """The same error, its position counted in the client's own text; None: it has no position."""
    position = fields.get("P", b"")
    if not position.isdigit() or int(position) <= shift:
        return None
    told = {**fields, "P": b"%d" % (int(position) - shift)}
    body = b"".join(letter.encode("latin-1") + wire.cstring(text) for letter, text in told.items())
    return wire.frame(kind, body + b"\0")
