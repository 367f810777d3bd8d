"""``hoop audit``: who did what to hoop itself; whether that is whole; and a copy to keep."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from hoopcli import completion_values, durations, screen
from hoopcli.client import connected
from hoopcli.errors import Exit, Failure, fail, say, usage
from hoopcli.options import KeyOption, OutputOption, target_name
from hoopcli.view import Output, clean, moment, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_HEADS = ("ROW", "WHEN", "WHO", "DID", "TO", "WHY")

_Since = Annotated[
    str | None, typer.Option(help="Only what was done since: 2h, 3d, or a date.", metavar="WHEN")
]
_Until = Annotated[
    str | None, typer.Option(help="Only what was done before: 2h, 3d, or a date.", metavar="WHEN")
]
_Actor = Annotated[
    str | None, typer.Option(help="Only by this person (name or id), or system.", metavar="WHO")
]
_Target = Annotated[
    str | None,
    typer.Option(
        help="Only about this target.", metavar="TARGET", autocompletion=completion_values.targets
    ),
]
_Action = Annotated[
    str | None,
    typer.Option(
        help="Only this: grant.revoked, or all of grant.",
        metavar="ACTION",
        autocompletion=completion_values.actions,
    ),
]


@app.callback(invoke_without_command=True)
def audit(
    context: typer.Context,
    since: _Since = None,
    until: _Until = None,
    actor: _Actor = None,
    target: _Target = None,
    action: _Action = None,
    limit: Annotated[int, typer.Option(help="The newest so many.", min=1, max=1_000)] = 50,
    output: OutputOption = Output.TABLE,
) -> None:
    """Who did what to hoop itself: asked, decided, signed in, read a recording.

    Auditors and administrators see all of it, everybody else what they did and what was done to
    them.  That it was read is on the audit too.

    \b
    Examples:
      hoop audit --since 2d --target prod-db
      hoop audit --action grant --actor ben@example.com -o json
      hoop audit verify
    """
    if context.invoked_subcommand is not None:
        return
    now = screen.now()
    wish = _wish(since, until, actor, target, action, now)
    with connected() as client:
        told = client.get("/v1/audit", newest=True, limit=limit, **wish)
    rows, names = told["rows"], told["names"]
    screen.show(
        output,
        rows,
        heads=_HEADS,
        row=lambda one: _row(one, names, now),
        name=lambda one: one["seq"],
        empty="There is no such row that you may see.",
    )
    if output is Output.TABLE and not told["whole"]:
        say("This is what you did, and what was done to you; auditors see all of it.")
    if output is Output.TABLE and len(rows) == limit:
        say(f"These are the newest {limit}; --limit shows more.")


@app.command()
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(help="An export, instead of the agent's own.", metavar="FILE"),
    ] = None,
    key: KeyOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Whether the audit is whole and unchanged: no row changed, removed, put in or cut off.

    Every row carries the hash of all before it, and the agent signs where it ends, once a minute.
    All of it is read and computed here.  Exit code 6: something does not fit.

    \b
    Examples:
      hoop audit verify
      hoop audit verify audit.jsonl --key agent.pub
    """
    from hoopcli import audit_rows
    from hoopcli.evidence import needs_key, read_key

    if file is not None:
        if key is None:
            needs_key()
        found = audit_rows.verify_file(file, read_key(key))
    else:
        with connected() as client:
            found = audit_rows.verify_agent(client)
    value = {
        "state": "whole and unchanged" if found.ok else "changed",
        "rows": found.rows,
        "last": found.seq,
        "signed": found.signed,
        "head": found.hash,
        "bad_row": found.fault.seq if found.fault else None,
        "why": found.fault.why if found.fault else "",
    }
    screen.show_one(output, value, pairs=lambda one: one.items(), name=lambda one: one["state"])
    if found.fault is not None:
        where = f"row {found.fault.seq}: " if found.fault.seq else ""
        fail(
            f"the audit was changed: {where}{found.fault.why}",
            f"Rows up to {found.seq} fit together, and are signed up to {found.signed}.",
            Exit.RECORDING,
        )
    if output is Output.TABLE and found.signed < found.seq:
        say(f"Rows behind {found.signed} are not signed yet; the agent signs once a minute.")


@app.command()
def export(
    form: Annotated[
        str, typer.Option("--format", help="jsonl or csv.", metavar="FORMAT")
    ] = "jsonl",
    out: Annotated[
        Path | None, typer.Option("--out", help="Into this new file.", metavar="FILE")
    ] = None,
    since: _Since = None,
    until: _Until = None,
    actor: _Actor = None,
    target: _Target = None,
    action: _Action = None,
) -> None:
    """The audit, oldest first, as JSON lines or CSV.

    JSON lines of all of it, with the signed heads, can be verified anywhere and at any time; a
    part of it, or a CSV, cannot.

    \b
    Examples:
      hoop audit export --out audit.jsonl
      hoop audit export --format csv --since 30d --target prod-db > prod-db.csv
    """
    if form not in ("jsonl", "csv"):
        usage(f"--format: '{clean(form)}' is not one of jsonl, csv")
    wish = _wish(since, until, actor, target, action, screen.now())
    lines = _csv(wish) if form == "csv" else _json_lines(wish)
    if out is None:
        for text in lines:
            sys.stdout.write(text)
        sys.stdout.flush()
        return
    count = _written(out, lines)
    say(f"{count} lines are in {clean(out)}.")


def _written(path: Path, lines: Iterator[str]) -> int:
    """How many; a file that is there already is not touched."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
    except OSError as problem:
        fail(f"cannot write {clean(path)}: {problem.strerror}")
    count = 0
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            for text in lines:
                file.write(text)
                count += 1
    except OSError as problem:
        raise Failure(f"cannot write {clean(path)}: {problem.strerror}") from problem
    return count


def _json_lines(wish: dict[str, object]) -> Iterator[str]:
    from hoopcli import audit_rows
    from hoopcore.audit import line

    with connected() as client:
        heads = [] if wish else audit_rows.heads(client)
        for told in audit_rows.pages(client, wish):
            for row in told["rows"]:
                yield line(row) + "\n"
        for head in heads:
            yield line(head) + "\n"
        if not told["whole"]:
            say("This is what you did, and what was done to you: it cannot be verified.")
        elif wish:
            say("This is a part of the audit: it cannot be verified by itself.")


_COLUMNS = ("seq", "at", "actor", "name", "action", "subject", "reason", "detail", "hash")


def _csv(wish: dict[str, object]) -> Iterator[str]:
    """With a cell's first sign guarded where a spreadsheet would take it for a formula."""
    from hoopcli import audit_rows
    from hoopcore.audit import line

    yield _csv_line(_COLUMNS)
    with connected() as client:
        for told in audit_rows.pages(client, wish):
            for row in told["rows"]:
                detail = row["detail"]
                name = told["names"].get(row["actor"], row["actor"])
                reason = detail.get("reason", "")
                yield _csv_line(
                    (row["seq"], row["at"], row["actor"], name, row["action"], row["subject"],
                     reason, line(detail), row["hash"])
                )  # fmt: skip


def _csv_line(cells: tuple[object, ...]) -> str:
    text = io.StringIO()
    csv.writer(text).writerow([_guarded(str(cell)) for cell in cells])
    return text.getvalue()


def _guarded(cell: str) -> str:
    return f"'{cell}" if cell[:1] in ("=", "+", "-", "@", "\t", "\r") else cell


# --- what was typed, and how a row looks ----------------------------------------------------------


def _wish(
    since: str | None,
    until: str | None,
    actor: str | None,
    target: str | None,
    action: str | None,
    now: datetime,
) -> dict[str, object]:
    wish: dict[str, object] = {
        "since": since and _time("--since", since, now),
        "until": until and _time("--until", until, now),
        "actor": actor,
        "target": target and target_name(target),
        "action": action,
    }
    return {name: value for name, value in wish.items() if value}


def _time(option: str, text: str, now: datetime) -> str:
    """A duration back from now, or a date or time (UTC where it names no zone), as RFC 3339."""
    try:
        at = now - timedelta(seconds=durations.parse(text))
    except (ValueError, OverflowError):
        try:
            at = moment(text)
        except ValueError:
            usage(f'{option}: "{clean(text)}" is no duration (2h, 3d) and no date (2026-11-22)')
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _row(row: Any, names: dict[str, str], now: datetime) -> tuple[object, ...]:
    detail = row["detail"]
    why = detail.get("reason") or detail.get("why") or ""
    return (
        row["seq"],
        when(row["at"], now),
        names.get(row["actor"], row["actor"]),
        row["action"],
        names.get(row["subject"], row["subject"]),
        why,
    )
