"""What the parser of a shell's text works with: words, simple commands, and all that was found.

Order of the file: bounds and signs, a word, what was found.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hoopcore.command import Text

DEEPEST = 24
"""Commands within commands within commands …"""

META = frozenset(" \t\n|&;<>()")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Unreadable(Exception):
    """Why a text cannot be read, in a few words that hold nothing of it."""


@dataclass
class Word:
    """A word as it stands in the text."""

    said: str = ""
    whole: bool = True
    many: bool = False  # may come out as several words, or none
    bare: int = 0  # characters at its beginning that are neither quoted nor expanded
    plain: bool = True  # nothing in it is quoted or expanded
    braces: bool = False  # has { that bash may expand
    home: bool = False  # begins with ~, or $HOME
    counts: bool = True  # nothing in it is quoted or expanded but arithmetic

    @property
    def text(self) -> Text:
        """Without a quoted ``~`` being taken for the home folder."""
        said = self.said
        if said.startswith("~") and not self.home:
            said = "./" + said
        return Text(said, self.whole, self.many)

    def add(self, text: str, *, quoted: bool) -> None:
        if quoted:
            self.plain = self.counts = False
        elif self.plain:
            self.bare += len(text)
        if self.whole:
            self.said += text
        elif not text.isdecimal():
            self.counts = False

    def unknown(self, *, many: bool) -> None:
        """From here on anything may follow."""
        self.whole = self.plain = self.counts = False
        self.many = self.many or many


@dataclass
class Found:
    """What all parts of one text have come to."""

    commands: list[Simple] = field(default_factory=list)
    functions: set[str] = field(default_factory=set)
    numbers: dict[str, bool] = field(default_factory=dict)  # variable → is always a number
    counted: set[str] = field(default_factory=set)  # variables that arithmetic evaluates
    room: int = 0  # characters that may still be parsed, of this text and of those within it
    names: set[str] = field(default_factory=set)  # of variables that loops and ${x=…} set

    def sets(self, name: str, *, number: bool) -> None:
        """A variable is set, to a number or to what may be none."""
        self.numbers[name] = number and self.numbers.get(name, True)


@dataclass
class Simple:
    """A simple command: ``a=1 program words > file``."""

    words: list[Word] = field(default_factory=list)
    sets: list[tuple[str, Word]] = field(default_factory=list)
    reads: list[Word] = field(default_factory=list)
    writes: list[Word] = field(default_factory=list)
    values: list[Word] = field(default_factory=list)  # that a loop goes through


def is_number(word: Word) -> bool:
    """Digits and arithmetic only, which is never more than a number; nothing is one too."""
    return word.counts and (not word.said or (word.said.isascii() and word.said.isdecimal()))
