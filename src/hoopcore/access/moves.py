"""Which state may follow which.  What is not listed is refused."""

from __future__ import annotations

from collections.abc import Mapping

from hoopcore.model import GrantState, RequestState

REQUEST_MOVES: Mapping[RequestState, frozenset[RequestState]] = {
    RequestState.PENDING: frozenset(
        {
            RequestState.APPROVED,
            RequestState.DENIED,
            RequestState.CANCELLED,
            RequestState.EXPIRED,
        }
    ),
    RequestState.APPROVED: frozenset({RequestState.FULFILLED, RequestState.WITHDRAWN}),
    RequestState.DENIED: frozenset(),
    RequestState.CANCELLED: frozenset(),
    RequestState.EXPIRED: frozenset(),
    RequestState.FULFILLED: frozenset(),
    RequestState.WITHDRAWN: frozenset(),
}

_ENDS = frozenset(
    {
        GrantState.EXPIRED,
        GrantState.REVOKED,
        GrantState.RELINQUISHED,
        GrantState.SUPERSEDED,
    }
)

GRANT_MOVES: Mapping[GrantState, frozenset[GrantState]] = {
    GrantState.SCHEDULED: _ENDS | {GrantState.ACTIVE},
    GrantState.ACTIVE: _ENDS | {GrantState.SUSPENDED},
    GrantState.SUSPENDED: _ENDS | {GrantState.ACTIVE},
    **{state: frozenset() for state in _ENDS},
}

ENDABLE = frozenset(state for state, following in GRANT_MOVES.items() if following)
"""States of a grant that has not ended."""
