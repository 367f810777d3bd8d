"""Texts for tests of masks over what a terminal shows: values, near misses, and what moves."""

from __future__ import annotations

from random import Random

from hoopcore.detectors import KINDS, Own, Sweep
from hoopcore.passage import Masked, ToPerson
from hoopcore.terminal import masks

OWN = (
    Own("staff", r"\bEMP-[0-9]{5}\b", match=["EMP-12345"]).kind(),
    Own("ticket", r"(?i)ticket[: ]+([a-z]{2,4}-?\d{3,6})$", match=["ticket: ab-123"]).kind(),
)
SWEEPS = {
    "all": Sweep((*KINDS, *OWN)),
    "few": Sweep(("card", "ssn", "email")),
    "most": Sweep(tuple(kind for kind in KINDS if kind not in ("phone", "ip"))),
}
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KEY = (
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEabcdefghijklmnopqrst12\n"
    "abcdefghijklmnopqrst\n-----END RSA PRIVATE KEY-----"
)
VALUES = {
    "card": ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111"],
    "ssn": ["123-45-6789", "123 45 6789"],
    "email": ["bo.okafor@example.com", "jürgen@exämple.de"],
    "iban": ["DE89370400440532013000", "DE89 3704 0044 0532 0130 00"],
    "phone": ["+1 212 555 0123", "+44 20 7946 0958", "(212) 555-0123", "tel 2125550123"],
    "ip": ["192.168.1.17", "2001:db8::17"],
    "jwt": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcDEF_-123"],
    "aws-key": ["AKIAIOSFODNN7EXAMPLE", f"aws_secret {SECRET}"],
    "gcp-key": ["AIzaSyA1234567890abcdefghijklmnopqrstuv"],
    "github-key": [f"github_pat_{'a' * 22}_{'b' * 59}"],
    "slack-key": ["xoxb-123456789012-abcdef", "hooks.slack.com/services/T000/B000/XXXXXXXX"],
    "private-key": [KEY],
    "staff": ["EMP-12345"],
    "ticket": ["ticket: ab-123"],
}
_ALL = [value for values in VALUES.values() for value in values]
_BETWEEN = [
    *(" ", "", "\n", "\t", "x", "1", "-", ".", ",", ":", "@", "_", "/", "(", "  ", "\r\n"),
    *("version ", "eyJ", "0", "00 ", "+", "=", "é", "日", "-----BEGIN ", "::", "$ ", "# "),
]
UNSEEN = [
    *("\x1b[31m", "\x1b[0m", "\0", "\x0f", "\u200b", "\x1b]0;title\x07", "\x1b(B", "\x07"),
    *("\x1b[1;32m", "\x1b7", "\u00ad", "\x1b[?25l", "\x1b[1\x00m", "\x1bPq\x1b\\"),
]
"""What takes no cell: a value with these inside looks as it does without."""

MOVES = [
    *("\b", "\r", "\x1b[D", "\x1b[C", "\x1b[3D", "\x1b[2;5H", "\x1b[2K", "\x1b[1P", "\x1b[5X"),
    *("\x1b[A", "\x1b[J", "\x1b[H\x1b[2J", "\x1b]2;4111 1111 1111 1111\x1b\\", "\x1b[3b"),
    *("\x1b[10G", "\b \b", " \b", " \r", "\n", "\x1b[2@", "\x1bP", "\x1b\\", "\x1b[5d"),
    *("\x1b[1;5r", "\x1bM", "\x1b[2;1H", "\x1b[1L", "\x1b[?1049h", "\x1b[3\x1b[1m", "\x9b1m"),
]


def text(random: Random, *, moves: bool) -> str:
    """Some values, whole or nearly, with what stands between them, and within."""
    said = []
    for _ in range(random.randint(1, 4)):
        value = random.choice(_ALL)
        chance = random.random()
        if chance < 0.15:
            value = value[: random.randint(1, len(value))]
        elif chance < 0.3:
            value = put(random, value, _BETWEEN, 1)
        value = put(random, value, UNSEEN, random.randint(0, 3))
        if moves:
            value = put(random, value, MOVES, random.randint(0, 2))
        said += [value, *random.choices(_BETWEEN, k=random.randint(0, 3))]
    return "".join(said)


def put(random: Random, value: str, what: list[str], times: int) -> str:
    for _ in range(times):
        place = random.randint(0, len(value))
        value = value[:place] + random.choice(what) + value[place:]
    return value


def shown(
    sweep: Sweep, pieces: list[bytes], size: tuple[int, int] = (0, 0), quiet: bool = False
) -> tuple[bytes, dict[str, int]]:
    """What a person gets of these pieces, and what was counted; ``quiet`` between any two."""
    passage = masks(sweep, terminal=size[0] > 0, columns=size[0], lines=size[1])
    assert passage is not None
    given = []
    for piece in pieces:
        given += passage.from_target(piece, stderr=False)
        if quiet:
            given += passage.quiet()
            assert passage.patience is None, "nothing waits behind it"
    given += passage.target_done()
    assert passage.patience is None
    counts: dict[str, int] = {}
    for one in given:
        if isinstance(one, Masked):
            for kind, count in one.counts.items():
                counts[kind] = counts.get(kind, 0) + count
    return b"".join(one.data for one in given if isinstance(one, ToPerson)), counts
