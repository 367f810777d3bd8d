"""A line between two ends of TCP that can go silent: nothing is read, sent or closed any more."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class SilentLine:
    """Forwards what comes to ``port``; after ``silence`` nobody hears of anybody any more."""

    def __init__(self, host: str, port: int) -> None:
        self._to = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._open.set()
        self._ended = False
        self._made: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        self._open.clear()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._to)
                self._made += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                self._open.wait()
                if self._ended:
                    return
                sink.sendall(data)
            self._open.wait()
            sink.shutdown(socket.SHUT_WR)

    def end(self) -> None:
        self._ended = True
        self._open.set()
        for one in self._made:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()


@contextmanager
def silent_line(host: str, port: int) -> Iterator[SilentLine]:
    line = SilentLine(host, port)
    try:
        yield line
    finally:
        line.end()
