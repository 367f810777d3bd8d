"""``hoop connect``: what psql is started with, the DSN for everybody else, the missing grant."""

from __future__ import annotations

import json
import os
import pwd
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest

from hoopcli import psql
from hoopcli.errors import Failure
from tests.cli.agent import FakeAgent, request, vote
from tests.cli.conftest import PATIENCE, ROOT, Hoop, Terminal, command, ended

# Says what it was started with, as JSON, and exits with 7, or as its first argument says.
FAKE_PSQL = f"""#!{sys.executable}
import json, os, signal, sys
print(json.dumps({{
    "argv": sys.argv[1:],
    "env": {{k: v for k, v in os.environ.items() if k.startswith("PG")}},
    "pid": os.getpid(),
    "pipe": open("/proc/self/status").read().split("SigIgn:")[1].split()[0],
    "stdin": "" if sys.stdin.isatty() else sys.stdin.read(),
}}), flush=True)
sys.exit(7)
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which psql is one that tells what it was started with."""
    program = tmp_path / "psql"
    program.write_text(FAKE_PSQL)
    program.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def bare(tmp_path: Path) -> str:
    """A PATH with no psql on it."""
    (tmp_path / "empty").mkdir()
    return str(tmp_path / "empty")


# --- psql ---------------------------------------------------------------------------------------


def test_psql_gets_the_endpoint_in_its_environment_and_never_in_argv(
    agent: FakeAgent, hoop: Hoop, path: str
) -> None:
    done = hoop("connect", "prod-db", "--", "-c", "select 1", PATH=path)
    told = json.loads(done.stdout)
    assert told["argv"] == ["-c", "select 1"]
    assert told["env"] == {
        "PGHOST": str(agent.socket.parent / "pg"),
        "PGPORT": "5432",
        "PGUSER": "e-3k8s5w2rtn",
        "PGDATABASE": "shop",
        "PGPASSWORD": "p@ss/word?",
        "PGSSLMODE": "disable",
        "PGGSSENCMODE": "disable",
        "PGPASSFILE": "/dev/null/none",
        "PGREQUIREAUTH": "scram-sha-256",
        "PGREQUIREPEER": pwd.getpwuid(os.geteuid()).pw_name,
    }
    assert agent.seen[0].body == {"target": "prod-db", "via": "unix"}


def test_the_exit_code_of_psql_is_hoops(hoop: Hoop, path: str) -> None:
    assert hoop("connect", "prod-db", "--", "-c", "x", PATH=path).returncode == 7


def test_psql_reads_our_stdin_and_ignores_no_signal_that_python_ignores(
    hoop: Hoop, path: str
) -> None:
    done = hoop("connect", "prod-db", "--", "-f", "-", stdin="select 1;\n", PATH=path)
    told = json.loads(done.stdout)
    assert told["stdin"] == "select 1;\n"
    # The fake is Python, which ignores SIGPIPE and SIGXFSZ again for itself, and nothing else.
    own = subprocess.run(
        [sys.executable, "-c", "print(open('/proc/self/status').read())"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert told["pipe"] == own.split("SigIgn:")[1].split()[0]


def test_no_connection_of_somebody_else_leaks_into_psql(hoop: Hoop, path: str) -> None:
    elsewhere = {
        "PGHOST": "db.elsewhere",
        "PGHOSTADDR": "192.0.2.1",
        "PGSERVICE": "prod",
        "PGSERVICEFILE": "/tmp/services",
        "PGOPTIONS": "-c search_path=evil",
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": "/tmp/ca",
        "PGREQUIREAUTH": "md5",
        "PGCHANNELBINDING": "require",
        "PGTARGETSESSIONATTRS": "read-only",
        "PGPASSFILE": "/tmp/pass",
        "PGSOMETHINGNEW": "1",
    }
    kept = {"PGTZ": "UTC", "PGAPPNAME": "nightly", "PGCLIENTENCODING": "UTF8"}
    told = json.loads(hoop("connect", "prod-db", "--", "-l", PATH=path, **elsewhere, **kept).stdout)
    assert not set(elsewhere.values()) & set(told["env"].values())
    assert kept.items() <= told["env"].items()
    assert "PGSOMETHINGNEW" not in told["env"]


def test_the_database_is_the_agents_choice_unless_one_is_named(
    agent: FakeAgent, hoop: Hoop, path: str
) -> None:
    done = hoop("connect", "prod-db", "--database", "billing", "--", "-l", PATH=path)
    assert json.loads(done.stdout)["env"]["PGDATABASE"] == "billing"


def test_hoop_psql_names_another_program(hoop: Hoop, tmp_path: Path, path: str) -> None:
    (tmp_path / "psql").rename(tmp_path / "mine")
    done = hoop("connect", "prod-db", "--", "-l", HOOP_PSQL=str(tmp_path / "mine"))
    assert json.loads(done.stdout)["argv"] == ["-l"]


def test_a_hoop_psql_that_is_no_program_is_told(agent: FakeAgent, hoop: Hoop) -> None:
    done = hoop("connect", "prod-db", HOOP_PSQL="/nowhere/psql")
    assert done.returncode == 1
    assert "HOOP_PSQL names /nowhere/psql" in done.stderr
    assert agent.seen == []


def test_at_a_terminal_psql_starts_by_itself(terminal: Terminal, path: str) -> None:
    child = terminal("connect", "prod-db", PATH=path)
    child.expect('"PGUSER": "e-3k8s5w2rtn"')
    assert ended(child) == 7


def test_psql_takes_the_place_of_hoop(environ: dict[str, str], path: str) -> None:
    with subprocess.Popen(
        command("connect", "prod-db", "--", "-l"),
        env=environ | {"PATH": path},
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=PATIENCE)
        assert json.loads(out)["pid"] == process.pid


def test_arguments_without_a_psql_are_an_error_with_the_way_out(
    agent: FakeAgent, hoop: Hoop, tmp_path: Path
) -> None:
    done = hoop("connect", "prod-db", "--", "-l", PATH=bare(tmp_path))
    assert done.returncode == 1
    assert "hoop connect prod-db --listen" in done.stderr
    assert [one.body["via"] for one in agent.seen] == ["shell"]  # whether it is an SSH target


def test_the_endpoints_password_is_not_in_a_failure(agent: FakeAgent) -> None:
    with pytest.raises(Failure) as caught:
        psql.become("/nowhere/psql", [], {"PGPASSWORD": "secret"})
    assert "secret" not in str(vars(caught.value))


# --- a DSN --------------------------------------------------------------------------------------


class Listening:
    """``hoop connect --listen`` in a process of its own, and the line it printed."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.line = process.stdout.readline().strip()

    def end(self) -> int:
        return self.process.wait(PATIENCE)


@pytest.fixture
def listening(environ: dict[str, str]) -> Iterator[Callable[..., Listening]]:
    started: list[subprocess.Popen[str]] = []

    def start(*options: str, stdin: int = subprocess.PIPE) -> Listening:
        process = subprocess.Popen(
            command("connect", "prod-db", *options),
            env=environ,
            cwd=ROOT,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return Listening(process)

    yield start
    for process in started:
        with process:
            process.kill()


def eventually(holds: Callable[[], bool]) -> None:
    deadline = monotonic() + PATIENCE
    while not holds():
        assert monotonic() < deadline, "it never happened"
        sleep(0.02)


def test_without_a_terminal_a_dsn_is_printed_that_any_client_can_read(
    agent: FakeAgent, listening: Callable[..., Listening]
) -> None:
    here = listening()
    assert here.line == "postgresql://e-3k8s5w2rtn:p%40ss%2Fword%3F@127.0.0.1:54321/shop"
    assert agent.seen[0].body == {"target": "prod-db", "via": "tcp"}
    assert here.process.poll() is None
    assert agent.endpoints


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_endpoint_and_hoop(
    agent: FakeAgent, listening: Callable[..., Listening], number: signal.Signals
) -> None:
    here = listening("--listen")
    here.process.send_signal(number)
    assert here.end() == 0
    assert agent.endpoints == set()


def test_the_end_of_stdin_ends_the_endpoint(
    agent: FakeAgent, listening: Callable[..., Listening]
) -> None:
    here = listening("--listen")
    assert here.process.stdin is not None
    here.process.stdin.write("what nobody reads\n")
    here.process.stdin.close()
    assert here.end() == 0
    assert agent.endpoints == set()
    assert here.process.stderr is not None
    assert "hoop connect prod-db -- -f -" in here.process.stderr.read()


def test_json_of_an_endpoint_has_its_parts_and_its_dsn(
    listening: Callable[..., Listening],
) -> None:
    here = listening("--listen", "-o", "json")
    assert here.process.stdout is not None
    lines = [here.line]
    while lines[-1] != "}\n":
        lines.append(here.process.stdout.readline())
    value = json.loads("".join(lines))
    assert (value["port"], value["dsn"][:13]) == (54321, "postgresql://")


def test_the_dsn_is_flushed_before_the_wait_begins(listening: Callable[..., Listening]) -> None:
    assert listening("--listen").line


def test_without_any_stdin_it_stays_until_the_endpoint_is_lost_and_then_exits_4(
    agent: FakeAgent, environ: dict[str, str], hoop: Hoop
) -> None:
    program = (
        "import tests.cli.as_ada as a, hoopcli.listening as l; l.until_ended.__defaults__ = (0.2,);"
        "import runpy, sys; sys.argv[1:] = ['connect', 'prod-db', '--listen'];"
        "runpy.run_module('tests.cli.as_ada', run_name='__main__')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env=environ,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        keep = "/v1/endpoints/e-3k8s5w2rtn/keep"
        eventually(lambda: len(agent.asked("POST", keep)) >= 2)
        agent.endpoints.clear()
        _, talk = process.communicate(timeout=PATIENCE)
    assert process.returncode == 4
    assert "hoop: your access to prod-db has ended." in talk


def test_ctrl_c_at_a_terminal_ends_the_endpoint(agent: FakeAgent, terminal: Terminal) -> None:
    child = terminal("connect", "prod-db", "--listen")
    child.expect("is open until you press Ctrl-C; your access ends in 42 min")
    child.sendintr()
    assert ended(child) == 0
    assert agent.endpoints == set()


def test_listening_starts_no_client(hoop: Hoop) -> None:
    assert hoop("connect", "prod-db", "--listen", "--", "-l").returncode == 2


# --- no grant -----------------------------------------------------------------------------------


def test_without_a_terminal_a_missing_grant_exits_4_with_the_command_to_type(
    agent: FakeAgent, hoop: Hoop
) -> None:
    agent.granted = False
    for arguments in ((), ("--listen",), ("--", "-l")):
        done = hoop("connect", "prod-db", *arguments)
        assert done.returncode == 4
        assert done.stderr == (
            'hoop: you have no grant for "prod-db"\n      Ask for it:  hoop request prod-db\n'
        )
        assert done.stdout == ""
    assert not agent.asked("POST", "/v1/requests")


def test_at_a_terminal_hoop_offers_to_ask_waits_and_connects(
    agent: FakeAgent, terminal: Terminal, path: str
) -> None:
    def approve(agent: FakeAgent, one: dict[str, object]) -> None:
        one |= {"state": "fulfilled", "votes": [vote("approve", "ok")]}
        agent.granted = True

    agent.granted = False
    child = terminal("connect", "prod-db", PATH=path)
    child.expect('you have no grant for "prod-db"')
    child.expect("why do you need it")
    child.sendline("order 4711")
    child.expect("For how long")
    child.sendline("30m")
    child.expect("waits for 1 vote from dba")
    agent.decides = approve
    child.expect("You have access to prod-db")
    child.expect('"PGUSER": "e-3k8s5w2rtn"')
    assert ended(child) == 7
    asked = agent.asked("POST", "/v1/requests")[0].body
    assert asked == {"target": "prod-db", "reason": "order 4711", "duration": 1800}


def test_enter_at_the_offer_asks_for_nothing(
    agent: FakeAgent, terminal: Terminal, path: str
) -> None:
    agent.granted = False
    child = terminal("connect", "prod-db", PATH=path)
    child.expect("why do you need it")
    child.sendline("")
    child.expect("Ask for it:  hoop request prod-db")
    assert ended(child) == 4
    assert not agent.asked("POST", "/v1/requests")


def test_a_request_that_waits_already_is_not_made_twice(
    agent: FakeAgent, terminal: Terminal, path: str
) -> None:
    def deny(agent: FakeAgent, one: dict[str, object]) -> None:
        one |= {"state": "denied", "votes": [vote("deny", "not now")]}

    agent.granted, agent.decides = False, deny
    agent.keep(request())
    child = terminal("connect", "prod-db", PATH=path)
    child.expect("bob@example.com denied your request for prod-db: not now")
    assert ended(child) == 4
    assert not agent.asked("POST", "/v1/requests")


def test_ctrl_c_at_the_offer_exits_130_and_asks_for_nothing(
    agent: FakeAgent, terminal: Terminal, path: str
) -> None:
    agent.granted = False
    child = terminal("connect", "prod-db", PATH=path)
    child.expect("why do you need it")
    child.sendintr()
    assert ended(child) == 130
    assert not agent.asked("POST", "/v1/requests")
