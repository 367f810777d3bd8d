"""The offers of roles.toml in the words of the core, and who is on call.

A roster is a file that somebody else keeps (an export of the on-call plan), so it is read when a
request is made.  One that cannot be read is no roster: whoever would have been granted by it waits
for a person.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import structlog

from hoopagent import config as sections
from hoopagent.config import Config, seconds
from hoopcore.access import Auto, Eligibility, Lint
from hoopcore.model import Scope
from hoopcore.policy.windows import Window
from hoopcore.voters import Escalation, Limits, Need, Voters

log = structlog.get_logger()

# Bytes.  A roster is a handful of names; what is larger is another file.
_LONGEST = 64 << 10


def offers_of(config: Config) -> tuple[Eligibility, ...]:
    """Every ``may_request``, named ``ROLE``, or ``ROLE#2`` where a role has more than one."""
    return tuple(
        _offer(role_name if number == 1 else f"{role_name}#{number}", role.groups, offer)
        for role_name, role in config.roles.items()
        for number, offer in enumerate(role.may_request, 1)
    )


@lru_cache(maxsize=4_096)  # frozen sections: a reload brings others
def _offer(name: str, groups: frozenset[str], offer: sections.Eligibility) -> Eligibility:
    return Eligibility(
        name=name,
        groups=groups,
        targets=offer.targets,
        scope=Scope.parse(offer.scope),
        max_duration=seconds(offer.max),
        approvers=offer.approvers,
        votes=offer.votes,
        expires=seconds(offer.expires),
        database_role=offer.database_role or offer.account or "",
        people=offer.people,
        owners=offer.owners,
        needs=tuple(Need(Voters(one.approvers, one.people), one.votes) for one in offer.needs),
        later=tuple(
            Escalation(seconds(one.after), Voters(one.approvers, one.people)) for one in offer.later
        ),
        auto=tuple(_auto(one) for one in offer.auto),
        lint=_lint(offer.reasons),
        start_within=seconds(offer.start_within) if offer.starts == "connect" else None,
        give_back=None if offer.give_back is None else seconds(offer.give_back),
        ahead=seconds(offer.ahead),
        break_glass=offer.break_glass,
    )


def _auto(one: sections.Auto) -> Auto:
    return Auto(
        name=one.name,
        groups=one.groups,
        targets=one.targets,
        scope=None if one.scope is None else Scope.parse(one.scope),
        max_duration=None if one.max is None else seconds(one.max),
        hours=tuple(Window.parse(text) for text in one.hours),
        ticket=one.ticket or "",
        priorities=one.priorities,
        on_call="" if one.on_call is None else str(one.on_call),
        extensions=one.extensions,
        limits=Limits(one.read_only, one.masked, one.max_rows),
    )


def _lint(reasons: sections.Reasons) -> Lint:
    refused = frozenset(word.casefold().strip(".!? ") for word in reasons.refuse)
    return Lint(reasons.min_length, refused, reasons.ticket or "")


# --- who is on call -------------------------------------------------------------------------------


async def rosters_for(config: Config, offers: Iterable[Eligibility]) -> dict[str, frozenset[str]]:
    """The rosters that these offers ask for, by their name; one that cannot be read is left out."""
    names = {auto.on_call for offer in offers for auto in offer.auto if auto.on_call}
    found: dict[str, frozenset[str]] = {}
    for name in sorted(names):
        try:
            found[name] = await asyncio.to_thread(_read, config.folder / name)
        except (OSError, ValueError) as problem:
            log.warning("roster.unread", file=name, problem=type(problem).__name__)
    return found


def _read(path: Path) -> frozenset[str]:
    """One name a line; blank lines and what stands behind ``#`` are no names."""
    with path.open("rb") as file:
        text = file.read(_LONGEST + 1)
    if len(text) > _LONGEST:
        raise ValueError("too long to be a roster")
    lines = (line.partition("#")[0].strip() for line in text.decode("utf-8").splitlines())
    return frozenset(line for line in lines if line)
