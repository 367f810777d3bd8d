"""What a person asks for on a channel, as a statement: read, judged, and recorded.

A command is read as a shell's text.  A shell takes any command, so it is judged as one that cannot
be read: where rules speak of commands there is none.  Nor is there a terminal for a command, in
which keys may do as much.

What is held waits where it stands: on its channel, until somebody has approved it.

Order of the file: judging, holding, recording, reading.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Final, Literal, Protocol

from hoopagent.evidence import said
from hoopagent.hold import Case, Ending, Hold, Terms
from hoopagent.shells.live import ShellLive
from hoopcore import passage
from hoopcore.calls import NotCarried, RsyncCall, ScpCall, carried, transfer_of
from hoopcore.command import Command, Shell, Text
from hoopcore.model import Held
from hoopcore.policy import Verdict
from hoopcore.policy.rules import HOLD_WAIT
from hoopcore.protocols.sftp import OPENING
from hoopcore.recording import Said
from hoopcore.shell import LARGEST, read
from hoopcore.statement import Effect, Reading, Relation, Statement, Touch
from hoopcore.stream import Ask, AskKind

# A longer text is read beside the loop.
_SHORT = 2048

LONGEST_HELD = 16 << 10
"""Bytes of a command that can be held: a person is to read all of it."""

SFTP: Final = "sftp"
"""The subsystem that is read."""

_SHELL = Statement(frozenset({Effect.RUN, Effect.UNKNOWN}), tag="shell", shell=Shell())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a channel is to be."""

    kind: Literal["exec", "shell", "subsystem", "forward"]
    text: str = ""
    terminal: bool = False
    size: tuple[int, int] = (0, 0)  # of the terminal: columns and lines
    to: tuple[str, int] | None = None  # of a forward: host and port; None: one that never may be


@dataclass(frozen=True, slots=True)
class Spoken:
    """A statement as it is recorded."""

    kind: str
    text: str
    reading: Reading


class Waiting(Protocol):
    """The channel on which a statement may have to wait."""

    hold: Hold | None

    @property
    def gone(self) -> bool: ...

    def say(self, text: str, hint: str = "") -> None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """What a statement was numbered, read as, and judged to be."""

    seq: int
    verdict: Verdict
    reading: Reading


async def judged(live: ShellLive, asked: Asked, channel: Waiting) -> Told:
    """What a channel is to be, judged and recorded.

    RecorderFailed where it cannot be recorded, and nothing may be done then.
    """
    reading = await _reading(live, asked)
    call = _call(live, asked, reading)
    if isinstance(call, ScpCall | RsyncCall):
        reading = carried(reading, call)
    text = f"forward to {asked.text}" if asked.to is not None else asked.text or asked.kind
    spoken = Spoken(asked.kind, text, reading)
    listed = _listed(live, asked) or _hidden(call, asked)
    return await _judged(live, spoken, channel, listed)


async def judged_within(live: ShellLive, ask: passage.Ask, channel: Waiting) -> Told:
    """What is asked for within a channel, such as a file; judged and recorded as above."""
    spoken = Spoken("file", ask.text, Reading((ask.statement,)))
    return await _judged(live, spoken, channel, None)


async def _judged(
    live: ShellLive, spoken: Spoken, channel: Waiting, listed: Verdict | None
) -> Told:
    ask = Ask(AskKind.TEXT, live.number(), text=spoken.text.encode("utf-8", "surrogateescape"))
    verdict = listed or live.meter.judge(ask, spoken.reading)
    if verdict.held:
        verdict = await _approved(live, spoken, ask, verdict, channel)
    await record(live, spoken, ask, verdict)
    return Told(ask.seq, verdict, spoken.reading)


async def _approved(
    live: ShellLive, spoken: Spoken, ask: Ask, verdict: Verdict, channel: Waiting
) -> Verdict:
    """What becomes of a statement that is held; each rule that holds it wants its own approval.

    Approved does not mean allowed: it is judged again when it is let go.
    """
    granted: set[Terms] = set()
    reading = spoken.reading
    while verdict.held:
        found = [
            Terms(rule.name, rule.approvers, rule.votes, rule.wait, rule.reason)
            for rule in live.judge.holding(reading)
        ]
        if all(terms.rule != verdict.rule for terms in found):  # a budget's
            found.insert(0, Terms(verdict.rule, wait=HOLD_WAIT, why=verdict.reason))
        missing = next((terms for terms in found if terms not in granted), None)
        if missing is None:
            return replace(verdict, allowed=True, held=False)
        if len(ask.text) > LONGEST_HELD or live.holds.full(live.record.principal):
            words = f"{verdict.reason}; it is too long to be approved, or too many wait already"
            return replace(verdict, held=False, reason=words)
        id = live.holds.new_id()
        verdict = replace(verdict, rule=missing.rule, reason=missing.why, hold=id)
        event = await record(live, spoken, ask, verdict)
        ending = await _wait(live, ask, reading, missing, event, id, channel)
        if not ending.approved:
            rule = missing.rule
            return Verdict(False, rule, ending.reason, ending.hint, hold=id, code=ending.code)
        granted.add(missing)
        again = live.meter.judge(ask, reading)
        verdict = replace(again, hold=id, approved=ending.by if again.allowed or again.held else ())
    return verdict


async def _wait(
    live: ShellLive,
    ask: Ask,
    reading: Reading,
    terms: Terms,
    event: Said,
    id: str,
    channel: Waiting,
) -> Ending:
    """Until somebody has decided, or nobody needs to any more."""

    async def complete(case: Case) -> Case:
        return case

    def still() -> str:
        verdict = live.judge.judge(ask, reading)
        refused = not (verdict.allowed or verdict.held)
        return f'it is refused by rule "{verdict.rule}" now: {verdict.reason}' if refused else ""

    held = Held(
        session=live.record.id,
        seq=ask.seq,
        database="",
        text=event.text,
        why=terms.why,
        effects=event.effects,
        touches=event.touches,
    )
    principal, target = live.prepared.principal, live.prepared.target
    hold = Hold(
        id=id,
        case=Case(principal, target, live.access.grants, terms, held),
        ended=asyncio.get_running_loop().create_future(),
        complete=complete,
        say=channel.say,
        still=still,
        gone=lambda: channel.gone,
    )
    channel.hold = hold
    if channel.gone or live.cause is not None:
        return Ending(False, "its session ended")
    live.holds.begin(hold)
    try:
        return await hold.ended
    finally:
        channel.hold = None


async def record(live: ShellLive, spoken: Spoken, ask: Ask, verdict: Verdict) -> Said:
    """Returns once the statement is as durable as the target wants it."""
    prepared = live.prepared
    event = said(
        ask,
        spoken.reading,
        allowed=verdict.allowed,
        rule=verdict.rule,
        reason=verdict.reason,
        masked=frozenset(),
        keys=live.keys,
        exact=prepared.section.record_text == "exact",
        held=verdict.held,
        hold=verdict.hold,
        approved=verdict.approved,
        sweep=live.sweep,
    )
    event.kind = spoken.kind
    durable = live.recorder.append(event)
    if durable is not None:
        await durable
    return event


async def _reading(live: ShellLive, asked: Asked) -> Reading:
    if asked.kind == "subsystem" and asked.text == SFTP:
        return Reading((OPENING,))
    if asked.kind == "forward":
        return Reading((_forward(asked.text),))
    if asked.kind != "exec":
        return Reading((_SHELL,), (), f"{_NAMES[asked.kind]} may run any command")
    bash = live.prepared.section.shell == "bash"
    text = asked.text.encode()
    if _SHORT < len(text) <= LARGEST:
        reading = await asyncio.to_thread(read, text, bash=bash)
    else:
        reading = read(text, bash=bash)
    if asked.terminal and not reading.why:
        # A pager or an editor that it starts there runs what is typed.
        why = "keys typed in its terminal may run any command"
        return Reading((*reading.statements, _SHELL), (), why)
    return reading


def _forward(text: str) -> Statement:
    """What rules and scopes see of a forward: the command ``forward HOST:PORT``."""
    return Statement(
        frozenset({Effect.RUN}),
        touches=frozenset({Touch(Relation("", "forward"), Effect.RUN)}),
        tag="forward",
        shell=Shell((Command("forward", (Text(text),)),)),
    )


_NAMES = {"shell": "a shell", "subsystem": "a subsystem"}


def _listed(live: ShellLive, asked: Asked) -> Verdict | None:
    """A refusal of what the target does not take, or hoop cannot carry."""
    target, channels = live.prepared.target.name, live.prepared.section.channels
    if asked.kind == "subsystem" and asked.text != SFTP:
        words = f'subsystem "{asked.text[:40]}" is not carried by hoop'
        return Verdict(False, "channels", words, "sftp is, and commands are.")
    if asked.kind == "forward":
        return _forwards(live, asked)
    if (SFTP if asked.kind == "subsystem" else asked.kind) not in channels:
        others = " and ".join(sorted(channels))
        return Verdict(False, "channels", f'target "{target}" takes {others} only', "")
    if asked.kind == "shell" and not asked.terminal:
        # What is piped into it would be in no recording.
        words = "a shell wants a terminal, which shows what is typed"
        return Verdict(False, "channels", words, "Use ssh -t, or run a command.")
    return None


def _call(
    live: ShellLive, asked: Asked, reading: Reading
) -> ScpCall | RsyncCall | NotCarried | None:
    """Which files a command carries, if it does."""
    if asked.kind != "exec":
        return None
    return transfer_of(asked.text, reading, bash=live.prepared.section.shell == "bash")


def _hidden(call: ScpCall | RsyncCall | NotCarried | None, asked: Asked) -> Verdict | None:
    """A refusal of files that would go over without being accounted for."""
    if isinstance(call, NotCarried):
        return Verdict(False, "transfers", call.words, call.hint)
    if call is not None and asked.terminal:
        return Verdict(False, "transfers", "a transfer has no terminal", "Leave ssh -t out.")
    return None


def _forwards(live: ShellLive, asked: Asked) -> Verdict | None:
    """A refusal of a forward that the target does not list."""
    if asked.to is None:
        return Verdict(False, "forwards", f"hoop carries no {asked.text}", "")
    if any(place.matches(*asked.to) for place in live.prepared.section.forwards):
        return None
    target = live.prepared.target.name
    words = f'target "{target}" forwards nothing to {asked.text[:280]}'
    return Verdict(False, "forwards", words, "Whoever keeps targets.toml lists it in forwards.")
