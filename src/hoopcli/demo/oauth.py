"""What the demo's identity provider decides: who signed in, and which tokens they get.

Authlib holds the protocol (device grant, RFC 8628, with its ``slow_down``; authorization code with
PKCE, in ``codes``; refresh, RFC 6749; revocation, RFC 7009); this module holds the memory it asks:
people, device codes, refresh tokens.  Everything is in memory and gone with the process.  There are
no passwords: it is a demo.
"""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer, OAuth2Request
from authlib.oauth2.rfc6749.grants import RefreshTokenGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc8628 import DeviceAuthorizationEndpoint, DeviceCodeGrant
from authlib.oidc.core.grants.util import generate_id_token
from joserfc.jwk import ECKey

from hoopcli.demo.codes import S256, Code, Codes, comes_back

CLIENT_ID = "hoop"
SCOPES = ("openid", "email", "profile", "groups", "offline_access")
DEVICE_GRANT = DeviceCodeGrant.GRANT_TYPE
ACCESS_LIFE = 300  # seconds; also the life of an ID token

Reply = tuple[int, dict[str, Any], list[tuple[str, str]]]
"""Status, JSON body, headers."""


@dataclass(frozen=True, slots=True)
class Person:
    name: str  # the subject
    email: str
    groups: tuple[str, ...]


@dataclass(slots=True)
class Client:
    """The one client: public, as a command line tool is.  Its methods are those Authlib asks."""

    client_id: str = CLIENT_ID

    def get_client_id(self) -> str:
        return self.client_id

    def get_allowed_scope(self, scope: str | None) -> str:
        return " ".join(word for word in (scope or "openid").split() if word in SCOPES)

    def check_client_secret(self, client_secret: str) -> bool:
        return False

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in (DEVICE_GRANT, "authorization_code", "refresh_token")

    def check_response_type(self, response_type: str) -> bool:
        return response_type == "code"

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return comes_back(redirect_uri)

    def get_default_redirect_uri(self) -> str:
        return ""


@dataclass(slots=True)
class DeviceCode:
    """One device flow under way."""

    user_code: str
    scope: str
    expires: float
    interval: float
    last_poll: float = 0.0
    person: Person | None = None  # who answered at the device page
    approved: bool = False
    used: bool = False

    def get_client_id(self) -> str:
        return CLIENT_ID

    def get_scope(self) -> str:
        return self.scope

    def get_user_code(self) -> str:
        return self.user_code

    def is_expired(self) -> bool:
        return self.used or time.time() >= self.expires


@dataclass(frozen=True, slots=True)
class RefreshToken:
    text: str
    person: Person
    scope: str

    def check_client(self, client: Client) -> bool:
        return client.client_id == CLIENT_ID

    def get_scope(self) -> str:
        return self.scope


@dataclass(slots=True)
class Memory:
    """All that the provider knows."""

    people: dict[str, Person]
    interval: float = 0.2  # seconds between polls; short, since nobody likes to watch a demo wait
    code_life: float = 600.0
    codes: dict[str, DeviceCode] = field(default_factory=dict)  # by device code
    refresh_tokens: dict[str, RefreshToken] = field(default_factory=dict)
    authorizations: dict[str, Code] = field(default_factory=dict)  # by authorization code

    def code_of(self, user_code: str) -> DeviceCode | None:
        """The flow that shows this code to its person and has had no answer yet."""
        wanted = user_code.strip().upper().replace(" ", "")
        for code in self.codes.values():
            if code.user_code == wanted and code.person is None and not code.is_expired():
                return code
        return None

    def answer(self, user_code: str, person: str, *, approved: bool) -> bool:
        """What a person said at the device page; False where there is no such flow or person."""
        code = self.code_of(user_code)
        if code is None or person not in self.people:
            return False
        code.person, code.approved = self.people[person], approved
        return True


class _Request(OAuth2Request):  # type: ignore[misc]  # Authlib ships no types
    def __init__(self, path: str, form: dict[str, str]) -> None:
        # The true scheme is plain http on the loopback; Authlib wants to hear https.
        super().__init__("POST", f"https://loopback{path}", headers={})
        self._form = form
        self.payload = BasicOAuth2Payload(form)

    @property
    def form(self) -> dict[str, str]:
        return self._form


class Server(AuthorizationServer):  # type: ignore[misc]  # Authlib ships no types
    """Authlib's server over our memory.  Not thread-safe: its caller holds a lock."""

    def __init__(self, issuer: str, memory: Memory) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.issuer = issuer
        self.memory = memory
        self.key = ECKey.generate_key("P-256", {"kid": secrets.token_hex(8), "use": "sig"})
        self._client = Client()
        self.register_token_generator(
            "default",
            BearerTokenGenerator(
                lambda **_: secrets.token_urlsafe(32),
                lambda **_: secrets.token_urlsafe(32),
                ACCESS_LIFE,
            ).generate,
        )
        self.register_grant(_Device)
        self.register_grant(Codes, [S256()])
        self.register_grant(_Refresh)
        self.register_endpoint(_DeviceAuthorization)
        self.register_endpoint(_Revocation)

    def discovery(self) -> dict[str, Any]:
        """The document at ``/.well-known/openid-configuration``."""
        return {
            "issuer": self.issuer,
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint": f"{self.issuer}/token",
            "device_authorization_endpoint": f"{self.issuer}/device_authorization",
            "revocation_endpoint": f"{self.issuer}/revoke",
            "scopes_supported": list(SCOPES),
            "authorization_endpoint": f"{self.issuer}/authorize",
            "authorization_response_iss_parameter_supported": True,
            "code_challenge_methods_supported": ["S256"],
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "grant_types_supported": [DEVICE_GRANT, "authorization_code", "refresh_token"],
            "id_token_signing_alg_values_supported": ["ES256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "claims_supported": ["sub", "email", "email_verified", "groups"],
        }

    def jwks(self) -> dict[str, Any]:
        return {"keys": [{**self.key.as_dict(private=False), "alg": "ES256"}]}

    def id_token(self, person: Person, token: dict[str, Any], nonce: str = "") -> str:
        claims = {"sub": person.name, "email": person.email, "email_verified": True}
        claims |= {"groups": list(person.groups), "jti": secrets.token_hex(8)}
        signed: str = generate_id_token(
            token,
            claims,
            key=self.key,
            iss=self.issuer,
            aud=CLIENT_ID,
            alg="ES256",
            exp=ACCESS_LIFE,
            nonce=nonce or None,
            kid=self.key.kid,
        )
        return signed

    # What Authlib asks of a server, by its names.

    def query_client(self, client_id: str) -> Client | None:
        return self._client if client_id == CLIENT_ID else None

    def save_token(self, token: dict[str, Any], request: Any) -> None:
        """Adds the ID token, and remembers the refresh token."""
        scope = str(token.get("scope", ""))
        if "offline_access" not in scope.split():
            token.pop("refresh_token", None)
        if "refresh_token" in token:
            text = token["refresh_token"]
            self.memory.refresh_tokens[text] = RefreshToken(text, request.user, scope)
        if isinstance(request.credential, DeviceCode):
            request.credential.used = True
        if "openid" in scope.split():
            code = getattr(request, "authorization_code", None)
            token["id_token"] = self.id_token(request.user, token, code.nonce if code else "")

    def create_oauth2_request(self, request: Any) -> Any:
        return request if isinstance(request, OAuth2Request) else _Request(*request)

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> Reply:
        told = json.loads(body) if isinstance(body, str) and body else body
        return status, told, headers

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""


class _Device(DeviceCodeGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)

    def query_device_credential(self, device_code: str) -> DeviceCode | None:
        code: DeviceCode | None = self.server.memory.codes.get(device_code)
        return code

    def query_user_grant(self, user_code: str) -> tuple[Person, bool] | None:
        for code in self.server.memory.codes.values():
            if code.user_code == user_code and code.person is not None:
                return code.person, code.approved
        return None

    def should_slow_down(self, credential: DeviceCode) -> bool:
        """Asked sooner than the interval since the last time; the interval then grows by 5 s."""
        now = time.monotonic()
        early = bool(credential.last_poll) and now - credential.last_poll < credential.interval
        credential.last_poll = now
        if early:
            credential.interval += 5
        return early


class _Refresh(RefreshTokenGrant):  # type: ignore[misc]  # Authlib ships no types
    TOKEN_ENDPOINT_AUTH_METHODS = ("none",)
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> RefreshToken | None:
        known: RefreshToken | None = self.server.memory.refresh_tokens.get(refresh_token)
        return known

    def authenticate_user(self, refresh_token: RefreshToken) -> Person | None:
        """Whoever it was, if they are still in the list of people, with today's groups."""
        person: Person | None = self.server.memory.people.get(refresh_token.person.name)
        return person

    def revoke_old_credential(self, refresh_token: RefreshToken) -> None:
        self.server.memory.refresh_tokens.pop(refresh_token.text, None)


class _DeviceAuthorization(DeviceAuthorizationEndpoint):  # type: ignore[misc]  # no types
    CLIENT_AUTH_METHODS = ("none",)

    def create_endpoint_response(self, request: Any) -> Any:
        self.EXPIRES_IN = int(self.server.memory.code_life)
        self.INTERVAL = self.server.memory.interval
        return super().create_endpoint_response(request)

    def get_verification_uri(self) -> str:
        return f"{self.server.issuer}/device"

    def save_device_credential(self, client_id: str, scope: str, data: dict[str, Any]) -> None:
        memory: Memory = self.server.memory
        now = time.time()
        memory.codes = {
            text: code for text, code in memory.codes.items() if now < code.expires + 60
        }
        memory.codes[data["device_code"]] = DeviceCode(
            user_code=data["user_code"],
            scope=scope or "openid",
            expires=now + memory.code_life,
            interval=memory.interval,
        )


class _Revocation(RevocationEndpoint):  # type: ignore[misc]  # Authlib ships no types
    CLIENT_AUTH_METHODS = ("none",)

    def query_token(self, token_string: str, token_type_hint: str | None) -> RefreshToken | None:
        known: RefreshToken | None = self.server.memory.refresh_tokens.get(token_string)
        return known

    def revoke_token(self, token: RefreshToken, request: Any) -> None:
        self.server.memory.refresh_tokens.pop(token.text, None)
