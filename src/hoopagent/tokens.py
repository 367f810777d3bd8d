"""What a token of a provider says, once everything that can be wrong with it has been looked for.

A token is somebody's word only after: it is small, it is signed with an algorithm we chose (the
token's own header never chooses), by a key the provider publishes now, for us, just now.

``verify`` is for people and takes ID tokens alone.  ``verify_workload`` is for what is no person:
there an access token or a mounted one will do, since those get no ID token.

The order of the file is the order of the questions: the form, the keys, the signature, the claims.
"""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass
from typing import Any, Protocol

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from hoopcore.model import SECOND, Time

# Real ID tokens are 1-4 KiB; with hundreds of groups some reach 16.
LARGEST = 32 << 10
LEEWAY = 60  # seconds the provider's clock may be off
OLDEST = 5 * 60  # seconds after iat
LONGEST_LIFE = 86400  # seconds from now to exp, of a token that may be shown more than once
LONGEST_CLAIM = 255  # of sub (OpenID Connect Core 2) and of everything else we keep
MOST_GROUPS = 1000

# RFC 7518: what each algorithm wants of a key.  The two halves of key confusion (a public key
# used as an HMAC secret, a token that says "none") have no row here.
ALGORITHMS: dict[str, tuple[type[RSAKey | ECKey | OKPKey], str | None]] = {
    "RS256": (RSAKey, None),
    "PS256": (RSAKey, None),
    "ES256": (ECKey, "P-256"),
    "EdDSA": (OKPKey, "Ed25519"),
}
SMALLEST_RSA = 2048

WORKLOAD_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})  # RFC 9068 2.1

Key = RSAKey | ECKey | OKPKey


class TokenRefused(Exception):
    """This ID token is not good; the text says why, without repeating the token."""


class KeySource(Protocol):
    """Where the provider's keys come from (provider.py)."""

    async def keys(self, kid: str | None) -> list[dict[str, Any]]:
        """The provider's public JWKs; asked anew (within limits) where none has this kid."""
        ...


@dataclass(frozen=True, slots=True)
class Claims:
    """What is believed of an ID token."""

    issuer: str
    subject: str
    email: str  # empty where the provider says it is not verified
    groups: frozenset[str]
    nonce: str | None
    fingerprint: str  # SHA-256 of what was signed; the same for every spelling of the signature
    usable_until: Time  # after this the token would be refused anyway


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a provider says of a workload: all of it, for ``workloads.py`` to compare."""

    claims: dict[str, Any]
    fingerprint: str
    usable_until: Time


async def verify(
    token: str, source: KeySource, *, issuer: str, client_id: str, groups_claim: str, now: Time
) -> Claims:
    """The claims of a good token; TokenRefused says what is wrong with any other."""
    header, payload = _parts(token)
    # An access token or a logout token of the same provider is signed by the same keys.
    if str(header.get("typ", "JWT")).lower() != "jwt" or "events" in payload:
        raise TokenRefused("this is another kind of token, not an ID token")
    if payload.get("typ", "ID") != "ID":  # Keycloak writes the kind of each token here
        raise TokenRefused("this is another kind of token, not an ID token")
    _check_signature(token, header, await source.keys(header.get("kid")))
    return _believed(payload, token, issuer, client_id, groups_claim, now)


async def verify_workload(
    token: str, source: KeySource, *, issuer: str, audience: str, reuse: bool, now: Time
) -> Vouched:
    """The claims of a good token of a workload; TokenRefused says what is wrong with any other.

    With ``reuse`` it holds until its exp, at most a day from now; without, five minutes.
    """
    header, payload = _parts(token)
    if str(header.get("typ", "JWT")).lower() not in WORKLOAD_TYPES or "events" in payload:
        raise TokenRefused("this is another kind of token")
    _check_signature(token, header, await source.keys(header.get("kid")))
    if payload.get("iss") != issuer:
        raise TokenRefused("the token is from another issuer")
    if audience not in _several(payload.get("aud")):
        raise TokenRefused("the token is for another audience")
    issued = _check_times(payload, now, oldest=None if reuse else OLDEST)
    expires = int(_time(payload, "exp"))
    if reuse and expires - now / SECOND > LONGEST_LIFE:
        raise TokenRefused("the token holds for more than a day, which is too long for a bearer")
    until = expires if reuse else issued + OLDEST
    return Vouched(payload, _fingerprint(token), (until + LEEWAY) * SECOND)


def audiences_of(token: str) -> list[Any]:
    """Whom the token says it is for.  Nothing is proved yet."""
    return _several(_parts(token)[1].get("aud"))


def issuer_of(token: str) -> str:
    """Who the token says has signed it.  Nothing is proved yet; TokenRefused if it says nothing."""
    _, payload = _parts(token)
    issuer = payload.get("iss")
    if not isinstance(issuer, str):
        raise TokenRefused("the token names no issuer")
    return issuer


# --- the form -----------------------------------------------------------------------------------


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    if len(token) > LARGEST:
        raise TokenRefused(f"the ID token is longer than {LARGEST} bytes")
    pieces = token.split(".")
    if len(pieces) != 3:
        raise TokenRefused("the ID token is not a signed JWT")
    header, payload = _object(pieces[0]), _object(pieces[1])
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise TokenRefused("the ID token's algorithm is not one of " + ", ".join(ALGORITHMS))
    if "crit" in header or "b64" in header:
        raise TokenRefused("the ID token's header has extensions")
    kid = header.get("kid")
    if kid is not None and (not isinstance(kid, str) or len(kid) > LONGEST_CLAIM):
        raise TokenRefused("the ID token's key id is malformed")
    return header, payload


def _object(piece: str) -> dict[str, Any]:
    try:
        value = json.loads(_bytes(piece), object_pairs_hook=_no_name_twice)
    except (ValueError, RecursionError) as problem:
        raise TokenRefused("the ID token is not made of JSON objects") from problem
    if not isinstance(value, dict):
        raise TokenRefused("the ID token is not made of JSON objects")
    return value


def _bytes(piece: str) -> bytes:
    try:
        return base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=b"-_", validate=True)
    except ValueError as problem:  # binascii.Error, or not ASCII
        raise TokenRefused("the ID token is not base64url") from problem


def _no_name_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers may pick different ones of a claim given twice."""
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a name is given twice")
    return value


# --- the signature ------------------------------------------------------------------------------


def _check_signature(token: str, header: dict[str, Any], keys: list[dict[str, Any]]) -> None:
    """Asks the algorithm itself: nothing of the token is read a second time, by other rules."""
    signed, _, signature = token.rpartition(".")
    algorithm = JWSRegistry.algorithms[header["alg"]]
    made = _bytes(signature)
    for key in _candidates(header["alg"], header.get("kid"), keys):
        try:
            if algorithm.verify(signed.encode(), made, key):
                return
        except (JoseError, ValueError):
            continue
    raise TokenRefused("the ID token is not signed by a key of the provider")


def _candidates(algorithm: str, kid: str | None, keys: list[dict[str, Any]]) -> list[Key]:
    """The published keys that may have made this signature; a few at the most."""
    kind, curve = ALGORITHMS[algorithm]
    found: list[Key] = []
    for entry in keys:
        fits = entry.get("use", "sig") == "sig" and entry.get("alg", algorithm) == algorithm
        if not fits or (kid is not None and entry.get("kid") != kid):
            continue
        if entry.get("kty") != kind.key_type or (curve and entry.get("crv") != curve):
            continue
        try:
            key = kind.import_key({k: v for k, v in entry.items() if k not in ("key_ops", "alg")})
        except (JoseError, ValueError, TypeError):
            continue
        if isinstance(key, RSAKey) and key.public_key.key_size < SMALLEST_RSA:
            continue
        found.append(key)
    return found[:8]


# --- the claims ---------------------------------------------------------------------------------


def _believed(
    claims: dict[str, Any], token: str, issuer: str, client_id: str, groups_claim: str, now: Time
) -> Claims:
    if claims.get("iss") != issuer:
        raise TokenRefused("the ID token is from another issuer")
    _check_audience(claims, client_id)
    issued = _check_times(claims, now)
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= LONGEST_CLAIM:
        raise TokenRefused("the ID token names no subject")
    if subject == client_id or claims.get("gty") == "client-credentials":
        raise TokenRefused("the token speaks for a program, not for a person")
    nonce = claims.get("nonce")
    if nonce is not None and not isinstance(nonce, str):
        raise TokenRefused("the ID token's nonce is malformed")
    return Claims(
        issuer=issuer,
        subject=subject,
        email=_email(claims),
        groups=_groups(claims.get(groups_claim)),
        nonce=nonce,
        fingerprint=_fingerprint(token),
        usable_until=(issued + OLDEST + LEEWAY) * SECOND,
    )


def _fingerprint(token: str) -> str:
    """Not of the whole token: an ES256 signature has a second valid form."""
    signed, _, _ = token.rpartition(".")
    return hashlib.sha256(signed.encode()).hexdigest()


def _several(audience: Any) -> list[Any]:
    return audience if isinstance(audience, list) else [audience]


def _check_audience(claims: dict[str, Any], client_id: str) -> None:
    """OpenID Connect Core 3.1.3.7, 3 to 5."""
    several = _several(claims.get("aud"))
    if client_id not in several:
        raise TokenRefused("the ID token is for another audience")
    party = claims.get("azp")
    if (party is not None or len(several) > 1) and party != client_id:
        raise TokenRefused("the ID token was made for another party")


def _check_times(claims: dict[str, Any], now: Time, oldest: int | None = OLDEST) -> int:
    """RFC 7519 4.1; gives iat in seconds."""
    expires, issued = _time(claims, "exp"), _time(claims, "iat")
    not_before = _time(claims, "nbf") if claims.get("nbf") is not None else issued
    seconds = now / SECOND
    if seconds >= expires + LEEWAY:
        raise TokenRefused("the ID token has expired")
    if max(issued, not_before) > seconds + LEEWAY:
        raise TokenRefused("the ID token is from the future: compare the clocks")
    if oldest is not None and seconds - issued > oldest:
        raise TokenRefused(f"the ID token is older than {oldest // 60} minutes")
    return int(issued)


def _time(claims: dict[str, Any], name: str) -> float:
    """Seconds since 1970.  A boolean is no number here, and after the year 9999 nothing is."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TokenRefused(f"the ID token's {name} is missing or malformed")
    if not 0 <= value < 253_402_300_800:
        raise TokenRefused(f"the ID token's {name} is missing or malformed")
    return float(value)


def _email(claims: dict[str, Any]) -> str:
    """Without it people are called by their subject; nothing else rests on it."""
    email = claims.get("email")
    # Some providers write the boolean as a string.
    doubted = claims.get("email_verified") in (False, "false", 0)
    if not isinstance(email, str) or doubted or len(email) > LONGEST_CLAIM:
        return ""
    return email if email.isprintable() else ""


def _groups(claim: Any) -> frozenset[str]:
    """A list of names, or one name; what is neither refuses the token, since roles rest on it."""
    names = [] if claim is None else [claim] if isinstance(claim, str) else claim
    if not isinstance(names, list) or len(names) > MOST_GROUPS:
        raise TokenRefused("the ID token's groups are not a list of names")
    if not all(isinstance(name, str) and len(name) <= LONGEST_CLAIM for name in names):
        raise TokenRefused("the ID token's groups are not a list of names")
    return frozenset(names)
