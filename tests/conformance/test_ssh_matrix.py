"""Each cell of the matrix of SSH clients: through the gate everything is as it is without."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest

from hoopagent.keys import Keys
from tests.conformance.ssh_matrix import CELLS, Cell, Place, page
from tests.e2e.ssh_world import SshWorld, options, told
from tests.e2e.test_ssh_sign_in import in_by
from tests.e2e.world import Person
from tests.worlds import signed_in, started

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "ssh-clients.md"


@pytest.fixture(scope="module")
def ana() -> Iterator[Person]:
    with started(SshWorld) as world:
        signed_in(world, "ben")
        ana = signed_in(world, "ana")
        ana.hoop("request", "web-ca", "--reason", "a test of SSH", "--for", "1h")
        options(ana)
        key = plain_key(ana)
        key.touch(mode=0o600)
        key.write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
        in_by(ana, key, f"{ana.name}+web-ca")
        yield ana


def plain_key(ana: Person) -> Path:
    """A key of hers that needs no certificate."""
    return ana.world.folder / ana.name / "plain-key"


def direct(ana: Person, folder: Path) -> Place:
    world = ana.world
    assert isinstance(world, SshWorld)
    sshd = world.sshd
    return Place("direct", sshd.port, sshd.account, sshd.key_file, sshd.host_key, folder)


def gate(ana: Person, folder: Path) -> Place:
    host = Keys.load_or_create(ana.world.folder / "agent" / "data" / "keys").host
    return Place(
        "gate",
        int(told(ana)["ssh"].rpartition(":")[2]),
        f"{ana.name}+web-ca",
        ana.world.folder / ana.name / "ssh-key",
        host.export_public_key().decode().strip(),
        folder,
        ana.world.folder / ana.name / "ssh-key-cert.pub",
        plain_key(ana),
    )


NOW = [cell for cell in CELLS if not cell.long or os.environ.get("HOOP_LONG")]


@pytest.mark.parametrize("cell", NOW, ids=lambda cell: f"{cell.client}: {cell.what}")
def test_through_the_gate_all_is_as_without(ana: Person, tmp_path: Path, cell: Cell) -> None:
    for name in ("direct", "gate"):
        (tmp_path / name).mkdir()
    wanted = cell.run(direct(ana, tmp_path / "direct"))
    assert cell.run(gate(ana, tmp_path / "gate")) == wanted


def test_the_page_of_the_docs_is_this_table() -> None:
    assert DOCS.read_text() == page(), "python -m tests.conformance.ssh_matrix > …"
