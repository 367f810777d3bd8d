"""Somebody whose agents are elsewhere: a home of their own, a second agent, a bad network."""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoopcli.demo.provider import approve
from hoopcli.demo.world import World

PATIENCE = 60.0

# The tunnels' process with less patience than people have, started before hoop would.
QUICK = """
from hoopcli.tunnels import daemon, link
daemon.main(link.Patience(
    reach=3, channel=1.5, wait=4, silence=0.5, again=(0.1, 0.2, 0.3), woken=1))
"""


def eventually(claim: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def is_free(lock: Path) -> bool:
    """Whether no process has it; the one that held the tunnels may be about to end."""
    if not lock.exists():
        return True
    with lock.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine of a person's, with settings and files of its own."""

    world: World
    person: str
    home: Path

    def environment(self) -> dict[str, str]:
        environ = self.world.environment(self.person)
        del environ["HOOP_AGENT"]
        self.home.mkdir(mode=0o700, exist_ok=True)
        for name in ("SSH_AUTH_SOCK", "XDG_RUNTIME_DIR"):
            environ.pop(name, None)
        return environ | {"HOOP_HOME": str(self.home / "hoop"), "HOME": str(self.home)}

    def hoop(
        self, *arguments: str, status: int | None = 0, **changes: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "hoopcli", *arguments],
            env=self.environment() | changes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert status is None or done.returncode == status, (arguments, done.stdout, done.stderr)
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.hoop(*arguments, "-o", "json").stdout)

    def sign_in(self, *arguments: str) -> str:
        """``hoop login``, with the page answered as the person would; what it said."""
        with subprocess.Popen(
            [sys.executable, "-m", "hoopcli", "login", "--no-browser", *arguments],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if code := re.search(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b", line):
                    approve(self.world.provider["issuer"], code[0], self.person)
                    break
            said += process.stderr.readlines()
        assert process.returncode == 0, "".join(said)
        return "".join(said)

    def psql(self, where: str, query: str, **changes: str) -> subprocess.CompletedProcess[str]:
        """psql itself, with nothing of hoop's around it."""
        environ = self.environment()
        return subprocess.run(
            [environ["HOOP_PSQL"], "-XAtw", where, "-c", query],
            env=environ | changes,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def kill_tunnels(self) -> None:
        """The process that holds them dies as in a power cut."""
        for path in Path("/proc").glob("[0-9]*/environ"):
            with suppress(OSError):
                found = path.read_bytes(), (path.parent / "cmdline").read_bytes()
                ours = f"HOOP_HOME={self.home / 'hoop'}".encode() in found[0].split(b"\0")
                if ours and b"daemon" in found[1]:
                    subprocess.run(["kill", "-9", path.parent.name], check=False)

    @contextmanager
    def quick_tunnels(self) -> Iterator[None]:
        """While this holds, the tunnels' process is one with less patience."""
        self.hoop("tunnels", "stop", "--all", status=None)
        control = self.home / "hoop" / "tunnels" / "control"
        eventually(lambda: not control.exists() and is_free(control.with_name("lock")))
        with subprocess.Popen(
            [sys.executable, "-c", QUICK],
            env=self.environment(),
            stdin=subprocess.DEVNULL,
        ) as process:
            eventually(control.exists)
            try:
                yield
            finally:
                process.terminate()
                process.wait(20)


@dataclass(slots=True)
class SecondAgent:
    """Another agent at the same provider and PostgreSQL, with a target more."""

    world: World
    process: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.world.folder / "agent2"

    @property
    def run(self) -> Path:
        return self.folder / "run"

    def told(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.run / "agent.json").read_text())
        return found

    def start(self, ssh: str = "127.0.0.1:0") -> None:
        first = self.world.folder / "agent"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        for name in ("roles.toml", "rules.toml", "masks.toml", "prod-db.password"):
            shutil.copy2(first / name, self.folder / name)
        one = (first / "targets.toml").read_text()
        other = one.replace("targets.prod-db", "targets.prod-other")
        (self.folder / "targets.toml").write_text(one + "\n" + other)
        text = (first / "agent.toml").read_text()
        (self.folder / "agent.toml").write_text(
            text.replace('ssh = "127.0.0.1:0"', f'ssh = "{ssh}"')
        )
        with (self.world.folder / "agent2.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hoopagent", "run", "--config", str(self.folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        eventually((self.run / "agent.json").exists, PATIENCE)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(30)
            self.process = None


@dataclass(slots=True)
class Network:
    """A port that leads to another one, until something happens to the way."""

    to: tuple[str, int]
    port: int = 0
    _open: threading.Event = field(default_factory=threading.Event)
    _pairs: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    _silent: list[tuple[socket.socket, socket.socket]] = field(default_factory=list)
    _listener: socket.socket | None = None

    def __enter__(self) -> Network:
        self.up()
        return self

    def __exit__(self, *_: object) -> None:
        self.down()

    def up(self) -> None:
        """There is a way, and bytes go along it."""
        self._open.set()
        if self._listener is None:
            self._listener = socket.create_server(("127.0.0.1", self.port))
            self.port = self._listener.getsockname()[1]
            threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def silent(self) -> None:
        """Nothing arrives any more, and nobody is told: as after sleep or another network."""
        self._open.clear()

    def another(self) -> None:
        """The way is there again, for new connections; the old ones stay silent for ever."""
        self._silent += self._pairs
        self._pairs.clear()
        self._open = threading.Event()
        self._open.set()

    def cut(self) -> None:
        """What is open is reset; the way itself is there."""
        self._reset(self._pairs)

    @staticmethod
    def _reset(pairs: list[tuple[socket.socket, socket.socket]]) -> None:
        for pair in pairs:
            for one in pair:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
        pairs.clear()

    def down(self) -> None:
        """Nobody listens, and what is open is reset."""
        if self._listener is not None:
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        self._open.set()
        self.cut()
        self._reset(self._silent)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
                far = socket.create_connection(self.to)
            except OSError:
                return
            self._pairs.append((near, far))
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=_pump, args=(one, other, self._open), daemon=True).start()


def _pump(one: socket.socket, other: socket.socket, is_open: threading.Event) -> None:
    with suppress(OSError):
        while data := one.recv(64 << 10):
            is_open.wait()
            other.sendall(data)
    for end in (one, other):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
