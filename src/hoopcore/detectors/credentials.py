"""Keys and tokens: each has a form of its own, and some a checksum.

An AWS secret key is forty characters of base64 with nothing to tell it by, so it is found only
behind a word that says what it is.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from collections.abc import Callable, Iterator

from hoopcore.detectors.spans import Finder, Kind, Span

_NO_WORD_BEFORE = rb"(?<![0-9A-Za-z_])"
_NO_WORD_BEHIND = rb"(?![0-9A-Za-z_])"


def _by(
    pattern: bytes, kind: str, keep: int = 0, fits: Callable[[bytes], bool] | None = None
) -> Finder:
    """A finder of what fits the pattern, and the test where there is one."""
    compiled = re.compile(pattern)

    def find(data: bytes) -> Iterator[Span]:
        for match in compiled.finditer(data):
            if fits is None or fits(match[0]):
                yield Span(*match.span(compiled.groups), kind, keep)

    return find


# --- JSON web tokens (RFC 7519) -------------------------------------------------------------------

_LONGEST_TOKEN = 16 << 10
_JWT = rb"%beyJ[0-9A-Za-z_-]{5,2000}\.[0-9A-Za-z_-]{2,%d}\.[0-9A-Za-z_-]*" % (
    _NO_WORD_BEFORE,
    _LONGEST_TOKEN,
)


def _is_jwt(text: bytes) -> bool:
    """Whether the first part is a JOSE header: a JSON object that names an algorithm."""
    head = text.partition(b".")[0]
    try:
        header = json.loads(binascii.a2b_base64(head.translate(_URLSAFE) + b"=="))
    except (ValueError, RecursionError):
        return False
    return isinstance(header, dict) and isinstance(header.get("alg"), str)


_URLSAFE = bytes.maketrans(b"-_", b"+/")
JWT = Kind(
    "jwt",
    rb"eyJ[0-9A-Za-z_-]{5}",
    _by(_JWT, "jwt", fits=_is_jwt),
    needs=(b"eyJ",),
    ahead=_LONGEST_TOKEN + 2200,
)

# --- Amazon, Google, Slack ------------------------------------------------------------------------

_AWS_ID = rb"(?:AKIA|ASIA)[2-7A-Z]{16}"
_AWS_WORD = rb"(?i:secret|aws)"
_SECRET = rb"[0-9A-Za-z/+]{40}"
# The word, what may stand between (_access_key = "), then exactly forty characters.
_AWS_SECRET = re.compile(
    rb"%b[^\r\n]{0,40}?(?<![0-9A-Za-z/+=])(%b)(?![0-9A-Za-z/+=])" % (_AWS_WORD, _SECRET)
)
_HEX = re.compile(rb"[0-9a-fA-F]+")
_AWS_IDS = _by(_NO_WORD_BEFORE + _AWS_ID + _NO_WORD_BEHIND, "aws-key", 4)


def _aws(data: bytes) -> Iterator[Span]:
    """Access key ids anywhere; secret keys behind "secret" or "aws", on the same line."""
    found = list(_AWS_IDS(data))
    for match in _AWS_SECRET.finditer(data):
        text = match[1]
        mixed = any(65 <= byte <= 90 for byte in text) and any(97 <= byte <= 122 for byte in text)
        if mixed and not _HEX.fullmatch(text):
            found.append(Span(*match.span(1), "aws-key"))
    yield from sorted(found)


AWS = Kind(
    "aws-key",
    _AWS_ID + rb"|" + _AWS_WORD + rb"[!-~ ]{1,40}[0-9A-Za-z/+]{40}",
    _aws,
    needs=(b"AKIA", b"ASIA", b"ecret", b"ECRET", b"aws", b"AWS", b"Aws"),
    reach=128,
)
GCP = Kind(
    "gcp-key",
    rb"AIza[0-9A-Za-z_-]{35}",
    _by(_NO_WORD_BEFORE + rb"AIza[0-9A-Za-z_-]{35}(?![0-9A-Za-z_-])", "gcp-key", 4),
    needs=(b"AIza",),
)
_SLACK_TOKEN = rb"xox[abeoprs]-[0-9A-Za-z-]{10,250}|xapp-[0-9]-[0-9A-Za-z-]{10,250}"
_SLACK_HOOK = rb"hooks\.slack\.com/(?:services|workflows)/[0-9A-Za-z_/+-]{8,250}"
SLACK = Kind(
    "slack-key",
    rb"xox[abeoprs]-[0-9A-Za-z-]{10}|xapp-[0-9]-[0-9A-Za-z-]{10}"
    rb"|hooks\.slack\.com",
    _by(_NO_WORD_BEFORE + rb"(?:%b|%b)" % (_SLACK_TOKEN, _SLACK_HOOK), "slack-key", 4),
    needs=(b"xox", b"xapp-", b"hooks.slack.com"),
    reach=300,
)

# --- GitHub ---------------------------------------------------------------------------------------

_BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_GITHUB = rb"%b(?:gh[pousr]_[0-9A-Za-z]{36,255}|github_pat_[0-9A-Za-z]{22}_[0-9A-Za-z]{59})%b" % (
    _NO_WORD_BEFORE,
    _NO_WORD_BEHIND,
)


def _is_github(token: bytes) -> bool:
    """Whether the last six characters are the CRC-32 of those before, where the form has one."""
    if len(token) != 40:
        return True
    rest, digits = zlib.crc32(token[4:34]), bytearray()
    while rest:
        rest, digit = divmod(rest, 62)
        digits.insert(0, _BASE62[digit])
    return token[34:] == bytes(digits).rjust(6, b"0")


GITHUB = Kind(
    "github-key",
    rb"gh[pousr]_[0-9A-Za-z]{36}|github_pat_[0-9A-Za-z]{22}_",
    _by(_GITHUB, "github-key", 4, _is_github),
    needs=(b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_", b"github_pat_"),
    reach=300,
)

# --- private keys in PEM (RFC 7468, OpenSSH's and OpenPGP's) --------------------------------------

_PEM_BEGIN = rb"-----BEGIN [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----"
_PEM_BEGINS = re.compile(_PEM_BEGIN)
_PEM_ENDS = re.compile(rb"-----END [A-Z0-9 ]{0,24}PRIVATE KEY(?: BLOCK)?-----")
_LONGEST_PEM = 16 << 10


def _pems(data: bytes) -> Iterator[Span]:
    """Whole blocks.  One that does not end within 16 KiB is hidden so far, or up to the next."""
    place = 0
    while begin := _PEM_BEGINS.search(data, place):
        limit = min(len(data), begin.end() + _LONGEST_PEM)
        following = _PEM_BEGINS.search(data, begin.end(), limit)
        end = _PEM_ENDS.search(data, begin.end(), following.start() if following else limit)
        place = end.end() if end else following.start() if following else limit
        yield Span(begin.start(), place, "private-key")


PEM = Kind("private-key", _PEM_BEGIN, _pems, needs=(b"-----BEGIN ",), ahead=_LONGEST_PEM + 128)
