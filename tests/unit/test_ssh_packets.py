"""Which packets the SSH door leaves out."""

from __future__ import annotations

from asyncssh.constants import MSG_CHANNEL_DATA, MSG_IGNORE

from hoopagent.doors import ssh_algorithms, ssh_packets


class Sends:
    """As asyncssh does: an IGNORE before every packet, by the same way."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, tuple[bytes, ...], object]] = []

    def send_packet(self, kind: int, *parts: bytes, handler: object = None) -> None:
        if kind != MSG_IGNORE:
            self.send_packet(MSG_IGNORE, b"")
        self.sent.append((kind, parts, handler))


def test_an_ignore_is_left_out_and_nothing_else() -> None:
    connection = Sends()
    ssh_packets.leave_out_ignores(connection)
    connection.send_packet(MSG_CHANNEL_DATA, b"a", b"b", handler=connection)
    assert connection.sent == [(MSG_CHANNEL_DATA, (b"a", b"b"), connection)]
    assert ssh_packets.MSG_IGNORE == MSG_IGNORE


def test_the_door_offers_no_cipher_that_would_need_them() -> None:
    assert all(b"gcm" in name for name in ssh_algorithms.GCM)
