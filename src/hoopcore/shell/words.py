"""One word of a shell's text: what it says, as far as the text alone can tell.

Quotes of every kind, backslashes and continued lines come off here; what is expanded when it runs
ends what is known of the word.  Commands within a word (``$(…)``, backquotes, ``<(…)``) are handed
to the grammar, so that none of them is missed.

Order of the file: words, quotes.
"""

from __future__ import annotations

import re
from typing import ClassVar

from hoopcore.shell.expansions import Expansions
from hoopcore.shell.values import META, Unreadable, Word


class Words(Expansions):
    """The part of the parser that knows words, and no commands."""

    def inner(self, text: str) -> Words:
        """The parser of a text that stands within this one."""
        raise NotImplementedError

    def substituted(self, closing: str) -> None:
        """Reads commands up to ``closing``, which is left to the caller."""
        raise NotImplementedError

    def program(self) -> None:
        """Reads the whole text."""
        raise NotImplementedError

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
                self.piece(word, c)
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

    def piece(self, word: Word, c: str) -> None:
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
            self.dollar(word, quoted=False)
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
        self.commands()
        word.unknown(many=False)

    def commands(self) -> None:
        self.substituted(")")
        if self.ahead() != ")":
            raise Unreadable("a substitution is not closed")
        self.at += 1

    def dollar_quoted(self, word: Word, quote: str) -> None:
        if quote == "'":
            self._ansi(word)
        else:
            self._double(word)

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
            self.dollar(word, quoted=True)
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
