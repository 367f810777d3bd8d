"""What the agent itself wrote down about a session, for the tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hoopagent.recordings import read
from hoopcore.recording import EndCause
from tests.bypass.raw import Raw
from tests.bypass.world import Vault, eventually


def session_of(raw: Raw) -> str:
    """The id of this connection's session, as the target sees it."""
    found = re.search(r"s-[0-9a-z]{10,}", raw.parameters["application_name"])
    assert found is not None
    return found[0]


def recording_of(vault: Vault, session: str) -> Path:
    """The file."""
    folder = vault.folder / "agent" / "data" / "recordings"
    (found,) = folder.rglob(f"{session}*.zst")
    return found


def recorded(vault: Vault, session: str) -> list[Any]:
    """The events of a session that has ended."""
    path = recording_of(vault, session)
    eventually(lambda: any(type(event).__name__ == "End" for event in read(path)))
    return list(read(path))


def cause_of(events: list[Any]) -> EndCause:
    """Why it ended."""
    (end,) = [event for event in events if type(event).__name__ == "End"]
    return EndCause(end.cause)


def verdicts(events: list[Any]) -> list[tuple[str, str]]:
    """Verdict and rule of each statement."""
    return [(e.verdict, e.rule) for e in events if type(e).__name__ == "Said"]
