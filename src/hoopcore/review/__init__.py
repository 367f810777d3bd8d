"""Looking back at a grant: do you still need this?  Pure.

``items``: the life of one question · ``answers``: what an answer becomes · ``groups``: in which
order grants are asked about, and which may be answered together · ``breaker``: a run that would end
too much stops and asks.
"""

from hoopcore.review.answers import (
    ANSWERS,
    UNDO,
    Fault,
    Outcome,
    Said,
    confirms_as,
    narrowed,
    outcome,
    wants_reason,
)
from hoopcore.review.breaker import LEAST, SHARE, most_ended, trips
from hoopcore.review.groups import IDLE, SECONDS, Group, Seen, group_of, is_pulled, ordered
from hoopcore.review.items import DEPTH, MOVES, OPEN, Item, ItemState, may_move

__all__ = [
    "ANSWERS",
    "DEPTH",
    "IDLE",
    "LEAST",
    "MOVES",
    "OPEN",
    "SECONDS",
    "SHARE",
    "UNDO",
    "Fault",
    "Group",
    "Item",
    "ItemState",
    "Outcome",
    "Said",
    "Seen",
    "confirms_as",
    "group_of",
    "is_pulled",
    "may_move",
    "most_ended",
    "narrowed",
    "ordered",
    "outcome",
    "trips",
    "wants_reason",
]
