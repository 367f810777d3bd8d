"""Reviews over a small company: what sessions did is told by events, as recordings have them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from hoopagent.confirming import Confirming
from hoopagent.errors import Refused
from hoopagent.means import View
from hoopagent.reviews import NOTHING_TOLD, Reviews, Told
from hoopcore.model import Principal, ReviewAnswer, Scope, Session, Tier, Time
from hoopcore.recording import Finished, Header, Known
from hoopcore.recording import Said as Statement
from hoopcore.review import Said
from hoopcore.usage import Use, use_of
from tests.store.world import World

KEEP, NARROW, GIVE_BACK = ReviewAnswer.KEEP, ReviewAnswer.NARROW, ReviewAnswer.GIVE_BACK
DELEGATE, CANNOT_SAY = ReviewAnswer.DELEGATE, ReviewAnswer.CANNOT_SAY
CONFIRM, OVERRIDE = ReviewAnswer.CONFIRM, ReviewAnswer.OVERRIDE


def statement(at: Time, *touches: str, verdict: str = "allow", **more: object) -> Statement:
    effects = tuple(sorted({touch.rpartition(":")[2] for touch in touches}))
    words: dict[str, Any] = {"touches": touches, "effects": effects, "verdict": verdict, **more}
    return Statement(seq=1, text="…", at=at, **words)


def used(*statements: Statement, rows: int = 1, masked: int = 0, scopes: bool = True) -> Use:
    """What a session with these statements came to."""
    events: list[Known] = [Header(session="s", principal="p", target="t", scopes=scopes)]
    for number, said in enumerate(statements, 1):
        said.seq = number
        kinds = {"email": masked} if masked else {}
        events += [said, Finished(seq=number, rows=rows, masked=kinds)]
    return use_of(events)


@dataclass
class Looking:
    """The reviews of a world; ``did`` says what each session did, or why that cannot be read."""

    world: World
    did: dict[str, Use | Exception] = field(default_factory=dict)
    told: list[Use | Exception] = field(default_factory=list)  # of the next sessions

    def _read(self, session: Session) -> Use:
        found = self.did.get(session.id, Use())
        if isinstance(found, Exception):
            raise found
        return found

    @property
    def reviews(self) -> Reviews:
        return Reviews(self.world.means, self.world.grants, self._read)

    @property
    def confirming(self) -> Confirming:
        return Confirming(self.world.means, self.reviews.steps)

    async def session(self, who: Principal, use: Use | Exception, target: str = "prod-db") -> str:
        """A session that is open, and did that."""
        id = await self.world.connect(who, target)
        assert id is not None
        self.did[id] = use
        return id

    async def mine(self, who: Principal) -> list[View]:
        return await self.reviews.mine(who)

    async def one(self, who: Principal) -> View:
        (item,) = await self.mine(who)
        return item

    async def answer(
        self,
        who: Principal,
        grant: str,
        answer: ReviewAnswer,
        reason: str = "",
        *,
        scope: str = "",
        until: Time | None = None,
        to: Principal | None = None,
        group: int = 1,
        told: Told = NOTHING_TOLD,
    ) -> View:
        parsed = Scope.parse(scope) if scope else None
        said = Said(answer, reason, parsed, until, to, group)
        return await self.reviews.decide(who, grant, said, told)

    async def refused(self, *answer: object, **more: object) -> tuple[int, str]:
        """How an answer is refused; what was a try is on the record, once."""
        before = await self.actions()
        with pytest.raises(Refused) as refusal:
            await self.answer(*answer, **more)  # type: ignore[arg-type]  # any answer
        status, error = refusal.value.status, refusal.value.error
        new = list(await self.actions())[len(before) :]
        there = await self.world.store.grant(str(answer[1])) is not None
        tried = status in (403, 409) or (status == 404 and there)
        assert len(new) == tried, (status, error, new)
        assert all(action.endswith(".refused") for action in new)
        return status, error

    def tier(self, tier: Tier, target: str = "prod-db", **more: object) -> None:
        section = self.world.config.targets[target]
        self.world.set_target(target, section.model_copy(update={"tier": tier, **more}))

    async def sweep(self) -> None:
        """The second that goes by."""
        await self.world.look()
        await self.confirming.sweep(self.world.time)

    async def actions(self) -> Sequence[str]:
        return [event.action for event in reversed(await self.world.audited())]
