"""What becomes of the columns of a result, found out once for each description.

The same statements give the same RowDescription again and again; reading it and asking the masks
for a plan would be a fifth of the work for one row.
"""

from __future__ import annotations

from typing import TypeAlias

from hoopcore.masking import Bound, Column, Plan
from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.lane import Lane

# How many are remembered of one connection, and how long one may be.
_MOST = 64
_LARGEST = 4096

Described: TypeAlias = tuple[tuple[str, ...], Plan | None]
"""The names of the columns, and the plan; None: rows pass unread."""


class Descriptions:
    """Those of one connection."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._known: dict[tuple[bytes, bool, str], Described] = {}
        self._for: Bound | None = None  # the masks they were asked of

    def of(self, body: bytes, covered: bool) -> Described:
        """Of the body of a RowDescription, for a statement that is covered or not."""
        bound = self._lane.bound
        if self._for is not bound or len(self._known) > _MOST:
            self._known.clear()
            self._for = bound
        encoding = self._lane.settings.get("client_encoding", "")
        key = (body, covered, encoding)
        known = self._known.get(key)
        if known is None:
            fields = wire.row_description(body)
            columns = [Column(f.name, f.table, f.attnum, f.type, f.format) for f in fields]
            plan = bound.plan(columns, covered, encoding) if bound.active else None
            known = (tuple(field.name for field in fields), plan)
            if len(body) <= _LARGEST:
                self._known[key] = known
        return known
