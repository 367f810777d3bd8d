"""What is wrong with ``[agent.archive]`` and with how long recordings are kept.

The names of ``options`` and ``secrets`` are those of the library that speaks to the archive, which
is asked here without anything being sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from hoopagent.config import ArchiveSection, Config, seconds
from hoopagent.secrets import SecretUnread, read_secret
from hoopcore.places import ConfigError, line_of, lines_of

FILE = "agent.toml"
_SCHEMES = ("s3", "gs", "az", "abfs", "abfss", "file")
_SECRET = re.compile(r"secret|password|token|signature|account_key|access_key$|sas|private")
_LOOPBACK = re.compile(r"http://(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?(/.*)?")

Problem: TypeAlias = tuple[str, str]
"""What is wrong, and under which key."""


def problems(text: str, config: Config) -> list[ConfigError]:
    """What is wrong with the archive of agent.toml; no secret is in it."""
    section = config.agent.archive
    if section is None:
        return []
    found = list(_of_url(section.url)) + list(_of_secrets(section, config.folder))
    if not found:
        found += _of_library(section, config.folder)
    places = lines_of(text)
    return [
        ConfigError(said, file=FILE, line=line_of(places, ("agent", "archive", key)), key=key)
        for said, key in found
    ]


def _of_url(url: str) -> Iterator[Problem]:
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        yield f'"url" begins with one of {", ".join(one + "://" for one in _SCHEMES)}', "url"
    elif parts.scheme == "file" and (parts.netloc or not parts.path.startswith("/")):
        yield '"url" of a folder is file:///WHOLE/PATH', "url"
    elif parts.scheme != "file" and not parts.netloc:
        yield '"url" names no bucket', "url"
    elif (parts.password is not None) or parts.query:
        yield '"url" holds a secret; put it under secrets, as a reference', "url"


def _of_secrets(section: ArchiveSection, folder: Path) -> Iterator[Problem]:
    for key, value in section.options.items():
        if _SECRET.search(key.lower()):
            yield f'"{key}" is a secret: put it under secrets, as a reference', "options"
        if value.startswith("http://") and not _LOOPBACK.fullmatch(value):
            yield f'"{key}" has no TLS; https:// is wanted', "options"
        if key.lower().endswith("conditional_put"):
            yield f'"{key}" is not for changing: nothing is ever written over', "options"
        if key in section.secrets:
            yield f'"{key}" is under options and under secrets', "secrets"
    for key, reference in section.secrets.items():
        try:
            if not reference.startswith("keyring:"):
                read_secret(reference, folder)
        except SecretUnread:
            yield f'"{key}": nothing is found at {reference}', "secrets"
    if section.ca_file is not None and not (folder / section.ca_file).is_file():
        yield f"ca_file {section.ca_file}: no such file", "ca_file"


def _of_library(section: ArchiveSection, folder: Path) -> Iterator[Problem]:
    """What the library does not understand."""
    if section.url.startswith("file:"):
        return  # whether the folder is there now is not for here: it may be mounted later
    if any(one.startswith("keyring:") for one in section.secrets.values()):
        return  # a keyring may ask somebody
    from obstore.exceptions import BaseError, UnknownConfigurationKeyError

    from hoopagent.depot import opened

    try:
        opened(section, folder)
    except UnknownConfigurationKeyError as problem:
        key = re.search(r"key: '([^']{1,60})'", str(problem))
        named = key[1] if key else ""
        where = "secrets" if named in section.secrets else "options"
        yield f'"{named}" is no setting of such an archive', where
    except (BaseError, SecretUnread, OSError, ValueError) as problem:
        yield f"this is no archive: {type(problem).__name__}", "url"


def kept_for(config: Config, target: str) -> int | None:
    """Seconds that a recording of that target is kept; None: for ever."""
    section = config.targets.get(target)
    own = None if section is None else section.keep_recordings
    text = own if own is not None else config.agent.keep_recordings
    return None if text == "for ever" else seconds(text)
