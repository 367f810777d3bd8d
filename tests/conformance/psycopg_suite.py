"""psycopg's own test suite, directly and through hoop: it fails only where it fails directly.

    python -m tests.conformance.psycopg_suite CHECKOUT --python PYTHON [--door local] [-- ARGUMENTS]

What stands behind -- goes to pytest.  CHECKOUT is a clone of github.com/psycopg/psycopg at the
version that PYTHON has installed, with its test extras.  The role may do everything, no column is
masked, and the statements that nobody could read are allowed by a rule, since the suite sends some
on purpose.  Each run is a junit file; what fails in one and not in the other is printed, and the
exit status is 1 where a run through hoop fails more.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from hoopcli.demo.world import World
from tests.e2e.test_ssh_lane import forwarded
from tests.e2e.world import Person

DATABASE = "psycopg_suite"
TARGET = "anything"

# The suite opens pools and many connections at once.
EVERYTHING = f"""
[[rule]]
name = "even-what-nobody-can-read"
verdict = "allow"
targets = ["{TARGET}"]
effects = ["unknown", "server_file", "program"]
reason = "a test suite may do everything"
"""


def widen(world: World) -> None:
    """A target where the role may do everything, on the world's own server."""
    assert world.postgres is not None
    world.postgres.psql(f"create database {DATABASE}")
    agent = world.folder / "agent"
    secret = agent / f"{TARGET}.password"
    secret.touch(mode=0o600)
    secret.write_text(world.postgres.password)
    with (agent / "targets.toml").open("a") as targets:
        targets.write(
            f"\n[targets.{TARGET}]\n"
            f'address = "127.0.0.1:{world.postgres.port}"\n'
            f'databases = ["{DATABASE}"]\n'
            f'credential = {{ user = "postgres", password = "file:{TARGET}.password" }}\n'
            'tls = { mode = "off" }\n'
        )
    roles = agent / "roles.toml"
    roles.write_text(roles.read_text().replace('["prod-*"]', f'["{TARGET}", "prod-*"]'))
    (agent / "rules.toml").write_text(EVERYTHING)
    (agent / "masks.toml").write_text("")
    world.processes[-1].terminate()
    world.processes[-1].wait(30)
    (world.run / "agent.json").unlink(missing_ok=True)
    world.start_agent()


@contextlib.contextmanager
def listening(person: Person) -> Iterator[str]:
    """The DSN of ``hoop connect --listen``."""
    with subprocess.Popen(
        [sys.executable, "-m", "hoopcli", "connect", TARGET, "--listen"],
        env=person.world.environment(person.name),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


@contextlib.contextmanager
def through(person: Person, door: str) -> Iterator[str]:
    if door == "local":
        with listening(person) as dsn:
            yield dsn
    else:
        with forwarded(person, TARGET) as port:
            yield f"host=127.0.0.1 port={port} user=postgres dbname={DATABASE} sslmode=disable"


def run(python: str, checkout: Path, dsn: str, report: Path, words: list[str]) -> dict[str, str]:
    """The outcome of every test: passed, failed, error or skipped."""
    subprocess.run(
        [
            *(python, "-m", "pytest", "-q", "-p", "no:randomly"),
            # The suite refuses to run where it believes that its last run here crashed.
            *("-o", f"cache_dir={report.with_suffix('.cache')}"),
            *("--tb=short", f"--junitxml={report}", *words),
        ],
        cwd=checkout,
        env={key: value for key, value in os.environ.items() if not key.startswith("PG")}
        | {"PSYCOPG_TEST_DSN": dsn, "PYTHONPATH": ""},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
        check=False,
    )
    return outcomes(report)


def outcomes(report: Path) -> dict[str, str]:
    found = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[name] = min(kinds, default="passed")
    return found


def bad(found: dict[str, str]) -> set[str]:
    return {name for name, kind in found.items() if kind in ("failure", "error")}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--door", choices=("local", "ssh"), action="append")
    parser.add_argument("--reports", type=Path, default=None, help="folder to keep junit files in")
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    options, words = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :]
    reports = options.reports or Path(tempfile.mkdtemp(prefix="hoop-conformance-"))
    with World() as world:
        widen(world)
        assert world.postgres is not None
        ana, ben = Person(world, "ana"), Person(world, "ben")
        ana.sign_in()
        ben.sign_in()
        ana.granted(ben, target=TARGET, span="2h")
        runs = {
            "direct": run(
                options.python,
                options.checkout,
                world.postgres.dsn(DATABASE),
                reports / "direct.xml",
                words,
            )
        }
        for door in options.door or ("local", "ssh"):
            with through(ana, door) as dsn:
                runs[door] = run(
                    options.python, options.checkout, dsn, reports / f"{door}.xml", words
                )
    told = {
        name: {
            "tests": len(found),
            "passed": sum(kind == "passed" for kind in found.values()),
            "skipped": sum(kind == "skipped" for kind in found.values()),
            "failed": sorted(bad(found)),
        }
        for name, found in runs.items()
    }
    for name in told:
        told[name]["only_here"] = sorted(bad(runs[name]) - bad(runs["direct"]))
        told[name]["skipped_only_here"] = sorted(
            test
            for test, kind in runs[name].items()
            if kind == "skipped" and runs["direct"].get(test) != "skipped"
        )
    sys.stdout.write(json.dumps(told, indent=2) + "\n")
    return 1 if any(found["only_here"] for found in told.values()) else 0


if __name__ == "__main__":
    raise SystemExit(main())
