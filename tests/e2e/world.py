"""The demo's world, with people in it, for the tests: nothing in it is a stand-in."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from hoopcli.demo.provider import approve
from hoopcli.demo.world import World


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a machine of their own, as far as hoop can tell."""

    world: World
    name: str

    def hoop(
        self, *arguments: str, status: int | None = 0, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Runs ``hoop`` and checks its exit status (None: any)."""
        done = subprocess.run(
            [sys.executable, "-m", "hoopcli", *arguments],
            env=self.world.environment(self.name),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert status is None or done.returncode == status, (arguments, done.stdout, done.stderr)
        return done

    def json(self, *arguments: str) -> Any:
        return json.loads(self.hoop(*arguments, "-o", "json").stdout)

    def sign_in(self, called: str = "") -> None:
        """``hoop login``, with the page answered as the person would, or as who is ``called``."""
        with subprocess.Popen(
            [sys.executable, "-m", "hoopcli", "login", "--no-browser"],
            env=self.world.environment(self.name),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            said = []
            for line in process.stderr:
                said.append(line)
                if code := re.search(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b", line):
                    approve(self.world.provider["issuer"], code[0], called or self.name)
                    break
            said += process.stderr.readlines()
        assert process.returncode == 0, "".join(said)

    def granted(self, by: Person, *, target: str = "prod-db", span: str = "30m") -> str:
        """A grant, asked for and approved; its id."""
        asked = self.json("request", target, "--reason", "a test of the whole", "--for", span)
        by.hoop("approve", asked["id"], "--reason", "a test")
        grants = self.json("grants", "--mine")
        found: str = next(g["id"] for g in grants if g["request"] == asked["id"])
        return found

    def psql(self, *arguments: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """``hoop connect prod-db -- …``; bare values, one row a line."""
        return self.hoop("connect", "prod-db", "--", "-XAt", *arguments, status=status)
