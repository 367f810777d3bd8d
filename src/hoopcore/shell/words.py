"""One word of a shell's text: what it says, as far as the text alone can tell.

Quotes of every kind, backslashes and continued lines come off here; what is expanded when it runs
ends what is known of the word.  Commands within a word (``$(…)``, backquotes, ``<(…)``) are handed
to ``list_of`` of the grammar, so that none of them is missed.

bash evaluates subscripts wherever it wants a number, and runs what is substituted there
(``x='a[$(cmd)]'; echo $((x))``).  So arithmetic is read only where each variable in it is known to
be a number, and expansions that evaluate (``${!x}``, ``${x@P}``, ``${x[…]}``) are not read at all.

Order of the file: values, words, quotes, expansions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import ClassVar

from hoopcore.command import Text

DEEPEST = 24
"""Commands within commands within commands …"""

META = frozenset(" \t\n|&;<>()")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SPECIAL = "@*#?-$!"
_ARITHMETIC = re.compile(r"[0-9A-Za-z_ \t\n+\-*/%<>=!&|^~?:,]")


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


class Words:
    """The half of the parser that knows no commands.  ``grammar.Parser`` is the other half."""

    def __init__(self, text: str, found: Found, *, bash: bool, depth: int = 0) -> None:
        if depth > DEEPEST:
            raise Unreadable("commands are nested too deeply")
        self.text = text
        self.found = found
        self.bash = bash
        self.depth = depth
        self.at = 0

    def inner(self, text: str) -> Words:
        raise NotImplementedError

    def substituted(self, closing: str) -> None:
        """Reads commands up to ``closing``, which is left to the caller."""
        raise NotImplementedError

    def program(self) -> None:
        raise NotImplementedError

    # --- characters -------------------------------------------------------------------------------

    def ahead(self, offset: int = 0) -> str:
        """The character so far ahead, empty behind the last one."""
        return self.text[self.at + offset : self.at + offset + 1]

    def skip_continued(self) -> bool:
        """Passes lines that are continued by a backslash; whether there were any."""
        before = self.at
        while self.text.startswith("\\\n", self.at):
            self.at += 2
        return self.at > before

    def whole_operator(self) -> None:
        """An operator that is continued on another line is read in more than one way."""
        if self.text.startswith("\\\n", self.at):
            raise Unreadable("an operator is followed by a continued line")

    def only_bash(self, what: str) -> None:
        if not self.bash:
            raise Unreadable(f"{what} is not the same in every shell")

    # --- words ------------------------------------------------------------------------------------

    def word(self) -> Word:
        """The word that begins here; Unreadable where none does."""
        word = Word()
        began = self.at
        self.skip_continued()
        if self.ahead() == "#":
            raise Unreadable("a comment stands where a word would")
        while True:
            self.skip_continued()
            c = self.ahead()
            if c in ("<", ">") and self.ahead(1) == "(":
                self._process(word)
            elif not c or c in META:
                break
            else:
                self._piece(word, c)
        if self.at == began:
            raise Unreadable("a word is missing")
        if self.text[began : self.at] in ("[", "]"):
            return Word(self.text[began], bare=1, counts=False)
        if self.ahead() == "(" and self.at > began and not word.plain:
            raise Unreadable("a parenthesis follows a word")
        raw = self.text[began : self.at]
        if word.braces and ("," in raw or ".." in raw):
            word.unknown(many=True)
        return word

    def _piece(self, word: Word, c: str) -> None:
        if c == "'":
            end = self.text.find("'", self.at + 1)
            if end < 0:
                raise Unreadable("a quote is not closed")
            word.add(self.text[self.at + 1 : end], quoted=True)
            self.at = end + 1
        elif c == '"':
            self.at += 1
            self._double(word)
        elif c == "\\":
            if not self.ahead(1):
                raise Unreadable("it ends with a backslash")
            word.add(self.ahead(1), quoted=True)
            self.at += 2
        elif c == "$":
            self._dollar(word, quoted=False)
        elif c == "`":
            self._backquoted(word, quoted=False)
        else:
            self._bare(word, c)

    def _bare(self, word: Word, c: str) -> None:
        self.at += 1
        if c in "*?[":
            word.unknown(many=True)
            return
        if c == "{":
            word.braces = True
        if c == "~" and not word.said and word.plain:
            word.home = True
            name = self.ahead()
            if name and name not in META and name != "/":
                word.unknown(many=False)  # somebody else's home, or ~+
                return
        word.add(c, quoted=False)

    def _process(self, word: Word) -> None:
        self.only_bash("a process substitution")
        self.at += 2
        self._commands()
        word.unknown(many=False)

    def _commands(self) -> None:
        self.substituted(")")
        if self.ahead() != ")":
            raise Unreadable("a substitution is not closed")
        self.at += 1

    # --- quotes -----------------------------------------------------------------------------------

    def _double(self, word: Word) -> None:
        """What stands between double quotes, and the closing one."""
        word.add("", quoted=True)
        while True:
            c = self.ahead()
            if not c:
                raise Unreadable("a quote is not closed")
            if c == '"':
                self.at += 1
                return
            self.quoted(word, c, '$`"\\')

    def quoted(self, word: Word, c: str, escaped: str) -> None:
        """One piece of what is quoted but expanded: of double quotes, or of a here-document."""
        if c == "\\":
            following = self.ahead(1)
            if not following:
                raise Unreadable("it ends with a backslash")
            self.at += 2
            if following != "\n":
                word.add(following if following in escaped else c + following, quoted=True)
        elif c == "$":
            self._dollar(word, quoted=True)
        elif c == "`":
            self._backquoted(word, quoted=True)
        else:
            self.at += 1
            word.add(c, quoted=True)

    def _backquoted(self, word: Word, *, quoted: bool) -> None:
        self.at += 1
        inside = []
        while (c := self.ahead()) != "`":
            if not c:
                raise Unreadable("a backquote is not closed")
            if c == '"' and quoted:
                raise Unreadable("quotes stand in backquotes in quotes")
            self.at += 1
            if c == "\\":
                following = self.ahead()
                if quoted and following == '"':
                    raise Unreadable("quotes stand in backquotes in quotes")
                if following and following in "$`\\":
                    c = following
                    self.at += 1
            inside.append(c)
        self.at += 1
        self.inner("".join(inside)).program()
        word.unknown(many=not quoted)

    _ESCAPES: ClassVar = dict(zip("ntrabfveE\\'\"?", "\n\t\r\a\b\f\v\x1b\x1b\\'\"?", strict=True))
    _CODE = re.compile(r"x([0-9A-Fa-f]{1,2})|([0-7]{1,3})|u([0-9A-Fa-f]{1,4})|U([0-9A-Fa-f]{1,8})")

    def _ansi(self, word: Word) -> None:
        """``$'…'``, behind its first quote."""
        said = []
        while (c := self.ahead()) != "'":
            if not c:
                raise Unreadable("a quote is not closed")
            self.at += 1
            if c == "\\":
                c = self._escape()
            said.append(c)
        self.at += 1
        word.add("".join(said), quoted=True)

    def _escape(self) -> str:
        following = self.ahead()
        if following in self._ESCAPES and following:
            self.at += 1
            return self._ESCAPES[following]
        code = self._CODE.match(self.text, self.at)
        if code is None:
            raise Unreadable("an escape in $'…' is not known")
        self.at = code.end()
        number = int(code[2], 8) if code[2] else int(code[1] or code[3] or code[4], 16)
        if not 0 < number < 128:
            raise Unreadable("an escape in $'…' is no ASCII character")
        return chr(number)

    # --- expansions -------------------------------------------------------------------------------

    def _dollar(self, word: Word, *, quoted: bool) -> None:
        self.at += 1
        self.whole_operator()
        c = self.ahead()
        if c == "(":
            self.at += 1
            self.whole_operator()
            if self.ahead() == "(":
                self.at += 1
                self._arithmetic()
                counts = word.counts
                word.unknown(many=False)
                word.counts = counts
            else:
                self._commands()
                word.unknown(many=not quoted)
        elif c == "{":
            self.at += 1
            self._braced(word, quoted=quoted)
        elif name := NAME.match(self.text, self.at):
            self.at = name.end()
            self.whole_operator()
            self._variable(word, name[0], quoted=quoted)
        elif c and (c.isdigit() or c in _SPECIAL):
            self.at += 1
            word.unknown(many=not quoted or c in "@*")
        elif c in ("'", '"') and c and not quoted:
            self.only_bash("$ before a quote")
            self.at += 1
            if c == "'":
                self._ansi(word)
            else:
                self._double(word)
        elif c == "[":
            raise Unreadable("$[…] is not read")
        else:
            word.add("$", quoted=quoted)

    def _variable(self, word: Word, name: str, *, quoted: bool) -> None:
        if name == "HOME" and not word.said and word.whole:
            # sshd sets it; a text that sets it is not read.
            word.home, word.plain, word.said, word.counts = True, False, "~", False
            word.many = word.many or not quoted
            return
        word.unknown(many=not quoted)

    _FORM = re.compile(r"(:?[-=?+]|%%?|##?)")
    _PIECE = re.compile(r":[0-9]+(:[0-9]+)?\}")

    def _braced(self, word: Word, *, quoted: bool) -> None:
        """``${…}`` behind its brace: the forms that every shell has."""
        self.whole_operator()
        length = self.ahead() == "#" and self.ahead(1) not in ("}", "")
        if length:
            self.at += 1
        name = NAME.match(self.text, self.at)
        if name is not None:
            self.at = name.end()
        elif (c := self.ahead()) and (c.isdigit() or c in _SPECIAL):
            self.at += 1
        else:
            raise Unreadable("an expansion is not known")
        self.whole_operator()
        said = name[0] if name is not None else ""
        if self.ahead() == "}":
            self.at += 1
            if said and not length:
                self._variable(word, said, quoted=quoted)
            else:
                word.unknown(many=not quoted or not said)
            return
        if piece := self._PIECE.match(self.text, self.at):
            self.only_bash("a piece of a variable")
            self.at = piece.end()
        else:
            self._formed(said, length=length, quoted=quoted)
        word.unknown(many=not quoted or not said)

    def _formed(self, name: str, *, length: bool, quoted: bool) -> None:
        form = self._FORM.match(self.text, self.at)
        if form is None or length:
            raise Unreadable("an expansion is not known")
        self.at = form.end()
        if "=" in form[0]:
            self.found.names.add(name)
            self.found.sets(name, number=False)
        inside = Word()
        while (c := self.ahead()) != "}":
            if not c:
                raise Unreadable("an expansion is not closed")
            if c in "\"'" and quoted:
                raise Unreadable("quotes stand in an expansion in quotes")
            if c in "<>(){" or (c == "\\" and self.ahead(1) in ("\n", "")):
                raise Unreadable("an expansion is not plain")
            if quoted:
                self.quoted(inside, c, '$`"\\}')
            else:
                self._piece(inside, c)
        self.at += 1

    def _arithmetic(self) -> None:
        """``$((…))`` behind its parentheses, of numbers and variables."""
        depth = 0
        while True:
            c = self.ahead()
            if c == ")" and depth == 0:
                if self.ahead(1) != ")":
                    raise Unreadable("$(( is not closed by ))")
                self.at += 2
                return
            if name := NAME.match(self.text, self.at):
                self.found.counted.add(name[0])
                self.at = name.end()
                continue
            self.at += 1
            if c in ("(", ")") and c:
                depth += 1 if c == "(" else -1
            elif c == "$":
                self._counted()
            elif not c or not _ARITHMETIC.match(c):
                raise Unreadable("arithmetic is not plain")

    def _counted(self) -> None:
        """A variable, or arithmetic, within arithmetic."""
        if self.text.startswith("((", self.at):
            self.at += 2
            self._arithmetic()
            return
        found = re.compile(r"\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)", re.ASCII).match(self.text, self.at)
        if found is None:
            raise Unreadable("arithmetic is not plain")
        self.found.counted.add(found[1] or found[2])
        self.at = found.end()
