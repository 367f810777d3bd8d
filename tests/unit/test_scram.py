"""SCRAM-SHA-256, against the RFC's own example and an implementation nobody here wrote."""

from __future__ import annotations

import base64

import pytest
import scramp
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.protocols.postgres import scram
from hoopcore.protocols.postgres.scram import ClientExchange, ServerExchange, WrongPassword
from hoopcore.stream import ProtocolError
from tests.certificates import certificate

SALT = b"0123456789abcdef"
OURS = b"server-nonce-of-24-chars"
THEIRS = b"client-nonce-of-24-chars"


def exchange(client: ClientExchange, server: ServerExchange) -> None:
    client.verify(server.final(client.final(server.first(client.first()))))


def test_the_rfcs_example_gives_the_rfcs_messages() -> None:
    # RFC 7677, section 3; the user name is "user" there and nobody's in PostgreSQL.
    salt = base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
    nonce = rb"%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
    server = ServerExchange(scram.make_verifier("pencil", salt), nonce)
    assert server.first(b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO") == (
        rb"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    )
    signature = server.final(
        rb"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
        rb"p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    )
    assert signature == b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@settings(max_examples=20, deadline=None)
@given(st.text(min_size=1, max_size=20))
def test_both_ends_agree_on_every_password(password: str) -> None:
    verifier = scram.make_verifier(password, SALT, 2)
    exchange(ClientExchange(password, THEIRS), ServerExchange(verifier, OURS))


def test_a_wrong_password_is_refused() -> None:
    server = ServerExchange(scram.make_verifier("right", SALT, 2), OURS)
    with pytest.raises(WrongPassword):
        exchange(ClientExchange("wrong", THEIRS), server)


def test_a_server_that_does_not_know_the_password_is_found_out() -> None:
    client = ClientExchange("right", THEIRS)
    server = ServerExchange(scram.make_verifier("right", SALT, 2), OURS)
    server.final(client.final(server.first(client.first())))
    with pytest.raises(WrongPassword):
        client.verify(b"v=" + base64.b64encode(b"x" * 32))


def test_a_servers_last_word_before_its_first_proves_nothing() -> None:
    with pytest.raises(ProtocolError):
        ClientExchange("right", THEIRS).verify(b"v=" + base64.b64encode(b""))


def test_a_mock_verifier_is_stable_and_satisfied_by_nobody() -> None:
    verifier = scram.mock_verifier("e-nobody", b"key")
    assert verifier == scram.mock_verifier("e-nobody", b"key")
    assert verifier.salt != scram.mock_verifier("e-somebody", b"key").salt
    assert len(verifier.salt) == 16
    with pytest.raises(WrongPassword):
        exchange(ClientExchange("", THEIRS), ServerExchange(verifier, OURS))


def test_scramp_as_a_client_is_let_in_by_our_server() -> None:
    server = ServerExchange(scram.make_verifier("pässword", SALT), OURS)
    client = scramp.ScramClient(["SCRAM-SHA-256"], "anybody", "pässword")
    client.set_server_first(server.first(client.get_client_first().encode()).decode())
    client.set_server_final(server.final(client.get_client_final().encode()).decode())


@pytest.mark.parametrize("password", ["pencil", "pässword", "a\u00adb", "Ⅸ", "a\u00a0b"])
def test_a_verifier_is_the_one_scramp_makes(password: str) -> None:
    found = scramp.ScramMechanism("SCRAM-SHA-256").make_auth_info(password, salt=SALT)
    ours = scram.make_verifier(password, SALT, found[3])
    assert (ours.salt, ours.stored_key, ours.server_key) == found[:3]


@pytest.mark.parametrize("password", ["\u0627a", "\u06271", "é\ue000", "\u00ad", "\u0007é"])
def test_a_password_that_saslprep_refuses_stays_as_it_is(password: str) -> None:
    assert scram.saslprep(password) == password


def test_a_password_from_right_to_left_is_prepared() -> None:
    assert scram.saslprep("\u0627\u00ad1\u0628") == "\u06271\u0628"


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"n,,n=,r=",
        b"n,,m=ext,n=,r=abc",
        b"n,a=other,n=,r=abc",
        b"p=tls-unique,,n=,r=abc",
        b"x,,n=,r=abc",
        b"n,,n=,r=a\x00b",
    ],
)
def test_a_malformed_first_message_is_a_protocol_error(message: bytes) -> None:
    server = ServerExchange(scram.make_verifier("p", SALT, 2), OURS)
    with pytest.raises(ProtocolError):
        server.first(message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"c=biws,r=" + THEIRS + OURS,
        b"c=biws,r=" + OURS + b",p=" + base64.b64encode(b"x" * 32),
        b"c=eSws,r=" + THEIRS + OURS + b",p=" + base64.b64encode(b"x" * 32),
        b"c=biws,r=" + THEIRS + OURS + b",p=" + base64.b64encode(b"x" * 31),
        b"c=biws,r=" + THEIRS + OURS + b",p=%%%",
        b"c=\xff,r=" + THEIRS + OURS + b",p=" + base64.b64encode(b"x" * 32),
    ],
)
def test_a_malformed_last_message_is_a_protocol_error(message: bytes) -> None:
    server = ServerExchange(scram.make_verifier("p", SALT, 2), OURS)
    server.first(b"n,,n=,r=" + THEIRS)
    with pytest.raises(ProtocolError):
        server.final(message)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"r=other,s=MDEy,i=4096",
        b"r=" + THEIRS + b",s=MDEy,i=4096",  # nothing added to our nonce
        b"r=" + THEIRS + b"x,s=MDEy,i=0",
        b"r=" + THEIRS + b"x,s=MDEy,i=999999999",
        b"r=" + THEIRS + b"x,s=%%%,i=4096",
        b"r=" + THEIRS + b"x,s=MDEy,i=-1",
    ],
)
def test_a_malformed_or_costly_challenge_is_a_protocol_error(message: bytes) -> None:
    with pytest.raises(ProtocolError):
        ClientExchange("p", THEIRS).final(message)


def test_a_last_message_that_is_none_is_a_protocol_error() -> None:
    client = ClientExchange("p", THEIRS)
    client.final(b"r=" + THEIRS + b"x,s=MDEy,i=1")
    with pytest.raises(ProtocolError):
        client.verify(b"e=other-error")


def test_a_nonce_must_be_usable() -> None:
    with pytest.raises(ValueError, match="nonce"):
        ServerExchange(scram.make_verifier("p", SALT, 2), b"too,short")


def test_the_end_point_is_hashed_as_the_certificate_was_signed() -> None:
    der = certificate(ec.generate_private_key(ec.SECP256R1()))
    found = scram.end_point(der)
    assert found is not None
    assert len(found) == 48


def test_where_the_rfc_names_no_hash_there_is_no_end_point() -> None:
    assert scram.end_point(certificate(ed25519.Ed25519PrivateKey.generate())) is None
    assert scram.end_point(b"not a certificate") is None


def test_a_verifier_is_written_as_postgresql_keeps_it() -> None:
    verifier = scram.make_verifier("pencil", b"salt" * 4)
    assert verifier.text.startswith("SCRAM-SHA-256$4096:c2FsdHNhbHRzYWx0c2FsdA==$")
    stored, _, server = verifier.text.rpartition("$")[2].partition(":")
    assert base64.b64decode(stored) == verifier.stored_key
    assert base64.b64decode(server) == verifier.server_key
