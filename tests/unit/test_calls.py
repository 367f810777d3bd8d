"""The texts of commands that carry files, and which files they mean."""

from __future__ import annotations

import pytest

from hoopcore.calls import NotCarried, Roots, RsyncCall, ScpCall, carried, transfer_of
from hoopcore.command import Text
from hoopcore.shell import read

CALLS = (
    ("scp -t /srv", ScpCall),
    ("/usr/bin/scp -r -p -d -v -q -t -- '/srv/a b'", ScpCall),
    ("scp -f a b 'c d'", ScpCall),
    ("sudo -n scp -t /srv", ScpCall),
    ("sudo -n -u deploy rsync --server -e.i . /srv", RsyncCall),
    ("doas rsync --server --sender -re.LsfxCIvu . ~/x", RsyncCall),
    (r"rsync --server -e.i --usermap=\*:root . /srv", RsyncCall),
    ("rsync --server -e.i -B700 --temp-dir /tmp . /srv", RsyncCall),
)


@pytest.mark.parametrize(("text", "kind"), CALLS)
def test_a_command_by_itself_is_a_call(text: str, kind: type) -> None:
    assert isinstance(transfer_of(text, read(text.encode())), kind)


OTHERS = (
    *("ls", "scp a b", "rsync -a x y", "grep 'rsync --server' log", "echo scp -t", "sudo ls", ""),
    *("cat scp", "scp --", "sudo -n", "man scp", "scp -r a", "x=1", "echo 'unclosed"),
)


@pytest.mark.parametrize("text", OTHERS)
def test_other_commands_are_none(text: str) -> None:
    assert transfer_of(text, read(text.encode())) is None


HIDDEN = (
    *(
        "(scp -t /x)",
        "{ scp -t /x; }",
        "! scp -t /x",
        "scp -t /x\nid",
        "scp -t /x &",
        "f() { :; }; scp -t /x",
    ),
    *("env scp -f /x", "sudo -i scp -f /x", "xargs scp -f", "rsync --daemon x", "$X; scp -t /x"),
    *(
        "for i in 1; do scp -t /x; done",
        "scp -t /x # now",
        "eval rsync --server $x",
        "A=1 scp -t x",
    ),
    *("echo $(rsync --server . x)", "scp -t '" + "x" * (70 << 10) + "'"),
)


@pytest.mark.parametrize("text", HIDDEN)
def test_within_anything_else_it_is_hidden(text: str) -> None:
    found = transfer_of(text, read(text.encode()))
    assert isinstance(found, NotCarried), found


UNKNOWN = (
    *(
        "rsync --server -e.i . 'a' b",
        "rsync --server -e.i .",
        "rsync --server -e.i",
        "rsync --server",
    ),
    *("rsync --server -e.i --backup-dir . /x", "rsync --server -e.i --temp-dir $x . /x"),
    *("rsync --server -e'a b' . /x", "rsync --server -! . /x", "rsync --server --x=! . /x"),
    *("rsync -v --server . /x", "rsync --server -e.i -- . /x", "rsync --server -e.i --temp-dir"),
    *("scp -t ''$x", "scp -t *", "scp -$x -t a", "scp -f"),
)


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_known_of_it_is_refused(text: str) -> None:
    assert isinstance(transfer_of(text, read(text.encode())), NotCarried)


def up(path: str, name: str, *, alone: bool = False, folder: bool = False) -> list[str]:
    return [one.said for one in Roots(True, (Text(path),), folder).files(name, alone=alone)]


def down(name: str, *paths: str, relative: bool = False) -> list[str]:
    found = Roots(False, tuple(map(Text, paths)), relative=relative).files(name, alone=False)
    return [one.said if one.whole else f"{one.said}*" for one in found]


def test_what_goes_up_alone_may_be_what_is_named() -> None:
    assert up("/srv/x", "a", alone=True) == ["/srv/x/a", "/srv/x"]
    assert up("/srv/a", "a", alone=True) == ["/srv/a", "/srv/a/a"]
    assert up("/srv/b.txt", "a.txt", alone=True) == ["/srv/b.txt", "/srv/b.txt/a.txt"]
    assert up("/srv/x", "d/a", alone=True) == ["/srv/x/d/a", "/srv/x/a"]
    assert up("/srv/x", "a") == up("/srv/x/", "a", alone=True) == ["/srv/x/a"]
    assert up("/srv/x", "a", alone=True, folder=True) == ["/srv/x/a"]
    assert up(".", "a", alone=True) == up("", "a", alone=True) == ["~/a"]
    assert up("../x", "a", alone=True)[0] == ""  # nobody knows where


def test_what_comes_down_lies_where_the_command_says() -> None:
    assert down("a", "/srv/a") == ["/srv/a"]
    assert down("d/a", "/srv/d") == ["/srv/d/a"]
    assert down("a", "/srv/d/") == down("a", "/srv/d/.") == ["/srv/d/a"]
    assert down(".", "/srv/d/") == down(".", "/srv/d") == ["/srv/d"]
    assert down("a", "/x/", "/y/", "/z/b") == ["/x/a", "/y/a"]
    assert down("a", "b") == ["*"]
    assert down("a", "~") == ["~/a"]
    assert down("srv/a", "/srv", relative=True) == ["/srv/a"]
    assert down("a", "/srv/./a", relative=True) == ["/srv/a"]
    assert down("home/x/a", "~/a", relative=True) == ["*"]
    assert down("d/a", "d", relative=True) == ["~/d/a"]


@pytest.mark.parametrize(
    ("said", "found"),
    [("/srv/", "/srv/"), ("/srv/l", "/srv/l"), ("l", "~/l"), ("/srv/../e", "/e"), ("../x/", "")],
)
def test_what_is_known_of_a_pattern_is_its_beginning(said: str, found: str) -> None:
    (one,) = Roots(False, (Text(said, whole=False),)).files("a", alone=False)
    assert (one.said, one.whole) == (found, False)


def test_what_cannot_be_read_is_not_carried() -> None:
    text = "scp -t /srv"
    found = transfer_of(text, read(text.encode()))
    assert isinstance(found, ScpCall)
    other = read(b"$x")
    assert carried(other, found) is other
