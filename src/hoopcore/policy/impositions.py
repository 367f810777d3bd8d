"""Which sessions begin with which settings that their clients cannot undo."""

from __future__ import annotations

from dataclasses import dataclass

from hoopcore.policy.about import EVERYBODY, About, Known
from hoopcore.sql.imposed import Imposed


@dataclass(frozen=True, slots=True)
class Imposition:
    """One ``[[impose]]`` of rules.toml.  It holds for a whole session, so it has no hours."""

    name: str
    reason: str
    settings: Imposed
    about: About = EVERYBODY
    unless: About | None = None

    def surely_applies(self, known: Known) -> bool:
        """Whether it is about this session without any doubt."""
        excepted = False if self.unless is None else self.unless.meets(known)
        return self.about.meets(known) is True and excepted is False

    def applies(self, known: Known) -> bool:
        """Whether it is about this session; a doubt counts as met."""
        excepted = False if self.unless is None else self.unless.meets(known)
        return self.about.meets(known) is not False and excepted is not True
