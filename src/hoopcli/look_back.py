"""One line when a tunnel of ``hoop connect`` ends: what was used of the grant; how to narrow it.

It is for somebody at a terminal, is said only where less would have served, and is given up where
the agent does not answer at once.  ``HOOP_LOOK_BACK=off`` turns it off.
"""

from __future__ import annotations

import os
import sys
from threading import Thread
from typing import Any

from hoopcli.client import Client, path
from hoopcli.errors import Failure, say
from hoopcli.view import clean

_PATIENCE = 0.5  # seconds; somebody has pressed Ctrl-C and wants to go on


def say_once(client: Client, grant: object) -> None:
    """Never raises for what the agent says, and ends within a moment."""
    if not grant or not _wanted():
        return
    lines: list[str] = []

    def look() -> None:
        try:
            line = of(client.get(path("reviews", "of", str(grant))))
        except (Failure, OSError, KeyError, TypeError):
            return
        if line:
            lines.append(line)

    looking = Thread(target=look, daemon=True)
    looking.start()
    looking.join(_PATIENCE)
    for line in lines[:1]:
        say(line)


def _wanted() -> bool:
    there = sys.stderr is not None and sys.stderr.isatty()
    return there and os.environ.get("HOOP_LOOK_BACK", "") != "off"


def of(card: Any) -> str:
    """The line for a grant's card; empty where nothing narrower would do."""
    less = card.get("narrower")
    if not less:
        return ""
    used, granted = _tables(" ".join(card["used"])), _tables(card["granted"])
    of_them = f"{len(used)} of {len(granted)} tables" if granted else _count(used, card["granted"])
    type_this = f'hoop review mine --narrow {card["grant"]} --scope "{less["scope"]}"'
    return clean(f"You used {of_them}; narrow:  {type_this}")


def _tables(scope: str) -> set[str]:
    """The tables that it names; none where it names all of a schema, which nobody has counted."""
    tables = {atom.rpartition(":")[0] for atom in scope.split()}
    return set() if any("*" in table for table in tables) else tables


def _count(used: set[str], granted: str) -> str:
    return f"{len(used)} {'table' if len(used) == 1 else 'tables'} of {granted}"
