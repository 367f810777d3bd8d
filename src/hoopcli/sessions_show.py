"""``hoop sessions show SESSION``: what a session came to, and which values in it were masked."""

from __future__ import annotations

from hoopcli import screen
from hoopcli.options import EvidenceArgument, KeyOption, OutputOption
from hoopcli.view import Output

__all__ = ["show"]


def show(
    session: EvidenceArgument,
    key: KeyOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """What one session came to, and how many values of which column were masked.

    It is counted from the recording, which is verified on the way.  A declared column is called
    schema.table.column, another one as its result called it; no value is in a recording.

    \b
    Examples:
      hoop sessions show s-1c9fz4m2qk
      hoop sessions show s-1c9fz4m2qk -o json
      hoop sessions show ./s-1c9fz4m2qk.jsonl.zst --key agent.pub
    """
    from hoopcli import evidence, session_view

    found = evidence.gather(session, key)
    told = session_view.summed(found.events())
    report = found.report()
    told["recording"] = evidence.state_of(found, report)
    told["bad_line"] = report.bad
    now = screen.now()
    screen.show_one(
        output, told, pairs=lambda one: session_view.pairs(one, now), name=lambda one: one["id"]
    )
    rows = session_view.table(told, screen.width()) if output is Output.TABLE else ""
    if rows:
        screen.out(f"\n{rows}")
    evidence.warn(found, report, session)
