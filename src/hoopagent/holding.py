"""One session's held statements: from the verdict to the moment the statement goes on or fails.

A statement is held where it runs: a text at once, a prepared one at its Bind, with its parameters.
Preparing it passes, for nothing of it runs then; so an approval never covers another run.  What is
in its batch before it waits too (``keeping.py``).

Approved does not mean allowed: it is read and judged again when it is let go, and so is what waits
before it.  Each rule that holds it wants an approval of its own, one after the other.

Order of the file: the answer to a verdict, waiting, how it goes on, what people are shown.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

from hoopagent import outlook
from hoopagent.hold import Case, Ending, Hold, Terms
from hoopagent.holds import Holds
from hoopagent.secrets import Secrets
from hoopcore.model import SECOND, Atom, Held, Scope
from hoopcore.policy import NARROWED, BoundPolicy, Policy, Verdict
from hoopcore.policy.rules import HOLD_WAIT
from hoopcore.protocols.postgres.keeping import Kept
from hoopcore.recording import EndCause, Event, Said
from hoopcore.statement import Effect, Reading
from hoopcore.stream import Ask, AskKind, Refusal

if TYPE_CHECKING:
    from hoopagent.live import Live
    from hoopagent.relay import Relay

Told: TypeAlias = Callable[[Ask, Reading, Verdict], Event]
Reads: TypeAlias = Callable[[Ask], Reading | asyncio.Future[Reading]]

# Before the target ends an idle session by itself: time to fail in order, and to be told why.
MARGIN = 30 * SECOND

LONGEST_PARAMETERS = 16 << 10
"""Bytes of parameters that can be held: a person is to read all of them."""

_NOBODY_S = Verdict(True)

WITHDRAWN = Ending(
    False,
    "canceling statement due to user request",
    "It was held, and nobody is asked any more.",
    code="57014",
)


class Holding:
    """What the relay of one session asks where a verdict says hold."""

    def __init__(
        self,
        live: Live,
        holds: Holds,
        secrets: Secrets,
        learned: Callable[[], Awaitable[object]],
        told: Told,
        read: Reads,
        judge: Callable[[Ask, Reading], Verdict],
    ) -> None:
        self._live = live
        self._holds = holds
        self._secrets = secrets
        self._learned = learned  # looks again at what the session's grants allow
        self._told = told
        self._read = read
        self._judge = judge
        self._waiting: tuple[Hold, Ask, Reading] | None = None
        self._granted: dict[int, set[Terms]] = {}  # by seq, of what has not left yet
        self._under: tuple[Policy, Scope, BoundPolicy | None] | None = None  # what is kept
        self._last: Hold | None = None

    # --- the answer to a verdict ------------------------------------------------------------------

    def answer(self, relay: Relay, ask: Ask, reading: Reading, verdict: Verdict) -> Verdict | None:
        """What to do about a held ask now; None: it waits, and the relay with it."""
        if ask.prepared:
            return replace(verdict, allowed=True, held=False)
        judge = self._live.judge
        if not self._live.stream.kept or self._under is None:
            self._granted.clear()
            self._under = (judge.policy, judge.facts.scope, judge.standing)
        objection = self._objection(ask, reading)
        if objection:
            words = f"{verdict.reason}; it cannot be approved either: {objection}"
            return replace(verdict, held=False, reason=words)
        terms = self._missing(ask, reading, verdict)
        if terms is None:
            return replace(verdict, allowed=True, held=False)
        self._begin(relay, ask, reading, verdict, terms)
        return None

    def _objection(self, ask: Ask, reading: Reading) -> str:
        """Why nobody could approve it, knowing what they approve; empty where somebody could."""
        stream = self._live.stream
        if any(Effect.PREPARE in s.effects and s.tag == "PREPARE" for s in reading.statements):
            return "what SQL prepares runs as often as one likes; run the statement itself"
        text = stream.text_of(ask)
        if text is None:
            return "its text is long, or not certain any more; prepare it again, or write less"
        if sum(len(one or b"") for one in ask.parameters) > LONGEST_PARAMETERS:
            return "its parameters are too long to be read"
        if not stream.in_time:
            return "more than 1 MiB stands before it in its batch; send it by itself"
        if self._holds.full(self._live.record.principal):
            return "too many of your statements wait already (hoop requests --mine)"
        return ""

    def _missing(self, ask: Ask, reading: Reading, verdict: Verdict) -> Terms | None:
        """The first approval that it wants and has not got."""
        found = [
            Terms(rule.name, rule.approvers, rule.votes, rule.wait, rule.reason)
            for rule in self._live.judge.holding(reading)
        ]
        if verdict.rule != NARROWED and all(terms.rule != verdict.rule for terms in found):
            # a budget's
            found.insert(0, Terms(verdict.rule, wait=HOLD_WAIT, why=verdict.reason))
        # Last of all, so that nothing is learned of a statement that a rule keeps from running.
        learns = self._live.judge.stepping(reading)
        if learns:
            why = _narrowed(learns)
            found.append(
                Terms(NARROWED, wait=HOLD_WAIT, why=why, learns=learns, held_too=bool(found))
            )
        granted = self._granted.get(ask.seq, set())
        return next((terms for terms in found if not terms.is_met(granted)), None)

    # --- waiting ----------------------------------------------------------------------------------

    def _begin(
        self, relay: Relay, ask: Ask, reading: Reading, verdict: Verdict, terms: Terms
    ) -> None:
        live = self._live
        id = self._holds.new_id()
        verdict = replace(verdict, rule=terms.rule, reason=terms.why, hold=id)
        event = self._told(ask, reading, verdict)
        case = Case(
            principal=live.prepared.principal,
            target=live.prepared.target,
            grants=live.access.grants,
            terms=terms,
            held=self._shown(ask, reading, verdict, event, terms),
        )
        hold = Hold(
            id=verdict.hold,
            case=case,
            ended=relay.loop.create_future(),
            complete=partial(self._complete, reading),
            say=relay.say,
            still=partial(self._still, ask, reading),
            gone=relay.client_gone,
            learned=self._learned,
        )
        self._waiting = (hold, ask, reading)
        self._last = hold
        relay.hold(event, hold.ended, partial(self._ended, relay, hold, ask, reading))
        self._holds.begin(hold)

    def cancel(self) -> bool:
        """The client takes its statement back; False where none is held."""
        return self._waiting is not None and self._waiting[0].end(WITHDRAWN)

    def session_ends(self, cause: EndCause) -> Event | None:
        """Nobody needs to decide any more; what is to be recorded of it."""
        if self._waiting is None:
            return None
        (hold, ask, reading), self._waiting = self._waiting, None
        hold.end(Ending(False, f"its session ended: {cause.value}"))
        why = f"its session ended while it was held: {cause.value}"
        return self._told(ask, reading, Verdict(False, hold.case.terms.rule, why, hold=hold.id))

    async def closed(self) -> None:
        """Until the store knows that nothing of this session waits any more."""
        if self._last is not None and self._last.closing is not None:
            await self._last.closing

    # --- how it goes on ---------------------------------------------------------------------------

    def _ended(self, relay: Relay, hold: Hold, ask: Ask, reading: Reading, ending: Ending) -> None:
        self._waiting = None
        if not ending.approved:
            rule = hold.case.terms.rule
            no = Verdict(False, rule, ending.reason, ending.hint, hold=hold.id, code=ending.code)
            relay.act(ask, reading, no)
            return
        self._granted.setdefault(ask.seq, set()).add(hold.case.terms)
        # What it means may have changed while it waited.
        found = self._read(ask) if ask.reading is None else reading
        if isinstance(found, asyncio.Future):
            relay.wait(found, partial(self._again, relay, hold, ending, ask))
        else:
            self._again(relay, hold, ending, ask, found)

    def _again(self, relay: Relay, hold: Hold, ending: Ending, ask: Ask, reading: Reading) -> None:
        """It is approved: judged anew, with what waits before it in its batch."""
        verdict = self._judge(ask, reading)
        if verdict.held:
            terms = self._missing(ask, reading, verdict)
            objection = self._objection(ask, reading) if terms is not None else ""
            if terms is not None and not objection:
                self._begin(relay, ask, reading, verdict, terms)
                return
            verdict = replace(verdict, allowed=terms is None, held=False)
            if verdict.allowed and self._live.naming is not None:
                self._live.naming.behind(self._live, reading)
        verdict = replace(verdict, hold=hold.id, approved=ending.by)
        if verdict.allowed and (why := self._spoilt()):
            hint = "Send it again."
            self._live.stream.spoil(Refusal(hold.case.terms.rule, why, hint))
            verdict = Verdict(False, hold.case.terms.rule, why, hint, hold=hold.id)
        if not verdict.allowed:
            verdict = replace(verdict, approved=())
        relay.act(ask, reading, verdict)

    def _still(self, ask: Ask, reading: Reading) -> str:
        """Why the policy of now does not let it run whoever approves; empty where it may."""
        verdict = self._judge(ask, reading)
        if verdict.allowed or verdict.held:
            return ""
        return f'it is refused by rule "{verdict.rule}" now: {verdict.reason}'

    def _spoilt(self) -> str:
        """Why what was let through before it in its batch may not run now; empty where it may."""
        stream = self._live.stream
        if not all(map(stream.still_covers, stream.kept)):
            return "it was approved, but the masks changed for what stands before it in its batch"
        if stream.kept and self._changed() and not all(map(self._may_run, stream.kept)):
            return "it was approved, but what stands before it in its batch may not run any more"
        return ""

    def _changed(self) -> bool:
        """Whether the policy is another one than that under which the batch was let through."""
        assert self._under is not None
        judge, (policy, scope, standing) = self._live.judge, self._under
        return (
            judge.policy is not policy
            or judge.facts.scope != scope
            or standing is None
            or not standing.holds(self._holds.now())
        )

    def _may_run(self, kept: Kept) -> bool:
        verdict = self._judge(kept.ask, kept.reading)
        if not verdict.held or kept.ask.prepared:
            return verdict.allowed or verdict.held
        return self._missing(kept.ask, kept.reading, verdict) is None

    # --- what people are shown --------------------------------------------------------------------

    def _shown(
        self, ask: Ask, reading: Reading, verdict: Verdict, event: Event, terms: Terms
    ) -> Held:
        """As it is recorded; a run with the text that was prepared for it."""
        live = self._live
        assert isinstance(event, Said)
        text = event.text
        if not text:
            whole = live.stream.text_of(ask) or b""
            text = self._recorded_text(ask, reading, whole)
        masks = live.judge.bound
        relations = {one for s in reading.statements for one in s.relations}
        masked = {str(one) for one in relations if masks.masks and masks.is_near(one)}
        if masks.masks and reading.opaque:
            masked.add("*")
        return Held(
            session=live.record.id,
            seq=ask.seq,
            database=live.record.database,
            text=text,
            why=verdict.reason,
            parameters=event.parameters,
            effects=event.effects,
            touches=event.touches,
            masked=tuple(sorted(masked)),
            note="in a transaction" if live.stream.status == "T" else "",
            learns=tuple(sorted(map(str, terms.learns))),
        )

    def _recorded_text(self, ask: Ask, reading: Reading, text: bytes) -> str:
        event = self._told(
            replace(ask, kind=AskKind.TEXT, text=text, parameters=()), reading, _NOBODY_S
        )
        assert isinstance(event, Said)
        return event.text

    async def _complete(self, reading: Reading, case: Case) -> Case:
        """With the relations that are large, and how long the target lets the session idle."""
        live = self._live
        relations = {one for s in reading.statements for one in s.relations}
        told = await outlook.ask(live, self._secrets, relations)
        case = replace(case, held=replace(case.held, large=told.large))
        inside = live.stream.status == "T"
        name = outlook.IN_TRANSACTION if inside else outlook.IDLE
        known = [told.timeout(name), live.idle.get(name, 0)]
        if inside:
            known.append(live.judge.facts.imposed.idle_timeout)
        most = min((ms for ms in known if ms), default=0)
        if not most:
            why = f"{name} of the target is {'0, so none' if told.answered else 'not known'}"
            return replace(case, why_until=why if inside else "")
        left = (most - told.idle_for) * 1000
        why = f"{name} of the target is {most / 1000:g} s"
        return replace(case, until=self._holds.now() + left - MARGIN, why_until=why)


def _narrowed(learns: frozenset[Atom]) -> str:
    atoms = sorted(map(str, learns))
    more = f" and {len(atoms) - 3} more" if len(atoms) > 3 else ""
    return f"your grant was narrowed and does not cover {', '.join(atoms[:3])}{more} any more"
