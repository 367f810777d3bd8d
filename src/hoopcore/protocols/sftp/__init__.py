"""SFTP version 3, as a passage of one channel: judged, accounted for, and never kept.

``wire`` packets · ``frames`` cutting and passing on · ``requests`` what can be asked for ·
``opened`` what is open, and its accounts · ``judging`` what is found out before and behind a
verdict · ``channel`` what both sides know · ``asking`` and ``answering`` a side each · ``passage``
both of them.
"""

from hoopcore.command import Command, Shell
from hoopcore.protocols.sftp.passage import Sftp
from hoopcore.statement import Effect, Relation, Statement, Touch

OPENING = Statement(
    effects=frozenset({Effect.LIST}),
    touches=frozenset({Touch(Relation("", "sftp"), Effect.LIST)}),
    tag="sftp",
    shell=Shell(commands=(Command("sftp"),), carried=True),
)
"""What opening the subsystem does: each file is asked for by itself."""

__all__ = ["OPENING", "Sftp"]
