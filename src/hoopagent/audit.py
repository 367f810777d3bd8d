"""Reading the audit: all of it for auditors, what is about oneself for everybody.

Reading is on the audit too, written before anything is shown.  The rows are given as they are
chained, so whoever reads can verify them without believing this agent.

Order of the file: who may, asking, heads, and how a row looks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from hoopagent.audit_heads import Heads
from hoopagent.errors import Refused
from hoopagent.means import Means, View, person
from hoopagent.store import AuditQuery
from hoopcore.audit import Head, Row, head_view, view
from hoopcore.model import Principal, is_id

MOST = 1_000  # rows of one answer


@dataclass(frozen=True, slots=True)
class Wish:
    """What is looked for; the words of the person who asks."""

    query: AuditQuery
    actor: str = ""  # an id, or what people call them
    limit: int = 200


@dataclass(frozen=True, slots=True)
class Audit:
    """The use cases of the audit."""

    means: Means
    heads: Heads | None = None  # None: nothing is signed here

    # --- who may ----------------------------------------------------------------------------------

    def reads_all(self, who: Principal) -> bool:
        """Whether a role makes them an auditor, or lets them administer the agent."""
        roles = self.means.config_now().roles.values()
        return any((role.audit or role.administer) and role.groups & who.groups for role in roles)

    # --- asking -----------------------------------------------------------------------------------

    async def listed(self, who: Principal, wish: Wish) -> View:
        """Rows that fit, with the names of people in them, and where the chain ends now."""
        query = wish.query
        if not self.reads_all(who):
            query = replace(query, about=[who.id])
        if wish.actor:
            query = replace(query, actors=await self._meant(wish.actor))
        await self._note(who, "audit.read", wish)
        rows = await self.means.store.audit_rows(query, min(wish.limit, MOST))
        seq, hash = await self.means.store.audit_tail()
        return {
            "rows": [view(row) for row in rows],
            "names": await self._names(rows),
            "tail": {"seq": seq, "hash": hash},
            "whole": self.reads_all(who),
        }

    async def _meant(self, actor: str) -> list[str]:
        """Ids of those people call that; the word itself where it is an id, or nobody is."""
        if is_id(actor):
            return [actor]
        found = await self.means.store.principals_named(actor)
        return [one.id for one in found] or [actor]

    async def _note(self, who: Principal, action: str, wish: Wish | None = None) -> None:
        now = await self.means.now()
        told: dict[str, object] = {"capacity": "auditor" if self.reads_all(who) else "self"}
        if wish is not None:
            query = wish.query
            told |= {
                "by": wish.actor,
                "did": query.action,
                "of": query.target,
                "after": query.after,
            }
        await self.means.store.audit(self.means.event(now, who.id, action, "audit", **told))

    async def _names(self, rows: Sequence[Row]) -> dict[str, str]:
        ids = {row.event.actor for row in rows} | {row.event.subject for row in rows}
        ids |= {row.event.detail.get("principal", "") for row in rows}
        known = await self.means.store.principals(sorted(id for id in ids if id.startswith("p-")))
        return {id: person(id, known)["name"] for id in known}

    # --- heads ------------------------------------------------------------------------------------

    async def signed(self, who: Principal) -> View:
        """Every head that is kept, this agent's newest one from its own file included."""
        if not self.reads_all(who):
            words = "whether the audit is whole is told to auditors"
            refused = Refused(403, "not_allowed", words, "a role with audit = true may ask")
            raise await self.means.refuse(
                await self.means.now(), who, "audit.verified", "audit", refused
            )
        await self._note(who, "audit.verified")
        if self.heads is not None:
            await self.heads.write()
        found: list[Head] = await self.means.store.audit_heads()
        own = None if self.heads is None else self.heads.last()
        if own is not None and own not in found:
            found.append(own)
        seq, hash = await self.means.store.audit_tail()
        key = "" if self.heads is None else self.heads.keys.id
        return {
            "heads": [head_view(head) for head in found],
            "tail": {"seq": seq, "hash": hash},
            "key": key,
        }
