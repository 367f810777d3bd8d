"""What a person asks for on a channel, as a statement: read, judged, and recorded.

A command is read as a shell's text.  A shell takes any command, so it is judged as one that cannot
be read: where rules speak of commands there is none.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from hoopagent.evidence import said
from hoopagent.shells.live import ShellLive
from hoopcore.command import Shell
from hoopcore.policy import Verdict
from hoopcore.shell import LARGEST, read
from hoopcore.statement import Effect, Reading, Statement
from hoopcore.stream import Ask, AskKind

# A longer text is read beside the loop.
_SHORT = 2048

_SHELL = Statement(frozenset({Effect.RUN, Effect.UNKNOWN}), tag="shell", shell=Shell())


@dataclass(frozen=True, slots=True)
class Asked:
    """What a channel is to be."""

    kind: Literal["exec", "shell", "subsystem"]
    text: str = ""
    terminal: bool = False


async def judged(
    live: ShellLive, asked: Asked, seq: int, say: Callable[[str, str], None]
) -> Verdict:
    """The verdict, recorded.  RecorderFailed where it cannot be, and nothing may be done then."""
    reading = await _reading(live, asked)
    ask = Ask(AskKind.TEXT, seq, text=asked.text.encode() or asked.kind.encode())
    verdict = _listed(live, asked) or live.judge.judge(ask, reading)
    if verdict.held:
        words = f"{verdict.reason}; it would have to be approved, which SSH cannot wait for yet"
        verdict = replace(verdict, held=False, reason=words, hint="")
    await record(live, asked, ask, reading, verdict)
    return verdict


async def record(
    live: ShellLive, asked: Asked, ask: Ask, reading: Reading, verdict: Verdict
) -> None:
    """Returns once the statement is as durable as the target wants it."""
    prepared = live.prepared
    event = said(
        ask,
        reading,
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
    event.kind = asked.kind
    durable = live.recorder.append(event)
    if durable is not None:
        await durable


async def _reading(live: ShellLive, asked: Asked) -> Reading:
    if asked.kind != "exec":
        return Reading((_SHELL,), (), f"{_NAMES[asked.kind]} may run any command")
    bash = live.prepared.section.shell == "bash"
    text = asked.text.encode()
    if _SHORT < len(text) <= LARGEST:
        return await asyncio.to_thread(read, text, bash=bash)
    return read(text, bash=bash)


_NAMES = {"shell": "a shell", "subsystem": "a subsystem"}


def _listed(live: ShellLive, asked: Asked) -> Verdict | None:
    """A refusal of what the target does not take, or hoop cannot carry."""
    target, channels = live.prepared.target.name, live.prepared.section.channels
    if asked.kind == "subsystem":
        words = f'subsystem "{asked.text[:40]}" is not carried by hoop'
        return Verdict(False, "channels", words, "Run a command instead, such as scp -O.")
    if asked.kind not in channels:
        others = " and ".join(sorted(channels))
        return Verdict(False, "channels", f'target "{target}" takes {others} only', "")
    if asked.kind == "shell" and not asked.terminal:
        # What is piped into it would be in no recording.
        words = "a shell wants a terminal, which shows what is typed"
        return Verdict(False, "channels", words, "Use ssh -t, or run a command.")
    return None
