"""A real sshd on a free loopback port, as the account the tests run under."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncssh

from hoopcli.demo.postgres import free_port
from tests.servers import missing

PATIENCE = 20.0


@dataclass
class Sshd:
    """Where it is, and what opens it."""

    port: int
    account: str
    host_key: str  # public
    key_file: Path  # a private key that it lets in
    process: subprocess.Popen[bytes]
    log: Path


def program() -> str:
    """sshd, which only runs by its full path; a skip where there is none."""
    found = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:" + os.environ["PATH"])
    if found is None:
        missing("sshd", "apt-get install openssh-server")
        raise AssertionError
    return found


@contextmanager
def running_sshd(
    folder: Path, *settings: str, ca: str = "", host_key: asyncssh.SSHKey | None = None
) -> Iterator[Sshd]:
    """``settings`` are more lines of its sshd_config; ``ca`` signs certificates that it takes."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    sshd = program()
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # where it drops its privileges
    own = host_key or asyncssh.generate_private_key("ssh-ed25519")
    user = asyncssh.generate_private_key("ssh-ed25519")
    key_file = folder / "account"
    for path, text in (
        (folder / "host", own.export_private_key()),
        (key_file, user.export_private_key()),
        (folder / "authorized", user.export_public_key()),
        (folder / "ca.pub", ca.encode()),
    ):
        path.touch(mode=0o600)
        path.write_bytes(text)
    port, account = free_port(), pwd.getpwuid(os.geteuid()).pw_name
    lines = [
        *settings,
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {folder / 'host'}",
        f"AuthorizedKeysFile {folder / 'authorized'}",
        f"PidFile {folder / 'pid'}",
        "UsePAM no",
        "StrictModes no",
        "PermitRootLogin yes",
        "AcceptEnv LANG LC_* EVIL PATH",
        "Subsystem sftp internal-sftp",
        *([f"TrustedUserCAKeys {folder / 'ca.pub'}"] if ca else []),
    ]
    (folder / "config").write_text("\n".join(lines) + "\n")
    log = folder / "log"
    with log.open("ab") as errors:
        process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "config")],
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
        )
    try:
        _await(port, process, log)
        public = own.export_public_key().decode().strip()
        yield Sshd(port, account, public, key_file, process, log)
    finally:
        process.terminate()
        process.wait(10)


def _await(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.02)
