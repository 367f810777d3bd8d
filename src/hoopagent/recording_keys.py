"""The two keys of recordings: one signs them, one stands in for the values they must not hold.

Both are made at the first start, in a folder that only the agent's account can read.  Whoever has
the first can forge recordings; whoever has the second can try values against ``⟦kind:hmac⟧``, and
against what the mask style ``hash`` shows.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from hoopagent.key_files import KeyUnsafe, load_or_create, own_folder
from hoopcore.recording import key_id

SIGNING = "recording_ed25519.pem"
REDACTION = "redaction.key"


@dataclass(frozen=True, slots=True)
class RecordingKeys:
    """Both keys; neither is in a repr."""

    signing: Ed25519PrivateKey = field(repr=False)
    redaction: bytes = field(repr=False)

    @classmethod
    def open(cls, folder: Path) -> RecordingKeys:
        """From the folder; what is not there yet is made.  Two starts at once get the same keys."""
        own_folder(folder)
        pem = load_or_create(folder / SIGNING, _new_signing_key)
        redaction = load_or_create(folder / REDACTION, lambda: secrets.token_bytes(32))
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
    def hashing(self) -> bytes:
        """The key of the mask style ``hash``: made from the other, and no way back to it."""
        return hmac.digest(self.redaction, b"hoop: the mask style hash", "sha256")

    @property
    def id(self) -> str:
        return key_id(self.public)


def _new_signing_key() -> bytes:
    return Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
