"""``hoop mask``: why a column is NULL, before anything is run; and which columns want a mask.

Order of the file: try, scan.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from hoopcli import completion_values, screen
from hoopcli.client import Client, connected, path
from hoopcli.errors import Exit, Failure, fail, say, usage
from hoopcli.options import OutputOption, target_name
from hoopcli.view import Output, card, clean, wrap

app = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@app.callback()
def mask() -> None:
    """See what masks make of a statement, and find the columns that want one.

    \b
    Example:
      hoop mask try "select * from customers" --on prod-db
      hoop mask scan prod-db
    """


_Database = Annotated[str, typer.Option("-d", "--database", help="Else its first.", metavar="NAME")]


def _tell(lines: Iterable[str]) -> None:
    """Sentences on stderr; on a terminal no word is broken at its edge."""
    for line in lines:
        for part in wrap(clean(line), screen.width()) if screen.talks() else (line,):
            say(part)


# --- try ------------------------------------------------------------------------------------------


@app.command("try")
def try_(
    statement: Annotated[str, typer.Argument(help="SQL; - reads it from stdin.", metavar="SQL")],
    on: Annotated[
        str,
        typer.Option(
            "--on", help="The target.", metavar="TARGET", autocompletion=completion_values.targets
        ),
    ],
    database: _Database = "",
    person: Annotated[
        str,
        typer.Option("--as", help="For somebody else, where you may know.", metavar="PERSON"),
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Say what becomes of each column that a statement gives, and why, without running it.

    The agent reads it as in a session of yours, holds it against masks, catalog and rules, and
    sends nothing to the target.  For others asks who looks after the target.  Exit status: 0
    allowed, 4 refused, 5 held.

    \b
    Examples:
      hoop mask try "select id, upper(ssn) from customers" --on prod-db
      hoop mask try - --on prod-db
      hoop mask try "table customers" --on prod-db --as ana@example.com -o json
    """
    from hoopcli import mask_view

    target = target_name(on)
    text = _statement(statement)
    wish = {"target": target, "database": database, "statement": text, "as": person}
    with connected() as client:
        told = client.at(target).post("/v1/masks/try", wish)
    if told["fault"] is not None and output is Output.TABLE:
        raise Failure(*mask_view.fault(told, text), Exit.USAGE)
    if output is not Output.TABLE:
        screen.show_one(output, told, pairs=lambda _: (), name=mask_view.name)
    else:
        parts = [
            card(mask_view.verdict(told), screen.width()),
            mask_view.table(told, screen.width()),
        ]
        shown = "\n\n".join(filter(None, parts))
        if shown:
            screen.out(shown)
        _tell(mask_view.foot(told))
    code = {"allow": Exit.DONE, "hold": Exit.PENDING}.get(told["verdict"], Exit.REFUSED)
    raise typer.Exit(int(code))


def _statement(given: str) -> str:
    text = sys.stdin.read() if given == "-" else given
    if not text.strip():
        usage("there is no statement to try")
    return text


# --- scan -----------------------------------------------------------------------------------------


@app.command()
def scan(
    target: Annotated[
        str,
        typer.Argument(
            help="The target.", metavar="TARGET", autocompletion=completion_values.targets
        ),
    ],
    database: _Database = "",
    rows: Annotated[
        int, typer.Option("--rows", help="So many of each table, at most.", min=1, max=1000)
    ] = 200,
    output: OutputOption = Output.TABLE,
) -> None:
    """Look for columns that want a mask, and print it as lines for masks.toml.

    The agent reads some rows of each table on a connection of its own, counts what looks like a
    card, an address, a key, and forgets the values.  It changes nothing: what you want goes into
    masks.toml by your hand.  For who administers the agent, and for the target's owners.

    \b
    Examples:
      hoop mask scan prod-db
      hoop mask scan prod-db -d billing --rows 1000
      hoop mask scan prod-db -o json
    """
    from hoopcli import scan_view

    name = target_name(target)
    with connected() as client:
        told = _scanned(client.at(name), {"target": name, "database": database, "rows": rows})
    if told["state"] != "done":
        fail(f"{clean(name)} was not scanned: {clean(told['why'])}")
    if output is Output.JSON:
        screen.show_one(output, told, pairs=lambda _: (), name=lambda _: "")
    elif output is Output.NAMES:
        sure = [one for one in told["columns"] if one["sure"]]
        screen.show(
            output, sure, heads=(), row=lambda _: (), name=lambda one: one["column"], empty=""
        )
    elif told["columns"]:
        screen.out(scan_view.toml(told, f"{screen.now():%Y-%m-%d}"))
    _tell(scan_view.foot(told))


def _scanned(client: Client, wish: dict[str, object]) -> Any:
    """The scan as it ended; Ctrl-C ends it at the agent, too."""
    from hoopcli import scan_view

    progress, began = screen.Progress(), time.monotonic()
    told = client.post("/v1/masks/scans", wish)
    try:
        while told["state"] == "running":
            waited = time.monotonic() - began
            if waited > 1 and screen.talks():
                progress.show(f"Sampling: {scan_view.progress(told)}", str(told["at"]))
            told = client.get(path("masks", "scans", told["id"]))
    except KeyboardInterrupt:
        progress.end()
        client.close()  # half an answer may stand on the connection
        client.delete(path("masks", "scans", told["id"]))
        say("Stopped, on the target too.")
        raise
    finally:
        progress.end()
    return told
