"""Signed heads of the audit: what makes a chain that was written anew, or cut short, be found.

Once a minute, while there is something new, the agent signs where the chain ends.  The head is kept
in the store and, since whoever can write the store can remove it there, in a file of the agent's
own data folder.  At each start the two are compared, and ``hoop doctor`` tells what was found.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from hoopagent.recording_keys import RecordingKeys
from hoopagent.store import AuditQuery, Store, StoreAway
from hoopcore.audit import Head, head_of, head_view, is_signed, line, sign
from hoopcore.model import SECOND, Time

log = structlog.get_logger()

FILE = "audit-head.json"
_EVERY = 60 * SECOND
_LOOK = 5.0  # seconds


@dataclass(slots=True)
class Heads:
    """Those that this agent signs."""

    store: Store
    folder: Path  # the data folder
    keys: RecordingKeys
    clock: Callable[[], Time]
    _last: Head | None = None  # what this agent remembers, whatever becomes of the file

    async def run(self) -> None:
        """Until it is cancelled; what was written last is signed then too."""
        try:
            while True:
                last = self.last()
                if last is None or not 0 <= self.clock() - last.at < _EVERY:
                    await self._try()
                await asyncio.sleep(_LOOK)
        finally:
            await asyncio.shield(self._try())

    async def _try(self) -> None:
        try:
            await self.write()
        except (StoreAway, OSError) as problem:
            log.warning("audit.head_not_written", problem=type(problem).__name__)

    async def write(self) -> None:
        """Signs where the chain ends, unless the end was signed already, or does not fit."""
        seq, hash = await self.store.audit_tail()
        last = self.last()
        if not seq or (last is not None and last.seq >= seq):
            return
        if await self.fault() is not None:
            log.error("audit.changed")  # what was found stays to be found
            return
        head = sign(seq, hash, self.clock(), self.keys.id, self.keys.signing.sign)
        await self.store.add_audit_head(head)
        self._last = head
        await asyncio.to_thread(_replace, self.folder / FILE, line(head_view(head)))

    def last(self) -> Head | None:
        """The newest one that is kept outside of the store; None where there is none of ours."""
        try:
            text = (self.folder / FILE).read_text(encoding="utf-8")
            head = head_of(json.loads(text))
        except (OSError, ValueError):
            return self._last
        if not is_signed(head, self.keys.public):
            return self._last
        return head if self._last is None or head.seq > self._last.seq else self._last

    async def fault(self) -> str | None:
        """Why the chain in the store cannot be the one whose end was signed; None: it fits."""
        last = self.last()
        if last is None:
            return None
        rows = await self.store.audit_rows(AuditQuery(after=last.seq - 1, to=last.seq), 1)
        if not rows:
            return f"row {last.seq} was signed and is not there any more"
        if rows[0].hash != last.hash:
            return f"row {last.seq} is another one than was signed"
        return None


def _replace(path: Path, text: str) -> None:
    """The file as a whole, or as it was; on the disk."""
    beside = path.with_suffix(".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(beside, flags, 0o600), "w", encoding="utf-8") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
