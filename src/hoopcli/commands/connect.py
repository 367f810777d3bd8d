"""``hoop connect``: your own client on a target.

At a terminal that is psql, which takes the place of this process.  Everywhere else it is a DSN
for any client, good for as long as this process is there.

Order of the file: the command, its two ways, and the grant that may be missing.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated, Any
from urllib.parse import quote

import typer

from hoopcli import asking, completion_values, listening, psql, screen, waiting
from hoopcli.client import Client, connected, path
from hoopcli.errors import ApiError, Exit, Failure, fail, say
from hoopcli.options import OutputOption, seconds, target_name
from hoopcli.view import Output, as_json, clean, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)


_Target = Annotated[
    str,
    typer.Argument(
        help="What to open.", metavar="TARGET", autocompletion=completion_values.targets
    ),
]
_Arguments = Annotated[
    list[str] | None, typer.Argument(help="For psql, behind a --.", metavar="-- ARGS")
]
_Database = Annotated[
    str | None, typer.Option("--database", "-d", help="Not the first.", metavar="NAME")
]
_Listen = Annotated[bool, typer.Option("--listen", help="Print a DSN, and stay until Ctrl-C.")]


@app.command()
def connect(
    target: _Target,
    arguments: _Arguments = None,
    database: _Database = None,
    listen: _Listen = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Open a target with psql, or print a DSN for any client.

    In a terminal psql starts at once, and its exit status is hoop's.  Without psql or a terminal,
    or with --listen, a DSN is printed that works in any client for as long as hoop runs.

    \b
    Examples:
      hoop connect prod-db
      hoop connect prod-db -- -c 'select count(*) from orders'
      hoop connect prod-db --listen
    """
    target_name(target)
    program = psql.program(os.environ)
    if arguments and listen:
        fail("--listen starts no client to pass arguments to", "", Exit.USAGE)
    if arguments and program is None:
        fail(
            "there is no psql on PATH to pass the arguments to.",
            f"Use any other client:  hoop connect {clean(target)} --listen",
        )
    wants_psql = bool(arguments) or (_at_terminal() and output is Output.TABLE)
    with connected() as client:
        if program is not None and wants_psql and not listen:
            endpoint = _open(client, target, database, "unix")
            client.close()
            psql.become(program, arguments or (), psql.environment(os.environ, endpoint))
        _listen(client, _open(client, target, database, "tcp"), output)


def _at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


# --- a DSN for any client -----------------------------------------------------------------------


def dsn(endpoint: dict[str, Any]) -> str:
    """A libpq URI.  It holds the password, which ends with the endpoint."""
    parts = {name: quote(str(endpoint[name]), safe="") for name in ("user", "password", "database")}
    where = f"{endpoint['host']}:{endpoint['port']}"
    return f"postgresql://{parts['user']}:{parts['password']}@{where}/{parts['database']}"


def _listen(client: Client, endpoint: dict[str, Any], output: Output) -> None:
    """Prints where it listens, and keeps it open until told to end."""
    where = path("endpoints", str(endpoint["id"]))
    target = str(endpoint["target"])
    try:
        with listening.signals() as woken:
            if output is Output.JSON:
                screen.out(as_json({**endpoint, "dsn": dsn(endpoint)}))
            else:
                screen.out(dsn(endpoint))
            ends = when(endpoint["not_after"], screen.now())
            say(f"{clean(target)} is open until you press Ctrl-C; your access ends {ends}.")
            by_stdin = listening.until_ended(woken, lambda: _keep(client, where, target))
        if by_stdin:
            say(f"Stdin ended.  To run statements from it:  hoop connect {clean(target)} -- -f -")
    finally:
        _forget(client, where)


def _keep(client: Client, where: str, target: str) -> None:
    """A sign of life.  Failure with code 4 once the agent has closed the endpoint."""
    try:
        client.post(f"{where}/keep")
    except ApiError as error:
        if error.status != 404:
            raise
        fail(
            f"your access to {clean(target)} has ended.",
            f'Ask again:  hoop request {clean(target)} --reason "…"',
            Exit.REFUSED,
        )


def _forget(client: Client, where: str) -> None:
    """Closes the endpoint.  Where that fails nothing is lost: nobody keeps it any more."""
    try:
        client.delete(where)
    except Failure:
        return


# --- a grant that may be missing ----------------------------------------------------------------


def _open(client: Client, target: str, database: str | None, via: str) -> dict[str, Any]:
    """An endpoint.  Who has no grant and sits at a terminal is offered to ask for one first."""
    body = {"target": target, "via": via}
    if database is not None:
        body["database"] = database
    try:
        endpoint: dict[str, Any] = client.post("/v1/endpoints", body)
    except ApiError as error:
        if error.error != "no_grant" or not asking.possible():
            raise
        _ask_for_grant(client, target, error)
        endpoint = client.post("/v1/endpoints", body)
    return endpoint


def _ask_for_grant(client: Client, target: str, missing: ApiError) -> None:
    """Asks the person, then the agent, then waits; raises ``missing`` if nothing is asked for."""
    say(f"hoop: {clean(missing.message)}")
    request = _pending(client, target)
    if request is None:
        reason = asking.line("Ask for it now: why do you need it? (Enter: do not ask) ")
        if not reason:
            raise missing
        spoken = asking.line("For how long? [1h] ")
        if spoken is None:
            raise missing
        request = client.post(
            "/v1/requests",
            {"target": target, "reason": reason, "duration": seconds("for", spoken or "1h")},
        )
    waiting.until_decided(client, request)
    asking.forget()  # or what was typed in impatience would be a statement on production
    say(f"You have access to {clean(target)}.")


def _pending(client: Client, target: str) -> Any:
    """A request for it that waits already, so that nobody is asked twice for the same thing."""
    mine = client.get("/v1/requests", mine=True, state="pending")
    return next((one for one in mine if one["target"] == target), None)
