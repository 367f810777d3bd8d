"""A channel's bytes around a passage: in order, none before its verdict, none lost at an end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from hoopagent.shells.carrying import Carried, TargetChannel
from hoopagent.shells.judging import Told
from hoopagent.shells.live import ShellLive
from hoopcore.passage import Ask, Done, Given, Masked, Plain, Stop, ToPerson, ToTarget, Wait
from hoopcore.policy import Verdict
from hoopcore.recording import File
from hoopcore.statement import Effect, Reading, Statement

RUN = Statement(frozenset({Effect.RUN}))


class Lines(Plain):
    """Asks for each line of the person's, and tells them what was refused; ``!`` is garbage."""

    def __init__(self) -> None:
        self.patience: float | None = None
        self._rest = b""
        self._asked = b""
        self._open = 0

    def from_person(self, data: bytes) -> list[Given]:
        self._rest += data
        return self._next()

    def _next(self) -> list[Given]:
        line, end, rest = self._rest.partition(b"\n")
        if not end:
            return []
        if line == b"!":
            return [Stop("that is garbage")]
        self._rest, self._asked = rest, line + end
        return [Ask(line.decode(), RUN)]

    def decided(self, seq: int, refusal: str) -> list[Given]:
        self._open = seq
        done: Given = ToPerson(f"no: {refusal}\n".encode()) if refusal else ToTarget(self._asked)
        return [done, *self._next()]

    def target_done(self) -> list[Given]:
        return [Masked({"card": 2}), ToPerson(b"<held>")]

    def closed(self) -> list[Given]:
        return [Done(File(seq=self._open, direction="upload", path="x", outcome="part"))]


@dataclass
class Channel:
    """One end, as asyncssh gives it: what it was told, in order."""

    told: list[Any] = field(default_factory=list)
    reading: bool = True

    def write(self, data: bytes, kind: int | None = None) -> None:
        self.told.append(data)

    def write_eof(self) -> None:
        self.told.append("eof")

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.told.append("abort")

    def send_signal(self, name: str) -> None:
        self.told.append(name)


class Somebody:
    """The person's end, whose statements are judged when the test says so."""

    def __init__(self, refused: Callable[[str], bool]) -> None:
        self.channel = Channel()
        self.refused = refused
        self.asked: list[str] = []
        self.work: list[asyncio.Task[None]] = []
        self.stopped = ""
        self.carried: Carried | None = None

    def to_person(self, do: str, *arguments: Any) -> None:
        getattr(self.channel, do)(*arguments)

    def apart(self, work: Coroutine[Any, Any, None]) -> None:
        self.work.append(asyncio.get_running_loop().create_task(work))

    async def judged(self, ask: Ask) -> Told:
        self.asked.append(ask.text)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        no = self.refused(ask.text)
        return Told(len(self.asked), Verdict(not no, "r", "no"), Reading((RUN,)))

    def stop(self, words: str, hint: str = "") -> None:
        self.stopped = words
        assert self.carried is not None
        self.carried.close()

    def target_lost(self) -> None:
        assert self.carried is not None
        self.carried.close()
        self.channel.told.append("closed")


def made(refused: Callable[[str], bool]) -> tuple[Somebody, Carried, Channel, list[Any]]:
    events: list[Any] = []
    section = SimpleNamespace(record_text="exact")
    live = SimpleNamespace(
        prepared=SimpleNamespace(section=section),
        meter=SimpleNamespace(charge=lambda amount: True),
        recorder=SimpleNamespace(append_later=events.append),
    )
    person = Somebody(refused)
    carried = person.carried = Carried(person, cast(ShellLive, live), Lines(), None)
    return person, carried, Channel(), events


async def all_done(person: Somebody) -> None:
    while person.work:  # what it asks for next is work, too
        await person.work.pop(0)


@given(
    st.lists(st.sampled_from([b"a\n", b"no\n", b"b", b"\n", b"cd\ne\n"]), max_size=12),
    st.lists(st.integers(0, 3), max_size=12),
)
@settings(max_examples=200, deadline=None)
def test_lines_go_in_order_and_none_before_its_verdict(
    parts: list[bytes], pauses: list[int]
) -> None:
    async def play() -> None:
        person, carried, target, _ = made(lambda text: text == "no")
        carried.of_person.of(person.channel)
        for at, data in enumerate(parts):
            if at == 2:
                carried.begin(target)
            carried.from_person(data)
            for _ in range(pauses[at] if at < len(pauses) else 0):
                await asyncio.sleep(0)
            assert len(target.told) <= len(person.asked)
            if person.work and not person.work[-1].done():  # it waits for a verdict
                assert not person.channel.reading
        carried.from_person(None)
        if len(parts) <= 2:
            carried.begin(target)
        await all_done(person)
        lines = b"".join(parts).split(b"\n")[:-1]
        assert person.asked == [line.decode() for line in lines]
        assert target.told == [line + b"\n" for line in lines if line != b"no"] + ["eof"]
        assert person.channel.reading
        assert person.channel.told == [b'no: refused by rule "r": no\n'] * lines.count(b"no")

    asyncio.run(play())


def test_what_the_target_says_goes_on_while_something_is_asked() -> None:
    async def play() -> None:
        person, carried, target, events = made(lambda text: False)
        carried.begin(target)
        far = TargetChannel(carried)
        carried.from_person(b"x\ny\n")
        far.data_received(b"out", None)
        assert (person.channel.told, target.told) == ([b"out"], [])
        await all_done(person)
        assert target.told == [b"x\n", b"y\n"]
        far.connection_lost(None)  # without an end of file before it
        assert person.channel.told == [b"out", b"<held>", "closed"]
        assert carried.masked == {"card": 2}
        assert [(event.path, event.seq) for event in events] == [("x", 2)]
        carried.from_person(b"late\n")
        far.data_received(b"late", None)
        assert (person.asked, target.told[-1]) == (["x", "y"], "abort")

    asyncio.run(play())


def test_garbage_stops_it_and_what_was_under_way_is_accounted_for() -> None:
    async def play() -> None:
        person, carried, target, events = made(lambda text: False)
        carried.begin(target)
        carried.from_person(b"x\n!\nafter\n")
        await all_done(person)
        assert person.stopped == "that is garbage"
        assert (person.asked, target.told) == (["x"], [b"x\n", "abort"])
        assert len(events) == 1

    asyncio.run(play())


def test_who_takes_nothing_is_not_heard_where_a_passage_may_answer_by_itself() -> None:
    for passage, heard in ((Lines(), False), (Plain(), True)):
        person, _, target, _ = made(lambda text: False)
        carried = Carried(person, cast(ShellLive, SimpleNamespace()), passage, None)
        carried.begin(target)
        carried.of_person.of(person.channel)
        carried.person_full(full=True)
        assert (target.reading, person.channel.reading) == (False, heard)
        carried.person_full(full=False)
        assert (target.reading, person.channel.reading) == (True, True)


def test_a_passage_has_the_person_wait() -> None:
    class Waiting(Lines):
        def from_person(self, data: bytes) -> list[Given]:
            return [Wait(data == b"wait")]

    person, _, target, _ = made(lambda text: False)
    carried = Carried(person, cast(ShellLive, SimpleNamespace()), Waiting(), None)
    carried.begin(target)
    carried.of_person.of(person.channel)
    carried.from_person(b"wait")
    assert not person.channel.reading
    carried.from_person(b"go")
    assert person.channel.reading


def test_a_signal_in_answer_to_what_was_shown_before_the_channel_is_there_arrives() -> None:
    async def play() -> None:
        person, carried, target, _ = made(lambda text: False)
        TargetChannel(carried).data_received(b"endless", None)
        assert person.channel.told == [b"endless"]
        carried.to_target("send_signal", "INT")
        carried.begin(target)
        assert target.told == ["INT"]

    asyncio.run(play())
