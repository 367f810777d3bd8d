"""How long people took to decide, so that somebody who asks knows what to expect."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from hoopagent.means import Means
from hoopcore.model import SECOND, RequestState, Time

# Decisions that are looked at, and how old they may be: who decides changes.
_MOST = 20
_LOOKED_THROUGH = 200
_OLDEST = 90 * 86_400 * SECOND

_DECIDED = (RequestState.FULFILLED, RequestState.DENIED)


async def usual_wait(means: Means, rule: str, now: Time) -> int | None:
    """The median of the last decisions under this rule, in seconds; None: there were none.

    What nobody voted on, such as what the policy grants itself, says nothing about people.
    """
    waits: list[int] = []
    for state in _DECIDED:
        found = await means.store.requests(state=state, limit=_LOOKED_THROUGH)
        under = [one for one in found if one.rule.name == rule and now - one.created < _OLDEST]
        votes = await means.store.votes_on([one.id for one in under[:_MOST]])
        waits += [
            cast[-1].at - one.created for one in under for cast in [votes.get(one.id, ())] if cast
        ]
    return _middle(waits)


def _middle(waits: Sequence[Time]) -> int | None:
    return round(median(waits) / SECOND) if waits else None
