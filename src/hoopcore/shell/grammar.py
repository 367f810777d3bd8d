"""Lists, pipelines and compound commands of a shell, down to the simple commands within them.

No tree is kept: what matters is which simple commands may run, and all of them count, whichever
branch they stand in.  More is let pass than shells do, where that reads the same commands; what two
shells read differently is Unreadable, unless it is known that bash reads it.

Order of the file: the parser, lists, simple commands, redirections, compound commands.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hoopcore.shell.words import DEEPEST, META, NAME, Found, Simple, Unreadable, Word, Words

_ENDS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
_RESERVED = _ENDS | frozenset(
    {"if", "while", "until", "for", "case", "{", "!", "[[", "function", "select", "coproc", "in"}
)
_HEREDOC = re.compile(r"(?P<quote>['\"]?)(?P<name>[A-Za-z0-9_.%+-]+)(?P=quote)(?=[ \t\n;|&)<>]|\Z)")
_OPERATORS = ("<<<", "<<-", "<<", "<>", "<&", "<", "&>>", "&>", ">>", ">|", ">&", ">")


def parse(text: str, found: Found, *, bash: bool) -> None:
    """Adds all simple commands of the text; Unreadable where something in it is not certain."""
    Parser(text, found, bash=bash).program()


class Parser(Words):
    """Reads one text, or one that stands in backquotes in it."""

    def __init__(self, text: str, found: Found, *, bash: bool, depth: int = 0) -> None:
        super().__init__(text, found, bash=bash, depth=depth)
        self.documents: list[tuple[str, bool, bool]] = []  # delimiter, quoted, tabs go

    def inner(self, text: str) -> Words:
        return Parser(text, self.found, bash=self.bash, depth=self.depth + 1)

    def program(self) -> None:
        """The whole text."""
        self._list("")
        if self.ahead():
            raise Unreadable("something stands where a command would")
        self._no_documents()

    def substituted(self, closing: str) -> None:
        outer, self.documents = self.documents, []
        self._deeper(lambda: self._list(closing))
        self._no_documents()
        self.documents = outer

    def _deeper(self, read: Callable[[], None]) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise Unreadable("commands are nested too deeply")
        read()
        self.depth -= 1

    def _no_documents(self) -> None:
        if self.documents:
            raise Unreadable("a here-document is not there")

    # --- lists ------------------------------------------------------------------------------------

    def _blanks(self) -> None:
        while self.skip_continued() or self.ahead() in (" ", "\t"):
            if self.ahead() in (" ", "\t"):
                self.at += 1

    def _lines(self) -> None:
        """Blanks, ends of lines, comments, and here-documents behind the ends."""
        while True:
            self._blanks()
            c = self.ahead()
            if c == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif c == "\n":
                self.at += 1
                self._read_documents()
            else:
                return

    def _list(self, closing: str) -> None:
        """Commands until ``closing``, a word that ends a list, ``;;`` or the text's end."""
        while True:
            self._lines()
            c = self.ahead()
            if not c or c == closing or self._reserved() in _ENDS:
                return
            if self.text.startswith(";;", self.at):
                return
            self._and_or()
            self._blanks()
            c = self.ahead()
            if c == ";" and self.ahead(1) == ";":
                return
            if c in (";", "&") and c:
                self.at += 1
                self.whole_operator()
                if self.ahead() in ("&", "|", ";"):
                    raise Unreadable("operators follow one another")
            elif c and c != closing and c not in "\n#":
                raise Unreadable("something stands where a command would end")

    def _reserved(self) -> str:
        """The reserved word that stands here, whole; empty where none does."""
        at, word = self.at, ""
        while True:
            if self.text.startswith("\\\n", at):
                at += 2
                continue
            c = self.text[at : at + 1]
            if not c or c in META:
                return word if word in _RESERVED else ""
            if len(word) > 8:
                return ""
            word += c
            at += 1

    def _take(self, word: str) -> None:
        if self._reserved() != word:
            raise Unreadable("a compound command is not whole")
        for letter in word:
            self.skip_continued()
            assert self.ahead() == letter
            self.at += 1

    def _and_or(self) -> None:
        while True:
            self._pipeline()
            self._blanks()
            pair = self.text[self.at : self.at + 2]
            if pair not in ("&&", "||"):
                return
            self.at += 2
            self.whole_operator()
            self._lines()

    def _pipeline(self) -> None:
        while True:
            self._blanks()
            while self._reserved() == "!":
                self._take("!")
                if self.ahead() == "(":
                    raise Unreadable("!( may be a pattern")
                self._blanks()
            self._command()
            self._blanks()
            if self.ahead() != "|" or self.ahead(1) == "|":
                return
            self.at += 1
            self.whole_operator()
            if self.ahead() == "&":
                self.only_bash("|&")
                self.at += 1
                self.whole_operator()
            self._lines()

    def _command(self) -> None:
        self._deeper(self._any_command)

    def _any_command(self) -> None:
        match self._reserved():
            case "":
                if self.ahead() != "(":
                    self._simple()
                    return
                self._subshell()
            case "{":
                self._take("{")
                self._list("")
                self._take("}")
            case "if":
                self._if()
            case "while" | "until" as word:
                self._take(word)
                self._list("")
                self._loop()
            case "for":
                self._for()
            case "case":
                self._case()
            case "function":
                self._function()
                return
            case "[[":
                self._condition()
            case _:
                raise Unreadable("a word of the shell is not read")
        self._redirections()

    # --- simple commands --------------------------------------------------------------------------

    def _simple(self) -> None:
        simple = Simple()
        while True:
            self._blanks()
            c = self.ahead()
            if c == "&" and self.ahead(1) == ">":
                self.only_bash("&>")
                self._redirection(simple)
            elif not c or c in "\n;&|)" or (c == "#"):
                break
            elif c == "(":
                self._named_function(simple)
                return
            elif c in "<>" and self.ahead(1) != "(":
                self._redirection(simple)
            else:
                self._part(simple)
        if not (simple.words or simple.sets or simple.reads or simple.writes):
            raise Unreadable("a command is missing")
        self.found.commands.append(simple)

    def _part(self, simple: Simple) -> None:
        """A word, an assignment, or the number of what is redirected."""
        began = self.at
        word = self.word()
        if self.ahead() in ("<", ">") and self.ahead() and word.plain and _is_number(word):
            if self.at - began > 1:
                raise Unreadable("a redirection has a long number")
            return
        if word.said.startswith("{") and word.said.endswith("}") and self.ahead() in ("<", ">"):
            raise Unreadable("a redirection has a name")
        if simple.words or not self._assigns(simple, word):
            simple.words.append(word)

    def _assigns(self, simple: Simple, word: Word) -> bool:
        name, equals, _ = word.said[: word.bare].partition("=")
        if not equals:
            return False
        more = name.endswith("+")
        if not NAME.fullmatch(name.removesuffix("+")):
            if "[" in name or NAME.match(name):
                raise Unreadable("an assignment is not plain")
            return False
        if self.ahead() == "(":
            raise Unreadable("an array is set")
        if more:
            self.only_bash("+=")
        value = Word(word.said[len(name) + 1 :], word.whole, word.many, counts=word.counts)
        value.home = value.said.startswith("~")
        name = name.removesuffix("+")
        self.found.sets(name, number=_is_number(value))
        simple.sets.append((name, value))
        return True

    # --- redirections -----------------------------------------------------------------------------

    def _redirections(self) -> None:
        """Those behind a compound command."""
        simple = Simple()
        while True:
            self._blanks()
            c = self.ahead()
            number = c.isdigit() and self.ahead(1) in ("<", ">") and self.ahead(1)
            if number:
                self.at += 1
            elif not (c in ("<", ">") and c):
                break
            if self.ahead(1) == "(":
                raise Unreadable("a substitution follows a compound command")
            self._redirection(simple)
        if simple.reads or simple.writes:
            self.found.commands.append(simple)

    def _redirection(self, simple: Simple) -> None:
        operator = next(op for op in _OPERATORS if self.text.startswith(op, self.at))
        self.at += len(operator)
        self.whole_operator()
        self._blanks()
        if operator in ("<<", "<<-"):
            self._document(operator)
            return
        if operator in ("<<<", "&>", "&>>"):
            self.only_bash(operator)
        if self.ahead() in ("<", ">") and self.ahead(1) == "(":
            self.word()
            return
        word = self.word()
        if operator in (">&", "<&"):
            if not (word.plain and (word.said == "-" or _is_number(word))):
                raise Unreadable("a redirection to something that is no number")
        elif operator == "<":
            simple.reads.append(word)
        elif operator != "<<<":
            simple.writes.append(word)

    def _document(self, operator: str) -> None:
        name = _HEREDOC.match(self.text, self.at)
        if name is None:
            raise Unreadable("the end of a here-document is not plain")
        self.at = name.end()
        self.documents.append((name["name"], bool(name["quote"]), operator == "<<-"))

    def _read_documents(self) -> None:
        """What stands behind the end of a line, for each ``<<`` of that line."""
        documents, self.documents = self.documents, []
        for delimiter, quoted, tabs in documents:
            lines = []
            while True:
                end = self.text.find("\n", self.at)
                line = self.text[self.at : end if end >= 0 else None]
                self.at = len(self.text) if end < 0 else end + 1
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
                if end < 0:
                    raise Unreadable("a here-document has no end")
                if not quoted and line.endswith("\\"):
                    raise Unreadable("a line of a here-document is continued")
                lines.append(line)
            if not quoted:
                body = Parser("\n".join(lines), self.found, bash=self.bash, depth=self.depth + 1)
                body._expanded()

    def _expanded(self) -> None:
        """The whole text as a here-document, for what is substituted in it."""
        nothing = Word()
        while c := self.ahead():
            self.quoted(nothing, c, "$`\\")

    # --- compound commands ------------------------------------------------------------------------

    def _subshell(self) -> None:
        if self.ahead(1) == "(":
            raise Unreadable("(( is not read")
        self.at += 1
        self._list(")")
        if self.ahead() != ")":
            raise Unreadable("a parenthesis is not closed")
        self.at += 1

    def _if(self) -> None:
        self._take("if")
        while True:
            self._list("")
            self._take("then")
            self._list("")
            if self._reserved() != "elif":
                break
            self._take("elif")
        if self._reserved() == "else":
            self._take("else")
            self._list("")
        self._take("fi")

    def _loop(self) -> None:
        self._take("do")
        self._list("")
        self._take("done")

    def _for(self) -> None:
        self._take("for")
        self._blanks()
        name = NAME.match(self.text, self.at)
        if name is None:
            raise Unreadable("a loop is not read")
        self.at = name.end()
        self.whole_operator()
        if self.ahead() and self.ahead() not in META:
            raise Unreadable("a loop is not read")
        self._lines()
        numbers = True
        simple = Simple()
        if self._reserved() == "in":
            self._take("in")
            self._blanks()
            while self._word_follows():
                word = self.word()
                numbers = numbers and word.plain and _is_number(word)
                simple.values.append(word)
                self._blanks()
        else:
            numbers = False
        self._blanks()
        if self.ahead() == ";":
            self.at += 1
        self._lines()
        self.found.names.add(name[0])
        self.found.sets(name[0], number=numbers)
        self.found.commands.append(simple)
        self._loop()

    def _word_follows(self) -> bool:
        c = self.ahead()
        return bool(c) and c != "#" and (c not in META or (c in "<>" and self.ahead(1) == "("))

    def _case(self) -> None:
        self._take("case")
        self._blanks()
        self.word()
        self._lines()
        self._take("in")
        self._lines()
        while self._reserved() != "esac":
            if self.ahead() == "(":
                self.at += 1
            self._blanks()
            while True:
                self.word()
                self._blanks()
                if self.ahead() != "|":
                    break
                self.at += 1
                self._blanks()
            if self.ahead() != ")":
                raise Unreadable("a case is not read")
            self.at += 1
            self._list("")
            if self.text.startswith(";;", self.at):
                self.at += 2
                self.whole_operator()
                if self.ahead() in ("&", ";"):
                    raise Unreadable("a case falls through")
                self._lines()
            elif self._reserved() != "esac":
                raise Unreadable("a case is not read")
        self._take("esac")

    def _named_function(self, simple: Simple) -> None:
        """``name ( )`` and its body."""
        word = simple.words[0] if simple.words else None
        alone = len(simple.words) == 1 and not (simple.sets or simple.reads or simple.writes)
        if word is None or not alone or not word.plain or not NAME.fullmatch(word.said):
            raise Unreadable("a parenthesis stands where none can")
        self.at += 1
        self._blanks()
        if self.ahead() != ")":
            raise Unreadable("a parenthesis stands where none can")
        self.at += 1
        self._body(word.said)

    def _function(self) -> None:
        self.only_bash("function")
        self._take("function")
        self._blanks()
        word = self.word()
        if not word.plain or not NAME.fullmatch(word.said):
            raise Unreadable("the name of a function is not plain")
        self._blanks()
        if self.ahead() == "(":
            self.at += 1
            self._blanks()
            if self.ahead() != ")":
                raise Unreadable("a parenthesis stands where none can")
            self.at += 1
        self._body(word.said)

    def _body(self, name: str) -> None:
        self._lines()
        if self.ahead() != "(" and self._reserved() not in (
            "{",
            "if",
            "while",
            "until",
            "for",
            "case",
        ):
            raise Unreadable("a function has no plain body")
        self.found.functions.add(name)
        self._command()

    def _condition(self) -> None:
        """``[[ … ]]``: words, and operators that evaluate none of them."""
        self.only_bash("[[")
        self._take("[[")
        while True:
            self._lines()
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


_EVALUATING = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-v", "-R", "-o"})


def _is_number(word: Word) -> bool:
    """Digits and arithmetic only, which is never more than a number; nothing is one too."""
    return word.counts and (not word.said or (word.said.isascii() and word.said.isdecimal()))
