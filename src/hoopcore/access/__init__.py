"""Who may open which target until when, and how a request becomes a grant.

Everything here is a function of values: the clock, the dice and the store are the caller's.

``holding``: what a principal may do now, and until when · ``offers``: who may ask for what ·
``asking``: what a wish becomes · ``deciding``: votes, what follows, and the grant · ``softness``:
what a narrowed grant may have again · ``moves``: which state may follow which.
"""

from hoopcore.access.asking import (
    LONGEST_NOTE,
    LONGEST_REASON,
    NO_ROSTERS,
    Choice,
    Refusal,
    Smaller,
    Wish,
    ask,
    choose,
    fault_in,
    repeats,
    smaller,
)
from hoopcore.access.deciding import (
    WhyNot,
    answers_for,
    capacity,
    grant_for,
    granted_scope,
    may_vote,
    names_of,
    settle,
    still_missing,
    votes_as,
)
from hoopcore.access.holding import Access, access, bereft, deadline, end_of, holds, lasts_until
from hoopcore.access.moves import ENDABLE, GRANT_MOVES, REQUEST_MOVES
from hoopcore.access.offers import (
    Auto,
    Eligibility,
    Lint,
    decidable,
    fits,
    offers_for,
    still_offered,
)
from hoopcore.access.softness import (
    answers_oneself,
    has_all,
    learner,
    soft_scope,
    softened,
    taught,
)

__all__ = [
    "ENDABLE",
    "GRANT_MOVES",
    "LONGEST_NOTE",
    "LONGEST_REASON",
    "NO_ROSTERS",
    "REQUEST_MOVES",
    "Access",
    "Auto",
    "Choice",
    "Eligibility",
    "Lint",
    "Refusal",
    "Smaller",
    "WhyNot",
    "Wish",
    "access",
    "answers_for",
    "answers_oneself",
    "ask",
    "bereft",
    "capacity",
    "choose",
    "deadline",
    "decidable",
    "end_of",
    "fault_in",
    "fits",
    "grant_for",
    "granted_scope",
    "has_all",
    "holds",
    "lasts_until",
    "learner",
    "may_vote",
    "names_of",
    "offers_for",
    "repeats",
    "settle",
    "smaller",
    "soft_scope",
    "softened",
    "still_missing",
    "still_offered",
    "taught",
    "votes_as",
]
