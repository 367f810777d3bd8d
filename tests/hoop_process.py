"""``hoop`` as a process of its own, as one person runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from hoopcli.credentials import FileVault


def hoop(environ: Mapping[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hoopcli", *arguments],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def login(
    environ: Mapping[str, str], waiting: Callable[[str, subprocess.Popen[str]], object], *more: str
) -> tuple[int, str]:
    """``hoop login``: its status, and all it said.

    ``waiting`` is given what was said when it begins to wait, and the process.
    """
    with subprocess.Popen(
        [sys.executable, "-m", "hoopcli", "login", "--no-browser", *more],
        env=environ,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        said = ""
        for line in process.stderr:
            said += line
            if line.startswith("Waiting"):
                waiting(said, process)
        return process.wait(60), said


def vault(environ: Mapping[str, str]) -> FileVault:
    """What ``hoop`` keeps there, opened with its passphrase."""
    kept = FileVault(Path(environ["HOOP_HOME"]) / "credentials")
    kept._passphrase = environ["HOOP_PASSPHRASE"]
    return kept
