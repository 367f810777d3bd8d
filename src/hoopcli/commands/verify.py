"""``hoop verify``: whether a recording is what its agent wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hoopcli import screen
from hoopcli.errors import Exit, fail, say
from hoopcli.options import EvidenceArgument, OutputOption
from hoopcli.view import Output

if TYPE_CHECKING:
    from hoopcli.evidence import Evidence
    from hoopcore.recording import Report

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def verify(
    session: EvidenceArgument,
    key: Annotated[
        Path | None,
        typer.Option(
            help="The agent's public key (base64, hex or PEM); needed for a file.", metavar="FILE"
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Verify that a recording is whole and unchanged, to its last byte.

    Every line is chained to the one before it, and the agent signs the chain.  A file, of a
    recording or of evidence (.zip), is verified here, without the agent.  Exit status 6 says that
    something is missing or was changed.

    \b
    Examples:
      hoop verify s-1c9fz4m2qk
      hoop verify ./s-1c9fz4m2qk.jsonl.zst --key agent.pub
      hoop verify ./s-1c9fz4m2qk.zip --key agent.pub
    """
    from hoopcli import evidence

    if evidence.is_file(session) and key is None:
        evidence.needs_key()
    if key is not None and evidence.is_archive(session):
        _archive(session, key, output)
        return
    found = evidence.gather(session, key)
    report = found.report()
    value = told(report, evidence.state_of(found, report))
    screen.show_one(
        output, value, pairs=lambda one: one.items(), name=lambda one: one["session"] or session
    )
    _conclude(report, found)


def _archive(text: str, key: Path, output: Output) -> None:
    """The same of an archive that ``hoop evidence`` made."""
    from hoopcli import archives, evidence

    found = archives.checked(evidence.read_file(Path(text)), evidence.read_key(key))
    shown = archives.told(found, text)
    screen.show_one(
        output, shown, pairs=lambda one: one.items(), name=lambda one: one["session"] or text
    )
    if not found.ok:
        fail(
            f"this evidence does not verify: {found.why}",
            "It was changed, is not whole, or is another agent's.",
            Exit.RECORDING,
        )


def told(report: Report, state: str) -> dict[str, Any]:
    """The report as it is shown."""
    header, end = report.header, report.end
    return {
        "session": header.session if header else "",
        "who": (header.name or header.principal) if header else "",
        "target": header.target if header else "",
        "state": state,
        "lines": report.lines,
        "signed": f"up to line {report.signed}" if report.signed else "no line",
        "key": header.key if header else "",
        "end": end.cause if end else "",
        "torn": f"{end.torn} bytes could not be read when it was recovered"
        if end and end.torn
        else "",
        "head": report.head,
        "bad_line": report.bad or "",
        "why": report.why,
    }


def _conclude(report: Report, found: Evidence) -> None:
    if report.ok:
        return
    if report.state == "unfinished":
        if found.runs:
            say("The session runs: its recording goes on.")
            return
        fits = f"its {report.lines} lines fit, {report.signed} of them signed"
        fail(
            f"this recording is not whole: {report.why}",
            f"What is there: {fits}.  Its tail was cut, or its agent died writing it.",
            Exit.RECORDING,
        )
    where = f"line {report.bad}: " if report.bad else ""
    fail(
        f"this recording was changed, or another agent's: {where}{report.why}",
        f"Its first {report.lines} lines fit together, {report.signed} of them signed.",
        Exit.RECORDING,
    )
