"""Whether what ``[[agent.notify]]`` refers to is there: addresses, and secrets to sign with.

It stops no agent, since nobody waits for a notification; ``hoop-agent check`` is where one learns
that nobody would be told.
"""

from __future__ import annotations

import re
from pathlib import Path

from hoopagent.config import Notify
from hoopagent.secrets import SecretUnread, read_secret
from hoopcore.places import ConfigError, line_of, lines_of

FILE = "agent.toml"

_REFERENCE = re.compile(r"(env|file):(?!//)")  # a keyring may ask somebody, so it is not tried


def unread(folder: Path, sections: tuple[Notify, ...]) -> list[ConfigError]:
    """References that stand for nothing now, in the order of the file."""
    text = (folder / FILE).read_text(encoding="utf-8")
    places = lines_of(text)
    found = []
    for number, section in enumerate(sections):
        for key, reference in (("url", section.url), ("secret", section.secret or "")):
            if not _REFERENCE.match(reference):
                continue
            try:
                read_secret(reference, folder)
            except SecretUnread:
                said = (
                    f'"{key}" of notify "{section.name}": nothing is found at {reference}, '
                    "so nobody would be told"
                )
                line = line_of(places, ("agent", "notify", number, key))
                found.append(ConfigError(said, file=FILE, line=line, key=key))
    return found
