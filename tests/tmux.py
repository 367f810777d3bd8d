"""A terminal that nobody here wrote, driven by keys and read as a person would: tmux.

Each has a server of its own behind a socket in its own folder, so that nobody's is touched.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.servers import missing

_PATIENCE = 30.0
PROMPT = r"(?m)^[#$]$"
"""Of the shell, with nothing behind it."""
SNAPSHOTS = Path(__file__).parent / "snapshots"


@dataclass(frozen=True, slots=True)
class Tmux:
    """One window with one program in it."""

    socket: Path

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", str(self.socket), *arguments],
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=True,
        )
        return done.stdout

    def keys(self, *keys: str) -> None:
        """As tmux names them: ``Enter``, ``Escape``, ``C-c``; anything else is typed."""
        for key in keys:
            self._run("send-keys", key)

    def screen(self) -> str:
        """What stands on it, without what is behind the last sign of a line."""
        return "\n".join(line.rstrip() for line in self._run("capture-pane", "-p").splitlines())

    def until(self, *patterns: str) -> str:
        """The screen, once all of these are on it."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            seen = self.screen()
            if all(re.search(pattern, seen) for pattern in patterns):
                return seen
            assert time.monotonic() < deadline, f"no {patterns} in\n{seen}"
            time.sleep(0.05)

    def settled(self, *patterns: str) -> str:
        """The same, once nothing has moved for a while."""
        seen = self.until(*patterns)
        deadline = time.monotonic() + _PATIENCE
        while True:
            time.sleep(0.5)
            seen, before = self.screen(), seen
            if seen == before:
                return seen
            assert time.monotonic() < deadline, seen

    def resize(self, width: int, height: int) -> None:
        self._run("resize-window", "-x", str(width), "-y", str(height))


@contextmanager
def in_tmux(
    command: Sequence[str], environment: Mapping[str, str], width: int = 80, height: int = 24
) -> Iterator[Tmux]:
    """The command in a shell in a window of that size, gone afterwards with all that is in it."""
    if shutil.which("tmux") is None:
        missing("tmux", "apt install tmux")
    folder = Path(tempfile.mkdtemp(prefix="hoop-tmux-"))
    tmux = Tmux(folder / "socket")
    size = ("-x", str(width), "-y", str(height))
    # Whoever runs the tests may say how wide their own screen is.
    sizeless = {k: v for k, v in environment.items() if k not in ("COLUMNS", "LINES", "TMUX")}
    try:
        subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", str(tmux.socket), "new-session", "-d", *size, "sh"],
            env={**sizeless, "TERM": "screen-256color", "LC_ALL": "C.UTF-8"},
            timeout=_PATIENCE,
            check=True,
        )
        tmux.until(PROMPT)
        tmux.keys(" ".join(command), "Enter")
        yield tmux
    finally:
        subprocess.run(
            ["tmux", "-S", str(tmux.socket), "kill-server"],
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
        shutil.rmtree(folder, ignore_errors=True)


def plain(screen: str) -> str:
    """Without what is another each time."""
    said = re.sub(r"\b(grt|req|rev|s)-[a-z0-9]{10}\b", lambda id: f"{id[1]}-{'x' * 10}", screen)
    said = re.sub(r"(?<=  )now$|\d+ (s|min) ago", "N s ago", said, flags=re.M)
    said = re.sub(r"in \d+ min", "in N min", said)
    return re.sub(r"\d+(, \d+)* o'clock", "N o'clock", said) + "\n"


def as_before(name: str, screen: str) -> None:
    """Holds a screen against the one that is kept; HOOP_SNAPSHOTS=write keeps this one."""
    path, now = SNAPSHOTS / f"{name}.txt", plain(screen)
    if os.environ.get("HOOP_SNAPSHOTS") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(now, encoding="utf-8")
    assert now == path.read_text(encoding="utf-8"), "HOOP_SNAPSHOTS=write keeps the new one"
