"""Writes docs/tutorial.md: a day with hoop, where the program itself prints every output.

    .venv/bin/python -m tests.docs_tutorial > docs/tutorial.md

Two people type real commands at a real agent in front of a real PostgreSQL.  tests/e2e compares the
page with what the program prints now, by its shape: ids, times and the widths they cause differ
from day to day.  Order of the file: the story, running it, its shape.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field

from hoopcli.demo.story import Check, Outcome, Teller, ends, hides, shows
from hoopcli.demo.world import World

HEAD = (
    "# A day with hoop\n\n"
    "Ana needs something of production, Ben decides about it, and in the evening somebody asks "
    "what happened. Every output below was printed by the program "
    "(`python -m tests.docs_tutorial`), and a test says when it prints something else. To type "
    "along, start [`hoop demo --serve`](tutorial/first-session.md#1-start-the-demo) and open a "
    "terminal for each of the two.\n"
)


@dataclass
class Page:
    """What is written so far, and ids that later commands name."""

    world: World
    text: list[str] = field(default_factory=lambda: [HEAD])
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lines: list[str] = []
        self._teller = Teller(self.world, self._lines.append, self.failures)

    def chapter(self, title: str, *words: str) -> None:
        self.text.append(f"## {title}\n")
        self.say(*words)

    def say(self, *words: str) -> None:
        self.text += [f"{one}\n" for one in words]

    def types(self, person: str, line: str, *checks: Check) -> Outcome:
        """``person`` types the words of the line; ``"…"`` is one word."""
        words = [one.strip('"') for one in re.findall(r'"[^"]*"|\S+', line)]
        self._lines.clear()
        done = self._teller.says(person, words, *checks)
        shown = [one.removeprefix("  ").rstrip() for one in self._lines]
        self.text.append("\n".join(["```console", *shown[:1], *shown[1:]]).rstrip() + "\n```\n")
        return done

    def newest(self, person: str, *arguments: str) -> str:
        """The id of the first thing that a list names."""
        return str(self._teller.ask(person, *arguments)[0]["id"])


# --- the story ------------------------------------------------------------------------------------


def tell(page: Page) -> None:
    """From the sign-in to the evening's questions."""
    for part in (_sign_in, _ask, _use, _suspend, _glass, _look_back):
        part(page)


def _sign_in(page: Page) -> None:
    page.chapter("Sign in", "Each with the company's provider; no password of a database is shown.")
    page.types("ben", "login --no-browser", ends(0), shows("Signed in as ben@"))
    page.types("ana", "login --no-browser", ends(0), shows("Signed in as ana@"))
    page.types("ana", "targets", ends(0), shows("prod-db"))


def _ask(page: Page) -> None:
    page.chapter(
        "Ask, and decide", "Without a grant there is no way in, and hoop says what to type."
    )
    page.types("ana", 'connect prod-db -- -c "select 1"', ends(4), shows("hoop request prod-db"))
    page.types("ana", 'request prod-db --reason "order 4711 is stuck, OPS-214" --for 1h', ends(0))
    page.say("Ben looks at what waits for him, and says yes, for less.")
    page.types("ben", "requests --to-decide", ends(0), shows("order 4711"))
    request = page.newest("ben", "requests", "--to-decide")
    page.types("ben", f'approve {request} --for 30m --reason "known incident"', ends(0))


def _use(page: Page) -> None:
    page.chapter(
        "Use it",
        "With psql as it is. Values of masked columns never arrive, and what a rule refuses does "
        "not end the session.",
    )
    page.types(
        "ana",
        'connect prod-db -- -c "select id, name, email, ssn from customers order by id limit 2"',
        ends(0), shows("Ada Lindgren"), hides("219-09-9999"),
    )  # fmt: skip
    page.types(
        "ana",
        'connect prod-db -- -c "delete from orders" -c "select count(*) from orders"',
        shows("refused by rule"),
    )


def _suspend(page: Page) -> None:
    page.chapter(
        "Stop it for a while",
        "Ben sees a load he cannot place. Suspending closes the sessions and leaves the grant.",
    )
    grant = page.newest("ana", "grants", "--mine")
    page.types("ben", f'suspend {grant} --reason "is this load yours?"', ends(0))
    page.types("ana", 'connect prod-db -- -c "select 1"', ends(4))
    page.types("ben", f"resume {grant}", ends(0), shows("active"))
    page.say("Ana is done, and gives it back.")
    page.types("ana", f"relinquish {grant}", ends(0))


def _glass(page: Page) -> None:
    page.chapter(
        "Break the glass",
        "At night the shop is down and nobody is awake. Ana gets in at once: for half an hour at "
        "the most, with masks on, and the owners are told.",
    )
    page.types(
        "ana",
        'request prod-db --break-glass --incident INC-1 --reason "the shop is down"',
        ends(0), shows("masks on"),
    )  # fmt: skip
    page.types(
        "ana",
        'connect prod-db -- -c "select id, status from orders order by id limit 1"',
        ends(0),
    )
    page.say("In the morning Ben says whether it was right. Until then she breaks no other one.")
    page.types("ana", 'request prod-db --break-glass --incident INC-2 --reason "again"', ends(4))
    page.types("ben", "review break-glass", ends(0), shows("INC-1"))
    review = page.newest("ben", "review", "break-glass")
    page.types("ben", f'review break-glass {review} --justified --reason "it was down"', ends(0))


def _look_back(page: Page) -> None:
    page.chapter("Look back", "Who was there, and what the whole day was, by the chained audit.")
    page.types("ana", "sessions --mine", ends(0), shows("client left"))
    page.types("ben", "audit --limit 8", ends(0), shows("glass.broken"))
    page.types("ben", "audit verify", ends(0), shows("whole and unchanged"))
    page.say(
        "More: [break the glass](how-to/break-glass.md), [end access](how-to/end-access.md), "
        "[tell people](how-to/notifications.md), [the audit](how-to/audit.md)."
    )


# --- running it -----------------------------------------------------------------------------------


def page_of(make: Callable[[], World] = World) -> tuple[str, list[str]]:
    """The page as the program prints it now, and what did not come out as it should."""
    with make() as world:
        page = Page(world)
        tell(page)
    return plain("\n".join(page.text)), page.failures


def plain(text: str) -> str:
    """Without what is this machine's: folders, ports."""
    text = re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:7722", text)
    return re.sub(r"/tmp/hoop-demo-\w+", "/srv/hoop", text)


# --- its shape ------------------------------------------------------------------------------------

_ID = r"\b(req|grt|rev|vote|s|p|in)-[0-9b-df-hjkmnp-tv-z]{8,26}\b"
_CODE = r"\b[A-Z0-9]{4}-[A-Z0-9]{4}\b"
_AGO = r"\bnow\b|\b(in )?\d+ (s|min|h)( \d+ min)?( ago)?\b|\bin\b"


def shape(text: str) -> str:
    """What stays the same from run to run: no ids, times, numbers of rows, or widths of columns."""
    for pattern, instead in (
        (r"\b[0-9a-f]{64}\b", "HASH"),
        (_ID, r"\1-ID"),
        (_CODE, "CODE"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b\d\d:\d\d\b", "TIME"),
        (_AGO, "WHEN"),
        (r"(?m)^\d+ +(?=WHEN)", "ROW "),
        (r"(?m)^(rows|last|signed) +\d+$", r"\1 N"),
        (r"[-─]{2,}", "--"),
        (r"\s+", " "),
        (r"(WHEN )+", "WHEN "),
    ):
        text = re.sub(pattern, instead, text)
    return text


if __name__ == "__main__":
    written, wrong = page_of()
    sys.stdout.write(written)
    sys.exit("\n".join(wrong) or None)
