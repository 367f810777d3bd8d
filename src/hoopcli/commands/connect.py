"""``hoop connect``: your own client on a target.

At a terminal that is psql, which takes the place of this process.  Everywhere else it is a DSN
for any client, good for as long as this process is there; with -d for as long as it is wanted.
On an SSH target it is ssh, everywhere.

Order of the file: the command, SSH targets, and the two ways to tell of a DSN.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from hoopcli import about_grants, completion_values, listening, opening, psql, screen
from hoopcli.client import Client, connected
from hoopcli.errors import ApiError, fail, say, usage
from hoopcli.opening import Opened
from hoopcli.options import OutputOption, target_name
from hoopcli.view import Output, as_json, clean, when

app = typer.Typer(rich_markup_mode=None, add_completion=False)


_Target = Annotated[
    str,
    typer.Argument(
        help="What to open; AGENT/TARGET where several agents have one of that name.",
        metavar="TARGET",
        autocompletion=completion_values.targets,
    ),
]
_Arguments = Annotated[
    list[str] | None,
    typer.Argument(help="For psql, or a command for an SSH target.", metavar="-- ARGS"),
]
_Database = Annotated[str | None, typer.Option(help="Not the first.", metavar="NAME")]
_Listen = Annotated[bool, typer.Option("--listen", help="Print a DSN, and stay until Ctrl-C.")]
_Detach = Annotated[
    bool,
    typer.Option(
        "--detach", "-d", help="Print a DSN that stays: the same address and password each day."
    ),
]
_NewPort = Annotated[
    bool, typer.Option("--new-port", help="With -d: another port and another password.")
]
_Tty = Annotated[
    bool, typer.Option("--tty", "-t", help="On an SSH target: a terminal for the command.")
]


@app.command()
def connect(
    target: _Target,
    arguments: _Arguments = None,
    database: _Database = None,
    listen: _Listen = False,
    detach: _Detach = False,
    new_port: _NewPort = False,
    tty: _Tty = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Open a target with psql or ssh, or print a DSN for any client.

    In a terminal psql starts at once, and its exit status is hoop's.  Without psql or a terminal,
    or with --listen, a DSN is printed that works in any client for as long as hoop runs.  With -d
    it stays open in the background, and is the same tomorrow:  hoop tunnels

    On an SSH target ssh starts: with a shell, or with the command behind --, each word of which
    arrives as it is here. For scp, rsync, git and editors:  hoop config ssh --write

    \b
    Examples:
      hoop connect prod-db
      hoop connect prod-db -- -c 'select count(*) from orders'
      hoop connect prod-db --listen
      hoop connect -d prod-db
      hoop connect prod-web
      hoop connect prod-web -- df -h
    """
    target = target_name(target)
    _check(arguments, listen=listen, detach=detach, new_port=new_port, tty=tty)
    program = None if listen or detach else psql.program(os.environ)
    wants_psql = bool(arguments) or tty or (_at_terminal() and output is Output.TABLE)
    with connected() as several:
        client = several.at(target)
        try:
            if tty or (arguments and program is None):
                _not_psql(client, target, tty=tty)
            if detach:
                _tell_kept(opening.kept(client, target, database, new_port=new_port), output)
                return
            if program is not None and wants_psql:
                opened = opening.opened(client, target, database, "unix")
                client.close()
                if opened.held is not None:
                    opened.held.inherited()
                environ = psql.environment(os.environ, opened.endpoint, client.owner())
                psql.become(program, arguments or (), environ)
            opened = opening.opened(client, target, database, "tcp")
        except ApiError as error:
            if error.error != "by_ssh":
                raise
            _no_address(target, database, listens=listen or detach, output=output)
            _become_ssh(client, target, arguments or [], tty=tty)
        _listen(opened, output)


def _check(
    arguments: list[str] | None, *, listen: bool, detach: bool, new_port: bool, tty: bool
) -> None:
    """A usage error where what was typed does not go together."""
    if arguments and detach:
        usage(
            "-d leaves an address open, and starts no client to pass arguments to",
            "Another database of the target:  --database NAME",
        )
    if arguments and listen:
        usage("--listen starts no client to pass arguments to")
    if listen and detach:
        usage("--listen stays until Ctrl-C and -d does not: one of them")
    if new_port and not detach:
        usage("--new-port is for an address that stays", "See:  hoop connect --help")
    if tty and (listen or detach):
        usage("-t is for a command on an SSH target, and no address has a terminal")


def _at_terminal() -> bool:
    return sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()


# --- SSH targets ----------------------------------------------------------------------------------


def _not_psql(client: Client, target: str, *, tty: bool) -> None:
    """Goes on where the target is reached by ssh; a database is told what is missing."""
    try:
        told = client.post("/v1/endpoints", {"target": target, "via": "shell"})
    except ApiError as error:
        if error.error == "no_grant":
            return
        if error.error != "no_ssh":
            raise
        told = {}
    if told.get("protocol") == "ssh":
        return
    if tty:
        usage(f"-t is for a command on an SSH target, and {clean(target)} is a database")
    fail(
        "there is no psql on PATH to pass the arguments to.",
        f"Use any other client:  hoop connect {clean(target)} --listen",
    )


def _no_address(target: str, database: str | None, *, listens: bool, output: Output) -> None:
    """A usage error where what was typed is about databases."""
    name = clean(target)
    if listens or output is not Output.TABLE:
        hint = f"A shell:  hoop connect {name}\nFor ssh, scp and git:  hoop config ssh --write"
        usage(f"{name} is an SSH target, which has no address of its own to print", hint)
    if database is not None:
        usage(f"{name} is an SSH target, and has no databases", f"A shell:  hoop connect {name}")


def _become_ssh(client: Client, target: str, arguments: list[str], *, tty: bool) -> None:
    """Does not come back."""
    from hoopcli import ssh

    if not arguments and not _at_terminal():
        words = "a shell wants a terminal, and there is none here"
        usage(words, f"Run a command:  hoop connect {clean(target)} -- COMMAND")
    ssh.program()  # before somebody asks for an access that is of no use here
    about_grants.endpoint(client, target, None, "shell")
    ssh.become(client, target, arguments, terminal=tty)


# --- a DSN for any client -----------------------------------------------------------------------


def _listen(opened: Opened, output: Output) -> None:
    """Prints where it listens, and keeps it open until told to end."""
    target = clean(opened.endpoint["target"])
    try:
        with listening.signals() as woken:
            _print(opened.endpoint, output)
            ends = when(opened.endpoint["not_after"], screen.now())
            say(f"{target} is open until you press Ctrl-C; your access ends {ends}.")
            by_stdin = listening.until_ended(woken, opened.keep)
        if by_stdin:
            say(f"Stdin ended.  To run statements from it:  hoop connect {target} -- -f -")
    finally:
        opened.close()
    from hoopcli import look_back

    look_back.say_once(opened.client, opened.endpoint.get("grant"))


def _tell_kept(endpoint: dict[str, object], output: Output) -> None:
    """Prints the address that stays."""
    from hoopcli import profile

    _print(endpoint, output)
    target = clean(endpoint["target"])
    ends = when(str(endpoint["not_after"]), screen.now())
    say(f"{target} stays open, at this address and with this password, until:")
    at = f"{clean(endpoint['agent'])}/" if len(profile.agents()) > 1 else ""
    say(f"  hoop tunnels stop {at}{target}")
    say(f"Your access ends {ends}; the address is good again with your next grant.")


def _print(endpoint: dict[str, object], output: Output) -> None:
    if output is Output.JSON:
        screen.out(as_json({**endpoint, "dsn": opening.dsn(endpoint)}))
    else:
        screen.out(opening.dsn(endpoint))
