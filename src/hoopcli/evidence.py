"""Where a recording comes from: the agent, or a file at hand; and the key that verifies it."""

from __future__ import annotations

import base64
import binascii
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NoReturn, cast

from hoopcli.errors import Failure, say, usage
from hoopcli.options import id_of
from hoopcli.view import clean
from hoopcore.recording import Known, Report, events, verify_file
from hoopcore.recording.frames import Unpacker

if TYPE_CHECKING:
    from hoopcli.client import Client

_HOW = "The agent's key:  hoop status -o json, under keys.recording_public"
# A file is unpacked in pieces, since its lines are ten times its size.
_PIECE = 256 << 10
_FETCHED = 8 << 20


@dataclass(frozen=True, slots=True)
class Evidence:
    """A recording, and what the agent knows of its session (None for a file).

    It is read piece by piece each time, since it may be larger than memory.
    """

    file: BinaryIO
    key: bytes | None
    session: dict[str, Any] | None = None

    def events(self) -> Iterator[Known]:
        return events(self._lines())

    def report(self) -> Report:
        told = self.session or {}
        head = told.get("head") or "" if told.get("ended") else ""
        return verify_file(self._pieces(), self.key, session=told.get("id", ""), head=head)

    @property
    def runs(self) -> bool:
        """Whether the agent says that the session has not ended."""
        return self.session is not None and not self.session.get("ended")

    def _lines(self) -> Iterator[bytes]:
        unpacker = Unpacker()
        for piece in self._pieces():
            yield from unpacker.feed(piece)

    def _pieces(self) -> Iterator[bytes]:
        """Of its own place in the file: two may read at once."""
        at, handle = 0, self.file.fileno()
        while piece := os.pread(handle, _PIECE, at):
            at += len(piece)
            yield piece


def state_of(found: Evidence, report: Report) -> str:
    """What verifying found, in words."""
    if report.ok:
        return "complete and unchanged"
    return "running, and so far unchanged" if found.runs and not report.bad else str(report.state)


def warn(found: Evidence, report: Report, session: str) -> None:
    """Of a recording that does not verify it is said that it is no evidence."""
    tell(report, session, runs=found.runs, has_key=found.key is not None)


def tell(report: Report, session: str, *, runs: bool, has_key: bool) -> None:
    """The same of what verifying found."""
    if runs and report.state == "unfinished":
        say("The session runs: this is what it has recorded so far.")
    elif not report.ok:
        where = f"line {report.bad}: " if report.bad else ""
        say(f"This recording does not verify ({where}{clean(report.why)}).")
        say(f"See:  hoop verify {clean(session)}")
    elif not has_key:
        say("Its signatures were not verified; --key FILE gives the agent's key.")


def is_file(text: str) -> bool:
    """Whether a file is meant, and not the id of a session."""
    return "/" in text or "." in text


def is_archive(text: str) -> bool:
    """Whether it is the file of an archive (``hoop evidence``); Failure where it cannot be read."""
    from hoopcli import archives

    if not is_file(text):
        return False
    try:
        with Path(text).open("rb") as file:
            return archives.is_archive(file.read(4))
    except OSError as problem:
        raise Failure(f"cannot read {clean(text)}: {problem.strerror}") from problem


def gather(text: str, key_file: Path | None = None) -> Evidence:
    """The recording of a session, by its id or in a file."""
    key = None if key_file is None else read_key(key_file)
    if is_file(text):
        return Evidence(_opened(Path(text)), key)
    from hoopcli.client import connected, path

    id_of("session", text, "hoop sessions")
    with connected() as client:
        session = client.get(path("sessions", text))
        file = _fetched(client, path("sessions", text, "recording"))
        if key is None:
            public = client.get("/v1/status")["keys"]["recording_public"]
            key = base64.b64decode(public)
    return Evidence(file, key, session)


def _fetched(client: Client, place: str) -> BinaryIO:
    """What the agent has of it, in a file without a name."""
    file = cast(BinaryIO, tempfile.TemporaryFile())  # noqa: SIM115 - it is gone with whoever reads it
    at = 0
    # An agent that knows no pieces gives all of it at once.
    while data := client.raw(place, begin=at, most=_FETCHED):
        file.write(data)
        at += len(data)
        if len(data) != _FETCHED:
            break
    file.flush()
    return file


def _opened(path: Path) -> BinaryIO:
    """Failure where it cannot be read."""
    try:
        file = path.open("rb")
        os.pread(file.fileno(), 1, 0)  # a folder opens, too
    except OSError as problem:
        raise Failure(f"cannot read {clean(path)}: {problem.strerror}") from problem
    return file


def read_file(path: Path) -> bytes:
    """All of it; Failure where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise Failure(f"cannot read {clean(path)}: {problem.strerror}") from problem


def read_key(path: Path) -> bytes:
    """A public Ed25519 key: 32 bytes in base64 or hex, or PEM."""
    text = read_file(path).strip()
    if text.startswith(b"-----BEGIN"):
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
        from cryptography.hazmat.primitives.serialization import load_pem_public_key

        try:
            found = load_pem_public_key(text)
        except ValueError:
            found = None
        return found.public_bytes_raw() if isinstance(found, Ed25519PublicKey) else _no_key(path)
    for decode in (bytes.fromhex, _base64):
        try:
            raw = decode(text.decode("ascii"))
        except ValueError:
            continue
        if len(raw) == 32:
            return raw
    return _no_key(path)


def _no_key(path: Path) -> NoReturn:
    usage(f"{clean(path)} holds no public Ed25519 key (base64, hex or PEM)", _HOW)


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as problem:
        raise ValueError(str(problem)) from problem


def needs_key() -> NoReturn:
    """A file alone proves nothing: its chain is one anybody can compute."""
    usage("to verify a file the agent's public key is needed", f"Give it:  --key FILE\n{_HOW}")
