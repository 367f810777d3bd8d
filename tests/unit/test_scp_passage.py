"""``scp -O`` through its passage, with two real scps on pipes: what arrives, and its account."""

from __future__ import annotations

import hashlib
import os
import random
from pathlib import Path

import pytest

from hoopcore.calls import NotCarried, ScpCall, transfer_of
from hoopcore.passage import Ask, Done, Passage, Stop, ToPerson, ToTarget
from hoopcore.protocols.scp import ScpPassage
from hoopcore.protocols.scp.records import LONGEST_LINE, MOST_AHEAD
from hoopcore.shell import read
from tests.e2e.ssh_world import stock
from tests.transfers import Between, Judge, Ran, carried

LONG = os.environ.get("HOOP_LONG") == "1"


def passage(text: str) -> Passage:
    call = transfer_of(text, read(text.encode()))
    assert isinstance(call, ScpCall), (text, call)
    return ScpPassage(call)


def scp(
    folder: Path,
    *words: str,
    judge: Judge = lambda ask: "",
    split: random.Random | None = None,
    cut: int = 0,
) -> Ran:
    said = [word.replace("{at}", str(folder)) for word in words]
    command = [stock("scp"), "-O", "-S", "{ssh}", *said]
    return carried(folder, command, passage, judge=judge, split=split, cut=cut)


@pytest.fixture
def at(tmp_path: Path) -> Path:
    dice = random.Random(7)
    for name, size in (
        *(("a", 1), ("none", 0), ("b/z", 5), ("b/y/deep", 33000), ("Ünï/cödé", 12)),
        *(("with space/new line", 9), ("z" * 200, 2), ("big", 3 << 20), ("secret", 40)),
    ):
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(size))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (tmp_path / "src" / "secret").chmod(0o600)
    (tmp_path / "dst").mkdir()
    return tmp_path


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    found = {}
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            found[str(path.relative_to(folder))] = (len(data), hashlib.sha256(data).hexdigest())
    return found


WAYS = {"upload": ("{at}/src", "host:{at}/dst"), "download": ("host:{at}/src", "{at}/dst")}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", ["-r", "-rp"])
def test_a_folder_arrives_and_every_file_is_accounted_for(at: Path, way: str, options: str) -> None:
    for seed in (None, *range(5 if LONG else 1)):
        split = None if seed is None else random.Random(seed)
        ran = scp(at, options, *WAYS[way], split=split)
        assert (ran.status, ran.stop) == (0, None), ran.stderr
        assert tree(at / "dst" / "src") == tree(at / "src")
        root = at / ("dst/src" if way == "upload" else "src")
        found = {
            one.path.removeprefix(f"{root}/"): (one.size, one.sha256)
            for one in ran.files
            if one.outcome == "whole"
        }
        assert found == tree(at / "src")
        modes = {one.path.rpartition("/")[2]: one.mode for one in ran.files}
        assert (modes["secret"], modes["a"]) == ("0600", "0644")


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_file_stays_and_the_others_go(at: Path, way: str) -> None:
    def judge(ask: Ask) -> str:
        (transfer,) = ask.statement.shell.transfers if ask.statement.shell else ()
        return "not this one" if (transfer.size or 0) in (1, 5, 3 << 20) else ""

    ran = scp(at, "-rp", *WAYS[way], judge=judge)
    assert ran.status == 1
    assert ran.stderr.count("hoop: not this one (") == 3
    assert set(tree(at / "src")) - set(tree(at / "dst" / "src")) == {"a", "b/z", "big"}
    refused = [(one.size, one.sha256) for one in ran.files if one.outcome == "refused"]
    assert refused == [(0, "")] * 3


NAMED = (
    (("{at}/src/a", "{at}/src/none", "host:{at}/dst"), {"dst/a", "dst/none"}),
    (("{at}/src/a", "host:{at}/dst/"), {"dst/a"}),
    (("{at}/src/a", "host:{at}/dst/new"), {"dst/new", "dst/new/a"}),
    (("host:{at}/src/b/../a", "{at}/dst"), {"src/a"}),
    (("-r", "host:{at}/src/b/y/", "{at}/dst"), {"src/b/y/deep"}),
)


@pytest.mark.parametrize(("words", "paths"), NAMED)
def test_rules_see_where_a_file_lies(at: Path, words: tuple[str, ...], paths: set[str]) -> None:
    ran = scp(at, *words)
    assert ran.status == 0, ran.stderr
    found = [ask.statement.shell.transfers[0].files for ask in ran.asks if ask.statement.shell]
    for files in found:
        assert {file.said.removeprefix(f"{at}/") for file in files} <= paths
        assert all(file.whole for file in files)
    real = {path for path in paths if (at / path).is_file()}
    assert real <= {file.said.removeprefix(f"{at}/") for files in found for file in files}


def test_what_the_target_cannot_do_is_told_and_accounted_for(at: Path) -> None:
    ran = scp(at, "{at}/src/a", "host:{at}/nowhere/at/all")
    assert ran.status == 1
    assert "No such file" in ran.stderr
    (file,) = ran.files
    assert file.outcome.startswith("failed: scp: ")
    ran = scp(at, "host:{at}/src/not-there", "{at}/dst")
    assert "No such file" in ran.stderr


def test_a_transfer_that_is_cut_off_is_a_part(at: Path) -> None:
    (at / "src" / "0").write_bytes(random.Random(3).randbytes(8 << 20))
    ran = scp(at, "host:{at}/src/0", "{at}/dst", cut=1 << 20)
    assert ran.status != 0
    (part,) = ran.files
    assert (part.outcome, part.sha256) == ("part", "")
    assert 0 < part.size < 8 << 20


# --- what may not be ----------------------------------------------------------------------------

REFUSED = (
    ("scp -t /x; sh", "by itself"),
    ("scp -t /x | tee /y", "by itself"),
    ("true && scp -f /x", "by itself"),
    ("$(which scp) -f /x", "by itself"),
    ("scp -f /x < /dev/null", "by itself"),
    ("A=b scp -f /x", "by itself"),
    ("sh -c 'scp -t /x'", "by itself"),
    ("scp -t -X /x", "option"),
    ("scp -t -f /x", "option"),
    ("scp -t", "which file"),
    ("scp -t a b", "which file"),
    ("scp -t $x", "which file"),
    ("scp $x -t a", "by itself"),
)


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_cannot_be_accounted_for_is_refused(text: str, words: str) -> None:
    found = transfer_of(text, read(text.encode()))
    assert isinstance(found, NotCarried), found
    assert words in found.words


@pytest.mark.parametrize("text", ["scp a b", "ls -t scp", "rsync -a x y", "cat scp-f", "echo"])
def test_other_commands_are_no_transfer(text: str) -> None:
    assert transfer_of(text, read(text.encode())) is None


def begun(text: str = "scp -r -t /srv") -> ScpPassage:
    call = transfer_of(text, read(text.encode()))
    assert isinstance(call, ScpCall)
    one = ScpPassage(call)
    if call.upload:
        one.from_target(b"\0", stderr=False)
    else:
        one.from_person(b"\0")
    return one


BAD = (
    *(b"C0644 3 ../x\n", b"C0644 3 a/b\n", b"C0644 3 ..\n", b"C0644 3 .\n", b"C0644 3 \n"),
    *(b"C0644 -3 x\n", b"C0644 3 a\0b\n", b"Cxxxx 3 a\n", b"X\n", b"E\n", b"D0755 0 ..\n", b"\n"),
    *(b"C0644 99999999999999999999 a\n", b"T1\n", b"E" * LONGEST_LINE, b"C0644 1 /etc/x\n"),
)


@pytest.mark.parametrize("line", BAD)
@pytest.mark.parametrize("text", ["scp -r -t /srv", "scp -r -f /srv/x"])
def test_a_line_that_scp_does_not_know_ends_it(line: bytes, text: str) -> None:
    one = begun(text)
    found = one.from_person(line) if " -t" in text else one.from_target(line, stderr=False)
    assert isinstance(found[-1], Stop), found
    assert not [x for x in found if isinstance(x, ToTarget | ToPerson)]


def test_a_folder_wants_r() -> None:
    assert isinstance(begun("scp -t /srv").from_person(b"D0755 0 x\n")[-1], Stop)


def test_a_refused_file_is_told_to_its_source_alone() -> None:
    one = begun()
    assert isinstance(one.from_person(b"C0644 3 x\n")[-1], Ask)
    done, told = one.decided(1, "no")
    assert isinstance(done, Done)
    assert told == ToPerson(b"\x01hoop: no (/srv/x)\n")
    # Who sends it nevertheless is not understood: what it says is no line any more.
    assert isinstance(one.from_person(b"abc\0\n")[-1], Stop)


def test_answers_of_the_person_wait_until_they_are_due() -> None:
    """Some clients send all answers at once; the target is told each in its turn."""
    one = begun("scp -f /srv/x")
    assert one.from_person(b"\0\0\0") == []
    (ask,) = one.from_target(b"C0644 3 x\n", stderr=False)
    assert isinstance(ask, Ask)
    assert one.decided(1, "") == [ToPerson(b"C0644 3 x\n"), ToTarget(b"\0")]
    *_, answer, done = one.from_target(b"abc\0", stderr=False)
    assert answer == ToTarget(b"\0")
    assert isinstance(done, Done)


def test_a_client_that_does_not_wait_is_understood() -> None:
    one = begun()
    assert isinstance(one.from_person(b"C0644 3 x\nabc\0C0644 1 y\n")[-1], Ask)
    assert one.decided(1, "") == [ToTarget(b"C0644 3 x\n")]
    found = one.from_target(b"\0", stderr=False)
    assert found == [ToPerson(b"\0"), ToTarget(b"abc"), ToTarget(b"\0")]
    assert isinstance(one.from_target(b"\0", stderr=False)[-1], Ask)


def test_what_comes_before_its_turn_is_bounded() -> None:
    one = begun()
    one.from_person(b"C0644 99999999 x\n")
    one.decided(1, "")
    found = [one.from_person(bytes(1 << 20)) for _ in range((MOST_AHEAD >> 20) + 1)]
    assert isinstance(found[-1][-1], Stop)


def test_an_answer_in_the_middle_of_a_file_ends_it() -> None:
    one = begun()
    one.from_person(b"C0644 3 x\n")
    one.decided(1, "")
    one.from_target(b"\0", stderr=False)
    one.from_person(b"a")
    done, stop = one.from_target(b"\0", stderr=False)
    assert isinstance(done, Done)
    assert done.event.outcome == "part"
    assert isinstance(stop, Stop)


def test_a_source_that_gives_up_is_heard() -> None:
    one = begun("scp -r -f /srv")
    assert one.from_target(b"\x01scp: x\n", stderr=False) == [ToPerson(b"\x01scp: x\n")]
    assert one.from_target(b"\x02scp: y\n", stderr=False) == [ToPerson(b"\x02scp: y\n")]
    assert isinstance(one.from_target(b"more", stderr=False)[-1], Stop)


def test_a_sink_that_gives_up_is_heard() -> None:
    one = begun()
    one.from_person(b"C0644 3 x\n")
    one.decided(1, "")
    told, done = one.from_target(b"\x02disk is full\n", stderr=False)
    assert told == ToPerson(b"\x02disk is full\n")
    assert isinstance(done, Done)
    assert done.event.outcome == "failed: disk is full"
    assert one.closed() == []


def test_a_source_that_could_not_read_all_says_so_behind_it() -> None:
    one = begun()
    one.from_person(b"C0644 3 x\n")
    one.decided(1, "")
    one.from_target(b"\0", stderr=False)
    one.from_person(b"abc\x01scp: x: Input/output error\n")
    *_, done = one.from_target(b"\0", stderr=False)
    assert isinstance(done, Done)
    assert done.event.outcome == "failed: its source could not read all of it"


def test_a_folder_that_the_target_does_not_take_is_left_out() -> None:
    one = begun()
    one.from_person(b"D0755 0 d\n")
    one.decided(1, "")
    one.from_target(b"\x01scp: d: Permission denied\n", stderr=False)
    (ask,) = one.from_person(b"C0644 3 x\n")
    assert isinstance(ask, Ask)
    assert ask.text == "upload /srv/x"


def test_a_second_answer_of_an_old_target_is_left_out() -> None:
    one = begun()
    one.from_person(b"C0644 0 x\n")
    one.decided(1, "")
    one.from_target(b"\0", stderr=False)
    one.from_person(b"\0")
    told, done = one.from_target(b"\x01scp: set times\n\0", stderr=False)
    assert told == ToPerson(b"\x01scp: set times\n")
    assert isinstance(done, Done)
    (ask,) = one.from_person(b"C0644 3 y\n")
    assert isinstance(ask, Ask)


def test_an_answer_that_scp_does_not_know_ends_it() -> None:
    one = begun()
    one.from_person(b"C0644 3 x\n")
    one.decided(1, "")
    assert isinstance(one.from_target(b"?", stderr=False)[-1], Stop)
    assert one.from_target(b"words", stderr=True) == [ToPerson(b"words", stderr=True)]
    assert one.person_done() == one.target_done() == one.quiet() == []


@pytest.mark.parametrize("way", WAYS)
def test_garbage_ends_it_and_never_more(at: Path, way: str) -> None:
    (at / "src" / "big").unlink()
    ran = scp(at, "-rp", *WAYS[way])
    said, text = ran.said, ran.text
    dice = random.Random(5)
    ended = 0
    for _ in range(3000 if LONG else 300):
        between = Between(passage(text), lambda ask: "")
        where = dice.randrange(len(said))
        for place, (side, data) in enumerate(said):
            changed = bytearray(data)
            if place == where and changed:
                changed[dice.randrange(len(changed))] = dice.choice((0, 1, 10, 47, 128, 255))
            between.tell(side, bytes(changed))
        between.close()
        ended += between.stop is not None
    assert ended
