"""What rsync is told at the target, as far as it changes what goes through the channel.

The list is one of what may be there: an option that is not on it may change how the conversation
reads, or let something go over that is in no account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hoopcore.command import Text


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Letters that change nothing but what rsync does by itself, and those that change what is sent.
_QUIET = frozenset("vqLkKbudOJpErSWIRxtyhi")
_SENT = frozenset("logDHczmn")

_PLAIN = _words(
    """delete delete-before delete-during delete-delay delete-after delete-excluded force
    ignore-errors ignore-missing-args inplace partial delay-updates numeric-ids size-only existing
    ignore-existing safe-links copy-unsafe-links munge-links no-relative specials
    no-specials devices stats list-only old-compress fsync mkpath omit-dir-times super preallocate
    no-r no-R no-D no-owner no-group no-inc-recursive sparse open-noatime
    msgs2stderr no-msgs2stderr"""
)
_VALUED = _words(
    """max-delete timeout bwlimit backup-dir suffix partial-dir temp-dir compare-dest copy-dest
    link-dest max-size min-size modify-window compress-level skip-compress log-format info debug
    max-alloc usermap groupmap stop-after stop-at"""
)
_SEPARATE = _words("backup-dir partial-dir temp-dir compare-dest copy-dest link-dest")

_KNOWN = {
    "A": "-A (--acls)",
    "X": "-X (--xattrs)",
    "U": "-U (--atimes)",
    "N": "-N (--crtimes)",
    "s": "-s (--secluded-args)",
    "C": "-C (--cvs-exclude)",
}


@dataclass(frozen=True, slots=True)
class RsyncOptions:
    """What the conversation hangs on."""

    upload: bool = True
    relative: bool = False
    owners: bool = False
    groups: bool = False
    devices: bool = False
    specials: bool = False
    links: bool = False
    sums: bool = False  # -c: the list has a sum of each file
    compressed: bool = False
    dry: bool = False
    numeric: bool = False
    filtered: bool = False  # the list of filters goes up with an upload
    beside: bool = False  # touches files of the target that it asks nobody for
    paths: tuple[Text, ...] = ()


def options_of(words: Sequence[Text]) -> RsyncOptions | str:
    """What stands behind ``rsync --server``, or the option that is not carried."""
    letters: set[str] = set()
    long: set[str] = set()
    at = 0
    while at < len(words) and words[at].said != ".":
        word = words[at]
        at += 1
        if not word.whole or word.many or not word.said.startswith("-") or word.said == "--":
            return "what stands where its options would"
        trouble = _long(word.said, long) if word.said.startswith("--") else _short(word, letters)
        if trouble:
            return trouble
        if word.said[2:] in _SEPARATE:
            at += 1
            if at > len(words) or not words[at - 1].whole or words[at - 1].many:
                return f"{word.said} without a value"
    if at >= len(words):
        return "what stands where its options would"
    return _told(letters, long, tuple(words[at + 1 :]))


def _long(said: str, long: set[str]) -> str:
    name, equals, _ = said[2:].partition("=")
    known = name in _VALUED if equals else name in _PLAIN | _SEPARATE | {"sender"}
    if name in ("remove-source-files", "sender") and not equals:
        known = True
    long.add(name)
    return "" if known else f"--{name}" if name.replace("-", "").isalnum() else "such an option"


def _short(word: Text, letters: set[str]) -> str:
    """One word of letters; behind ``e`` stands what the client can do, which matters from 30 on."""
    said = word.said[1:]
    if said.startswith("B") and said[1:].isdecimal():
        return ""
    for place, letter in enumerate(said):
        if letter == "e":
            able = said[place + 1 :]
            fine = able.isascii() and able.replace(".", "").isalnum()
            return "" if fine or not able else "what stands behind -e"
        if letter not in _QUIET | _SENT:
            return _KNOWN.get(letter, f"-{letter}" if letter.isalnum() else "such an option")
        letters.add(letter)
    return ""


def _told(letters: set[str], long: set[str], paths: tuple[Text, ...]) -> RsyncOptions | str:
    upload = "sender" not in long
    if not upload and "remove-source-files" in long:
        return "--remove-source-files on files of the target"
    deletes = any(name.startswith("delete") for name in long)
    elsewhere = any(name.endswith(("-dest", "-dir")) for name in long)
    return RsyncOptions(
        upload=upload,
        relative="R" in letters and not long & {"no-relative", "no-R"},
        owners="o" in letters,
        groups="g" in letters,
        devices="D" in letters or "devices" in long,
        specials=("D" in letters and "no-specials" not in long) or "specials" in long,
        links="l" in letters,
        sums="c" in letters,
        compressed="z" in letters,
        dry="n" in letters,
        numeric="numeric-ids" in long,
        filtered="m" in letters or deletes,
        beside=deletes or elsewhere,
        paths=paths,
    )
