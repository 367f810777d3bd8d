"""The table of commands, and the way from a name to its module.

A command's module is imported when that command runs, completes or is asked for its own
``--help``; the list of commands is this table and costs no import at all.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from hoopcli.errors import Exit, Failure, fail, say, usage

if TYPE_CHECKING:
    import typer


class Entry(NamedTuple):
    """One command: what it is called, what it does, and where it lives."""

    name: str
    summary: str
    module: str = ""  # in hoopcli.commands; the command's own name where it is not given
    alias: str = ""
    asks: bool = True  # an agent, and takes --agent to say which


class Section(NamedTuple):
    title: str
    entries: tuple[Entry, ...]


SECTIONS = (
    Section(
        "Sign in",
        (
            Entry("login", "Sign in with your identity provider.", asks=False),
            Entry("logout", "Sign out, here and at the agent.", asks=False),
            Entry("status", "Who you are, on which agent, until when.", asks=False),
        ),
    ),
    Section(
        "Get access and use it",
        (
            Entry("targets", "What you can reach, and what you may ask for.", alias="ls"),
            Entry("request", "Ask for access to a target, for a time and a reason."),
            Entry("connect", "Open a target with psql or ssh, or print a DSN."),
            Entry("requests", "Requests: yours, and those you can decide."),
            Entry("cancel", "Take back a request nobody has decided yet."),
            Entry("step-up", "Let your held statement run: you had narrowed that away.", "step_up"),
            Entry("grants", "The access you have now, and until when."),
            Entry("extend", "Go on with a grant that would end."),
            Entry("relinquish", "Give a grant back before it ends."),
            Entry("tunnels", "Addresses that stay: list them, stop them.", asks=False),
            Entry("config", "Set up stock ssh, psql and other clients."),
        ),
    ),
    Section(
        "Decide for others",
        (
            Entry("approve", "Say yes to a request, for as long or for less."),
            Entry("deny", "Say no to a request."),
            Entry("revoke", "End somebody's grant and its sessions now."),
            Entry("suspend", "Stop somebody's grant for a while; its sessions close."),
            Entry("resume", "Take a suspended grant up again."),
            Entry("leaver", "Somebody has left: end all they have now."),
        ),
    ),
    Section(
        "Look back",
        (
            Entry("sessions", "Who was on which target, when."),
            Entry("replay", "What happened in a session."),
            Entry("verify", "Whether a recording is whole and unchanged."),
            Entry("evidence", "All about a session in one signed file."),
            Entry("kill", "End a session that is running."),
            Entry("policy", "Check rules, try them, ask why a statement was refused."),
            Entry("mask", "What masks make of a statement, and which columns want one."),
            Entry("who-can", "Who may reach a table or a column, masked or not.", "who_can"),
            Entry("audit", "Who did what to hoop itself: read it, verify it, export it."),
            Entry("review", "Keep, narrow or give back, with your own usage as the evidence."),
            Entry("insights", "Your own month: what was refused, or wider than needed."),
        ),
    ),
    Section(
        "More",
        (
            Entry("doctor", "What is wrong here, and how to mend it.", asks=False),
            Entry("completion", "Completion for bash, zsh and fish.", asks=False),
            Entry("demo", "The whole story on a real PostgreSQL, on this machine.", asks=False),
        ),
    ),
)

ENTRIES = {entry.name: entry for section in SECTIONS for entry in section.entries}
ALIASES = {entry.alias: entry for entry in ENTRIES.values() if entry.alias}

COMPLETE = "__complete"  # what the shells' scripts call; not for people


def overview() -> str:
    """What ``hoop --help`` prints."""
    lines = [
        "Usage: hoop COMMAND [OPTIONS] [ARGS]...",
        "",
        "  One gate to production: ask for access, use your own client, give it back.",
    ]
    wide = max(map(len, ENTRIES))
    for section in SECTIONS:
        lines += ["", f"{section.title}:"]
        for entry in section.entries:
            alias = f" (also: {entry.alias})" if entry.alias else ""
            lines.append(f"  {entry.name:<{wide}}  {entry.summary}{alias}")
    lines += [
        "",
        "Options:",
        f"  {'--version':<{wide}}  Show the version and exit.",
        f"  {'--help':<{wide}}  Show this and exit; after a command, its own help.",
        "",
        "Examples:",
        "  hoop login",
        '  hoop request prod-db --reason "look into order 4711" --for 1h --wait',
        "  hoop connect prod-db",
    ]
    return "\n".join(lines)


def run(arguments: list[str]) -> int:
    """The exit code of one command line; raises Failure for what did not work."""
    if not arguments:
        say(overview())
        return Exit.USAGE
    first, *rest = arguments
    if first in ("--help", "-h", "help"):
        if first == "help" and rest:
            return run([*rest[:1], "--help"])
        print(overview())
        return Exit.DONE
    if first == COMPLETE:
        from hoopcli import completing

        print("\n".join(completing.complete(rest)))
        return Exit.DONE
    if first.startswith("-"):
        usage(f"no such option: {first}", "Options come after the command; see:  hoop --help")
    return invoke(first, rest)


def find(name: str) -> Entry:
    """The command of that name or alias.  Failure, with the nearest names, where there is none."""
    entry = ENTRIES.get(name) or ALIASES.get(name)
    if entry is not None:
        return entry
    from difflib import get_close_matches

    near = get_close_matches(name, [*ENTRIES, *ALIASES], n=2)
    meant = f"Did you mean  {'  or  '.join(f'hoop {one}' for one in near)}  ?" if near else ""
    raise Failure(f"no such command: {name}", meant or "All commands:  hoop --help", Exit.USAGE)


def load(entry: Entry) -> Any:
    """The command behind an entry, as typer built it; with it comes its module."""
    from importlib import import_module

    module = f"hoopcli.commands.{entry.module or entry.name}"
    try:
        app: typer.Typer = import_module(module).app
    except ModuleNotFoundError as error:
        if error.name == module:
            fail(f"this hoop has no {entry.name} command yet")
        if error.name is None or error.name.startswith("hoop"):
            raise
        brings = "demo" if entry.name == "demo" else "agent"
        fail(
            f"{entry.name} needs {error.name}, which is not installed",
            f"pip install 'hoopcli[{brings}]' brings it.",
        )
    import typer.main

    command = typer.main.get_command(app)
    if entry.asks:
        from hoopcli.options import agent_option

        below = list(getattr(command, "commands", {}).values())
        alone = not below or command.invoke_without_command  # type: ignore[attr-defined]  # a group
        for one in [command, *below] if alone else below:
            one.params.append(agent_option())
    return command


def invoke(name: str, arguments: list[str]) -> int:
    """Runs one command with what was typed behind it."""
    entry = find(name)
    command = load(entry)
    import typer

    # The public names of what typer raises are few, and where they come from has changed with its
    # versions: whatever BadParameter is made of is a mistake in what was typed.
    mistaken = cast(tuple[type[Exception], ...], typer.BadParameter.__bases__)
    try:
        code = command.main(arguments, prog_name=f"hoop {entry.name}", standalone_mode=False)
    except mistaken as error:
        raise _mistake(error, entry) from error
    except typer.Abort:
        raise KeyboardInterrupt from None
    return code if isinstance(code, int) else Exit.DONE


def _mistake(error: Any, entry: Entry) -> Failure:
    """What was typed cannot be parsed: the parser's own words, in our form."""
    said = str(error.format_message()).strip().rstrip(".").replace("Value error, ", "")
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else f"hoop {entry.name}"
    if not said or said.startswith("Usage:"):  # a group alone: its help is what was wanted
        if context is not None:
            print(context.get_help(), file=sys.stderr)
        raise SystemExit(int(Exit.USAGE))
    hint = f"See:  {path} --help"
    params = [] if context is None else context.command.params
    if said.startswith("Got unexpected extra") and any("--out" in one.opts for one in params):
        hint = f"A file to write into is given with --out.  {hint}"
    return Failure(said[:1].lower() + said[1:], hint, Exit.USAGE)
