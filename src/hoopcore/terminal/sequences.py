"""What of a terminal's bytes is text, and what only says where and how (ECMA-48, xterm).

Text is everything that takes a cell.  The rest is told apart as far as it moves the cursor or takes
cells away; colours, modes, charsets and characters without a width are nothing but themselves.

A sequence that has begun and not ended is the last token, ``PARTIAL``: whoever reads on puts it
before what comes next.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple


class Sign(Enum):
    TEXT = "text"
    NEWLINE = "newline"  # LF, VT, FF, with the CRs before it
    RETURN = "return"
    BACK = "back"
    CSI = "csi"
    ESCAPE = "escape"  # ESC and one letter
    BEGIN = "begin"  # of a string: OSC, DCS, SOS, PM, APC
    END = "end"
    NOTHING = "nothing"  # takes no cell and moves nothing
    PARTIAL = "partial"


class Token(NamedTuple):
    sign: Sign
    raw: str
    letter: str = ""  # of a CSI or an escape: which one
    numbers: tuple[int, ...] = ()  # of a CSI; 0 where none is said


# Longer than any program writes; what goes on behind it is text.
_LONGEST_CSI: Final = 256

# Characters without a width: soft hyphen, joiners, directions, selectors, tags.
_INVISIBLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff"
)
INVISIBLE_BYTES: Final = (
    rb"\xc2[\x80-\x9f\xad]|\xcd\x8f|\xd8\x9c|\xe1\x85[\x9f\xa0]|\xe1\x9e[\xb4\xb5]"
    rb"|\xe1\xa0[\x8b-\x8f]|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]"
    rb"|\xef\xb8[\x80-\x8f]|\xef\xbb\xbf|\xef\xbf[\xb9-\xbb]|\xf3\xa0"
)
"""The same in UTF-8, with the controls beyond ASCII."""

_TEXT = rf"[^\x00-\x08\x0a-\x1f\x7f-\x9f{_INVISIBLE}]+"
_NEWLINE = r"\r*[\n\x0b\x0c]"
# Parameters; a control that stands among them does not end them.
_WITHIN = rf"[0-?\x00-\x07\x0e-\x17\x19\x1c-\x1f\x7f]{{0,{_LONGEST_CSI}}}[ -/]{{0,8}}"
_OUTSIDE = re.compile(
    rf"(?P<text>{_TEXT})"
    rf"|(?P<newline>{_NEWLINE})"
    rf"|(?P<partial>(?:\r+|\x1b[ -/]{{0,8}}|(?:\x1b\[|\x9b){_WITHIN})\Z)"
    r"|(?P<return>\r)"
    r"|(?P<back>\x08)"
    rf"|(?:\x1b\[|\x9b)(?P<csi>{_WITHIN}[@-~])"
    r"|(?P<begin>\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])"
    r"|\x1b(?P<escape>[ -/]{1,8}[0-~]|[0-OQ-WYZ\\`-~])"
    r"|(?P<nothing>[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f]+"
    rf"|(?:\x1b\[|\x9b){_WITHIN}|\x1b[ -/]{{0,8}}|[\s\S])"
)
# Inside a string: its end, or what breaks it off.
_INSIDE = re.compile(
    rf"(?P<text>{_TEXT})"
    rf"|(?P<newline>{_NEWLINE})"
    r"|(?P<partial>(?:\r+|\x1b)\Z)"
    r"|(?P<end>\x07|\x1b\\|[\x18\x1a\x9c]|(?=\x1b))"
    r"|(?P<nothing>[\x00-\x06\x0e-\x17\x19\x1c-\x1f\x7f]+|[\s\S])"
)
_SIGNS = {sign.value: sign for sign in Sign}


def token_at(text: str, place: int, *, inside: bool) -> Token:
    """The token that begins here; ``inside`` a string other ones are known."""
    match = (_INSIDE if inside else _OUTSIDE).match(text, place)
    assert match is not None, "any character is a token"
    sign = _SIGNS[match.lastgroup or ""]
    if sign is Sign.CSI:
        body = match["csi"]
        return Token(sign, match[0], _letter(body), tuple(_numbers(body)))
    if sign is Sign.ESCAPE:
        return Token(sign, match[0], match["escape"])
    return Token(sign, match[0])


def _letter(body: str) -> str:
    """The final one; with what marks a sequence as another one (``?`` and the like)."""
    return body.lstrip("0123456789:;")


def _numbers(body: str) -> Iterator[int]:
    for part in body[:-1].split(";")[:16]:
        yield int(part) if part.isascii() and part.isdigit() and len(part) < 6 else 0
