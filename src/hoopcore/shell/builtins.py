"""What is built into shells: it runs or reads texts, sets variables, or changes what names mean."""

from __future__ import annotations

import re

from hoopcore.command import Text
from hoopcore.shell.seeing import Seeing, harmless_name
from hoopcore.shell.tables import (
    SET_OPTIONS,
)
from hoopcore.shell.values import NAME, Unreadable


class Builtins(Seeing):
    """Each by its own name."""

    def _eval(self, family: str, arguments: list[Text]) -> None:
        said = [self._certain(word) for word in arguments]
        if said and said[0].startswith("-"):
            raise Unreadable("eval with an option is not the same in every shell")
        self._text(" ".join(said))

    def _source(self, family: str, arguments: list[Text]) -> None:
        if not arguments:
            raise Unreadable("a file to read is missing")
        self._script(self._certain(arguments[0]), arguments[1:])

    def _trap(self, family: str, arguments: list[Text]) -> None:
        if arguments and self._certain(arguments[0]) in ("--", "-p", "-l", "-"):
            if arguments[0].said == "--":
                raise Unreadable("trap is not read")
            return
        if len(arguments) > 1:
            self._text(self._certain(arguments[0]))

    def _alias(self, family: str, arguments: list[Text]) -> None:
        if any("=" in word.said or not word.whole for word in arguments):
            raise Unreadable("an alias changes what names mean")

    def _set(self, family: str, arguments: list[Text]) -> None:
        for word in arguments:
            if word.said == "--" and word.whole:
                return
            if not SET_OPTIONS.fullmatch(self._certain(word)):
                raise Unreadable("an option of the shell is not read")

    def _declare(self, family: str, arguments: list[Text]) -> None:
        for word in arguments:
            name, equals, value = word.said.partition("=")
            if word.many or not (word.whole or equals):
                raise Unreadable("what is declared is not in the text (quote it)")
            if re.fullmatch(r"[-+][xrgp]+", name):
                continue
            if not NAME.fullmatch(name.removesuffix("+")):
                raise Unreadable("what is declared is not plain")
            harmless_name(name.removesuffix("+"))
            if equals:
                number = word.whole and value.isascii() and (value.isdecimal() or not value)
                self.found.sets(name.removesuffix("+"), number=number)

    def _reads(self, family: str, arguments: list[Text]) -> None:
        """``read``, ``getopts``, ``unset``: words that are names of variables, or nothing."""
        for word in arguments:
            said = self._certain(word)
            if "[" in said:
                raise Unreadable("a subscript may be evaluated")
            if said.startswith("-") and not re.fullmatch(r"-[rsefv]+|-[pntu]", said):
                raise Unreadable(f"an option of {family} is not read")
            if NAME.fullmatch(said):
                if family != "unset":
                    self.found.sets(said, number=False)
                harmless_name(said)

    def _wait(self, family: str, arguments: list[Text]) -> None:
        for word in arguments:
            if "[" in word.said or word.said.startswith("-"):
                raise Unreadable("wait is not read")
            self._no_option(word)

    def _printf(self, family: str, arguments: list[Text]) -> None:
        if not arguments:
            return
        first = arguments[0]
        self._no_option(first)
        if first.said.startswith("-v"):
            raise Unreadable("printf sets a variable")

    def _test(self, family: str, arguments: list[Text]) -> None:
        """bash evaluates the subscript of what ``-v`` names, and so would any word be that is."""
        words = arguments[:-1] if family == "[" else arguments
        for word in words:
            if word.many:
                raise Unreadable("a test of what may be several words (quote it)")
            if "[" in word.said or word.said in ("-v", "-R"):
                raise Unreadable("a test may evaluate a subscript")
        if len(words) == 2 and not words[0].whole:
            raise Unreadable("a test is not in the text")

    def _jobs(self, family: str, arguments: list[Text]) -> None:
        for word in arguments:
            if "x" in self._certain(word):
                raise Unreadable("jobs -x runs a command")

    def _client(self, family: str, arguments: list[Text]) -> None:
        """A client of a database, which runs commands that it reads from its input."""
        said = [word.said for word in arguments]
        if not any(re.fullmatch(r"-[A-Za-z]*[ce]|--(command|execute)(=.*)?", one) for one in said):
            raise Unreadable(f"{family} reads commands from its input")
        self._escapes(family, arguments)

    def _cd(self, family: str, arguments: list[Text]) -> None:
        for word in arguments:
            if not (word.whole and word.said in ("-L", "-P", "--", "-")):
                self.folders.append(word)
