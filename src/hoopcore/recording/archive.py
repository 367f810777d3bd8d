"""A session's evidence in one archive: what stands in it, and whether it is what its agent made.

The archive is a zip of plain files.  One of them, the manifest, names all others with their
SHA-256, and one more is the agent's signature of the manifest, with the key that signs recordings.
So whoever has the public key needs neither hoop's store nor its agent.

Order of the file: the manifest, making, checking.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from hoopcore.model import Time, rfc3339
from hoopcore.recording.chain import Sign, key_id

FORMAT = 1
MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
RECORDING = "recording.jsonl.zst"
SESSION = "session.json"
REPORT = "report.html"

_PREFIX = b"hoop evidence 1\n"
# Of what hoop makes: a dozen files.  A bound for readers of hostile archives.
MOST_FILES = 100
LARGEST_MANIFEST = 1 << 20


class Entry(msgspec.Struct, frozen=True):
    """One file."""

    name: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True):
    """What stands in an archive, made when, for whom, by which agent."""

    format: int
    session: str
    made: str  # RFC 3339
    made_for: str  # Principal.id
    agent: str  # its version
    key: str  # id of the signing key
    files: list[Entry]


@dataclass(frozen=True, slots=True)
class Checked:
    """What checking found; ``why`` is empty where every byte is what the agent signed."""

    why: str
    manifest: Manifest | None = None

    @property
    def ok(self) -> bool:
        return not self.why


# --- making ---------------------------------------------------------------------------------------


def entry(name: str, data: bytes) -> Entry:
    return Entry(name, len(data), hashlib.sha256(data).hexdigest())


def manifest(
    session: str, at: Time, made_for: str, agent: str, public_key: bytes, files: list[Entry]
) -> bytes:
    """The manifest's bytes."""
    told = Manifest(FORMAT, session, rfc3339(at), made_for, agent, key_id(public_key), files)
    return msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n"


def signature(data: bytes, sign: Sign) -> bytes:
    """What stands beside a manifest: its signature, in hex, on a line."""
    return sign(_PREFIX + data).hex().encode() + b"\n"


# --- checking -------------------------------------------------------------------------------------


def read_manifest(data: bytes, signed: bytes, public_key: bytes | None) -> Checked:
    """The manifest, if the key has signed it; without a key no signature is checked."""
    try:
        told = msgspec.json.decode(data, type=Manifest)
        raw = bytes.fromhex(signed.decode("ascii").strip())
    except (msgspec.MsgspecError, ValueError):
        return Checked("its manifest cannot be read")
    if told.format > FORMAT:
        return Checked(f"its format is {told.format}; this version reads up to {FORMAT}")
    if public_key is None:
        return Checked("", told)
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(raw, _PREFIX + data)
    except InvalidSignature:
        whose = f"; it names the key {told.key}" if told.key != key_id(public_key) else ""
        return Checked(f"its manifest is not signed by the key given{whose}", told)
    return Checked("", told)


def misfit(told: Manifest, found: Mapping[str, tuple[int, str]]) -> str:
    """What does not fit between a manifest and the files there are; empty where all does.

    ``found``: name → (size, SHA-256 in hex), the manifest and its signature left out.
    """
    named = {one.name: one for one in told.files}
    if len(named) != len(told.files):
        return "its manifest names a file twice"
    for name in sorted(named.keys() - found.keys()):
        return f"{name} is missing"
    for name in sorted(found.keys() - named.keys()):
        return f"{name} is not in its manifest"
    for name, one in named.items():
        if found[name] != (one.size, one.sha256):
            return f"{name} was changed"
    return ""
