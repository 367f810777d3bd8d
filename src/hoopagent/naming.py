"""How one session reads names without a schema, for as long as that is known.

What the session said at its start holds until a statement may have changed it.  From then on a name
without a schema may mean anything, which refuses more and never less, until the catalog was read
again while the session was idle and outside any transaction.  PostgreSQL reports search_path since
18; before that a session that may have changed it is not understood again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from hoopcore.policy import Verdict
from hoopcore.sql.catalog import Catalog
from hoopcore.sql.names import Names, Viewer, changes_path, changes_relations, changes_viewer
from hoopcore.statement import Reading
from hoopcore.stream import Ask

if TYPE_CHECKING:
    from hoopagent.live import Live

_REPORTED = "search_path"


@dataclass(eq=False)
class Naming:
    """One session's.  ``unsettled`` counts what may have changed the meaning of names."""

    viewer: Viewer | None
    catalog: Catalog | None
    names: Names | None = None
    unsettled: int = 0

    def __post_init__(self) -> None:
        self._look()

    def judge(self, live: Live, ask: Ask, reading: Reading) -> Verdict:
        """As the session's judge does, who is told first what names mean at this moment."""
        reported = live.stream.settings.get(_REPORTED)
        if self.viewer is not None and reported is not None and reported != self.viewer.path:
            self.viewer = replace(self.viewer, path=reported)
            self._look()
        names = self.names if ask.trusted else None
        if live.judge.facts.names is not names:
            live.judge.facts = replace(live.judge.facts, names=names)
        verdict = live.judge.judge(ask, reading)
        if verdict.allowed:
            self.behind(live, reading)
        return verdict

    def behind(self, live: Live, reading: Reading) -> None:
        """What is still known behind a statement that goes to the target."""
        reports = live.stream.settings.get(_REPORTED) is not None
        if changes_relations(reading):
            self.unsettled += 1
            self.names = self.catalog = None
        # A change of search_path that is reported is known before the next text is judged.
        if changes_viewer(reading) or (changes_path(reading) and not reports):
            self.names = self.viewer = None

    def renewed(self, catalog: Catalog | None, unsettled: int | None) -> None:
        """The catalog was read again.

        ``unsettled`` is what it was when the reading began; None: the session was in a transaction
        then, of which the reading has seen nothing.
        """
        if unsettled == self.unsettled:
            self.catalog = catalog
            self._look()

    def _look(self) -> None:
        self.names = None
        if self.viewer is not None and self.catalog is not None:
            self.names = self.viewer.names(self.catalog)
