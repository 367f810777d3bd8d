"""Who is let in when there are too many: strangers at a door, guesses, sessions."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hoopagent.config import Agent, Config, Credential, Identity, TargetSection
from hoopagent.doors.attempts import MINUTE, Attempts
from hoopagent.doors.crowd import Crowd
from hoopagent.doors.peers import _NOBODY, _uid_behind, place_of
from hoopagent.room import FILES_OF_A_SESSION, Room, sessions_within, strangers_within
from hoopcore.stream import LoginRefused

# --- strangers ------------------------------------------------------------------------------------


def test_of_one_address_the_oldest_goes_and_others_stay() -> None:
    dropped: list[str] = []
    crowd = Crowd(10, 2, dropped.append)
    for one in ("a1", "b1", "a2", "a3"):
        crowd.enter(one, one[0])
    assert dropped == ["a1"]
    assert crowd.all() == ["b1", "a2", "a3"]


def test_an_address_alone_never_fills_the_room() -> None:
    dropped: list[str] = []
    crowd = Crowd(6, 3, dropped.append)
    for number in range(100):
        crowd.enter(f"a{number}", "a")
    crowd.enter("b", "b")
    assert len(crowd) == 4
    assert "b" in crowd.all()


def test_when_all_is_full_who_has_most_loses_the_oldest() -> None:
    dropped: list[str] = []
    crowd = Crowd(4, 3, dropped.append)
    for one in ("b1", "a1", "a2", "a3", "c1"):
        crowd.enter(one, one[0])
    assert dropped == ["a1"]
    assert crowd.dropped() == 1
    assert crowd.dropped() == 0


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_a_crowd_is_never_too_large_and_drops_nobody_twice(steps: list[tuple[str, bool]]) -> None:
    dropped: list[int] = []
    crowd = Crowd(5, 3, dropped.append)
    for number, (whose, leaves) in enumerate(steps):
        crowd.enter(number, whose)
        assert number not in dropped, "never who has just come"
        if leaves:
            crowd.leave(number)
            crowd.leave(number)
        assert len(crowd) == len(crowd.all()) <= 5
    assert len(dropped) == len(set(dropped))
    assert not set(dropped) & set(crowd.all())


def test_of_ipv6_an_address_is_the_whole_64() -> None:
    assert place_of("2001:db8:1:2::1") == place_of("2001:db8:1:2:ffff::9") == "2001:db8:1:2::/64"
    assert place_of("2001:db8:1:3::1") != place_of("2001:db8:1:2::1")
    assert place_of("::ffff:192.0.2.1") == place_of("192.0.2.1") == "192.0.2.1"
    assert place_of("fe80::1%eth0") == "fe80::/64"
    assert place_of("unknown") == "unknown"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the kernel does not tell")
@pytest.mark.parametrize(
    ("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]
)
def test_the_kernel_tells_whose_a_loopback_connection_is_while_it_is_there(
    family: socket.AddressFamily, host: str
) -> None:
    with socket.create_server((host, 0), family=family) as listener:
        client = socket.create_connection(listener.getsockname()[:2], 10)
        served, there = listener.accept()
        here = served.getsockname()[:2]
        assert _uid_behind(there[:2], here) == os.getuid()
        assert _uid_behind(("192.0.2.1", 1), here) is None, "from elsewhere it knows nothing"
        client.shutdown(socket.SHUT_WR)
        assert served.recv(1) == b""
        assert _uid_behind(there[:2], here) == _NOBODY
        client.close()
        served.close()
        assert _uid_behind(there[:2], here) == _NOBODY


# --- guesses --------------------------------------------------------------------------------------


def test_who_fails_too_often_waits_for_the_next_minute_and_others_do_not() -> None:
    now = [10 * MINUTE]
    attempts = Attempts(lambda: now[0], 3)
    for _ in range(3):
        assert not attempts.too_many("a")
        attempts.failed("a")
    assert attempts.too_many("a")
    assert not attempts.too_many("b")
    now[0] += MINUTE
    assert not attempts.too_many("a")


def test_guesses_from_more_addresses_than_can_be_told_apart_share_one_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("hoopagent.doors.attempts.MOST", 2)
    attempts = Attempts(lambda: 0, 2)
    for whose in ("a", "b", "c", "d"):
        attempts.failed(whose)
    assert attempts.too_many("e")
    assert not attempts.too_many("a")
    assert not attempts.too_many("uid 1000"), "accounts of this machine are not kept waiting by it"
    for _ in range(2):
        attempts.failed("uid 1000")
    assert attempts.too_many("uid 1000")


# --- sessions -------------------------------------------------------------------------------------


def room(each: int = 100, on: int = 100, most: int = 100) -> Room:
    target = TargetSection(
        address="db:5432", databases=("x",), credential=Credential(user="x"), max_sessions=on
    )
    config = Config(
        folder=Path(),
        agent=Agent.model_validate({"sessions_per_principal": each}),
        identity=Identity(issuer="https://id.test", client_id="hoop"),
        targets={"db": target},
        roles={},
        rules="",
        masks="",
        version="",
    )
    return Room(lambda: config, most)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"each": 2}, "you have 2 sessions open"),
        ({"on": 2}, 'target "db" has 2 sessions open'),
        ({"most": 2}, "the agent has 2 sessions open"),
    ],
)
def test_one_session_too_many_is_refused_until_one_has_ended(
    limits: dict[str, Any], words: str
) -> None:
    places = room(**limits)
    places.take("ana", "db")
    places.take("ana", "db")
    with pytest.raises(LoginRefused, match=words) as refused:
        places.take("ana", "db")
    assert refused.value.code == "53300"
    assert refused.value.hint
    places.give_back("ana", "db")
    places.take("ana", "db")


def test_one_person_s_sessions_are_no_other_s() -> None:
    places = room(each=1)
    places.take("ana", "db")
    places.take("ben", "db")
    with pytest.raises(LoginRefused):
        places.take("ana", "db")


def test_few_files_are_few_sessions_and_never_none() -> None:
    assert sessions_within(1) == sessions_within(8) == 1
    assert sessions_within(256) == 32
    assert sessions_within(20_000) == 4936


@pytest.mark.parametrize("files", [1, 64, 256, 1024, 4096, 65_536, 1 << 20])
def test_strangers_at_every_door_leave_each_session_its_files(files: int) -> None:
    for wished in (1, 512, 100_000):
        strangers = strangers_within(files, wished)
        taken = 2 * strangers + FILES_OF_A_SESSION * sessions_within(files, wished)
        assert files < 16 or taken <= files
        assert strangers == wished or files < 8 * wished
