"""rsync through its passage, with two real rsyncs on pipes: what arrives, and its account."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import time
from pathlib import Path
from struct import pack

import pytest

from hoopcore.calls import NotCarried, RsyncCall, ScpCall, transfer_of
from hoopcore.calls import carried as as_carried
from hoopcore.calls.rsync_options import RsyncOptions
from hoopcore.passage import Ask, Done, Passage, Stop, ToPerson, ToTarget
from hoopcore.policy import FileRules, Watch
from hoopcore.protocols.rsync import RsyncPassage
from hoopcore.protocols.rsync.listing import Listing
from hoopcore.protocols.rsync.pulling import Garbled, Puller
from hoopcore.protocols.rsync.tokens import Inflating
from hoopcore.shell import read
from hoopcore.statement import Statement
from tests.e2e.ssh_world import stock
from tests.transfers import Between, Judge, Ran, carried

LONG = os.environ.get("HOOP_LONG") == "1"


def passage(text: str) -> Passage:
    call = transfer_of(text, read(text.encode()))
    assert isinstance(call, RsyncCall), (text, call)
    return RsyncPassage(call)


def rsync(
    folder: Path,
    *words: str,
    judge: Judge = lambda ask: "",
    split: random.Random | None = None,
    cut: int = 0,
    plain: bool = False,
) -> Ran:
    """``{at}`` in words is the folder; a remote path stands behind ``host:``."""
    said = [word.replace("{at}", str(folder)) for word in words]
    command = [stock("rsync"), "--blocking-io", "-e", "{ssh}", *said]
    return carried(folder, command, None if plain else passage, judge=judge, split=split, cut=cut)


def tree(folder: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything in it: mode, and what is in it or what it points to."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(folder.rglob("*")):
        name = os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace")
        if path.is_symlink():
            found[name] = (0, os.readlink(path))
        elif not path.is_file():
            found[name] = (path.stat().st_mode, "")
        else:
            found[name] = (path.stat().st_mode, hashlib.sha256(path.read_bytes()).hexdigest())
    return found


def grow(folder: Path) -> Path:
    """A tree of many kinds of names and sizes."""
    dice = random.Random(7)
    for name, size in (
        *(("a", 1), ("b-x", 0), ("b/z", 5), ("b/y/deep", 33000), ("b/y-", 3), ("b.c/q", 70000)),
        *(
            ("Ünï/cödé", 12),
            ("with space/new\nline", 9),
            ("-dash", 4),
            ("*star", 8),
            ("z" * 200, 2),
        ),
        *(("big", 3 << 20), ("B/1", 1), ("b!/1", 1), ("b~/1", 1), ("exe", 100), ("secret", 40)),
        (os.fsdecode(b"bad\xff\xfe"), 6),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dice.randbytes(size))
        os.utime(path, (1_700_000_000, 1_700_000_000))
    (folder / "exe").chmod(0o755)
    (folder / "secret").chmod(0o600)
    (folder / "link").symlink_to("b/z")
    (folder / "empty").mkdir()
    os.mkfifo(folder / "pipe")
    return folder


@pytest.fixture
def at(tmp_path: Path) -> Path:
    grow(tmp_path / "src")
    (tmp_path / "dst").mkdir()
    return tmp_path


def sums(folder: Path) -> dict[str, tuple[int, str]]:
    """Every file in it, as the account is to have it."""
    found = {}
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            name = os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace")
            name = name.replace("\n", "\\n")
            data = path.read_bytes()
            found[name] = (len(data), hashlib.sha256(data).hexdigest())
    return found


def accounted(ran: Ran, root: str) -> dict[str, tuple[int, str]]:
    assert ran.stop is None, ran.stop
    assert all(one.outcome == "whole" for one in ran.files), ran.files
    return {one.path.removeprefix(f"{root}/"): (one.size, one.sha256) for one in ran.files}


WAYS = {"upload": ("{at}/src/", "host:{at}/dst/"), "download": ("host:{at}/src/", "{at}/dst/")}

OPTIONS = (
    *("-a", "-avz", "-rtv", "-aH -i", "-aR", "-ac --stats", "-aS --inplace", "-a --numeric-ids"),
    *(
        "-aP --delete --bwlimit=90000",
        "-am --delete-excluded --exclude=b",
        "-zrt --compress-level=1",
    ),
    *("-rlt --partial-dir=.p --timeout=30", "-a --chown=:root -e x", "-aW --delay-updates -vvv"),
)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", OPTIONS if LONG else OPTIONS[:6])
def test_what_arrives_is_what_arrives_without_the_gate(at: Path, way: str, options: str) -> None:
    words = [word for word in options.split() if word not in ("-e", "x")]
    named = "src/" if way == "upload" else "dst/"
    plain = rsync(at, *words, *WAYS[way], plain=True)
    without = tree(at / "dst")
    shutil.rmtree(at / "dst")
    (at / "dst").mkdir()
    through = rsync(at, *words, *WAYS[way])
    assert (through.status, through.stop) == (plain.status, None), through.stderr
    assert tree(at / "dst") == without, named
    assert all(one.outcome == "whole" for one in through.files)
    arrived = set(sums(at / "dst").values())
    assert {(one.size, one.sha256) for one in through.files} == arrived


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", ["-a", "-az"])
def test_the_account_has_each_file_with_its_size_mode_and_hash(
    at: Path, way: str, options: str
) -> None:
    ran = rsync(at, options, *WAYS[way])
    root = at / ("dst" if way == "upload" else "src")
    assert accounted(ran, str(root)) == sums(at / "src")
    modes = {one.path.rpartition("/")[2]: one.mode for one in ran.files}
    assert (modes["exe"], modes["secret"], modes["big"]) == ("0755", "0600", "0644")
    assert {one.direction for one in ran.files} == {way}
    assert [one.seq for one in ran.files] == list(range(1, len(ran.files) + 1))


@pytest.mark.parametrize("way", WAYS)
def test_a_changed_file_goes_as_a_whole_and_what_is_there_does_not(at: Path, way: str) -> None:
    rsync(at, "-a", *WAYS[way])
    with (at / "src" / "big").open("r+b") as big:
        big.seek(1 << 20)
        big.write(b"changed")
    (at / "src" / "a").unlink()
    ran = rsync(at, "-a", "--delete", *WAYS[way])
    root = at / ("dst" if way == "upload" else "src")
    assert accounted(ran, str(root)) == {"big": sums(at / "src")["big"]}
    assert tree(at / "dst") == tree(at / "src")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", ["-av", "-avz"])
def test_where_the_conversation_is_cut_changes_nothing(at: Path, way: str, options: str) -> None:
    root = at / ("dst" if way == "upload" else "src")
    for seed in range(6 if LONG else 1):
        shutil.rmtree(at / "dst")
        (at / "dst").mkdir()
        ran = rsync(at, options, *WAYS[way], split=random.Random(seed))
        assert ran.status == 0, ran.stderr
        assert accounted(ran, str(root)) == sums(at / "src")
        assert tree(at / "dst") == tree(at / "src")


@pytest.mark.parametrize("way", WAYS)
def test_a_refused_file_stays_and_the_others_go(at: Path, way: str) -> None:
    def judge(ask: Ask) -> str:
        (transfer,) = ask.statement.shell.transfers if ask.statement.shell else ()
        assert transfer.action == way
        assert transfer.size is not None
        name = transfer.files[0].said.rpartition("/")[2]
        return "not this one" if name in ("a", "secret", "big") else ""

    ran = rsync(at, "-a", *WAYS[way], judge=judge)
    assert ran.status == 23  # some files were not transferred
    assert ran.stderr.count("hoop: not this one (") == 3
    missing = set(tree(at / "src")) - set(tree(at / "dst"))
    assert missing == {"a", "secret", "big"}
    refused = [one for one in ran.files if one.outcome == "refused"]
    assert {(one.path.rpartition("/")[2], one.size, one.sha256) for one in refused} == {
        (name, 0, "") for name in missing
    }
    assert sum(one.outcome == "whole" for one in ran.files) == len(sums(at / "src")) - 3


@pytest.mark.parametrize("way", WAYS)
def test_a_dry_run_asks_for_nothing(at: Path, way: str) -> None:
    ran = rsync(at, "-anv", *WAYS[way])
    assert (ran.status, ran.asks, ran.files) == (0, [], [])
    assert "b/y/deep" in ran.stdout
    assert not tree(at / "dst")


def test_a_list_alone_is_shown(at: Path) -> None:
    ran = rsync(at, "host:{at}/src/")
    assert (ran.status, ran.asks) == (0, [])
    assert "secret" in ran.stdout


@pytest.mark.parametrize("way", WAYS)
def test_a_transfer_that_is_cut_off_is_a_part(at: Path, way: str) -> None:
    dice = random.Random(3)
    (at / "src" / "0").write_bytes(dice.randbytes(8 << 20))
    words = ("-a", "--partial", *WAYS[way])
    if way == "upload":
        pytest.skip("what the target says does not tell how far an upload is")
    ran = rsync(at, *words, cut=1 << 20)
    assert ran.status != 0
    (part,) = [one for one in ran.files if one.outcome == "part"]
    assert 0 < part.size < 8 << 20
    assert part.sha256 == ""


NAMED = (
    (("-a", "{at}/src", "host:{at}/dst"), "dst/src/a"),
    (("-a", "{at}/src/a", "host:{at}/dst/renamed"), "dst/renamed/a"),
    (("-a", "{at}/src/a", "host:{at}/new/a"), "new/a"),
    (("-a", "host:{at}/src", "{at}/dst"), "src/a"),
    (("-a", "host:{at}/src/a", "{at}/dst"), "src/a"),
    (("-a", "host:{at}/src/a", ":{at}/src/b/z", "{at}/dst"), "src/a"),
    (("-aR", "host:{at}/src/a", "{at}/dst"), "src/a"),
    (("-aR", "host:{at}/./src/a", "{at}/dst"), "src/a"),
    (("-a", "host:{at}/src/b/../a", "{at}/dst"), "src/a"),
)


@pytest.mark.parametrize(("words", "path"), NAMED)
def test_rules_see_where_a_file_lies(at: Path, words: tuple[str, ...], path: str) -> None:
    (at / "new").mkdir()
    ran = rsync(at, *words)
    found = [
        [file.said for file in ask.statement.shell.transfers[0].files]
        for ask in ran.asks
        if ask.statement.shell is not None
    ]
    assert any(f"{at}/{path}" in files for files in found), found
    assert all(file.startswith(str(at)) for files in found for file in files)


def test_a_pattern_is_every_path_that_begins_so(at: Path) -> None:
    ran = rsync(at, "-a", "host:{at}/src/b*", "{at}/dst")
    for ask in ran.asks:
        assert ask.statement.shell is not None
        (file,) = ask.statement.shell.transfers[0].files
        assert (file.said, file.whole) == (f"{at}/src/b", False)


@pytest.mark.parametrize("way", WAYS)
def test_every_file_is_on_its_own_account_whatever_names_stand_beside_it(
    tmp_path: Path, way: str
) -> None:
    """An index stands for a name only where both ends sort as hoop does."""
    dice = random.Random(11)
    for _ in range(60 if LONG else 3):
        shutil.rmtree(tmp_path, ignore_errors=True)
        (tmp_path / "dst").mkdir(parents=True)
        for _ in range(80):
            parts = [
                "".join(dice.choice("ab-.~ !/\x01é") for _ in range(dice.randint(1, 4)))
                for _ in range(dice.randint(1, 3))
            ]
            path = tmp_path / "src" / "/".join(parts).replace("..", "x").replace("/./", "/c/")
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(dice.randbytes(dice.randint(0, 50)))
            except OSError:
                continue
        ran = rsync(tmp_path, "-r", *WAYS[way])
        root = tmp_path / ("dst" if way == "upload" else "src")
        found = {
            name.replace("\x01", "\\x01"): told for name, told in sums(tmp_path / "src").items()
        }
        assert accounted(ran, str(root)) == found


def test_links_and_names_that_come_twice_are_told_apart(at: Path) -> None:
    os.link(at / "src" / "b" / "z", at / "src" / "c")
    (at / "more").mkdir()
    (at / "more" / "a").write_bytes(b"another one, that comes second")
    (at / "more" / "n").write_bytes(b"new")
    ran = rsync(at, "-aH", "{at}/src/", "{at}/more/", "host:{at}/dst/")
    assert (at / "dst" / "c").stat().st_ino == (at / "dst" / "b" / "z").stat().st_ino
    wanted = sums(at / "dst")
    found = accounted(ran, str(at / "dst"))
    assert {**wanted, **found} == wanted
    assert set(wanted) - set(found) <= {"c", "b/z"}


# --- what is no file's content ------------------------------------------------------------------


class Rules(FileRules):
    """Refuses whatever has ``secret`` in its path; nothing may grow beyond ten bytes."""

    def __init__(self) -> None:
        pass

    names_paths = True

    def refuses(self, statement: Statement) -> bool:
        assert statement.shell is not None
        return any("secret" in file.said for file in statement.shell.files)

    def watch(self, statement: Statement) -> Watch:
        return Watch(largest=10, words="no more than ten bytes")


def test_a_link_is_not_made_where_a_rule_keeps_its_path(tmp_path: Path) -> None:
    for name in ("src/secret-place", "dst"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "src" / "secret-place" / "link").symlink_to("/etc")

    def strict(text: str) -> Passage:
        one = transfer_of(text, read(text.encode()))
        assert isinstance(one, RsyncCall)
        return RsyncPassage(one, Rules())

    words = [f"{tmp_path}/src/", f"host:{tmp_path}/dst/"]
    ran = carried(tmp_path, [stock("rsync"), "-a", "--blocking-io", "-e", "{ssh}", *words], strict)
    assert ran.stop is not None
    assert "a rule refuses to have this made" in ran.stop.words
    assert not tree(tmp_path / "dst")


def test_a_file_that_outgrows_what_it_may_be_ends_there() -> None:
    one = RsyncPassage(call(), Rules())
    one.from_person(told(b"a"))
    one.from_target(pack("<ii", 31, 99) + asked(0), stderr=False)
    one.decided(1, "")
    found = one.from_person(pack("<iH", 0, 1 << 15) + bytes(16) + pack("<i", 11) + bytes(11))
    assert [type(given) for given in found] == [Done, Stop]
    assert isinstance(found[1], Stop)
    assert found[1].words == "no more than ten bytes"


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("rsync --server -re.i . /srv", True),
        ("scp -r -t /srv", True),
        ("rsync --server -re.i --delete . /srv", False),
        ("rsync --server -re.i --copy-dest /etc . /srv", False),
        ("rsync --server -re.i --backup-dir=/etc . /srv", False),
    ],
)
def test_rules_see_all_of_a_command_that_touches_more_than_its_files(text: str, asks: bool) -> None:
    reading = read(text.encode())
    found = transfer_of(text, reading)
    assert isinstance(found, RsyncCall | ScpCall)
    (statement,) = as_carried(reading, found).statements
    assert statement.shell is not None
    assert statement.shell.carried is asks
    assert all(file.whole for file in statement.shell.files) is asks


# --- what may not be ----------------------------------------------------------------------------

REFUSED = (
    ("rsync --server -logDtpAre.iLsfxCIvu . /x", "-A"),
    ("rsync --server -logDtpXre.iLsfxCIvu . /x", "-X"),
    ("rsync --server -slogDtpre.iLsfxCIvu", "-s"),
    ("rsync --server --daemon .", "--daemon"),
    ("rsync --server -logDtpre.i --append . /x", "--append"),
    ("rsync --server -logDtpre.i --compress-choice=zstd . /x", "--compress-choice"),
    ("rsync --server -logDtpre.i --new-compress . /x", "--new-compress"),
    ("rsync --server -logDtpre.i --files-from=- . /x", "--files-from"),
    ("rsync --server -logDtpre.i --log-file=/x . /x", "--log-file"),
    ("rsync --server --sender -logDtpre.i --remove-source-files . /x", "--remove-source-files"),
    ("rsync --server -logDtpre.i --write-devices . /x", "--write-devices"),
    ("rsync --server -logDtpre.i --iconv=utf8 . /x", "--iconv"),
    ("rsync --server -logDtpre.i . $x", "which file"),
    ("rsync --server -logDtpre.i $x . /x", "stands where"),
    ("rsync --server -logDtpre.i . /x; id", "by itself"),
    ("rsync --server -logDtpre.i . /x & id", "by itself"),
    ("nice rsync --server -logDtpre.i . /x", "by itself"),
    ("rsync --server -logDtpre.i . /x < /etc/passwd", "by itself"),
    ("sh -c 'rsync --server --sender -r . /etc'", "by itself"),
)


@pytest.mark.parametrize(("text", "words"), REFUSED)
def test_what_cannot_be_accounted_for_is_refused(text: str, words: str) -> None:
    found = transfer_of(text, read(text.encode()))
    assert isinstance(found, NotCarried)
    assert words in found.words


def call(*, upload: bool = True, letters: str = "r") -> RsyncCall:
    found = transfer_of(
        f"rsync --server {'' if upload else '--sender '}-{letters}e.i . /srv/", read(b"true")
    )
    assert isinstance(found, RsyncCall)
    return found


def entry(name: bytes, size: int = 3, mode: int = 0o100644) -> bytes:
    return (
        bytes((0, 0)[:0])
        + bytes((4 | 0x40, 0))
        + pack("<iiii", len(name), 0, 0, 0)[:4]
        + (name + pack("<iii", size, 0, mode))
    )


def told(*names: bytes) -> bytes:
    return pack("<i", 31) + b"".join(map(entry, names)) + bytes(5)


def asked(index: int) -> bytes:
    body = pack("<iH", index, 1 << 15) + bytes(16)
    return pack("<I", 7 << 24 | len(body)) + body


@pytest.mark.parametrize("name", [b"../x", b"/etc/x", b"a/../b", b"a//b", b"./a", b"a\0b", b""])
def test_a_name_that_leaves_its_folder_ends_it(name: bytes) -> None:
    found = RsyncPassage(call()).from_person(told(name))
    assert isinstance(found[-1], Stop)
    assert not [one for one in found if isinstance(one, ToTarget)]


def begun(*names: bytes) -> RsyncPassage:
    """An upload whose list has gone."""
    one = RsyncPassage(call())
    assert not isinstance(one.from_person(told(*names))[-1], Stop)
    one.from_target(pack("<ii", 31, 99), stderr=False)
    return one


def test_a_file_that_nobody_asked_for_does_not_go() -> None:
    one = begun(b"a")
    found = one.from_person(pack("<iH", 0, 1 << 15) + bytes(16))
    assert [type(x) for x in found] == [Stop]


def test_a_file_that_was_refused_does_not_go() -> None:
    one = begun(b"a")
    assert isinstance(one.from_target(asked(0), stderr=False)[-1], Ask)
    one.decided(1, "no")
    assert isinstance(one.from_person(pack("<iH", 0, 1 << 15) + bytes(16))[-1], Stop)


def test_nothing_is_copied_from_what_the_other_end_has() -> None:
    one = begun(b"a")
    one.from_target(asked(0), stderr=False)
    one.decided(1, "")
    head = pack("<iH", 0, 1 << 15) + bytes(16)
    found = one.from_person(head + pack("<i", 2) + b"xx" + pack("<i", -1))
    assert isinstance(found[0], Done)
    assert (found[0].event.outcome, found[0].event.size) == ("part", 2)
    assert isinstance(found[-1], Stop)


def test_what_ends_in_a_piece_that_does_not_go_on_has_not_arrived() -> None:
    one = begun(b"a")
    one.from_target(asked(0), stderr=False)
    one.decided(1, "")
    whole = pack("<iH", 0, 1 << 15) + bytes(16) + pack("<i", 2) + b"xx" + bytes(4) + bytes(16)
    done, stop = one.from_person(whole + pack("<iH", 77, 0))
    assert isinstance(done, Done)
    assert done.event.outcome.startswith("failed: ")
    assert isinstance(stop, Stop)


def test_an_old_rsync_is_told_so() -> None:
    (stop,) = RsyncPassage(call()).from_person(pack("<i", 28))
    assert isinstance(stop, Stop)
    assert "too old" in stop.words


def test_a_greeting_of_the_targets_shell_ends_it() -> None:
    (stop,) = RsyncPassage(call()).from_target(b"Welcome to web-1\n", stderr=False)
    assert isinstance(stop, Stop)
    assert "does not speak as rsync" in stop.words


def test_what_inflates_without_end_ends() -> None:
    import zlib

    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(4 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    inflating = Inflating(lambda data: None, 1 << 20)
    with pytest.raises(Garbled):
        inflating.feed(bomb)


def test_more_names_than_are_kept_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoopcore.protocols.rsync.listing.MOST", 3)
    listing = Listing(RsyncOptions())
    with pytest.raises(Garbled):
        Puller(listing.script()).feed(b"".join(entry(b"%d" % one) for one in range(9)))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("options", ["-a", "-az"])
def test_garbage_ends_it_and_never_more(at: Path, way: str, options: str) -> None:
    ran = rsync(at, options, "--exclude=big", *WAYS[way])
    said, text = ran.said, ran.text
    dice = random.Random(5)
    before = time.monotonic()
    ended = 0
    for _ in range(1500 if LONG else 100):
        between = Between(passage(text), lambda ask: "")
        where = dice.randrange(len(said))
        for place, (side, data) in enumerate(said):
            changed = bytearray(data)
            if place == where and changed:
                for _ in range(dice.choice((1, 1, 3))):
                    changed[dice.randrange(len(changed))] = dice.choice((0, 1, 127, 128, 255))
            between.tell(side, bytes(changed))
        between.close()
        ended += between.stop is not None
    assert ended
    assert time.monotonic() - before < 120  # no input makes it go round


def test_what_the_target_could_not_write_has_failed(at: Path) -> None:
    (at / "dst" / "b").mkdir()
    (at / "dst" / "big" / "in the way").mkdir(parents=True)
    ran = rsync(at, "-a", *WAYS["upload"])
    failed = [one for one in ran.files if one.outcome != "whole"]
    assert not (at / "dst" / "big").is_file()
    assert all("big" in one.path for one in failed)
    assert sum(one.outcome == "whole" for one in ran.files) == len(sums(at / "src")) - 1


def test_an_error_of_the_targets_is_of_the_file_that_it_names() -> None:
    one = begun(b"d/a", b"b")
    for index in (0, 1):
        one.from_target(asked(index), stderr=False)
        one.decided(index + 1, "")
        head = pack("<iH", index, 1 << 15) + bytes(16)
        found = one.from_person(head + pack("<i", 2) + b"xx" + bytes(4) + bytes(16))
        assert not [given for given in found if isinstance(given, Done)]
    words = b'rsync: [receiver] mkstemp "/srv/d/.a.x1Y2z3" failed: Permission denied (13)\n'
    frame = pack("<I", 8 << 24 | len(words)) + words
    told, done = one.from_target(frame, stderr=False)
    assert told == ToPerson(frame)
    assert isinstance(done, Done)
    assert (done.event.seq, done.event.size) == (2, 2)
    assert done.event.outcome.startswith("failed: rsync: [receiver] mkstemp")
    rest = one.closed()
    assert [given.event.outcome for given in rest if isinstance(given, Done)] == [
        "failed: the target ended before it was known to be there"
    ]


def test_words_of_the_target_go_on(at: Path) -> None:
    ran = rsync(at, "-a", "host:{at}/src/nothing", "host:{at}/src/b", "{at}/dst")
    assert "No such file" in ran.stderr
    assert (at / "dst" / "b" / "z").exists()
