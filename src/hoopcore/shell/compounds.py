"""Compound commands of a shell: what stands between their words, and in which order.

Of a condition or a loop only the commands within it matter, and all of them count.
"""

from __future__ import annotations

from hoopcore.shell.values import META, NAME, Simple, Unreadable, is_number
from hoopcore.shell.words import Words

_EVALUATING = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R", "-o"})


class Compounds(Words):
    """The part of the parser that knows ``if``, ``for``, ``case``, functions and ``[[``."""

    def list(self, closing: str) -> None:
        """Commands until ``closing``, a word that ends a list, ``;;`` or the text's end."""
        raise NotImplementedError

    def command(self) -> None:
        """One command of any kind."""
        raise NotImplementedError

    def lines(self) -> None:
        """Passes blanks, ends of lines and comments."""
        raise NotImplementedError

    def blanks(self) -> None:
        """Passes blanks."""
        raise NotImplementedError

    def reserved(self) -> str:
        """The reserved word that stands here."""
        raise NotImplementedError

    def take(self, word: str) -> None:
        """Passes this reserved word, which must stand here."""
        raise NotImplementedError

    def subshell(self) -> None:
        if self.ahead(1) == "(":
            raise Unreadable("(( is not read")
        self.at += 1
        self.list(")")
        if self.ahead() != ")":
            raise Unreadable("a parenthesis is not closed")
        self.at += 1

    def if_(self) -> None:
        self.take("if")
        while True:
            self.list("")
            self.take("then")
            self.list("")
            if self.reserved() != "elif":
                break
            self.take("elif")
        if self.reserved() == "else":
            self.take("else")
            self.list("")
        self.take("fi")

    def loop(self) -> None:
        self.take("do")
        self.list("")
        self.take("done")

    def for_(self) -> None:
        self.take("for")
        self.blanks()
        name = NAME.match(self.text, self.at)
        if name is None:
            raise Unreadable("a loop is not read")
        self.at = name.end()
        self.whole_operator()
        if self.ahead() and self.ahead() not in META:
            raise Unreadable("a loop is not read")
        self.lines()
        numbers = True
        simple = Simple()
        if self.reserved() == "in":
            self.take("in")
            self.blanks()
            while self._word_follows():
                word = self.word()
                numbers = numbers and word.plain and is_number(word)
                simple.values.append(word)
                self.blanks()
        else:
            numbers = False
        self.blanks()
        if self.ahead() == ";":
            self.at += 1
        self.lines()
        self.found.names.add(name[0])
        self.found.sets(name[0], number=numbers)
        self.found.commands.append(simple)
        self.loop()

    def _word_follows(self) -> bool:
        c = self.ahead()
        return bool(c) and c != "#" and (c not in META or (c in "<>" and self.ahead(1) == "("))

    def case_(self) -> None:
        self.take("case")
        self.blanks()
        self.word()
        self.lines()
        self.take("in")
        self.lines()
        while self.reserved() != "esac":
            if self.ahead() == "(":
                self.at += 1
            self.blanks()
            while True:
                self.word()
                self.blanks()
                if self.ahead() != "|":
                    break
                self.at += 1
                self.blanks()
            if self.ahead() != ")":
                raise Unreadable("a case is not read")
            self.at += 1
            self.list("")
            if self.text.startswith(";;", self.at):
                self.at += 2
                self.whole_operator()
                if self.ahead() in ("&", ";"):
                    raise Unreadable("a case falls through")
                self.lines()
            elif self.reserved() != "esac":
                raise Unreadable("a case is not read")
        self.take("esac")

    def named_function(self, simple: Simple) -> None:
        """``name ( )`` and its body."""
        word = simple.words[0] if simple.words else None
        alone = len(simple.words) == 1 and not (simple.sets or simple.reads or simple.writes)
        if word is None or not alone or not word.plain or not NAME.fullmatch(word.said):
            raise Unreadable("a parenthesis stands where none can")
        self.at += 1
        self.blanks()
        if self.ahead() != ")":
            raise Unreadable("a parenthesis stands where none can")
        self.at += 1
        self._body(word.said)

    def function_(self) -> None:
        self.only_bash("function")
        self.take("function")
        self.blanks()
        word = self.word()
        if not word.plain or not NAME.fullmatch(word.said):
            raise Unreadable("the name of a function is not plain")
        self.blanks()
        if self.ahead() == "(":
            self.at += 1
            self.blanks()
            if self.ahead() != ")":
                raise Unreadable("a parenthesis stands where none can")
            self.at += 1
        self._body(word.said)

    def _body(self, name: str) -> None:
        self.lines()
        if self.ahead() != "(" and self.reserved() not in (
            "{",
            "if",
            "while",
            "until",
            "for",
            "case",
        ):
            raise Unreadable("a function has no plain body")
        self.found.functions.add(name)
        self.command()

    def condition(self) -> None:
        """``[[ … ]]``: words, and operators that evaluate none of them."""
        self.only_bash("[[")
        self.take("[[")
        while True:
            self.lines()
            c = self.ahead()
            if not c:
                raise Unreadable("[[ is not closed")
            if self.text[self.at : self.at + 2] in ("&&", "||"):
                self.at += 2
            elif c in "()!" and (c != "!" or self.ahead(1) in (" ", "=")):
                self.at += 2 if self.text.startswith("!=", self.at) else 1
            elif c in "<>" and self.ahead(1) != "(":
                self.at += 1
            elif c in META:
                raise Unreadable("[[ is not read")
            else:
                word = self.word()
                if word.plain and word.said == "]]":
                    return
                if word.said == "=~" or (word.plain and word.said in _EVALUATING):
                    raise Unreadable("[[ evaluates what it compares")
