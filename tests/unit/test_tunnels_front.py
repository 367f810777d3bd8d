"""What a client meets at a tunnel's near end, and what is told of it without a network."""

from __future__ import annotations

import asyncio

import asyncssh
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcli.tunnels import front, records, ssh_agent
from hoopcli.tunnels.records import Record
from hoopcore.protocols.postgres import wire

frames = st.lists(
    st.tuples(st.sampled_from(list(b"DCZTE")), st.binary(max_size=30)), min_size=1, max_size=8
)


@given(frames, st.lists(st.integers(1, 40), max_size=20))
def test_chunking_never_changes_where_a_frame_is_seen_to_end(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    whole = [wire.frame(kind, body) for kind, body in sent]
    ends, place = set(), 0
    for one in whole:
        place += len(one)
        ends.add(place)
    data, seen, done = b"".join(whole), front.Frames(), 0
    for size in [*cuts, len(data)]:
        seen.feed(data[done : done + size])
        done = min(done + size, len(data))
        assert seen.between == (done in ends or done == 0)
    assert seen.fatal == (sent[-1][0] == wire.ERROR)


def start(**given: str) -> front.Start:
    return front.Start(wire.startup_message(given)[4:], given.get("database", ""))


def test_a_lane_that_knows_its_user_by_name_gets_that_name() -> None:
    sent = start(user="hoop", database="shop", options="-c x=y").as_user("e-1")
    assert int.from_bytes(sent[:4], "big") == len(sent)
    expected = {b"user": b"e-1", b"database": b"shop", b"options": b"-c x=y"}
    assert wire.startup_parameters(sent[8:]) == expected


def test_the_database_that_libpq_makes_of_the_user_is_none() -> None:
    sent = start(user="hoop", database="hoop").as_user("e-1")
    assert wire.startup_parameters(sent[8:]) == {b"user": b"e-1"}


def test_a_lane_that_knows_its_user_already_gets_the_packet_as_it_came() -> None:
    packet = wire.startup_message({"user": "hoop", "database": "shop"})
    assert front.Start(packet[4:], "shop").as_user("") == packet


TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000   112        0 1
   1: 0100007F:1538 0100007F:D2F0 01 00000000:00000000 00:00000000 00000000   112        0 2
   2: 0100007F:D2F0 0100007F:1538 01 00000000:00000000 00:00000000 00000000  1001        0 3
"""


def test_the_kernel_says_whose_the_other_end_of_a_loopback_connection_is() -> None:
    peer, here = ("127.0.0.1", 0xD2F0), ("127.0.0.1", 5432)
    assert front.uid_of_tcp(peer, here, TABLE) == 1001
    assert front.uid_of_tcp(("127.0.0.1", 1), here, TABLE) is None
    assert front.uid_of_listener(5432, TABLE) == 112
    assert front.uid_of_listener(5433, TABLE) is None


def test_a_password_is_another_one_for_each_machine_person_agent_target_and_turn() -> None:
    one = Record("eu:7722", "prod-db", "shop", 5432)
    made = {
        records.password("secret", "SHA256:a", "p-1", one),
        records.password("other", "SHA256:a", "p-1", one),
        records.password("secret", "SHA256:b", "p-1", one),
        records.password("secret", "SHA256:a", "p-2", one),
        records.password("secret", "SHA256:a", "p-1", Record("eu:7722", "x", "shop", 5432)),
        records.password("secret", "SHA256:a", "p-1", records.turned(one, 0)),
    }
    assert len(made) == 6
    assert {len(password) for password in made} == {22}
    moved = Record("eu.example.com:7722", "prod-db", "reports", 5433)
    assert records.password("secret", "SHA256:a", "p-1", moved) in made


# --- the ssh-agent --------------------------------------------------------------------------------


@pytest.fixture
def identity() -> ssh_agent.Identity:
    ca, key = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    certificate = ca.generate_user_certificate(key, "p-1", principals=["p-1"])
    return ssh_agent.Identity.of(
        key.export_private_key().decode(), certificate.export_certificate().decode()
    )


async def asked(identity: ssh_agent.Identity | None, *requests: bytes) -> list[bytes]:
    """The answers to these requests, and then whether the agent hangs up."""

    async def known() -> ssh_agent.Identity | None:
        return identity

    answers: list[bytes] = []

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ssh_agent.serve(known, reader, writer)
        writer.close()

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    for request in requests:
        writer.write(len(request).to_bytes(4, "big") + request)
        length = int.from_bytes(await reader.readexactly(4), "big")
        answers.append(await reader.readexactly(length))
    writer.close()
    await writer.wait_closed()
    server.close()
    return answers


def string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


async def test_the_ssh_agent_lists_the_certificate_and_signs_with_it(
    identity: ssh_agent.Identity,
) -> None:
    sign = bytes([13]) + string(identity.certificate) + string(b"session") + bytes(4)
    listed, signed = await asked(identity, bytes([11]), sign)
    assert identity.certificate in listed
    assert signed[0] == 14
    signature = signed[5:]
    assert identity.key.convert_to_public().verify(b"session", signature)


async def test_the_ssh_agent_does_nothing_else(identity: ssh_agent.Identity) -> None:
    other = asyncssh.generate_private_key("ssh-ed25519").public_data
    sign = bytes([13]) + string(other) + string(b"session") + bytes(4)
    # Signing for another key, a cut request, adding, removing all, locking, an extension.
    requests = [sign, bytes([13, 0]), bytes([17]), bytes([19]), bytes([22]), bytes([27])]
    assert await asked(identity, *requests) == [bytes([5])] * len(requests)


async def test_the_ssh_agent_of_who_is_signed_out_is_empty() -> None:
    listed, signed = await asked(None, bytes([11]), bytes([13]) + string(b"") + string(b""))
    assert listed == bytes([12, 0, 0, 0, 0])
    assert signed == bytes([5])
