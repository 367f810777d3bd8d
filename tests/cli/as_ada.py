"""``hoop`` with a person signed in: the real program, and a session that comes from two variables.

Run as a program, since what is tested is what a shell sees: codes, streams, signals, terminals.
"""

from __future__ import annotations

import os
import sys
import types
from dataclasses import dataclass
from pathlib import Path

from hoopcli.__main__ import main
from hoopcli.errors import AgentUnreachable, NotSignedIn


@dataclass(frozen=True, slots=True)
class _Session:
    socket: Path

    def token(self) -> str:
        token = os.environ.get("TEST_TOKEN", "")
        if not token:
            raise NotSignedIn
        return token


def _session() -> _Session:
    if "TEST_SOCKET" not in os.environ:
        raise AgentUnreachable("there is no agent.json")
    return _Session(Path(os.environ["TEST_SOCKET"]))


def _without(name: str) -> None:
    """As if that package were not installed."""
    import importlib.util

    find = importlib.util.find_spec

    def found(wanted: str, package: str | None = None) -> object:
        return None if wanted == name else find(wanted, package)

    importlib.util.find_spec = found  # type: ignore[assignment]  # its own signature is wider


if __name__ == "__main__":
    _without(os.environ.get("TEST_WITHOUT", ""))
    signin = types.ModuleType("hoopcli.signin")
    signin.session = _session  # type: ignore[attr-defined]  # a module of this test's making
    sys.modules["hoopcli.signin"] = signin
    sys.argv[0] = "hoop"
    main()
