"""Who may open which target until when, and how a request becomes a grant.

Everything here is a function of values: the clock, the dice and the store are the caller's.

``holding``: what a principal may do now, and until when · ``asking``: what a wish becomes ·
``deciding``: votes, what follows, and the grant · ``moves``: which state may follow which.
"""

from hoopcore.access.asking import (
    LONGEST_NOTE,
    LONGEST_REASON,
    Eligibility,
    Refusal,
    Wish,
    ask,
    decidable,
    fault_in,
    offers_for,
    repeats,
    still_offered,
)
from hoopcore.access.deciding import WhyNot, answers_for, capacity, grant_for, may_vote, settle
from hoopcore.access.holding import Access, access, bereft, deadline, end_of, holds
from hoopcore.access.moves import ENDABLE, GRANT_MOVES, REQUEST_MOVES

__all__ = [
    "ENDABLE",
    "GRANT_MOVES",
    "LONGEST_NOTE",
    "LONGEST_REASON",
    "REQUEST_MOVES",
    "Access",
    "Eligibility",
    "Refusal",
    "WhyNot",
    "Wish",
    "access",
    "answers_for",
    "ask",
    "bereft",
    "capacity",
    "deadline",
    "decidable",
    "end_of",
    "fault_in",
    "grant_for",
    "holds",
    "may_vote",
    "offers_for",
    "repeats",
    "settle",
    "still_offered",
]
