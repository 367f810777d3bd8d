"""Whether a recording is what its agent wrote.

``Verifier`` takes the lines, in order, ``FileVerifier`` the bytes of a file; ``verify`` is all of
it for lines in hand, ``verify_file`` for a file.  It stops at the first line that does not fit, and
says why.

Three answers, and only the first is good: **complete** (closed, and signed up to its last byte),
**unfinished** (what is there fits, but its end is missing: it is still being written, its agent
died, or its tail was cut), **broken** (something was changed, added, removed or moved).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hoopcore.recording.chain import (
    GENESIS,
    hash_of,
    key_id,
    open_head,
    open_line,
    signed_bytes,
)
from hoopcore.recording.events import FORMAT, End, Head, Header, event_of_line
from hoopcore.recording.frames import STOPS_INSIDE, Unpacker, read_seal


class State(StrEnum):
    COMPLETE = "complete"
    UNFINISHED = "unfinished"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Report:
    """What verifying found."""

    state: State
    why: str  # empty where the state is complete
    bad: int  # the first line that does not fit; 0 where every line does
    lines: int  # lines that fit
    signed: int  # lines that a valid signature covers; 0 where no key was given
    head: str  # hash of the last line that fits
    header: Header | None
    end: End | None

    @property
    def ok(self) -> bool:
        return self.state is State.COMPLETE


class Verifier:
    """Takes lines in order; ``report`` may be asked at any time, for what has come so far."""

    def __init__(self, public_key: bytes | None, *, session: str = "", head: str = "") -> None:
        """Without a key only the chain is verified, which anybody can compute anew.

        ``session`` and ``head`` are what the store says; where they are given, they must agree.
        """
        self.lines = 0
        self.signed = 0
        self.hash = GENESIS
        self.header: Header | None = None
        self.end: End | None = None
        self.why = ""
        self._key = Ed25519PublicKey.from_public_bytes(public_key) if public_key else None
        self._key_id = key_id(public_key) if public_key else ""
        self._session = session
        self._head = head
        self.closed = False  # the head behind the end has come

    def line(self, line: bytes) -> bool:
        """Whether this line fits behind those before it; nothing fits after one that did not."""
        if self.why:
            return False
        self.why = self._misfit(line)
        if self.why:
            return False
        self.lines += 1
        return True

    def _misfit(self, line: bytes) -> str:
        sealed = open_line(line)
        if sealed is None:
            return "it is not a line that hoop wrote"
        try:
            event = event_of_line(line)
        except ValueError:
            return "it is not an event"
        if event.n != self.lines + 1:
            return f"it is numbered {event.n}: lines are missing, doubled or out of order"
        if sealed.hash != hash_of(self.hash, sealed.body):
            return "its hash does not fit its text and the line before it"
        if self.closed:
            return "it stands behind the end"
        problem = ""
        if event.n == 1 or isinstance(event, Header):
            problem = self._open(event if isinstance(event, Header) else None, event.n)
        elif event.n == 2 or self.end is not None or isinstance(event, Head):
            problem = self._sign(event if isinstance(event, Head) else None, sealed.body)
        elif isinstance(event, End):
            self.end = event
        if not problem:
            self.hash = sealed.hash
        return problem

    def _open(self, header: Header | None, n: int) -> str:
        if header is None or n != 1:
            return "a header must stand in line 1, and only there"
        if header.format > FORMAT:
            return f"its format is {header.format}; this version reads up to {FORMAT}"
        if self._session and header.session != self._session:
            return f"it is the recording of session {header.session}"
        if self._key_id and header.key != self._key_id:
            return f"it names the signing key {header.key}; the key given is {self._key_id}"
        self.header = header
        return ""

    def _sign(self, head: Head | None, body: bytes) -> str:
        if head is None:
            return "a signed head must stand here"
        found = open_head(body)
        assert self.header is not None
        if found is None:
            return "it has no signature"
        if self._key is not None:
            text, signature = found
            if not self.signed_by_key(
                signature, signed_bytes(self.header.session, self.hash, text)
            ):
                return (
                    f"its signature is not this key's for what stands before it: "
                    f"something behind line {self.signed} was written anew"
                )
            self.signed = head.n
        self.closed = self.end is not None
        return ""

    def signed_by_key(self, signature: bytes, text: bytes) -> bool:
        """Whether it is the key's signature of the text; True where there is no key to ask."""
        try:
            if self._key is not None:
                self._key.verify(signature, text)
        except InvalidSignature:
            return False
        return True

    def expect(self, head: str) -> None:
        """The store says that this is the hash of the last line."""
        self._head = head

    def report(self) -> Report:
        if self.why:
            return self._report(State.BROKEN, self.why, self.lines + 1)
        if not self.closed:
            return self._report(State.UNFINISHED, "it has no end")
        if self._head and self._head.encode() != self.hash:
            return self._report(State.BROKEN, "its last hash is not the one the agent keeps")
        return self._report(State.COMPLETE, "")

    def _report(self, state: State, why: str, bad: int = 0) -> Report:
        head = self.hash.decode()
        return Report(state, why, bad, self.lines, self.signed, head, self.header, self.end)


def verify(
    lines: Iterable[bytes], public_key: bytes | None, *, session: str = "", head: str = ""
) -> Report:
    """What stands in these lines, and whether their agent wrote them; stops at the first misfit."""
    verifier = Verifier(public_key, session=session, head=head)
    for line in lines:
        if not verifier.line(line):
            break
    return verifier.report()


class FileVerifier:
    """Takes the bytes of a file, in pieces of any size; memory does not grow with them."""

    def __init__(self, public_key: bytes | None, *, session: str = "", head: str = "") -> None:
        self._verifier = Verifier(public_key, session=session, head=head)
        self._unpacker = Unpacker()

    @property
    def lines(self) -> int:
        """How many fit so far."""
        return self._verifier.lines

    def feed(self, data: bytes) -> bool:
        """Whether what has come so far fits."""
        fits = all(self._verifier.line(line) for line in self._unpacker.feed(data))
        return fits and not self._verifier.why and not self._unpacker.trouble

    def so_far(self) -> Report:
        """For what has come, where more may come: what is not whole yet is no fault."""
        found = self._verifier.report()
        return replace(found, state=State.UNFINISHED, why="it goes on") if found.ok else found

    def report(self, head: str = "") -> Report:
        """For all of it: no more will come.  ``head`` is what the store says, where it does."""
        if head:
            self._verifier.expect(head)
        if not self._verifier.why:
            self._unpacker.finish()
            return _with_file(self._verifier, self._unpacker)
        return self._verifier.report()


def verify_file(
    data: Iterable[bytes], public_key: bytes | None, *, session: str = "", head: str = ""
) -> Report:
    """The same for the bytes of a file, in pieces; stops at the first misfit."""
    verifier = FileVerifier(public_key, session=session, head=head)
    for piece in data:
        if not verifier.feed(piece):
            break
    return verifier.report()


def _with_file(verifier: Verifier, unpacker: Unpacker) -> Report:
    """The report on lines that fit, together with what holds them."""
    found = verifier.report()
    if unpacker.trouble:
        cut = unpacker.trouble == STOPS_INSIDE
        state = State.UNFINISHED if cut else State.BROKEN
        return replace(found, state=state, why=unpacker.trouble, bad=0 if cut else found.lines + 1)
    if unpacker.seal is None:
        missing = "it has its end, but the seal of the file is missing"
        return replace(found, state=State.UNFINISHED, why=missing) if found.ok else found
    if found.state is State.UNFINISHED:
        why = "the file is sealed, but has no end"
        return replace(found, state=State.BROKEN, why=why, bad=found.lines + 1)
    if found.ok and (problem := _seal_misfit(verifier, unpacker)):
        return replace(found, state=State.BROKEN, why=problem)
    return found


def _seal_misfit(verifier: Verifier, unpacker: Unpacker) -> str:
    assert unpacker.seal is not None
    assert verifier.header is not None
    try:
        seal, text, signature = read_seal(unpacker.seal)
    except ValueError as problem:
        return str(problem)
    if not verifier.signed_by_key(signature, text):
        return "the seal's signature is not this key's"
    said = (seal.session, seal.lines, seal.head, seal.file)
    found = (verifier.header.session, verifier.lines, verifier.hash.decode())
    if said != (*found, unpacker.digest.hexdigest()):
        return "the seal is not that of this file"
    return ""
