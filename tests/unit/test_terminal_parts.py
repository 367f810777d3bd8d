"""The parts of masks over SSH: which commands are no text, and beginnings of patterns."""

from __future__ import annotations

import re
from random import Random

import pytest
import re2

from hoopcore.detectors import Own, Sweep
from hoopcore.detectors.spans import LATIN1
from hoopcore.shell import read
from hoopcore.terminal import Finder, clear_command
from hoopcore.terminal.prefixes import NotKnown, beginnings

NAMES = ("git-upload-pack", "git-receive-pack", "tar")


@pytest.mark.parametrize(
    "text",
    [
        "tar cf - /srv",
        "tar -C /srv -czf - Out",
        "/usr/bin/tar cvf - /srv",
        "git-upload-pack '/srv/x.git'",
        "git-receive-pack 'x.git'",
    ],
)
def test_a_listed_program_alone_is_clear(text: str) -> None:
    assert clear_command(text, read(text.encode()), NAMES)
    assert not clear_command(text, read(text.encode()), ())


@pytest.mark.parametrize(
    "text",
    [
        *("tar x; cat y", "tar cf - x | cat", "tar x || :", "tar x && cat y", "tar x & cat y"),
        *("tar x\ncat y", "tar $(cat x)", "tar `cat x`", "tar <(cat x)", "cat x > tar", "(tar x)"),
        *("tar --to-command=cat -xf x", "tar --to-c cat -xf x", "tar -xOf x", "tar xOf x y"),
        *("tar -I 'sh -c x' -cf - y", "tar --use-compress-program=x", "tar --us=x cf -"),
        *("tar cf - x --checkpoint=1 --checkpoint-action=exec=sh", "tar -F x -cf -", "tar *"),
        *("tar --rsh-command=x", "tar --info-script=x -cf -", "tar cf - x > /dev/stderr"),
        *("/tmp/tar x", "./tar x", "PATH=/tmp tar x", "sudo tar x", "env tar x", "exec tar x"),
        *(
            "sh -c 'tar x'",
            "xargs tar",
            "alias tar=cat",
            "echo tar",
            "cat tar",
            "'tar' x",
            "\\tar x",
        ),
        *("", "tar 'x", "git-upload-pack 'x'; id", "git-upload-pack 'x\ny'"),
    ],
)
def test_what_may_run_or_print_something_else_is_no_clear_command(text: str) -> None:
    assert not clear_command(text, read(text.encode()), NAMES)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        (r"EMP-[0-9]{5}", ["EMP-12345"]),
        (r"(?:ab|cd?)+x{2,3}", ["ababxx", "ccdxxx"]),
        (r"a{0}b", ["b"]),
        (r"[]a-c]{2,}\x41[[:digit:]]\pL?", ["]aA7", "abcA7z"]),
        (r"(?i)k(?P<n>e(y|z))*\b!", ["KEyez!", "k!"]),
        (r"a(?:b(?i:C)d)?e", ["abcde", "ae", "abCde"]),
        (r"a\.b|\d\d?", ["a.b", "7", "77"]),
        (r"x.*?y", ["xyzzy", "xy"]),
        (r"q\\\[\x{42}", [r"q\[B"]),
    ],
)
def test_beginnings_match_each_beginning_of_a_match(pattern: str, matches: list[str]) -> None:
    whole = re2.compile(pattern.encode(), LATIN1)
    begun = re2.compile(f"(?:{beginnings(pattern)})".encode(), LATIN1)
    for match in matches:
        assert whole.fullmatch(match.encode())
        for end in range(len(match) + 1):
            assert begun.fullmatch(match[:end].encode()), match[:end]
    assert not begun.fullmatch(b"something else")


@pytest.mark.parametrize("pattern", [r"\Qa\E", "(?<n", "a(b", "*a", "a)b", "(?=a)"])
def test_what_is_not_followed_is_said_so(pattern: str) -> None:
    with pytest.raises(NotKnown):
        beginnings(pattern)


def test_a_pattern_that_is_too_large_waits_by_its_length() -> None:
    nested = "a"
    for _ in range(12):
        nested = f"(?:{nested}{nested}?b)"
    with pytest.raises(NotKnown):
        beginnings(nested)
    kind = Own("big", r"(?:" + "|".join(f"k{n:05}[0-9]+" for n in range(900)) + ")",
               match=["k000017"]).kind()  # fmt: skip
    finder = Finder(Sweep([kind]))
    assert finder.opening("x" * 600) == 600 - 256


def test_beginnings_of_random_patterns_hold() -> None:
    random = Random("patterns")
    for _ in range(200):
        pattern = _pattern(random, 3)
        begun = re2.compile(f"(?:{beginnings(pattern)})".encode(), LATIN1)
        for _ in range(20):
            text = "".join(random.choices("ab1", k=random.randint(1, 8)))
            if re.fullmatch(pattern, text):
                for end in range(len(text) + 1):
                    assert begun.fullmatch(text[:end].encode()), (pattern, text[:end])


def _pattern(random: Random, depth: int) -> str:
    if depth == 0:
        return random.choice(["a", "b", "1", "[ab]", r"\d", ".", r"\w"])
    parts = [_pattern(random, depth - 1) for _ in range(random.randint(1, 3))]
    found = random.choice(["", "|"]).join(parts)
    return f"(?:{found})" + random.choice(["", "", "*", "+?", "?", "{2}", "{1,3}", "{0,2}", "{2,}"])
