"""What is wrong with one ``may_request`` though each of its keys is right by itself."""

from __future__ import annotations

from collections.abc import Iterator

from hoopagent.config import Auto, Eligibility, seconds
from hoopcore.model import EVERYTHING, READS, Scope


def faults(offer: Eligibility) -> Iterator[tuple[str, str]]:
    """Each as words, and the key they are about."""
    yield from _scope(offer.scope)
    yield from _unmasking(offer)
    somebody = bool(offer.approvers or offer.people or offer.owners)
    if offer.votes and not (somebody or offer.needs):
        yield f"{offer.votes} votes are wanted and nobody may vote", "approvers"
    yield from _voters(offer, somebody)
    names = [auto.name for auto in offer.auto]
    for number, auto in enumerate(offer.auto):
        if auto.name in names[:number]:
            yield f'there are two automatic approvals "{auto.name}"', "auto"
        yield from _auto(auto)


def _unmasking(offer: Eligibility) -> Iterator[tuple[str, str]]:
    """A mask is taken off by somebody's word, never by the policy alone."""
    try:
        if not Scope.parse(offer.scope).unmasks:
            return
    except ValueError:
        return
    if not (offer.votes or offer.needs):
        yield "what is unmasked somebody decides about: votes is at least 1", "votes"


def _voters(offer: Eligibility, somebody: bool) -> Iterator[tuple[str, str]]:
    for need in offer.needs:
        if not (need.approvers or need.people):
            yield f"{need.votes} votes are needed of nobody", "needs"
    if offer.needs and not offer.votes:
        yield "votes = 0 grants at once, whatever is needed", "votes"
    for one in offer.later:
        if not (one.approvers or one.people):
            yield f"nobody is added after {one.after}", "later"
        elif seconds(one.after) >= seconds(offer.expires):
            yield f"after {one.after} the request has lapsed ({offer.expires})", "later"
    if (offer.later or offer.owners) and not offer.votes:
        yield "votes = 0 asks nobody", "votes"


def _auto(auto: Auto) -> Iterator[tuple[str, str]]:
    if auto.scope is None:
        return
    wrong = list(_scope(auto.scope))
    yield from wrong
    if auto.read_only and not wrong and not Scope.parse(auto.scope).meet(READS).atoms:
        yield f'"{auto.name}" grants nothing: its scope has nothing to read', "scope"


def _scope(text: str) -> Iterator[tuple[str, str]]:
    try:
        if not EVERYTHING.covers(Scope.parse(text).with_masks):
            yield "scope", "scope"
    except ValueError as problem:
        yield str(problem), "scope"
