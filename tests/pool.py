"""Debian's pgbouncer in front of a server, in transaction mode, for the tests."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hoopcli.demo.postgres import free_port
from tests.servers import missing, private_folder

_CONFIG = """
[databases]
* = host=127.0.0.1 port={upstream} {database}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {size}
max_client_conn = 100
server_reset_query =
"""


def program() -> str:
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        missing("pgbouncer", "apt-get install pgbouncer")
    return found or ""


@contextmanager
def running_pgbouncer(
    upstream: int, users: dict[str, str], *, size: int = 1, database: str = ""
) -> Iterator[int]:
    """Its port.  ``size`` is how many server connections all clients of one user share."""
    binary = program()
    with private_folder() as folder:
        folder.chmod(0o755)
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        lines = "".join(f'"{name}" "{password}"\n' for name, password in users.items())
        for _attempt in range(5):
            port = free_port()
            settings = _CONFIG.format(
                upstream=upstream, port=port, folder=folder, size=size, database=database
            )
            _write(folder / "users", lines, account)
            _write(folder / "pgbouncer.ini", settings, account)
            with (folder / "log").open("wb") as log:
                process = subprocess.Popen(
                    [binary, str(folder / "pgbouncer.ini")],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=folder,
                    user=account.pw_uid if account else None,
                    group=account.pw_gid if account else None,
                )
            try:
                if _is_up(process, folder / "log"):
                    yield port
                    return
            finally:
                process.terminate()
                process.wait(10)
        raise RuntimeError((folder / "log").read_text())


def _write(path: Path, text: str, account: pwd.struct_passwd | None) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
    if account:
        os.chown(path, account.pw_uid, account.pw_gid)


def _is_up(process: subprocess.Popen[bytes], log: Path) -> bool:
    end = time.monotonic() + 15
    while time.monotonic() < end and process.poll() is None:
        if "process up" in log.read_text():
            return True
        time.sleep(0.02)
    return False
