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


if __name__ == "__main__":
    signin = types.ModuleType("hoopcli.signin")
    signin.session = _session  # type: ignore[attr-defined]  # a module of this test's making
    sys.modules["hoopcli.signin"] = signin
    sys.argv[0] = "hoop"
    main()
