"""The login of a PostgreSQL connection, as transcripts."""

from __future__ import annotations

import base64
import hashlib
import os
import struct
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given, settings
from hypothesis import strategies as st

from hoopcore.protocols.postgres import scram, wire
from hoopcore.protocols.postgres.login import RANDOM, Admission, login
from hoopcore.stream import Cancel, Closed, LoginRefused, Opened
from tests.certificates import certificate
from tests.unit.login_play import ADMISSION, Play, Starved, fields, ready, startup

TLS = replace(ADMISSION, tls=True, verified=True)
SSL, GSS = wire.ssl_request(), struct.pack("!II", 8, wire.GSSENC_REQUEST)


def opened(play: Play) -> Opened:
    result = play.run()
    assert isinstance(result, Opened), (result, play.to_client)
    return result


def refused(play: Play) -> tuple[str, str]:
    """The SQLSTATE and the message the client got."""
    result = play.run()
    assert isinstance(result, Closed), result
    found = fields(play.to_client)
    assert found["S"] == b"FATAL"
    return found["C"].decode(), found["M"].decode()


def sent_to_target(play: Play) -> dict[str, str]:
    """The startup packet the target got."""
    assert wire.UINT32.unpack_from(play.to_target, 4)[0] == wire.PROTOCOL_3_2
    length = wire.UINT32.unpack_from(play.to_target)[0]
    found = wire.startup_parameters(play.to_target[8:length])
    return {name.decode(): value.decode() for name, value in found.items()}


# --- the whole of it ----------------------------------------------------------------------------


def test_a_login_replaces_user_and_secret_and_keeps_the_rest() -> None:
    play = Play([startup(application_name="psql", TimeZone="UTC")], [ready()])
    result = opened(play)
    assert sent_to_target(play) == {
        "user": "app_rw",
        "database": "shop",
        "TimeZone": "UTC",
        "application_name": "hoop:ann:s-1 psql",
    }
    assert play.to_client == b"", "nothing is said before the recording has begun"
    assert result.to_client == ready(secret=b"OURS")
    assert (result.pid, result.secret, result.client_secret) == (4711, b"THEM", b"OURS")
    assert result.parameters == {"server_version": "18.0", "client_encoding": "UTF8"}
    assert (result.database, result.application) == ("shop", "psql")


def test_the_target_is_connected_only_behind_the_admission() -> None:
    play = Play([startup()], [ready()])
    opened(play)
    assert play.steps.index("Identify") < play.steps.index("Admit") < play.steps.index("Connect")
    turned_away = Play([startup()], refusal=LoginRefused("28000", "no grant", "Ask for one."))
    assert refused(turned_away) == ("28000", "hoop: no grant")
    assert fields(turned_away.to_client)["H"] == b"Ask for one."
    assert "Connect" not in turned_away.steps


def test_the_login_wants_enough_randomness() -> None:
    with pytest.raises(ValueError, match="random"):
        next(login(b"x" * (RANDOM - 1)))


# --- the client's first packets -----------------------------------------------------------------


@pytest.mark.parametrize("asks", [[SSL], [GSS], [SSL, GSS], [GSS, SSL], [SSL + startup()]])
def test_encryption_is_declined_where_the_door_has_none(asks: list[bytes]) -> None:
    play = Play([*asks, startup()], [ready()])
    opened(play)
    assert play.to_client == b"N" * (2 if len(asks) == 2 else 1)


def test_a_client_gets_tls_where_the_door_has_it() -> None:
    play = Play([GSS, SSL, startup()], [ready()], client_tls=True)
    opened(play)
    assert play.to_client == b"NS"
    assert "StartTLS" in play.steps


def test_bytes_behind_a_granted_ssl_request_end_the_connection() -> None:
    play = Play([SSL + startup()], [ready()], client_tls=True)
    assert isinstance(play.run(), Closed)
    assert b"08P01" in play.to_client
    assert "Identify" not in play.steps


@pytest.mark.parametrize(
    "packet",
    [
        struct.pack("!I", 0),
        struct.pack("!I", 7),
        struct.pack("!I", 10_001),
        struct.pack("!i", -1),
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        struct.pack("!II", 12, wire.SSL_REQUEST) + b"more",
        struct.pack("!II", 9, wire.PROTOCOL_3_0) + b"x",
        struct.pack("!II", 8, wire.PROTOCOL_3_0),
        struct.pack("!II", 14, wire.PROTOCOL_3_0) + b"user\0\0",
        struct.pack("!II", 15, wire.PROTOCOL_3_0) + b"\0user\0\0",
        struct.pack("!II", 22, wire.PROTOCOL_3_0) + b"user\0a\0user\0b\0",
    ],
)
def test_a_malformed_first_packet_ends_the_connection(packet: bytes) -> None:
    assert refused(Play([packet]))[0] == "08P01"


@pytest.mark.parametrize("ask", [SSL, GSS])
def test_encryption_can_be_asked_for_once(ask: bytes) -> None:
    play = Play([ask, ask])
    assert isinstance(play.run(), Closed)


@pytest.mark.parametrize("version", [2 << 16, 4 << 16, 0, 1234 << 16 | 5677])
def test_another_protocol_is_refused(version: int) -> None:
    assert refused(Play([startup(version)]))[0] == "0A000"


@pytest.mark.parametrize(
    ("asked", "spoken"),
    [
        (wire.PROTOCOL_3_0, wire.PROTOCOL_3_0),
        (wire.PROTOCOL_3_2, wire.PROTOCOL_3_2),
        (wire.PROTOCOL_3_0 + 9999, wire.PROTOCOL_3_2),
    ],
)
def test_newer_versions_and_extensions_are_negotiated_down(asked: int, spoken: int) -> None:
    play = Play([startup(asked, **{"_pq_.compression": "on"})], [ready()])
    opened(play)
    assert play.to_client == wire.negotiate_protocol(spoken, [b"_pq_.compression"])
    assert "_pq_.compression" not in sent_to_target(play)


@pytest.mark.parametrize(("asked", "size"), [(0, 4), (1, 4), (2, 32), (3, 32)])
def test_a_client_of_3_2_gets_a_long_cancel_key_and_an_older_one_a_short(
    asked: int, size: int
) -> None:
    admission = replace(ADMISSION, client_secret=bytes(range(32)))
    play = Play([startup(wire.PROTOCOL_3_0 + asked)], [ready()], admission=admission)
    result = opened(play)
    assert result.client_secret == bytes(range(size))
    assert wire.backend_key_data(4711, bytes(range(size))) in result.to_client


def test_a_target_that_speaks_3_0_only_may_say_so_once() -> None:
    older = wire.negotiate_protocol(wire.PROTOCOL_3_0, [])
    assert opened(Play([startup()], [older, ready()])).secret == b"THEM"
    assert refused(Play([startup()], [older, older, ready()]))[0] == "08P01"
    newer = wire.negotiate_protocol(wire.PROTOCOL_3_2 + 1, [])
    assert refused(Play([startup()], [newer, ready()]))[0] == "08P01"
    unknown = wire.negotiate_protocol(wire.PROTOCOL_3_0, [b"_pq_.x"])
    assert refused(Play([startup()], [unknown, ready()]))[0] == "08P01"
    plain = replace(ADMISSION, newest=wire.PROTOCOL_3_0)
    assert refused(Play([startup()], [older, ready()], admission=plain))[0] == "08P01"


# --- several hosts ------------------------------------------------------------------------------


def reporting(standby: str, read_only: str = "off") -> bytes:
    """A host that says what it is, as PostgreSQL does since 14."""
    said = wire.parameter_status("in_hot_standby", standby)
    said += wire.parameter_status("default_transaction_read_only", read_only)
    return wire.authentication(0) + said + ready()[len(wire.authentication(0)) :]


PRIMARY, STANDBY, READ_ONLY = reporting("off"), reporting("on"), reporting("off", "on")


@pytest.mark.parametrize(
    ("attrs", "hosts", "found"),
    [
        ("any", [STANDBY, PRIMARY], 0),
        ("read-write", [STANDBY, READ_ONLY, PRIMARY], 2),
        ("read-only", [PRIMARY, STANDBY], 1),
        ("read-only", [PRIMARY, READ_ONLY], 1),
        ("primary", [STANDBY, READ_ONLY], 1),
        ("standby", [READ_ONLY, STANDBY], 1),
        ("prefer-standby", [PRIMARY, STANDBY], 1),
        ("prefer-standby", [PRIMARY, READ_ONLY, PRIMARY], 0),
    ],
)
def test_the_host_is_of_the_kind_that_is_wanted(attrs: str, hosts: list[bytes], found: int) -> None:
    admission = replace(ADMISSION, attrs=attrs, hosts=len(hosts))
    play = Play([startup()], [*hosts, *hosts], admission=admission)
    assert opened(play).host == found


@pytest.mark.parametrize("attrs", ["read-write", "primary"])
def test_no_host_of_that_kind_is_said(attrs: str) -> None:
    admission = replace(ADMISSION, attrs=attrs, hosts=2)
    code, text = refused(Play([startup()], [STANDBY, STANDBY], admission=admission))
    assert code == "08001"
    assert text == f'hoop: target "appdb" is to be {attrs}, and none of its 2 hosts is'


def answer(value: bytes) -> bytes:
    """One row of one value, with a change of a setting beside it."""
    row = wire.frame(wire.DATA_ROW, b"\0\1" + wire.UINT32.pack(len(value)) + value)
    said = row + wire.parameter_status("in_between", "1")
    return said + wire.frame(wire.COMMAND_COMPLETE, b"SELECT 1\0") + wire.ready_for_query()


ROLE = replace(ADMISSION, role="reader")


def test_an_imposed_role_stands_in_the_startup_packet_and_is_looked_at() -> None:
    play = Play([startup()], [ready(), answer(b"reader")], admission=ROLE)
    assert opened(play).parameters["in_between"] == "1"
    assert sent_to_target(play)["role"] == "reader"
    for otherwise in (b"app_rw", b"none", b""):
        play = Play([startup()], [ready(), answer(otherwise)], admission=ROLE)
        assert refused(play)[0] == "42501"


@pytest.mark.parametrize("code", ["22023", "42501", "42704"])
def test_a_role_that_cannot_be_had_is_named(code: str) -> None:
    error = wire.error_response("FATAL", code, 'permission denied to set role "reader"')
    found, text = refused(Play([startup()], [error], admission=ROLE))
    assert (found, 'be the role "reader"' in text) == (code, True)


def test_what_the_session_tells_of_its_names_is_given_on() -> None:
    admission = replace(ADMISSION, names=b"SELECT 'names'")
    play = Play([startup()], [ready(), answer(b"[1]")], admission=admission)
    assert opened(play).names == "[1]"
    assert wire.query(b"SELECT 'names'") in play.to_target


@pytest.mark.parametrize(
    "said",
    [
        wire.ready_for_query(),
        answer(b"a")[:-6] + answer(b"b"),
        wire.frame(wire.COPY_OUT, b"\0\0\0"),
        wire.ready_for_query(b"T"),
    ],
)
def test_a_target_that_does_not_answer_a_simple_question_ends_the_login(said: bytes) -> None:
    assert refused(Play([startup()], [ready(), said], admission=ROLE))[0] == "08P01"


POOLED = replace(ADMISSION, pooled=True)


def test_behind_a_pooler_only_what_it_keeps_by_client_goes_on() -> None:
    wish = {"client_encoding": "UTF8", "TimeZone": "UTC", "extra_float_digits": "3"}
    play = Play([startup(**wish)], [ready()], admission=POOLED)
    opened(play)
    sent = sent_to_target(play)
    assert (sent["client_encoding"], sent["TimeZone"]) == ("UTF8", "UTC")
    assert "extra_float_digits" not in sent
    code, text = refused(Play([startup(search_path="public")], [ready()], admission=POOLED))
    assert (code, "cannot be kept by the pooler" in text) == ("42501", True)


def test_an_older_host_is_asked_what_it_is() -> None:
    admission = replace(ADMISSION, attrs="read-write", hosts=2)
    old = [ready(), answer(b"t"), answer(b"off"), ready(), answer(b"f"), answer(b"off")]
    play = Play([startup()], old, admission=admission)
    assert opened(play).host == 1
    assert play.to_target.count(b"pg_is_in_recovery") == 2


def test_a_host_that_starts_up_is_passed_over_and_one_that_says_no_ends_it() -> None:
    admission = replace(ADMISSION, hosts=2)
    starting = wire.error_response("FATAL", "57P03", "the database system is starting up")
    assert opened(Play([startup()], [starting, ready()], admission=admission)).host == 1
    denied = wire.error_response("FATAL", "28P01", "password authentication failed")
    play = Play([startup()], [denied, ready()], admission=admission)
    assert refused(play)[0] == "28P01"
    assert play.steps.count("Connect") == 1


@pytest.mark.parametrize("secret", [b"1234", b"x" * 32, b"x" * 256])
def test_a_cancel_request_is_told_apart(secret: bytes) -> None:
    assert Play([wire.cancel_request(99, secret)]).run() == Cancel(99, secret)


@pytest.mark.parametrize("secret", [b"", b"123", b"x" * 257])
def test_a_malformed_cancel_request_ends_the_connection(secret: bytes) -> None:
    assert refused(Play([wire.cancel_request(99, secret)]))[0] == "08P01"


def test_a_startup_packet_without_a_user_is_refused() -> None:
    assert refused(Play([startup(user="")]))[0] == "28000"


# --- what a startup packet may ask for ----------------------------------------------------------


@pytest.mark.parametrize("value", ["true", "database", "1", "on", "maybe"])
def test_replication_is_refused(value: str) -> None:
    assert refused(Play([startup(replication=value)]))[0] == "42501"


def test_replication_that_is_off_is_none() -> None:
    play = Play([startup(replication="false")], [ready()])
    opened(play)
    assert "replication" not in sent_to_target(play)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("role", "postgres"),
        ("session_authorization", "postgres"),
        ("standard_conforming_strings", "off"),
        ("backslash_quote", "on"),
        ("search_path", "evil, pg_catalog"),
        ("search_path", "PG_TEMP"),
        ("search_path", '"pg_catalog"'),
        ("search_path", "a; drop"),
        ("session_preload_libraries", "evil"),
        ("row_security", "off"),
        ("log_statement", "none"),
        ("TimeZone", "é"),
        ("no such thing", "1"),
    ],
)
def test_a_setting_outside_the_list_is_refused_either_way(name: str, value: str) -> None:
    assert refused(Play([startup(**{name: value})]))[0] == "42501"
    escaped = value.replace(" ", "\\ ")
    for options in (f"-c {name}={escaped}", f"-c{name}={escaped}", f"--{name}={escaped}"):
        if " " not in name:
            assert refused(Play([startup(options=options)]))[0] == "42501"


@pytest.mark.parametrize(
    "sent",
    [
        {"client_encoding": "'utf-8'"},  # asyncpg
        {"client_encoding": "UTF8", "DateStyle": "ISO", "extra_float_digits": "2"},  # JDBC
        {"extra_float_digits": "2", "datestyle": "ISO, MDY"},  # lib/pq
        {"search_path": "public,app"},
        {"search_path": '"$user", public'},
        {"statement_timeout": "5s", "idle_in_transaction_session_timeout": "1000"},  # node-pg
        {"jit": "off"},
        {"standard_conforming_strings": "on"},
    ],
)
def test_what_drivers_send_goes_on(sent: dict[str, str]) -> None:
    play = Play([startup(**sent)], [ready()])
    opened(play)
    got = {name.lower(): value for name, value in sent_to_target(play).items()}
    assert {name.lower(): value for name, value in sent.items()}.items() <= got.items()


def test_options_are_read_as_postgresql_reads_them() -> None:
    options = r"-c statement-timeout=5s  --lock_timeout=7 -cDateStyle=ISO,\ DMY  -c jit=off\\"
    play = Play([startup(options=options, jit="on")], [ready()])
    opened(play)
    got = sent_to_target(play)
    assert got["statement_timeout"] == "5s"
    assert got["lock_timeout"] == "7"
    assert got["DateStyle"] == "ISO, DMY"
    assert got["jit"] == "on", "a parameter of its own counts more than one in options"
    assert "options" not in got


@pytest.mark.parametrize(
    "options", ["-c", "-c jit", "-d 5", "--", "-x", "jit=off", "-c jit=off -W", "-cjit", "\\-"]
)
def test_options_of_another_form_are_refused(options: str) -> None:
    assert refused(Play([startup(options=options)]))[0] in ("42501", "42601")


@pytest.mark.parametrize(
    ("asked", "given"), [("", "shop"), ("e-1", "shop"), ("crm", "crm"), ("shop", "shop")]
)
def test_the_database_is_one_of_the_targets(asked: str, given: str) -> None:
    play = Play([startup(database=asked)], [ready()])
    assert opened(play).database == given
    assert sent_to_target(play)["database"] == given
    assert play.admit is not None
    assert play.admit.database == ("" if asked == "e-1" else asked)


def test_another_database_is_refused() -> None:
    play = Play([startup(database="postgres")], [ready()])
    assert refused(play)[0] == "3D000"
    assert fields(play.to_client)["H"] == b"It has: shop, crm"
    assert play.to_target == b""


def test_the_label_comes_first_and_the_name_is_cut_and_ascii() -> None:
    long = replace(ADMISSION, label="hoop:" + "a" * 50 + ":s-1 ")
    play = Play([startup(application_name="dbeaver é")], [ready()], admission=long)
    opened(play)
    assert sent_to_target(play)["application_name"] == "hoop:" + "a" * 50 + ":s-1 dbe"
    play = Play([startup(application_name="café\n")], [ready()])
    opened(play)
    assert sent_to_target(play)["application_name"] == "hoop:ann:s-1 caf??"


# --- the client's password ----------------------------------------------------------------------

SALT = b"0123456789abcdef"
VERIFIER = scram.make_verifier("right", SALT, 2)


class Proving(Play):
    """A client that knows a password and answers what it is asked."""

    def prove(self, password: str, mechanism: str = "SCRAM-SHA-256") -> None:
        exchange = scram.ClientExchange(password, b"client-nonce-of-24-chars")
        self.client.append(wire.sasl_initial(mechanism, exchange.first()))
        heard: list[bytes] = []
        with pytest.raises(Starved):
            replace(self, client=list(self.client), to_client=b"").run_into(heard)
        challenge = heard[-1]
        self.client.append(wire.password_message(exchange.final(challenge)))

    def run_into(self, heard: list[bytes]) -> None:
        try:
            self.run()
        finally:
            at = 0
            while at < len(self.to_client):
                kind, length = wire.HEADER.unpack_from(self.to_client, at)
                if kind == wire.AUTHENTICATION:
                    heard.append(self.to_client[at + 9 : at + 1 + length])
                at += 1 + length


def test_a_client_with_the_right_password_is_let_in() -> None:
    play = Proving([startup()], [ready()], verifier=VERIFIER)
    play.prove("right")
    opened(play)
    assert play.to_client.startswith(wire.authentication(10, b"SCRAM-SHA-256\0\0"))
    assert play.steps.index("Identify") < play.steps.index("Admit")


def test_a_wrong_password_sounds_like_an_unknown_name() -> None:
    wrong = Proving([startup()], [ready()], verifier=VERIFIER)
    wrong.prove("wrong")
    assert refused(wrong)[0] == "28P01"
    nobody = Proving([startup()], [ready()], verifier=scram.mock_verifier("e-1", b"key"))
    nobody.prove("right")
    assert refused(nobody)[0] == "28P01"
    assert fields(wrong.to_client) == fields(nobody.to_client)
    assert wrong.steps == nobody.steps
    assert len(wrong.to_client) - len(str(2)) == len(nobody.to_client) - len(str(4096))
    assert "Admit" not in wrong.steps


@pytest.mark.parametrize(
    "answer",
    [
        wire.query(b"select 1"),
        wire.password_message(b"right\0"),
        wire.password_message(b""),
        wire.sasl_initial("SCRAM-SHA-256-PLUS", b"n,,n=,r=abc"),
        wire.sasl_initial("SCRAM-SHA-256", b"nonsense"),
        wire.password_message(b"SCRAM-SHA-256\0" + struct.pack("!i", -1)),
        b"p" + struct.pack("!I", 5_000),
        b"p" + struct.pack("!I", 3),
    ],
)
def test_a_malformed_proof_ends_the_connection(answer: bytes) -> None:
    assert refused(Play([startup(), answer], verifier=VERIFIER))[0] == "08P01"


# --- the target's side --------------------------------------------------------------------------


def test_tls_comes_before_the_first_word() -> None:
    play = Play([startup()], [b"S", ready()], admission=TLS)
    opened(play)
    assert play.to_target.startswith(wire.ssl_request())
    assert play.steps.index("StartTLS") > play.steps.index("Connect")


@pytest.mark.parametrize("answer", [b"N", b"E", b"X"])
def test_a_target_without_tls_hears_nothing(answer: bytes) -> None:
    play = Play([startup()], [answer], admission=TLS)
    assert refused(play)[0] == "08001"
    assert play.to_target == wire.ssl_request()


def test_bytes_of_the_target_behind_its_yes_to_tls_end_the_login() -> None:
    play = Play([startup()], [b"S" + ready()], admission=TLS)
    assert refused(play)[0] == "08P01"
    assert play.to_target == wire.ssl_request()


def test_md5_is_answered_as_postgresql_wants_it() -> None:
    allowing = replace(ADMISSION, require_auth=frozenset({"md5"}))
    play = Play([startup()], [wire.authentication(5, b"salt") + ready()], admission=allowing)
    opened(play)
    inner = hashlib.md5(b"s3cretapp_rw").hexdigest().encode()
    expected = b"md5" + hashlib.md5(inner + b"salt").hexdigest().encode() + b"\0"
    assert play.to_target.endswith(wire.password_message(expected))


def test_a_password_goes_in_clear_over_tls_only() -> None:
    play = Play([startup()], [b"S", wire.authentication(3) + ready()], admission=TLS)
    opened(play)
    assert play.to_target.endswith(wire.password_message(b"s3cret\0"))
    play = Play([startup()], [wire.authentication(3) + ready()])
    assert refused(play)[0] == "28000"
    assert b"s3cret" not in play.to_target


EVERYTHING = frozenset({"md5", "password", "scram-sha-256", "none"})


@pytest.mark.parametrize(
    ("asked", "admission"),
    [
        (wire.authentication(3), ADMISSION),
        (wire.authentication(3), replace(ADMISSION, require_auth=EVERYTHING)),
        (wire.authentication(3), replace(ADMISSION, tls=True, require_auth=EVERYTHING)),
        (wire.authentication(3), replace(ADMISSION, tls=True)),
        (wire.authentication(3), replace(TLS, require_auth=frozenset({"scram-sha-256"}))),
        (wire.authentication(3), replace(TLS, require_auth=frozenset({"md5"}))),
        (wire.authentication(5, b"salt"), ADMISSION),
        (wire.authentication(5, b"salt"), replace(ADMISSION, tls=True)),
        (wire.authentication(5, b"salt"), replace(TLS, require_auth=frozenset({"password"}))),
        (wire.authentication(0), replace(TLS, require_auth=frozenset({"scram-sha-256"}))),
    ],
)
def test_a_target_cannot_choose_a_weaker_proof(asked: bytes, admission: Admission) -> None:
    said = [b"S", asked + ready()] if admission.tls else [asked + ready()]
    play = Play([startup()], said, admission=admission)
    assert refused(play)[0] == "28000"
    assert b"s3cret" not in play.to_target
    assert b"md5" not in play.to_target


def test_scram_without_its_binding_can_be_ruled_out() -> None:
    admission = replace(TLS, require_auth=frozenset({"scram-sha-256-plus"}))
    offered = wire.authentication(10, b"SCRAM-SHA-256\0\0")
    assert refused(Play([startup()], [b"S", offered], admission=admission))[0] == "28000"


@pytest.mark.parametrize("code", [2, 5, 6, 7, 9, 11, 12, 99])
def test_other_kinds_of_sign_in_are_refused(code: int) -> None:
    assert refused(Play([startup()], [wire.authentication(code)]))[0] == "28000"


def test_a_password_that_is_asked_for_and_not_known_is_said_plainly() -> None:
    play = Play(
        [startup()], [wire.authentication(5, b"salt")], admission=replace(ADMISSION, password=None)
    )
    assert refused(play) == (
        "28000",
        'hoop: target "appdb" asks for a password, and its credential has none',
    )


def test_a_second_request_for_authentication_is_refused() -> None:
    asks = [b"S", wire.authentication(5, b"salt"), wire.authentication(3)]
    assert refused(Play([startup()], asks, admission=TLS))[0] == "08P01"


SASL = wire.authentication(10, b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0")


def scram_target(password: str, *, lie: bool = False) -> Play:
    """A login to a target that knows this password, up to the end of the exchange."""
    nonce = base64.b64encode(bytes(range(18, 36)))
    server = scram.ServerExchange(
        scram.make_verifier(password, SALT, 2), b"target-nonce-24-chars-ok"
    )
    play = Play([startup()], [SASL, wire.authentication(11, server.first(b"n,,n=,r=" + nonce))])
    with pytest.raises(Starved):
        replace(play, target=list(play.target), client=list(play.client)).run_and_keep(play)
    at = play.to_target.rindex(b"p\0")
    signature = b"v=" + base64.b64encode(b"x" * 32)
    if not lie:
        signature = server.final(play.to_target[at + 5 :])
    play.target += [wire.authentication(12, signature)]
    play.to_target = b""
    return play


def test_what_a_target_makes_us_compute_is_computed_beside_the_loop() -> None:
    """How long it takes is for the target to say, up to half a second."""
    play = scram_target("s3cret")
    play.target += [ready()]
    opened(play)
    assert "Aside" in play.steps


def test_scram_with_the_target_goes_both_ways() -> None:
    play = scram_target("s3cret")
    play.target += [ready()]
    opened(play)
    assert b"s3cret" not in play.to_target


@pytest.mark.parametrize(
    ("offered", "mechanism", "flag"),
    [
        (SASL, b"SCRAM-SHA-256-PLUS\0", b"p=tls-server-end-point,,"),
        (wire.authentication(10, b"SCRAM-SHA-256\0\0"), b"SCRAM-SHA-256\0", b"y,,"),
    ],
)
def test_over_tls_scram_is_bound_to_it_or_says_that_it_could_be(
    offered: bytes, mechanism: bytes, flag: bytes
) -> None:
    der = certificate(ec.generate_private_key(ec.SECP256R1()))
    play = Play([startup()], [b"S", offered], admission=TLS, certificate=der)
    with pytest.raises(Starved):
        play.run()
    first = play.to_target[play.to_target.rindex(mechanism) :]
    assert first[len(mechanism) + 4 :].startswith(flag + b"n=,r=")


def test_a_target_that_does_not_prove_the_password_is_left() -> None:
    play = scram_target("s3cret", lie=True)
    play.target += [ready()]
    code, text = refused(play)
    assert code == "28000"
    assert "did not prove" in text


@pytest.mark.parametrize("skipping", [[SASL, ready()], [SASL, wire.authentication(12, b"v=x")]])
def test_a_target_cannot_break_off_scram(skipping: list[bytes]) -> None:
    assert refused(Play([startup()], skipping))[0] == "08P01"


def test_a_target_with_other_mechanisms_only_is_refused() -> None:
    assert refused(Play([startup()], [wire.authentication(10, b"OAUTHBEARER\0\0")]))[0] == "28000"


@pytest.mark.parametrize("code", ["28P01", "28000", "53300", "57P03", "3D000", "XX000", "22023"])
def test_an_error_of_the_target_keeps_its_code_and_not_its_text(code: str) -> None:
    error = wire.error_response("FATAL", code, 'role "app_rw" at 10.0.0.7 is not here', "psst")
    play = Play([startup()], [error])
    found, text = refused(play)
    assert found == code
    for private in (b"app_rw", b"10.0.0.7", b"psst"):
        assert private not in play.to_client
    assert text.startswith('hoop: target "appdb" ')
    assert fields(play.to_client)["H"]


def test_notices_of_a_login_are_left_out() -> None:
    notice = wire.notice_response("MD5 password of app_rw is old")
    play = Play([startup()], [notice + wire.authentication(0) + notice + ready()[9:]])
    assert b"app_rw" not in opened(play).to_client


@pytest.mark.parametrize("encoding", ["SJIS", "BIG5", "GBK", "UHC", "GB18030", "JOHAB", ""])
def test_an_encoding_that_hides_ascii_is_refused(encoding: str) -> None:
    assert refused(Play([startup()], [ready(encoding=encoding)]))[0] == "22023"


def test_a_target_that_gives_no_key_gets_no_cancel() -> None:
    said = wire.authentication(0) + wire.parameter_status("client_encoding", "UTF8")
    result = opened(Play([startup()], [said + wire.ready_for_query()]))
    assert (result.pid, result.secret) == (0, b"")
    assert result.to_client == said + wire.ready_for_query()


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 400 Bad Request\r\n",
        b"R" + struct.pack("!i", -1),
        b"R" + struct.pack("!I", 0x7FFFFFFF),
        b"R" + struct.pack("!I", 4),
        wire.ready_for_query(),
        wire.authentication(0) + wire.ready_for_query(b"T"),
        wire.authentication(0) + wire.frame(wire.DATA_ROW, b"\0\0"),
        wire.authentication(0) + wire.backend_key_data(1, b"123"),
        wire.authentication(0) + wire.frame(wire.PARAMETER_STATUS, b"no end"),
        wire.authentication(0) + wire.parameter_status("a", "b") * 1_000,
        wire.authentication(0) + wire.parameter_status("a", "b" * 50_000) * 6,
        wire.notice_response("again") * 1_000,
        wire.frame(wire.ERROR, b"CXX"),
    ],
)
def test_a_target_that_speaks_otherwise_ends_the_login(said: bytes) -> None:
    assert refused(Play([startup()], [said]))[0] == "08P01"


# --- anything at all ----------------------------------------------------------------------------

NAMES = st.sampled_from(
    ["user", "database", "options", "replication", "client_encoding", "_pq_.x", "role", "é", ""]
)
TEXTS = st.text(max_size=12).map(lambda text: text.replace("\0", ""))
BODIES = st.one_of(
    st.binary(max_size=40),
    st.lists(st.tuples(NAMES, TEXTS), max_size=5).map(
        lambda pairs: b"".join(f"{a}\0{b}\0".encode() for a, b in pairs) + b"\0"
    ),
)
CODES = st.sampled_from(
    [wire.PROTOCOL_3_0, wire.PROTOCOL_3_2, wire.SSL_REQUEST, wire.GSSENC_REQUEST,
     wire.CANCEL_REQUEST, 2 << 16, 0]
)  # fmt: skip
PACKETS = st.tuples(CODES, BODIES).map(
    lambda found: struct.pack("!II", len(found[1]) + 8, found[0]) + found[1]
)
PROOFS = st.one_of(
    st.binary(max_size=60).map(wire.password_message),
    st.binary(max_size=60).map(lambda data: wire.sasl_initial("SCRAM-SHA-256", data)),
    st.sampled_from([b"n,,n=,r=abc", b"c=biws,r=abc,p=", b"y,,"]).map(wire.password_message),
)
FRAMES = st.one_of(
    st.tuples(st.sampled_from(b"RSKZENv1DT"), st.binary(max_size=30)).map(
        lambda found: wire.frame(*found)
    ),
    st.tuples(st.sampled_from([0, 3, 5, 10, 11, 12]), st.binary(max_size=30)).map(
        lambda found: wire.authentication(*found)
    ),
    st.sampled_from([ready(), SASL, wire.ready_for_query(), b"S", b"N"]),
)


@pytest.mark.timeout(3600 if os.environ.get("HOOP_LONG") else 300)
@settings(max_examples=100_000 if os.environ.get("HOOP_LONG") else 3_000, deadline=None)
@given(
    st.lists(st.one_of(PACKETS, PROOFS), min_size=1, max_size=4),
    st.lists(FRAMES, max_size=6),
    st.booleans(),
    st.booleans(),
)
def test_any_well_framed_bytes_are_understood_or_end_the_login(
    client: list[bytes], target: list[bytes], asks: bool, tls: bool
) -> None:
    play = Play(
        [startup(), *client] if asks else client,
        target,
        verifier=VERIFIER if asks else None,
        admission=TLS if tls else ADMISSION,
    )
    try:
        assert isinstance(play.run(), Opened | Cancel | Closed)
    except Starved:
        return
