"""What a shell puts in the place of ``$…``: variables, arithmetic, and what commands print.

bash evaluates subscripts wherever it wants a number, and runs what is substituted there
(``x='a[$(cmd)]'; echo $((x))``).  So arithmetic is read only where each variable in it is known to
be a number, and expansions that evaluate (``${!x}``, ``${x@P}``, ``${x[…]}``) are not read at all.

Order of the file: characters, expansions, arithmetic.
"""

from __future__ import annotations

import re

from hoopcore.shell.values import DEEPEST, NAME, Found, Unreadable, Word

_SPECIAL = "@*#?-$!"
_ARITHMETIC = re.compile(r"[0-9A-Za-z_ \t\n+\-*/%<>=!&|^~?:,]")


class Expansions:
    """The part of the parser that knows characters, and what begins with a dollar."""

    def __init__(self, text: str, found: Found, *, bash: bool, depth: int = 0) -> None:
        if depth > DEEPEST:
            raise Unreadable("commands are nested too deeply")
        found.room -= len(text)
        if found.room < 0:
            raise Unreadable("texts within it are too long")
        self.text = text
        self.found = found
        self.bash = bash
        self.depth = depth
        self.at = 0

    # What the rest of the parser does.

    def piece(self, word: Word, c: str) -> None:
        """One piece of a word that is not quoted, as a whole."""
        raise NotImplementedError

    def quoted(self, word: Word, c: str, escaped: str) -> None:
        """One piece of what is quoted but expanded."""
        raise NotImplementedError

    def dollar_quoted(self, word: Word, quote: str) -> None:
        """What stands behind ``$'`` or ``$"``."""
        raise NotImplementedError

    def commands(self) -> None:
        """Commands, and the parenthesis behind them."""
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

    # --- expansions -------------------------------------------------------------------------------

    def dollar(self, word: Word, *, quoted: bool) -> None:
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
                self.commands()
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
            self.dollar_quoted(word, c)
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
                self.piece(inside, c)
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
