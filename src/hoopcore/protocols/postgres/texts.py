"""The texts of errors and notices: where they may hold masked values, they are withheld.

PostgreSQL writes values into them: the duplicate key, the row that fails a check, the text that is
no number.  Nothing in them says which words are values, so all of the text goes.  Texts of other
statements are looked into by detectors: what they find is overwritten, and where the server has cut
a value short all of it goes, since half of a number is not found and still half of it.

``replies.py`` asks here; order of the file: whether, what the client gets instead, detectors.
"""

from __future__ import annotations

import re

from hoopcore.protocols.postgres import refuse, wire
from hoopcore.protocols.postgres.beginning import without_shift
from hoopcore.protocols.postgres.hits import star
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
        if self.lane.bound.sweep is not None and _cut_short(fields):
            return refuse.withheld(wire.ERROR, fields, refuse.CUT_SHORT)
        found = self.overwritten(fields, sent)
        fields = fields if found is None else found
        shifted = without_shift(wire.ERROR, fields, sent.shift) if sent.shift else None
        if shifted is not None or found is None:
            return shifted
        return refuse.rewritten(wire.ERROR, fields)

    def notice(self, sent: Sent | None, fields: dict[str, bytes]) -> bytes | None:
        """What the client gets in place of this notice; None: the notice, empty: nothing.

        One that would be withheld is left out: it says by its place at which row it was raised.
        """
        return b"" if self.withheld(sent) else self._beside(wire.NOTICE, sent, fields)

    def fatal(self, sent: Sent | None, fields: dict[str, bytes]) -> bytes | None:
        """What the client gets in place of the target's last words, if anything."""
        return self._beside(wire.ERROR, sent, fields)

    def _beside(self, kind: int, sent: Sent | None, fields: dict[str, bytes]) -> bytes | None:
        if self.withheld(sent):
            return refuse.withheld(kind, fields)
        if self.lane.bound.sweep is None:
            return None
        if _cut_short(fields):
            return refuse.withheld(kind, fields, refuse.CUT_SHORT)
        found = self.overwritten(fields, sent)
        return None if found is None else refuse.rewritten(kind, found)

    def _is_about_masked(self, fields: dict[str, bytes]) -> bool:
        """Whether a constraint of another table than the text names failed, of a masked one.

        A DELETE that cascades tells the values of the rows that stand in its way.
        """
        if not self.lane.masked or "t" not in fields:
            return False
        schema, name = (fields.get(letter, b"").decode("utf-8", "replace") for letter in "st")
        return self.lane.bound.is_near(Relation(schema, name))

    # --- detectors --------------------------------------------------------------------------------

    def overwritten(self, fields: dict[str, bytes], sent: Sent | None) -> dict[str, bytes] | None:
        """The fields with what detectors find in them overwritten; None where that is nothing."""
        changed: dict[str, bytes] = {}
        for letter, text in fields.items():
            if letter not in _PLAIN:
                hidden = self.hidden(text, sent)
                if hidden is not None:
                    changed[letter] = hidden
        return {**fields, **changed} if changed else None

    def hidden(self, text: bytes, sent: Sent | None = None) -> bytes | None:
        """The text with what detectors find in it overwritten; None where that is nothing."""
        sweep = self.lane.bound.sweep
        spans = [] if sweep is None else sweep.find(text)
        if not spans:
            return None
        found = bytearray(text)
        for span in spans:
            star(found, span.start, span.stop - span.keep)
            self.lane.masked_given += 1
            if sent is not None:
                sent.masked[span.kind] = sent.masked.get(span.kind, 0) + 1
        return bytes(found)


# Severity, SQLSTATE, positions, and where in the server's source it was: no words of a value.
_PLAIN = frozenset("SVCPpFLR")
# The server cuts long values in a DETAIL at 64 characters.
_CUT = re.compile(rb"[0-9@]\.\.\.")


def _cut_short(fields: dict[str, bytes]) -> bool:
    """Whether a value that may be a number or an address was cut in one of them."""
    return any(
        letter not in _PLAIN and b"..." in text and _CUT.search(text) is not None
        for letter, text in fields.items()
    )
