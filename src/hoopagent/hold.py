"""One held statement: what it is, how it may end, and what its user is told.

``holds.py`` leads it from its beginning to its end.

Order of the file: the values, the hold, words.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from hoopcore.model import (
    SECOND,
    Answer,
    Atom,
    Held,
    Principal,
    Request,
    Target,
    Time,
    Vote,
)


@dataclass(frozen=True, slots=True)
class Terms:
    """Under which a statement is held: the rule, and whose approval it wants."""

    rule: str
    approvers: frozenset[str] = frozenset()  # empty: those who decided about the grants
    votes: int = 1
    wait: int = 600  # seconds
    why: str = field(default="", compare=False)  # the rule's reason
    learns: frozenset[Atom] = frozenset()  # a step-up: what a narrowed grant has again
    held_too: bool = field(default=False, compare=False)  # by a rule or a budget, beside that

    def is_met(self, granted: Iterable[Terms]) -> bool:
        """Whether one of these approvals is for this: a step-up also by one for more."""
        return any(
            self == one or (self.learns and self.rule == one.rule and self.learns <= one.learns)
            for one in granted
        )


@dataclass(frozen=True, slots=True)
class Ending:
    """How a hold ended, in words for whoever has said the statement."""

    approved: bool
    reason: str = ""
    hint: str = ""
    code: str = ""  # SQLSTATE, where it is not a refusal
    by: tuple[str, ...] = ()  # who approved it (Principal.id)


@dataclass(frozen=True, slots=True)
class Case:
    """A statement that somebody has to decide about, and whose it is."""

    principal: Principal
    target: Target
    grants: tuple[str, ...]
    terms: Terms
    held: Held
    until: Time | None = (
        None  # the latest that its session can wait; None: as long as the rule says
    )
    why_until: str = ""


@dataclass(eq=False)
class Hold:
    """One statement that waits, and what its session can be asked and told."""

    id: str
    case: Case
    ended: asyncio.Future[Ending]
    complete: Callable[[Case], Awaitable[Case]]  # with what only the target can tell
    say: Callable[[str, str], None]  # a NOTICE and its hint
    still: Callable[[], str]  # why it may not run any more; empty where it may
    gone: Callable[[], bool]  # whether its client has left
    learned: Callable[[], Awaitable[object]] | None = None  # its grant is another one now
    request: Request | None = None  # as it is in the store
    told: int = 0  # votes that the user knows of
    reminded: Time = 0
    over: Callable[[], None] = lambda: None
    closing: asyncio.Task[None] | None = None

    def end(self, ending: Ending) -> bool:
        """Ends it; False where it has ended already."""
        if self.ended.done():
            return False
        self.ended.set_result(ending)
        self.over()
        return True


# --- words ----------------------------------------------------------------------------------------

HINT = "Talk to them, or run it again to ask again."


def failed(why: str) -> Ending:
    return Ending(False, f"it would have to be approved, but {why}", "tell who runs the agent")


def expired(hold: Hold, request: Request) -> Ending:
    waited = span(request.expires - request.created)
    why = f" ({hold.case.why_until})" if request.expires == hold.case.until else ""
    return Ending(False, f"nobody has decided on {hold.id} within {waited}{why}", HINT)


def asked(hold: Hold, request: Request, now: Time) -> tuple[str, str]:
    terms, case = hold.case.terms, hold.case
    left = span(request.expires - now)
    why = f" ({case.why_until})" if case.why_until else ""
    text = (
        f'held by rule "{terms.rule}": {case.held.why}; {hold.id} waits for'
        f" {needs(request, [])}, {left} at most{why}"
    )
    who = f"They decide with:  hoop approve {hold.id}"
    if request.held is not None and request.held.own:
        who = f'Say why in another terminal:  hoop step-up {hold.id} --reason "…"'
    return text, f"{who}   To withdraw it, cancel it (Ctrl-C)."


def needs(request: Request, votes: Sequence[Vote]) -> str:
    """``1 of dba``, ``1 more of dba or oncall``; ``your own word`` for a step-up of one's own."""
    if request.held is not None and request.held.own:
        return "your own word"
    yes = sum(vote.answer is Answer.APPROVE for vote in votes)
    groups = " or ".join(sorted(request.rule.approvers))
    return f"{request.rule.votes - yes}{' more' if yes else ''} of {groups}"


def span(time: int) -> str:
    """Whole minutes where there are some, else seconds."""
    seconds = -(-time // SECOND)
    return f"{seconds // 60} min" if seconds >= 120 else f"{seconds} s"
