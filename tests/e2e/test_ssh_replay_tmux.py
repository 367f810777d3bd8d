"""What a shell's terminal showed, watched in the player of ``hoop replay``, in a real terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pexpect
import pytest

from tests.e2e.ssh_world import SshWorld
from tests.e2e.test_ssh_targets import sessions, shell, until
from tests.e2e.world import Person
from tests.tmux import PROMPT, in_tmux
from tests.worlds import signed_in, started

HOOP = (sys.executable, "-m", "hoopcli")


@pytest.fixture(scope="module")
def ana() -> Iterator[Person]:
    with started(SshWorld) as world:
        signed_in(world, "ben")
        person = signed_in(world, "ana")
        person.hoop("request", "web-ca", "--reason", "a test of replays", "--for", "1h")
        yield person


def newest(ana: Person, *, ended: bool) -> str:
    def look() -> str:
        found = sessions(ana, "web-ca")[:1]
        return found[0]["id"] if found and bool(found[0].get("ended")) is ended else ""

    id: str = until(look, "the session is there")
    return id


def test_a_shell_that_has_ended_is_watched_and_nothing_of_it_is_obeyed(ana: Person) -> None:
    child = shell(ana, "web-ca")
    child.sendline("printf '\\033]0;owned\\007\\033[31m%s\\033[0m\\n' se''en; printf '\\033[6n'")
    child.expect("seen")
    child.sendline("seq 1 3; sleep 0.2; echo la''st")
    child.expect("last")
    child.sendline("exit")
    child.expect(pexpect.EOF)
    child.close()
    replay = [*HOOP, "replay", newest(ana, ended=True)]
    with in_tmux(replay, ana.world.environment("ana"), 100, 30) as tmux:
        tmux.until("shell", "t shows what it showed")
        tmux.keys("t")
        seen = tmux.until("its terminal ends here", "seen", r"1\n2\n3\nlast")
        assert "statement 1" not in seen, "the player is behind it"
        assert "owned" not in seen.replace("033]0;owned", "")
        tmux.keys("x")
        back = tmux.settled("statement 1", "q quit")
        assert "last" not in back
        tmux.keys("t")
        tmux.until("sleep 0.2")
        tmux.keys("q")  # before it ends
        tmux.settled("statement 1")
        tmux.keys("n")
        tmux.settled("there is no|no refusal")
        tmux.keys("q")
        tmux.until(PROMPT)


def test_a_shell_that_runs_is_watched_as_it_goes_on(ana: Person) -> None:
    child = shell(ana, "web-ca")
    replay = [*HOOP, "replay", newest(ana, ended=False), "--follow"]
    with in_tmux(replay, ana.world.environment("ana"), 100, 30) as tmux:
        tmux.until("the session runs|running", "shell")
        tmux.keys("t")
        tmux.until("p>")
        child.sendline("echo no''w")
        tmux.until("now")
        child.sendline("exit")
        child.expect(pexpect.EOF)
        tmux.until("its terminal ends here")
        tmux.keys("q")
        tmux.settled("end: client left", "verified")  # it followed
        tmux.keys("q")
        tmux.until(PROMPT)
    child.close()
