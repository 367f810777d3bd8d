"""The demo's provider, driven by a certified client that nobody here wrote: npm openid-client."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from hoopcli.demo.oauth import Memory, Person
from hoopcli.demo.provider import running
from tests.servers import missing

NPM = Path(__file__).parents[1] / "npm"


def test_a_client_we_did_not_write_signs_in_renews_and_revokes_at_the_demos_provider() -> None:
    node = shutil.which("node")
    if node is None or not (NPM / "node_modules" / "openid-client").is_dir():
        missing("npm openid-client", "npm install --prefix tests/npm --no-package-lock")
    assert node is not None
    people = {"ana": Person("ana", "ana@shop.example", ("engineering",))}
    with running(Memory(people, interval=1)) as provider:
        done = subprocess.run(
            [node, "client.mjs", provider.issuer],
            cwd=NPM,
            env={"PATH": str(Path(node).parent)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["claims"]["sub"] == "ana"
    assert told["claims"]["email"] == "ana@shop.example"
    assert told["claims"]["groups"] == ["engineering"]
    assert (told["renewed"], told["paged"]) == ("ana", "ana")
    assert (told["rotated"], told["revoked"]) == ("invalid_grant", "invalid_grant")
    assert told["no"] == "access_denied"
