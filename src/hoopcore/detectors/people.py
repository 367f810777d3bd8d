"""Numbers and addresses of people: the US social security number, e-mail addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hoopcore.detectors.spans import Kind, Span, stands_alone
from hoopcore.styles import DOMAIN_BYTES, LONGEST_DOMAIN

# --- US social security numbers -------------------------------------------------------------------

_SSN = rb"[0-9]{3}[- ][0-9]{2}[- ][0-9]{4}"
_SSNS = re.compile(_SSN)


def _ssns(data: bytes) -> Iterator[Span]:
    """Numbers AAA-GG-SSSS that can have been given out: not 000, 666 or 9xx, not 00, not 0000."""
    for match in _SSNS.finditer(data):
        start, stop = match.span()
        text = data[start:stop]
        possible = (
            text[3] == text[6]
            and text[:3] not in (b"000", b"666")
            and text[0] != ord("9")
            and text[4:6] != b"00"
            and text[7:] != b"0000"
        )
        if possible and stands_alone(data, start, stop):
            yield Span(start, stop, "ssn", 4)


SSN = Kind("ssn", _SSN, _ssns, digits=9)

# --- e-mail addresses -----------------------------------------------------------------------------

# Both parts may hold bytes beyond ASCII (RFC 6531).  Quoted local parts are not looked for.
_EMAIL = rb"[A-Za-z0-9._%+'&!#$/=?^~\x80-\xfe-]@"
LOCAL = bytes(sorted(DOMAIN_BYTES | frozenset(b"_%+'&!#$/=?^~")))
_DOMAIN = bytes(sorted(DOMAIN_BYTES))
_LONGEST_LOCAL = 256  # RFC 5321 says 64; forwarders write more
_LABELS = re.compile(rb"(?:[^.-](?:[^.]{0,61}[^.-])?\.)+[A-Za-z\x80-\xff][^.]{0,61}[^.0-9-]")


def _emails(data: bytes) -> Iterator[Span]:
    """Addresses local@domain, where the domain has a dot and does not end in a number."""
    at = data.find(b"@")
    while at >= 0:
        window = data[max(0, at - _LONGEST_LOCAL) : at]
        local = window[len(window.rstrip(LOCAL)) :].lstrip(b".'")
        after = data[at + 1 : at + 2 + LONGEST_DOMAIN]
        domain = after[: len(after) - len(after.lstrip(_DOMAIN))].rstrip(b".-")
        if local and len(domain) <= LONGEST_DOMAIN and _LABELS.fullmatch(domain):
            yield Span(at - len(local), at + 1 + len(domain), "email", len(domain) + 1)
        at = data.find(b"@", at + 1)


EMAIL = Kind(
    "email", _EMAIL, _emails, needs=(b"@",), reach=max(_LONGEST_LOCAL, LONGEST_DOMAIN) + 64
)
