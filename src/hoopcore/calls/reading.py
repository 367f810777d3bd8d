"""Commands that carry files: ``scp -t``, ``scp -f`` and ``rsync --server``, read from their text.

A text is a *call* where it is this one command and nothing else, so that what goes through its
channel is the protocol of files and may be read as such.  Where such a command stands in a larger
text, nobody could tell whose bytes are on the channel: it *hides* a transfer.

Order of the file: calls, reading them, what is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from hoopcore.calls.roots import Roots
from hoopcore.calls.rsync_options import RsyncOptions, options_of
from hoopcore.command import Text
from hoopcore.shell.grammar import parse
from hoopcore.shell.values import Found, Unreadable
from hoopcore.statement import Reading

_LARGEST = 64 << 10
_HINT = "Let scp or rsync be the whole command; sudo -n may stand before it."


@dataclass(frozen=True, slots=True)
class ScpCall:
    roots: Roots
    recursive: bool = False

    @property
    def upload(self) -> bool:
        return self.roots.upload


@dataclass(frozen=True, slots=True)
class RsyncCall:
    roots: Roots
    options: RsyncOptions

    @property
    def upload(self) -> bool:
        return self.roots.upload


@dataclass(frozen=True, slots=True)
class NotCarried:
    """A transfer, but none that can be accounted for."""

    words: str
    hint: str = ""


# --- reading ------------------------------------------------------------------------------------


def transfer_of(
    text: str, reading: Reading, *, bash: bool = False
) -> ScpCall | RsyncCall | NotCarried | None:
    """What the text of a command carries; None where it is no transfer, as far as can be told."""
    words = _simple(text, bash=bash)
    family = words[0].said.rpartition("/")[2] if words else ""
    if words and family == "scp" and (call := _scp(words[1:])) is not None:
        return call
    if words and family == "rsync" and any(one.said.startswith("--server") for one in words):
        return _rsync(words[1:])
    if hides_transfer(text, reading):
        return NotCarried("a transfer is a command by itself", _HINT)
    return None


def _simple(text: str, *, bash: bool) -> list[Text]:
    """The words of a text that is one simple command; empty where it is anything else."""
    found = Found()
    if len(text) > _LARGEST:
        return []
    found.room = 4096 + 4 * len(text)
    try:
        parse(text, found, bash=bash)
    except (Unreadable, RecursionError):
        return []
    if len(found.commands) != 1 or found.functions or found.names or found.counted:
        return []
    one = found.commands[0]
    if one.sets or one.reads or one.writes or one.values or not one.words:
        return []
    # A list, a loop or a background: the reading of one command cannot tell these from it.
    if text.strip()[0] in "({!#" or re.search(r"[;&|(){}\n]", _unquoted(text)):
        return []
    words = [word.text for word in one.words]
    if not words[0].whole or words[0].many:
        return []
    return _without_sudo(words)


def _unquoted(text: str) -> str:
    """The text without what is quoted or escaped in it."""
    return re.sub(r"\\.|'[^']*'|\"(?:[^\"\\]|\\.)*\"", "x", text, flags=re.DOTALL)


def _without_sudo(words: list[Text]) -> list[Text]:
    if words[0].said.rpartition("/")[2] not in ("sudo", "doas"):
        return words
    at = 1
    while at < len(words) and words[at].said in ("-n", "-H", "-E"):
        at += 1
    if at + 1 < len(words) and words[at].said == "-u" and words[at + 1].whole:
        at += 2
    return words[at:]


def _scp(words: Sequence[Text]) -> ScpCall | NotCarried | None:
    flags = ""
    at = 0
    while at < len(words) and words[at].said.startswith("-") and words[at].said != "-":
        said = words[at].said
        at += 1
        if said == "--" and words[at - 1].whole:
            break
        if not words[at - 1].whole or words[at - 1].many:
            return NotCarried("an option of scp is not in the text")
        flags += said[1:]
    if not set(flags) & {"t", "f"}:
        return None
    paths = tuple(words[at:])
    if {"t", "f"} <= set(flags) or not set(flags) <= set("tfrpdvq"):
        return NotCarried("this scp has an option that hoop does not carry")
    upload = "t" in flags
    if not paths or (upload and (len(paths) > 1 or not paths[0].whole or paths[0].many)):
        return NotCarried("scp does not say which file it means")
    if not upload:  # it takes slashes off the end by itself
        paths = tuple(Text(one.said.rstrip("/") or "/", one.whole, one.many) for one in paths)
    return ScpCall(Roots(upload, paths, folder="d" in flags), recursive="r" in flags)


def _rsync(words: Sequence[Text]) -> RsyncCall | NotCarried:
    if not words or words[0].said != "--server":
        return NotCarried("this rsync has options that hoop does not carry")
    options = options_of(words[1:])
    if isinstance(options, str):
        return NotCarried(f"rsync through hoop does not work with {options}", "Leave it out.")
    paths = options.paths
    if not paths or (options.upload and (len(paths) > 1 or not paths[0].whole or paths[0].many)):
        return NotCarried("rsync does not say which file it means")
    roots = Roots(options.upload, paths, relative=options.relative)
    return RsyncCall(roots, options)


def carried(reading: Reading, call: ScpCall | RsyncCall) -> Reading:
    """The command as rules see it where each of its files is asked for by itself.

    What lies beneath the paths that it names is not its own then, unless rsync also deletes there,
    or is told of other folders.
    """
    if len(reading.statements) != 1 or (isinstance(call, RsyncCall) and call.options.beside):
        return reading
    (statement,) = reading.statements
    shell = statement.shell
    if shell is None or reading.why:
        return reading
    files = tuple(one for one in shell.files if one.whole)
    return Reading((replace(statement, shell=replace(shell, files=files, carried=True)),))


# --- what is hidden -----------------------------------------------------------------------------

_LIKELY = re.compile(r"\bscp\b[^\n;&|]*\s['\"]?-[a-zA-Z]*[tf]\b|\brsync\b[^\n;&|]*\s['\"]?--server")


def hides_transfer(text: str, reading: Reading) -> bool:
    """Whether scp or rsync are started as the far end of a transfer somewhere in a text.

    What cannot be read is looked at as it stands: that is no control, but it has words.
    """
    for statement in reading.statements:
        for one in statement.shell.commands if statement.shell is not None else ():
            said = [word.said for word in one.words]
            if one.family == "scp" and _serves(said):
                return True
            if one.family == "rsync" and "--server" in said:
                return True
    return bool(reading.why) and _LIKELY.search(text) is not None


def _serves(words: list[str]) -> bool:
    for said in words:
        if said == "--" or not said.startswith("-"):
            return False
        if set(said[1:]) & {"t", "f"}:
            return True
    return False
