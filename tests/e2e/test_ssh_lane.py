"""psql through stock ``ssh -L``: the certificate of ``hoop login`` and nothing else of hoop's."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hoopcli.credentials import Credentials, FileVault
from hoopcli.demo.postgres import free_port
from tests.e2e.world import Person
from tests.servers import missing

QUERY = "select name, ssn from customers order by id limit 1"


def kept(person: Person) -> Credentials:
    """What ``hoop login`` has put away."""
    world = person.world
    vault = FileVault(world.folder / person.name / "credentials")
    vault._passphrase = world.environment(person.name)["HOOP_PASSPHRASE"]
    told = json.loads((world.run / "agent.json").read_text())
    return Credentials.from_text(vault.load(told["host_key"]) or "")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def forwarded(person: Person, target: str) -> Iterator[int]:
    """A port of this machine that leads to the target, by the system's own ssh."""
    program = shutil.which("ssh")
    if program is None:
        missing("ssh", "apt-get install openssh-client")
    mine, folder, port = kept(person), person.world.folder / person.name, free_port()
    identity = folder / "ssh-key"
    for path, text in ((identity, mine.key), (Path(f"{identity}-cert.pub"), mine.certificate)):
        path.touch(mode=0o600)
        path.write_text(text + "\n")
    host, _, ssh_port = json.loads((person.world.run / "agent.json").read_text())["ssh"].partition(
        ":"
    )
    options = ["StrictHostKeyChecking=no", f"UserKnownHostsFile={folder / 'known_hosts'}"]
    options += ["IdentitiesOnly=yes", "BatchMode=yes", "ExitOnForwardFailure=yes"]
    words = [word for option in options for word in ("-o", option)]
    with subprocess.Popen(
        [
            *(str(program), "-F", "none", *words, "-i", str(identity), "-N"),
            *("-L", f"127.0.0.1:{port}:{target}:5432"),
            *("-p", ssh_port, f"{mine.principal}@{host}"),
        ],
        stdin=subprocess.DEVNULL,
    ) as process:
        try:
            end = time.monotonic() + 20
            while not listens(port) and time.monotonic() < end:
                assert process.poll() is None
                time.sleep(0.05)
            yield port
        finally:
            process.terminate()


def psql(person: Person, port: int) -> subprocess.CompletedProcess[str]:
    environ = person.world.environment(person.name)
    where = f"host=127.0.0.1 port={port} user=anybody dbname=shop sslmode=disable"
    return subprocess.run(
        [environ["HOOP_PSQL"], "-XAt", where, "-c", QUERY],
        env=environ | {"PATH": os.environ["PATH"]},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_stock_ssh_and_psql_reach_the_target_masked(ana: Person, ben: Person) -> None:
    ana.granted(ben)
    with forwarded(ana, "prod-db") as port:
        done = psql(ana, port)
    assert done.returncode == 0, done.stderr
    assert "Ada Lindgren" in done.stdout
    assert "219-09" not in done.stdout


def test_without_a_grant_stock_ssh_reaches_nothing(ben: Person) -> None:
    with forwarded(ben, "prod-db") as port:
        done = psql(ben, port)
    assert done.returncode == 2
    assert "grant" in done.stderr
