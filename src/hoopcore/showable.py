"""What a recorded terminal may show again, on the terminal of whoever looks: a stream of text.

A terminal obeys more than it shows: it sets a title, fills the clipboard, answers questions as if
somebody had typed, and turns on reports of mouse and pastes.  What programs wrote long ago, or an
attacker in their name, must do none of that to a reader.  So only what paints goes through: text,
moves of the cursor, colours, erasing, the other screen.  All else is left out, wherever the stream
is cut (ECMA-48, xterm's control sequences).
"""

from __future__ import annotations

import re

_CONTROLS = frozenset("\b\t\n\r\x0e\x0f")
# What is longer is no sequence of anybody's: its beginning is left out, and the rest is text.
_ESCAPE = re.compile(r"\x1b([ -/]{0,8})([0-~])")
_CSI = re.compile(r"\x1b\[([0-?]{0,128})([ -/]{0,8})([@-~])")
_BEGUN = re.compile(r"\x1b(\[[0-?]{0,128}[ -/]{0,8}|[ -/]{0,8})")
_PAINTS = frozenset("ABCDEFGHIJKLMPSTXZ@`abdefmrsu")
_MODES = frozenset(["4", "?1", "?5", "?6", "?7", "?25", "?47", "?1047", "?1048", "?1049"])
_PLAIN = frozenset("78=>DEHM")
_SETS = frozenset("()*+")
_UNTIL = re.compile(r"\x07|\x1b|\x18|\x1a|\x9c")
_TEXT = re.compile(r"[^\x00-\x1f\x7f-\x9f]+")


class Showable:
    """One terminal's stream."""

    def __init__(self) -> None:
        self._rest = ""  # a sequence that is not whole yet
        self._inside = False  # a string for the terminal itself
        self._ending = False  # there, behind an ESC

    def feed(self, text: str) -> str:
        """What of it may be shown, with what was not whole before."""
        data, self._rest = self._rest + text, ""
        shown: list[str] = []
        at = 0
        while at < len(data):
            if self._inside:
                at = self._skip(data, at)
            elif found := _TEXT.match(data, at):
                shown.append(found[0])
                at = found.end()
            elif data[at] != "\x1b":
                if data[at] in _CONTROLS:
                    shown.append(data[at])
                elif data[at] in "\x90\x98\x9d\x9e\x9f":  # the same strings, in one character
                    self._inside = True
                at += 1
            else:
                size = self._sequence(data, at, shown)
                if not size:
                    break
                at += size
        return "".join(shown)

    def _skip(self, data: str, at: int) -> int:
        """Behind the end of a string, or behind all there is."""
        if self._ending:
            self._ending = False
            self._inside = False
            return at + 1 if data[at] == "\\" else at
        found = _UNTIL.search(data, at)
        if found is None:
            return len(data)
        if found[0] == "\x1b":
            self._ending = True
        else:
            self._inside = False
        return found.end()

    def _sequence(self, data: str, at: int, shown: list[str]) -> int:
        """The length of the one that begins there; 0 where it is not whole, and is kept."""
        if at + 1 == len(data):
            return self._keep(data, at)
        kind = data[at + 1]
        if kind in "]PX^_":
            self._inside = True
            return 2
        found = (_CSI if kind == "[" else _ESCAPE).match(data, at)
        if found is None:
            part = _BEGUN.match(data, at)
            assert part is not None, "an ESC matches"
            if part.end() == len(data):
                return self._keep(data, at)
            return part.end() - at  # what follows is no part of any sequence
        if _paints(*found.groups(), csi=kind == "["):
            shown.append(found[0])
        return len(found[0])

    def _keep(self, data: str, at: int) -> int:
        self._rest = data[at:]
        return 0


def _paints(*parts: str, csi: bool) -> bool:
    if not csi:
        between, final = parts
        return between in _SETS or (not between and final in _PLAIN)
    words, between, final = parts
    if between:
        return False
    if final in "hl":
        sign = words[:1] if words[:1] == "?" else ""
        modes = words.removeprefix("?").split(";")
        return all(f"{sign}{mode}" in _MODES for mode in modes)
    # A number is how often: of a large one a terminal would be busy for long.
    return final in _PAINTS and all(len(n) <= 4 for n in re.split("[;:?<=>]", words))
