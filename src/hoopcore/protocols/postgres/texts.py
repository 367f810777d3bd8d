"""The texts of errors and notices: where they may hold masked values, they are withheld.

PostgreSQL writes values into them: the duplicate key, the row that fails a check, the text that is
no number.  Nothing in them says which words are values, so all of the text goes.

``replies.py`` asks here; order of the file: whether, and what the client gets instead.
"""

from __future__ import annotations

from hoopcore.protocols.postgres import refuse, wire
from hoopcore.protocols.postgres.beginning import without_shift
from hoopcore.protocols.postgres.lane import Lane, Sent
from hoopcore.statement import Relation


class Texts:
    """Those of one connection."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.sticky = False  # what a covered statement did may still fail at COMMIT

    def withheld(self, sent: Sent | None) -> bool:
        """Whether texts that come now may hold masked values."""
        if not self.lane.masked:
            return False
        if sent is not None and sent.lingers:
            self.sticky = True
        return self.sticky or (sent is not None and sent.covered)

    def instead(self, sent: Sent, fields: dict[str, bytes], code: str) -> bytes | None:
        """What the client gets in place of this error, if anything."""
        if sent.refusal is not None and code == refuse.SYNTAX_ERROR:
            encoding = self.lane.settings.get("client_encoding", "")
            return refuse.refused(sent.refusal, encoding)
        if self.withheld(sent) or self._is_about_masked(fields):
            return refuse.withheld(wire.ERROR, fields)
        return without_shift(wire.ERROR, fields, sent.shift) if sent.shift else None

    def _is_about_masked(self, fields: dict[str, bytes]) -> bool:
        """Whether a constraint of another table than the text names failed, of a masked one.

        A DELETE that cascades tells the values of the rows that stand in its way.
        """
        if not self.lane.masked or "t" not in fields:
            return False
        schema, name = (fields.get(letter, b"").decode("utf-8", "replace") for letter in "st")
        return self.lane.bound.is_near(Relation(schema, name))
