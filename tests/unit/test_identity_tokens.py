"""ID tokens that are good, and every way in which one is not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc.jwk import ECKey, OctKey, RSAKey

from hoopagent.tokens import LARGEST, Claims, TokenRefused, verify
from hoopcore.model import SECOND, Time
from tests.signing import CLIENT, ISSUER, NOW, KnownKeys, good_claims, public_keys, segment, sign

T = NOW // SECOND


async def verified(token: str, *, now: Time = NOW, source: KnownKeys | None = None) -> Claims:
    return await verify(
        token,
        source or KnownKeys(),
        issuer=ISSUER,
        client_id=CLIENT,
        groups_claim="groups",
        now=now,
    )


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
async def test_each_allowed_algorithm_is_believed(algorithm: str) -> None:
    claims = await verified(sign(good_claims(), algorithm))
    assert (claims.subject, claims.email) == ("ana", "ana@shop.example")
    assert claims.groups == {"engineering"}


WRONG: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://evil.example"},
    "the issuer with a slash more": {"iss": ISSUER + "/"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "other"},
    "an audience that only contains ours": {"aud": "hoop-2"},
    "no audience": {"aud": None},
    "several audiences and no azp": {"aud": [CLIENT, "other"]},
    "several audiences and another azp": {"aud": [CLIENT, "other"], "azp": "other"},
    "one audience and another azp": {"azp": "other"},
    "no subject": {"sub": None},
    "an empty subject": {"sub": ""},
    "a subject that is a number": {"sub": 7},
    "a subject that is too long": {"sub": "a" * 256},
    "expired": {"exp": T - 61},
    "no exp": {"exp": None},
    "an exp that is text": {"exp": str(T + 300)},
    "an exp that is a boolean": {"exp": True},
    "an exp beyond all time": {"exp": 1e300},
    "no iat": {"iat": None},
    "issued in the future": {"iat": T + 61},
    "issued too long ago": {"iat": T - 301},
    "not valid yet": {"nbf": T + 61},
    "an nbf that is text": {"nbf": "soon"},
    "groups that are no list": {"groups": {"dba": True}},
    "groups that are no names": {"groups": ["engineering", 7]},
    "too many groups": {"groups": [str(n) for n in range(1001)]},
    "a logout token": {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}},
}


@pytest.mark.parametrize("case", WRONG, ids=str)
async def test_a_token_with_a_wrong_claim_is_refused(case: str) -> None:
    with pytest.raises(TokenRefused):
        await verified(sign(good_claims(**WRONG[case])))


FINE: dict[str, dict[str, Any]] = {
    "expired within the leeway": {"exp": T - 59},
    "issued ahead within the leeway": {"iat": T + 59},
    "issued five minutes ago": {"iat": T - 300},
    "an azp that is ours": {"azp": CLIENT},
    "several audiences and our azp": {"aud": ["other", CLIENT], "azp": CLIENT},
    "times with fractions": {"iat": T - 0.5, "exp": T + 0.5},
    "no groups": {"groups": None},
}


@pytest.mark.parametrize("case", FINE, ids=str)
async def test_a_token_at_the_edge_is_believed(case: str) -> None:
    assert (await verified(sign(good_claims(**FINE[case])))).subject == "ana"


async def test_a_token_without_signature_is_refused() -> None:
    odd: tuple[object, ...] = ([], ["RS256"], {}, None, 256, True)
    for name in ("none", "None", "NONE", "nOnE", "", *odd):
        head = segment(json.dumps({"alg": name}).encode())
        body = segment(json.dumps(good_claims()).encode())
        for signature in ("", "AA"):
            with pytest.raises(TokenRefused):
                await verified(f"{head}.{body}.{signature}")


async def test_a_public_key_is_never_an_hmac_secret() -> None:
    key = RSAKey.import_key(next(key for key in public_keys() if key["kty"] == "RSA"))
    for secret in (key.as_pem(private=False), json.dumps(key.as_dict(private=False)).encode()):
        head = segment(json.dumps({"alg": "HS256", "kid": "rsa"}).encode())
        signed = f"{head}.{segment(json.dumps(good_claims()).encode())}"
        made = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        with pytest.raises(TokenRefused):
            await verified(f"{signed}.{segment(made)}")


async def test_a_symmetric_key_of_the_provider_signs_nothing() -> None:
    shared = OctKey.generate_key(256, {"kid": "oct"})
    source = KnownKeys([dict(shared.as_dict(private=True))])
    with pytest.raises(TokenRefused):
        await verified(sign(good_claims(), "HS256", key=shared), source=source)


async def test_a_key_that_the_provider_does_not_publish_signs_nothing() -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "ec"})
    with pytest.raises(TokenRefused):
        await verified(sign(good_claims(), key=stranger))


async def test_a_key_in_the_tokens_own_header_is_not_looked_at() -> None:
    stranger = ECKey.generate_key("P-256", {"kid": "mine"})
    for header in (
        {"jwk": stranger.as_dict(private=False)},
        {"jku": "https://evil.example/jwks", "kid": None},
        {"x5u": "https://evil.example/cert"},
    ):
        with pytest.raises(TokenRefused):
            await verified(sign(good_claims(), key=stranger, header=header))


async def test_a_key_for_encryption_or_another_algorithm_signs_nothing() -> None:
    for change in ({"use": "enc"}, {"alg": "ES384"}):
        source = KnownKeys([key | change for key in public_keys()])
        with pytest.raises(TokenRefused):
            await verified(sign(good_claims()), source=source)


@pytest.mark.filterwarnings("ignore:Key size should be:joserfc.errors.SecurityWarning")
async def test_a_short_rsa_key_signs_nothing() -> None:
    short = RSAKey.generate_key(1024, {"kid": "rsa"})
    source = KnownKeys([dict(short.as_dict(private=False))])
    with pytest.raises(TokenRefused):
        await verified(sign(good_claims(), "RS256", key=short), source=source)


async def test_a_token_of_another_type_is_refused() -> None:
    for header in ({"typ": "at+jwt"}, {"typ": "logout+jwt"}, {"crit": ["b64"], "b64": False}):
        with pytest.raises(TokenRefused):
            await verified(sign(good_claims(), header=header))


async def test_a_huge_token_is_refused_before_any_key_is_asked_for() -> None:
    source = KnownKeys()
    with pytest.raises(TokenRefused, match="longer"):
        await verified(sign(good_claims(padding="x" * LARGEST)), source=source)
    assert source.asked == []


async def test_a_claim_given_twice_is_refused() -> None:
    body = json.dumps(good_claims())[:-1] + ', "sub": "ben"}'
    head, _, signature = sign(good_claims()).split(".")
    with pytest.raises(TokenRefused):
        await verified(f"{head}.{segment(body.encode())}.{signature}")


async def test_a_second_form_of_the_same_signature_has_the_same_fingerprint() -> None:
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    token = sign(good_claims())
    signed, _, signature = token.rpartition(".")
    raw = base64.urlsafe_b64decode(signature + "==")
    s = order - int.from_bytes(raw[32:], "big")
    twin = f"{signed}.{segment(raw[:32] + s.to_bytes(32, 'big'))}"
    assert twin != token
    assert (await verified(twin)).fingerprint == (await verified(token)).fingerprint


async def test_an_unverified_address_is_not_anybodys_name() -> None:
    for doubt in (False, "false"):
        assert (await verified(sign(good_claims(email_verified=doubt)))).email == ""
    assert (await verified(sign(good_claims(email="a\x1b[31m@b")))).email == ""


@given(st.text(max_size=300))
async def test_any_text_is_a_token_or_refused(text: str) -> None:
    with pytest.raises(TokenRefused):
        await verified(text)


@given(
    st.dictionaries(
        st.sampled_from([*good_claims(), "nbf", "azp"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
            ),
            max_leaves=5,
        ),
    )
)
async def test_any_signed_claims_are_believed_or_refused(changes: dict[str, Any]) -> None:
    try:
        claims = await verified(sign(good_claims(**changes)))
    except TokenRefused:
        return
    assert claims.issuer == ISSUER
    assert claims.subject
