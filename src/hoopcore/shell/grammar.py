"""Lists, pipelines and compound commands of a shell, down to the simple commands within them.

No tree is kept: what matters is which simple commands may run, and all of them count, whichever
branch they stand in.  More is let pass than shells do, where that reads the same commands; what two
shells read differently is Unreadable, unless it is known that bash reads it.

Order of the file: the parser, lists, simple commands, redirections.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from hoopcore.shell.compounds import Compounds
from hoopcore.shell.values import DEEPEST, META, NAME, Found, Simple, Unreadable, Word, is_number
from hoopcore.shell.words import Words

_ENDS = frozenset({"then", "elif", "else", "fi", "do", "done", "esac", "}"})
_RESERVED = _ENDS | frozenset(
    {"if", "while", "until", "for", "case", "{", "!", "[[", "function", "select", "coproc", "in"}
)
_HEREDOC = re.compile(r"(?P<quote>['\"]?)(?P<name>[A-Za-z0-9_.%+-]+)(?P=quote)(?=[ \t\n;|&)<>]|\Z)")
_OPERATORS = ("<<<", "<<-", "<<", "<>", "<&", "<", "&>>", "&>", ">>", ">|", ">&", ">")


def parse(text: str, found: Found, *, bash: bool) -> None:
    """Adds all simple commands of the text; Unreadable where something in it is not certain."""
    Parser(text, found, bash=bash).program()


class Parser(Compounds):
    """Reads one text, or one that stands in backquotes in it."""

    def __init__(self, text: str, found: Found, *, bash: bool, depth: int = 0) -> None:
        super().__init__(text, found, bash=bash, depth=depth)
        self.documents: list[tuple[str, bool, bool]] = []  # delimiter, quoted, tabs go

    def inner(self, text: str) -> Words:
        return Parser(text, self.found, bash=self.bash, depth=self.depth + 1)

    def program(self) -> None:
        """The whole text."""
        self.list("")
        if self.ahead():
            raise Unreadable("something stands where a command would")
        self._no_documents()

    def substituted(self, closing: str) -> None:
        outer, self.documents = self.documents, []
        self._deeper(lambda: self.list(closing))
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

    def blanks(self) -> None:
        while self.skip_continued() or self.ahead() in (" ", "\t"):
            if self.ahead() in (" ", "\t"):
                self.at += 1

    def lines(self) -> None:
        """Blanks, ends of lines, comments, and here-documents behind the ends."""
        while True:
            self.blanks()
            c = self.ahead()
            if c == "#":
                end = self.text.find("\n", self.at)
                self.at = len(self.text) if end < 0 else end
            elif c == "\n":
                self.at += 1
                self._read_documents()
            else:
                return

    def list(self, closing: str) -> None:
        """Commands until ``closing``, a word that ends a list, ``;;`` or the text's end."""
        while True:
            self.lines()
            c = self.ahead()
            if not c or c == closing or self.reserved() in _ENDS:
                return
            if self.text.startswith(";;", self.at):
                return
            self._and_or()
            self.blanks()
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

    def reserved(self) -> str:
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

    def take(self, word: str) -> None:
        if self.reserved() != word:
            raise Unreadable("a compound command is not whole")
        for letter in word:
            self.skip_continued()
            assert self.ahead() == letter
            self.at += 1

    def _and_or(self) -> None:
        while True:
            self._pipeline()
            self.blanks()
            pair = self.text[self.at : self.at + 2]
            if pair not in ("&&", "||"):
                return
            self.at += 2
            self.whole_operator()
            self.lines()

    def _pipeline(self) -> None:
        while True:
            self.blanks()
            while self.reserved() == "!":
                self.take("!")
                if self.ahead() == "(":
                    raise Unreadable("!( may be a pattern")
                self.blanks()
            self.command()
            self.blanks()
            if self.ahead() != "|" or self.ahead(1) == "|":
                return
            self.at += 1
            self.whole_operator()
            if self.ahead() == "&":
                self.only_bash("|&")
                self.at += 1
                self.whole_operator()
            self.lines()

    def command(self) -> None:
        self._deeper(self._any_command)

    def _any_command(self) -> None:
        match self.reserved():
            case "":
                if self.ahead() != "(":
                    self._simple()
                    return
                self.subshell()
            case "{":
                self.take("{")
                self.list("")
                self.take("}")
            case "if":
                self.if_()
            case "while" | "until" as word:
                self.take(word)
                self.list("")
                self.loop()
            case "for":
                self.for_()
            case "case":
                self.case_()
            case "function":
                self.function_()
                return
            case "[[":
                self.condition()
            case _:
                raise Unreadable("a word of the shell is not read")
        self._redirections()

    # --- simple commands --------------------------------------------------------------------------

    def _simple(self) -> None:
        simple = Simple()
        while True:
            self.blanks()
            c = self.ahead()
            if c == "&" and self.ahead(1) == ">":
                self.only_bash("&>")
                self._redirection(simple)
            elif not c or c in "\n;&|)" or (c == "#"):
                break
            elif c == "(":
                self.named_function(simple)
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
        if self.ahead() in ("<", ">") and self.ahead() and word.plain and is_number(word):
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
        self.found.sets(name, number=is_number(value))
        simple.sets.append((name, value))
        return True

    # --- redirections -----------------------------------------------------------------------------

    def _redirections(self) -> None:
        """Those behind a compound command."""
        simple = Simple()
        while True:
            self.blanks()
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
        self.blanks()
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
            if not (word.plain and (word.said == "-" or is_number(word))):
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
