"""Places that recordings are archived in: a folder, and a server that speaks S3 on the loopback.

The server is moto's, from the same package index as the other tests' tools: not written here.
"""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hoopagent.config import ArchiveSection
from hoopagent.depot import Depot
from tests.servers import missing


def folder_depot(folder: Path, **more: object) -> Depot:
    folder.mkdir(parents=True, exist_ok=True)
    section = ArchiveSection.model_validate({"url": f"file://{folder}", **more})
    return Depot(section, folder)


@dataclass
class S3:
    """One server, with buckets made at will."""

    url: str

    def bucket(self, name: str) -> None:
        with urllib.request.urlopen(urllib.request.Request(f"{self.url}/{name}", method="PUT")):
            pass

    def settings(self, bucket: str) -> dict[str, object]:
        """``[agent.archive]`` for it; the secrets are in the environment of the tests."""
        return {
            "url": f"s3://{bucket}/hoop",
            "options": {"endpoint": self.url, "region": "us-east-1"},
            "secrets": {"access_key_id": "file:s3.id", "secret_access_key": "file:s3.secret"},
        }

    def depot(self, bucket: str, folder: Path) -> Depot:
        (folder / "s3.id").write_text("hoop\n")
        (folder / "s3.secret").write_text("not a secret\n")
        return Depot(ArchiveSection.model_validate(self.settings(bucket)), folder)


@contextmanager
def s3() -> Iterator[S3]:
    """A skip where moto is not installed."""
    try:
        import logging

        from moto.server import ThreadedMotoServer
    except ImportError as problem:
        missing("moto", str(problem))
        raise
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        yield S3(f"http://{host}:{port}")
    finally:
        server.stop()
