"""Who is asking: an ID token becomes a principal, an agent token and an SSH certificate.

The provider's word is taken once, at sign-in and at each renewal; from then on the agent's own
token is what counts, and only its SHA-256 is kept.  A principal is its issuer and subject: a new
e-mail address is the same person, the same address at another issuer is not.

``exchange`` comes first in a principal's life, ``authenticate`` at each request, ``logout`` and
``revoke`` at the end.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncssh
import structlog

from hoopagent import tokens
from hoopagent.config import Identity as Settings
from hoopagent.config_files import seconds
from hoopagent.errors import Refused
from hoopagent.keys import Keys
from hoopagent.provider import Provider, ProviderAway
from hoopagent.store import Store, Token
from hoopcore.model import SECOND, SYSTEM, AuditEvent, Kind, Principal, Time

log = structlog.get_logger()

# 256 bits: nobody guesses one, so its hash needs no salt.
TOKEN_BYTES = 32
TOKEN_PREFIX = "hoop_"  # noqa: S105 - lets a secret scanner know one when it sees it
LONGEST_TOKEN = 128

_ALPHABET = "0123456789bcdfghjkmnpqrstvwxyz"  # the ids' own (hoopcore.model)

# 16 characters are 78 bits: enough that nobody finds a subject with another's id, and short
# enough for application_name.
_ID_LENGTH = 16


@dataclass(frozen=True, slots=True)
class Signed:
    """What a sign-in gives.  The token is in no repr."""

    token: str = field(repr=False)
    certificate: str  # a line in OpenSSH's format, for the key that opened the connection
    expires: Time
    identity_until: Time
    principal: Principal


def principal_id(issuer: str, subject: str) -> str:
    """``p-`` and 16 characters, the same for ever for this issuer and subject."""
    named = f"{len(issuer)}:{issuer}{subject}".encode()
    number = int.from_bytes(hashlib.sha256(named).digest(), "big")
    characters = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return f"p-{''.join(characters)}"


def hash_of(token: str) -> str:
    """What the store keeps of an agent token."""
    return hashlib.sha256(token.encode()).hexdigest()


class Identity:
    """One identity provider, the agent's own keys, and the store that remembers who signed in."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        keys: Keys,
        *,
        clock: Callable[[], Time],
        random: Callable[[int], bytes],
    ) -> None:
        self._settings = settings
        self._store = store
        self._keys = keys
        self._clock = clock
        self._random = random
        self._provider = Provider(settings.issuer, settings.ca_file, clock)
        self._highest: Time = -SECOND  # asked of the store at most once a second
        self.revoked: list[Callable[[str], None]] = []
        """Called with the id of each principal who is signed in nowhere any more."""

    async def close(self) -> None:
        await self._provider.close()

    async def exchange(self, id_token: str, key: asyncssh.SSHKey) -> Signed:
        """Takes an ID token once, from whoever has just proved to hold ``key``.

        Raises Refused: 401 where the token is not good, 503 where the provider cannot be asked.
        A sign-in and a renewal are the same thing; each starts ``max_age`` anew.
        """
        now = await self._now()
        try:
            claims = await self._verified(id_token, now)
        except Refused as refused:
            await self._audit(now, SYSTEM, "sign-in.refused", "", why=refused.message)
            raise
        principal = Principal(
            id=principal_id(claims.issuer, claims.subject),
            kind=Kind.HUMAN,
            issuer=claims.issuer,
            subject=claims.subject,
            email=claims.email,
            groups=claims.groups,
        )
        await self._store.put_principal(principal, now)
        signed = await self._issue(principal, key, now)
        await self._audit(
            now, principal.id, "sign-in.done", principal.id, key=key.get_fingerprint()
        )
        return signed

    async def authenticate(self, token: str, uid: int | None) -> Principal:
        """Whose token this is; Refused (401) where it is nobody's, or not this uid's.

        ``uid`` is the kernel's word on who is at the other end of a unix socket; the first one to
        use a token is the only one.  None, for a channel of the SSH door, asks no such thing.
        """
        known = await self.status(token)
        if uid is not None and not await self._store.bind_token(known.hash, uid):
            raise _refused("other_user", "this token belongs to another user of this machine")
        principal = await self._store.principal(known.principal)
        if principal is None:
            raise _refused("not_signed_in", "you are not signed in")
        return principal

    async def status(self, token: str) -> Token:
        """The token as the store has it; Refused (401) where it is unknown, revoked or over."""
        known = await self._store.token(hash_of(token)) if len(token) <= LONGEST_TOKEN else None
        if known is None:
            raise _refused("not_signed_in", "you are not signed in")
        if known.revoked:
            raise _refused("token_revoked", "you were signed out")
        if await self._now() >= min(known.expires, known.identity_until):
            raise _refused("token_expired", "your sign-in is over")
        return known

    async def identity_until(self, principal: str) -> Time:
        """Until when this principal counts as signed in; 0 where it does not."""
        until = await self._store.identity_until(principal)
        return until if until > await self._now() else 0

    async def signed_in(self, principal: str) -> Principal | None:
        """The principal as known now, or None where it is signed in nowhere."""
        if not await self.identity_until(principal):
            return None
        return await self._store.principal(principal)

    async def logout(self, token: str) -> None:
        """Revokes this one token.  A token nobody knows is signed out already."""
        known = await self._store.token(hash_of(token)) if len(token) <= LONGEST_TOKEN else None
        if known is None or not await self._store.revoke_token(known.hash):
            return
        now = await self._now()
        await self._audit(now, known.principal, "sign-out.done", known.principal)
        await self._tell(known.principal)

    async def revoke(self, principal: str, by: str, why: str) -> int:
        """Signs a principal out everywhere; how many tokens that ended."""
        ended = await self._store.revoke_tokens_of(principal)
        await self._audit(await self._now(), by, "principal.signed-out", principal, why=why)
        await self._tell(principal)
        return ended

    async def _verified(self, id_token: str, now: Time) -> tokens.Claims:
        settings = self._settings
        try:
            claims = await tokens.verify(
                id_token,
                self._provider,
                issuer=settings.issuer,
                client_id=settings.client_id,
                groups_claim=settings.groups_claim,
                now=now,
            )
        except tokens.TokenRefused as problem:
            raise _refused("invalid_token", str(problem)) from problem
        except ProviderAway as problem:
            raise Refused(503, "provider_away", str(problem), "try again in a minute") from problem
        if not await self._store.use_id_token(claims.fingerprint, claims.usable_until, now):
            raise _refused("invalid_token", "this ID token was used before")
        return claims

    async def _issue(self, principal: Principal, key: asyncssh.SSHKey, now: Time) -> Signed:
        until = now + seconds(self._settings.max_age) * SECOND
        expires = min(now + seconds(self._settings.token_life) * SECOND, until)
        secret = base64.urlsafe_b64encode(self._random(TOKEN_BYTES)).decode().rstrip("=")
        text = TOKEN_PREFIX + secret
        serial = int.from_bytes(self._random(8), "big")
        certificate = self._keys.certify(key, principal.id, serial, now, expires)
        await self._store.add_token(
            Token(
                hash=hash_of(text),
                principal=principal.id,
                issued=now,
                expires=expires,
                identity_until=until,
                key=key.get_fingerprint(),
            )
        )
        return Signed(text, certificate, expires, until, principal)

    async def _tell(self, principal: str) -> None:
        if await self.identity_until(principal) == 0:
            for listener in self.revoked:
                listener(principal)

    async def _now(self) -> Time:
        """Never earlier than any time seen before: turning the clock back extends nothing."""
        now = self._clock()
        if not 0 <= now - self._highest < SECOND:
            self._highest = max(now, await self._store.highest_time(now))
        return max(now, self._highest)

    async def _audit(self, at: Time, actor: str, action: str, subject: str, **detail: str) -> None:
        log.info(action, actor=actor, principal=subject, **detail)
        await self._store.audit(AuditEvent(at, actor, action, subject, detail))


def _refused(error: str, message: str) -> Refused:
    return Refused(401, error, message, "hoop login")
