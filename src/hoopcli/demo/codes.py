"""Authorization codes of the demo's provider: the page that comes back to ``hoop login --browser``.

A code is bound to its client's challenge (RFC 7636, S256 and nothing less), to the address it was
sent to, and to the nonce that the ID token will repeat.  It is good once, for a minute.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749.errors import InvalidRequestError
from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
from authlib.oauth2.rfc7636 import CodeChallenge

LIFE = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Code:
    """What a code stands for.  Its methods are those Authlib asks."""

    text: str
    redirect_uri: str
    scope: str
    person: Any
    nonce: str
    code_challenge: str
    expires: float
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


def comes_back(redirect_uri: str) -> bool:
    """Whether it is a port of 127.0.0.1, whichever (RFC 8252 7.3)."""
    try:
        parts = urlsplit(redirect_uri)
        return (parts.scheme, parts.hostname) == ("http", "127.0.0.1") and bool(parts.port)
    except ValueError:
        return False


class Codes(AuthorizationCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def save_authorization_code(self, code: str, request: Any) -> None:
        asked, memory = request.payload.data, self.server.memory
        memory.authorizations = {
            text: one for text, one in memory.authorizations.items() if time.time() < one.expires
        }
        memory.authorizations[code] = Code(
            text=code,
            redirect_uri=asked["redirect_uri"],
            scope=request.payload.scope or "openid",
            person=request.user,
            nonce=asked.get("nonce", ""),
            code_challenge=asked["code_challenge"],
            expires=time.time() + LIFE,
        )

    def query_authorization_code(self, code: str, client: Any) -> Code | None:
        """Gone with the first look, so that whoever comes second has nothing."""
        found: Code | None = self.server.memory.authorizations.pop(code, None)
        return found if found is not None and time.time() < found.expires else None

    def delete_authorization_code(self, authorization_code: Code) -> None:
        """It was taken out already."""

    def authenticate_user(self, authorization_code: Code) -> Any:
        return self.server.memory.people.get(authorization_code.person.name)


class S256(CodeChallenge):  # type: ignore[misc]  # Authlib ships no types
    """A challenge is not a wish here: who has none is turned away at the page."""

    def validate_code_challenge(self, grant: Any, redirect_uri: str) -> None:
        asked = grant.request.payload.data
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            raise InvalidRequestError("a code_challenge by S256 is wanted")
        super().validate_code_challenge(grant, redirect_uri)
