"""Programs that run other programs: ``sudo``, ``sh -c``, ``find -exec``, and their kin.

Where their words are not all known, or are not those of the tables, the text is Unreadable."""

from __future__ import annotations

import re

from hoopcore.command import Command, Text
from hoopcore.shell.builtins import Builtins
from hoopcore.shell.seeing import harmless_name
from hoopcore.shell.tables import (
    CODE_MODULES,
    GIT_COMMANDS,
    INTERPRETER_FLAGS,
    INTERPRETER_SHOWS,
    RUNNERS,
    SET_OPTIONS,
    SHELL_FLAGS,
    SHELL_LONG,
    SSH_SETTINGS,
    Options,
)
from hoopcore.shell.values import NAME, Unreadable


class Runners(Builtins):
    """Each by its own name, or by the table of its options."""

    def _runner(self, family: str, arguments: list[Text]) -> None:
        options = RUNNERS[family]
        if family == "env" and arguments and arguments[0].said == "-":
            arguments = arguments[1:]
        rest, values = self._operands(arguments, options)
        for option, value in values:
            if family == "env" and option in ("u", "unset"):
                harmless_name(self._certain(value))
        while options.sets and rest and "=" in rest[0].said:
            name = rest[0].said.partition("=")[0]
            if not NAME.fullmatch(name) or rest[0].many:
                raise Unreadable("a variable that is set is not plain")
            harmless_name(name)
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
