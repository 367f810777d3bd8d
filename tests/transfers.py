"""Real scp and rsync with a passage between them: no SSH, no network, nothing but pipes.

The client's ssh is a script of two ``cat``: it tells the command that it was given, and carries
bytes.  The far end is that command, started by ``sh`` as sshd would start it.
"""

from __future__ import annotations

import contextlib
import os
import random
import selectors
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hoopcore.passage import Ask, Done, Given, Passage, Plain, Stop, ToPerson, ToTarget
from hoopcore.recording import File

SCRIPT = """#!/bin/sh
exec 6<&0 7<{down} 8>{up}
while [ "$1" != host ]; do shift; done
shift
[ "$1" = -- ] && shift
printf '%s\\n' "$*" >&8
cat <&6 >&8 7<&- &
exec 6<&- 8>&-
cat <&7
kill $! 2>&-
exit 0
"""
PATIENCE = 20.0

Judge = Callable[[Ask], str]


@dataclass
class Ran:
    status: int
    stdout: str
    stderr: str
    text: str
    files: list[File]
    asks: list[Ask]
    stop: Stop | None
    said: list[tuple[str, bytes]] = field(repr=False)  # what each side said, in order


@dataclass
class Between:
    """Drives a passage as a channel does."""

    passage: Passage
    judge: Judge
    files: list[File] = field(default_factory=list)
    asks: list[Ask] = field(default_factory=list)
    stop: Stop | None = None
    up: bytearray = field(default_factory=bytearray)
    down: bytearray = field(default_factory=bytearray)
    errors: bytearray = field(default_factory=bytearray)

    def do(self, given: list[Given]) -> None:
        for one in given:
            match one:
                case ToTarget():
                    self.up += one.data
                case ToPerson():
                    (self.errors if one.stderr else self.down).extend(one.data)
                case Done():
                    self.files.append(one.event)
                case Stop():
                    assert one is given[-1], "nothing comes behind a Stop"
                    self.stop = one
                case Ask():
                    assert one is given[-1], "an Ask comes last"
                    self.asks.append(one)
                    self.do(self.passage.decided(len(self.asks), self.judge(one)))

    def tell(self, side: str, data: bytes) -> None:
        if self.stop is not None:
            return
        if side == "person":
            self.do(self.passage.from_person(data))
        else:
            self.do(self.passage.from_target(data, stderr=False))

    def close(self) -> None:
        self.do(self.passage.closed())


def carried(
    folder: Path,
    words: list[str],
    passage_of: Callable[[str], Passage] | None,
    *,
    judge: Judge = lambda ask: "",
    split: random.Random | None = None,
    cut: int = 0,
) -> Ran:
    """Runs a client with its ``-e``/``-S`` as the last of ``words``' ``{ssh}``; through a passage.

    ``cut`` ends everything after so many bytes of the target.
    """
    up, down, script = (folder / name for name in ("up", "down", "ssh.sh"))
    for path in (up, down):
        path.unlink(missing_ok=True)
        os.mkfifo(path)
    script.write_text(SCRIPT.format(up=up, down=down))
    script.chmod(0o700)
    words = [word.replace("{ssh}", str(script)) for word in words]
    to_us = os.open(up, os.O_RDONLY | os.O_NONBLOCK)
    from_us = os.open(down, os.O_RDWR | os.O_NONBLOCK)
    said: list[tuple[str, bytes]] = []
    with (
        (folder / "out").open("wb") as out_to,
        (folder / "err").open("wb") as err_to,
        open(to_us, "rb", buffering=0),
    ):
        client = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out_to, stderr=err_to)
        try:
            text = _line(to_us, client)
            between = Between(passage_of(text) if passage_of else Plain(), judge)
            if text:
                said = _pump(between, text, to_us, from_us, split, cut)
        finally:
            os.close(from_us)
        try:
            status = client.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            client.kill()
            status = client.wait()
    out, err = ((folder / name).read_text(errors="replace") for name in ("out", "err"))
    err += between.errors.decode(errors="replace")
    return Ran(status, out, err, text, between.files, between.asks, between.stop, said)


def _line(fd: int, client: subprocess.Popen[bytes]) -> str:
    """What the client would have run; empty where it runs nothing."""
    found = b""
    end = time.monotonic() + PATIENCE
    while not found.endswith(b"\n") and time.monotonic() < end:
        try:
            one = os.read(fd, 1)
        except BlockingIOError:
            one = b""
        if not one and client.poll() is not None:
            return ""
        if not one:
            time.sleep(0.005)
        found += one
    return found.decode()[:-1]


def _pump(
    between: Between,
    text: str,
    to_us: int,
    from_us: int,
    split: random.Random | None,
    cut: int,
) -> list[tuple[str, bytes]]:
    server = subprocess.Popen(
        ["sh", "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert server.stdin
    assert server.stdout
    assert server.stderr
    stdin, stdout, stderr = (one.fileno() for one in (server.stdin, server.stdout, server.stderr))
    for fd in (stdin, stdout, stderr):
        os.set_blocking(fd, False)
    said: list[tuple[str, bytes]] = []
    reading = {to_us: "person", stdout: "target", stderr: "stderr"}
    end, received = time.monotonic() + PATIENCE, 0
    try:
        while reading and time.monotonic() < end:
            with selectors.DefaultSelector() as ready:
                for fd in reading:
                    ready.register(fd, selectors.EVENT_READ)
                for fd, waits in ((stdin, between.up), (from_us, between.down)):
                    if waits:
                        ready.register(fd, selectors.EVENT_WRITE)
                for key, _ in ready.select(1.0):
                    if key.fd in (stdin, from_us):
                        waits = between.up if key.fd == stdin else between.down
                        try:
                            del waits[: os.write(key.fd, waits)]
                        except BrokenPipeError:
                            waits.clear()
                        continue
                    data = os.read(key.fd, 65536)
                    side = reading[key.fd]
                    if side == "stderr":
                        between.errors += data
                    for piece in _pieces(data, split) if side != "stderr" else ():
                        said.append((side, piece))
                        between.tell(side, piece)
                    if side == "target":
                        received += len(data)
                    if not data:
                        del reading[key.fd]
            if "person" not in reading.values() and not between.up:
                server.stdin.close()
            if ("target" not in reading.values() and not between.down) or between.stop is not None:
                break
            if cut and received >= cut:
                break
        _flush(from_us, between.down)
    finally:
        with contextlib.suppress(OSError):
            server.stdin.close()
        if server.poll() is None and (cut or between.stop is not None):
            server.kill()
        server.wait(10)
        between.errors += server.stderr.read() or b""
        server.stdout.close()
        server.stderr.close()
        between.close()
    return said


def _flush(fd: int, data: bytearray) -> None:
    with contextlib.suppress(OSError):
        while data:
            del data[: os.write(fd, data)]


def _pieces(data: bytes, split: random.Random | None) -> list[bytes]:
    if split is None:
        return [data] if data else []
    found = []
    while data:
        size = split.choice((1, 2, 3, 5, 17, 100, 1000, 20000))
        found.append(data[:size])
        data = data[size:]
    return found
