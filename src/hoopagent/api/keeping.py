"""Legal holds: recordings that nobody deletes, however old they become, until they are released.

Only auditors and administrators hold and release, each with a reason, and both are on the audit in
the same transaction.
"""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from hoopagent.api.context import Agent, Who
from hoopagent.api.requests import Id, means_of
from hoopagent.errors import Refused
from hoopagent.means import Means, View, time_or_none
from hoopagent.store import Kept, KeptState
from hoopcore.access import LONGEST_REASON, fault_in
from hoopcore.model import Principal


class Why(BaseModel):
    model_config = ConfigDict(extra="forbid")

    reason: str = Field(max_length=4 * LONGEST_REASON)


@dataclass(frozen=True, slots=True)
class Holds:
    """The use cases of a legal hold."""

    means: Means

    async def hold(self, who: Principal, id: str, reason: str) -> View:
        """Nobody deletes it from now on."""
        now, reason = await self._begun(who, id, reason, "recording.held")
        event = self.means.event(now, who.id, "recording.held", id, reason=reason)
        if not await self.means.store.hold_recording(id, who.id, reason, now, event):
            kept = await self._kept(id)
            if kept.state in (KeptState.DELETING, KeptState.DELETED):
                words = f"the recording of {id} was deleted when its time was up"
                refused = Refused(410, "deleted", words, "hoop audit --action recording.deleted")
            else:
                words = f"the recording of {id} is held already: {kept.held_why}"
                refused = Refused(409, "held", words)
            raise await self.means.refuse(now, who, "recording.held", id, refused)
        return _view(await self._kept(id))

    async def release(self, who: Principal, id: str, reason: str) -> View:
        """What policy says holds again."""
        now, reason = await self._begun(who, id, reason, "recording.released")
        event = self.means.event(now, who.id, "recording.released", id, reason=reason)
        if not await self.means.store.release_recording(id, event):
            refused = Refused(409, "not_held", f"the recording of {id} is not held")
            raise await self.means.refuse(now, who, "recording.released", id, refused)
        return _view(await self._kept(id))

    async def _begun(self, who: Principal, id: str, reason: str, action: str) -> tuple[int, str]:
        """The time, and the reason as it is kept; Refused, also where they may not."""
        now = await self.means.now()
        if not self._may(who):
            words = "holding and releasing recordings is for auditors and administrators"
            refused = Refused(403, "not_allowed", words, "a role with audit = true may")
            raise await self.means.refuse(now, who, action, id, refused)
        session = await self.means.store.session(id)
        if session is None:
            refused = Refused(404, "no_session", f"there is no session {id}", "hoop sessions")
            raise await self.means.refuse(now, who, action, id, refused)
        reason = reason.strip()
        fault = fault_in(reason, LONGEST_REASON) if reason else "is missing"
        if fault is not None:
            raise Refused(422, "reason", f"the reason {fault}", '--reason "…"')
        return now, reason

    def _may(self, who: Principal) -> bool:
        roles = self.means.config_now().roles.values()
        return any((one.audit or one.administer) and one.groups & who.groups for one in roles)

    async def _kept(self, id: str) -> Kept:
        return (await self.means.store.kept([id])).get(id, Kept(id))


def _view(kept: Kept) -> View:
    held = {"since": time_or_none(kept.held), "by": kept.held_by, "reason": kept.held_why}
    return {
        "id": kept.session,
        "kept": kept.state.value or "agent",
        "held": None if kept.held is None else held,
    }


def router(agent: Agent) -> APIRouter:
    """``/v1/sessions/{id}/hold`` and ``/release``."""
    routes = APIRouter(prefix="/v1/sessions")
    holds = Holds(means_of(agent))

    @routes.post("/{id}/hold")
    async def hold(who: Who, id: Id, new: Why) -> View:
        return await holds.hold(who, id, new.reason)

    @routes.post("/{id}/release")
    async def release(who: Who, id: Id, new: Why) -> View:
        return await holds.release(who, id, new.reason)

    return routes
