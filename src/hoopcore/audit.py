"""The audit as a chain: what somebody did, numbered, each row with the hash of all before it.

    hash = SHA-256(the row as canonical JSON, the hash before it included)

Canonical is what ``jq -cS 'del(.hash)'`` prints: keys in order, no blanks, UTF-8.  So a row can be
checked by hand, and an export is its own evidence.  Whoever can write the store can compute such a
chain anew; that is what heads are for: a number and a hash, signed by an agent, kept elsewhere too.

Order of the file: rows, heads, verifying.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hoopcore.model import AuditEvent, Time, rfc3339

GENESIS = "0" * 64
"""The hash before the first row."""

_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
_MICROSECOND = timedelta(microseconds=1)


# --- rows -----------------------------------------------------------------------------------------


class Row(NamedTuple):
    """An event in its place."""

    seq: int  # counts up; the first ones of a store that is older than the chain may have gaps
    event: AuditEvent
    previous: str  # hash of the row before, hex
    hash: str


def seal(seq: int, event: AuditEvent, previous: str) -> Row:
    """The row that this event becomes behind the one with that hash."""
    return Row(seq, event, previous, _hash(seq, event, previous))


def _hash(seq: int, event: AuditEvent, previous: str) -> str:
    return hashlib.sha256(_canonical(_body(seq, event, previous))).hexdigest()


def _body(seq: int, event: AuditEvent, previous: str) -> dict[str, Any]:
    return {
        "action": event.action,
        "actor": event.actor,
        "at": rfc3339(event.at),
        "detail": event.detail,
        "previous": previous,
        "seq": seq,
        "subject": event.subject,
    }


def _canonical(value: Mapping[str, Any]) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode("utf-8", "replace")


def view(row: Row) -> dict[str, Any]:
    """The row as exports and the API give it."""
    return _body(row.seq, row.event, row.previous) | {"hash": row.hash}


def line(value: Mapping[str, Any]) -> str:
    """One line of an export: a row's view, or a head's."""
    return _canonical(value).decode()


def row_of(value: object) -> Row:
    """A row from its view.  ValueError where it is none, or says more than a row does."""
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    names = {"action", "actor", "at", "detail", "hash", "previous", "seq", "subject"}
    if value.keys() != names:
        raise ValueError("it has other members than a row of the audit")
    seq, detail = value["seq"], value["detail"]
    texts = [value[name] for name in names - {"seq", "detail"}]
    if not isinstance(detail, dict) or type(seq) is not int:
        raise ValueError("a member is of another kind than in a row of the audit")
    texts += [*detail, *detail.values()]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("a member is of another kind than in a row of the audit")
    event = AuditEvent(
        _time(value["at"]), value["actor"], value["action"], value["subject"], detail
    )
    return Row(seq, event, value["previous"], value["hash"])


def _time(text: str) -> Time:
    """Microseconds; ValueError where the text is not the one spelling of a time that is ours."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time without its zone")
    time = (moment - _EPOCH) // _MICROSECOND
    if rfc3339(time) != text:
        raise ValueError("a time that is spelled another way")
    return time


# --- heads ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Head:
    """What an agent signed: at that time the row with this number had this hash."""

    seq: int
    hash: str
    at: Time
    key: str  # id of the agent's recording key
    signature: str  # hex

    def signed_bytes(self) -> bytes:
        """What the signature is over."""
        return f"hoop audit head 1\n{self.seq}\n{self.hash}\n{self.at}".encode()


def sign(seq: int, hash: str, at: Time, key: str, signer: Callable[[bytes], bytes]) -> Head:
    """The head of a chain that ends there."""
    unsigned = Head(seq, hash, at, key, "")
    return Head(seq, hash, at, key, signer(unsigned.signed_bytes()).hex())


def is_signed(head: Head, public_key: bytes) -> bool:
    """Whether that key (raw, 32 bytes) has signed this head."""
    try:
        signature = bytes.fromhex(head.signature)
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, head.signed_bytes())
    except (ValueError, InvalidSignature):
        return False
    return True


def head_view(head: Head) -> dict[str, Any]:
    """The head as exports and the API give it; ``head`` tells it from a row."""
    return {
        "at": head.at,
        "hash": head.hash,
        "head": head.seq,
        "key": head.key,
        "signature": head.signature,
    }


def head_of(value: object) -> Head:
    """A head from its view; ValueError where it is none."""
    if not isinstance(value, dict) or value.keys() != {"at", "hash", "head", "key", "signature"}:
        raise ValueError("it has other members than a head of the audit")
    seq, at, texts = value["head"], value["at"], [value[n] for n in ("hash", "key", "signature")]
    if type(seq) is not int or type(at) is not int or not all(isinstance(t, str) for t in texts):
        raise ValueError("a member is of another kind than in a head of the audit")
    return Head(seq, texts[0], at, texts[1], texts[2])


# --- verifying ------------------------------------------------------------------------------------


class Fault(NamedTuple):
    """The first thing that does not fit, and at which row (0: at none of them)."""

    seq: int
    why: str


class Chain:
    """Takes the rows in order and keeps the first fault; what comes after one is only counted.

    ``heads`` are compared as their rows pass; ``end`` looks for those that never came.  Which heads
    are to be believed is the caller's business: see ``is_signed``.
    """

    def __init__(self, heads: list[Head] | None = None) -> None:
        self.rows = 0
        self.seq = 0
        self.hash = GENESIS
        self.fault: Fault | None = None
        self.signed = 0  # the last row that a head vouches for
        self._heads: dict[int, list[Head]] = {}
        for head in heads or ():
            self._heads.setdefault(head.seq, []).append(head)

    def take(self, row: Row) -> None:
        self.rows += 1
        if self.fault is None:
            self.fault = self._fault_of(row)
        if self.fault is None:
            self.seq, self.hash = row.seq, row.hash
            if row.seq in self._heads:
                self.signed = row.seq

    def broken(self, seq: int, why: str) -> None:
        """There is something that is no row at all."""
        if self.fault is None:
            self.fault = Fault(seq, why)

    def end(self, tail: tuple[int, str] | None = None) -> Fault | None:
        """The fault, if any, once all rows were taken.

        ``tail`` is where whoever writes the chain believes it to end; a head or a tail beyond the
        last row means that the end was cut off.
        """
        if self.fault is not None:
            return self.fault
        latest = max(self._heads, default=0)
        if latest > self.seq:
            why = f"row {latest} was signed, and the last one here is {self.seq}: the end was cut"
            self.fault = Fault(self.seq + 1, why)
        elif tail is not None and tail[0] > self.seq:
            why = f"row {tail[0]} was written, and the last one here is {self.seq}: the end was cut"
            self.fault = Fault(self.seq + 1, why)
        elif tail is not None and tail != (self.seq, self.hash):
            self.fault = Fault(self.seq, "the last row is another one than was written last")
        return self.fault

    def _fault_of(self, row: Row) -> Fault | None:
        if row.seq <= self.seq:
            return Fault(row.seq, f"row {row.seq} comes behind row {self.seq}")
        if row.previous != self.hash:
            before = f"row {self.seq}" if self.seq else "the beginning"
            why = f"it does not follow {before}: a row between them was removed or put in"
            return Fault(row.seq, why)
        if row.hash != _hash(row.seq, row.event, row.previous):
            return Fault(row.seq, "it was changed after it was written")
        for head in self._heads.get(row.seq, ()):
            if head.hash != row.hash:
                why = "another row was signed under this number: the chain was written anew"
                return Fault(row.seq, why)
        return None
