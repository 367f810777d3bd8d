"""The statement that a shell's text is: what it runs, and every file that it may name."""

from __future__ import annotations

import re
from functools import lru_cache

from hoopcore.command import Shell, Text
from hoopcore.shell.seeing import plain_path
from hoopcore.shell.tables import HARMLESS
from hoopcore.shell.through import Through
from hoopcore.shell.values import Unreadable
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch

LARGEST = 64 << 10
"""Bytes of a text that is read at all."""

# A word of more parts, or from within more folders, may be any file.
_PARTS = 8
_FOLDERS = 8

# The kernel's own links to anywhere.
_ELSEWHERE = re.compile(r"/proc/[^/]+/(task/[^/]+/)?(root|cwd|fd|map_files)(/|$)|/dev/fd(/|$)")


@lru_cache(maxsize=512)
def read(text: bytes, *, bash: bool = False) -> Reading:
    """What a command does: for bash, or for any shell of POSIX's kind.

    Never raises.  What cannot be read is one statement that is ``unknown``.  The text of an empty
    command is a login shell's business, so it cannot be read either.
    """
    try:
        return _read(_decoded(text), bash=bash)
    except Unreadable as problem:
        return _unreadable(str(problem))
    except RecursionError:
        return _unreadable("commands are nested too deeply")


def _decoded(text: bytes) -> str:
    if len(text) > LARGEST:
        raise Unreadable(f"it is longer than {LARGEST >> 10} KiB")
    try:
        said = text.decode()
    except UnicodeDecodeError:
        raise Unreadable("it is not UTF-8") from None
    if any((c < " " and c not in "\t\n") or c == "\x7f" for c in said):
        raise Unreadable("it has control characters")
    if any(c in "\x85\xa0\u2028\u2029" or "\u2000" <= c <= "\u200f" for c in said):
        raise Unreadable("it has blanks that are not ASCII")
    if not said.strip():
        raise Unreadable("it is empty")
    return said


def _read(said: str, *, bash: bool) -> Reading:
    through = Through(bash=bash)
    through.read(said)
    commands = tuple(dict.fromkeys(through.commands))
    # As scopes name them, who part names at dots and colons: deploy_sh:run.
    families = sorted(
        {re.sub(r"[^\w-]", "_", one.family) for one in commands if one.family not in HARMLESS}
    )
    statement = Statement(
        effects=frozenset({Effect.RUN}),
        touches=frozenset(Touch(Relation("", name), Effect.RUN) for name in families),
        tag=" ".join(families)[:100],
        shell=Shell(commands, tuple(dict.fromkeys(_files(through)))),
    )
    return Reading((statement,))


def _unreadable(why: str) -> Reading:
    effects = frozenset({Effect.RUN, Effect.UNKNOWN})
    return Reading((Statement(effects, tag="unreadable", shell=Shell()),), (), why)


def _files(through: Through) -> list[Text]:
    """Whatever may be a path: words, what stands behind ``=`` in them, in each folder entered."""
    folders = list(dict.fromkeys(through.folders))
    found = [Text(one.program) for one in through.commands if "/" in one.program]
    for text in dict.fromkeys(through.files):
        for part in _parts(text):
            found += _within(part, folders)
    return found


def _parts(text: Text) -> list[Text]:
    """The word itself, and what begins within it with a slash or behind a sign."""
    said = text.said
    starts = {0}
    for at, c in enumerate(said):
        if c in "=:@," or (c in "/~" and at and said.startswith("-")):
            starts.add(at + (c in "=:@,"))
    if len(starts) > _PARTS:
        return [Text("", whole=False)]
    return [Text(said[at:], text.whole) for at in sorted(starts)]


def _within(text: Text, folders: list[Text]) -> list[Text]:
    said = text.said
    if said.startswith(("/", "~")) or (not said and not text.whole):
        return [_made_plain(text)]
    if not said or said.startswith("-"):
        return []
    if len(folders) > _FOLDERS:
        return [Text("", whole=False)]
    found = []
    for folder in folders:
        for base in (folder,) if folder.said.startswith(("/", "~")) else _based(folder, folders):
            if not base.whole:
                found.append(Text(base.said, whole=False))
            else:
                found.append(_made_plain(Text(f"{base.said}/{said}", text.whole)))
    return found


def _based(folder: Text, folders: list[Text]) -> list[Text]:
    """A folder that is named from within another one: two steps, and anything behind that."""
    bases = [one for one in folders if one.said.startswith(("/", "~")) and one.whole]
    if len(folders) > len(bases) + 1 or not folder.whole:
        return [Text("", whole=False)]
    return [Text(f"{base.said}/{folder.said}") for base in bases]


def _made_plain(text: Text) -> Text:
    """With ``..`` taken out; what climbs out of the home folder may be anywhere."""
    if not text.whole and ".." in text.said.split("/")[-1:]:
        return Text("", whole=False)
    said = plain_path(text.said)
    if _ELSEWHERE.match(said):
        return Text("", whole=False)
    if text.said.endswith("/") and not text.whole and said != "/":
        said += "/"
    if said.startswith(("~/..", "..")):
        return Text("", whole=False)
    return Text(said, text.whole)
