"""The story that ``hoop demo`` tells: real commands of two people, with their real output.

Each step says what is about to happen, shows the command as it would be typed, runs it, shows what
it printed, and checks that it showed what it should.  One step that did not fails the demo.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from hoopcli.demo.world import World

# What a person would type behind `hoop`, and what must come of it.
Check = Callable[["Outcome"], str | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did: its exit status and all it printed, in the order it was printed."""

    status: int
    output: str


class StoryFailed(Exception):
    """A step did not show what it should; the text says which and what was missing."""


def ends(status: int) -> Check:
    """The command's exit status is this one."""
    return lambda done: None if done.status == status else f"exit {done.status}, not {status}"


def shows(*words: str) -> Check:
    """Each of these is somewhere in the output."""

    def check(done: Outcome) -> str | None:
        absent = [word for word in words if word not in done.output]
        return f"the output lacks {absent[0]!r}" if absent else None

    return check


def hides(*words: str) -> Check:
    """None of these is anywhere in the output."""

    def check(done: Outcome) -> str | None:
        present = [word for word in words if word in done.output]
        return f"the output holds {present[0]!r}" if present else None

    return check


@dataclass(slots=True)
class Teller:
    """Runs commands as people and prints what happens; ``found`` keeps ids for later steps."""

    world: World
    show: Callable[[str], None]
    failures: list[str] = field(default_factory=list)
    steps: int = 0

    def chapter(self, title: str) -> None:
        self.show(f"\n# {title}\n")

    def says(self, person: str, arguments: list[str], *checks: Check) -> Outcome:
        """``person`` types ``hoop`` and the arguments; every check must hold."""
        self.steps += 1
        self.show(f"{person}$ hoop {_quoted(arguments)}")
        done = self._run(person, arguments)
        for check in checks:
            wrong = check(done)
            if wrong:
                self.failures.append(f"step {self.steps}, hoop {arguments[0]}: {wrong}")
                self.show(f"   !! {wrong}")
        self.show("")
        return done

    def ask(self, person: str, *arguments: str) -> list[dict[str, str]]:
        """The same commands, for a script: what ``-o json`` gives.  Not shown."""
        done = subprocess.run(
            self._command([*arguments, "-o", "json"]),
            env=self.world.environment(person),
            capture_output=True,
            check=False,
            text=True,
        )
        if done.returncode:
            raise StoryFailed(f"hoop {arguments[0]} -o json: {done.stderr.strip()}")
        found: list[dict[str, str]] = json.loads(done.stdout)
        return found

    def _run(self, person: str, arguments: list[str]) -> Outcome:
        process = subprocess.Popen(
            self._command(arguments),
            env=self.world.environment(person),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        lines: list[str] = []
        for line in self._lines(process):
            lines.append(line)
            self.show(f"  {line}")
            if code := re.search(r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b", line):
                self._in_the_browser(person, code[0])
        return Outcome(process.wait(), "\n".join(lines))

    def _lines(self, process: subprocess.Popen[bytes]) -> Iterator[str]:
        assert process.stdout is not None
        watch = threading.Timer(60, process.kill)
        watch.start()
        try:
            for raw in process.stdout:
                yield raw.decode("utf-8", "replace").rstrip("\n")
        finally:
            watch.cancel()

    def _in_the_browser(self, person: str, code: str) -> None:
        """The demo opens the page and says yes, as a person would; the page itself is real."""
        if code in self._answered:
            return
        self._answered.add(code)
        from hoopcli.demo.provider import approve

        self.show(f"  (in the browser, {person} enters {code} and signs in)")
        approve(self.world.provider["issuer"], code, person)

    def _command(self, arguments: list[str]) -> list[str]:
        return [sys.executable, "-m", "hoopcli", *arguments]

    _answered: set[str] = field(default_factory=set)


def _quoted(arguments: list[str]) -> str:
    """As one would type it in a shell."""
    return " ".join(
        f'"{word}"' if re.search(r"[\s;*()']", word) or not word else word for word in arguments
    )


def tell(teller: Teller) -> None:
    """The whole story."""
    t = teller
    t.chapter("Ana needs the production database. She signs in with her company's provider.")
    t.says("ana", ["login", "--no-browser"], ends(0), shows("ana@"))
    t.says("ana", ["targets"], ends(0), shows("prod-db"))

    t.chapter("She has no grant, so there is no way in, and no password to borrow.")
    look = "select id, name, email, ssn from customers order by id"
    t.says("ana", ["connect", "prod-db", "--", "-c", look], ends(4), shows("hoop request prod-db"))

    t.chapter("She asks for what the task needs, for as long as it needs it.")
    reason = "orders 4 and 5 are stuck, ticket OPS-214"
    t.says("ana", ["request", "prod-db", "--reason", reason, "--for", "1h"], ends(0))
    request = t.ask("ana", "requests", "--mine")[0]["id"]
    t.says("ana", ["approve", request, "--reason", "it is me"], ends(4), shows("hoop:"))

    t.chapter("Ben, of the database team, sees who asks, for what and why, and decides.")
    t.says("ben", ["login", "--no-browser"], ends(0), shows("ben@"))
    t.says("ben", ["requests", "--to-decide"], ends(0), shows(request))
    t.says("ben", ["approve", request, "--reason", "known incident"], ends(0))

    t.chapter("Ana's own psql works now. Values that are not hers to see are masked on the way.")
    masked = [ends(0), shows("Ada Lindgren", "@example.com", "9999")]
    unseen = hides("ada@", "219-09", "bo.okafor", "078-05")
    t.says("ana", ["connect", "prod-db", "--", "-c", look], *masked, unseen)
    cards = "select c.number as n, o.note from cards c join orders o using (customer_id) order by 1"
    kept = hides("4111111111111111", "555555555555", "401288888888", "4012 8888 8888", "bo.okafor@")
    t.says("ana", ["connect", "prod-db", "--", "-c", cards], ends(0), shows("1111", "4444"), kept)

    t.chapter("A DELETE without a WHERE is refused. The session lives on; the rows are all there.")
    oops = ["-c", "delete from orders", "-c", "select count(*) as orders from orders"]
    refused = shows("no-unbounded-delete", "needs a WHERE", "5")
    t.says("ana", ["connect", "prod-db", "--", *oops], refused)
    mend = "update orders set status = 'shipped' where id in (4, 5)"
    t.says("ana", ["connect", "prod-db", "--", "-c", mend], ends(0), shows("UPDATE 2"))

    t.chapter("Everything is on the record, and the record can be checked.")
    t.says("ana", ["sessions", "--mine"], ends(0), shows("prod-db"))
    session = next(s["id"] for s in t.ask("ana", "sessions", "--mine") if int(s["refused"]) == 1)
    told = shows("delete from orders", "no-unbounded-delete", "select count(*)")
    t.says("ana", ["replay", session, "--no-wait"], ends(0), told)
    t.says("ana", ["verify", session], ends(0))

    t.chapter("Does she still need it? Her own usage is the evidence. She gives it back.")
    t.says("ana", ["review", "mine"], ends(0), shows("prod-db", "OPS-214", "pass"))
    grant = t.ask("ana", "grants", "--mine")[0]["id"]
    less = ["review", "mine", "--narrow", grant, "--scope", "customers:read", "--dry-run"]
    t.says("ana", less, ends(0), shows("statements would still pass", "orders:update"))
    t.says("ana", ["review", "mine", "--give-back", grant], ends(0), shows("hoop review undo"))
    t.says("ana", ["connect", "prod-db", "--", "-c", "select 1"], ends(4), shows("hoop request"))
