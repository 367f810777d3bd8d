"""The two keys of recordings: one signs them, one stands in for the values they must not hold.

Both are made at the first start, in a folder that only the agent's account can read.  Whoever has
the first can forge recordings; whoever has the second can try values against ``⟦kind:hmac⟧``.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hoopcore.recording import key_id

SIGNING = "recording_ed25519.pem"
REDACTION = "redaction.key"


class KeyUnsafe(Exception):
    """A key others may have read, or that is none; the text says which, and what to do."""


@dataclass(frozen=True, slots=True)
class RecordingKeys:
    """Both keys; neither is in a repr."""

    signing: Ed25519PrivateKey = field(repr=False)
    redaction: bytes = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> RecordingKeys:
        """From the folder; what is not there yet is made.  Two starts at once get the same keys."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        pem = _load_or_create(folder / SIGNING, _new_signing_key)
        redaction = _load_or_create(folder / REDACTION, lambda: secrets.token_bytes(32))
        try:
            signing = serialization.load_pem_private_key(pem, None)
        except (ValueError, TypeError) as problem:
            raise KeyUnsafe(f"{folder / SIGNING} is no private key in PEM") from problem
        if not isinstance(signing, Ed25519PrivateKey) or len(redaction) != 32:
            raise KeyUnsafe(f"a key in {folder} is not of the kind that hoop makes")
        return cls(signing, redaction)

    @property
    def public(self) -> bytes:
        """The raw 32 bytes with which anybody can verify."""
        return self.signing.public_key().public_bytes_raw()

    @property
    def public_text(self) -> str:
        return base64.b64encode(self.public).decode()

    @property
    def id(self) -> str:
        return key_id(self.public)


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _load_or_create(path: Path, fresh: Callable[[], bytes]) -> bytes:
    if not path.exists():
        _create(path, fresh())
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    with os.fdopen(handle, "rb") as file:
        seen = os.fstat(file.fileno())
        if seen.st_uid != os.geteuid() or seen.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise KeyUnsafe(f"{path} can be read by others: chmod 600 it, if nobody has")
        return file.read(16384)


def _create(path: Path, content: bytes) -> None:
    """Whole or not at all, and never over one that is there."""
    fresh = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):  # another start was quicker
            path.hardlink_to(fresh)
    finally:
        fresh.unlink()
