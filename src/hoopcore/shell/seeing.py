"""What a text runs, and what the words of a program are: options, operands, files.

Whatever may run is noted: the program, and what it runs.

Order of the file: texts and simple commands, one program, options, names and paths."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hoopcore.command import Command, Text
from hoopcore.shell.grammar import parse
from hoopcore.shell.tables import (
    DANGEROUS,
    ESCAPES,
    NAMED_ELSEWHERE,
    NO_FILES,
    RECURSIVE,
    RECURSIVE_OPTION,
    RECURSIVE_WITH,
    SHELL_WORDS,
    Options,
)
from hoopcore.shell.values import Found, Simple, Unreadable

MOST_COMMANDS = 2000
MOST_FILES = 2000

_HOME = Text("~")


_STDIN = re.compile(r"-|/dev/(stdin|fd/.*)|/proc/.*/fd/.*")


class Seeing:
    """What a text runs, as far as it knows no program by name."""

    def __init__(self, *, bash: bool, depth: int = 0, within: Found | None = None) -> None:
        """``within``: what was found in the text that starts this shell, and exports to it."""
        self.bash = bash
        self.depth = depth
        self.found = within or Found()
        self.commands: list[Command] = []
        self.files: list[Text] = []
        self.folders: list[Text] = [_HOME]

    def read(self, text: str) -> None:
        """The whole text of a shell.  Unreadable where it is not certain what it runs."""
        self.found.room = 4096 + 4 * len(text)
        self._text(text)
        self._check_variables()

    def _check_variables(self) -> None:
        """Nothing changes what programs run, and arithmetic is of numbers."""
        for name in self.found.names | self.found.counted:
            harmless_name(name)
        for name in self.found.counted:
            if not self.found.numbers.get(name, False):
                raise Unreadable("arithmetic takes a variable that may be no number")

    # --- texts and simple commands ----------------------------------------------------------------

    def _text(self, text: str) -> None:
        """A text that this shell reads itself."""
        if self.depth > 12:
            raise Unreadable("commands are nested too deeply")
        self.depth += 1
        outer = self.found.commands
        self.found.commands = []
        parse(text, self.found, bash=self.bash)
        commands, self.found.commands = self.found.commands, outer
        for simple in commands:
            self._simple(simple)
        self.depth -= 1

    def _elsewhere(self, text: str, *, bash: bool) -> None:
        """A text that another shell reads."""
        other = type(self)(bash=bash, depth=self.depth + 1, within=self.found)
        other.folders = self.folders
        other._text(text)
        self.commands += other.commands
        self.files += other.files
        self._bounded()

    def _bounded(self) -> None:
        if len(self.commands) > MOST_COMMANDS or len(self.files) > MOST_FILES:
            raise Unreadable("it runs too many commands, or names too many files")

    def _simple(self, simple: Simple) -> None:
        for name, _ in simple.sets:
            harmless_name(name)
        self.files += [word.text for word in (*simple.reads, *simple.writes, *simple.values)]
        for word in simple.writes:
            # A redirection writes as tee does.
            if not (word.whole and word.said in ("/dev/null", "/dev/stdout", "/dev/stderr")):
                self.commands.append(Command("tee", (word.text,)))
        if simple.words:
            self._run([word.text for word in simple.words])

    # --- one program ------------------------------------------------------------------------------

    def _run(self, words: Sequence[Text]) -> None:
        first = words[0]
        if not first.whole or first.many or not first.said:
            raise Unreadable("which program is run is not in the text")
        command = Command(plain_path(first.said), tuple(words[1:]))
        self.commands.append(command)
        self._bounded()
        if command.program not in NO_FILES or self.found.functions:
            self._name_files(command.words)
            self._name_beneath(command)
            self._bounded()
        family, arguments = command.family, list(command.words)
        if "=" in family or family in SHELL_WORDS:
            raise Unreadable("the name of a program is no name of one")
        self.special(family, arguments)

    def special(self, family: str, arguments: list[Text]) -> None:
        """Sees through a program that is known by its name."""
        raise NotImplementedError

    def _name_files(self, words: Sequence[Text]) -> None:
        for position, word in enumerate(words):
            self.files.append(word)
            before = words[position - 1].said if position else ""
            if before in ("-C", "-D", "--directory", "--chdir"):
                self.folders.append(word)
            for option in ("--directory=", "--chdir=", "-C"):
                if word.said.startswith(option) and word.said != option:
                    self.folders.append(Text(word.said.removeprefix(option), word.whole))

    def _name_beneath(self, command: Command) -> None:
        """What goes down into folders touches whatever is beneath what it names."""
        elsewhere = NAMED_ELSEWHERE.get(command.family)
        if elsewhere is not None and any(elsewhere.fullmatch(one.said) for one in command.words):
            self.files.append(Text("", whole=False))
        if command.family not in RECURSIVE and not (
            command.family in RECURSIVE_WITH
            and any(RECURSIVE_OPTION.match(word.said) or not word.said for word in command.words)
        ):
            return
        named = [word for word in command.words if word.whole and not word.said.startswith("-")]
        for word in named:
            self.files.append(Text(f"{word.said.rstrip('/')}/", whole=False))

    def _certain(self, word: Text) -> str:
        if not word.whole or word.many:
            raise Unreadable("an argument that matters is not in the text")
        return word.said

    def _escapes(self, family: str, arguments: list[Text]) -> None:
        """Nothing in them makes the program run another one."""
        escape = ESCAPES["mysql" if family == "mariadb" else family]
        for word in arguments:
            self._no_option(word)
            server = family == "rsync" and arguments[0].said == "--server"
            if escape.fullmatch(word.said) and not server:
                raise Unreadable(f"{family} is told to run something else, or may be")

    def _no_option(self, word: Text) -> None:
        """What is not whole must not be an option that nobody has read."""
        if not word.whole and (not word.said or word.said.startswith("-")):
            raise Unreadable("an argument may be an option, and is not in the text")

    def _script(self, path: str, arguments: list[Text]) -> None:
        if not path or path.startswith("-") or _STDIN.fullmatch(path):
            raise Unreadable("commands are read from an input")
        self.commands.append(Command(plain_path(path), tuple(arguments)))

    # --- options ----------------------------------------------------------------------------------

    def _operands(
        self, arguments: list[Text], options: Options
    ) -> tuple[list[Text], list[tuple[str, Text]]]:
        """What stands behind the options, and the options that have values."""
        values: list[tuple[str, Text]] = []
        at = 0
        while at < len(arguments):
            word = arguments[at]
            if word.whole and not word.many and not word.said.startswith("-"):
                break
            if word.said == "-" and word.whole:
                break
            self._no_option(word)
            if not word.said.startswith("-"):
                break
            at += 1
            if word.said == "--":
                break
            wanted = self._option(word.said, options, values)
            if wanted:
                if at >= len(arguments) or arguments[at].many:
                    raise Unreadable("the value of an option is not in the text")
                values.append((wanted, arguments[at]))
                at += 1
        return arguments[at:], values

    def _option(self, said: str, options: Options, values: list[tuple[str, Text]]) -> str:
        """One word of options; the option whose value is the next word, if one is."""
        if said.startswith("--"):
            name, equals, value = said[2:].partition("=")
            if name in options.long_valued:
                if not equals:
                    return name
                values.append((name, Text(value)))
                return ""
            if name in options.long:
                return ""
            raise Unreadable("an option of a program that runs others is not known")
        for place, letter in enumerate(said[1:], 1):
            if letter in options.valued:
                if rest := said[place + 1 :]:
                    values.append((letter, Text(rest)))
                    return ""
                return letter
            if letter not in options.flags:
                raise Unreadable("an option of a program that runs others is not known")
        return ""


def harmless_name(name: str) -> None:
    if DANGEROUS.fullmatch(name):
        raise Unreadable("it sets a variable that changes what programs run")


def plain_path(path: str) -> str:
    """``/bin/../bin//rm`` → ``/bin/rm``; what has no slash stays as it is."""
    if "/" not in path:
        return path
    parts: list[str] = []
    absolute = path.startswith("/")
    for part in path.split("/"):
        if part == ".." and parts and parts[-1] not in ("..", "~"):
            parts.pop()
        elif part == ".." and absolute and not parts:
            continue
        elif part not in ("", "."):
            parts.append(part)
    return ("/" if absolute else "") + "/".join(parts) or "/"
