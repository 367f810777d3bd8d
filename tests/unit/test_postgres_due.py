"""Which reply answers which message, case by case; test_due_oracle asks a real server."""

from __future__ import annotations

import pytest

from hoopcore.protocols.postgres import wire
from hoopcore.protocols.postgres.due import MOST_DUE, Due, Message, State
from hoopcore.stream import ProtocolError


class Talk:
    """Sends messages by their letters and takes replies by theirs."""

    def __init__(self) -> None:
        self.due: Due[Message] = Due()

    def send(self, letters: str) -> list[bool]:
        return [self.due.send(Message(kind)) for kind in letters.encode()]

    def reply(self, letters: str) -> str:
        """The letters of the messages that these replies answer."""
        answered = ""
        for kind in letters.encode():
            if kind == wire.ERROR:
                answered += chr(self.due.error("22012")[0].kind)
            else:
                answered += chr(self.due.reply(kind).kind)
        return answered


@pytest.fixture
def talk() -> Talk:
    return Talk()


def test_replies_come_in_the_order_of_the_messages(talk: Talk) -> None:
    talk.send("PBDES")
    assert talk.reply("12TDCZ") == "PBDEES"
    assert talk.due.empty


def test_query_with_several_statements_is_one_message(talk: Talk) -> None:
    talk.send("QQ")
    assert talk.reply("TDDCCZ" + "IZ") == "QQQQQQ" + "QQ"


def test_error_skips_everything_up_to_the_next_sync_even_queries(talk: Talk) -> None:
    talk.send("PBQFES" + "Q")
    failed, skipped = talk.due.error("42601")
    assert chr(failed.kind) == "P"
    assert [chr(message.kind) for message in skipped] == list("BQFE")
    assert talk.reply("ZCZ") == "SQQ"


def test_what_is_sent_while_skipping_is_never_answered(talk: Talk) -> None:
    talk.send("P")
    talk.due.error("42601")
    assert talk.send("BQ") == [False, False]
    assert talk.send("SQ") == [True, True]
    assert talk.reply("ZCZ") == "SQQ"


def test_error_in_a_query_skips_nothing(talk: Talk) -> None:
    talk.send("QPS")
    assert talk.reply("EZ1Z") == "QQPS"


def test_error_at_sync_is_followed_by_ready(talk: Talk) -> None:
    talk.send("SS")
    assert talk.reply("EZZ") == "SSS"


def test_libpq_copy_gets_one_ready_for_two_syncs(talk: Talk) -> None:
    talk.send("PBDES")
    assert talk.reply("12nG") == "PBDE"
    talk.send("ddcS")
    assert talk.reply("CZ") == "ES"
    assert talk.due.empty
    with pytest.raises(ProtocolError):
        talk.reply("Z")


def test_late_copy_messages_are_ignored(talk: Talk) -> None:
    talk.send("Q")
    talk.reply("GEZ")
    talk.send("ddcfQ")
    assert talk.reply("CZ") == "QQ"


def test_second_copy_of_a_query_reads_what_stands_behind_the_first(talk: Talk) -> None:
    talk.send("QdcSdcQ")
    assert talk.reply("GCGCZ" + "CZ") == "QQQQQ" + "QQ"


@pytest.mark.parametrize("readies", ["Z", "ZZ"])
def test_sync_inside_a_failed_copy_may_be_answered_or_not(talk: Talk, readies: str) -> None:
    talk.send("ESdcS")
    talk.reply("GE")
    talk.reply(readies)
    assert talk.due.empty
    talk.send("Q")
    assert talk.reply("TCZ") == "QQQ"


def test_failed_copy_without_sync_ends_where_it_cannot_be_known_what_is_skipped(
    talk: Talk,
) -> None:
    talk.send("ESd")
    talk.reply("GE")
    with pytest.raises(ProtocolError, match="without Sync"):
        talk.send("P")


def test_answered_sync_of_a_failed_copy_ends_the_skipping(talk: Talk) -> None:
    talk.send("ESd")
    talk.reply("GEZ")
    assert talk.send("P") == [True]
    assert talk.reply("1") == "P"


def test_nothing_but_the_end_follows_a_message_inside_copy(talk: Talk) -> None:
    talk.send("ESPS")
    talk.reply("G")
    talk.due.error("08P01")
    with pytest.raises(ProtocolError):
        talk.reply("Z")


@pytest.mark.parametrize(
    ("sent", "replies"),
    [
        ("P", "2"),
        ("Q", "Z"),
        ("Q", "D"),
        ("E", "T"),
        ("S", "C"),
        ("", "Z"),
        ("D", "D"),
        ("Q", "EE"),
    ],
)
def test_reply_that_fits_nothing_is_a_protocol_error(talk: Talk, sent: str, replies: str) -> None:
    talk.send(sent)
    with pytest.raises(ProtocolError):
        talk.reply(replies)


def test_copy_cannot_end_before_the_client_ends_it(talk: Talk) -> None:
    talk.send("Qd")
    talk.reply("G")
    with pytest.raises(ProtocolError):
        talk.reply("C")


def test_describe_of_a_statement_is_answered_twice(talk: Talk) -> None:
    talk.due.send(Message(wire.DESCRIBE, State.STATEMENT))
    assert talk.reply("tT") == "DD"
    assert talk.due.empty


def test_nothing_follows_terminate(talk: Talk) -> None:
    talk.send("X")
    with pytest.raises(ProtocolError):
        talk.send("S")


def test_flush_is_not_waited_for(talk: Talk) -> None:
    talk.send("HHH")
    assert talk.due.empty


def test_stream_of_messages_without_replies_is_bounded(talk: Talk) -> None:
    talk.send("P" * (MOST_DUE - 1))
    assert not talk.due.full
    talk.send("P")
    assert talk.due.full


def test_copy_data_in_any_number_is_one_message(talk: Talk) -> None:
    talk.send("Q" + "d" * 50_000)
    assert not talk.due.full
    talk.reply("G")
    talk.send("d" * 50_000 + "c")
    assert talk.reply("CZ") == "QQ"


def test_ready_follows_a_query_but_not_a_batch_without_sync(talk: Talk) -> None:
    talk.send("PBE")
    assert not talk.due.ready_follows(1)
    talk.send("S")
    assert talk.due.ready_follows(1)
    assert not talk.due.ready_follows(5)


def test_ready_does_not_follow_a_copy_the_client_has_not_ended(talk: Talk) -> None:
    talk.send("ES")
    talk.reply("G")
    assert not talk.due.ready_follows(1)
    talk.send("c")
    talk.reply("C")
    assert not talk.due.ready_follows(1)
    talk.send("S")
    assert talk.due.ready_follows(1)
