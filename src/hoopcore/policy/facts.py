"""What a verdict hangs on beside the rules and the statement, and the verdict itself."""

from __future__ import annotations

from dataclasses import dataclass

from hoopcore.model import NOTHING, Principal, Priority, Scope, Target, Time
from hoopcore.policy.about import Known
from hoopcore.sql.imposed import NOTHING_IMPOSED, Imposed
from hoopcore.sql.names import Names


@dataclass(frozen=True, slots=True)
class Facts:
    """Who, where, and under which grants' scope.  None: it is not known, which counts against."""

    principal: Principal
    target: Target
    scope: Scope
    session: str
    pooled: bool = False  # each transaction may run on another server connection
    role: str = ""  # the database role that the grant imposes
    discards: bool = True  # DISCARD ALL of this server goes back to it
    names: Names | None = None  # what a name without a schema means now; None: any
    roles: frozenset[str] | None = None  # the principal's, of roles.toml
    priorities: frozenset[Priority] | None = None  # of the requests behind the session's grants
    address: str | None = None  # the client's IP address, or about.LOCAL
    imposed: Imposed = NOTHING_IMPOSED  # the settings this session began with
    rows: int | None = None  # that its grants were approved for, an hour; None: no bound of theirs
    soft: Scope = NOTHING  # what its grants were narrowed from: held where the scope says no
    groups_known: bool = True  # whether the principal's groups are all of them

    def known(self, now: Time | None) -> Known:
        """The same, as rules ask for it; ``now`` None: the time is not known."""
        return Known(
            target=self.target.name,
            labels=self.target.labels,
            groups=self.principal.groups if self.groups_known else None,
            roles=self.roles,
            kind=self.principal.kind,
            priorities=self.priorities,
            address=self.address,
            at=now,
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """``rule`` is empty where no rule had to speak; ``hint`` says what to type next.

    What is ``held`` is not allowed either: it waits for an approval, and where nobody can give one
    it is refused.  ``statement`` is which of its message was meant, from 0.  ``hold`` names the
    request of a statement that waits, or has waited, and ``approved`` who let it through.
    """

    allowed: bool
    rule: str = ""
    reason: str = ""
    hint: str = ""
    held: bool = False
    statement: int = 0
    hold: str = ""
    approved: tuple[str, ...] = ()
    code: str = ""  # SQLSTATE of a refusal that is none: the person took it back

    @property
    def word(self) -> str:
        """``allow``, ``hold`` or ``refuse``."""
        return "allow" if self.allowed else "hold" if self.held else "refuse"


ALLOWED = Verdict(True)
