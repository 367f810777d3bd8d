"""Who is asking: an ID token becomes a principal, an agent token and an SSH certificate.

The provider's word is taken once, at sign-in and at each renewal; from then on the agent's own
token is what counts, and only its SHA-256 is kept.  A principal is its issuer and subject: a new
e-mail address is the same person, the same address at another issuer is not.

A sign-in is a chain: each renewal belongs to the one before it, and signing out ends all of it, the
SSH certificates included.

``exchange`` comes first in a principal's life, ``authenticate`` at each request, ``logout`` and
``revoke`` at the end.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import asyncssh
import structlog

from hoopagent import tokens, workloads
from hoopagent.config import Identity as Settings
from hoopagent.config import Workload
from hoopagent.config_files import seconds
from hoopagent.device_flow import DeviceFlow
from hoopagent.errors import Refused
from hoopagent.keys import Keys
from hoopagent.provider import Provider, ProviderAway
from hoopagent.refusals import Refusals
from hoopagent.store import Store, Token
from hoopcore.model import SECOND, AuditEvent, Kind, Principal, Time, is_id, new_id
from hoopcore.nonce import nonce_for

log = structlog.get_logger()

# 256 bits: nobody guesses one, so its hash needs no salt.
TOKEN_BYTES = 32
TOKEN_PREFIX = "hoop_"  # noqa: S105 - lets a secret scanner know one when it sees it
LONGEST_TOKEN = 128

SIGN_IN = "in"  # what the id of a sign-in begins with

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
    sign_in: str  # id


def principal_id(issuer: str, subject: str, kind: str = "") -> str:
    """``p-`` and 16 characters, the same for ever for this issuer and subject.

    What is no person has its kind in it: no subject of a provider is ever taken for a workload.
    """
    named = f"{kind}{len(issuer)}:{issuer}{subject}".encode()
    number = int.from_bytes(hashlib.sha256(named).digest(), "big")
    characters = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        characters.append(_ALPHABET[digit])
    return f"p-{''.join(characters)}"


def is_sign_in(text: str) -> bool:
    """Whether it has the form of a sign-in's id, which no principal's id has.

    One of before sign-ins had ids has its token's hash in place of it (migration 0002).
    """
    return (text.startswith(f"{SIGN_IN}-") and is_id(text)) or _is_hash(text)


def _is_hash(text: str) -> bool:
    return len(text) == 64 and not text.strip("0123456789abcdef")


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
        self._others: dict[str, Provider] = {}  # by issuer, those of workloads alone
        self.refusals = Refusals(store, self._now)
        """Sign-ins that failed, here and at the doors; who counts them calls ``write``."""
        self._highest: Time = -SECOND  # asked of the store at most once a second
        self.revoked: list[Callable[[str], None]] = []
        """Called with the id of each principal who is signed in nowhere any more."""
        self.ended: list[Callable[[str], None]] = []
        """Called with the id of each sign-in that was ended."""
        self.regrouped: list[Callable[[Principal, Principal, Time], Awaitable[object]]] = []
        """Awaited with who signs in again, as known before and as now, before that is believed."""

    async def close(self) -> None:
        for provider in (self._provider, *self._others.values()):
            await provider.close()

    async def exchange(
        self,
        token: str,
        key: asyncssh.SSHKey,
        *,
        workload: bool = False,
        previous: str = "",
        peer: str = "",
        how: str = "",
    ) -> Signed:
        """Takes an ID token once, from whoever has just proved to hold ``key``.

        With ``workload`` it is the token of a principal that is no person (workloads.py).  Raises
        Refused: 401 where the token is not good, 503 where the provider cannot be asked.  Each
        exchange starts ``max_age`` anew; with the agent token of a sign-in of the same principal
        as ``previous`` it is a renewal, and otherwise a sign-in of its own.
        """
        now = await self._now()
        try:
            if workload:
                principal, max_age = await self._vouched(token, now)
            else:
                principal = await self._person(token, key, now)
                max_age = self._settings.max_age
        except Refused as refused:
            if refused.status == 401:
                self.refusals.note("sign-in", refused.message, peer=peer)
                await self.refusals.write()
            raise
        await self._admit(principal, now)
        sign_in = await self._renewing(previous, principal.id, now)
        signed = await self._issue(principal, key, now, sign_in, seconds(max_age))
        if sign_in:
            await self._store.revoke_sign_in(sign_in, (hash_of(previous), hash_of(signed.token)))
            await self._check_goes_on(previous, signed)
        action = "sign-in.renewed" if sign_in else "sign-in.done"
        told = {"key": key.get_fingerprint(), "sign_in": signed.sign_in}
        told |= {"by": how, "from": peer} if how else {}
        told |= {} if principal.kind is Kind.HUMAN else {"kind": principal.kind.value}
        await self._audit(now, principal.id, action, principal.id, **told)
        return signed

    @property
    def signs_in_by_ssh(self) -> bool:
        """Whether people may sign in with ssh alone."""
        return self._settings.sign_in_by_ssh

    def device_flow(self) -> DeviceFlow:
        """With the provider of people; its ID tokens are exchanged like any other."""
        settings = self._settings
        return DeviceFlow(self._provider, settings.client_id, settings.scopes)

    async def authenticate(self, token: str, uid: int | None) -> Principal:
        """Whose token this is; Refused (401) where it is nobody's, or not this uid's.

        ``uid`` is the kernel's word on who is at the other end of a unix socket; the first one to
        use a token is the only one.  None, for a channel of the SSH door, asks no such thing.
        """
        origin = "" if uid is None else f"uid {uid}"
        try:
            known = await self.status(token)
        except Refused as refused:
            if refused.error == "not_signed_in":
                self.refusals.note("api", refused.message, peer=origin)
            raise
        # Whose token it is already stays so; only the first use has to be written.
        mine = uid is None or known.uid == uid or await self._store.bind_token(known.hash, uid)
        if not mine:
            why = "this token belongs to another user of this machine"
            self.refusals.note("api", why, who=known.principal, peer=origin)
            raise _refused("other_user", why)
        principal = await self._store.principal(known.principal)
        if principal is None or not workloads.known(self._settings, principal):
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

    async def signed_in(self, principal: str, sign_in: str | None = None) -> Principal | None:
        """The principal as known now, or None where it is signed in nowhere.

        With ``sign_in``, None also where that one sign-in is over.
        """
        if await self._store.identity_until(principal, sign_in) <= await self._now():
            return None
        known = await self._store.principal(principal)
        return known if known and workloads.known(self._settings, known) else None

    async def logout(self, token: str) -> None:
        """Ends the sign-in this token is of.  A token nobody knows is signed out already."""
        known = await self._store.token(hash_of(token)) if len(token) <= LONGEST_TOKEN else None
        if known is None or not await self._store.revoke_token(known.hash):
            return
        if known.sign_in:
            await self._store.revoke_sign_in(known.sign_in)
        now = await self._now()
        await self._audit(now, known.principal, "sign-out.done", known.principal)
        for listener in self.ended:
            listener(known.sign_in)
        await self._tell(known.principal)

    async def logout_everywhere(self, token: str) -> None:
        """Ends every sign-in of whoever's token this is; Refused (401) where it is nobody's now."""
        known = await self.status(token)
        await self.revoke(known.principal, known.principal, "signed out everywhere")

    async def revoke(self, principal: str, by: str, why: str) -> int:
        """Signs a principal out everywhere; how many tokens that ended."""
        ended = await self._store.revoke_tokens_of(principal)
        await self._audit(await self._now(), by, "principal.signed-out", principal, why=why)
        await self._tell(principal)
        return ended

    async def _admit(self, principal: Principal, now: Time) -> None:
        """Keeps what the provider says now, once what it ends has ended.  Refused: who has left."""
        before = await self._store.principal(principal.id)
        if before is not None:
            if await self._store.has_left(principal.id):
                refused = _refused("left", "you have left here, so you are not signed in again")
                self.refusals.note("sign-in", refused.message, who=principal.id)
                await self.refusals.write()
                raise refused
            for listener in self.regrouped:
                await listener(before, principal, now)
        await self._store.put_principal(principal, now)

    async def _person(self, id_token: str, key: asyncssh.SSHKey, now: Time) -> Principal:
        settings = self._settings
        with _told():
            claims = await tokens.verify(
                id_token,
                self._provider,
                issuer=settings.issuer,
                client_id=settings.client_id,
                groups_claim=settings.groups_claim,
                now=now,
            )
        # Before the token counts as used: who has stolen it cannot even spoil it.
        ours = nonce_for(self._keys.fingerprint, key.public_data)
        if claims.nonce is not None and claims.nonce != ours:
            raise _refused("invalid_token", "the ID token was made for another key")
        if not await self._store.use_id_token(claims.fingerprint, claims.usable_until, now):
            raise _refused("token_used", "this ID token was used before")
        return Principal(
            id=principal_id(claims.issuer, claims.subject),
            kind=Kind.HUMAN,
            issuer=claims.issuer,
            subject=claims.subject,
            email=claims.email,
            groups=claims.groups,
        )

    async def _vouched(self, token: str, now: Time) -> tuple[Principal, str]:
        """The workload a token is of, and how long it stays signed in."""
        with _told():
            issuer = tokens.issuer_of(token)
            # Nobody is asked anything for an issuer that vouches for nothing here.
            for workload in workloads.of_issuer(self._settings, issuer):
                found = await self._fitting(workload, issuer, token, now)
                if found is not None:
                    break
            else:
                raise tokens.TokenRefused("the token is of no workload that is known here")
        if not workload.reuse and not await self._store.use_id_token(
            found.fingerprint, found.usable_until, now
        ):
            raise _refused("token_used", f"this token of {workload.name} was used before")
        principal = Principal(
            id=principal_id(issuer, workload.name, workload.kind),
            kind=Kind(workload.kind),
            issuer=issuer,
            subject=workload.name,
            groups=workload.groups,
            owner=workload.owner,
        )
        return principal, workload.max_age or self._settings.max_age

    async def _fitting(
        self, workload: Workload, issuer: str, token: str, now: Time
    ) -> tokens.Vouched | None:
        """What is said of this workload; None where the good token of another one was shown."""
        audience, reuse = workload.audience, workload.reuse
        if audience not in tokens.audiences_of(token):
            return None
        found = await tokens.verify_workload(
            token,
            self._of(workload, issuer),
            issuer=issuer,
            audience=audience,
            reuse=reuse,
            now=now,
        )
        return found if workloads.fits(workload, found.claims) else None

    def _of(self, workload: Workload, issuer: str) -> Provider:
        if issuer == self._settings.issuer:
            return self._provider
        if issuer not in self._others:
            self._others[issuer] = Provider(issuer, workload.ca_file, self._clock)
        return self._others[issuer]

    async def _renewing(self, previous: str, principal: str, now: Time) -> str:
        """The sign-in that goes on; empty where this is a new one."""
        if not previous or len(previous) > LONGEST_TOKEN:
            return ""
        known = await self._store.token(hash_of(previous))
        if known is None or known.revoked or known.principal != principal:
            return ""
        return known.sign_in if now < known.identity_until else ""

    async def _check_goes_on(self, previous: str, signed: Signed) -> None:
        """Refused where somebody has signed out while the new token was made."""
        known = await self._store.token(hash_of(previous))
        if known is None or known.revoked:
            await self._store.revoke_token(hash_of(signed.token))
            raise _refused("token_revoked", "you were signed out")

    async def _issue(
        self, principal: Principal, key: asyncssh.SSHKey, now: Time, sign_in: str, max_age: int
    ) -> Signed:
        until = now + max_age * SECOND
        sign_in = sign_in or new_id(SIGN_IN, self._random(16))
        expires = min(now + seconds(self._settings.token_life) * SECOND, until)
        secret = base64.urlsafe_b64encode(self._random(TOKEN_BYTES)).decode().rstrip("=")
        text = TOKEN_PREFIX + secret
        serial = int.from_bytes(self._random(8), "big")
        certificate = self._keys.certify(key, principal.id, serial, now, expires, sign_in)
        await self._store.add_token(
            Token(
                hash=hash_of(text),
                principal=principal.id,
                issued=now,
                expires=expires,
                identity_until=until,
                key=key.get_fingerprint(),
                sign_in=sign_in,
            )
        )
        return Signed(text, certificate, expires, until, principal, sign_in)

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


@contextmanager
def _told() -> Iterator[None]:
    """Turns what is wrong with a token, or with asking for keys, into an answer."""
    try:
        yield
    except tokens.TokenRefused as problem:
        raise _refused("invalid_token", str(problem)) from problem
    except ProviderAway as problem:
        raise Refused(503, "provider_away", str(problem), "try again in a minute") from problem


def _refused(error: str, message: str) -> Refused:
    return Refused(401, error, message, "hoop login")
