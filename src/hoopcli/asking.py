"""Questions to a person at a terminal.

They are written to stderr, since stdout is data, and read from stdin.  Nothing is asked where
either is no terminal: a script must not wait for an answer nobody gives.
"""

from __future__ import annotations

import os
import select
import sys

from hoopcli.errors import say


def possible() -> bool:
    """Whether there is somebody to ask."""
    return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def line(question: str) -> str | None:
    """What was typed, without blanks at its ends; None at the end of input (Ctrl-D)."""
    print(question, end="", file=sys.stderr, flush=True)
    answer = sys.stdin.readline()
    if not answer:
        say()
        return None
    return answer.strip()


def key(question: str, keys: str) -> str:
    """The first of ``keys`` that is pressed; every other key, Enter among them, does nothing.

    What was typed before the question is dropped, so that no key pressed too often answers a
    question that was not read.  End of input, and a terminal that is gone, are ``q``.
    """
    import termios
    import tty

    fd = sys.stdin.fileno()
    before = termios.tcgetattr(fd)
    try:
        tty.setcbreak(fd, termios.TCSAFLUSH)  # Ctrl-C stays an interrupt
        # Asked only now: who answers at once is not to be dropped with what came before.
        print(question, end="", file=sys.stderr, flush=True)
        while True:
            pressed = _pressed(fd)
            if pressed in keys and len(pressed) == 1:
                say(pressed)
                return pressed
            if pressed in ("", "\x04"):
                say()
                return "q"
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def forget() -> None:
    """Drops what was typed while nobody asked, so that it does not become what comes next."""
    import termios

    if possible():
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)


# How long after Escape the rest of a key's bytes may come, in seconds.
_REST = 0.05


def _pressed(fd: int) -> str:
    """One key.  An arrow or a function key is several bytes, and none of them counts alone.

    They are Escape and a letter (Alt), or Escape, ``[`` or ``O``, and all up to a byte from ``@``
    to ``~`` (ECMA-48, 5.4); what follows them is another key.
    """
    data = os.read(fd, 1)
    if data != b"\x1b":
        return data.decode("ascii", "replace").lower()
    while select.select([fd], [], [], _REST)[0] and (byte := os.read(fd, 1)):
        data += byte
        rest = data.lstrip(b"\x1b")
        if (len(rest) == 1 and rest not in b"[O") or (len(rest) > 1 and b"@" <= byte <= b"~"):
            break
    return data.decode("ascii", "replace").lower()


def wanted(question: str) -> str:
    """An answer that is not empty, asked for up to three times; empty when none was given."""
    for _ in range(3):
        answer = line(question)
        if answer is None:
            return ""
        if answer:
            return answer
    return ""


def reason(given: str | None, question: str, command: str) -> str:
    """The reason given, else asked for.  A usage error where there is none and nobody to ask."""
    from hoopcli.errors import usage

    text = (given or "").strip()
    if not text and given is None and possible():
        text = wanted(question)
    if not text:
        usage("a reason is needed", f'Say why:  {command} --reason "…"')
    return text
