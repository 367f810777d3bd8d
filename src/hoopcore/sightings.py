"""What sampled values of a column look like, and which mask that asks for.

Two kinds of evidence: values that a detector takes for something as a whole, and the column's own
name.  A name alone is a weak reason where a detector would have seen the values, and the only one
there can be where none would: nobody tells a password by its look.

No value leaves this module: what comes out are counts, kinds and names.

Order of the file: hints of names, types, looking at values, the proposal.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hoopcore.detectors import Sweep
from hoopcore.styles import Style

# --- names ----------------------------------------------------------------------------------------


class Hint(NamedTuple):
    """What a name says its column holds.  ``seen``: a detector would know such values."""

    kind: str
    names: str
    style: str
    seen: bool
    types: frozenset[str] = frozenset({"text"})


_NUMBERS = frozenset({"text", "number"})
_HINTS = (
    Hint("password", r"pass(?:word|wd|phrase)(?:_?(?:hash|digest|salt))?|pwd", "null", False,
         frozenset({"text", "bytes"})),
    Hint("secret", r"secret|(?:api|private|access|encryption|signing)_?key|token|credentials?|otp",
         "null", False, frozenset({"text", "bytes", "uuid", "json"})),
    Hint("cvv", r"cvv2?|cvc2?|card_code", "null", False, _NUMBERS),
    Hint("email", r"e_?mail(?:_?addr(?:ess)?)?", "keep-domain", True),
    Hint("ssn", r"ssn|social_security(?:_n(?:o|umber))?|national_id(?:entity)?|tax_id|passport"
         r"(?:_n(?:o|umber))?", "keep-last-4", False, _NUMBERS),
    Hint("card", r"(?:credit|debit)_?card|card_?n(?:o|um|umber)|cc_?n(?:o|um|umber)|pan",
         "keep-last-4", True, _NUMBERS),
    Hint("iban", r"iban|bank_account(?:_n(?:o|umber))?|account_n(?:o|umber)", "keep-last-4", False,
         _NUMBERS),
    Hint("phone", r"(?:tele)?phone(?:_n(?:o|umber))?|mobile(?:_n(?:o|umber))?|msisdn|fax",
         "keep-last-4", True, _NUMBERS),
    Hint("birth", r"birth_?(?:day|date)|date_of_birth|dob|born(?:_on)?", "year-only", False,
         frozenset({"text", "date"})),
    Hint("ip", r"ip|ip_?addr(?:ess)?|remote_addr|client_ip", "full", True,
         frozenset({"text", "address"})),
)  # fmt: skip
_NAMED = [(hint, re.compile(rf"(?:^|_)(?:{hint.names})(?:$|_)")) for hint in _HINTS]

# What is said of the thing, not the thing: token_count, email_verified_at, phone_type_id.
_ABOUT = re.compile(
    r"_(?:id|ids|count|type|kind|status|state|at|on|by|verified|confirmed|enabled|valid|sent|length"
    r"|brand|expires|expiry|version|label|prefix|scheme)$"
)
_OTHER = re.compile(r"[^a-z0-9]+")
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def hint_of(name: str, form: str) -> Hint | None:
    """What the name says, where a column of this form could hold it."""
    plain = _OTHER.sub("_", _HUMP.sub("_", name).lower())
    if _ABOUT.search(plain) and not re.search(r"(?:national|tax)_id$|born_on$", plain):
        return None
    for hint, pattern in _NAMED:
        if form in hint.types and pattern.search(plain):
            return hint
    return None


# --- types ----------------------------------------------------------------------------------------

# oid → how it is called, and of which form it is.  Other types are not looked into.
_TYPES: dict[int, tuple[str, str]] = {
    17: ("bytea", "bytes"),
    18: ("char", "text"),
    19: ("name", "text"),
    20: ("bigint", "number"),
    23: ("integer", "number"),
    25: ("text", "text"),
    114: ("json", "json"),
    142: ("xml", "json"),
    199: ("json[]", "list"),
    650: ("cidr", "address"),
    869: ("inet", "address"),
    1002: ("char[]", "list"),
    1009: ("text[]", "list"),
    1014: ("char[]", "list"),
    1015: ("varchar[]", "list"),
    1016: ("bigint[]", "list"),
    1042: ("char", "text"),
    1043: ("varchar", "text"),
    1082: ("date", "date"),
    1114: ("timestamp", "date"),
    1184: ("timestamptz", "date"),
    1231: ("numeric[]", "list"),
    1700: ("numeric", "number"),
    2950: ("uuid", "uuid"),
    3802: ("jsonb", "json"),
    3807: ("jsonb[]", "list"),
}
# Forms whose values are worth reading: what a detector finds in others is an accident.
_READ = frozenset({"text", "number", "json", "list", "address"})


def type_of(oid: int, texts: frozenset[int]) -> tuple[str, str] | None:
    """The type's name and form; None for one that is not looked into.

    ``texts`` are the catalog's: types of their own whose values are plain text (citext, domains).
    """
    return ("text", "text") if oid in texts else _TYPES.get(oid)


def is_read(form: str) -> bool:
    """Whether values of this form are sampled; others have only their name."""
    return form in _READ


# --- values ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class Looks:
    """What was counted in the values of one column."""

    values: int = 0  # that are not NULL
    whole: Counter[str] = field(default_factory=Counter)  # kind → values that are nothing else
    inside: Counter[str] = field(default_factory=Counter)  # kind → longer texts that hold it


def look(values: Iterable[bytes | None], sweep: Sweep) -> Looks:
    """Counts values that are something as a whole, and those that hold it in a longer text."""
    found = Looks()
    for value in values:
        if value is None:
            continue
        found.values += 1
        text = value.strip()
        lengths: dict[str, int] = {}
        for span in sweep.find(text):
            lengths[span.kind] = lengths.get(span.kind, 0) + span.stop - span.start
        for kind, length in lengths.items():
            # Four fifths, since "tel. " and the like may stand before it.
            (found.whole if 5 * length >= 4 * len(text) else found.inside)[kind] += 1
    return found


# --- the proposal ---------------------------------------------------------------------------------

# Of so many values one must be something as a whole.  Digits that are a telephone's or an
# address's by accident are frequent, so of these it must be every other one.
_ONE_IN = {"phone": 2, "ip": 2}
_USUALLY = 5

_STYLES = {
    "card": "keep-last-4",
    "ssn": "keep-last-4",
    "email": "keep-domain",
    "iban": "keep-last-4",
    "phone": "keep-last-4",
}


@dataclass(frozen=True, slots=True)
class Sighting:
    """A column that looks sensitive, and why."""

    schema: str
    table: str
    column: str
    type: str
    style: str
    kind: str  # what it seems to hold
    values: int  # sampled, not NULL
    whole: int  # … of them are of that kind
    named: bool  # its name says so too, or alone
    sure: bool  # False: by its name alone, where a detector would have seen the values


def sighting(place: Sequence[str], name: str, form: str, looks: Looks) -> Sighting | None:
    """What this column seems to hold; None for nothing.

    ``place`` is schema, table and column; ``name`` and ``form`` are those of its type.
    """
    schema, table, column = place
    hint = hint_of(column, form)
    likely = [
        (count, kind)
        for kind, count in looks.whole.items()
        if count * _ONE_IN.get(kind, _USUALLY) >= looks.values
    ]
    if likely and form not in ("json", "list"):  # there a mask would hide all, a detector does not
        count, kind = max(likely)
        named = hint is not None and hint.kind == kind
        style = _fitting(_STYLES.get(kind, "full"), form)
        return Sighting(schema, table, column, name, style, kind, looks.values, count, named, True)
    if hint is None:
        return None
    style = _fitting(hint.style, form)
    sure = not (hint.seen and looks.values)
    return Sighting(schema, table, column, name, style, hint.kind, looks.values, 0, True, sure)


_KNOWN = frozenset(map(str, Style))


def _fitting(style: str, form: str) -> str:
    """The style, or the nearest one under which a column of this form is still a value."""
    if form == "date":
        return style if style in _KNOWN else str(Style.NULL)
    if form != "text":
        return str(Style.NULL)
    return str(Style.FULL) if style == "year-only" else style
