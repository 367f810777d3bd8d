"""The first packet of a client: what it may ask for, and what goes on to the target.

Nothing is passed on as it came.  A startup packet can set any setting of the session, in two ways
(parameters, and ``options`` with a small command line in it), so it is read into names and values,
each held against a list, and a new packet is written from what is left (``target_login``).

Order of the file: reading, settings that may be set, ``options``, what goes on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from hoopcore.protocols.postgres import wire
from hoopcore.stream import LoginRefused

# NAMEDATALEN - 1: PostgreSQL cuts application_name here.
LONGEST_NAME = 63


@dataclass(frozen=True, slots=True)
class Startup:
    """A startup packet that may go on.  ``settings`` holds allowed names as PostgreSQL spells them.

    ``minor`` is the protocol version the client asked for; from 2 on it takes a long cancel key.
    ``extensions`` are the ``_pq_.`` options it asked for: none is granted.
    """

    minor: int
    user: str
    database: str
    application: str
    settings: tuple[tuple[str, str], ...]
    extensions: tuple[str, ...] = ()


def read_startup(code: int, body: bytes) -> Startup:
    """The packet behind its length and protocol version (``code``).

    ProtocolError where it is not one; LoginRefused where it asks for what nobody gets.
    """
    if code >> 16 != 3:
        raise LoginRefused(
            "0A000", f"protocol {code >> 16}.{code & 0xFFFF} is not supported, only 3.0 and 3.2"
        )
    given = {
        name.decode("utf-8", "replace"): value.decode("utf-8", "replace")
        for name, value in wire.startup_parameters(body).items()
    }
    if given.pop("replication", "off").lower() not in ("off", "false", "no", "0"):
        raise LoginRefused("42501", "replication is not available through this gateway")
    user = given.pop("user", "")
    if not user:
        raise LoginRefused("28000", "no user name was given in the startup packet")
    database = given.pop("database", "")
    extensions = tuple(name for name in given if name.startswith("_pq_."))
    settings = dict(_read_options(given.pop("options", "")))
    for name, value in given.items():
        if not name.startswith("_pq_."):
            allowed = _allowed(name, value)
            settings[allowed] = value
    return Startup(
        minor=code & 0xFFFF,
        user=user,
        # libpq names the user where nobody has named a database.
        database="" if database == user else database,
        application=settings.pop("application_name", ""),
        settings=tuple(settings.items()),
        extensions=extensions,
    )


# --- settings that may be set -------------------------------------------------------------------

# What drivers and people really set and what changes no meaning of a text.  Not here, and refused:
# role, session_authorization, standard_conforming_strings=off, backslash_quote, row_security …
_SETTINGS = {
    name.lower(): name
    for name in (
        "application_name",
        "bytea_output",
        "client_encoding",
        "client_min_messages",
        "DateStyle",
        "default_transaction_deferrable",
        "default_transaction_isolation",
        "default_transaction_read_only",
        "extra_float_digits",
        "geqo",  # psqlODBC
        "idle_in_transaction_session_timeout",
        "idle_session_timeout",
        "IntervalStyle",
        "jit",
        "lc_monetary",
        "lc_numeric",
        "lc_time",
        "lock_timeout",
        "plan_cache_mode",
        "search_path",
        "standard_conforming_strings",
        "statement_timeout",
        "tcp_keepalives_count",
        "tcp_keepalives_idle",
        "tcp_keepalives_interval",
        "tcp_user_timeout",
        "TimeZone",
        "transaction_timeout",
        "xmloption",
    )
}

_PRINTABLE = re.compile(r"[\x20-\x7e]{0,1000}")

_SCHEMA = r"(?:[A-Za-z_][A-Za-z0-9_$]{0,62}|\"[A-Za-z0-9_$ -]{1,63}\")"
_SEARCH_PATH = re.compile(rf" *{_SCHEMA} *(?:, *{_SCHEMA} *)*")


def _allowed(name: str, value: str) -> str:
    """The setting's name as PostgreSQL spells it, or LoginRefused."""
    spelled = _SETTINGS.get(name.lower())
    if spelled is None:
        raise LoginRefused(
            "42501",
            f'the startup option "{in_ascii(name)[:LONGEST_NAME]}" is not allowed here',
            f"Allowed are: {', '.join(sorted(_SETTINGS.values(), key=str.lower))}.",
        )
    if spelled == "application_name":
        return spelled
    if not _PRINTABLE.fullmatch(value) or not _keeps_meaning(spelled, value):
        raise LoginRefused("42501", f'this value of the startup option "{spelled}" is not allowed')
    return spelled


def _keeps_meaning(name: str, value: str) -> bool:
    """Whether texts mean the same under this value as we read them."""
    if name == "standard_conforming_strings":
        return value.strip().lower() in ("on", "true", "yes", "1")
    if name == "search_path":
        # PostgreSQL looks into pg_catalog first, as long as nobody names it; where it is named
        # later, a function or relation of another schema takes the place of a built-in one.
        names = {part.strip().strip('"').lower() for part in value.split(",")}
        plain = not value or _SEARCH_PATH.fullmatch(value) is not None
        return plain and not names & {"pg_catalog", "pg_temp"}
    return True


def in_ascii(text: str) -> str:
    """The text with ``?`` for all that is not printable ASCII, as PostgreSQL cleans names."""
    return "".join(c if " " <= c <= "~" else "?" for c in text)


# --- options ------------------------------------------------------------------------------------


def _read_options(text: str) -> list[tuple[str, str]]:
    """``-c name=value``, ``-cname=value`` and ``--name=value``, as PostgreSQL splits them."""
    found: list[tuple[str, str]] = []
    words = iter(_split_options(text))
    for word in words:
        if word == "-c":
            setting = next(words, "")
        elif word.startswith("-c") or (word.startswith("--") and len(word) > 2):
            setting = word[2:]
        else:
            raise LoginRefused(
                "42501",
                "a startup option is not allowed here",
                "In options, only -c name=value and --name=value are taken.",
            )
        name, equals, value = setting.partition("=")
        if not equals:
            raise LoginRefused("42601", "a setting in the startup options has no value")
        found.append((_allowed(name.replace("-", "_"), value), value))
    return found


def _split_options(text: str) -> list[str]:
    """Words parted by white space; a backslash keeps the next character (pg_split_opts)."""
    words: list[str] = []
    word: str | None = None
    escaped = False
    for character in text:
        if not escaped and character in " \t\n\v\f\r":
            if word is not None:
                words.append(word)
            word = None
            continue
        word = word or ""
        if not escaped and character == "\\":
            escaped = True
        else:
            word += character
            escaped = False
    if word is not None:
        words.append(word)
    return words


# --- what goes on -------------------------------------------------------------------------------


# What pgbouncer keeps for each client, and gives to the server connection that serves it next.
_KEPT_BY_POOLER = frozenset(
    {"client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"}
)
# Drivers send it unasked, and it only makes floats longer; poolers are told to overlook it.
_NOT_FOR_POOLER = "extra_float_digits"


def behind_pooler(wish: Startup, target: str) -> Startup:
    """The same, as far as a pooler keeps it for this client alone, or LoginRefused."""
    kept = tuple((name, value) for name, value in wish.settings if name != _NOT_FOR_POOLER)
    for name, _ in kept:
        if name not in _KEPT_BY_POOLER:
            raise LoginRefused(
                "42501",
                f'the startup option "{name}" cannot be kept by the pooler of target "{target}"',
                f"Use SET LOCAL {name} = … within a transaction.",
            )
    return replace(wish, settings=kept)


def application_name(label: str, client: str) -> str:
    """Our label, then the client's own name: ASCII, as long as PostgreSQL keeps it."""
    return in_ascii(label + client)[:LONGEST_NAME]
