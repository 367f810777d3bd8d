"""A CONNECT proxy of the tests' own: the only way to hosts that have no address here."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from socketserver import StreamRequestHandler, ThreadingTCPServer


@dataclass
class Proxy:
    url: str
    asked: list[str] = field(default_factory=list)  # the first line of each request


@contextmanager
def running_proxy() -> Iterator[Proxy]:
    """Whatever host is asked for, it goes to 127.0.0.1 and the port that was said."""

    class Connect(StreamRequestHandler):
        def handle(self) -> None:
            line = self.rfile.readline(4096).decode("latin-1").strip()
            proxy.asked.append(line)
            while self.rfile.readline(4096).strip():
                pass
            method, _, rest = line.partition(" ")
            if method != "CONNECT":
                self.wfile.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            port = int(rest.split()[0].rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as target:
                self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
                with suppress(OSError):
                    between(self.connection, target)

    class Server(ThreadingTCPServer):
        daemon_threads = True

    server = Server(("127.0.0.1", 0), Connect)
    proxy = Proxy(f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def between(one: socket.socket, other: socket.socket) -> None:
    """Copies both ways until either side ends."""
    pairs = {one: other, other: one}
    while True:
        ready, _, _ = select.select(list(pairs), [], [], 60)
        for source in ready:
            data = source.recv(65536)
            if not data:
                return
            pairs[source].sendall(data)
        if not ready:
            return
