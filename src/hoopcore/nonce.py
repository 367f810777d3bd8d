"""The nonce that ties an ID token to one SSH key at one agent.

Who signs in by a browser asks the provider to put this into the ID token.  The agent believes a
token with a nonce only from whoever has just proved to hold that very key, and only if the nonce
was made for this agent: stolen on its way, the token is worth nothing (decision 0012).
"""

from __future__ import annotations

import base64
import hashlib


def nonce_for(host_key: str, public_key: bytes) -> str:
    """43 characters, the same for ever for this agent's fingerprint and this key (SSH's form).

    The key is fresh and random, and so nobody can guess the nonce who has not seen the key.
    """
    digest = hashlib.sha256(b"hoop nonce 1\0" + host_key.encode() + b"\0" + public_key).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
