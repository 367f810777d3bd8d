"""Writes docs/reference/commands.md out of the commands themselves.

    .venv/bin/python -m tests.docs_commands > docs/reference/commands.md

What a command, an option or an exit code is called comes from the code; the few words about exit
codes and environment variables stand here.  Order of the file: those words, then the page.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any

from hoopcli.app import SECTIONS, Entry, load
from hoopcli.errors import Exit

EXITS = {
    Exit.DONE: "done",
    Exit.FAILED: "failed; the message says with what",
    Exit.USAGE: "what was typed cannot be meant",
    Exit.NOT_SIGNED_IN: "not signed in, or the sign-in is over",
    Exit.REFUSED: "refused by policy, or no grant",
    Exit.PENDING: "nobody has decided yet, or not in time",
    Exit.RECORDING: "a recording does not hold (`verify`)",
    Exit.UNREACHABLE: "no agent answers",
    Exit.INTERRUPTED: "Ctrl-C",
}

VARIABLES = {
    "HOOP_HOME": "The folder of your own settings: which agents you know, their pinned keys, and "
    "the tokens where there is no keyring. Else the system's place for settings.",
    "HOOP_AGENT": "The one agent that is meant: its name, its run folder, or HOST:PORT. Else all "
    "that are signed in to; for `login`, the last one, else `$XDG_RUNTIME_DIR/hoop`, else "
    "`/run/hoop`.",
    "HOOP_KEYRING": "`off` leaves the system's keyring alone.",
    "HOOP_AT_HAND": "`off` opens the encrypted file each time, and leaves no token with the "
    "kernel.",
    "HOOP_PASSPHRASE": "Opens the encrypted file that stands in for a keyring; else hoop asks for "
    "it in a terminal. Whoever reads your environment reads it too.",
    "HOOP_LOOK_BACK": "`off` says nothing about your use when `connect --listen` ends.",
    "HOOP_PSQL": "The psql that `connect` starts. Else the one on PATH.",
    "HOOP_DEBUG": "Anything: a traceback in place of an error message.",
    "HOOP_COMPLETING": "Set by completion itself, so that a Tab asks nothing and renews nothing.",
    "HOOP_AGENT_CONFIG": "For `hoop-agent` and `hoop policy`: the agent's configuration folder, "
    "where none is given. Else `./hoop-agent.d`.",
    "NO_COLOR": "Anything: no colours.",
}

AGENT = {
    "run": "Serves until SIGTERM or Ctrl-C; what runs then gets the time that `drain` says. With "
    "`--take-over` in the place of the agent that runs on the same data folder, if one does.",
    "restart": "Has the running agent start its successor (`run --take-over`) with the program and "
    "the configuration that are on the disk now, and waits until that one serves. Where it does "
    "not come, the old one goes on. See [upgrade](../how-to/upgrade.md).",
    "check": "Says everything that is wrong with the configuration, by file and line. Reads "
    "only; opens no socket.",
    "leaver": "Somebody (`WHO --reason TEXT`: an e-mail address, or an id) has left: has the "
    "running agent end their grants, requests, sessions and sign-ins, and keep them out; `--back` "
    "lets them sign in again. See [leavers](../how-to/end-access.md#who-leaves).",
    "index": "With `--rebuild`: makes the index that `hoop sessions --touching` asks anew from the "
    "recordings; the agent may run meanwhile. See [the how-to](../how-to/read-a-session.md).",
    "init": "Writes the commented example files that are not there yet and makes the agent's SSH "
    "keys; prints the fingerprint of the host key on stdout.",
}


# In commands whose completion nobody has switched off; ours is `hoop completion`.
_TYPERS_OWN = ("help", "install_completion", "show_completion")


# --- the page -------------------------------------------------------------------------------------


def page() -> str:
    """All of commands.md."""
    return "\n".join([*_head(), *_commands(), *_agent(), *_exits(), *_variables()]) + "\n"


def _head() -> Iterator[str]:
    yield "# Commands"
    yield ""
    yield "<!-- Made by: .venv/bin/python -m tests.docs_commands > docs/reference/commands.md -->"
    yield ""
    yield "stdout is data, stderr is talk. Where there is `-o`: `table` for people, `json` as the"
    yield "[control API](api.md) gives it, `names` one a line for scripts. Nothing asks where stdin"
    yield "is no terminal. Durations are written `45m`, `1h30m`, `2d`. `hoop --version` and"
    yield "`hoop COMMAND --help` do what they say."
    for section in SECTIONS:
        yield ""
        yield f"**{section.title}:**"
        yield " ·\n".join(f"[{entry.name}](#hoop-{entry.name})" for entry in section.entries)


def _commands() -> Iterator[str]:
    for section in SECTIONS:
        for entry in section.entries:
            yield from _entry(entry)


def _entry(entry: Entry) -> Iterator[str]:
    command = load(entry)
    yield from _command(f"hoop {entry.name}", command, entry.alias)
    for name, inner in getattr(command, "commands", {}).items():
        yield from _command(f"hoop {entry.name} {name}", inner)


def _command(path: str, command: Any, alias: str = "") -> Iterator[str]:
    yield ""
    yield f"## {path}"
    yield ""
    if alias:
        yield f"Also: `hoop {alias}`."
        yield ""
    said, _, examples = inspect.cleandoc(command.help or "").partition("\b\n")
    yield said.strip()
    if examples:
        yield ""
        yield "```console"
        for line in inspect.cleandoc(examples).split("\n")[1:]:
            yield line.removeprefix("  ")
        yield "```"
    rows = list(_rows(command))
    if rows:
        yield ""
        yield "| | | default |"
        yield "|---|---|---|"
        yield from rows


def _rows(command: Any) -> Iterator[str]:
    for param in command.params:
        if getattr(param, "hidden", False) or param.name in _TYPERS_OWN:
            continue
        shown = param.metavar or ("" if getattr(param, "is_flag", False) else param.name.upper())
        if param.param_type_name == "argument":
            name = f"`{shown}`"
        else:
            written = ", ".join(sorted(param.opts, key=len))
            name = f"`{written} {shown}`" if shown else f"`{written}`"
        needed = "required" if param.required else _default(param)
        yield f"| {name.replace('|', chr(92) + '|')} | {param.help} | {needed} |"


def _default(param: Any) -> str:
    value = getattr(param.default, "value", param.default)
    if value is None or isinstance(value, bool) or value in ("", 0):
        return ""
    return f"`{value}`"


def _agent() -> Iterator[str]:
    yield ""
    yield "## hoop-agent"
    yield ""
    yield "The agent is a program of its own. Its exit status is 0 done, 1 failed, 2 usage."
    yield ""
    yield "| | |"
    yield "|---|---|"
    for name, words in AGENT.items():
        yield f"| `hoop-agent {name} [--config FOLDER]` | {words} |"
    yield "| `hoop-agent --version` | Its version. |"


def _exits() -> Iterator[str]:
    yield ""
    yield "## Exit codes of hoop"
    yield ""
    yield "Once `connect` has started psql, psql's own status is hoop's."
    yield ""
    yield "| code | means |"
    yield "|---|---|"
    for code in Exit:
        yield f"| {int(code)} | {EXITS[code]} |"


def _variables() -> Iterator[str]:
    yield ""
    yield "## Environment"
    yield ""
    yield "| variable | means |"
    yield "|---|---|"
    for name, words in VARIABLES.items():
        yield f"| `{name}` | {words} |"
    yield ""
    yield "`connect` starts psql without your PG* variables, but for those that say how it looks."


if __name__ == "__main__":
    sys.stdout.write(page())
