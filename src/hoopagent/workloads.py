"""Principals that are no people: a CI job, a service, an AI agent that acts for somebody.

They have no browser to sign in with, but somebody vouches for them: an access token of a provider
(client credentials, RFC 6749 4.4), or a token that a platform puts into a file.  Which of those is
who, is said by ``[[identity.workloads]]``: every claim written there must be in the token, exactly.
The first workload that fits is the one; a token that fits none is refused.

What comes out is a principal of the kind ``service`` or ``agent`` with an owner: it has grants like
anybody, and never a vote.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hoopagent.config import Identity as Settings
from hoopagent.config import Workload
from hoopcore.model import Kind, Principal


def of_issuer(settings: Settings, issuer: str) -> list[Workload]:
    """The workloads this issuer may vouch for, in the order they are written."""
    return [workload for workload in settings.workloads if issuer_of(settings, workload) == issuer]


def issuer_of(settings: Settings, workload: Workload) -> str:
    """The workload's own issuer, else the one that people sign in with."""
    return workload.issuer or settings.issuer


def fits(workload: Workload, claims: Mapping[str, Any]) -> bool:
    """Whether each claim that is asked for is there and is what it shall be.

    Nothing is converted: ``1``, ``true`` and ``"1"`` are three things.  A list in the
    configuration names several values that will do; a list in the token never fits.
    """
    return all(_is(claims.get(name), wanted) for name, wanted in workload.claims.items())


def _is(claim: Any, wanted: str | int | bool | tuple[str, ...]) -> bool:
    several = wanted if isinstance(wanted, tuple) else (wanted,)
    return any(type(claim) is type(one) and claim == one for one in several)


def known(settings: Settings, principal: Principal) -> bool:
    """Whether this principal is a person, or a workload that is still written down."""
    return principal.kind is Kind.HUMAN or any(
        workload.name == principal.subject for workload in of_issuer(settings, principal.issuer)
    )
