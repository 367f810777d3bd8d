"""How well the detectors find: precision and recall on a labelled corpus, and beside presidio.

    python -m tests.conformance.detection             the table of docs/reference/detectors.md
    … --presidio PYTHON   beside presidio-analyzer, which that interpreter can import
    … --missed            what was missed, and what was found for nothing

The corpus is made from a seed: values as people of several countries write them, in sentences, log
lines, JSON and CSV; and near misses, which look like such values and are none.  It is made by
nothing that the detectors use, but for ``phonenumbers``, which knows which numbers there are.

Order of the file: values, near misses, texts around them, the count, presidio, the table.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import ipaddress
import json
import random
import string
import subprocess
import sys
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import phonenumbers

from hoopcore.detectors import KINDS, Sweep

SEED, SIZE = 20261123, 12_000


class Text(NamedTuple):
    """A text, and where sensitive values stand in it (characters; it is ASCII)."""

    text: str
    labels: tuple[tuple[int, int, str], ...]


class Value(NamedTuple):
    kind: str  # empty: a near miss
    text: str


Dice = random.Random

# --- values ---------------------------------------------------------------------------------------


def _digits(dice: Dice, count: int) -> str:
    return "".join(dice.choices(string.digits, k=count))


def _luhn_ended(head: str) -> str:
    doubled = [int(d) * (2 if place % 2 == 0 else 1) for place, d in enumerate(reversed(head))]
    total = sum(n - 9 if n > 9 else n for n in doubled)
    return head + str(-total % 10)


_CARDS = [
    *(("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15), ("6011", 16)),
    *(("36", 14), ("3528", 16), ("62", 16), ("6759", 16), ("5018", 16), ("4", 13)),
]


def card(dice: Dice) -> str:
    prefix, size = dice.choice(_CARDS)
    number = _luhn_ended(prefix + _digits(dice, size - len(prefix) - 1))
    gap = dice.choice(["", "", " ", "-"])
    if size == 13:
        return number
    if size == 15:
        return gap.join((number[:4], number[4:10], number[10:]))
    return gap.join(number[place : place + 4] for place in range(0, size, 4))


def ssn(dice: Dice) -> str:
    area = dice.choice([n for n in range(1, 900) if n != 666])
    gap = dice.choice(["-", "-", "-", " "])
    return f"{area:03}{gap}{dice.randint(1, 99):02}{gap}{dice.randint(1, 9999):04}"


_NAMES = (
    "ada",
    "bo",
    "chen",
    "dimitri",
    "elif",
    "fatima",
    "giulia",
    "hans",
    "ines",
    "jan",
    "maria",
)
_HOSTS = (
    *("example.com", "mail.example.co.uk", "beispiel.de", "exemple.fr", "my-company.io"),
    *("uni.edu.pl", "x.dev"),
)


def email(dice: Dice) -> str:
    first, last = dice.choice(_NAMES), dice.choice(_NAMES)
    forms = [
        f"{first}.{last}",
        f"{first[0]}{last}",
        f"{first}+{last}",
        f"{first}_{_digits(dice, 2)}",
    ]
    return f"{dice.choice([*forms, first.upper()])}@{dice.choice(_HOSTS)}"


# Country, then what stands behind the check digits: n digits, a capitals, c either.
_IBANS = {
    "DE": "n" * 18, "GB": "a" * 4 + "n" * 14, "FR": "n" * 10 + "c" * 11 + "nn",
    "NL": "aaaa" + "n" * 10, "ES": "n" * 20, "IT": "a" + "n" * 10 + "c" * 12, "PL": "n" * 24,
    "CH": "n" * 5 + "c" * 12, "SE": "n" * 20, "NO": "n" * 11, "BE": "n" * 12, "AT": "n" * 16,
    "MT": "aaaa" + "n" * 5 + "c" * 18, "SA": "nn" + "c" * 18,
}  # fmt: skip
_FROM = {
    "n": string.digits,
    "a": string.ascii_uppercase,
    "c": string.digits + string.ascii_uppercase,
}


def iban(dice: Dice) -> str:
    country, shape = dice.choice(list(_IBANS.items()))
    body = "".join(dice.choice(_FROM[one]) for one in shape)
    number = int("".join(str(int(one, 36)) for one in body + country + "00"))
    whole = f"{country}{98 - number % 97:02}{body}"
    if dice.random() < 0.5:
        return whole
    return " ".join(whole[place : place + 4] for place in range(0, len(whole), 4))


_AT_HOME = ("US", "GB", "DE", "FR")
_ABROAD = ("ES", "IT", "PL", "NL", "SE", "IN", "JP", "BR", "AU", "CA", "CH", *_AT_HOME)
_SIZES = {
    "US": (10, 10),
    "CA": (10, 10),
    "GB": (10, 10),
    "DE": (10, 11),
    "FR": (9, 9),
    "IT": (9, 10),
}


def _number(dice: Dice, region: str) -> phonenumbers.PhoneNumber:
    """Any number of that region that there can be, most of them mobile."""
    kind = dice.choice(
        [phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE]
    )
    example = phonenumbers.example_number_for_type(region, kind)
    assert example is not None
    digits = str(example.national_number)
    while True:
        keep = dice.randint(2, 4)
        made = phonenumbers.PhoneNumber(
            country_code=example.country_code,
            national_number=int(digits[:keep] + _digits(dice, len(digits) - keep)),
            italian_leading_zero=example.italian_leading_zero,
        )
        if phonenumbers.is_valid_number(made):
            return made


def phone(dice: Dice) -> str:
    form = phonenumbers.PhoneNumberFormat
    if dice.random() < 0.45:
        number = _number(dice, dice.choice(_ABROAD))
        text = phonenumbers.format_number(number, dice.choice([form.E164, form.INTERNATIONAL]))
        return text.replace("-", dice.choice(["-", " ", "."]))
    text = phonenumbers.format_number(_number(dice, dice.choice(_AT_HOME)), form.NATIONAL)
    return dice.choice([text, text, text.replace(" ", "-"), text.replace(") ", ")")])


def ip(dice: Dice) -> str:
    if dice.random() < 0.7:
        first = dice.choice([10, 127, 172, 192, *range(11, 224)])
        rest = [dice.randint(0, 255) for _ in range(3)]
        return ".".join(map(str, [first, *rest])) + dice.choice(["", "", "", ":8080", "/24"])
    groups = [dice.randint(0, 65535) for _ in range(8)]
    if dice.random() < 0.6:
        place = dice.randint(2, 5)
        groups[place : place + 3] = [0, 0, 0]
    address = ipaddress.IPv6Address(b"".join(g.to_bytes(2, "big") for g in groups))
    return str(address) if dice.random() < 0.7 else address.exploded


def _bare(address: str) -> str:
    """The address without a port or the length of a network."""
    if address.count(":") == 1:
        return address.partition(":")[0]
    return address.partition("/")[0]


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def jwt(dice: Dice) -> str:
    head = {"alg": dice.choice(["HS256", "RS256", "none"]), "typ": "JWT"}
    claims = {"sub": _digits(dice, 8), "iat": dice.randint(1, 2**31)}
    parts = [_base64(json.dumps(one).encode()) for one in (head, claims)]
    return ".".join([*parts, "" if head["alg"] == "none" else _base64(dice.randbytes(32))])


_LETTERS = string.ascii_letters + string.digits


def _letters(dice: Dice, count: int, of: str = _LETTERS) -> str:
    return "".join(dice.choices(of, k=count))


def aws_key(dice: Dice) -> str:
    return dice.choice(["AKIA", "ASIA"]) + _letters(dice, 16, string.ascii_uppercase + "234567")


def gcp_key(dice: Dice) -> str:
    return "AIza" + _letters(dice, 35, _LETTERS + "-_")


def github_key(dice: Dice) -> str:
    if dice.random() < 0.3:
        return f"github_pat_{_letters(dice, 22)}_{_letters(dice, 59)}"
    body = _letters(dice, 30)
    rest, sum_ = zlib.crc32(body.encode()), ""
    while rest:
        rest, digit = divmod(rest, 62)
        sum_ = (string.digits + string.ascii_uppercase + string.ascii_lowercase)[digit] + sum_
    return f"gh{dice.choice('pousr')}_{body}{sum_.rjust(6, '0')}"


def slack_key(dice: Dice) -> str:
    if dice.random() < 0.3:
        tail = f"T{_letters(dice, 8).upper()}/B{_letters(dice, 8).upper()}/{_letters(dice, 24)}"
        return f"hooks.slack.com/services/{tail}"
    return f"xox{dice.choice('abpr')}-{_digits(dice, 12)}-{_digits(dice, 12)}-{_letters(dice, 24)}"


def private_key(dice: Dice) -> str:
    name = dice.choice(["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"])
    body = base64.b64encode(dice.randbytes(dice.randint(120, 1200))).decode()
    end = dice.choice(["\n", "\\n"])
    lines = [body[place : place + 64] for place in range(0, len(body), 64)]
    return end.join([f"-----BEGIN {name}-----", *lines, f"-----END {name}-----"])


MAKERS: dict[str, Callable[[Dice], str]] = {
    "card": card, "ssn": ssn, "email": email, "iban": iban, "ip": ip, "jwt": jwt,
    "aws-key": aws_key, "gcp-key": gcp_key, "github-key": github_key, "slack-key": slack_key,
    "private-key": private_key, "phone": phone,
}  # fmt: skip
assert set(MAKERS) == set(KINDS)

# --- near misses ----------------------------------------------------------------------------------


def _wrong_card(dice: Dice) -> str:
    number = card(dice)
    return number[:-1] + str((int(number[-1]) + dice.randint(1, 9)) % 10)


def _wrong_iban(dice: Dice) -> str:
    number = iban(dice)
    return number[:3] + str((int(number[3]) + 1) % 10) + number[4:]


def _isbn13(dice: Dice) -> str:
    return f"978-{dice.randint(0, 9)}-{_digits(dice, 2)}-{_digits(dice, 6)}-{_digits(dice, 1)}"


def _moment(dice: Dice) -> str:
    day = f"20{dice.randint(10, 26)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
    hour = f"{dice.randint(0, 23):02}:{dice.randint(0, 59):02}:{dice.randint(0, 59):02}"
    return dice.choice(
        [day, f"{day} {hour}", f"{day}T{hour}Z", f"{day} {hour}.{_digits(dice, 6)}+02"]
    )


def _version(dice: Dice) -> str:
    parts = [str(dice.randint(0, 40)) for _ in range(4)]
    forms = ["v" + ".".join(parts), "version " + ".".join(parts), ".".join(parts[:3])]
    return dice.choice(
        [*forms, f"Chrome/{'.'.join(parts)}", f"lib-{'.'.join(parts)}", ".".join(parts)]
    )


def _point(dice: Dice) -> str:
    return f"{dice.uniform(-90, 90):.6f}, {dice.uniform(-180, 180):.6f}"


def _hash(dice: Dice) -> str:
    data = dice.randbytes(8)
    return dice.choice([hashlib.md5, hashlib.sha1, hashlib.sha256])(data).hexdigest()


def _mac(dice: Dice) -> str:
    return ":".join(f"{byte:02x}" for byte in dice.randbytes(dice.choice([6, 6, 8])))


def _vat(dice: Dice) -> str:
    return dice.choice(["DE", "FR", "PL", "ATU"]) + _digits(dice, dice.choice([9, 10, 11]))


MISSES: tuple[Callable[[Dice], str], ...] = (
    _wrong_card, _wrong_iban, _isbn13, _moment, _version, _point, _hash, _mac, _vat,
    lambda dice: str(uuid.UUID(bytes=dice.randbytes(16))),
    lambda dice: f"ORD-{_digits(dice, dice.randint(6, 12))}",
    lambda dice: f"{dice.randint(10, 99)}-{_digits(dice, 5)}-{_digits(dice, 5)}",
    lambda dice: _digits(dice, dice.randint(5, 11)),
    lambda dice: str(dice.randint(1_600_000_000_000, 1_900_000_000_000)),
    lambda dice: f"1Z{_letters(dice, 16, string.digits + string.ascii_uppercase)}",
    lambda dice: f"35{_digits(dice, 13)}",  # an IMEI, or nearly
    lambda dice: f"{dice.randint(1, 9_999_999):,}.{_digits(dice, 2)} EUR",
    lambda dice: f"000-{_digits(dice, 2)}-{_digits(dice, 4)}",
    lambda dice: f"9{_digits(dice, 2)}-{_digits(dice, 2)}-{_digits(dice, 4)}",
    lambda dice: f"{_digits(dice, 4)}-{_digits(dice, 2)}-{_digits(dice, 4)}",
    lambda dice: f"@{dice.choice(_NAMES)}",
    lambda dice: f"{dice.choice(_NAMES)}@localhost",
    lambda dice: f"std::{dice.choice(_NAMES)}::{dice.choice(_NAMES)}",
    lambda dice: f"{dice.randint(1, 400)}.{dice.randint(256, 999)}.{dice.randint(0, 9)}.1",
    lambda dice: base64.b64encode(dice.randbytes(dice.randint(12, 90))).decode(),
    lambda dice: f"ghp_{_letters(dice, 36)}",
    lambda dice: f"eyJ{_letters(dice, 20)}",
    lambda dice: f"{dice.randint(1, 31)}/{dice.randint(1, 12)}/{dice.randint(1950, 2026)}",
    lambda dice: f"room {_digits(dice, 3)}-{_digits(dice, 3)}",
    lambda dice: f"{_digits(dice, 3)}.{_digits(dice, 3)}.{_digits(dice, 3)}-{_digits(dice, 2)}",
)  # fmt: skip

# --- texts around them ----------------------------------------------------------------------------

_AROUND = (
    "{}", "{}", "{}", "see {} please", "customer wrote: {}.", "({})", "id={};state=ok",
    '{{"value": "{}", "n": 1}}', "a,{},b", "INFO [main] got {} in 12 ms", "<td>{}</td>", "* {}\n",
    "call or write {} today", "no. {}, page 4", "'{}'",
)  # fmt: skip


def _placed(dice: Dice, values: Sequence[Value]) -> Text:
    parts, labels, at = [], [], 0
    for value in values:
        before, after = dice.choice(_AROUND).format("\0").split("\0")
        start = at + len(before)
        parts.append(before + value.text + after + " ")
        if value.kind:
            shown = _bare(value.text) if value.kind == "ip" else value.text
            labels.append((start, start + len(shown), value.kind))
        at += len(parts[-1])
    return Text("".join(parts), tuple(labels))


def corpus(size: int = SIZE, seed: int = SEED) -> list[Text]:
    """So many texts, a third of them with near misses only."""
    dice = random.Random(seed)
    kinds = list(MAKERS)
    texts = []
    for number in range(size):
        values = [Value("", dice.choice(MISSES)(dice)) for _ in range(dice.randint(0, 2))]
        if number % 3 or not values:
            kind = dice.choice(kinds)
            values.append(Value(kind, MAKERS[kind](dice)))
        dice.shuffle(values)
        texts.append(_placed(dice, values))
    return texts


# --- the count ------------------------------------------------------------------------------------

Found = Iterable[tuple[int, int, str]]


class Count:
    """Of one kind: found, missed, and found for nothing."""

    def __init__(self) -> None:
        self.found = self.missed = self.wrong = 0
        self.examples: list[str] = []

    @property
    def precision(self) -> float:
        return self.found / (self.found + self.wrong) if self.found + self.wrong else 1.0

    @property
    def recall(self) -> float:
        return self.found / (self.found + self.missed) if self.found + self.missed else 1.0


def counted(texts: Sequence[Text], found: Sequence[Found]) -> dict[str, Count]:
    """A value counts as found where four fifths of it are in hits of its kind.

    A hit that shares no character with a value of its kind was found for nothing.
    """
    counts: dict[str, Count] = defaultdict(Count)
    for text, hits in zip(texts, found, strict=True):
        by_kind: dict[str, list[tuple[int, int]]] = defaultdict(list)
        for start, stop, kind in hits:
            by_kind[kind].append((start, stop))
        for start, stop, kind in text.labels:
            covered = sum(
                max(0, min(stop, high) - max(start, low)) for low, high in by_kind.get(kind, ())
            )
            good = covered >= 0.8 * (stop - start)
            counts[kind].found += good
            counts[kind].missed += not good
            if not good:
                counts[kind].examples.append(f"missed {text.text[start:stop][:60]!r}")
        for kind, spans in by_kind.items():
            for low, high in spans:
                if not any(k == kind and low < b and a < high for a, b, k in text.labels):
                    counts[kind].wrong += 1
                    counts[kind].examples.append(f"wrong  {text.text[low:high][:60]!r}")
    return counts


def ours(texts: Sequence[Text]) -> tuple[dict[str, Count], float]:
    """What the detectors find, all switched on; and megabytes a second, one text at a time."""
    sweep = Sweep(KINDS)
    data = [text.text.encode() for text in texts]
    sweep.find(data[0])
    began = time.process_time()
    spans = [sweep.find(one) for one in data]
    took = time.process_time() - began
    found = [[(span.start, span.stop, span.kind) for span in hits] for hits in spans]
    return counted(texts, found), sum(map(len, data)) / took / 1e6


# --- presidio -------------------------------------------------------------------------------------

THEIRS = frozenset({"card", "email", "iban", "ip", "phone", "ssn"})
_PRESIDIO = """
import json, sys, time
from presidio_analyzer.predefined_recognizers import (CreditCardRecognizer, EmailRecognizer,
    IbanRecognizer, IpRecognizer, PhoneRecognizer, UsSsnRecognizer)
names = {"CREDIT_CARD": "card", "EMAIL_ADDRESS": "email", "IBAN_CODE": "iban",
    "IP_ADDRESS": "ip", "PHONE_NUMBER": "phone", "US_SSN": "ssn"}
all_ = [one() for one in (CreditCardRecognizer, EmailRecognizer, IbanRecognizer, IpRecognizer,
    PhoneRecognizer, UsSsnRecognizer)]
texts = [json.loads(line) for line in sys.stdin]
began = time.process_time()
found = []
for text in texts:
    hits = []
    for one in all_:
        hits += one.analyze(text, one.supported_entities, None) or []
    found.append([(h.start, h.end, names[h.entity_type]) for h in hits
        if h.score >= 0.4 and h.entity_type in names])
took = time.process_time() - began
print(json.dumps({"found": found, "took": took}))
"""


def presidio(texts: Sequence[Text], python: str) -> tuple[dict[str, Count], float]:
    """The same of presidio-analyzer's pattern recognisers, scores of 0.4 and above."""
    done = subprocess.run(
        [python, "-c", _PRESIDIO],
        input="\n".join(json.dumps(text.text) for text in texts),
        capture_output=True,
        text=True,
        check=True,
        timeout=900,
    )
    told = json.loads(done.stdout.splitlines()[-1])
    size = sum(len(text.text) for text in texts)
    return counted(texts, told["found"]), size / told["took"] / 1e6


# --- the table ------------------------------------------------------------------------------------


def table(mine: dict[str, Count], theirs: dict[str, Count] | None) -> str:
    lines = [
        "| kind | values | precision | recall | presidio: precision | recall |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        one = mine[kind]
        other = (theirs or {}).get(kind) if kind in THEIRS else None
        cells = [
            f"`{kind}`",
            str(one.found + one.missed),
            f"{one.precision:.3f}",
            f"{one.recall:.3f}",
        ]
        cells += [f"{other.precision:.3f}", f"{other.recall:.3f}"] if other else ["", ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conformance.detection")
    parser.add_argument("--presidio", metavar="PYTHON", default="")
    parser.add_argument("--missed", action="store_true")
    parser.add_argument("--size", type=int, default=SIZE)
    chosen = parser.parse_args()
    texts = corpus(chosen.size)
    mine, speed = ours(texts)
    theirs, slower = presidio(texts, chosen.presidio) if chosen.presidio else (None, 0.0)
    say = sys.stdout.write
    say(f"{table(mine, theirs)}\n\n{len(texts)} texts, seed {SEED}; ")
    say(f"hoop {speed:.1f} MB/s with {len(KINDS)} kinds")
    say(f", presidio {slower:.2f} MB/s with 6\n" if theirs else "\n")
    if chosen.missed:
        for kind in KINDS:
            for example in mine[kind].examples[:12]:
                say(f"{kind:12} {example}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
