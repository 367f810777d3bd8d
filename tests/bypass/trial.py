"""One case of the battery: statements, and what is special about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias


class Case(NamedTuple):
    """``mark`` says why the case is no plain leak:

    ``clean``: nothing of a masked value is in the answer (a count, IS NULL): it must come through.
    ``infers``: rows are chosen or ordered by a masked value (published), or by who is there.
    ``counts``: a leak, of which the number of rows, or that it fails, is published inference.
    ``silent``: it shows nothing of the forms that are looked for; the two fillings may tell.
    ``open``: it comes out today, and the docs say so (``OPEN`` in ``battery.py``).
    ``no-xml``: a server may have been built without it.
    ``since`` is the major that knows it first; ``alone`` runs it on a connection of its own,
    outside a transaction.
    """

    texts: str | tuple[str, ...]
    mark: str = ""
    since: int = 0
    alone: bool = False


class Trial(NamedTuple):
    """A case as it is run."""

    name: str
    line: str
    texts: tuple[str, ...]
    mark: str = ""
    since: int = 0
    alone: bool = False

    def on(self, major: int) -> bool:
        """Whether that server knows it."""
        return major >= self.since


Written: TypeAlias = Mapping[str, Sequence[str | tuple[str, ...] | Case]]
