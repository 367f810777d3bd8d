"""Where the store is: a URL, or a reference to one, since a URL may hold a password.

A password in agent.toml would be in version control, in every backup of it and on every screen it
is shown on, so one that is written there stops the start.
"""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from hoopagent.secrets import SecretUnread, read_secret
from hoopcore.places import ConfigError, line_of, lines_of

FILE = "agent.toml"

_REFERENCE = re.compile(r"(env|file|keyring):(?!//)")


def store_url(store: str, folder: Path) -> str:
    """The URL that ``[agent] store`` stands for; empty: none.  SecretUnread."""
    return read_secret(store, folder) if _REFERENCE.match(store) else store


def problems(text: str, store: str, folder: Path) -> list[ConfigError]:
    """What is wrong with ``[agent] store``, without ever saying what it holds."""
    said = ""
    if _REFERENCE.match(store):
        try:
            read_secret(store, folder)
        except SecretUnread:
            said = f'"store": nothing is found at {store}'
    elif _has_password(store):
        said = (
            '"store" holds a password; put the URL into a file that only the agent can read: '
            'store = "file:store.url"'
        )
    if not said:
        return []
    line = line_of(lines_of(text), ("agent", "store"))
    return [ConfigError(said, file=FILE, line=line, key="store")]


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.password is not None or "password" in parse_qs(parts.query)
    except ValueError:
        # What cannot be read (a bracket in the wrong place) may hold one all the same.
        return "@" in url
