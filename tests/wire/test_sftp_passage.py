"""The passage of SFTP by itself: what it refuses to read, what it counts, and what it holds."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopcore.model import Scope
from hoopcore.passage import Ask, Became, Done, Given, Stop, ToPerson, ToTarget, Wait
from hoopcore.protocols.files import AHEAD, Account
from hoopcore.protocols.sftp import Sftp
from hoopcore.protocols.sftp.asking import LATER, OPEN
from hoopcore.protocols.sftp.passage import HELD
from hoopcore.protocols.sftp.wire import LARGEST, Code, Type, packet, status, string, u32, u64
from tests.servers import private_folder
from tests.wire.sftp_ends import (
    INIT,
    Person,
    Refused,
    Server,
    Through,
    close_servers,
    frames,
    rules,
)

VERSION = packet(Type.VERSION, 3)
OK = u32(0) + string(b"") + string(b"en")
NO_PATH = """
[[rule]]
name = "no-x"
verdict = "refuse"
reason = "x is mine"
paths = ["/x/*"]
"""
SMALL = """
[[rule]]
name = "small"
verdict = "refuse"
reason = "too much"
larger_than = 100
"""


def begun(text: str = "", scope: str = "*") -> Sftp:
    passage = Sftp(rules(text, Scope.parse(scope)))
    assert given_to(passage.from_person(INIT)) == INIT
    passage.from_target(VERSION, stderr=False)
    return passage


def given_to(given: list[Given], side: type[ToTarget] | type[ToPerson] = ToTarget) -> bytes:
    return b"".join(
        one.data for one in given if isinstance(one, side) and not getattr(one, "stderr", False)
    )


def stopped(given: list[Given]) -> bool:
    return any(isinstance(one, Stop) for one in given)


def asked(given: list[Given]) -> str:
    return next((one.text for one in given if isinstance(one, Ask)), "")


def opened(passage: Sftp, flags: int = 1, handle: bytes = b"h") -> bytes:
    """What the target was asked while a file was opened."""
    body = string(b"/x/file") + u32(flags) + u32(0)
    assert asked(passage.from_person(packet(Type.OPEN, 1, body)))
    passage.decided(7, "")
    answer = packet(Type.HANDLE, 1, string(handle))
    return given_to(passage.from_target(answer, stderr=False))


def looked_at(passage: Sftp, sent: bytes, size: int) -> list[Given]:
    """Answers the agent's own FSTAT."""
    (own,) = frames(sent)
    assert own[0] == Type.FSTAT
    body = u32(1 | 4) + u64(size) + u32(0o100644)
    return passage.from_target(packet(Type.ATTRS, int.from_bytes(own[1:5]), body), stderr=False)


def data(id: int, content: bytes) -> bytes:
    return packet(Type.DATA, id, string(content))


def read(id: int, at: int, count: int, handle: bytes = b"h") -> bytes:
    return packet(Type.READ, id, string(handle), u64(at), u32(count))


def write(id: int, at: int, content: bytes, handle: bytes = b"h") -> bytes:
    return packet(Type.WRITE, id, string(handle), u64(at), string(content))


def ended(passage: Sftp, id: int = 99) -> list[tuple[str, str, int, str]]:
    passage.from_person(packet(Type.CLOSE, id, string(b"h")))
    given = passage.from_target(packet(Type.STATUS, id, OK), stderr=False)
    return [
        (one.event.direction, one.event.outcome, one.event.size, one.event.sha256)
        for one in given
        if isinstance(one, Done)
    ]


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


# --- what is not read -----------------------------------------------------------------------------


def test_extensions_that_are_not_known_are_taken_out_of_the_targets_list() -> None:
    passage = Sftp(rules())
    passage.from_person(struct.pack(">IBI", 5, Type.INIT, 6))
    known, other = b"statvfs@openssh.com", b"shell@example.com"
    pairs = b"".join(string(name) + string(b"2") for name in (known, other))
    given = passage.from_target(packet(Type.VERSION, 3, pairs), stderr=False)
    assert given_to(given, ToPerson) == packet(Type.VERSION, 3, string(known), string(b"2"))


@pytest.mark.parametrize(
    "request_",
    [
        packet(Type.EXTENDED, 5, string(b"check-file"), string(b"/etc/shadow")),
        packet(Type.EXTENDED, 5, string(b"shell@example.com"), string(b"id")),
        packet(22, 5, string(b"/a"), string(b"/b"), u32(0)),  # LINK of version 6
        packet(Type.INIT, 5),
        packet(Type.OPEN, 5, string(b"/a"), u32(0x40), u32(0)),
    ],
)
def test_what_is_not_known_is_answered_and_never_passed_on(request_: bytes) -> None:
    given = begun().from_person(request_)
    assert not given_to(given)
    (answer,) = frames(given_to(given, ToPerson))
    assert answer[:9] == struct.pack(">BII", Type.STATUS, 5, Code.OP_UNSUPPORTED)


@pytest.mark.parametrize(
    "request_",
    [
        struct.pack(">I", 0),
        struct.pack(">IBI", LARGEST + 1, Type.READ, 1),
        struct.pack(">IBI", 0xFFFFFFFF, Type.WRITE, 1),
        packet(Type.STAT, 1, b"\0\0\0\xffab"),
        packet(Type.STAT, 1, string(b"/a") + b"more"),
        packet(Type.STAT, 1, string(b"/a\0/b")),
        packet(Type.OPEN, 1, string(b"/a"), u32(1), u32(0x40), u64(1)),
        packet(Type.WRITE, 1, string(b"h"), u64(0), u32(5), b"four"),
        packet(Type.WRITE, 1, string(b"h"), u64(0), u32(3), b"four"),
        packet(Type.WRITE, 1, string(b"h" * 300), u64(0), string(b"")),
        packet(Type.EXTENDED, 1, b"\0\0"),
        packet(Type.CLOSE, 1, string(b"h" * 257)),
    ],
)
def test_what_cannot_be_read_ends_the_channel(request_: bytes) -> None:
    given = begun().from_person(request_ + bytes(8))
    assert stopped(given)
    assert not given_to(given)


def test_nobody_speaks_before_both_have_said_which_version() -> None:
    assert stopped(Sftp(rules()).from_person(packet(Type.STAT, 3, string(b"/"))))
    assert stopped(Sftp(rules()).from_target(VERSION, stderr=False))
    passage = Sftp(rules())
    given = passage.from_person(INIT + packet(Type.EXTENDED, 9, string(b"limits@openssh.com")))
    assert given_to(given) == INIT  # the rest waits for the target
    assert stopped(passage.from_target(packet(Type.VERSION, 2), stderr=False))


@pytest.mark.parametrize(
    "answer",
    [
        packet(Type.ATTRS, 6, u32(0)),  # to nothing
        packet(Type.HANDLE, 5, string(b"h")),  # to a STAT
        data(5, b"x"),
        struct.pack(">IBI", 1 << 30, Type.ATTRS, 5),
        struct.pack(">IBI", 2, Type.ATTRS, 5),
    ],
)
def test_an_answer_that_fits_no_request_ends_the_channel(answer: bytes) -> None:
    passage = begun()
    passage.from_person(packet(Type.STAT, 5, string(b"/a")))
    given = passage.from_target(answer, stderr=False)
    assert stopped(given)
    assert not given_to(given, ToPerson)


def test_a_number_that_waits_for_its_answer_is_not_given_again() -> None:
    passage = begun()
    stat = packet(Type.STAT, 5, string(b"/a"))
    assert given_to(passage.from_person(stat)) == stat
    assert stopped(passage.from_person(stat))


def test_a_client_may_use_a_number_of_the_agents_once_it_is_free() -> None:
    passage = begun()
    (own,) = frames(opened(passage))
    stat = packet(Type.STAT, int.from_bytes(own[1:5]), string(b"/a"))
    assert passage.from_person(stat) == []
    given = looked_at(passage, struct.pack(">I", len(own)) + own, 3)
    assert given_to(given) == stat


def test_a_target_gives_no_more_than_was_asked_for_and_no_handle_twice() -> None:
    passage = begun()
    opened(passage)
    passage.from_person(read(2, 0, 10))
    assert stopped(passage.from_target(data(2, b"x" * 11), stderr=False))
    passage = begun()
    opened(passage)
    passage.from_person(packet(Type.OPENDIR, 3, string(b"/d")))
    passage.decided(8, "")
    assert stopped(passage.from_target(packet(Type.HANDLE, 3, string(b"h")), stderr=False))


frame = st.builds(
    packet,
    st.sampled_from([*Type, 0, 21, 99, 255]),
    st.integers(0, 6),
    st.lists(
        st.one_of(
            st.sampled_from([b"", b"h", b"/x/file", b"copy-data", b"limits@openssh.com"]).map(
                string
            ),
            st.binary(max_size=6).map(string),
            st.integers(0, 0xFFFFFFFF).map(u32),
            st.integers(0, 9).map(u32),
            st.integers(0, 99).map(u64),
        ),
        max_size=5,
    ).map(b"".join),
)


@given(
    st.lists(st.tuples(st.integers(0, 3), frame, st.integers(1, 9)), max_size=25),
    st.sampled_from(["", NO_PATH, SMALL]),
)
def test_whatever_comes_is_understood_or_ends_the_channel(
    told: list[tuple[int, bytes, int]], text: str
) -> None:
    passage = begun(text)
    waits = False
    for who, what, cut in told:
        if who == 3 and waits:
            given = passage.decided(4, "no" if cut % 2 else "")
            waits = False
        elif who % 2 and not waits:
            given = passage.from_person(what[:cut])
            if not stopped(given) and not (waits := bool(asked(given))):
                given = passage.from_person(what[cut:])
        else:
            given = passage.from_target(what, stderr=False)
        waits = waits or bool(asked(given))
        if stopped(given):
            return
    for one in passage.closed():
        assert isinstance(one, Done)


# --- what is held ---------------------------------------------------------------------------------


def test_what_is_sent_ahead_of_a_verdict_is_bounded() -> None:
    passage = begun()
    stat = packet(Type.STAT, 5, string(b"/a"))
    body = string(b"/x/file") + u32(1) + u32(0)
    given = passage.from_person(packet(Type.OPEN, 1, body) + stat)
    assert asked(given) == "download /x/file"
    assert not given_to(given)
    sent = 0
    waiting = False
    while not stopped(given):
        given = passage.from_person(stat * 1000)
        waiting = waiting or Wait(True) in given
        sent += len(stat) * 1000
        assert sent <= HELD + (1 << 20)
    assert waiting


def test_nothing_later_goes_to_the_target_while_something_is_judged() -> None:
    passage = begun()
    opened(passage, flags=2 | 8 | 16)
    body = string(b"/x/other") + u32(1) + u32(0)
    given = passage.from_person(packet(Type.OPEN, 2, body) + write(3, 0, b"abc"))
    assert asked(given)
    assert not given_to(given)
    given = passage.decided(8, 'refused by rule "r": no')
    assert given_to(given) == write(3, 0, b"abc")
    (answer,) = frames(given_to(given, ToPerson))
    assert answer[:9] == struct.pack(">BII", Type.STATUS, 2, Code.PERMISSION_DENIED)
    assert b'hoop: refused by rule "r": no' in answer


# --- what is counted ------------------------------------------------------------------------------


def test_a_download_is_hashed_whatever_order_it_comes_in() -> None:
    content = bytes(range(256)) * 10
    passage = begun()
    sent = opened(passage)
    looked_at(passage, sent, len(content))
    parts = [
        (number, at, content[at : at + 500]) for number, at in enumerate(range(0, 2560, 500), 10)
    ]
    passage.from_person(b"".join(read(number, at, 500) for number, at, _ in parts))
    for number, _, part in (parts[1], parts[0], parts[3], parts[5], parts[4], parts[2]):
        given = passage.from_target(data(number, part), stderr=False)
        assert given_to(given, ToPerson) == data(number, part)
    assert ended(passage) == [("download", "whole", len(content), digest(content))]


@pytest.mark.parametrize(
    ("reads", "outcome"),
    [
        ([(0, 10)], "part"),
        ([(0, 10), (0, 10)], "part"),
        ([(10, 10), (0, 10)], "whole"),
        ([(5, 15)], "part"),
        ([(0, 10), (5, 15)], "part"),
    ],
)
def test_only_a_file_that_went_through_once_and_wholly_has_a_hash(
    reads: list[tuple[int, int]], outcome: str
) -> None:
    content = bytes(range(20))
    passage = begun()
    looked_at(passage, opened(passage), len(content))
    for number, (at, count) in enumerate(reads, 10):
        passage.from_person(read(number, at, count))
        passage.from_target(data(number, content[at : at + count]), stderr=False)
    ((_, found, _, sha),) = ended(passage)
    assert found == outcome
    assert bool(sha) is (outcome == "whole")


def test_a_file_of_unknown_length_is_whole_once_its_end_was_met() -> None:
    passage = begun()
    (own,) = frames(opened(passage))
    refused = status(int.from_bytes(own[1:5]), Code.FAILURE, "no")
    passage.from_target(refused, stderr=False)
    passage.from_person(read(2, 0, 100) + read(3, 5, 100))
    passage.from_target(data(2, b"proc\n") + status(3, Code.EOF, "end"), stderr=False)
    assert ended(passage) == [("download", "whole", 5, digest(b"proc\n"))]


def test_an_upload_counts_what_the_target_says_it_has() -> None:
    passage = begun()
    looked_at(passage, opened(passage, flags=2 | 8 | 16), 0)
    given = passage.from_person(write(2, 0, b"abc") + write(3, 3, b"def"))
    assert given_to(given) == write(2, 0, b"abc") + write(3, 3, b"def")
    passage.from_target(packet(Type.STATUS, 2, OK), stderr=False)
    passage.from_target(status(3, Code.FAILURE, "disk full, says /secret/path"), stderr=False)
    assert ended(passage) == [("upload", "failed: failure", 3, "")]


def test_an_upload_into_a_longer_file_is_a_part_of_it() -> None:
    passage = begun()
    looked_at(passage, opened(passage, flags=2), 100)
    passage.from_person(write(2, 0, b"abc"))
    passage.from_target(packet(Type.STATUS, 2, OK), stderr=False)
    assert ended(passage) == [("upload", "part", 3, "")]


def test_what_is_open_when_the_channel_goes_is_a_part() -> None:
    passage = begun()
    looked_at(passage, opened(passage, flags=2 | 8 | 16), 0)
    passage.from_person(write(2, 0, b"abc"))
    (one,) = passage.closed()
    assert isinstance(one, Done)
    assert (one.event.outcome, one.event.size, one.event.sha256) == ("part", 0, "")


@given(st.permutations(range(12)), st.integers(1, 40))
def test_pieces_in_any_order_give_the_same_hash(order: list[int], size: int) -> None:
    content = bytes(range(256)) * 2
    account = Account("download", "/x", 1, size=12 * size)
    for place in order:
        account.add(content[place * size : (place + 1) * size], place * size)
    assert account.end().sha256 == digest(content[: 12 * size])


def test_what_waits_for_its_turn_is_bounded() -> None:
    account = Account("download", "/x", 1)
    for place in range(1, 300):
        account.add(bytes(32768), place * 32768)
        assert account._waiting <= AHEAD
    account.add(bytes(32768), 0)
    assert account.end().outcome == "part"
    assert account.end().sha256 == ""


# --- what rules say -------------------------------------------------------------------------------


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    with private_folder() as folder:
        yield folder
        close_servers()


def through(place: Path, text: str, scope: str = "*") -> tuple[Person, Through]:
    ends = Through(Server(place), rules(text, Scope.parse(scope)))
    return Person(ends), ends


@pytest.mark.parametrize(
    ("before", "after", "gives"),
    [("/tmp/ok", "/tmp/ok", True), ("/tmp/ok", "/x/secret", False), ("/x/y", "/tmp/ok", False)],
)
def test_a_link_that_is_swapped_while_a_file_is_opened_gives_nothing(
    before: str, after: str, gives: bool
) -> None:
    """The target says first that it is harmless, and around the opening that it is not."""
    passage = begun(NO_PATH)
    given = passage.from_person(packet(Type.OPEN, 1, string(b"/tmp/ok") + u32(1) + u32(0)))
    names = iter(["/home/ana", "/tmp/ok", before, after])
    done: list[Done] = []
    told = b""
    kinds: list[int] = []
    while wanted := frames(given_to(given)):
        given = []
        for own in wanted:
            kinds.append(own[0])
            id = own[1:5]
            answers = {
                Type.REALPATH: lambda: u32(1) + string(next(names).encode()) + string(b"") + u32(0),
                Type.OPEN: lambda: string(b"h"),
                Type.FSTAT: lambda: u32(0),
                Type.CLOSE: lambda: OK,
            }
            reply = {Type.REALPATH: Type.NAME, Type.OPEN: Type.HANDLE, Type.FSTAT: Type.ATTRS}
            kind = reply.get(Type(own[0]), Type.STATUS)
            answer = packet(kind, int.from_bytes(id), answers[Type(own[0])]())
            given += passage.from_target(answer, stderr=False)
        if asked(given):
            given += passage.decided(7, "")
        told += given_to(given, ToPerson)
        done += [one for one in given if isinstance(one, Done)]
    assert (told[4] == Type.HANDLE) is gives
    assert (kinds[-1] == Type.CLOSE) is not gives
    assert gives or b"has changed" in told
    assert [one.event.outcome for one in done] == ([] if gives else ["refused"])


def test_answers_that_cannot_leave_are_bounded() -> None:
    """A target stops in the middle of a packet, and the client asks for what nobody knows."""
    passage = begun()
    opened(passage)
    passage.from_person(read(2, 0, 10))
    passage.from_target(data(2, b"x" * 10)[:-1], stderr=False)
    given: list[Given] = []
    for _ in range(100):
        given = passage.from_person(packet(99, 5) * 1000)
        assert len(passage._later_person) <= LATER
        if stopped(given):
            return
    assert Wait(True) in given or passage._person.have


def test_a_file_that_grows_past_a_limit_is_ended_there() -> None:
    passage = begun(SMALL)
    body = string(b"/y") + u32(1) + u32(0)
    given = passage.from_person(packet(Type.OPEN, 1, body))
    for answer in (Type.ATTRS, Type.HANDLE, Type.ATTRS):  # its size, the file, its size
        (own,) = frames(given_to(given))
        content = string(b"h") if answer == Type.HANDLE else u32(1) + u64(50)
        given = passage.from_target(packet(answer, int.from_bytes(own[1:5]), content), stderr=False)
        if asked(given):
            given = passage.decided(7, "")
    assert given_to(given, ToPerson) == packet(Type.HANDLE, 1, string(b"h"))
    passage.from_person(read(2, 0, 80) + read(3, 80, 80))
    given = passage.from_target(data(2, b"x" * 80) + data(3, b"y" * 80), stderr=False)
    assert b"y" * 10 not in given_to(given, ToPerson)
    assert b"too much" in given_to(given, ToPerson)
    assert ended(passage) == [("download", "refused", 80, "")]


def test_a_scope_says_which_way_files_may_go(place: Path) -> None:
    (place / "a").write_bytes(b"a")
    ana, ends = through(place, "", "sftp:download git:run")
    assert ana.get("a") == b"a"
    with pytest.raises(Refused) as refused:
        ana.put("b", b"b")
    assert "does not cover" in refused.value.words
    assert ana.code(Type.REMOVE, string(b"a")) == Code.PERMISSION_DENIED
    assert ana.ask(Type.STAT, string(b"a"))[0] == Type.ATTRS
    ends.close()
    ana, ends = through(place, "", "git:run")
    assert ana.code(Type.STAT, string(b"a")) == Code.PERMISSION_DENIED
    ends.close()


def test_a_rule_on_the_home_folder_holds_for_its_real_name(place: Path) -> None:
    text = NO_PATH.replace("/x/*", "~/keys/*")
    (place / "keys").mkdir()
    (place / "keys" / "a").write_bytes(b"a")
    (place / "b").write_bytes(b"b")
    ana, ends = through(place, text)
    for path in ("keys/a", f"{place}/keys/a", f"{place}/keys/../keys//a"):
        with pytest.raises(Refused):
            ana.get(path)
    assert ana.get(f"{place}/b") == b"b"
    ends.close()


def test_a_folder_is_not_renamed_out_of_a_rule(place: Path) -> None:
    text = NO_PATH.replace("/x/*", f"{place}/d/secret/*")
    (place / "d" / "secret").mkdir(parents=True)
    (place / "d" / "file").write_bytes(b"")
    ana, ends = through(place, text)
    for kind, name in ((Type.RENAME, b""), (Type.EXTENDED, string(b"posix-rename@openssh.com"))):
        assert ana.code(kind, name, string(b"d"), string(b"e")) == Code.PERMISSION_DENIED
    assert ana.code(Type.RENAME, string(b"d/file"), string(b"d/other")) == Code.OK
    ends.close()


def test_what_became_of_each_change_is_told_under_its_number() -> None:
    passage = begun()
    for number, code in ((5, Code.OK), (6, Code.FAILURE)):
        passage.from_person(packet(Type.REMOVE, 1, string(b"/a")))
        passage.decided(number, "")
        given = passage.from_target(status(1, code, "what the target says"), stderr=False)
        (one,) = [one.event for one in given if isinstance(one, Became)]
        assert one.seq == number
        assert one.error == ("failure" if code else "")


def test_a_sample_is_looked_through_before_the_file_is_shown(place: Path) -> None:
    text = '[[rule]]\nname = "c"\nverdict = "refuse"\nreason = "cards"\ncontaining = ["card"]'
    rows, card = b"nothing here\n" * 20_000, b"4111 1111 1111 1111\n"
    (place / "first").write_bytes(card + rows)
    (place / "late").write_bytes(rows[:-16384] + card * 900)
    (place / "clean").write_bytes(rows)
    ana, ends = through(place, text)
    for name in ("first", "late"):
        with pytest.raises(Refused) as refused:
            ana.get(name)
        assert "cards" in refused.value.words
    assert ana.get("clean") == rows
    assert ends.refused[0] == "download first, in which there is: card"
    assert b'download first: refused by rule "c": cards' in ends.aside
    ends.close()
    assert [(file.path, file.outcome, file.seq) for file in ends.files] == [
        ("first", "refused", 2),  # the number of what was asked when it was found
        ("late", "refused", 4),
        ("clean", "whole", 5),
    ]


def test_an_upload_past_a_limit_is_refused_packet_by_packet(place: Path) -> None:
    ana, ends = through(place, SMALL)
    handle = ana.open("a", 2 | 8 | 16)
    assert ana.write(handle, 0, b"x" * 100) == Code.OK
    assert ana.code(Type.FSETSTAT, string(handle), u32(1), u64(101)) == Code.PERMISSION_DENIED
    assert ana.write(handle, 100, b"y") == Code.PERMISSION_DENIED
    assert ana.write(handle, 0, b"z") == Code.PERMISSION_DENIED  # nor anything more
    assert ana.code(Type.FSETSTAT, string(handle), u32(1), u64(1)) == Code.PERMISSION_DENIED
    assert ana.close(handle) == Code.OK
    ends.close()
    assert (place / "a").read_bytes() == b"x" * 100
    assert [(file.outcome, file.size) for file in ends.files] == [("refused", 100)]


def test_a_file_that_was_refused_on_its_way_gives_no_more(place: Path) -> None:
    (place / "a").write_bytes(b"a" * 90)
    ana, ends = through(place, SMALL)
    handle = ana.open("a", 1)
    (place / "a").write_bytes(b"b" * 200)
    assert ana.read(handle, 0, 90) == b"b" * 90
    assert ana.read(handle, 90, 90) == Code.PERMISSION_DENIED
    assert ana.read(handle, 0, 10) == Code.PERMISSION_DENIED
    ana.close(handle)
    ends.close()
    assert [file.outcome for file in ends.files] == ["refused"]


def test_handles_that_nobody_was_given_are_answered(place: Path) -> None:
    ana, ends = through(place, "")
    for kind, *rest in (
        (Type.READ, u64(0), u32(1)),
        (Type.WRITE, u64(0), string(b"x")),
        (Type.FSTAT,),
        (Type.READDIR,),
        (Type.FSETSTAT, u32(0)),
    ):
        assert ana.code(kind, string(b"\0\0\0\0"), *rest) == Code.FAILURE
    assert ana.close(b"\0\0\0\0"[:0]) == Code.NO_SUCH_FILE
    ends.close()
    assert not ends.asked


def test_so_many_files_may_be_open_and_no_more() -> None:
    passage = begun()
    for number in range(OPEN):
        passage.from_person(packet(Type.OPENDIR, number, string(b"/d")))
        passage.decided(1, "")
        handle = packet(Type.HANDLE, number, string(u32(number)))
        passage.from_target(handle, stderr=False)
    given = passage.from_person(packet(Type.OPENDIR, OPEN, string(b"/d")))
    assert b"too many files" in given_to(given, ToPerson)
    assert not asked(given)


class OtherServer:
    """Answers REALPATH as servers do that want the file to be there."""

    def __init__(self, links: dict[bytes, bytes]) -> None:
        self.links = links  # what is there, and where it leads

    def answer(self, own: bytes) -> bytes:
        id, path = int.from_bytes(own[1:5]), own[9:]
        if own[0] == Type.REALPATH and path in self.links:
            name = string(self.links[path]) + string(b"") + u32(0)
            return packet(Type.NAME, id, u32(1), name)
        if own[0] == Type.LSTAT and path in self.links:
            return packet(Type.ATTRS, id, u32(0))
        if own[0] in (Type.REALPATH, Type.LSTAT):
            return status(id, Code.NO_SUCH_FILE, "")
        return packet(Type.STATUS, id, OK)


@pytest.mark.parametrize(
    ("links", "wanted"),
    [
        ({}, "download /tmp/new"),  # not there: it is asked for in its folder
        ({b"/tmp/new": b"/x/secret"}, "download /tmp/new (really /x/secret)"),
        ({b"/tmp/new": b"relative"}, ""),
        ({b"/tmp/new": b"", b"/tmp": b""}, ""),
    ],
)
def test_a_server_that_resolves_only_what_is_there(links: dict[bytes, bytes], wanted: str) -> None:
    server = OtherServer({b".": b"/home/ana", b"/tmp": b"/tmp"} | links)
    passage = begun(NO_PATH)
    given = passage.from_person(packet(Type.OPEN, 1, string(b"/tmp/new") + u32(2 | 8) + u32(0)))
    while not asked(given) and (sent := frames(given_to(given))):
        given = [
            one for own in sent for one in passage.from_target(server.answer(own), stderr=False)
        ]
    assert asked(given) == wanted.replace("download", "upload")
    if not wanted:
        assert given_to(given, ToPerson)[4] == Type.STATUS


def test_a_dangling_link_is_no_new_file() -> None:
    """LSTAT finds what REALPATH does not: opening it would make what it leads to."""
    server = OtherServer({b".": b"/home/ana", b"/tmp": b"/tmp"})
    passage = begun(NO_PATH)
    given = passage.from_person(packet(Type.OPEN, 1, string(b"/tmp/new") + u32(2 | 8) + u32(0)))
    while sent := frames(given_to(given)):
        (own,) = sent
        answer = server.answer(own)
        if own[0] == Type.LSTAT:
            answer = packet(Type.ATTRS, int.from_bytes(own[1:5]), u32(0))
        given = passage.from_target(answer, stderr=False)
    assert not asked(given)
    assert b"does not say where this leads" in given_to(given, ToPerson)
