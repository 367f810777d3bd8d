"""No sequence of SFTP requests gets at a file that a rule about paths keeps.

A client makes links, renames, copies and opens at random, under every spelling of every name; the
server is a real one.  It must never be told a byte of the file, nor change it, nor move it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopcore.protocols.sftp.wire import Type, string, u32, u64
from tests.servers import private_folder
from tests.wire.sftp_ends import Person, Server, Through, close_servers, rules

SEEDS = 600 if os.environ.get("HOOP_LONG") else 25
SECRET = b"canary-5f2c" * 50
RULE = """
[[rule]]
name = "kept"
verdict = "refuse"
reason = "it is kept"
paths = ["{place}/deep/kept/*"]
"""
NAMES = ("deep", "deep/kept", "deep/kept/key", "a", "b", "c", "d/a", "d/b", "d")
OPENED = (1, 2, 3, 10, 26, 6, 17, 42, 0)  # flags


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    with private_folder() as folder:
        yield folder
        close_servers()


class Thief:
    """Tries anything."""

    def __init__(self, person: Person, place: Path, dice: random.Random) -> None:
        self.person, self.place, self.dice = person, place, dice
        self.handles: list[bytes] = []
        self.heard: list[bytes] = []

    def path(self) -> bytes:
        """A name there may be, spelt in one of many ways, or what a link may make of it."""
        dice = self.dice
        name = dice.choice(NAMES)
        if dice.random() < 0.5:
            name = dice.choice(["a", "b", "c", "d/a", "d/b"]) + dice.choice(
                [
                    "",
                    "/key",
                    "/kept/key",
                    "/kept",
                    "/deep/kept/key",
                    "/..",
                    "/.",
                    "/../kept/key",
                    "/",
                ]
            )
        spelt = dice.choice(
            ["{}", "{}", "./{}", "d/../{}", ".//{}", f"{self.place}/{{}}", "/proc/self/cwd/{}",
             f"{self.place}/../{self.place.name}/{{}}"]
        )  # fmt: skip
        return string(spelt.format(name).encode())

    def ask(self, kind: int, *parts: bytes) -> bytes:
        answer = self.person.ask(kind, *parts)
        self.heard.append(answer)
        return answer

    def step(self) -> None:
        dice = self.dice
        what = dice.choice("lllrrphhmoooooRRWCsSfdx")
        if what == "l":
            self.ask(
                Type.SYMLINK, self.path() if dice.random() < 0.8 else string(b".."), self.path()
            )
        elif what == "r":
            self.ask(Type.RENAME, self.path(), self.path())
        elif what in "ph":
            name = b"posix-rename@openssh.com" if what == "p" else b"hardlink@openssh.com"
            self.ask(Type.EXTENDED, string(name), self.path(), self.path())
        elif what == "m":
            self.ask(Type.MKDIR, self.path(), u32(0))
        elif what == "o":
            answer = self.ask(Type.OPEN, self.path(), u32(dice.choice(OPENED)), u32(0))
            if answer[0] == Type.HANDLE:
                self.handles.append(answer[1:])
        elif what == "s":
            self.ask(Type.SETSTAT, self.path(), u32(1), u64(3))
        elif what == "d":
            self.ask(dice.choice([Type.REMOVE, Type.RMDIR]), self.path())
        elif what == "x":
            self.ask(
                Type.EXTENDED, string(b"lsetstat@openssh.com"), self.path(), u32(4), u32(0o777)
            )
        elif self.handles:
            self.with_handle(what, dice.choice(self.handles))

    def with_handle(self, what: str, handle: bytes) -> None:
        if what == "R":
            self.ask(Type.READ, handle, u64(0), u32(5000))
        elif what == "W":
            self.ask(Type.WRITE, handle, u64(0), string(b"overwritten"))
        elif what == "S":
            self.ask(Type.FSETSTAT, handle, u32(1), u64(2))
        elif what == "f":
            copy = self.dice.choice(self.handles)
            self.ask(Type.EXTENDED, string(b"copy-data"), handle, u64(0), u64(99), copy, u64(0))
        elif what == "C":
            self.ask(Type.CLOSE, handle)
            self.handles.remove(handle)


def test_no_sequence_of_requests_gets_at_a_kept_file(place: Path) -> None:
    opened = 0
    for seed in range(SEEDS):
        here = place / str(seed)
        (here / "deep" / "kept").mkdir(parents=True)
        (here / "d").mkdir()
        (here / "a").write_bytes(b"harmless")
        key = here / "deep" / "kept" / "key"
        key.write_bytes(SECRET)
        key.chmod(0o640)
        for link, leads in (("b", "deep"), ("c", "deep/kept/key"), ("d/b", "../deep/kept")):
            (here / link).symlink_to(leads)  # somebody else's
        through = Through(Server(here), rules(RULE.format(place=here)))
        thief = Thief(Person(through), here, random.Random(seed))
        for _ in range(150):
            thief.step()
        through.close()
        assert not through.stopped
        assert not any(b"canary" in answer for answer in thief.heard), seed
        assert key.read_bytes() == SECRET, seed
        assert key.stat().st_mode & 0o777 == 0o640, seed
        assert key.stat().st_nlink == 1, seed
        assert sorted(path.name for path in key.parent.iterdir()) == ["key"], seed
        opened += sum(answer[0] == Type.DATA for answer in thief.heard)
    assert opened  # it gets at others
