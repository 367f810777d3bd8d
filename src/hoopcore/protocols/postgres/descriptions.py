"""What becomes of the columns of a result, found out once for each description.

The same statements give the same RowDescription again and again; reading it and asking the masks
for a plan would be a fifth of the work for one row.
"""

from __future__ import annotations

from typing import TypeAlias

from hoopcore.masking import Bound, Column, Plan
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.lane import Lane
from hoopcore.statement import Statement

# How many are remembered of one connection, and how long one may be.
_MOST = 64
_LARGEST = 4096

Described: TypeAlias = tuple[tuple[str, ...], Plan | None]
"""The names of the columns, and the plan; None: rows pass unread."""


class Descriptions:
    """Those of one connection."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        # By the statement's identity: it is kept beside, so that it stays this one's.
        self._known: dict[tuple[bytes, bool, str, int], tuple[Statement | None, Described]] = {}
        self._for: Bound | None = None  # the masks they were asked of

    def of(self, body: bytes, covered: bool, statement: Statement | None = None) -> Described:
        """Of the body of a RowDescription, for a statement that is covered or not.

        ``statement`` is the one whose result it describes, where its lineage may be asked for.
        """
        bound = self._lane.bound
        if self._for is not bound or len(self._known) > _MOST:
            self._known.clear()
            self._for = bound
        encoding = self._lane.settings.get("client_encoding", "")
        key = (body, covered, encoding, 0 if statement is None else id(statement))
        known = self._known.get(key)
        if known is not None:
            return known[1]
        fields = wire.row_description(body)
        columns = [Column(f.name, f.table, f.attnum, f.type, f.format) for f in fields]
        plan = bound.plan(columns, covered, encoding, statement) if bound.active else None
        described = (tuple(field.name for field in fields), plan)
        if len(body) <= _LARGEST:
            self._known[key] = (statement, described)
        return described
