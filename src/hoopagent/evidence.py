"""What the stream saw and the judge said, as events of the recording.

Statement text is redacted on the way (``hoopcore.recording.redaction``) unless the target keeps
exact text.
"""

from __future__ import annotations

import re
from typing import TypeAlias, assert_never

from hoopagent.recording_keys import RecordingKeys
from hoopcore.detectors import Sweep
from hoopcore.policy.scope import beyond as beyond_of
from hoopcore.recording import Copied, Event, Fatal, Finished, Said, touches_of
from hoopcore.recording.redaction import NOTHING, redact, redact_parameters
from hoopcore.sql.names import Names
from hoopcore.statement import Reading, Statement
from hoopcore.stream import Ask, AskKind, Seen, Side
from hoopcore.stream import Copied as SeenCopied
from hoopcore.stream import Fatal as SeenFatal
from hoopcore.stream import Finished as SeenFinished


def said(
    ask: Ask,
    reading: Reading,
    *,
    allowed: bool,
    rule: str,
    reason: str,
    masked: frozenset[str],
    keys: RecordingKeys,
    exact: bool = False,
    encoding: str = "UTF8",
    held: bool = False,
    hold: str = "",
    approved: tuple[str, ...] = (),
    sweep: Sweep | None = None,
    names: Names | None = None,
) -> Said:
    """The event of an ask that was judged; one that was ``held`` is judged again.

    ``names`` are those it was judged with: what a name without a schema meant then.

    ``masked`` names the masked columns whose values it may hold: none where nothing it touches is
    masked, ``*`` for any column.  What ``sweep`` finds is not for
    recordings either.  ``encoding`` is PostgreSQL's name of client_encoding.
    """
    effects, touches, tag, columns, beyond = _told(reading)
    mask = NOTHING if exact else masked
    key = None if exact else keys.redaction
    text = ""
    if ask.kind is not _RUN:
        text = redact(ask.text, reading, mask, key, encoding, sweep)
    return Said(
        seq=ask.seq,
        kind=ask.kind.value,
        text=text,
        prepared=ask.prepared,
        origin=ask.origin,
        parameters=redact_parameters(ask.parameters, ask.formats, mask, key, encoding, sweep),
        effects=effects,
        touches=touches,
        columns=() if ask.kind is _RUN else columns,
        meant=() if names is None else _meant(reading, touches, names),
        beyond=beyond,
        tag=tag,
        unread=reading.why,
        verdict="allow" if allowed else "hold" if held else "refuse",
        rule=rule,
        reason="" if allowed else reason,
        hold=hold,
        approved=approved,
    )


_RUN = AskKind.RUN  # a member of an Enum is looked up by Python, each time
Told: TypeAlias = tuple[tuple[str, ...], tuple[str, ...], str, tuple[str, ...], tuple[str, ...]]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_$]{0,62}")
# Names of columns that are kept of one text.
_MOST_COLUMNS = 64
# By identity of the statements, which come again at every run; all sessions may share them.
_TOLD: dict[int, tuple[tuple[Statement, ...], Told]] = {}
_MEANT: dict[int, tuple[tuple[Statement, ...], Names, tuple[str, ...]]] = {}


def _told(reading: Reading) -> Told:
    """Effects, touches, tag, columns and ``beyond`` of all statements together."""
    statements = reading.statements
    known = _TOLD.get(id(statements))
    if known is not None and known[0] is statements:
        return known[1]
    tag = "; ".join(statement.tag for statement in statements if statement.tag)[:200]
    names = {column for statement in statements for column in statement.columns}
    # What is written as a name and is none may be a value: the text has it redacted.
    columns = sorted({name if _NAME.fullmatch(name) else "*" for name in names})
    if len(columns) > _MOST_COLUMNS:
        columns = ["*", *columns[: _MOST_COLUMNS - 1]]
    wide = sorted({effect for statement in statements for effect in beyond_of(statement)})
    effects = tuple(sorted(reading.effects))
    told = (effects, touches_of(reading), tag, tuple(columns), tuple(wide))
    if len(_TOLD) >= 4096:
        _TOLD.clear()
    _TOLD[id(statements)] = (statements, told)
    return told


def _meant(reading: Reading, touches: tuple[str, ...], names: Names) -> tuple[str, ...]:
    """Its touches with the schemas that were meant; nothing where the text names them all."""
    statements = reading.statements
    known = _MEANT.get(id(statements))
    if known is not None and known[0] is statements and known[1] is names:
        return known[2]
    found = touches_of(names.meant(reading))
    found = () if found == touches else found
    if len(_MEANT) >= 4096:
        _MEANT.clear()
    _MEANT[id(statements)] = (statements, names, found)
    return found


def event_of(seen: Seen) -> Event:
    """The event of what the stream saw in the replies."""
    match seen:
        case SeenFinished():
            return Finished(
                seq=seen.seq,
                tag=seen.tag,
                rows=seen.rows,
                bytes=seen.bytes,
                error=seen.error,
                columns=seen.columns,
                masked=seen.masked,
                by_column=seen.by_column,
            )
        case SeenCopied():
            to = "target" if seen.side is Side.CLIENT else "client"
            return Copied(seq=seen.seq, to=to, bytes=seen.bytes)
        case SeenFatal():
            return Fatal(code=seen.code)
        case _:
            assert_never(seen)
