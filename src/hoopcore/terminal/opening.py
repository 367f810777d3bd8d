"""What may still become a value: the end of a line that has to wait for what comes next.

For each kind a pattern of what it is at its widest, with what must stand behind it; its beginnings
are looked for at the end of a text.  It may hold more than need be, and never less: that is what
the property tests of splits hold it to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final

import re2

from hoopcore.detectors import Kind
from hoopcore.detectors.spans import LATIN1
from hoopcore.styles import DOMAIN_BYTES
from hoopcore.terminal.prefixes import NotKnown, beginnings

PEM: Final = "private-key"

_DOMAIN = r"[A-Za-z0-9.\x80-\xff-]"
_LOCAL = r"[A-Za-z0-9._%+'&!#$/=?^~\x80-\xff-]"
assert re.sub(rb"[A-Za-z0-9.\x80-\xff-]", b"", bytes(DOMAIN_BYTES)) == b""

# A number at the end, with the signs within and behind it; as long as it goes on.
_CARD = r"[0-9](?:[ -]?[0-9])*[ -]?"
_PHONE = r"\+?\(?[0-9](?:[ ()./-]{0,3}[0-9])*[ ()./,+-]{0,3}"

_WIDEST: Final = {
    "card": _CARD,
    "ssn": r"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}[-.]?",
    "email": rf"{_LOCAL}{{1,256}}(?:@{_DOMAIN}{{0,255}})?",
    "iban": r"(?:\b|_)[A-Z]{2}[0-9]{2}(?:[ -]?[0-9A-Z]){11,30}[ -]?",
    "phone": _PHONE,
    "ip": r"\b[0-9][0-9.]{0,40}[+-]?|\b[0-9A-Fa-f][0-9A-Fa-f:.]{0,60}|\B:[0-9A-Fa-f:.]{0,60}",
    "jwt": r"\beyJ[0-9A-Za-z_-]*\.[0-9A-Za-z_-]*\.[0-9A-Za-z_-]*",
    "aws-key": r"\b(?:AKIA|ASIA)[2-7A-Z]{16}",
    "gcp-key": r"\bAIza[0-9A-Za-z_-]{36}",
    "github-key": (
        r"\b(?:gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59})"
    ),
    "slack-key": (
        r"\b(?:xox[abeoprs]-[0-9A-Za-z-]{10,250}|xapp-[0-9]-[0-9A-Za-z-]{10,250}"
        r"|hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z_/+-]{8,250})"
    ),
    PEM: r"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----",
}
# Of a detector of one's own whose pattern is not read here: so much of the end of a line.
_UNREAD: Final = r"[\x00-\xff]{1,256}"

# A secret key of AWS is known by a word before it, at most so far.
_AWS_WORD = re.compile(rb"(?i:secret|aws)")
_AWS_CHARS = bytes(sorted(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz/+="))
_AWS_REACH = 48
_AWS_LONGEST = 41


class Opening:
    """Of some kinds together."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        named = {kind.name: kind for kind in kinds}
        self._aws = "aws-key" in named
        begun = "|".join(_begun(kind) for kind in named.values())
        self._at_end: Any = re2.compile(rf"(?:{begun})\z".encode("latin-1"), LATIN1)

    def place(self, data: bytes) -> int:
        """From where on it has to wait; its length where nothing has to."""
        match = self._at_end.search(data)
        found: int = len(data) if match is None else match.start()
        if self._aws:
            run = len(data) - len(data.rstrip(_AWS_CHARS))
            start = len(data) - run
            if (
                0 < run <= _AWS_LONGEST
                and start < found
                and _AWS_WORD.search(data, max(0, start - _AWS_REACH), start)
            ):
                return start
        return found


@lru_cache(maxsize=64)
def _begun(kind: Kind) -> str:
    pattern = _WIDEST.get(kind.name)
    try:
        return beginnings(pattern or kind.loose.decode("latin-1"))
    except NotKnown:
        return _UNREAD


_STRONG = re.compile(
    rb"[0-9][^0-9]*[0-9][^0-9]*[0-9][^0-9]*[0-9]|@|-----BEG|eyJ|\b(?:A[KSI]|gh|xo)"
)


def is_strong(tail: bytes) -> bool:
    """Whether what waits looks like a value already, and so is worth waiting for longer."""
    return len(tail) >= 4 and _STRONG.search(tail) is not None
