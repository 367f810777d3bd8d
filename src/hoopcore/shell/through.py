"""Sees through programs that run other programs: ``sudo``, ``sh -c``, ``find -exec`` and so on.

Whatever may run is noted: the runner, and what it runs.  Where the words of a runner are not all
known, or are not those of the tables, the text is Unreadable.

Order of the file: texts and simple commands, one program, options, runners, builtins, others.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from hoopcore.command import Command, Text
from hoopcore.shell.grammar import parse
from hoopcore.shell.tables import (
    CODE_MODULES,
    DANGEROUS,
    ESCAPES,
    GIT_COMMANDS,
    INTERPRETER_FLAGS,
    INTERPRETER_SHOWS,
    INTERPRETERS,
    NO_FILES,
    RECURSIVE,
    RECURSIVE_OPTION,
    RECURSIVE_WITH,
    RUNNERS,
    SET_OPTIONS,
    SHELL_FLAGS,
    SHELL_LONG,
    SHELL_WORDS,
    SHELLS,
    SSH_SETTINGS,
    UNREAD,
    Options,
)
from hoopcore.shell.words import NAME, Found, Simple, Unreadable

MOST_COMMANDS = 2000

_ANYTHING = Text("", whole=False)
_STDIN = re.compile(r"-|/dev/(stdin|fd/.*)|/proc/.*/fd/.*")
_HOME = Text("~")


class Through:
    """What a text runs, with all that this runs."""

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
        self._text(text)
        self._check_variables()

    def _check_variables(self) -> None:
        """Nothing changes what programs run, and arithmetic is of numbers."""
        for name in self.found.names | self.found.counted:
            _harmless_name(name)
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
        other = Through(bash=bash, depth=self.depth + 1, within=self.found)
        other.folders = self.folders
        other._text(text)
        self.commands += other.commands
        self.files += other.files
        self._bounded()

    def _bounded(self) -> None:
        if len(self.commands) > MOST_COMMANDS:
            raise Unreadable("it runs too many commands")

    def _simple(self, simple: Simple) -> None:
        for name, _ in simple.sets:
            _harmless_name(name)
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
        family, arguments = command.family, list(command.words)
        if "=" in family or family in SHELL_WORDS:
            raise Unreadable("the name of a program is no name of one")
        special = _SPECIAL.get(family)
        if special is not None:
            special(self, family, arguments)
        elif family in SHELLS:
            self._shell(family, arguments)
        elif family in RUNNERS:
            self._runner(family, arguments)
        elif family in UNREAD or family.startswith(("ld-linux", "ld.so")):
            raise Unreadable(f"{family} may run anything, by keys or by what it reads")
        elif INTERPRETERS.fullmatch(family):
            self._interpreter(family, arguments)
        elif family in ESCAPES:
            self._escapes(family, arguments)

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

    # --- runners ----------------------------------------------------------------------------------

    def _runner(self, family: str, arguments: list[Text]) -> None:
        options = RUNNERS[family]
        if family == "env" and arguments and arguments[0].said == "-":
            arguments = arguments[1:]
        rest, values = self._operands(arguments, options)
        for option, value in values:
            if family == "env" and option in ("u", "unset"):
                _harmless_name(self._certain(value))
        while options.sets and rest and "=" in rest[0].said:
            name = rest[0].said.partition("=")[0]
            if not NAME.fullmatch(name) or rest[0].many:
                raise Unreadable("a variable that is set is not plain")
            _harmless_name(name)
            self.found.sets(name, number=False)
            rest = rest[1:]
        for _ in range(options.operands):
            if rest and (rest[0].many or not rest[0].whole):
                raise Unreadable("an argument that matters is not in the text")
            rest = rest[1:]
        if rest:
            self._run(rest)
        elif options.or_shell:
            raise Unreadable(f"{family} without a command runs a shell")

    def _command(self, family: str, arguments: list[Text]) -> None:
        if arguments and re.fullmatch(r"-p?[vV]", arguments[0].said):
            return  # it only tells what would be run
        self._runner(family, arguments)

    def _xargs(self, family: str, arguments: list[Text]) -> None:
        rest, values = self._operands(arguments, RUNNERS["xargs"])
        replaced = [self._certain(value) for option, value in values if option == "I"]
        given: list[Text] = []
        for word in rest or [Text("echo")]:
            cut = [word.said.find(one) for one in replaced if one in word.said]
            given.append(Text(word.said[: min(cut)], whole=False) if cut else word)
        if not replaced:
            given.append(Text("", whole=False, many=True))
        self._run(given)

    def _flock(self, family: str, arguments: list[Text]) -> None:
        rest, _ = self._operands(arguments, RUNNERS["flock"])
        rest = rest[1:]
        if rest and rest[0].said in ("-c", "--command"):
            if len(rest) != 2:
                raise Unreadable("flock is not read")
            self._elsewhere(self._certain(rest[1]), bash=False)
        elif rest:
            self._run(rest)

    def _watch(self, family: str, arguments: list[Text]) -> None:
        rest, _ = self._operands(arguments, RUNNERS["watch"])
        if rest:
            self._elsewhere(" ".join(map(self._certain, rest)), bash=False)
            self._run(rest)  # with -x it is no text

    def _ssh(self, family: str, arguments: list[Text]) -> None:
        options = RUNNERS["ssh"]
        host, values = self._operands(arguments, options)
        if not host:
            raise Unreadable("ssh to nowhere")
        rest, more = self._operands(host[1:], options)
        for option, value in (*values, *more):
            if option == "o" and not SSH_SETTINGS.fullmatch(self._certain(value)):
                raise Unreadable("a setting of ssh is not known")
            if option not in "obcilmpBDLRWwJEeOQ":
                raise Unreadable("an option of ssh is not read")
        self._certain(host[0])
        if not rest:
            raise Unreadable("ssh without a command runs a shell")
        self._elsewhere(" ".join(map(self._certain, rest)), bash=False)

    def _su(self, family: str, arguments: list[Text]) -> None:
        """``su [-] [USER] -c TEXT``, with the options anywhere."""
        text = ""
        at = 0
        while at < len(arguments):
            said = self._certain(arguments[at])
            at += 1
            if said in ("-c", "--command") and at < len(arguments) and not text:
                text = self._certain(arguments[at])
                at += 1
            elif said.startswith("-") and said not in ("-", "-l", "--login"):
                raise Unreadable("an option of su is not read")
        if not text:
            raise Unreadable("su without a command runs a shell")
        self._elsewhere(text, bash=False)

    def _shell(self, family: str, arguments: list[Text]) -> None:
        text = False
        at = 0
        while at < len(arguments):
            word = arguments[at]
            if word.whole and (word.said in ("-", "--") or word.said[:1] not in ("-", "+")):
                at += word.said in ("-", "--")
                break
            self._no_option(word)
            if not word.whole:
                break
            at += 1
            if word.said in SHELL_LONG:
                continue
            letters = word.said[1:]
            text = text or "c" in letters
            if letters.endswith("o") and at < len(arguments):
                if not SET_OPTIONS.fullmatch(self._certain(arguments[at])):
                    raise Unreadable("an option of a shell is not read")
                at += 1
                letters = letters[:-1]
            if letters.replace("c", "").strip(SHELL_FLAGS):
                raise Unreadable("an option of a shell is not read")
        if at >= len(arguments):
            raise Unreadable("a shell reads commands from its input")
        operand = self._certain(arguments[at])
        if text:
            self._elsewhere(operand, bash=family in ("bash", "rbash"))
        else:
            self._script(operand, arguments[at + 1 :])

    def _script(self, path: str, arguments: list[Text]) -> None:
        if not path or path.startswith("-") or _STDIN.fullmatch(path):
            raise Unreadable("commands are read from an input")
        self.commands.append(Command(plain_path(path), tuple(arguments)))

    def _interpreter(self, family: str, arguments: list[Text]) -> None:
        for at, word in enumerate(arguments):
            said = self._certain(word)
            if said in INTERPRETER_SHOWS:
                return
            if said in INTERPRETER_FLAGS:
                continue
            if said == "-m" and family.startswith("py") and at + 1 < len(arguments):
                module = self._certain(arguments[at + 1])
                if module in CODE_MODULES:
                    break
                self._script(module, arguments[at + 2 :])
                return
            if said.startswith("-"):
                break
            self._script(said, arguments[at + 1 :])
            return
        raise Unreadable(f"{family} runs code of another language")

    def _awk(self, family: str, arguments: list[Text]) -> None:
        options = Options("", "Fv", frozenset(), frozenset({"field-separator", "assign"}))
        rest, _ = self._operands(arguments, options)
        program = self._certain(rest[0]) if rest else ""
        if re.search(r"system|getline|[|>@]|load|include|extension", program):
            raise Unreadable("a program for awk may run commands, or write files")

    _SED = re.compile(
        r"(([0-9]+|\$|/[^/\\\n]*/)(,([0-9]+|\$|/[^/\\\n]*/))?)?[ ]*!?[ ]*([pdqQ=]"
        r"|(s|y)([/|,#:@])(?:(?!\7)[^\\\n]|\\[^\n])*\7(?:(?!\7)[^\\\n]|\\[^\n])*\7[gpiI0-9]*)?"
    )

    def _sed(self, family: str, arguments: list[Text]) -> None:
        """Scripts of the few commands that neither run nor write anything."""
        options = Options("nrEsuz", "e", frozenset({"quiet", "silent", "regexp-extended"}),
                          frozenset({"expression"}))  # fmt: skip
        inside = [word for word in arguments if not re.fullmatch(r"(-i|--in-place).*", word.said)]
        rest, values = self._operands(inside, options)
        scripts = [value for _, value in values]
        if not scripts:
            if not rest:
                raise Unreadable("sed without a script")
            scripts, rest = rest[:1], rest[1:]
        for script in scripts:
            if not self._SED.fullmatch(self._certain(script)):
                raise Unreadable("a script for sed is not read")
        for word in rest:
            self._no_option(word)
            if word.said.startswith("-"):
                raise Unreadable("options of sed stand behind its files")

    def _find(self, family: str, arguments: list[Text]) -> None:
        at = 0
        begins: list[Text] = []
        while at < len(arguments):
            word = arguments[at]
            self._no_option(word)
            at += 1
            if word.said in ("-exec", "-execdir", "-ok", "-okdir"):
                if word.said.endswith("dir"):
                    self.folders.append(Text("", whole=False))
                command: list[Text] = []
                while at < len(arguments) and arguments[at].said not in (";", "+"):
                    one = arguments[at]
                    cut = one.said.find("{}")
                    command.append(one if cut < 0 else Text(one.said[:cut], whole=False))
                    at += 1
                if at >= len(arguments) or not command:
                    raise Unreadable("what find runs has no end")
                at += 1
                self._run(command)
            elif word.said == "-delete":
                self.commands.append(Command("rm", tuple(begins)))
            elif word.said.startswith(("-fprint", "-fls")) and at < len(arguments):
                self.commands.append(Command("tee", (arguments[at],)))
            elif not word.said.startswith("-"):
                begins.append(word)

    def _git(self, family: str, arguments: list[Text]) -> None:
        at = 0
        while at < len(arguments) and arguments[at].said == "-C":
            at += 2
        rest = arguments[at:]
        if not rest:
            return
        if self._certain(rest[0]) not in GIT_COMMANDS:
            raise Unreadable("git is told to do what is not read")
        self._escapes(family, rest)

    # --- builtins ---------------------------------------------------------------------------------

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
            _harmless_name(name.removesuffix("+"))
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
                _harmless_name(said)

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


_SPECIAL: dict[str, Callable[..., None]] = {
    "xargs": Through._xargs,
    "command": Through._command,
    "flock": Through._flock,
    "watch": Through._watch,
    "ssh": Through._ssh,
    "su": Through._su,
    "awk": Through._awk,
    "gawk": Through._awk,
    "mawk": Through._awk,
    "nawk": Through._awk,
    "sed": Through._sed,
    "find": Through._find,
    "git": Through._git,
    "eval": Through._eval,
    ".": Through._source,
    "source": Through._source,
    "trap": Through._trap,
    "alias": Through._alias,
    "set": Through._set,
    "export": Through._declare,
    "readonly": Through._declare,
    "local": Through._declare,
    "declare": Through._declare,
    "typeset": Through._declare,
    "read": Through._reads,
    "getopts": Through._reads,
    "unset": Through._reads,
    "wait": Through._wait,
    "printf": Through._printf,
    "test": Through._test,
    "[": Through._test,
    "jobs": Through._jobs,
    "psql": Through._client,
    "mysql": Through._client,
    "mariadb": Through._client,
    "cd": Through._cd,
    "pushd": Through._cd,
}


def _harmless_name(name: str) -> None:
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
