"""What a shell command does, as policy sees it: programs by family, with their words, and files.

A value that is not wholly in the text (``$x``, ``*.log``) is known as far as its beginning; whoever
refuses takes it for anything that begins so.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Text:
    """``said`` is all of it where it is ``whole``, else its beginning.

    What may be ``many`` words may be none, too.
    """

    said: str
    whole: bool = True
    many: bool = False


@dataclass(frozen=True, slots=True)
class Command:
    """One program that is run: its family is the last part of its path."""

    program: str  # as the text names it, with the path made plain
    words: tuple[Text, ...] = ()

    @property
    def family(self) -> str:
        return self.program.rpartition("/")[2]


ACTIONS = ("download", "upload", "list", "look", "make", "remove", "rename", "change", "link")
"""What a transfer may do."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """One file that is about to go over, or something else that is done to files by name.

    ``action`` is download, upload (both: what is in a file goes over), or what SFTP can do beside:
    one of ``ACTIONS``.
    """

    action: str
    files: tuple[Text, ...]  # the first is what it is done to; all made plain
    size: int | None = None  # bytes, where they are known before
    found: frozenset[str] = frozenset()  # kinds of sensitive text that a sample of it has


@dataclass(frozen=True, slots=True)
class Shell:
    """What one text of a shell runs and touches.

    ``commands`` are all that may run, those within others too (``sudo rm``: both).  ``files`` are
    whatever may be a path, made plain; ``~`` is the home folder of whoever runs it.  ``transfers``
    are known where the protocol that carries them is read, and not from the text.
    """

    commands: tuple[Command, ...] = ()
    files: tuple[Text, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    carried: bool = False  # who carries it will ask for each of its transfers by itself
