"""What is said in place of something else: refusals, and texts that may hold masked values.

A refused statement is not dropped.  A text that cannot parse goes to the target in its place, and
the target's own error is swapped for ours on the way back (decision 0004): so the order of replies,
what is skipped, and the state of the transaction stay the target's business.

Nothing that refers to the refused statement needs a substitute.  The error makes the target skip
the rest of the batch, and after its Sync the name stands for what it stood for before.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from hoopcore.protocols.postgres import wire
from hoopcore.stream import Refusal

RESERVED = b"hoop_refused"
"""The name under which a refused Bind is parsed; a client that uses it is refused."""

SYNTAX_ERROR = "42601"
NOT_ALLOWED = "42501"  # insufficient_privilege
_WITHHELD = "text withheld: this statement touches masked columns"
CUT_SHORT = "text withheld: a value in it that may be sensitive was cut short"

_UNSAFE = re.compile(r"[^A-Za-z0-9_-]+|--+")
_LONGEST_WORD = 60


def _word(text: str) -> str:
    """The text as one word in which nothing means anything to SQL."""
    return "_".join(_UNSAFE.split(text))[:_LONGEST_WORD] or "_"


def substitute(refusal: Refusal, session: str) -> bytes:
    """The text that the target gets in place of a refused one, and that its log shows.

    No SQL statement begins with the word "hoop", and there is no semicolon in it.
    """
    return f"hoop refused {_word(refusal.rule)} session {_word(refusal.session or session)}".encode(
        "ascii"
    )


def refused(refusal: Refusal, encoding: str) -> bytes:
    """The error that the client gets in place of the target's."""
    message = f'refused by rule "{refusal.rule}": {refusal.reason}'
    if refusal.code:
        message = refusal.reason
    code = refusal.code or NOT_ALLOWED
    return wire.error_response("ERROR", code, message, refusal.hint, encoding=encoding)


def withheld(kind: int, fields: Mapping[str, bytes], why: str = _WITHHELD) -> bytes:
    """An error or notice whose text may hold masked values: severity and SQLSTATE."""
    severity = fields.get("V", b"ERROR" if kind == wire.ERROR else b"NOTICE")
    kept = {b"S": severity, b"V": severity, b"C": wire.sqlstate(fields).encode("ascii")}
    kept[b"M"] = why.encode("ascii")
    body = b"".join(letter + wire.cstring(text) for letter, text in kept.items())
    return wire.frame(kind, body + b"\0")


def rewritten(kind: int, fields: Mapping[str, bytes]) -> bytes:
    """An error or notice of these fields."""
    body = b"".join(
        letter.encode("latin-1") + wire.cstring(text) for letter, text in fields.items()
    )
    return wire.frame(kind, body + b"\0")


def payload(body: bytes) -> bytes:
    """What the NotificationResponse with this body carries."""
    reader = wire.Body(body)
    reader.take(4)
    reader.cstring()
    found = reader.cstring()
    reader.end()
    return found


def with_payload(body: bytes, text: bytes = b"") -> bytes:
    """The NotificationResponse with this body, its payload another."""
    reader = wire.Body(body)
    process, channel = reader.take(4), reader.cstring()
    reader.cstring()
    reader.end()
    return wire.frame(wire.NOTIFICATION, process + wire.cstring(channel) + wire.cstring(text))
