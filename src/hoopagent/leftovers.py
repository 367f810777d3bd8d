"""What an agent that died left open, in its recordings and in the store.

Asked when an agent starts alone, and when the one it took over from has ended: where that one ended
in order there is nothing to do.  A recording that somebody writes now, this agent or another one,
is nobody's leftover.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import structlog

from hoopagent import recordings
from hoopagent.clock import Clock
from hoopagent.holds import close_left
from hoopagent.recording_keys import RecordingKeys
from hoopagent.recovery import Recovered, recover
from hoopagent.store import Store
from hoopcore.model import Session
from hoopcore.recording import End, EndCause, Totals, verify_file

log = structlog.get_logger()


async def settle(
    store: Store, folder: Path, keys: RecordingKeys, clock: Clock, *, shared: bool
) -> None:
    """Closes them.  ``shared``: other agents' sessions are in the store too.  StoreAway."""
    recovered = await asyncio.to_thread(recover, folder, keys)
    for found in recovered:
        log.warning("recording.recovered", session=found.session, closed=found.closed)
    known = {found.session: found for found in recovered}
    for session in await store.sessions(live=True, limit=100_000):
        path = await asyncio.to_thread(recordings.find, folder, session.id, session.started)
        if path is None and shared:
            continue  # a session of another agent, which shares the store
        left = known.get(session.id)
        if (
            left is None
            and path is not None
            and await asyncio.to_thread(recordings.is_written, path)
        ):
            continue
        await store.update_session(
            await asyncio.to_thread(_ended, session, path, left, keys.public, clock)
        )
    await close_left(store, await store.highest_time(clock.late()))


def _ended(
    session: Session, path: Path | None, left: Recovered | None, public_key: bytes, clock: Clock
) -> Session:
    """The session with the end that its recording says."""
    if left is not None:
        end, head = End(cause=EndCause.RECOVERED, totals=left.totals), left.head
        end.at = left.ended
    else:
        end, head = _end_in(path, session, public_key)
    return replace(
        session,
        ended=end.at or clock.wall(),
        end_cause=str(end.cause),
        head=head,
        statements=end.totals.statements,
        refused=end.totals.refused,
        masked=end.totals.masked,
    )


def _end_in(path: Path | None, session: Session, public_key: bytes) -> tuple[End, str]:
    """The end that a recording has, and its last hash: it was closed, and the store not told."""
    if path is not None:
        report = verify_file(recordings.pieces(path), public_key, session=session.id)
        if report.ok and report.end is not None:
            return report.end, report.head
    totals = Totals(session.statements, session.refused, masked=session.masked)
    return End(cause=EndCause.RECOVERED, totals=totals), session.head
