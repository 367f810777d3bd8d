"""Any sequence of requests gets the same answers with the passage between as without it."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from hoopcore.protocols.sftp.wire import Fields, Type, string, u32, u64
from tests.servers import private_folder
from tests.wire.sftp_ends import Person, Server, Through, close_servers, rules

LONG = bool(os.environ.get("HOOP_LONG"))

NAMES = ["a", "b", "d", "d/x", "d/../a", "link", "loop", "dlink/x", "dangling", "no/x", ".", "..",
         "d/.", "d//x", "./b", "", "dlink/../a", "dlink", "d/y"]  # fmt: skip
EXTENSIONS = [b"posix-rename@openssh.com", b"hardlink@openssh.com", b"statvfs@openssh.com",
              b"lsetstat@openssh.com", b"fsync@openssh.com", b"fstatvfs@openssh.com",
              b"limits@openssh.com", b"expand-path@openssh.com", b"copy-data"]  # fmt: skip


def furnish(folder: Path) -> Path:
    folder.mkdir()
    (folder / "d").mkdir()
    (folder / "a").write_bytes(b"a" * 100)
    (folder / "b").write_bytes(bytes(range(256)) * 300)
    (folder / "d" / "x").write_bytes(b"x")
    (folder / "link").symlink_to("a")
    (folder / "loop").symlink_to("loop")
    (folder / "dlink").symlink_to("d")
    (folder / "dangling").symlink_to("d/new")
    return folder


class Asking:
    """Makes the same requests of both ends, and says what each answered."""

    def __init__(self, dice: random.Random, one: Person, other: Person, *, real: bool) -> None:
        self.dice, self.real = dice, real
        # OpenSSH's REALPATH takes ``..`` of what is no folder.
        self.names = [name for name in NAMES if not (real and "/../" in name)]
        self.people = (one, other)
        self.handles: list[tuple[bytes, bytes]] = []

    def path(self) -> bytes:
        return string(self.dice.choice(self.names).encode())

    def attributes(self) -> bytes:
        dice = self.dice
        return dice.choice(
            [u32(0), u32(4) + u32(0o100000 | dice.choice([0o600, 0o644, 0o755])),
             u32(1) + u64(dice.randrange(300)), u32(8) + u32(5) + u32(6)]
        )  # fmt: skip

    def step(self) -> tuple[bytes, bytes, int]:
        dice = self.dice
        kind = dice.choice([3, 3, 3, 4, 5, 5, 6, 6, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18,
                            19, 20, 200, 200])  # fmt: skip
        handle = dice.choice(self.handles) if self.handles and dice.random() < 0.9 else (b"xx",) * 2
        if kind == 200:
            return self.both(kind, *self.extended(handle))
        before: list[bytes] = []
        behind: list[bytes] = []
        if kind in (4, 5, 6, 8, 10, 12):
            if kind == 5:
                behind = [u64(dice.randrange(400)), u32(dice.choice([1, 50, 40_000, 99_999]))]
            elif kind == 6:
                data = bytes([dice.randrange(256)]) * dice.choice([0, 1, 100, 40_000])
                behind = [u64(dice.randrange(400)), string(data)]
            elif kind == 10:
                behind = [self.attributes()]
            answers = self.both(kind, before, behind, handle)
            if kind == 4 and handle in self.handles:
                self.handles.remove(handle)
            return answers
        before = [self.path()]
        if kind == 3:
            before += [u32(dice.choice([0, 1, 2, 3, 10, 26, 42, 14, 17, 6])), self.attributes()]
        elif kind == 9:  # to change nothing of what is not there is fine with OpenSSH
            before.append(u32(4) + u32(0o100640))
        elif kind == 14:
            before.append(self.attributes())
        elif kind in (18, 20):
            before.append(self.path())
        return self.both(kind, before, behind, None)

    def extended(
        self, handle: tuple[bytes, bytes]
    ) -> tuple[list[bytes], list[bytes], tuple[bytes, bytes] | None]:
        dice = self.dice
        name = dice.choice([*EXTENSIONS, b"unknown@example.com"])
        before = [string(name)]
        if name.startswith((b"posix", b"hardlink")):
            return [*before, self.path(), self.path()], [], None
        if name.startswith((b"statvfs", b"expand")):
            return [*before, self.path()], [], None
        if name.startswith(b"lset"):
            return [*before, self.path(), self.attributes()], [], None
        if name.startswith((b"limits", b"unknown")):
            return before, [], None
        if name == b"copy-data":
            # All that there is may be more than a rule lets, so it is refused where there is one.
            count = dice.choice([5, 300] if self.real else [0, 5, 300])
            numbers = (dice.randrange(50), count, dice.randrange(50))
            self.second = dice.choice(self.handles) if self.handles else (b"yy",) * 2
            return before, [u64(numbers[0]), u64(numbers[1]), b"SECOND", u64(numbers[2])], handle
        return before, [], handle

    def both(
        self,
        kind: int,
        before: list[bytes],
        behind: list[bytes],
        handle: tuple[bytes, bytes] | None,
    ) -> tuple[bytes, bytes, int]:
        answers = []
        self.last = before, behind
        for place, person in enumerate(self.people):
            middle = [string(handle[place])] if handle is not None else []
            parts = [string(self.second[place]) if p == b"SECOND" else p for p in behind]
            answers.append(person.ask(kind, *before, *middle, *parts))
        if answers[0][0] == answers[1][0] == Type.HANDLE:
            self.handles.append((answers[0][5:], answers[1][5:]))
        return answers[0], answers[1], kind


def plain(answer: bytes, folder: Path, asked: int, *, codes: bool) -> object:
    """What must be the same: not times, and not how a server words it.

    Where paths are resolved first, that may fail for another reason: ``codes`` is false.
    """
    kind, body = answer[0], answer[1:]
    if kind == Type.STATUS:
        code = int.from_bytes(body[:4])
        # OpenSSH's copy-data says OK where nothing was copied, from what cannot be read.
        if asked == Type.EXTENDED:
            return "status"
        return "status", code if codes else bool(code)
    if kind == Type.NAME:
        fields = Fields(body)
        names = []
        for _ in range(fields.u32()):
            names.append(fields.string().replace(str(folder).encode(), b"HERE"))
            fields.string()
            fields.attributes()
        return "names", sorted(names)
    if kind == Type.ATTRS:
        found = Fields(body).attributes()
        folder_size = found.may_be_folder and found.mode is not None
        return "attributes", None if folder_size else found.size, found.mode
    if kind == Type.EXTENDED_REPLY:
        return "extended", len(body)
    if kind == Type.HANDLE:
        return ("handle",)
    return kind, body


def tree(folder: Path) -> dict[str, object]:
    return {
        str(path.relative_to(folder)): (
            os.readlink(path)
            if path.is_symlink()
            else (path.stat().st_mode, path.read_bytes() if path.is_file() else None)
        )
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture(name="place")
def _place() -> Iterator[Path]:
    with private_folder() as folder:
        yield folder
        close_servers()


SOME_PATH = """
[[rule]]
name = "elsewhere"
verdict = "refuse"
reason = "no"
paths = ["/nowhere/at/all"]

[[rule]]
name = "huge"
verdict = "refuse"
reason = "no"
larger_than = "1 GiB"

[[rule]]
name = "cards"
verdict = "refuse"
reason = "no"
containing = ["card"]
"""


@pytest.mark.parametrize("text", ["", SOME_PATH], ids=["no rules", "rules on paths"])
@pytest.mark.parametrize("cut", [1 << 20, 7])
def test_any_requests_get_the_same_answers(place: Path, text: str, cut: int) -> None:
    for seed in range(60 if LONG else 6):
        folders = furnish(place / f"{seed}a"), furnish(place / f"{seed}b")
        direct, server = Server(folders[0]), Server(folders[1])
        through = Through(server, rules(text), cut=cut)
        dice = random.Random(seed * 7 + cut)
        asking = Asking(dice, Person(direct), Person(through), real=bool(text))
        for number in range(150):
            one, other, kind = asking.step()
            wanted, got = (
                plain(answer, folder, kind, codes=not text)
                for answer, folder in zip((one, other), folders, strict=True)
            )
            assert wanted == got, (seed, number, kind, asking.last)
        direct.close()
        through.close()
        assert not through.stopped
        assert tree(folders[0]) == tree(folders[1])
        shutil.rmtree(folders[0])
        shutil.rmtree(folders[1])
