"""What people did with their access, counted from recordings.  Pure.

``counting``: one recording → what its statements came to · ``folding``: many of them → what one
principal did on one target, by day and by atom · ``lattice``: scopes made narrower, and how many
recorded statements would still pass · ``coverage``: whether what was not seen did not happen.
"""

from hoopcore.usage.counting import (
    DAY,
    VERSION,
    Counting,
    Shape,
    Tally,
    Use,
    decoded,
    encoded,
    use_of,
)
from hoopcore.usage.coverage import Span, joined, known_since
from hoopcore.usage.folding import Folded, UsageRollup, fold, rollups
from hoopcore.usage.lattice import Replay, generalised, narrower, replay, used_atoms, wanted_by

__all__ = [
    "DAY",
    "VERSION",
    "Counting",
    "Folded",
    "Replay",
    "Shape",
    "Span",
    "Tally",
    "UsageRollup",
    "Use",
    "decoded",
    "encoded",
    "fold",
    "generalised",
    "joined",
    "known_since",
    "narrower",
    "replay",
    "rollups",
    "use_of",
    "used_atoms",
    "wanted_by",
]
