"""How a name is written so that SQL, masks.toml and a reader all take it for the same name.

Without quotes stands only what folds to itself; whatever else is in double quotes, so that a dot
inside of a name is never taken for one between two.
"""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")


def spelled(*parts: str) -> str:
    """The parts with dots between them: ``public.customers.ssn``, ``public."Order"."a.b"``."""
    return ".".join(map(_quoted, parts))


def _quoted(name: str) -> str:
    if _PLAIN.fullmatch(name):
        return name
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
