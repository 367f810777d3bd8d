"""Named finders of sensitive text: bytes → spans.

``sweep.py`` looks at many rows at once and then at single cells; ``spans.py`` says what a kind is.
Each of the others has some kinds: what they look like, and what settles that they are it.
"""

from hoopcore.detectors.cards import is_card
from hoopcore.detectors.checksums import CHECKSUMS
from hoopcore.detectors.own import Own
from hoopcore.detectors.phones import REGIONS, known_regions, phone
from hoopcore.detectors.spans import Buffer, Kind, Span
from hoopcore.detectors.sweep import IN_RECORDINGS, KINDS, Sweep, find, kind_named

__all__ = [
    "CHECKSUMS",
    "IN_RECORDINGS",
    "KINDS",
    "REGIONS",
    "Buffer",
    "Kind",
    "Own",
    "Span",
    "Sweep",
    "find",
    "is_card",
    "kind_named",
    "known_regions",
    "phone",
]
